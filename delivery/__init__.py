"""How an upload is delivered: one story, without I/O.

Nothing here knows a clock, a thread or an event loop. Two engines drive it (`adapters/engines`)."""
