"""What waits for a retry that is far away is postponed, and nobody notices: neither the host that
waits for it, nor the person who acts on it meanwhile."""

from __future__ import annotations

import asyncio
import gc
import sqlite3
from collections.abc import Callable, Coroutine
from contextlib import closing
from pathlib import Path
from typing import Any
from weakref import ref

import pytest
from store_fixtures import House, evidence, tenant

from evidence_courier import AsyncCourier, StoreError, UploadStatus
from evidence_courier.delivery import backlog, maintenance
from evidence_courier.delivery.active import ActiveUploads
from evidence_courier.ports.logger import RecordingFailed, StoreTrouble
from evidence_courier.testing import MemoryStore, until_settled

HOUR = 3_600
WAITS = {"retry": {"initial_delay": "1h", "max_delay": "4h"}}

Story = Callable[[AsyncCourier], Coroutine[Any, Any, None]]


@pytest.fixture
def house(tmp_path: Path) -> House:
    """The first attempts of all uploads fail; the second are an hour or two later."""
    house = House(tmp_path / "courier.db")
    house.tenants["acme"] = tenant(**WAITS)
    house.server.answer = lambda _, nth: 500 if nth == 1 else 200
    return house


def tell(house: House, story: Story) -> None:
    async def told() -> None:
        async with house.courier() as courier:
            await story(courier)

    asyncio.run(told())


def active_of(courier: AsyncCourier) -> ActiveUploads:
    assert courier._running is not None  # pyright: ignore[reportPrivateUsage]
    return courier._running.engine.active  # pyright: ignore[reportPrivateUsage]


async def postponed(courier: AsyncCourier, *names: str) -> None:
    """Submit, and fail once."""
    for name in names or ("ev-1",):
        courier.submit(evidence(name))
    await courier.quiet()
    active = active_of(courier)
    assert len(active.postponed) == len(active) == len(names or ("ev-1",))


async def status_of(courier: AsyncCourier, name: str = "ev-1") -> str:
    return (await courier.statuses("acme", [name]))[name].status


async def pass_time(house: House, courier: AsyncCourier, seconds: float) -> None:
    """Let time pass as it does, in steps."""
    until = house.clock.now().timestamp() + seconds
    while house.clock.now().timestamp() < until:
        await courier.quiet()
        house.clock.advance(min(600.0, until - house.clock.now().timestamp()))
    await courier.quiet()


def test_it_goes_when_it_is_due_and_its_ticket_hears_of_it(house: House) -> None:
    async def story(courier: AsyncCourier) -> None:
        ticket = courier.submit(evidence())
        await courier.quiet()
        assert len(active_of(courier).postponed) == 1
        due = (await courier.statuses("acme", ["ev-1"]))["ev-1"].next_attempt_at
        with pytest.raises(TimeoutError, match=f"it is retrying, and due at {due:%Y-%m-%d %H:%M}"):
            await ticket.settled(timeout=0)
        (status,) = await until_settled(courier, house.clock, ticket)
        assert status is not None
        assert (status.status, status.attempts) == ("succeeded", 2)
        assert house.server.times["ev-1"][1] == due

    tell(house, story)


def test_a_ticket_that_the_host_has_dropped_is_freed(house: House) -> None:
    async def story(courier: AsyncCourier) -> None:
        kept, dropped = courier.submit(evidence()), courier.submit(evidence("ev-2"))
        again = courier.submit(evidence())
        await courier.quiet()
        gone = ref(dropped)
        del dropped
        gc.collect()
        assert gone() is None
        assert len([*active_of(courier).postponed.waiters()]) == 2
        del again
        assert [ticket for _, ticket in active_of(courier).postponed.waiters()] == [kept]

    tell(house, story)


def test_a_task_that_waits_for_a_ticket_of_its_own_is_not_lost(house: House) -> None:
    ended: list[UploadStatus | None] = []

    async def deliver(courier: AsyncCourier) -> None:
        ended.append(await courier.submit(evidence()).settled())

    async def story(courier: AsyncCourier) -> None:
        task = ref(asyncio.create_task(deliver(courier)))
        await asyncio.sleep(0)
        await courier.quiet()
        assert len(active_of(courier).postponed) == 1
        gc.collect()
        assert task() is not None
        await pass_time(house, courier, 2 * HOUR)
        assert [status is not None and status.status for status in ended] == ["succeeded"]

    tell(house, story)


def test_a_person_who_abandons_it_or_retries_it_then_is_obeyed_at_once(house: House) -> None:
    async def story(courier: AsyncCourier) -> None:
        ticket = courier.submit(evidence())
        await courier.quiet()
        await courier.abandon("acme", "ev-1", by="ann", reason="not needed")
        ended = await ticket.settled(timeout=1)
        assert ended is not None
        assert (ended.status, ended.last_attempt_at) == ("failed", house.clock.now())
        assert not len(active_of(courier))
        await courier.retry("acme", "ev-1", by="ann", reason="it is needed")
        await courier.quiet()
        assert await status_of(courier) == "succeeded"

    tell(house, story)


