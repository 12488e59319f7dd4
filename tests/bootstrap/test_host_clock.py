"""A clock of the host's own that raises, or keeps the loop's thread."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from attrs import define
from store_fixtures import House, evidence

from evidence_courier.adapters.engines.notify import Notifier
from evidence_courier.adapters.stores import writer
from evidence_courier.bootstrap.host_clock import HostClock
from evidence_courier.ports.logger import LogEvent, LoopBlocked
from evidence_courier.testing import RecordingLogger


@define
class OwnClock:
    """Goes with the machine's; its `broken` verb raises, or gives what no clock gives."""

    broken: str = ""
    gives: object = None
    hangs: threading.Event | None = None

    def odd(self, verb: str) -> Any:
        if self.hangs is not None:
            let_go, self.hangs = self.hangs, None
            assert let_go.wait(30)
        if self.broken != verb:
            return None
        if self.gives is None:
            raise SystemExit("no time")
        return self.gives

    def now(self) -> datetime:
        return self.odd("now") or datetime.now(UTC)

    def monotonic(self) -> float:
        return self.odd("monotonic") or time.monotonic()

    async def sleep_until(self, when: datetime) -> None:
        self.odd("sleep_until")
        await asyncio.sleep((when - datetime.now(UTC)).total_seconds())


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "courier.db")


@pytest.mark.parametrize(
    ("verb", "gives"),
    [("now", None), ("monotonic", None), ("sleep_until", None), ("now", datetime(2026, 1, 1))],
)
@pytest.mark.parametrize("later", [False, True], ids=["always", "later"])
def test_what_a_hosts_clock_raises_is_counted_and_time_goes_on(
    house: House, verb: str, gives: object, later: bool
) -> None:
    clock = OwnClock("" if later else verb, gives)
    house.server.answer = lambda name, nth: (429, 1.0) if nth == 1 else 200

    async def story() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        async with house.courier(clock=clock) as courier:
            first = await courier.submit(evidence()).settled(timeout=30)
            clock.broken = verb
            second = await courier.submit(evidence("ev-2")).settled(timeout=30)
            assert [one and one.status for one in (first, second)] == ["succeeded"] * 2
            assert (await courier.health()).listener_failures > 0

    asyncio.run(story())


@pytest.mark.parametrize(
    "gives", ["1", math.nan, math.inf, -math.inf, 10**400], ids=lambda gives: str(gives)[:9]
)
def test_a_monotonic_time_that_is_no_number_is_counted_once(gives: object) -> None:
    own, notifier = OwnClock("monotonic", gives), Notifier(RecordingLogger())
    clock = HostClock(own, notifier)
    before = clock.monotonic()
    assert 0 <= before < 60
    assert notifier.failures == 1
    own.gives = before + 5
    assert clock.monotonic() == before + 5
    assert notifier.failures == 1


def test_time_goes_on_after_the_last_possible_moment() -> None:
    last = datetime.max.replace(tzinfo=UTC)
    own, notifier = OwnClock("now", last), Notifier(RecordingLogger())
    clock = HostClock(own, notifier)
    assert clock.now() == last
    own.gives = None
    assert clock.now() == last
    own.broken = ""
    assert clock.now() < last
    assert notifier.failures == 1


def test_a_hosts_clock_that_keeps_the_thread_is_named_while_it_does(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "_IDLE", 0.01)
    named = threading.Event()

    class Watchful(RecordingLogger):
        def log(self, event: LogEvent) -> None:
            super().log(event)
            if isinstance(event, LoopBlocked):
                named.set()

    logger, clock = Watchful(), OwnClock()

    async def story() -> None:
        async with house.courier(clock=clock, logger=logger) as courier:
            clock.hangs = named
            status = await courier.submit(evidence()).settled(timeout=30)
            assert status is not None and status.status == "succeeded"

    asyncio.run(story())
    (event,) = logger.of(LoopBlocked)
    assert (event.tenant_id, event.provider, event.what) == (None, None, "the host's clock")
    assert event.seconds >= 1
