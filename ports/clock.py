"""Time, as a port: nothing in this package asks the operating system for it directly."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, Protocol, runtime_checkable


@runtime_checkable
class Trusted(Protocol):
    """A clock that only asks the system, or memory: a courier asks it without precautions."""

    is_trusted: Literal[True]


class Clock(Protocol):
    """The time of day, which can be set, and a monotonic clock, which cannot. It may be `Trusted`.

    A courier on an event loop calls it there, so it must not block. What it raises is counted in
    the courier's health, and the machine's clock goes on from what it told last.
    """

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
