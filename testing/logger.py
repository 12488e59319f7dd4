"""A logger that remembers."""

from __future__ import annotations

from typing import Literal, TypeVar

from ..ports.logger import LogEvent

E = TypeVar("E")


class RecordingLogger:
    """Keeps every event in `events`, in order, and as soon as it happens."""

    is_prompt: Literal[True] = True

    def __init__(self) -> None:
        self.events: list[LogEvent] = []

    def log(self, event: LogEvent) -> None:
        """Take note of one event."""
        self.events.append(event)

    def of(self, kind: type[E]) -> list[E]:
        """The events of one kind, in order."""
        return [event for event in self.events if isinstance(event, kind)]
