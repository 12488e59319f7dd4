"""A row of other hands that cannot be read: it is named, and all else goes on."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from attrs import frozen
from postgres_server import server

from evidence_courier.adapters.stores.databases import inspect, open_store, unproven
from evidence_courier.adapters.stores.sql.store import SqlStore
from evidence_courier.delivery.chain import faults_of
from evidence_courier.domain.errors import StoreError
from evidence_courier.domain.upload.find import Find
from evidence_courier.domain.upload.upload import Status
from evidence_courier.testing import FakeClock
from evidence_courier.testing.contracts.store_chain import settled
from evidence_courier.testing.contracts.stored import AT

BROKEN = (
    "state = 'nonsense'",
    "status = 'nonsense'",
    "updated_at = 'yesterday'",
    "created_at = '2026-02-30'",
    "evidence_date = 'today'",
    "error_kind = 'nonsense'",
)
NO_UTF8 = ("uploads", "receipt_message"), ("attempts", "message"), ("uploads", "tenant_id")


@frozen
class Damaged:
    """A store whose first upload, of tenant acme, can be damaged by a statement; those of globex
    are in order."""

    name: str
    store: SqlStore
    execute: Callable[[str], None]

    def named(self) -> list[str]:
        """What `verify` says."""
        faults = [
            str(one) for tenant in self.store.chains() for one in faults_of(self.store, tenant)
        ]
        return [*faults, *(str(one) for one in unproven(self.name, None))]


@pytest.fixture(params=["sqlite", "postgres"])
def damaged(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Damaged]:
    is_postgres = request.param == "postgres"
    name = server().new_database() if is_postgres else str(tmp_path / "courier.db")

    def execute(statement: str) -> None:
        if is_postgres:
            with psycopg.connect(name, autocommit=True) as connection:
                connection.execute("SET search_path = evidence_courier")
                connection.execute(statement.encode())
        else:
            with closing(sqlite3.connect(name, isolation_level=None)) as connection:
                connection.execute(statement)

    store = open_store(name, clock=FakeClock(AT))
    assert isinstance(store, SqlStore)
    with closing(store):
        settled(store, "ev-1")
        settled(store, "ev-2", "globex")
        settled(store, "ev-3", "globex")
        yield Damaged(name, store, execute)


@pytest.mark.parametrize("damage", BROKEN)
def test_what_cannot_be_read_is_named_and_the_others_go_on(damaged: Damaged, damage: str) -> None:
    if not damaged.name.endswith(".db") and ("_at" in damage or "date" in damage):
        pytest.skip("there these are moments and dates")
    damaged.execute(f"UPDATE uploads SET {damage} WHERE evidence_id = 'ev-1'")
    store = damaged.store
    assert store.link(100, AT) == 6
    assert any("ev-1" in one for one in damaged.named()) or "error_kind" in damage
    assert {one.key.evidence_id for one in store.settled(0, 9).uploads} >= {"ev-2", "ev-3"}
    assert sum(one.number for one in store.counted(Find())) == 3
    assert store.health(AT).counts
    assert sum(store.counts(tuple(Status)).values()) <= 3
    found = {one.evidence_id: one for one in store.find(Find(limit=9), AT).uploads}
    assert set(found) == {"ev-1", "ev-2", "ev-3"}
    assert found["ev-2"].status == "succeeded"
    assert set(store.statuses("acme", ["ev-1"], AT)) == {"ev-1"}


@pytest.mark.parametrize(("table", "column"), NO_UTF8)
def test_what_is_not_utf8_is_named_and_the_others_go_on(
    tmp_path: Path, table: str, column: str
) -> None:
    name = str(tmp_path / "courier.db")
    with closing(open_store(name, clock=FakeClock(AT))) as store:
        assert isinstance(store, SqlStore)
        settled(store, "ev-1")
        settled(store, "ev-2", "globex")
        with closing(sqlite3.connect(name, isolation_level=None)) as connection:
            connection.execute(f"UPDATE {table} SET {column} = CAST(x'61ff' AS TEXT) WHERE id = 1")
        assert store.link(100, AT) == 4
        assert [*faults_of(store, "globex")] == []
        found = store.find(Find(limit=9), AT).uploads
        assert {one.evidence_id for one in found} == {"ev-1", "ev-2"}
        assert {one.key.evidence_id for one in store.settled(0, 9).uploads} == {"ev-1", "ev-2"}
        faults = [str(one) for tenant in store.chains() for one in faults_of(store, tenant)]
        said = [*faults, *(str(one) for one in unproven(name, None))]
        assert any("ev-1" in one for one in said)
        assert store.health(AT).counts


@pytest.mark.parametrize("column", ["subject", "subject_email", "session_id", "error_message"])
def test_a_text_that_is_not_utf8_is_named_by_invariants(tmp_path: Path, column: str) -> None:
    """Also one that is read by nothing else, of a record that is right in all else."""
    name = str(tmp_path / "courier.db")
    with closing(open_store(name, clock=FakeClock(AT))) as store:
        assert isinstance(store, SqlStore)
        settled(store, "ev-1")
        settled(store, "ev-2", "globex")
    with closing(sqlite3.connect(name, isolation_level=None)) as connection:
        connection.execute(f"UPDATE uploads SET {column} = CAST(x'61ff' AS TEXT) WHERE id = 1")
        connection.execute("UPDATE uploads SET subject = 'Zo\u00eb' WHERE id = 2")
    said = [str(one) for one in inspect(name, (), lambda done, of: None).breaches]
    (named,) = (one for one in said if "UTF-8" in one)
    assert "ev-1" in named
    assert f"not UTF-8: {column}" in named


def test_a_person_whose_record_cannot_be_read_is_not_erased_in_part(damaged: Damaged) -> None:
    (one, *_) = damaged.store.of_person("acme", "emp-7")
    subject = one.names[0]
    damaged.execute("UPDATE uploads SET state = 'nonsense' WHERE evidence_id = 'ev-1'")
    with pytest.raises(StoreError, match="evidence 'ev-1' at sprinto, which is of this person"):
        damaged.store.of_person("acme", subject)
    assert len(damaged.store.of_person("globex", subject)) == 2


@pytest.mark.parametrize("length", [1, 2**63 - 1])
def test_a_head_that_was_changed_stops_no_other_tenant(damaged: Damaged, length: int) -> None:
    store = damaged.store
    store.link(100, AT)
    damaged.execute(f"UPDATE heads SET length = {length} WHERE tenant_id = 'acme'")
    settled(store, "ev-4")
    settled(store, "ev-5", "globex")
    assert store.link(100, AT) == 4
    assert [*faults_of(store, "globex")] == []
    assert [*faults_of(store, "acme")] == []


def test_what_stands_in_a_link_may_be_anything(damaged: Damaged) -> None:
    store = damaged.store
    store.link(100, AT)
    damaged.execute("UPDATE links SET fields = 'no fields' WHERE tenant_id = 'acme'")
    assert len([*faults_of(store, "acme")]) == 2
    assert [*faults_of(store, "globex")] == []
