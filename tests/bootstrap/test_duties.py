"""Any running courier does its duties: in the background, in `deliver_due`, in `recover`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from store_fixtures import House, PaperProvider, evidence

from evidence_courier import BlockingCourier
from evidence_courier.adapters.engines.asyncio_engine import MAINTAIN_EVERY
from evidence_courier.bootstrap import blocking_courier
from evidence_courier.bootstrap import courier as async_courier
from evidence_courier.delivery.duties import Duty
from evidence_courier.delivery.effects import Read, Turn, Write, perform
from evidence_courier.domain.errors import StoreError
from evidence_courier.ports.logger import DutyFailed
from evidence_courier.ports.store import UploadStore


class Counting:
    """Counts its steps. One that is broken raises in the writer's turn."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.done = 0
        self.error = error

    def _count(self, store: UploadStore) -> bool:
        assert sum(store.counts().values()) >= 0
        self.done += 1
        if self.error is not None:
            raise self.error
        return False

    def step(self, now: object) -> Turn[bool]:
        yield from perform(Read(lambda store: store.counts()))
        return (yield from perform(Write(self._count)))


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "courier.db")


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Counting:
    """Work every minute, between two duties that fail."""
    fine = Counting()
    broken, refused = Counting(RuntimeError("odd")), Counting(StoreError("full"))
    duties = [Duty("broken", 60, broken.step), Duty("work", 60, fine.step)]
    duties += [Duty("refused", 60, refused.step)]
    for courier in async_courier, blocking_courier:
        monkeypatch.setattr(courier, "duties_of", lambda *_: duties)
    return fine


def failures(house: House) -> list[str]:
    return [event.duty for event in house.logger.events if isinstance(event, DutyFailed)]


def test_a_courier_does_its_duties_in_the_background(house: House, work: Counting) -> None:
    async def story() -> None:
        async with house.courier() as courier:
            ticket = courier.submit(evidence())
            await courier.quiet()
            settled = await ticket.settled()
            assert settled is not None
            assert (work.done, settled.status) == (1, "succeeded")
            for _ in range(12):
                house.clock.advance(MAINTAIN_EVERY)
                await courier.quiet()
            assert work.done == 2
            assert (await courier.health()).duty_failures == 4

    asyncio.run(story())
    assert sorted(failures(house)) == ["broken", "broken", "refused", "refused"]


def test_without_a_background_they_are_done_in_a_call(house: House, work: Counting) -> None:
    async def story() -> None:
        async with house.courier(background=False) as courier:
            house.clock.advance(300)
            assert work.done == 0
            await courier.deliver_due()
            assert work.done == 1
            house.clock.advance(300)
            await courier.deliver_due()
            assert work.done == 2

    asyncio.run(story())


@pytest.mark.parametrize("call", ["deliver_due", "recover"])
def test_a_worker_does_them_in_its_calls(house: House, work: Counting, call: str) -> None:
    around: Any = {"clock": house.clock, "logger": house.logger, "secrets": house.keys}
    given: Any = {"providers": {"paper": PaperProvider()}, "transport": Unused()}
    courier = BlockingCourier.from_mapping(house.tenants, house.database, **given, **around)
    with courier:
        for _ in range(2):
            getattr(courier, call)()
            assert (work.done, courier.health().duty_failures) == (1, 2)
        house.clock.advance(60)
        getattr(courier, call)()
        assert (work.done, courier.health().duty_failures) == (2, 4)


@pytest.mark.parametrize("call", ["deliver_due", "recover"])
def test_an_interruption_ends_no_duty_for_good(
    house: House, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    cut, fine = Counting(TimeLimitError()), Counting()
    duties = [Duty("cut", 60, cut.step), Duty("fine", 60, fine.step)]
    monkeypatch.setattr(blocking_courier, "duties_of", lambda *_: duties)
    given: Any = {"providers": {"paper": PaperProvider()}, "transport": Unused()}
    around: Any = {"clock": house.clock, "logger": house.logger, "secrets": house.keys}
    courier = BlockingCourier.from_mapping(house.tenants, house.database, **given, **around)
    with courier:
        with pytest.raises(TimeLimitError):
            getattr(courier, call)()
        getattr(courier, call)()
        assert (cut.done, fine.done) == (1, 1)
        cut.error = None
        house.clock.advance(60)
        getattr(courier, call)()
        assert (cut.done, fine.done) == (2, 2)


class TimeLimitError(BaseException):
    """What a task queue raises in its worker."""


class Unused:
    """A transport that nothing is sent with."""

    def send(self, *_: object) -> Any:
        raise AssertionError("nothing is due")

    def close(self) -> None:
        pass
