"""A plug-in that keeps the event loop's thread is named while it does."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest
from store_fixtures import House, PaperProvider, evidence

from evidence_courier import UploadStatus
from evidence_courier.adapters.engines.turns import Turns
from evidence_courier.adapters.stores import writer
from evidence_courier.domain.upload.upload import UploadKey
from evidence_courier.domain.upload.verdict import Verdict
from evidence_courier.ports.dialogue import Dialogue
from evidence_courier.ports.logger import LogEvent, LoopBlocked
from evidence_courier.ports.provider import Parcel
from evidence_courier.testing import FakeClock, RecordingLogger, until_settled


class Blocking(PaperProvider):
    """Its dialogue keeps the thread for `seconds`, and until it was told so often to let go."""

    def __init__(
        self, clock: FakeClock, seconds: float, let_go: threading.Event, times: int = 1
    ) -> None:
        self.clock, self.seconds, self.let_go, self.times = clock, seconds, let_go, times

    def upload(self, parcel: Parcel, settings: object, progress: str | None) -> Dialogue[Verdict]:
        self.clock.advance(self.seconds)
        for _ in range(self.times):
            self.let_go.clear()
            assert self.let_go.wait(10)
        return (yield from super().upload(parcel, settings, progress))


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
    async def story() -> UploadStatus | None:
        async with house.courier(logger=logger, providers={"paper": provider}) as courier:
            (status,) = await until_settled(courier, house.clock, courier.submit(evidence()))
            return status

    return asyncio.run(story())


def test_a_plug_in_that_keeps_the_thread_is_named_while_it_does(house: House) -> None:
    logger = Watchful()
    status = delivered(house, logger, Blocking(house.clock, 1.5, logger.named))
    assert status is not None and status.status == "succeeded"
    assert logger.of(LoopBlocked) == [LoopBlocked(UploadKey("acme", "ev-1", "paper"), 1.5)]


def test_one_that_keeps_it_for_less_than_a_second_is_not_named(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched, watch = threading.Event(), Turns.watch

    def watch_and_say_so(turns: Turns) -> None:
        watch(turns)
        watched.set()

    monkeypatch.setattr(Turns, "watch", watch_and_say_so)
    logger = Watchful()
    delivered(house, logger, Blocking(house.clock, 0.9, watched, times=2))
    assert logger.of(LoopBlocked) == []
