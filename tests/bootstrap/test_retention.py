"""Any running courier removes what is kept no longer, a batch at a time, and never what is open."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from store_fixtures import Desk, House, evidence, tenant

from evidence_courier import AsyncCourier, MisuseError
from evidence_courier.adapters.engines.asyncio_engine import MAINTAIN_EVERY
from evidence_courier.adapters.stores.databases import inspect
from evidence_courier.delivery import retention
from evidence_courier.domain.errors import StoreError
from evidence_courier.domain.retention import Part
from evidence_courier.domain.upload.upload import UploadKey
from evidence_courier.ports.logger import DutyFailed
from evidence_courier.ports.removal import Removal, RemovalRow, Removed
from evidence_courier.ports.store import UploadStore
from evidence_courier.testing import MemoryStore

DAY = 86_400.0
KEY = UploadKey("acme", "held", "paper")
RULES: Any = {"attempts": "400d", "personal": "90d after success", "failed_documents": "30d"}


@pytest.fixture
def house(tmp_path: Path) -> House:
    house = House(tmp_path / "courier.db")
    house.server.answer = lambda evidence_id, _nth: 400 if evidence_id.startswith("bad") else 200
    return house


def parts(store: UploadStore) -> dict[str, set[str]]:
    """What can be removed of each settled upload."""
    return {
        one.key.evidence_id: {part.value for part in one.parts}
        for one in store.settled(0, 1_000).uploads
    }


async def later(house: House, courier: AsyncCourier, days: float) -> None:
    """Let time pass, and the courier look at everything then."""
    house.clock.advance(days * DAY)
    for _ in range(5):
        await courier.quiet()
        house.clock.advance(MAINTAIN_EVERY)
    await courier.quiet()


def test_each_part_goes_when_its_time_is_over(house: House) -> None:
    store = MemoryStore(keep_documents=True)

    async def story() -> None:
        async with house.courier_on(store, retention=RULES) as courier:
            for name in ("good", "bad"):
                await courier.submit(evidence(name)).settled()
            everything = {part.value for part in Part}
            await later(house, courier, 29)
            assert parts(store) == {"good": everything, "bad": everything}
            await later(house, courier, 1)
            assert parts(store) == {"good": everything, "bad": everything - {"documents"}}
            await later(house, courier, 60)
            assert parts(store) == {"good": {"attempts"}, "bad": {"attempts", "personal data"}}
            await later(house, courier, 310)
            assert parts(store) == {"bad": {"personal data"}}
            counts = await courier.counts()
            assert {word: number for word, number in counts.items() if number} == {
                "succeeded": 1,
                "failed": 1,
            }
            (row, *_) = await courier.removals()
            assert row.by == "evidence-courier"
            assert row.reason.startswith("kept no longer: attempts 400d, personal 90d after")

    asyncio.run(story())


def test_by_default_nothing_is_ever_removed(house: House) -> None:
    async def story() -> None:
        async with house.courier() as courier:
            await courier.submit(evidence("bad")).settled()
            await later(house, courier, 10_000)
            shown = await courier.show("acme", "bad")
            assert shown is not None
            assert len(shown.history) == 1
            assert await courier.removals() == []

    asyncio.run(story())


def test_what_is_open_stays_however_old_it_is(house: House) -> None:
    store = MemoryStore()

    async def story() -> None:
        house.server.answer = lambda _evidence, _nth: 401
        rules = {"attempts": "1h", "personal": "1h", "failed_documents": "1h"}
        async with house.courier_on(store, retention=rules) as courier:
            await courier.submit(evidence("refused")).settled()
            await courier.submit(evidence("held")).settled()
            assert (await courier.counts())["held"] == 1
            await later(house, courier, 1_000)
            (found,) = store.get([KEY], staged=True).values()
            assert (found.dossier.subject, found.content is None) == ("emp-7", False)

    asyncio.run(story())


def test_a_tenants_own_rules_win(house: House) -> None:
    store = MemoryStore()
    house.tenants["globex"] = tenant(retention={"personal": "never"})

    async def story() -> None:
        rules = {"attempts": "10d", "personal": "10d"}
        async with house.courier_on(store, retention=rules) as courier:
            await courier.submit(evidence("one")).settled()
            await courier.submit(evidence("two", "globex")).settled()
            await later(house, courier, 10)
            assert parts(store) == {"two": {"personal data"}}
            house.tenants["globex"] = tenant()
            await courier.reload()
            await later(house, courier, 1)
            assert parts(store) == {}

    asyncio.run(story())


@pytest.mark.parametrize("without", [{"integrations": {}}, {"integrations": {"compliance": None}}])
def test_a_tenant_without_an_integration_follows_the_couriers_rules(
    house: House, without: dict[str, Any]
) -> None:
    """Its file says nothing: not even if its block said `never` before."""
    store = MemoryStore()
    house.tenants = {"acme": tenant(retention={"personal": "never"})}

    async def story() -> None:
        async with house.courier_on(store) as courier:
            await courier.submit(evidence("one")).settled()
        house.tenants = {"acme": without, "globex": tenant()}
        async with house.courier_on(store, retention={"personal": "1h"}) as courier:
            await later(house, courier, 1)
        assert parts(store) == {"one": {"attempts"}}

    asyncio.run(story())


def test_a_rule_that_a_reload_makes_shorter_holds_from_then_on(house: House) -> None:
    store = MemoryStore()
    house.tenants["acme"] = tenant(retention={"attempts": "never"})

    async def story() -> None:
        async with house.courier_on(store, retention={"attempts": "1h"}) as courier:
            await courier.submit(evidence("one")).settled()
            await later(house, courier, 100)
            assert "attempts" in parts(store)["one"]
            house.tenants["acme"] = tenant(retention={"attempts": "90d"})
            await courier.reload()
            await later(house, courier, 1)
            assert "attempts" not in parts(store).get("one", ())

    asyncio.run(story())


INVALID: Any = {"integrations": {"compliance": {"provider": "paper", "key": "${MISSING}"}}}


@pytest.mark.parametrize("later_tenants", [{"acme": INVALID}, {}], ids=["invalid", "not named"])
def test_a_tenant_whose_rules_are_not_known_loses_nothing(
    house: House, later_tenants: dict[str, Any]
) -> None:
    store = MemoryStore()
    house.tenants = {"acme": tenant(retention={"personal": "never"}), "without": tenant()}

    async def story() -> None:
        async with house.courier_on(store) as courier:
            for name in ("acme", "without"):
                await courier.submit(evidence(f"of-{name}", name)).settled()
        house.tenants = {"without": {"integrations": {}}, "globex": tenant(), **later_tenants}
        rules = {"personal": "1h", "attempts": "1h"}
        async with house.courier_on(store, on_invalid="skip", retention=rules) as courier:
            await later(house, courier, 1)
        assert parts(store) == {"of-acme": {"attempts", "personal data"}}

    asyncio.run(story())


def test_a_pass_is_gone_on_with_by_the_next_courier(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "LOOKED_AT", 2)
    monkeypatch.setattr(retention, "PAGES_AT_ONCE", 1)

    async def recorded() -> None:
        async with house.courier() as courier:
            for number in range(5):
                await courier.submit(evidence(f"ev-{number}")).settled()

    asyncio.run(recorded())
    house.clock.advance(10 * DAY)
    left = []
    for _ in range(3):  # each is a process of its own
        rules = {"personal": "10d"}
        with house.blocking_courier(transport=Desk(house), retention=rules) as courier:
            courier.deliver_due()
            left.append(5 - sum(row.uploads for row in courier.removals()))
    assert left == [3, 1, 0]
    assert inspect(str(house.database), (), lambda *_: None).breaches == ()


def test_rules_that_cannot_be_read_are_refused_at_once(house: House) -> None:
    with pytest.raises(MisuseError, match=r"retention\.attempts must say how long it is kept"):
        house.courier(retention={"attempts": "400 days"})
    with pytest.raises(MisuseError, match="retention must be a mapping"):
        house.courier(retention=400)


def test_attempts_that_were_pruned_are_no_breach(house: House) -> None:
    async def story() -> None:
        async with house.courier(retention={"attempts": "1d"}) as courier:
            await courier.submit(evidence("bad")).settled()
            await courier.submit(evidence("good")).settled()
            await later(house, courier, 2)
            shown = await courier.show("acme", "bad")
            assert shown is not None
            assert (shown.attempts, list(shown.history)) == (1, [])
            await courier.retry("acme", "bad", by="kim", reason="again")
            await courier.quiet()

    asyncio.run(story())
    assert [str(one) for one in inspect(str(house.database), (), lambda *_: None).breaches] == []


def test_no_transaction_holds_much(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """What others write waits for one batch, and not for all that is removed."""
    monkeypatch.setattr(retention, "REMOVED_AT_ONCE", 2)
    store = MemoryStore()

    async def story() -> None:
        async with house.courier_on(store, retention={"personal": "10d"}) as courier:
            for number in range(5):
                await courier.submit(evidence(f"ev-{number}")).settled()
            await later(house, courier, 10)
            assert sorted(row.uploads for row in await courier.removals()) == [1, 2, 2]

    asyncio.run(story())


class Counting(MemoryStore):
    """Counts transactions; the records of one tenant cannot be removed."""

    def __init__(self, broken: str = "") -> None:
        super().__init__()
        self.made, self._broken = 0, broken

    @contextmanager
    def transaction(self, *_: object) -> Iterator[None]:
        self.made += 1
        yield

    def remove(self, removal: Removal) -> Removed:
        if removal.tenant_id == self._broken:
            raise StoreError("it cannot be removed")
        return super().remove(removal)


async def of_many_tenants(house: House, store: Counting) -> None:
    """Have 3 uploads of each of 40 tenants, which came in turn, pruned."""
    house.tenants = {f"t-{number}": tenant() for number in range(40)}
    async with house.courier_on(store, retention={"attempts": "10d"}) as courier:
        tickets = [
            courier.submit(evidence(f"ev-{turn}", one))
            for turn in range(3)
            for one in house.tenants
        ]
        for ticket in tickets:
            await ticket.settled()
        store.made = 0
        await later(house, courier, 10)


def test_what_is_pruned_of_many_tenants_goes_together(house: House) -> None:
    """Two transactions, and one row for each tenant, for 120 uploads."""
    store = Counting()
    asyncio.run(of_many_tenants(house, store))
    assert sorted(row.uploads for row in store.removals()) == [3] * 40
    assert store.made < 20


def test_a_tenant_whose_records_cannot_be_removed_stops_no_other(house: House) -> None:
    store = Counting("t-7")
    asyncio.run(of_many_tenants(house, store))
    assert {row.tenant_id for row in store.removals()} == {*house.tenants} - {"t-7"}


class Together(Counting):
    """Refuses to remove anything of one tenant, and something of another tenant together with
    others."""

    def __init__(self, broken: str, alone: str) -> None:
        super().__init__(broken)
        self._alone, self._together = alone, False

    @contextmanager
    def transaction(self, *_: object) -> Iterator[None]:
        self._together = True
        try:
            yield
        finally:
            self._together = False

    def remove(self, removal: Removal) -> Removed:
        if self._together and removal.tenant_id == self._alone:
            raise StoreError("not together with others")
        return super().remove(removal)


def test_a_pass_tells_of_what_a_batch_could_not_remove(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if all of a later batch could be removed, each alone."""
    monkeypatch.setattr(retention, "REMOVED_AT_ONCE", 3)
    store = Together("t-0", "t-39")
    asyncio.run(of_many_tenants(house, store))
    assert {row.tenant_id for row in store.removals()} == {*house.tenants} - {"t-0"}
    said = [one.reason for one in house.logger.events if isinstance(one, DutyFailed)]
    assert said and all("it cannot be removed" in one for one in said)


class Full(MemoryStore):
    """Cannot remove anything for a while."""

    is_full = False

    def remove(self, removal: Removal) -> Removed:
        if self.is_full:
            raise StoreError("the disk is full", passing=True)
        return super().remove(removal)


def test_what_a_full_disk_held_back_is_removed_soon_after_it_has_room(house: House) -> None:
    store = Full()

    async def story() -> None:
        async with house.courier_on(store, retention={"personal": "10d"}) as courier:
            await courier.submit(evidence()).settled()
            store.is_full = True
            await later(house, courier, 10)
            assert await courier.removals() == []
            store.is_full = False
            # The threads that remove have their own pace, and its time is the clock's.
            removed: Sequence[RemovalRow] = []
            for _ in range(60):
                house.clock.advance(MAINTAIN_EVERY)
                await courier.quiet()
                if removed := await courier.removals():
                    break
            assert [row.uploads for row in removed] == [1]

    asyncio.run(story())
