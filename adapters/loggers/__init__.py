"""Where events are told."""
