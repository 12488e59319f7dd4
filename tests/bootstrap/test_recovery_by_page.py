"""What a dead courier was sending is recovered some at a time, however much that is."""

from __future__ import annotations

import asyncio
from contextlib import closing
from pathlib import Path

import pytest
from store_fixtures import House

from evidence_courier.adapters.stores.sqlite import SqliteStore
from evidence_courier.delivery import maintenance
from evidence_courier.ports.logger import AttemptRecovered, CourierLost
from evidence_courier.testing.contracts.stored import AT, entry, started

IN_FLIGHT, STRANGERS = 25, 3


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    """A courier has died with uploads in flight, the oldest of a tenant that is not known here;
    pages are of ten."""
    monkeypatch.setattr(maintenance, "RECOVERED_AT_ONCE", 10)
    house = House(tmp_path / "courier.db")
    with closing(SqliteStore(str(house.database))) as store:
        died = store.heartbeat(None, AT)
        now = house.clock.now()
        new = [
            entry(f"ev-{number}", tenant_id=tenant_id, provider="paper", at=now)
            for tenant_id, count in (("unknown", STRANGERS), ("acme", IN_FLIGHT))
            for number in range(count)
        ]
        store.add(new)
        store.begin([[started(one.upload, now, courier_id=died)] for one in new])
        store.unregister(died)
    return house


def recovered(house: House) -> list[str]:
    events = [event for event in house.logger.events if isinstance(event, AttemptRecovered)]
    return [event.key.tenant_id for event in events]


def test_all_is_recovered_and_what_others_may_know_keeps_nothing_back(house: House) -> None:
    async def story() -> None:
        async with house.courier() as courier:
            await courier.quiet()
            found = await courier.find(tenant_id="acme")
            assert {one.status for one in found.uploads} == {"retrying"}

    asyncio.run(story())
    assert recovered(house) == ["acme"] * IN_FLIGHT
    lost = [event for event in house.logger.events if isinstance(event, CourierLost)]
    assert [event.in_flight for event in lost] == [IN_FLIGHT]


def test_what_one_round_leaves_the_next_one_recovers(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maintenance, "RECOVERIES_AT_ONCE", 1)

    async def story() -> None:
        async with house.courier() as courier:
            await courier.quiet()
            assert len(recovered(house)) == 10 - STRANGERS
            for _ in range(5):
                house.clock.advance(6)
                await courier.quiet()

    asyncio.run(story())
    assert recovered(house) == ["acme"] * IN_FLIGHT
