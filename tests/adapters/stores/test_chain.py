"""The hash chains in both databases: what someone with a shell on them changes is found, what is
erased is not a fault, and several couriers make one chain."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg
import pytest
from attrs import evolve, frozen
from hypothesis import given, settings
from hypothesis import strategies as st
from postgres_server import server

from evidence_courier.adapters.stores.copying import copy
from evidence_courier.adapters.stores.databases import open_store
from evidence_courier.adapters.stores.postgres import PostgresStore
from evidence_courier.adapters.stores.sql import chain
from evidence_courier.adapters.stores.sql.chain import letting_go
from evidence_courier.adapters.stores.sql.naming import NAMING
from evidence_courier.adapters.stores.sql.store import SqlStore
from evidence_courier.delivery.chain import faults_of
from evidence_courier.domain.chain import ERASABLE, Head
from evidence_courier.domain.upload.upload import UNKNOWN_PROVIDER
from evidence_courier.ports.chain import Unlinked
from evidence_courier.testing import FakeClock
from evidence_courier.testing.contracts.store_chain import acted_on, settled
from evidence_courier.testing.contracts.stored import AT, entry


@frozen
class Base:
    """A database, and what a person with a shell may do to it."""

    name: str
    execute: Callable[[str], None]

    def open(self) -> SqlStore:
        store = open_store(self.name, clock=FakeClock(AT))
        assert isinstance(store, SqlStore)
        return store

    def __str__(self) -> str:
        return self.name


def sqlite_base(folder: str) -> Base:
    path = f"{folder}/courier.db"

    def execute(statement: str) -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute(statement)

    return Base(path, execute)


def postgres_base() -> Base:
    dsn = server().new_database()

    def execute(statement: str) -> None:
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("SET search_path = evidence_courier")
            connection.execute(statement.encode())

    return Base(dsn, execute)


@pytest.fixture(params=["sqlite", "postgres"])
def base(request: pytest.FixtureRequest, tmp_path: Path) -> Base:
    return sqlite_base(str(tmp_path)) if request.param == "sqlite" else postgres_base()


@pytest.fixture
def linked(base: Base) -> Iterator[SqlStore]:
    """Two tenants' chains of five links each: attempt, attempt, action, attempt, attempt."""
    with closing(base.open()) as store:
        for tenant_id in ("acme", "globex"):
            acted_on(store, settled(store, "ev-1", tenant_id))
            store.link(100, AT)
            settled(store, "ev-2", tenant_id)
            store.link(100, AT)
        yield store


def faults(store: SqlStore, kept: Sequence[Head] = ()) -> list[str]:
    return [
        str(fault) for tenant_id in store.chains() for fault in faults_of(store, tenant_id, kept)
    ]


ATTEMPT_1 = "tenant 'acme', link 1: attempt 1 of evidence 'ev-1' has changed"
FIRST = "id = (SELECT MIN(id) FROM {})"


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        (f"UPDATE attempts SET message = 'x' WHERE {FIRST.format('attempts')}", "message"),
        (f"UPDATE attempts SET detail = '' WHERE {FIRST.format('attempts')}", "detail"),
        (f"UPDATE attempts SET http_status = NULL WHERE {FIRST.format('attempts')}", "http_status"),
        (f"UPDATE attempts SET retry_after = 7.5 WHERE {FIRST.format('attempts')}", "retry_after"),
        (
            "UPDATE attempts SET ended_at = '2026-02-21T10:00:00.000001Z'"
            f" WHERE {FIRST.format('attempts')}",
            "ended_at",
        ),
        (f"UPDATE attempts SET number = 2 WHERE {FIRST.format('attempts')}", None),
    ],
)
def test_a_changed_attempt_is_found(
    base: Base, linked: SqlStore, statement: str, found: str | None
) -> None:
    base.execute(statement)
    expected = "tenant 'acme', link 1: attempt 2 of evidence 'ev-1' has changed: number"
    assert faults(linked) == [expected if found is None else f"{ATTEMPT_1}: {found}"]


