"""Couriers that share a database: a look-up is made by one of them at a time, and whatever becomes
of that one, it is made."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import ClassVar

import pytest
from attrs import define, field
from store_fixtures import House, PaperProvider, evidence

from evidence_courier import AsyncCourier, UploadStatus
from evidence_courier.domain.errors import StoreError
from evidence_courier.domain.integration import Route
from evidence_courier.domain.upload.failure import FailureKind
from evidence_courier.domain.upload.verdict import Absent, Finding, Found, Receipt
from evidence_courier.ports.dialogue import (
    Dialogue,
    HttpRequest,
    HttpResponse,
    TransportFailure,
    fetch,
)
from evidence_courier.ports.gates import Acquire, AcquireAnswer
from evidence_courier.ports.provider import Parcel
from evidence_courier.testing import MemoryStore

AT = datetime(2026, 2, 21, 10, tzinfo=UTC)
LOOK_UP_TIME = 120  # seconds: the time of a request, by default


class ReadablePaper(PaperProvider):
    """Paper that can be asked for what it has."""

    look_up_delays: ClassVar[Sequence[timedelta]] = (timedelta(seconds=2),)

    def look_up(self, parcel: Parcel, settings: object, progress: str | None) -> Dialogue[Finding]:
        reply = yield from fetch(HttpRequest("GET", "https://paper.test/"))
        return Found(Receipt("r")) if isinstance(reply, HttpResponse) else Absent()


@define
class Server:
    """Takes what is sent, loses each reply to it, and answers who asks once it is `ready`."""

    asked: list[str] = field(factory=list)
    ready: asyncio.Event = field(factory=asyncio.Event)

    async def send(self, request: HttpRequest, route: Route) -> HttpResponse | TransportFailure:
        self.asked.append(request.method)
        if request.method == "POST":
            return TransportFailure(FailureKind.CONNECTION_LOST, "gone")
        await self.ready.wait()
        return HttpResponse(200, (), b"", AT)

    async def close(self) -> None: ...


@define
class Couriers:
    """An upload is in doubt whose courier is gone, and its look-up is due."""

    house: House

    def courier(self, server: Server) -> AsyncCourier:
        return self.house.courier(providers={"paper": ReadablePaper()}, transport=server)

    async def leave_a_doubt(self) -> None:
        async with self.courier(Server()) as first:
            first.submit(evidence("ev-1"))
            await first.quiet()
        self.house.clock.advance(3)

    async def look_round(self, courier: AsyncCourier) -> None:
        """What it does in a minute, if it is never kept waiting."""
        for _ in range(10):
            self.house.clock.advance(6)
            await asyncio.sleep(0.01)
            await courier.quiet()

    async def until_asked(self, server: Server) -> None:
        """A courier takes up what another has left."""
        for _ in range(100):
            self.house.clock.advance(6)
            await asyncio.sleep(0.01)
            if server.asked:
                return
        raise AssertionError("nobody looks the upload up")


async def words(courier: AsyncCourier) -> tuple[str, int]:
    """The upload's status, and how many look-ups of it are recorded."""
    details = await courier.show("acme", "ev-1")
    assert details is not None
    return details.status, len(details.look_ups)


def status_of(status: UploadStatus | None) -> str | None:
    return None if status is None else status.status


@pytest.fixture
def couriers(tmp_path: Path) -> Couriers:
    return Couriers(House(tmp_path / "courier.db"))


def test_what_one_courier_looks_up_no_other_does_meanwhile(couriers: Couriers) -> None:
    async def story() -> None:
        await couriers.leave_a_doubt()
        slow, other = Server(), Server()
        other.ready.set()
        async with couriers.courier(slow) as second:
            await couriers.until_asked(slow)
            async with couriers.courier(other) as third:
                await couriers.look_round(third)
                assert other.asked == []
                slow.ready.set()
                await second.quiet()
                await couriers.look_round(third)
                assert (slow.asked, other.asked) == (["GET"], [])
                assert await words(third) == ("succeeded", 1)

    asyncio.run(story())


def test_a_look_up_that_takes_too_long_is_made_by_another_courier(couriers: Couriers) -> None:
    async def story() -> None:
        await couriers.leave_a_doubt()
        silent, other = Server(), Server()
        other.ready.set()
        async with couriers.courier(silent) as second:
            await couriers.until_asked(silent)
            async with couriers.courier(other) as third:
                await couriers.look_round(third)
                assert other.asked == []
                couriers.house.clock.advance(LOOK_UP_TIME)
                await couriers.look_round(third)
                assert (silent.asked, other.asked) == (["GET"], ["GET"])
                assert await words(third) == ("succeeded", 1)
                silent.ready.set()
                await second.quiet()
                assert (await words(third))[0] == "succeeded"

    asyncio.run(story())


