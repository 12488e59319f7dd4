"""What SQL tells to be plainly right is right by the domain's rules, whatever is in the tables."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest
from sqlite_utils import Database

from evidence_courier.adapters.stores.sql.inspection import breaches_of
from evidence_courier.adapters.stores.sqlite import SqliteStore, inspection
from evidence_courier.adapters.stores.sqlite.inspection import NOT_PLAIN
from evidence_courier.adapters.stores.sqlite.session import SqliteSession
from evidence_courier.domain.upload.failure import FailureKind
from evidence_courier.testing.contracts.stored import AT as NOW
from evidence_courier.testing.contracts.stored import begin_each, entry, started

ODD = (
    *(None, "", "x", "unclear", "processing", "deferred", "delivered", "retrying", "sending"),
    *("waiting", "skipped", "timeout", "unknown_status", "2026-13-45T10:00:00.000000Z"),
    *("2026-02-30T10:00:00.000000Z", "2026-02-21T24:00:00.000000Z", "2026-02-21T10:00:00.000000X"),
    *("2026-02-21T10:00:00.000   Z", "2026-02-21TT0:00:00.000000Z", "2026-02-21T10:00:00Z"),
    *("2031-01-01T10:00:00.000000Z", "2026-02-21", -1, 0, 1, 2, 3, 99, 0.5),
)
AT = "2026-02-21T10:00:00.000000Z"
SETTLED = {
    **dict.fromkeys(("tenant_id", "session_id", "subject"), "acme"),
    **dict.fromkeys(("digest", "submitted_digest", "document_sha256"), "d"),
    **dict.fromkeys(("created_at", "updated_at", "recorded_at", "last_attempt_at"), AT),
    **dict.fromkeys(("doubt", "possible_duplicate", "alone"), 0),
    "provider": "sprinto",
    "version": 5,
    "attempts": 2,
    "spent": 2,
    "budget": 5,
    "evidence_date": "2026-02-21",
    "outcome": "passed",
    "settings": "{}",
    "document_size": 3,
    "document_media_type": "application/pdf",
    "owner": 1,
}
ENDS = {
    "succeeded": {"receipt_message": "taken"},
    "failed": {"reason": "exhausted", "error_kind": "server_error", "error_message": "no"},
}


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """One upload of each end, with two attempts each, and nothing unusual."""
    path = tmp_path_factory.mktemp("plain") / "courier.db"
    SqliteStore(str(path)).close()
    with Database(path) as db:
        for number, (state, own) in enumerate(ENDS.items(), 1):
            named = {"id": number, "evidence_id": state, "state": state, "status": state}
            db.table("uploads").insert(SETTLED | named | own)
            attempt = {"upload_id": number, "started_at": AT, "ended_at": AT}
            failed = {"verdict": "deferred", "kind": "server_error", "message": "no"}
            db.table("attempts").insert(attempt | failed | {"number": 1})
            last = (
                {"verdict": "delivered", "receipt_message": "taken"}
                if state == "succeeded"
                else failed
            )
            db.table("attempts").insert(attempt | last | {"number": 2})
        db.conn.commit()
        yield db


@contextmanager
def changed(db: Database, statement: str, *given: object) -> Iterator[None]:
    """The database after this statement, which is undone afterwards."""
    db.conn.execute("BEGIN")
    try:
        db.conn.execute(statement, given)
        yield
    finally:
        db.conn.rollback()


def not_plain(db: Database) -> set[int]:
    return {row["id"] for row in db.query(NOT_PLAIN, {"first": 1, "last": 9})}


def wrong(db: Database) -> set[int]:
    """The uploads in which the domain's rules find something, or that cannot be read."""
    rows = list(db.query("SELECT * FROM uploads"))
    session = SqliteSession(db.conn)
    return {row["id"] for row in rows if any(breaches_of(session, [row], lambda courier: True))}


def test_what_is_as_usual_is_plain(db: Database) -> None:
    assert not_plain(db) == set()
    assert wrong(db) == set()


@pytest.mark.parametrize("table", ["uploads", "attempts"])
def test_nothing_is_plain_that_is_wrong(db: Database, table: str) -> None:
    columns = [column.name for column in db.table(table).columns if column.name != "id"]
    found_wrong = 0
    for column in columns:
        for value in ODD:
            update = f'UPDATE {table} SET "{column}" = ? WHERE id IN (1, 2)'
            # Some values the table refuses.
            with suppress(sqlite3.IntegrityError), changed(db, update, value):
                found = wrong(db)
                found_wrong += len(found)
                assert found <= not_plain(db), (column, value)
    assert found_wrong > 50  # the test would see it


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM attempts WHERE id = 3",
        "INSERT INTO attempts SELECT 90, upload_id, 3, started_at, ended_at, verdict, kind,"
        " message, http_status, retry_after, detail, receipt_reference, receipt_message,"
        " request_id, not_before, credential FROM attempts WHERE id = 1",
        "INSERT INTO actions VALUES (1, 1, 'x', 'retry', 'a', 'r', 'other')",
        "INSERT INTO look_ups VALUES (1, 1, 1, 'x', 'absent', NULL)",
    ],
)
def test_a_history_that_is_wrong_is_not_plain(db: Database, statement: str) -> None:
    with changed(db, statement):
        assert set() < wrong(db) <= not_plain(db)


def test_each_doubtful_kind_is_looked_at(db: Database) -> None:
    for kind in FailureKind:
        with changed(db, "UPDATE attempts SET kind = ? WHERE id = 1", kind.value):
            assert (1 in not_plain(db)) >= kind.doubtful


def test_invariants_find_what_is_miscounted(tmp_path: Path) -> None:
    path = str(tmp_path / "courier.db")
    SqliteStore(path).close()
    with closing(sqlite3.connect(path)) as connection:
        row = "('acme', 'vanta', 'held', 'timeout', 3, '')"
        connection.execute(f"INSERT INTO tallies VALUES {row}")
        connection.commit()
    (found,) = inspection.inspect(path).breaches
    counted = "0 uploads of acme to vanta are held with timeout, and 3 are counted as such"
    assert str(found) == counted


def test_an_inspection_tells_how_far_it_is(tmp_path: Path) -> None:
    path = str(tmp_path / "courier.db")
    SqliteStore(path).close()
    told: list[tuple[int, int]] = []
    inspection.inspect(path, progress=lambda done, of: told.append((done, of)))
    assert told == [(0, 0)]


def test_a_courier_that_starts_meanwhile_is_not_gone(tmp_path: Path) -> None:
    path = str(tmp_path / "courier.db")
    with closing(SqliteStore(path)) as store:
        store.add([entry()])

        def register_and_begin(done: int, of: int) -> None:
            if done < of:
                courier = store.heartbeat(None, NOW)
                begin_each(store, [started(entry().upload, courier_id=courier)])

        assert inspection.inspect(path, progress=register_and_begin).breaches == ()
