"""A plug-in that keeps the event loop's thread is named while it does."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from store_fixtures import House, PaperProvider, evidence

from evidence_courier import AsyncCourier, UploadStatus
from evidence_courier.adapters.engines import notify
from evidence_courier.adapters.engines.watchdog import Watchdog
from evidence_courier.adapters.stores import writer
from evidence_courier.domain.secrets.secret import Secret
from evidence_courier.domain.upload.failure import Failure
from evidence_courier.domain.upload.verdict import DryRun, Ready, Verdict
from evidence_courier.ports.dialogue import (
    Access,
    Dialogue,
    Headers,
    HttpRequest,
    MintedToken,
    access,
    fetch,
)
from evidence_courier.ports.logger import (
    AttemptEnded,
    AttemptStarted,
    HookFailed,
    LogEvent,
    LoopBlocked,
    UploadEvent,
    UploadRecorded,
    UploadSettled,
)
from evidence_courier.ports.provider import Parcel
from evidence_courier.testing import FakeClock, RecordingLogger, until_settled

ASKED = (("evidence", "asked"), ("key", "any"), ("date", "any"))


class Blocking(PaperProvider):
    """Its code of one kind keeps the thread for `seconds`, and until it was told so often to let
    go."""

    def __init__(
        self,
        clock: FakeClock,
        seconds: float,
        let_go: threading.Event,
        times: int = 1,
        where: str = "a dialogue for ev-1",
    ) -> None:
        self.clock, self.seconds, self.let_go, self.times = clock, seconds, let_go, times
        self.where = where

    def block(self, where: str) -> None:
        if where != self.where:
            return
        self.clock.advance(self.seconds)
        for _ in range(self.times):
            self.let_go.clear()
            assert self.let_go.wait(10)

    def upload(self, parcel: Parcel, settings: object, progress: str | None) -> Dialogue[Verdict]:
        self.block("a dialogue for ev-1")
        yield from access(Access("key", self.mint))
        yield from fetch(HttpRequest("GET", "https://paper.test/", ASKED, seal=self.seal))
        return (yield from super().upload(parcel, settings, progress))

    def check(self, settings: object) -> Dialogue[DryRun]:
        self.block("a dialogue for a dry run")
        yield from fetch(HttpRequest("GET", "https://paper.test/", ASKED))
        return Ready("fine")

    def mint(self) -> Dialogue[MintedToken | Failure]:
        self.block("a dialogue for a token")
        yield from fetch(HttpRequest("GET", "https://paper.test/", ASKED))
        return MintedToken(Secret("a token of paper"), 3600)

    def seal(self, now: datetime) -> Headers:
        self.block("the seal of a request")
        return ()


class Watchful(RecordingLogger):
    def __init__(self) -> None:
        super().__init__()
        self.named = threading.Event()

    def log(self, event: LogEvent) -> None:
        super().log(event)
        if isinstance(event, LoopBlocked):
            self.named.set()


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    monkeypatch.setattr(writer, "_IDLE", 0.01)
    return House(tmp_path / "courier.db")


def delivered(house: House, logger: Watchful, provider: Blocking) -> UploadStatus | None:
    def on_settled(status: UploadStatus) -> None:
        provider.block("the host's on_settled")

    async def story() -> UploadStatus | None:
        async with house.courier(
            logger=logger, providers={"paper": provider}, on_settled=on_settled
        ) as courier:
            (status,) = await until_settled(courier, house.clock, courier.submit(evidence()))
            await courier.doctor("acme")
            return status

    return asyncio.run(story())


@pytest.mark.parametrize(
    "where",
    [
        "a dialogue for ev-1",
        "a dialogue for a token",
        "a dialogue for a dry run",
        "the seal of a request",
        "the host's on_settled",
    ],
)
def test_what_keeps_the_thread_is_named_while_it_does(house: House, where: str) -> None:
    logger = Watchful()
    status = delivered(house, logger, Blocking(house.clock, 1.5, logger.named, where=where))
    assert status is not None
    assert status.status == "succeeded"
    assert logger.of(LoopBlocked) == [LoopBlocked("acme", "paper", where, 1.5)]


def test_a_logger_that_keeps_the_thread_is_named_while_it_does(house: House) -> None:
    class Slow(Watchful):
        def log(self, event: LogEvent) -> None:
            super().log(event)
            if isinstance(event, UploadSettled):
                house.clock.advance(1.5)
                assert self.named.wait(10)

    logger = Slow()
    status = delivered(house, logger, Blocking(house.clock, 1.5, logger.named, where="nowhere"))
    assert status is not None
    assert logger.of(LoopBlocked) == [LoopBlocked(None, None, "the host's logger", 1.5)]


def test_one_that_keeps_it_for_less_than_a_second_is_not_named(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched, watch = threading.Event(), Watchdog.watch

    def watch_and_say_so(watchdog: Watchdog, log: Callable[[LogEvent], None]) -> None:
        watch(watchdog, log)
        watched.set()

    monkeypatch.setattr(Watchdog, "watch", watch_and_say_so)
    logger = Watchful()
    delivered(house, logger, Blocking(house.clock, 0.9, watched, times=2))
    assert logger.of(LoopBlocked) == []


def test_what_runs_around_something_else_is_named_for_its_own_time_alone() -> None:
    clock, named = FakeClock(), list[LogEvent]()
    watchdog = Watchdog(clock.monotonic)

    def looked_twice() -> None:
        for _ in range(2):
            watchdog.watch(named.append)

    def outer(given: float) -> None:
        watchdog.run(("a", "p", "inner"), clock.advance, 5.0)
        looked_twice()
        assert named == []
        clock.advance(given)
        looked_twice()

    watchdog.run(("a", "p", "outer"), outer, 1.5)
    assert named == [LoopBlocked("a", "p", "outer", 1.5)]
    watchdog.watch(named.append)
    assert len(named) == 1


def test_what_a_machine_that_stood_still_has_kept_is_not_named() -> None:
    """It goes on when the machine does, and so does the one who looks."""
    clock, named = FakeClock(), list[LogEvent]()
    watchdog = Watchdog(clock.monotonic)

    def interrupted(seconds: float) -> None:
        clock.advance(seconds)
        watchdog.watch(named.append)

    for _ in range(2):
        watchdog.run(("a", "p", "a dialogue"), interrupted, 5.0)
        watchdog.watch(named.append)
    assert named == []


class Sluggish(RecordingLogger):
    """Takes half a second for each event on the loop. Elsewhere it stands still until it is told
    to go on."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self.clock, self.loop, self.go_on = clock, threading.get_ident(), threading.Event()
        self.on_loop = self.elsewhere = 0

    def log(self, event: LogEvent) -> None:
        super().log(event)
        if threading.get_ident() == self.loop:
            self.on_loop += 1
            self.clock.advance(0.5)
        else:
            self.elsewhere += 1
            assert self.go_on.wait(10)