def test_a_changed_action_is_found(base: Base, linked: SqlStore) -> None:
    base.execute("UPDATE actions SET \"by\" = 'eve' WHERE tenant_id = 'acme'")
    assert faults(linked) == [
        "tenant 'acme', link 3: attest of evidence 'ev-1' has changed: by",
    ]


def test_the_provider_of_an_action_is_linked(base: Base) -> None:
    with closing(base.open()) as store:
        new = entry("ev-1")
        store.add([new])
        acted_on(store, new.upload)
        store.link(100, AT)
        base.execute("UPDATE uploads SET provider = 'drata'")
        assert faults(store) == [
            "tenant 'acme', link 1: attest of evidence 'ev-1' has changed: provider"
        ]


def test_the_provider_of_an_action_may_become_known(base: Base) -> None:
    with closing(base.open()) as store:
        new = entry("ev-1")
        unnamed = evolve(new.upload, key=new.upload.key._replace(provider=UNKNOWN_PROVIDER))
        store.add([evolve(new, upload=unnamed)])
        acted_on(store, unnamed)
        store.link(100, AT)
        base.execute("UPDATE uploads SET provider = 'drata'")
        assert faults(store) == []


@pytest.mark.parametrize("name", ["verdict", "credential", "digest", "receipt_reference"])
def test_a_forged_erasure_hides_no_change(base: Base, linked: SqlStore, name: str) -> None:
    """Even with a checkpoint that names the link, as someone with a shell can write it."""
    attempt = ids_of(linked, "attempts")[1]
    with erasing(linked) as gone:
        gone.fields("attempt", [attempt], [name])
    if name == "digest":
        base.execute(
            "UPDATE uploads SET digest = 'x' WHERE tenant_id = 'acme' AND evidence_id = 'ev-1'"
        )
    else:
        base.execute(f"UPDATE attempts SET {name} = 'forged-77' WHERE id = {attempt}")
    (found,) = faults(linked)
    assert found.startswith(
        f"tenant 'acme', link 2: attempt 2 of evidence 'ev-1' has changed: {name}"
    )


def test_all_that_an_erasure_takes_from_a_linked_record_can_be_erased() -> None:
    taken = {name for one in NAMING if one.kind is not None for name in one.names}
    assert taken | {"evidence_id"} == ERASABLE


def test_the_document_that_was_delivered_is_linked_with_its_attempt(
    base: Base, linked: SqlStore
) -> None:
    base.execute("UPDATE uploads SET digest = 'another' WHERE tenant_id = 'acme'")
    assert faults(linked) == [
        "tenant 'acme', link 2: attempt 2 of evidence 'ev-1' has changed: digest",
        "tenant 'acme', link 5: attempt 2 of evidence 'ev-2' has changed: digest",
    ]


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        (
            "DELETE FROM attempts WHERE " + FIRST.format("attempts"),
            "link 1: its attempt is missing",
        ),
        (
            "DELETE FROM links WHERE tenant_id = 'acme' AND position = 2",
            "link 2: it is missing",
        ),
        ("DELETE FROM links WHERE tenant_id = 'acme' AND position > 3", ": its head says that it"),
        ("DELETE FROM heads WHERE tenant_id = 'acme'", ": its head says that it has 0 links"),
        (
            "UPDATE links SET position = 17 WHERE tenant_id = 'acme' AND position = 5",
            "link 5: it and all up to link 16 are missing",
        ),
        (
            "UPDATE links SET fields = NULL, row_id = NULL, record = 'x'"
            " WHERE tenant_id = 'acme' AND position = 2",
            "link 2: its hash is not that of its record and place",
        ),
        (
            "UPDATE links SET hash = 'x' WHERE tenant_id = 'acme' AND position = 1",
            "link 1: its hash is not that of its record and place",
        ),
        (
            "UPDATE links SET time = 'x' WHERE tenant_id = 'acme' AND position = 5",
            "link 5: its hash is not that of its record and place",
        ),
    ],
)
def test_a_changed_chain_is_found(base: Base, linked: SqlStore, statement: str, found: str) -> None:
    base.execute(statement)
    assert found in faults(linked)[0]
    assert not any("globex" in fault for fault in faults(linked))


