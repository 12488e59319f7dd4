"""Evidence that is submitted in a transaction of the host's: the training and its record exist
together, or not at all."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, cast

import psycopg
import pytest
from attrs import define, evolve
from host_databases import (
    AWAITING,
    BLOCKING,
    COUNT,
    TABLE,
    Host,
    NotPassedError,
)
from postgres_server import server
from store_fixtures import Desk, House, PaperProvider, evidence, tenant

from evidence_courier import (
    AsyncCourier,
    BlockingCourier,
    Document,
    DueDelivery,
    Evidence,
    MisuseError,
    StoreError,
)
from evidence_courier.adapters.stores.postgres import database, readers
from evidence_courier.adapters.stores.postgres.schema import MIGRATIONS, Migration
from evidence_courier.ports.documents import LARGE
from evidence_courier.testing import MemoryStore

ONE_KIND: dict[str, str] = {
    "psycopg": "postgres",
    "psycopg block": "postgres",
    "asyncpg": "postgres",
    "sqlite3": "sqlite",
    "sqlite3 of 3.12": "sqlite",
}


def cases(hosts: Iterable[str]) -> list[Any]:
    """Each host with each database that it can have."""
    return [
        pytest.param(kind, name, id=f"{name} on {kind}")
        for kind in ("postgres", "sqlite")
        for name in hosts
        if ONE_KIND.get(name, kind) == kind
    ]


@define
class Shared:
    """A database with the host's table and the courier's, and what is in them."""

    house: House
    where: str

    def blocking(self) -> BlockingCourier:
        house = self.house
        around: Any = {
            "clock": house.clock,
            "logger": house.logger,
            "transport": Desk(house),
            "providers": {"paper": PaperProvider()},
            "secrets": house.keys,
        }
        return BlockingCourier.from_mapping(lambda: house.tenants, self.where, **around)

    def ask(self, query: str) -> Any:
        found: Any
        if "=" in self.where:
            with psycopg.connect(self.where) as session:
                found = session.execute(query.encode()).fetchone()
        else:
            connection = sqlite3.connect(self.where)
            found = connection.execute(query).fetchone()
            connection.close()
        return found[0]

    @property
    def trainings(self) -> int:
        return int(self.ask(COUNT))


@pytest.fixture
def kind() -> str:
    """Which database it is."""
    return "sqlite"


@pytest.fixture
def shared(kind: str, tmp_path: Path) -> Shared:
    where = server().new_database() if kind == "postgres" else str(tmp_path / "courier.db")
    house = House(cast(Any, where))
    if kind == "postgres":
        with psycopg.connect(where, autocommit=True) as connection:
            connection.execute(TABLE.encode())
    else:
        with BlockingCourier.from_mapping(
            {"acme": tenant()}, where, providers={"paper": PaperProvider()}, secrets=house.keys
        ) as courier:
            courier.health()
        connection_ = sqlite3.connect(where)
        connection_.execute(TABLE)
        connection_.close()
    return Shared(house, where)


def nothing() -> None:
    """The host's transaction goes on to its commit."""


def gives_up() -> None:
    raise NotPassedError


# --- hosts that block -----------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "name"), cases(BLOCKING))
def test_a_training_and_its_record_are_committed_together(shared: Shared, name: str) -> None:
    host = BLOCKING[name]
    with shared.blocking() as courier:
        host.complete(shared.where, "t-1", submits(courier, evidence()), nothing)
        status = courier.statuses("acme", ["ev-1"])["ev-1"]
        assert (shared.trainings, status.status) == (1, "pending")
        assert courier.deliver_due() == DueDelivery(1, 1, False)
    assert shared.house.server.held[0][0] == "ev-1"
    assert b"%PDF-1.7 evidence" in shared.house.server.held[0][1]


