"""`deliver_due`: a scheduler calls it again and again, and between two calls nothing is sent."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from attrs import define, field
from store_fixtures import House, PaperProvider, evidence

from evidence_courier import AsyncCourier, BlockingCourier, DueDelivery, MisuseError
from evidence_courier.delivery import backlog
from evidence_courier.domain.integration import Route
from evidence_courier.ports.dialogue import HttpRequest, HttpResponse
from evidence_courier.testing import FakeClock


@define
class Desk:
    """A `BlockingTransport`; `at_request` is called with each."""

    clock: FakeClock
    at_request: Callable[[], None] = lambda: None
    sent: Counter[str] = field(factory=Counter)

    def send(self, request: HttpRequest, route: Route) -> HttpResponse:
        self.sent[dict(request.headers)["evidence"]] += 1
        self.at_request()
        return HttpResponse(200, (), b"", self.clock.now())

    def close(self) -> None:
        pass


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "courier.db")


async def recorded(house: House, *names: str) -> None:
    """Evidences that a courier of the host has recorded and does not deliver."""
    async with house.courier(background=False) as courier:
        for name in names:
            await courier.submit(evidence(name)).recorded()


def blocking(house: House, desk: Desk) -> BlockingCourier:
    around: Any = {
        "clock": house.clock,
        "logger": house.logger,
        "transport": desk,
        "providers": {"paper": PaperProvider()},
        "secrets": house.keys,
        "sleep": house.clock.advance,
    }
    return BlockingCourier.from_mapping(lambda: house.tenants, house.database, **around)


# --- on an event loop -----------------------------------------------------------------------------


async def seen(courier: AsyncCourier) -> int:
    health = await courier.health()
    return health.planned + health.under_way


def test_nothing_is_sent_but_within_a_call(house: House) -> None:
    async def story() -> None:
        async with house.courier(background=False) as courier:
            ticket = courier.submit(evidence())
            await ticket.recorded()
            house.clock.advance(60)
            assert (house.server.held, await seen(courier)) == ([], 0)
            assert await courier.deliver_due() == DueDelivery(1, 1, False)
            assert len(house.server.held) == 1
            status = await ticket.settled()
            assert status is not None
            assert status.status == "succeeded"
            assert await courier.deliver_due() == DueDelivery(0, 0, False)

    asyncio.run(story())


def test_a_ticket_may_be_asked_before_its_evidence_is_recorded(house: House) -> None:
    async def story() -> None:
        async with house.courier(background=False) as courier:
            settled = asyncio.create_task(courier.submit(evidence()).settled())
            await asyncio.sleep(0)
            while not settled.done():
                await courier.deliver_due()
                house.clock.advance(1)
                await asyncio.sleep(0)
            status = await settled
            assert status is not None
            assert status.status == "succeeded"

    asyncio.run(story())


def test_what_is_due_later_is_left_to_a_later_call(house: House) -> None:
    house.server.answer = lambda _, nth: 429 if nth == 1 else 200

    async def story() -> None:
        await recorded(house, "ev-1")
        async with house.courier(background=False) as courier:
            assert await courier.deliver_due() == DueDelivery(1, 0, False)
            house.clock.advance(3600)
            assert house.server.asked["ev-1"] == 1
            assert await courier.deliver_due() == DueDelivery(1, 1, False)

    asyncio.run(story())


def test_when_the_time_is_over_what_is_under_way_goes_on(house: House) -> None:
    async def story() -> None:
        await recorded(house, "ev-1", "ev-2")
        answers = asyncio.Event()
        transport = Slow(house, answers)
        async with house.courier(background=False, transport=transport, concurrency=1) as courier:
            call = asyncio.create_task(courier.deliver_due(20.0))
            await transport.asked.wait()
            while not call.done():
                house.clock.advance(5)
                await asyncio.sleep(0)
            assert await call == DueDelivery(0, 0, more=True)
            answers.set()
            assert await courier.deliver_due(20.0) == DueDelivery(2, 2, False)
        assert transport.sent == Counter({"ev-1": 1, "ev-2": 1})

    asyncio.run(story())


class Slow:
    """An `AsyncTransport` whose server answers when it is told to."""

    def __init__(self, house: House, answers: asyncio.Event) -> None:
        self._house, self._answers = house, answers
        self.asked, self.sent = asyncio.Event(), Counter[str]()

    async def send(self, request: HttpRequest, route: Route) -> HttpResponse:
        self.sent[dict(request.headers)["evidence"]] += 1
        self.asked.set()
        await self._answers.wait()
        return HttpResponse(200, (), b"", self._house.clock.now())

    async def close(self) -> None:
        pass


def test_several_couriers_at_once_share_what_is_due(house: House) -> None:
    names = [f"ev-{n}" for n in range(200)]

    async def story() -> list[DueDelivery]:
        await recorded(house, *names)
        couriers = [house.courier(background=False) for _ in range(3)]
        try:
            return await asyncio.gather(*(courier.deliver_due() for courier in couriers))
        finally:
            for courier in couriers:
                await courier.close()

    done = asyncio.run(story())
    assert sorted(name for name, _ in house.server.held) == sorted(names)
    assert sum(each.settled for each in done) >= len(names)


def test_who_only_submits_waits_for_what_another_delivers(house: House) -> None:
    async def story() -> None:
        async with house.courier(background=False) as web:
            ticket = web.submit(evidence())
            await web.quiet()
            await ticket.recorded()
            drained = asyncio.create_task(web.drain())
            async with house.courier(background=False) as worker:
                for _ in range(3):
                    house.clock.advance(1)
                    await web.quiet()
                    assert not drained.done()
                assert await worker.deliver_due() == DueDelivery(1, 1, False)
            while not drained.done():
                house.clock.advance(1)
                await asyncio.sleep(0)
            await drained

    asyncio.run(asyncio.wait_for(story(), 20))


def test_a_courier_that_delivers_by_itself_refuses_a_call(house: House) -> None:
    with pytest.raises(MisuseError, match="build it with background=False"):
        asyncio.run(house.courier().deliver_due())


def test_two_calls_on_one_courier_both_end(house: House) -> None:
    async def story() -> None:
        await recorded(house, "ev-1")
        async with house.courier(background=False) as courier:
            await asyncio.gather(courier.deliver_due(), courier.deliver_due())
            await recorded(house, "ev-2")
            assert (await courier.deliver_due()).settled == 1

    asyncio.run(story())


def test_a_call_that_is_cancelled_begins_nothing_more(house: House) -> None:
    house.server.answer = lambda _, __: None

    async def story() -> None:
        await recorded(house, "ev-1")
        async with house.courier(background=False) as courier:
            call = asyncio.create_task(courier.deliver_due())
            while not house.server.asked:
                await asyncio.sleep(0)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            await recorded(house, "ev-2")
            house.clock.advance(60)
            await courier.close(grace=0)
        assert house.server.asked == Counter({"ev-1": 1})

    asyncio.run(story())


def test_a_closed_courier_refuses_a_call(house: House) -> None:
    async def story() -> None:
        async with house.courier(background=False) as courier:
            pass
        with pytest.raises(MisuseError, match="is closed"):
            await courier.deliver_due()

    asyncio.run(story())


def test_a_courier_in_a_thread_is_started_by_its_first_call(house: House) -> None:
    asyncio.run(recorded(house, "ev-1", "ev-2"))
    courier = house.sync_courier(background=False)
    try:
        assert courier.deliver_due() == DueDelivery(2, 2, False)
    finally:
        courier.close()


def test_background_is_true_or_false(house: House) -> None:
    with pytest.raises(MisuseError, match="background must be True or False, not str"):
        house.courier(background="no")


# --- tickets at the close -------------------------------------------------------------------------


def test_a_close_ends_the_wait_for_what_is_not_settled(house: House) -> None:
    async def story() -> None:
        courier = house.courier(background=False)
        await courier.start()
        ticket = courier.submit(evidence())
        await ticket.recorded()
        waiting = asyncio.create_task(ticket.settled())
        await courier.quiet()
        await courier.close()
        with pytest.raises(MisuseError, match="was closed before acme/ev-1 was settled"):
            await waiting
        with pytest.raises(MisuseError, match="is closed"):
            await ticket.settled()

    asyncio.run(asyncio.wait_for(story(), 20))


def test_a_close_tells_what_was_settled_just_before(house: House) -> None:
    async def story() -> None:
        async with house.courier(background=False) as courier:
            ticket = courier.submit(evidence())
            await ticket.recorded()
            waiting = asyncio.create_task(ticket.settled())
            while not house.clock.wakes():
                await asyncio.sleep(0)
            assert await courier.deliver_due() == DueDelivery(1, 1, False)
        status = await waiting
        assert status is not None
        assert status.status == "succeeded"

    asyncio.run(asyncio.wait_for(story(), 20))


def test_a_close_ends_the_wait_of_a_thread(house: House) -> None:
    with ThreadPoolExecutor(1) as thread:
        with house.sync_courier(background=False) as courier:
            ticket = courier.submit(evidence())
            ticket.recorded()
            waiting = thread.submit(ticket.settled)
            while not house.clock.wakes():
                courier.quiet()
        with pytest.raises(MisuseError, match="was closed before acme/ev-1 was settled"):
            waiting.result(20)


# --- in the caller's thread -----------------------------------------------------------------------


def test_a_blocking_courier_delivers_what_others_have_recorded(house: House) -> None:
    asyncio.run(recorded(house, "ev-1", "ev-2"))
    desk = Desk(house.clock)
    with blocking(house, desk) as courier:
        assert courier.deliver_due() == DueDelivery(2, 2, False)
        assert courier.deliver_due() == DueDelivery(0, 0, False)
    assert desk.sent == Counter({"ev-1": 1, "ev-2": 1})


def test_a_blocking_courier_begins_nothing_when_its_time_is_over(house: House) -> None:
    asyncio.run(recorded(house, *(f"ev-{n}" for n in range(5))))
    desk = Desk(house.clock, lambda: house.clock.advance(10))
    with blocking(house, desk) as courier:
        assert courier.deliver_due(25) == DueDelivery(3, 3, more=True)
        assert courier.deliver_due(25) == DueDelivery(2, 2, False)


def test_threads_of_a_blocking_courier_share_what_is_due(house: House) -> None:
    names = [f"ev-{n}" for n in range(120)]
    asyncio.run(recorded(house, *names))
    desk = Desk(house.clock)
    with blocking(house, desk) as courier, ThreadPoolExecutor(4) as threads:
        done = [one.result() for one in [threads.submit(courier.deliver_due) for _ in range(4)]]
    assert desk.sent == Counter(names)
    assert sum(each.settled for each in done) >= len(names)


def test_a_line_longer_than_a_share_is_delivered_in_one_call(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backlog, "MOST_OF_ONE", 10)
    asyncio.run(recorded(house, *(f"ev-{n}" for n in range(35))))
    with blocking(house, Desk(house.clock)) as courier:
        assert courier.deliver_due(600) == DueDelivery(35, 35, False)