async def two_delivered(courier: AsyncCourier) -> None:
    for name in ("ev-1", "ev-2"):
        status = await courier.submit(evidence(name)).settled(timeout=30)
        assert status is not None
        assert status.status == "succeeded"


def test_a_slow_logger_keeps_the_loop_once_and_hears_all_in_order(house: House) -> None:
    async def story(logger: Sluggish) -> None:
        async with house.courier(logger=logger) as courier:
            before = logger.on_loop
            await two_delivered(courier)
            assert logger.on_loop == before + 1
            logger.go_on.set()

    logger = Sluggish(house.clock)
    asyncio.run(story(logger))
    told = [
        type(event) for event in logger.events if isinstance(event, UploadEvent | UploadSettled)
    ]
    one = [AttemptStarted, AttemptEnded, UploadSettled]
    assert told == [UploadRecorded, *one, UploadRecorded, *one]


def test_what_a_slow_logger_raises_and_cannot_take_is_counted(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notify, "EVENTS", 2)

    class Raising(Sluggish):
        def log(self, event: LogEvent) -> None:
            super().log(event)
            if threading.get_ident() != self.loop:
                raise SystemExit

    async def story(logger: Sluggish) -> None:
        async with house.courier(logger=logger) as courier:
            await two_delivered(courier)
            left_out = (await courier.health()).listener_failures
            assert left_out > 0
            logger.go_on.set()
            async with asyncio.timeout(10):
                while logger.elsewhere < 3:
                    await asyncio.sleep(0)
            assert (await courier.health()).listener_failures >= left_out + 2

    asyncio.run(story(Raising(house.clock)))


class SluggishHook:
    """An `on_settled` that takes half a second on the loop; elsewhere it waits to be let go on, and
    then raises."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock, self.loop, self.go_on = clock, threading.get_ident(), threading.Event()
        self.told: list[tuple[bool, str]] = []

    def __call__(self, status: UploadStatus) -> None:
        on_loop = threading.get_ident() == self.loop
        self.told.append((on_loop, status.evidence_id))
        if on_loop:
            self.clock.advance(0.5)
        else:
            assert self.go_on.wait(10)
            raise SystemExit


def test_a_slow_hook_keeps_the_loop_once_and_what_it_misses_is_counted(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notify, "HOOKS_AT_ONCE", 2)
    hook = SluggishHook(house.clock)

    async def story() -> None:
        async with house.courier(on_settled=hook) as courier:
            for number in range(6):
                await courier.submit(evidence(f"ev-{number}")).settled(timeout=30)
            left_out = (await courier.health()).listener_failures
            assert left_out > 0
            hook.go_on.set()
            async with asyncio.timeout(10):
                while (await courier.health()).listener_failures < 5:
                    await asyncio.sleep(0)

    asyncio.run(story())
    first, *others = hook.told
    assert first == (True, "ev-0")
    assert others == [(False, f"ev-{1 + number}") for number in range(len(others))]
    raised = [event.reason for event in house.logger.of(HookFailed) if "Exit" in event.reason]
    assert len(raised) == len(others) >= 2
