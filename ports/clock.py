"""Time, as a port: nothing in this package asks the operating system for it directly."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """The time of day, which can be set, and a monotonic clock, which cannot."""

    def now(self) -> datetime:
        """The time of day, aware and in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds since a fixed point; never goes back."""
        ...

    async def sleep_until(self, when: datetime) -> None:
        """Sleep until `now() >= when`, but never longer than the interval at the call, even if the
        clock is set back."""
        ...
