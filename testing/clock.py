"""A clock that stands still until it is told to move."""

from __future__ import annotations

import asyncio
import heapq
from datetime import UTC, datetime, timedelta
from itertools import count

START = datetime(2026, 2, 21, 10, 0, tzinfo=UTC)


class FakeClock:
    """`Clock` for tests: `advance` moves it, and whoever sleeps until then wakes.

    Belongs to one event loop at a time; `now` and `monotonic` may be asked from any thread.
    """

    def __init__(self, start: datetime = START) -> None:
        self._now = start
        self._passed = 0.0
        self._sleepers: list[tuple[datetime, int, asyncio.Future[None]]] = []
        self._numbers = count()

    def now(self) -> datetime:
        """The moment that the test has set."""
        return self._now

    def monotonic(self) -> float:
        """Seconds that the test has let pass."""
        return self._passed

    async def sleep_until(self, when: datetime) -> None:
        """Wait until the test has moved the clock to `when`."""
        if when <= self._now:
            return
        sleeper = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (when, next(self._numbers), sleeper))
        await sleeper

    def next_wake(self) -> datetime | None:
        """When the first sleeper wakes; None where nobody sleeps."""
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)
        return self._sleepers[0][0] if self._sleepers else None

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.set(self._now + timedelta(seconds=seconds))

    def set(self, moment: datetime) -> None:
        """Set the clock, forward or back; time passes only forward."""
        self._passed += max(0.0, (moment - self._now).total_seconds())
        self._now = moment
        while (wake := self.next_wake()) is not None and wake <= moment:
            heapq.heappop(self._sleepers)[2].set_result(None)
