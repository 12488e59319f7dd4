"""What must never be is found in a PostgreSQL as well, whatever is in its tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from datetime import timedelta
from functools import partial

import psycopg
import pytest
from psycopg.rows import dict_row

from evidence_courier.adapters.stores.postgres import PostgresStore, inspect
from evidence_courier.adapters.stores.postgres.address import set_up
from evidence_courier.adapters.stores.postgres.inspection import NOT_PLAIN
from evidence_courier.adapters.stores.postgres.session import PostgresSession
from evidence_courier.adapters.stores.sql.inspection import breaches_of
from evidence_courier.domain.secrets.secret import Secret
from evidence_courier.testing.contracts.stored import (
    AT,
    begin_each,
    deferred,
    delivered,
    entry,
    started,
)

WRONG = {
    "UPDATE uploads SET spent = 9 WHERE id = 1": "of a budget of",
    "DELETE FROM attempts WHERE upload_id = 3": "nothing is recorded of its end",
    "UPDATE uploads SET owner = 99 WHERE state = 'sending'": "its courier is gone",
    "UPDATE attempts SET number = 7 WHERE upload_id = 1": "acme/ev-1 to sprinto",
    "UPDATE uploads SET state = 'odd' WHERE id = 1": "its record cannot be read",
    "UPDATE counts SET number = number + 3 WHERE word = 'succeeded'": "counted as such",
    "INSERT INTO actions (upload_id, at, action, by, reason) VALUES (99, now(), 'r', 'a', 'b')":
        "of actions belongs to no row of uploads",
    "UPDATE uploads SET receipt_message = 'the key is s3cr3t-value' WHERE id = 1":
        "row 1 of uploads shows a secret in receipt_message",
    "INSERT INTO blocks (address, tenant_id, provider, at, kind, message)"
    " VALUES ('an address', 't', 'p', now(), 'unauthorized', 's3cr3t-value')":
        "row an address of blocks shows a secret in message",
}  # fmt: skip
ODD: Mapping[str, tuple[object, ...]] = {
    "text": (None, "", "x", "unclear", "deferred", "delivered", "sending", "waiting", "failed"),
    "bigint": (None, -1, 0, 1, 2, 3, 99),
    "integer": (None, -1, 0, 500),
    "boolean": (None, True, False),
    "timestamp with time zone": (None, "2026-02-21T10:00:00Z", "2031-01-01T10:00:00Z"),
    "date": (None, "2026-02-21"),
}


@pytest.fixture
def settled(dsn: str) -> Iterator[str]:
    """A database with two uploads that have succeeded, one of them at its second attempt, one that
    waits, and one under way."""
    with closing(PostgresStore(dsn)) as store:
        entries = [entry(f"ev-{number}") for number in (1, 2, 3, 4)]
        courier = store.heartbeat(None, AT)
        store.add(entries)
        begins = [started(one.upload, courier_id=courier) for one in entries]
        begin_each(store, begins)
        again = [deferred(one.upload) for one in begins[1:3]]
        store.save([delivered(begins[0].upload), *again])
        second = started(again[0].upload, AT + timedelta(minutes=1), courier_id=courier)
        begin_each(store, [second])
        store.save([delivered(second.upload, AT + timedelta(minutes=1))])
        yield dsn


@pytest.fixture
def by_hand(settled: str) -> Iterator[psycopg.Connection[dict[str, object]]]:
    """A session of another's on it."""
    with psycopg.Connection[dict[str, object]].connect(settled, row_factory=dict_row) as connection:
        set_up(connection)
        connection.commit()
        yield connection


def test_what_the_store_writes_is_sound(settled: str) -> None:
    told: list[tuple[int, int]] = []
    found = inspect(settled, progress=lambda done, of: told.append((done, of)))
    assert (found.uploads, found.attempts, found.breaches) == (4, 4, ())
    assert told == [(0, 4), (4, 4)]


def test_a_courier_that_starts_meanwhile_is_not_gone(store: PostgresStore, dsn: str) -> None:
    store.add([entry()])
    starts_sending = partial(register_and_begin, store)
    assert inspect(dsn, progress=starts_sending).breaches == ()


def register_and_begin(store: PostgresStore, done: int, of: int) -> None:
    """Before the uploads are looked at."""
    if done < of:
        courier = store.heartbeat(None, AT)
        begin_each(store, [started(entry().upload, courier_id=courier)])


@pytest.mark.parametrize(("statement", "what"), WRONG.items(), ids=str)
def test_each_kind_of_breach_is_found(settled: str, statement: str, what: str) -> None:
    with psycopg.connect(settled) as connection:
        connection.execute("SET search_path = evidence_courier")
        connection.execute(statement.encode())
    found = inspect(settled, secrets=[Secret("s3cr3t-value")])
    assert any(what in str(breach) for breach in found.breaches), found.breaches


@pytest.mark.parametrize("table", ["uploads", "attempts"])
def test_nothing_is_plain_that_is_wrong(
    by_hand: psycopg.Connection[dict[str, object]], table: str
) -> None:
    session = PostgresSession(by_hand)
    columns = session.ask(
        "SELECT column_name AS name, data_type AS kind FROM information_schema.columns"
        f" WHERE table_schema = 'evidence_courier' AND table_name = '{table}'"
        " AND column_name <> 'id'"
    )
    wrong_ones = 0
    for column in columns:
        for value in ODD.get(column["kind"], (None,)):
            with suppress(psycopg.Error, _UndoneError), by_hand.transaction():
                session.tell(f"UPDATE {table} SET {column['name']} = :value", {"value": value})
                rows = session.ask("SELECT * FROM uploads ORDER BY id")
                wrong = {
                    row["id"]
                    for row in rows
                    if any(breaches_of(session, [row], lambda courier: True))
                }
                suspected = session.ask(NOT_PLAIN, {"first": 1, "last": 9})
                assert wrong <= {row["id"] for row in suspected}, (column, value)
                wrong_ones += len(wrong)
                raise _UndoneError
    assert wrong_ones > 20  # the test would see it


class _UndoneError(Exception):
    """What was changed is undone."""
