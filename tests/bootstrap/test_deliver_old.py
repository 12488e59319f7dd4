"""`deliver_due`: old records, which begin evenly, use the time of the call."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from math import inf
from pathlib import Path

import pytest
from store_fixtures import Desk, House, evidence, tenant

from evidence_courier import AsyncCourier, DueDelivery
from evidence_courier.delivery.maintenance import ADOPT_EVERY
from evidence_courier.domain.upload.backoff import later

MINUTES = 3


@pytest.fixture
def house(tmp_path: Path) -> House:
    """Its tenant has sixty old records, and its provider takes ten uploads a minute."""
    house = House(tmp_path / "courier.db", tenants={"acme": tenant(pace="10/min")})

    async def recorded() -> None:
        async with house.courier(background=False, backfill=True) as courier:
            for number in range(60):
                await courier.submit(evidence(f"old-{number}")).recorded()

    asyncio.run(recorded())
    return house


async def called(courier: AsyncCourier, house: House, seconds: float) -> None:
    """A call, and the time that it takes."""
    call = asyncio.create_task(courier.deliver_due(seconds))
    for _ in range(round(seconds) + 10):
        await courier.quiet()
        if call.done():
            break
        house.clock.advance(1)
        await asyncio.sleep(0)
    await call


def test_a_call_each_minute_sends_what_the_pace_leaves_to_old_records(house: House) -> None:
    async def story() -> None:
        begin = house.clock.now()
        async with house.courier(background=False) as courier:
            for minute in range(MINUTES):
                house.clock.advance((later(begin, _minutes(minute)) - house.clock.now()).seconds)
                await called(courier, house, 55)
                assert house.clock.now() <= later(begin, timedelta(seconds=60 * minute + 56))

    asyncio.run(story())
    sent = len(house.server.held)
    assert 8 * MINUTES <= sent <= 9 * MINUTES + 1, sent


def test_what_is_fresh_is_sent_in_a_call_that_waits_for_old_records(house: House) -> None:
    async def story() -> None:
        async with house.courier(background=False) as courier:
            call = asyncio.create_task(called(courier, house, 55))
            while not house.server.held:
                await asyncio.sleep(0)
            begun = house.clock.now()
            status = await courier.submit(evidence("fresh")).settled()
            assert status is not None
            assert status.status == "succeeded"
            assert house.clock.now() <= later(begun, timedelta(seconds=10))
            await call

    asyncio.run(asyncio.wait_for(story(), 60))


def test_a_call_does_not_wait_for_what_is_fresh(tmp_path: Path) -> None:
    """That begins at once as far as the pace allows it."""
    house = House(tmp_path / "fresh.db", tenants={"acme": tenant(pace="2/min")})

    async def story() -> None:
        async with house.courier(background=False) as courier:
            for number in range(3):
                await courier.submit(evidence(f"ev-{number}")).recorded()
            assert await courier.deliver_due(55) == DueDelivery(2, 2, False)

    asyncio.run(asyncio.wait_for(story(), 60))


def test_a_blocking_courier_waits_for_old_records_too(house: House) -> None:
    desk = Desk(house)
    begin = house.clock.now()
    with house.blocking_courier(transport=desk, sleep=house.clock.advance) as courier:
        for minute in range(MINUTES):
            house.clock.advance((later(begin, _minutes(minute)) - house.clock.now()).seconds)
            courier.deliver_due(55)
            assert house.clock.now() <= later(begin, timedelta(seconds=60 * minute + 56))
    sent = len(house.server.held)
    assert 8 * MINUTES <= sent <= 9 * MINUTES + 1, sent


@pytest.mark.parametrize("blocking", [True, False], ids=["blocking", "asyncio"])
def test_what_others_record_does_not_wait_for_old_records(house: House, blocking: bool) -> None:
    house.tenants["globex"] = tenant()
    recorded_at = later(house.clock.now(), timedelta(seconds=3))
    sent_at: list[datetime] = []

    async def recorded() -> None:
        async with house.courier(background=False) as courier:
            await courier.submit(evidence("fresh", "globex")).recorded()

    def looked() -> None:
        if not sent_at and any(name == "fresh" for name, _ in house.server.held):
            sent_at.append(house.clock.now())

    def sleep(seconds: float) -> None:
        looked()
        before = house.clock.now()
        house.clock.advance(seconds)
        if before < recorded_at <= house.clock.now():
            asyncio.run(recorded())

    async def story() -> None:
        async with house.courier(background=False) as courier:
            call = asyncio.create_task(courier.deliver_due(55))
            while not sent_at:
                await courier.quiet()
                looked()
                house.clock.advance(1)
                if house.clock.now() == recorded_at:
                    await recorded()
            call.cancel()

    if blocking:
        with house.blocking_courier(transport=Desk(house), sleep=sleep) as courier:
            courier.deliver_due(55)
    else:
        asyncio.run(asyncio.wait_for(story(), 60))
    [at] = sent_at
    assert at <= later(recorded_at, timedelta(seconds=2 * ADOPT_EVERY))


def test_a_call_without_an_end_delivers_all_that_is_old(house: House) -> None:
    house.clock.advance(1)
    with house.blocking_courier(transport=Desk(house), sleep=house.clock.advance) as courier:
        assert courier.deliver_due(inf) == DueDelivery(60, 60, False)


def test_a_call_without_an_end_ends_when_nothing_is_due(tmp_path: Path) -> None:
    house = House(tmp_path / "fresh.db")

    async def story() -> None:
        async with house.courier(background=False) as courier:
            await courier.submit(evidence()).recorded()
            assert await courier.deliver_due(inf) == DueDelivery(1, 1, False)

    asyncio.run(asyncio.wait_for(story(), 60))


def _minutes(number: int) -> timedelta:
    return timedelta(minutes=number)