def test_an_attempt_that_was_put_among_linked_ones_is_named(base: Base, linked: SqlStore) -> None:
    """And not linked, if much that came later is linked."""
    base.execute("DELETE FROM links WHERE tenant_id = 'globex' AND position = 1")
    base.execute("UPDATE links SET row_id = 1000000 WHERE tenant_id = 'acme' AND position = 5")
    assert linked.link(100, AT) == 0
    assert linked.chains()["globex"] == Unlinked(1, ("attempt 1 of evidence 'ev-1'",))


def test_an_attempt_whose_transaction_ends_late_is_linked(linked: SqlStore, base: Base) -> None:
    """PostgreSQL numbers it before others that are seen and linked earlier."""
    if not isinstance(linked, PostgresStore):
        pytest.skip("SQLite has one writer")
    names = "upload_id, number, started_at, ended_at, verdict"
    with psycopg.connect(base.name) as late:
        late.execute("SET search_path = evidence_courier")
        query = f"INSERT INTO attempts ({names}) SELECT {names} FROM attempts ORDER BY id LIMIT 1"
        late.execute(query.encode())
        settled(linked, "ev-3")
        assert linked.link(100, AT) == 2
        late.commit()
        assert linked.link(100, AT, late=False) == 0
        assert linked.link(100, AT) == 1
    assert faults(linked) == []
    assert not any(one.passed_over for one in linked.chains().values())


def test_what_an_older_version_recorded_is_linked(tmp_path: Path) -> None:
    base = sqlite_base(str(tmp_path))
    with closing(base.open()) as store:
        acted_on(store, settled(store, "ev-1"))
    for table in ("links", "heads", "checkpoints"):
        base.execute(f"DROP TABLE {table}")
    base.execute("DELETE FROM _sqlite_migrations WHERE name LIKE '%_chain'")
    with closing(base.open()) as store:
        assert store.link(100, AT) == 3
        assert faults(store) == []


def test_a_chain_is_whole_in_another_database(tmp_path: Path) -> None:
    base, other = sqlite_base(str(tmp_path)), postgres_base()
    with closing(base.open()) as store:
        upload = settled(store, "a\0 name that\x1a is odd")
        acted_on(store, upload)
        store.link(100, AT)
        heads = store.heads()
        with erasing(store) as gone:
            gone.fields("action", ids_of(store, "actions"), ["reason"])
            store._session.tell("UPDATE actions SET reason = '(erased)'")
    copy(base.name, other.name)
    with closing(other.open()) as store:
        assert faults(store, heads) == []
        settled(store, "ev-2")
        assert store.link(100, AT) == 2
        assert faults(store, heads) == []


@contextmanager
def erasing(store: SqlStore, action: str = "erase") -> Iterator[Any]:
    with (
        store.transaction(),
        letting_go(store._session, AT, action, "dana", "asked by the person") as gone,
    ):
        yield gone


ERASED_BY = "\"by\" = '(erased)', reason = '(erased)'"


def ids_of(store: SqlStore, table: str, tenant_id: str = "acme") -> list[int]:
    query = f"SELECT {table}.id FROM {table} JOIN uploads ON uploads.id = upload_id"
    where = f" WHERE uploads.tenant_id = '{tenant_id}' ORDER BY 1"
    with store._readers.reading() as session:
        return [row["id"] for row in session.ask(query + where)]


