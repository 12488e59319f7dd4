"""A clock that stands still until it is told to move."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Literal

from attrs import define

from ..domain.arguments import number_of_seconds

START = datetime(2026, 2, 21, 10, 0, tzinfo=UTC)


@define(eq=False)
class _Sleeper:
    """Wakes at `when`, or once `passed` has passed since the clock was made, if that is first."""

    when: datetime
    passed: timedelta
    woken: asyncio.Future[None]


class FakeClock:
    """`Clock` for tests: `advance` moves it, and wakes those that sleep until then.

    It belongs to one event loop at a time; `now` and `monotonic` may be called from any thread.

    Args:
        start: The moment at which it stands at first.
    """

    is_trusted: Literal[True] = True

    def __init__(self, start: datetime = START) -> None:
        self._now = start
        self._passed = timedelta(0)
        self._sleepers: list[_Sleeper] = []

    def now(self) -> datetime:
        """The moment that the test has set."""
        return self._now

    def monotonic(self) -> float:
        """Seconds that the test has let pass."""
        return self._passed.total_seconds()

    async def sleep_until(self, when: datetime) -> None:
        """Sleep until `now() >= when`, but never longer than the interval at the call, even if the
        clock is set back."""
        if when <= self._now:
            return
        woken = asyncio.get_running_loop().create_future()
        sleeper = _Sleeper(when, self._passed + (when - self._now), woken)
        self._sleepers.append(sleeper)
        try:
            await woken
        finally:
            if sleeper in self._sleepers:
                self._sleepers.remove(sleeper)

    def next_wake(self) -> datetime | None:
        """When the first sleeper wakes if time goes on from here; None if there is no sleeper."""
        return min(map(self._wake_of, self._sleepers), default=None)

    def wakes(self) -> list[datetime]:
        """When each sleeper wakes if time goes on from here."""
        return [self._wake_of(sleeper) for sleeper in self._sleepers]

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        number_of_seconds("seconds", seconds)
        self.set(self._now + timedelta(seconds=seconds))

    def set(self, moment: datetime) -> None:
        """Let time pass until a moment. An earlier moment sets the clock back; no time passes."""
        self._passed += max(timedelta(0), moment - self._now)
        self._now = moment
        self._wake()

    def jump(self, seconds: float) -> None:
        """Set the clock forward or back, as a person who corrects it does. No time passes."""
        number_of_seconds("seconds", seconds)
        self._now += timedelta(seconds=seconds)
        self._wake()

    def _wake(self) -> None:
        for sleeper in sorted(self._sleepers, key=self._wake_of):
            if self._wake_of(sleeper) <= self._now:
                self._sleepers.remove(sleeper)
                if not sleeper.woken.done():
                    sleeper.woken.set_result(None)

    def _wake_of(self, sleeper: _Sleeper) -> datetime:
        return min(sleeper.when, self._now + (sleeper.passed - self._passed))