def test_what_a_person_does_at_another_courier_is_noticed(house: House) -> None:
    async def story(courier: AsyncCourier) -> None:
        await postponed(courier, "ev-1", "ev-2")
        async with house.courier() as other:
            await other.quiet()
            await other.abandon("acme", "ev-1", by="ann", reason="not needed")
            await other.close()
        house.clock.advance(6)
        await courier.quiet()
        assert len(active_of(courier)) == 1
        await pass_time(house, courier, 2 * HOUR)
        assert await status_of(courier) == "failed"
        assert await status_of(courier, "ev-2") == "succeeded"

    tell(house, story)


def test_it_keeps_the_credentials_that_it_began_with(house: House) -> None:
    old, new = house.keys.values["KEY"], "another-key-altogether"

    async def story(courier: AsyncCourier) -> None:
        await postponed(courier)
        house.keys.values["KEY"] = new
        await courier.reload()
        courier.submit(evidence("ev-2"))
        courier.submit(evidence())  # known: nothing changes
        await courier.quiet()
        await pass_time(house, courier, 2 * HOUR)
        assert house.server.keys == {"ev-1": [old, old], "ev-2": [new, new]}

    tell(house, story)


def test_a_tenant_that_is_removed_takes_nothing_from_what_has_begun(house: House) -> None:
    async def story(courier: AsyncCourier) -> None:
        await postponed(courier)
        del house.tenants["acme"]
        await courier.reload()
        await pass_time(house, courier, 2 * HOUR)
        assert await status_of(courier) == "succeeded"

    tell(house, story)


def test_a_wrong_key_holds_what_is_postponed_and_a_mended_one_frees_it(house: House) -> None:
    house.server.answer = lambda name, nth: 500 if nth == 1 and name != "ev-9" else 401
    names = [f"ev-{number}" for number in range(3)]

    async def story(courier: AsyncCourier) -> None:
        tickets = [courier.submit(evidence(name)) for name in names]
        await courier.quiet()
        assert len(active_of(courier).postponed) == 3
        courier.submit(evidence("ev-9"))
        await courier.quiet()
        assert not len(active_of(courier))
        held = [await ticket.settled(timeout=1) for ticket in tickets]
        assert [one is not None and one.status for one in held] == ["held"] * 3
        house.keys.values["KEY"] = "a-mended-key"
        house.server.answer = lambda _name, _nth: 200
        await courier.reload()
        await courier.quiet()
        assert [await status_of(courier, name) for name in names] == ["succeeded"] * 3
        assert {keys[-1] for keys in house.server.keys.values()} == {"a-mended-key"}

    tell(house, story)


def test_a_store_that_cannot_be_read_is_in_trouble_and_loses_no_result(
    house: House,
) -> None:
    house.server.answer = lambda name, _: 500 if name != "ev-9" else 401
    store = MemoryStore()

    async def story() -> None:
        async with house.courier_on(store) as courier:
            await postponed(courier)
            store.fail_next("get")
            ticket = courier.submit(evidence("ev-9"))
            failed = await ticket.settled(timeout=1)
            assert failed is not None
            assert failed.status == "failed"
            await courier.quiet()
            assert house.logger.of(StoreTrouble)
            assert not house.logger.of(RecordingFailed)
            assert await status_of(courier) == "retrying"
            await pass_time(house, courier, 2 * HOUR)
            assert await status_of(courier) == "held"

    asyncio.run(story())


def test_what_is_due_together_is_read_page_by_page_as_room_allows(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maintenance, "POSTPONED_AT_ONCE", 10)
    monkeypatch.setattr(backlog, "MOST_OF_ONE", 20)
    names = [f"ev-{number}" for number in range(100)]
    most = 0

    async def story(courier: AsyncCourier) -> None:
        nonlocal most
        await postponed(courier, *names)
        active = active_of(courier)
        get = active.update

        def update(*given: Any) -> None:
            nonlocal most
            get(*given)
            most = max(most, len(active) - len(active.postponed))

        monkeypatch.setattr(active, "update", update)
        await pass_time(house, courier, 2 * HOUR + 60)
        assert {await status_of(courier, name) for name in names} == {"succeeded"}
        assert 0 < most <= 20
        assert not len(active)

    tell(house, story)


def test_a_clock_that_is_set_back_makes_nothing_wait_longer(house: House) -> None:
    async def story(courier: AsyncCourier) -> None:
        await postponed(courier)
        house.clock.jump(-24 * HOUR)
        await pass_time(house, courier, 6)
        await pass_time(house, courier, 2 * HOUR)
        assert await status_of(courier) == "succeeded"

    tell(house, story)


def test_a_record_that_is_gone_is_reported_as_gone(house: House) -> None:
    async def story(courier: AsyncCourier) -> None:
        ticket = courier.submit(evidence())
        await courier.quiet()
        with closing(sqlite3.connect(house.database)) as db:
            for table in ("documents", "attempts", "uploads"):
                db.execute(f"DELETE FROM {table}")
            db.commit()
        await pass_time(house, courier, 2 * HOUR)
        with pytest.raises(StoreError, match="is gone from the database"):
            await ticket.settled(timeout=1)

    tell(house, story)


def test_a_courier_that_closes_tells_those_who_wait(house: House) -> None:
    async def story() -> None:
        async with house.courier() as courier:
            ticket = courier.submit(evidence())
            await courier.quiet()
        with pytest.raises(Exception, match="closed before acme/ev-1 was settled"):
            await ticket.settled(timeout=1)

    asyncio.run(story())