@pytest.mark.parametrize(("kind", "name"), cases(BLOCKING))
def test_neither_is_committed_if_the_host_gives_up(shared: Shared, name: str) -> None:
    with shared.blocking() as courier:
        with pytest.raises(NotPassedError):
            BLOCKING[name].complete(shared.where, "t-1", submits(courier, evidence()), gives_up)
        assert (shared.trainings, courier.statuses("acme", ["ev-1"])) == (0, {})


@pytest.mark.parametrize(("kind", "name"), cases(BLOCKING))
def test_a_connection_in_autocommit_is_refused(shared: Shared, name: str) -> None:
    with shared.blocking() as courier:
        with pytest.raises(MisuseError, match="is in autocommit.*begin a transaction first"):
            BLOCKING[name].autocommit(shared.where, submits(courier, evidence()))
        assert courier.statuses("acme", ["ev-1"]) == {}


@pytest.mark.parametrize(("kind", "name"), cases(BLOCKING))
def test_a_known_evidence_changes_nothing(shared: Shared, name: str) -> None:
    with shared.blocking() as courier:
        for number in range(2):
            host = BLOCKING[name]
            one = evidence(content=b"%PDF-1.7 evidence" + b"2" * number)
            host.complete(shared.where, f"t-{number}", submits(courier, one), nothing)
        assert courier.deliver_due() == DueDelivery(1, 1, False)
    assert shared.trainings == 2
    assert [content[-1:] for _, content in shared.house.server.held] != [b"2"]


@pytest.mark.parametrize(("kind", "name"), cases(BLOCKING))
def test_a_refused_record_leaves_the_hosts_work_as_it_was(shared: Shared, name: str) -> None:
    """The host may go on, and commit its training without evidence."""
    with shared.blocking() as courier:
        courier.health()
        schema = "evidence_courier." if "=" in shared.where else ""
        change(shared, f"ALTER TABLE {schema}uploads RENAME TO away")

        def submit(connection: Any) -> None:
            with pytest.raises(StoreError, match="not recorded on the host's connection"):
                courier.submit(evidence(), connection=connection)

        BLOCKING[name].complete(shared.where, "t-1", submit, nothing)
        assert shared.trainings == 1
        change(shared, f"ALTER TABLE {schema}away RENAME TO uploads")


def change(shared: Shared, statement: str) -> None:
    if "=" in shared.where:
        server().execute(statement, shared.where)
    else:
        connection = sqlite3.connect(shared.where)
        connection.execute(statement)
        connection.close()


def submits(courier: BlockingCourier, one: Evidence) -> Callable[[Any], None]:
    return lambda connection: courier.submit(one, connection=connection)


@pytest.mark.parametrize("kind", ["postgres", "sqlite"])
def test_what_was_recorded_without_a_provider_is_known(shared: Shared) -> None:
    """An evidence of an invalid tenant is recorded once, and gets its provider later."""
    valid = dict(shared.house.tenants)
    shared.house.tenants["acme"] = tenant(shelf=7)
    name = "sqlalchemy"

    def courier_of(tenants: Any) -> Any:
        around: Any = {"providers": {"paper": PaperProvider()}, "secrets": shared.house.keys}
        around |= {"transport": Desk(shared.house), "on_invalid": "skip"}
        return BlockingCourier.from_mapping(tenants, shared.where, **around)

    with courier_of(shared.house.tenants) as courier:
        for number in range(2):
            host = BLOCKING[name]
            host.complete(shared.where, f"t-{number}", submits(courier, evidence()), nothing)
    with courier_of(valid) as courier:
        BLOCKING[name].complete(shared.where, "t-3", submits(courier, evidence()), nothing)
        assert courier.deliver_due() == DueDelivery(1, 1, False)
        assert len(courier.find().uploads) == 1


def test_a_tenant_without_an_integration_touches_nothing(shared: Shared) -> None:
    connection = sqlite3.connect(":memory:")
    with shared.blocking() as courier:
        courier.submit(evidence(tenant_id="initech"), connection=connection)
    assert not connection.in_transaction
    connection.close()


