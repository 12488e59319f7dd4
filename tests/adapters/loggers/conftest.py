"""`any_event` runs a test once for each type of event."""

from any_event import pytest_generate_tests

__all__ = ["pytest_generate_tests"]