def test_a_look_up_that_was_cut_off_is_made_at_once_by_the_next_courier(
    couriers: Couriers,
) -> None:
    async def story() -> None:
        await couriers.leave_a_doubt()
        silent, other = Server(), Server()
        other.ready.set()
        async with couriers.courier(silent):
            await couriers.until_asked(silent)
        async with couriers.courier(other) as third:
            await couriers.look_round(third)
            assert other.asked == ["GET"]
            assert await words(third) == ("succeeded", 1)

    asyncio.run(story())


@define
class Desk:
    """The server, for code that blocks: it calls somebody while it is asked."""

    while_asked: Callable[[], object] = lambda: None
    asked: list[str] = field(factory=list)

    def send(self, request: HttpRequest, route: Route) -> HttpResponse | TransportFailure:
        self.asked.append(request.method)
        if request.method == "POST":
            return TransportFailure(FailureKind.CONNECTION_LOST, "gone")
        self.while_asked()
        return HttpResponse(200, (), b"", AT)

    def close(self) -> None: ...


def test_what_one_worker_looks_up_no_other_does_meanwhile(couriers: Couriers) -> None:
    house, paper = couriers.house, {"paper": ReadablePaper()}
    busy, other = Desk(), Desk()
    with (
        house.blocking_courier(providers=paper, transport=busy) as one,
        house.blocking_courier(providers=paper, transport=other) as two,
    ):
        one.deliver(evidence("ev-1"))
        house.clock.advance(3)
        busy.while_asked = lambda: (two.deliver_due(), two.deliver(evidence("ev-1")))
        assert status_of(one.deliver(evidence("ev-1")).status) == "succeeded"
    assert (busy.asked, other.asked) == (["POST", "GET"], [])


def test_a_look_up_that_a_worker_breaks_off_is_made_at_the_next_call(couriers: Couriers) -> None:
    def time_is_over() -> None:
        raise KeyboardInterrupt

    house, paper, desk = couriers.house, {"paper": ReadablePaper()}, Desk()
    with house.blocking_courier(providers=paper, transport=desk) as one:
        one.deliver(evidence("ev-1"))
        house.clock.advance(3)
        desk.while_asked = time_is_over
        with pytest.raises(KeyboardInterrupt):
            one.deliver(evidence("ev-1"))
        desk.while_asked = lambda: None
        assert status_of(one.deliver(evidence("ev-1")).status) == "succeeded"
    assert desk.asked == ["POST", "GET", "GET"]


class Trap(MemoryStore):
    """Is interrupted when a look-up begins, before or after that is written; or says that it did
    not work, although it did."""

    trap: str | None = None

    def acquire(self, requests: Sequence[Acquire]) -> Sequence[AcquireAnswer]:
        trap, self.trap = self.trap, None
        if trap == "before":
            raise KeyboardInterrupt
        answers = super().acquire(requests)
        if trap == "after":
            raise KeyboardInterrupt
        if trap == "unanswered":
            raise StoreError("the connection was cut", passing=True)
        return answers


@pytest.mark.parametrize("trap", ["before", "after"])
def test_a_look_up_that_is_cut_off_as_it_begins_is_made_at_the_next_call(trap: str) -> None:
    house, store, desk = House(Path()), Trap(), Desk()
    with house.blocking_courier(
        providers={"paper": ReadablePaper()}, transport=desk, store=store
    ) as one:
        one.deliver(evidence("ev-1"))
        house.clock.advance(3)
        store.trap = trap
        with pytest.raises(KeyboardInterrupt):
            one.deliver(evidence("ev-1"))
        assert status_of(one.deliver(evidence("ev-1")).status) == "succeeded"
    assert desk.asked == ["POST", "GET"]


def test_a_look_up_whose_beginning_was_written_without_an_answer_is_made() -> None:
    house, store, desk = House(Path()), Trap(), Desk()
    with house.blocking_courier(
        providers={"paper": ReadablePaper()}, transport=desk, store=store, sleep=house.clock.advance
    ) as one:
        one.deliver(evidence("ev-1"))
        house.clock.advance(3)
        store.trap = "unanswered"
        assert status_of(one.deliver(evidence("ev-1")).status) == "succeeded"
    assert desk.asked == ["POST", "GET"]
