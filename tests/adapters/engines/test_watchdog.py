"""A plug-in that keeps the event loop's thread is named while it does."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from attrs import define
from store_fixtures import House, PaperProvider, evidence

from evidence_courier import UploadStatus
from evidence_courier.adapters.engines.watchdog import Watchdog
from evidence_courier.adapters.stores import writer
from evidence_courier.domain.integration import Route
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
    LogEvent,
    LoopBlocked,
)
from evidence_courier.ports.provider import Parcel
from evidence_courier.testing import FakeClock, RecordingLogger, until_settled

TRANSPORT = "the host's transport"
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
    async def on_settled(status: UploadStatus) -> None:
        provider.block("the host's on_settled")

    async def story() -> UploadStatus | None:
        async with house.courier(
            logger=logger, providers={"paper": provider}, on_settled=on_settled
        ) as courier:
            (status,) = await until_settled(courier, house.clock, courier.submit(evidence()))
            await courier.doctor("acme")
            return status

    return asyncio.run(story())


@define
class BlockingTransport:
    """Its code keeps the thread: of a function that gives a coroutine, or of that coroutine."""

    house: House
    provider: Blocking
    at_once: bool

    def send(self, request: HttpRequest, route: Route) -> Any:
        if self.at_once:
            self.provider.block(TRANSPORT)
        return self._sent(request, route)

    async def _sent(self, request: HttpRequest, route: Route) -> Any:
        reply = await self.house.server.send(request, route)
        if not self.at_once:
            self.provider.block(TRANSPORT)
        return reply

    async def close(self) -> None:
        pass


@pytest.mark.parametrize("at_once", [True, False])
def test_so_is_a_transport_of_the_hosts_own(house: House, at_once: bool) -> None:
    logger = Watchful()
    provider = Blocking(house.clock, 1.5, logger.named, where=TRANSPORT)
    transport = BlockingTransport(house, provider, at_once)

    async def story() -> None:
        around: Any = {"logger": logger, "providers": {"paper": PaperProvider()}}
        async with house.courier(transport=transport, **around) as courier:
            await until_settled(courier, house.clock, courier.submit(evidence()))

    asyncio.run(story())
    assert logger.of(LoopBlocked) == [LoopBlocked(None, None, TRANSPORT, 1.5)]


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


def test_a_dialogue_that_the_machine_itself_interrupted_is_not_named() -> None:
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
