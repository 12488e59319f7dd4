"""For whoever tests a host or writes an adapter: fakes of every port, and sandboxes of the providers."""

from .clock import FakeClock
from .hurry import until_settled
from .logger import RecordingLogger

__all__ = ["FakeClock", "RecordingLogger", "until_settled"]
