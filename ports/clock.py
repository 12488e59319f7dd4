"""Time, as a port: nothing in this package asks the operating system for it directly."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """Dates are aware and in UTC; durations are measured on a clock that never goes back."""

    def now(self) -> datetime:
        """The moment, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds since some fixed point; never goes back."""
        ...

    async def sleep_until(self, when: datetime) -> None:
        """Return once `now()` has reached `when`, at once where it has; or once as much time has
        passed as it was away when asked.

        The second matters where the clock is set back meanwhile: nobody sleeps longer than he meant
        to.
        """
        ...
