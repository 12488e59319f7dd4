"""Loggers: what happens, written to `logging` or structlog, or counted as metrics and traces."""
