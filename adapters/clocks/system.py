"""The machine's own clocks."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime

_LONGEST_NAP = 60.0


class SystemClock:
    """`Clock` of the operating system."""

    def now(self) -> datetime:
        """The moment, aware, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds since some fixed point; never goes back."""
        return time.monotonic()

    async def sleep_until(self, when: datetime) -> None:
        """Return once `now()` has reached `when`, or as much time has passed as it was away.

        Sleeps in naps, so that a clock that is set forward, or a machine that was suspended, is
        noticed within a minute; one that is set back keeps nobody asleep.
        """
        deadline = self.monotonic() + (when - self.now()).total_seconds()
        while (left := min((when - self.now()).total_seconds(), deadline - self.monotonic())) > 0:
            await asyncio.sleep(min(left, _LONGEST_NAP))