def test_a_connection_to_another_kind_of_database_is_refused(shared: Shared) -> None:
    with (
        shared.blocking() as courier,
        psycopg.connect(server().new_database()) as connection,
        pytest.raises(MisuseError, match="leads to a database of postgresql, and .* sqlite"),
    ):
        courier.submit(evidence(), connection=connection)


@pytest.mark.parametrize("connection", [7, object()])
def test_what_is_no_connection_is_refused(shared: Shared, connection: Any) -> None:
    with shared.blocking() as courier, pytest.raises(MisuseError, match="takes a connection of"):
        courier.submit(evidence(), connection=connection)


def test_a_store_of_the_hosts_own_has_no_connection(shared: Shared) -> None:
    around: Any = {"providers": {"paper": PaperProvider()}, "secrets": shared.house.keys}
    connection = sqlite3.connect(":memory:")
    tenants = {"acme": tenant()}
    with (
        BlockingCourier.from_mapping(tenants, store=MemoryStore(), **around) as courier,
        pytest.raises(MisuseError, match="needs a courier with database="),
    ):
        courier.submit(evidence(), connection=connection)
    connection.close()


@pytest.mark.parametrize("by_path", [False, True])
def test_a_large_document_leaves_no_file_after_a_rollback(
    shared: Shared, by_path: bool, tmp_path: Path
) -> None:
    """It goes into the record; and after a commit it is sent from there."""
    content = b"%PDF-1.7 " + bytes(LARGE)
    path = tmp_path / "large.pdf"
    path.write_bytes(content)
    from_path = Document(path=str(path), media_type="application/pdf")
    one = evidence(content=content)
    one = evolve(one, document=from_path) if by_path else one
    host = BLOCKING["sqlalchemy"]
    with shared.blocking() as courier:
        with pytest.raises(NotPassedError):
            host.complete(shared.where, "t-1", submits(courier, one), gives_up)
        assert not Path(f"{shared.where}-documents").exists()
        host.complete(shared.where, "t-1", submits(courier, one), nothing)
        assert courier.deliver_due() == DueDelivery(1, 1, False)
    assert shared.house.server.held == [("ev-1", content)]


class BusyReaders:
    """All sessions that read are taken."""

    def reading(self) -> Any:
        raise StoreError("no reader was free")


@pytest.mark.parametrize("kind", ["postgres", "sqlite"])
def test_a_record_waits_for_no_session_that_reads(
    shared: Shared, monkeypatch: pytest.MonkeyPatch
) -> None:
    with shared.blocking() as courier:
        courier.health()
        with courier._opened.used() as opened:
            busy: Any = BusyReaders()
            monkeypatch.setattr(opened.store, "_readers", busy)
        submit = submits(courier, evidence())
        BLOCKING["psycopg" if "=" in shared.where else "sqlite3"].complete(
            shared.where, "t-1", submit, nothing
        )
        monkeypatch.undo()
        assert courier.statuses("acme", ["ev-1"])["ev-1"].status == "pending"


# --- hosts beside one another --------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["postgres"])
def test_a_transaction_that_stays_open_stops_no_other(shared: Shared) -> None:
    """Neither another host's in the same lane, nor a courier that records and delivers."""
    with shared.blocking() as courier, psycopg.connect(shared.where) as slow:
        courier.submit(evidence("ev-slow"), connection=slow)
        for number in range(3):
            submit = submits(courier, evidence(f"ev-{number}"))
            BLOCKING["psycopg"].complete(shared.where, f"t-{number}", submit, nothing)
        courier.deliver(evidence("ev-direct"))
        assert courier.deliver_due() == DueDelivery(3, 3, False)
        slow.commit()
        assert courier.deliver_due() == DueDelivery(1, 1, False)


