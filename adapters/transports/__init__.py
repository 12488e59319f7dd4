"""Sending HTTP requests: `aiohttp_transport` on an event loop."""
