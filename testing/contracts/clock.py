"""What every clock owes: the kit for the `Clock` port.

    class TestMyClock(ClockContract):
        def clock(self) -> Clock:
            return MyClock()

Time is real unless `let_pass` and `set_back` say how a clock is moved by hand. With real time the
rules take a fraction of a second.
"""

from __future__ import annotations

import asyncio
import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from ...ports.clock import Clock
from .assertions import must, same

BLINK = 0.05
"""How many seconds are slept."""


Rule: TypeAlias = Callable[["ClockContract"], Coroutine[None, None, None]]


def _on_a_loop(rule: Rule) -> Callable[[ClockContract], None]:
    """Run a rule on an event loop of its own."""

    @functools.wraps(rule)
    def run(self: ClockContract) -> None:
        asyncio.run(rule(self))

    return run


class ClockContract(ABC):
    """The rules for a clock. Give it `clock`."""

    @abstractmethod
    def clock(self) -> Clock:
        """The clock, new; called on the event loop where it is used."""

    async def let_pass(self, clock: Clock, seconds: float) -> None:
        """Let time pass, in seconds."""
        await asyncio.sleep(seconds)

    def set_back(self, clock: Clock, seconds: float) -> bool:
        """Set the clock back without time passing; False if that is impossible."""
        return False

    @_on_a_loop
    async def test_now_is_aware_and_in_utc(self) -> None:
        now = self.clock().now()
        must(now.utcoffset() == timedelta(0), f"now is {now!r}: it must be aware, and in UTC")

    @_on_a_loop
    async def test_both_clocks_go_forward_by_what_passes(self) -> None:
        clock = self.clock()
        now, monotonic = clock.now(), clock.monotonic()
        await self.let_pass(clock, BLINK)
        for name, passed in (
            ("now", (clock.now() - now).total_seconds()),
            ("monotonic", clock.monotonic() - monotonic),
        ):
            must(BLINK * 0.8 <= passed < 60, f"{name} went on by {passed} seconds in {BLINK}")

    @_on_a_loop
    async def test_the_monotonic_clock_is_not_set_back(self) -> None:
        clock = self.clock()
        before = clock.monotonic()
        if self.set_back(clock, 3_600):
            must(clock.monotonic() >= before, "monotonic went back with the time of day")

    @_on_a_loop
    async def test_what_is_past_is_not_waited_for(self) -> None:
        clock = self.clock()
        now = clock.now()
        for when in (now, now - timedelta(days=1), datetime.min.replace(tzinfo=UTC)):
            try:
                await asyncio.wait_for(clock.sleep_until(when), 5.0)
            except TimeoutError:
                raise AssertionError(f"it sleeps until {when}, which is past") from None

    @_on_a_loop
    async def test_a_sleeper_wakes_when_it_is_time_and_not_before(self) -> None:
        clock = self.clock()
        when = clock.now() + timedelta(seconds=BLINK)
        woken_at: list[datetime] = []

        async def sleep() -> None:
            await clock.sleep_until(when)
            woken_at.append(clock.now())

        sleeper = asyncio.ensure_future(sleep())
        await asyncio.sleep(0)
        same(woken_at, [], "the wakes before any time has passed")
        await self.let_pass(clock, BLINK * 1.5)
        await _woken(sleeper, "when it is time")
        must(woken_at[0] >= when, f"it woke at {woken_at[0]}, before {when}")

    @_on_a_loop
    async def test_each_sleeper_wakes_at_its_own_time(self) -> None:
        clock = self.clock()
        now, order = clock.now(), []

        async def sleep(seconds: float) -> None:
            await clock.sleep_until(now + timedelta(seconds=seconds))
            order.append(seconds)

        waits = [BLINK * 3, BLINK, BLINK * 2]
        sleepers = [asyncio.ensure_future(sleep(seconds)) for seconds in waits]
        await asyncio.sleep(0)
        for _ in range(4):
            await self.let_pass(clock, BLINK)
            await asyncio.sleep(0)
        for sleeper in sleepers:
            await _woken(sleeper, "when it is time")
        same(order, sorted(waits), "the order of waking")

    @_on_a_loop
    async def test_the_end_of_days_may_be_waited_for(self) -> None:
        clock = self.clock()
        sleeper = asyncio.ensure_future(clock.sleep_until(datetime.max.replace(tzinfo=UTC)))
        await self.let_pass(clock, BLINK)
        await asyncio.sleep(0)
        if sleeper.done():
            raise AssertionError(f"a sleeper until the year 9999 {_end_of(sleeper)}")
        sleeper.cancel()
        await asyncio.wait([sleeper])

    @_on_a_loop
    async def test_a_sleeper_can_be_cancelled(self) -> None:
        clock = self.clock()
        sleeper = asyncio.ensure_future(clock.sleep_until(clock.now() + timedelta(seconds=BLINK)))
        await asyncio.sleep(0)
        sleeper.cancel()
        await asyncio.wait([sleeper], timeout=5.0)
        must(
            sleeper.cancelled(),
            "a sleeper that was cancelled sleeps on, or ended with something else",
        )
        await self.let_pass(clock, BLINK * 2)

    @_on_a_loop
    async def test_no_one_sleeps_longer_because_the_clock_is_set_back(self) -> None:
        clock = self.clock()
        sleeper = asyncio.ensure_future(clock.sleep_until(clock.now() + timedelta(seconds=BLINK)))
        await asyncio.sleep(0)
        if self.set_back(clock, 3_600):
            await self.let_pass(clock, BLINK * 1.5)
            await _woken(sleeper, "as much time as it meant to sleep has passed")
        sleeper.cancel()
        await asyncio.wait([sleeper])


async def _woken(sleeper: asyncio.Future[None], when: str) -> None:
    try:
        await asyncio.wait_for(sleeper, 2.0)
    except TimeoutError:
        raise AssertionError(f"a sleeper sleeps on, though {when}") from None


def _end_of(sleeper: asyncio.Future[None]) -> str:
    error = sleeper.exception()
    return "woke at once" if error is None else f"met {error!r}"
