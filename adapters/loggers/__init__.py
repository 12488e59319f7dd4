"""Loggers: what happens, written to `logging` or structlog."""