def test_a_checkpoint_names_who_erased_or_deleted_something(base: Base, linked: SqlStore) -> None:
    (head,) = linked.heads("acme")
    attempts, actions = ids_of(linked, "attempts"), ids_of(linked, "actions")
    with erasing(linked) as gone:
        gone.fields("attempt", attempts[:2], ["message", "detail", "evidence_id"])
        gone.fields("action", actions, ["by", "reason", "evidence_id"])
        linked._session.tell(f"UPDATE actions SET {ERASED_BY} WHERE id = {actions[0]}")
        erase = "UPDATE attempts SET message = '(erased)', detail = NULL"
        linked._session.tell(f"{erase} WHERE message IS NOT NULL AND id <= {attempts[1]}")
    with erasing(linked, "prune") as gone:
        gone.rows("attempt", attempts[:1])
        linked._session.tell(f"DELETE FROM attempts WHERE id = {attempts[0]}")
    base.execute(
        f"UPDATE uploads SET evidence_id = 'erased-{'0f' * 16}'"
        " WHERE evidence_id = 'ev-1' AND tenant_id = 'acme'"
    )
    assert [one for one in faults(linked, [head]) if "globex" not in one] == []
    *_, (_, record), (_, other) = linked.links("acme", 0, 100).links
    assert record is not None and other is not None
    assert record.content["by"] == "dana" and record.content["links"] == "1-3"
    assert other.content["action"] == "prune" and other.content["links"] == "1"
    # What a checkpoint says is held as all else.
    base.execute("UPDATE checkpoints SET \"by\" = 'eve'")
    assert [one for one in faults(linked) if "checkpoint" in one and "changed: by" in one]


def test_what_is_erased_without_a_checkpoint_is_a_fault(base: Base, linked: SqlStore) -> None:
    (attempt, *_) = ids_of(linked, "attempts")
    with suppress(ZeroDivisionError), erasing(linked) as gone:
        gone.rows("attempt", [attempt])
        raise ZeroDivisionError  # then nothing is written
    assert faults(linked) == []
    with erasing(linked) as gone:
        gone.rows("attempt", [attempt])
        linked._session.tell(f"DELETE FROM attempts WHERE id = {attempt}")
    assert faults(linked) == []
    base.execute("DELETE FROM links WHERE kind = 'checkpoint'")
    base.execute("DELETE FROM checkpoints")
    assert faults(linked)[-1].endswith("no checkpoint says who erased what links 1 held")


def test_several_couriers_make_one_chain(base: Base) -> None:
    stores = [base.open() for _ in range(3)]
    try:
        for number in range(20):
            settled(stores[0], f"ev-{number}")

        def link(store: SqlStore) -> None:
            for _ in range(30):
                store.link(3, AT)

        threads = [threading.Thread(target=link, args=[store]) for store in stores]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        while stores[0].link(100, AT):  # one that finds another at it leaves it alone
            pass
        assert faults(stores[0]) == []
        assert [one.length for one in stores[0].heads()] == [40]
    finally:
        for store in stores:
            store.close()


class KilledError(Exception):
    """The process dies here."""


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(1, 4), st.integers(0, 8)), max_size=12))
@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_couriers_that_are_killed_leave_one_whole_chain(
    kind: str, steps: list[tuple[int, int, int]]
) -> None:
    """Each step: which courier links, how many, and at which of its statements it dies."""
    with TemporaryDirectory() as folder:
        base = sqlite_base(folder) if kind == "sqlite" else postgres_base()
        stores = [base.open(), base.open()]
        try:
            for number, (which, many, dies_at) in enumerate(steps):
                settled(stores[0], f"ev-{number}")
                with suppress(KilledError), stores[which].transaction():
                    dying: Any = Dying(stores[which]._session, dies_at)
                    chain.link(dying, many, AT)
            while stores[1].link(100, AT):
                pass
            assert faults(stores[0]) == []
            assert sum(one.length for one in stores[0].heads()) == 2 * len(steps)
        finally:
            for store in stores:
                store.close()


class Dying:
    """A session that does so much and no more."""

    def __init__(self, session: Any, statements: int) -> None:
        self._session = session
        self._left = statements

    def __getattr__(self, name: str) -> Any:
        self._left -= 1
        if self._left == 0:
            raise KilledError
        return getattr(self._session, name)