@pytest.mark.parametrize("kind", ["postgres"])
def test_the_same_evidence_elsewhere_stops_no_other(shared: Shared) -> None:
    """A courier is given what a host's open transaction records: it is tried again, all else goes
    on, and a host that awaits it before its commit does not wait for itself."""

    async def story() -> None:
        house = shared.house
        async with house.courier() as courier:
            with psycopg.connect(shared.where) as slow:
                courier.submit(evidence(), connection=slow)
                again = courier.submit(evidence())
                with pytest.raises(
                    StoreError, match="an open transaction holds it.*is tried again"
                ):
                    await asyncio.wait_for(again.recorded(), 10)
                other = courier.submit(evidence("ev-2", "globex"))
                await asyncio.wait_for(other.settled(), 10)
            while len(house.server.held) < 2:
                house.clock.advance(10)
                await courier.quiet()
            await again.recorded()
        assert [name for name, _ in house.server.held] == ["ev-2", "ev-1"]
        assert shared.ask("SELECT count(*) FROM evidence_courier.uploads") == 2

    asyncio.run(asyncio.wait_for(story(), 60))


@pytest.mark.parametrize("kind", ["postgres"])
def test_two_lanes_in_opposite_order_wait_for_nothing(shared: Shared) -> None:
    """What locked a row for each lane would end in a deadlock here."""
    with (
        shared.blocking() as courier,
        psycopg.connect(shared.where) as one,
        psycopg.connect(shared.where) as other,
    ):
        for connection in (one, other):
            connection.execute("SET lock_timeout = '2s'")
        courier.submit(evidence("one", "acme"), connection=one)
        courier.submit(evidence("two", "globex"), connection=other)
        courier.submit(evidence("three", "globex"), connection=one)
        courier.submit(evidence("four", "acme"), connection=other)
        other.commit()
        one.commit()
        assert courier.deliver_due() == DueDelivery(4, 4, False)


@pytest.mark.parametrize("kind", ["postgres"])
def test_of_two_open_transactions_with_one_evidence_one_records_it(shared: Shared) -> None:
    """The second waits for the first, and knows it then; or records it if that is given up."""
    for number, ends in enumerate((psycopg.Connection.commit, psycopg.Connection.rollback)):
        name = f"ev-{number}"
        with (
            shared.blocking() as courier,
            psycopg.connect(shared.where) as one,
            psycopg.connect(shared.where) as other,
            ThreadPoolExecutor(1) as thread,
        ):
            courier.submit(evidence(name), connection=one)
            waiting = thread.submit(courier.submit, evidence(name), connection=other)
            ends(one)
            waiting.result(10)
            other.commit()
            assert courier.deliver_due() == DueDelivery(1, 1, False)


@pytest.mark.parametrize("kind", ["postgres"])
def test_an_older_courier_works_beside_a_newer_one(
    shared: Shared, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While machines are updated one after the other: the newer adds a column, and both deliver
    and record."""
    newer = Migration("tomorrow", "ALTER TABLE uploads ADD COLUMN tomorrow text")
    with shared.blocking() as old:
        old.health()
        with monkeypatch.context() as patch:
            patch.setattr(database, "MIGRATIONS", [*MIGRATIONS, newer])
            patch.setattr(readers, "MIGRATIONS", [*MIGRATIONS, newer])
            with shared.blocking() as new:
                for number, courier in enumerate((old, new, old, new)):
                    submit = submits(courier, evidence(f"ev-{number}"))
                    BLOCKING["psycopg"].complete(shared.where, f"t-{number}", submit, nothing)
                    other = new if courier is old else old
                    assert other.deliver_due() == DueDelivery(1, 1, False)
        with shared.blocking() as another:  # an older one that starts meanwhile
            assert another.deliver_due() == DueDelivery(0, 0, False)


# --- tickets --------------------------------------------------------------------------------------


def test_a_ticket_is_recorded_when_the_host_has_committed(shared: Shared) -> None:
    async def story() -> None:
        async with shared.house.courier(background=False) as courier:
            connection = sqlite3.connect(shared.where)
            ticket = courier.submit(evidence(), connection=connection)
            with pytest.raises(StoreError, match="has not been committed, or was rolled back"):
                await ticket.recorded()
            connection.commit()
            await ticket.recorded()
            await courier.deliver_due()
            status = await ticket.settled()
            assert status is not None
            assert status.status == "succeeded"
            connection.close()

    asyncio.run(story())


def test_a_courier_with_a_background_delivers_it_after_the_commit(shared: Shared) -> None:
    async def story() -> None:
        async with shared.house.courier() as courier:
            connection = sqlite3.connect(shared.where)
            ticket = courier.submit(evidence(), connection=connection)
            connection.commit()
            connection.close()
            await courier.quiet()
            shared.house.clock.advance(10)
            await courier.quiet()
            status = await ticket.settled()
            assert status is not None
            assert status.status == "succeeded"

    asyncio.run(story())


def test_a_courier_in_a_thread_writes_in_the_callers(shared: Shared) -> None:
    with shared.house.sync_courier(background=False) as courier:
        connection = sqlite3.connect(shared.where)  # which refuses any other thread
        ticket = courier.submit(evidence(), connection=connection)
        connection.commit()
        connection.close()
        ticket.recorded()
        assert courier.deliver_due().settled == 1
        assert (
            courier.submit(evidence(tenant_id="initech"), connection=connection).settled() is None
        )


def test_a_connection_that_is_awaited_is_for_an_async_courier(shared: Shared) -> None:
    class Awaited:
        async def commit(self) -> None: ...

    with shared.blocking() as courier, pytest.raises(MisuseError, match="for an AsyncCourier"):
        courier.submit(evidence(), connection=cast(Any, Awaited()))
    with shared.house.sync_courier() as other:
        refused = pytest.raises(MisuseError, match="for an AsyncCourier")
        with refused:
            other.submit(evidence(), connection=cast(Any, Awaited()))


# --- hosts that await -----------------------------------------------------------------------------


async def awaited(shared: Shared, host: Host, fail: Callable[[], None], name: str = "t-1") -> Any:
    async with shared.house.courier(background=False) as courier:
        submit = partial(submit_awaited, courier, evidence())
        try:
            await host.complete(shared.where, name, submit, fail)
        except NotPassedError:
            return shared.trainings, await courier.statuses("acme", ["ev-1"])
        return shared.trainings, await courier.deliver_due()


async def submit_awaited(courier: AsyncCourier, one: Evidence, connection: Any) -> None:
    ticket = await courier.submit(one, connection=connection)
    with pytest.raises(StoreError, match="has not been committed"):
        await ticket.recorded()


@pytest.mark.parametrize(("kind", "name"), cases(AWAITING))
def test_a_host_that_awaits_commits_both_together(shared: Shared, name: str) -> None:
    done = asyncio.run(awaited(shared, AWAITING[name], nothing))
    assert done == (1, DueDelivery(1, 1, False))
    assert b"%PDF-1.7 evidence" in shared.house.server.held[0][1]


@pytest.mark.parametrize(("kind", "name"), cases(AWAITING))
def test_a_host_that_awaits_gives_both_up(shared: Shared, name: str) -> None:
    assert asyncio.run(awaited(shared, AWAITING[name], gives_up)) == (0, {})


@pytest.mark.parametrize(("kind", "name"), cases(AWAITING))
def test_autocommit_is_refused_where_one_awaits(shared: Shared, name: str) -> None:
    async def story() -> None:
        async with shared.house.courier(background=False) as courier:
            submit = partial(submit_awaited, courier, evidence())
            with pytest.raises(MisuseError, match="is in autocommit"):
                await AWAITING[name].autocommit(shared.where, submit)

    asyncio.run(story())


def test_a_tenant_without_an_integration_has_a_ticket_to_await(shared: Shared) -> None:
    class Untouched:
        async def commit(self) -> None: ...

    async def story() -> None:
        async with shared.house.courier(background=False) as courier:
            one = evidence(tenant_id="initech")
            ticket = await courier.submit(one, connection=Untouched())
            assert await ticket.settled() is None

    asyncio.run(story())
