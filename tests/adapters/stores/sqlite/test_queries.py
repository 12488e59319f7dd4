"""No question is answered by looking at every record: each has its index, and none sorts."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from itertools import product

import pytest

from evidence_courier.adapters.stores.sql import health, lists, reads, statements
from evidence_courier.adapters.stores.sql.session import Batch
from evidence_courier.adapters.stores.sqlite import SqliteStore
from evidence_courier.adapters.stores.sqlite.session import SqliteSession, text_of
from evidence_courier.domain.health import OPEN
from evidence_courier.domain.upload.find import Find, Place, place_after, token_of
from evidence_courier.domain.upload.upload import Status
from evidence_courier.testing.contracts.stored import AT, entry, tried

# What stands in the plan of a query that reads a whole table, or sorts what it has read.
SLOW = (
    "SCAN uploads",
    "SCAN attempts",
    "SCAN actions",
    "SCAN documents",
    "TEMP B-TREE",
    "AUTOMATIC",
)
PIECES = (1, 2, 64)
LATER = AT + timedelta(days=1)


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    """A database with some records of two tenants, as any connection sees it."""
    path = str(tmp_path_factory.mktemp("queries") / "courier.db")
    with closing(SqliteStore(path)) as store:
        entries = [
            entry(
                f"ev-{number}",
                tenant_id=f"tenant-{number % 2}",
                at=AT + timedelta(seconds=number),
            )
            for number in range(100)
        ]
        store.add(entries)
        for one in entries[:2]:
            tried(store, one.upload, 1)
        with closing(sqlite3.connect(path)) as connection:
            yield connection


def plan(connection: sqlite3.Connection, sql: str, given: object) -> str:
    rows = connection.execute(f"EXPLAIN QUERY PLAN {sql}", given)  # type: ignore[arg-type]
    return "; ".join(str(row[3]) for row in rows)


FINDS = [
    Find(tenant_id=tenant_id, statuses=statuses, kind=kind, provider=provider, since=since, **rest)  # type: ignore[arg-type]
    for tenant_id, statuses, kind, provider, since, rest in product(
        (None, "tenant-1"),
        ((), [Status.RETRYING], OPEN),
        (None, "rate_limited"),
        (None, "sprinto"),
        (None, AT),
        ({}, {"until": LATER, "after": token_of(Place(AT, 50))}),
    )
]


@pytest.mark.parametrize("find", FINDS, ids=str)
def test_every_combination_of_filters_has_an_index_that_is_in_order(
    connection: sqlite3.Connection, find: Find
) -> None:
    session, after = SqliteSession(connection), place_after(find)
    question, found = lists.stretches(session, find, after)
    asked = find.statuses or find.kind or find.provider
    assert found if asked else len(found) == 1
    for cells in found:
        given = dict(zip(question.names, cells, strict=True))
        seen = plan(connection, question.question, given)
        if not (find.tenant_id or asked or find.since or find.after):
            # Walked from the newest on, and left after a page.
            assert seen == "SCAN uploads USING COVERING INDEX uploads_newest"
            continue
        assert not any(slow in seen for slow in SLOW), seen
        wanted = [
            *(["tenant_id=?"] if find.tenant_id else []),
            *(["error_kind=?"] if find.kind else []),
            *(["status=? AND provider=?"] if asked else []),
            *(["created_at>?"] if find.since else []),
            *(["created_at<?"] if find.after else []),
        ]
        assert f"({' AND '.join(wanted)})" in seen


@pytest.mark.parametrize(
    ("sql", "given", "index"),
    [
        (
            text_of(reads.STATUSES, 2),
            ("tenant-1", "ev-1", "tenant-1", "ev-2"),
            "(tenant_id=? AND evidence_id=?)",
        ),
        (text_of(reads.STATUSES, 1), ("tenant-1", "ev-1"), "(tenant_id=? AND evidence_id=?)"),
        (
            reads.IN_FLIGHT.question,
            {"owner": 1, "without": "[]", "most": 5},
            "uploads_in_flight (owner=?)",
        ),
        (
            reads.STUCK_OF.question,
            {"tenant_id": "t", "provider": "p", "most": 5},
            "uploads_stuck",
        ),
        (text_of(reads.ASKING, 1), ("a",), "turns_of_credential (credential=?)"),
        (text_of(statements.GATES, 1), ("a",), "sqlite_autoindex_gates_1 (credential=?)"),
        (reads.LOOK_UPS, {"id": 1}, "look_ups_of_upload (upload_id=?)"),
        (reads.HISTORY, {"id": 1}, "attempts_of_upload (upload_id=?)"),
        (reads.ACTIONS, {"id": 1}, "actions_of_upload (upload_id=?)"),
        (
            lists.providers("uploads_by_status").question,
            {"status": "failed"},
            "COVERING INDEX uploads_by_status (status=? AND provider>?)",
        ),
        (
            lists.beginning_so(("id",), ("failed",), "prefix", "beyond").question,
            {"prefix": "ev", "beyond": "ev?"},
            "(tenant_id=? AND evidence_id>? AND evidence_id<?)",
        ),
        *(
            (each.question, dict.fromkeys(each.names, "x"), f"INDEX {index} (tenant_id=? AND")
            for each, index in (
                (lists.COUNTED, "uploads_of_tenant_by_status"),
                (lists.COUNTED_WITH_ERROR, "uploads_of_tenant_by_kind"),
            )
        ),
        (
            health.OLDEST.question,
            dict.fromkeys(health.OLDEST.names, "x"),
            "INDEX uploads_open (tenant_id=? AND status=? AND provider=? AND <expr>=?)",
        ),
    ],
)
def test_every_question_has_its_index(
    connection: sqlite3.Connection,
    sql: str,
    given: dict[str, object] | tuple[object, ...],
    index: str,
) -> None:
    seen = plan(connection, sql, given)
    assert index in seen
    assert not any(slow in seen for slow in SLOW), seen


def test_the_oldest_is_found_at_once_among_what_was_retried(connection: sqlite3.Connection) -> None:
    given = {"tenant_id": "tenant-1", "status": "pending", "provider": "sprinto", "kind": ""}
    steps = list[int]()
    connection.set_progress_handler(lambda: steps.append(1), 1)
    (row,) = connection.execute(health.OLDEST.question, given)
    of_fresh = len(steps)
    connection.execute("UPDATE uploads SET reopened_at = '2026-03-01' WHERE id <> ?", [row[0]])
    connection.execute("UPDATE uploads SET created_at = '2026-02-28' WHERE id = ?", [row[0]])
    steps.clear()
    assert [*connection.execute(health.OLDEST.question, given)] == [(row[0], "2026-02-28")]
    connection.set_progress_handler(None, 1)
    connection.rollback()
    assert len(steps) == of_fresh


@pytest.mark.parametrize(
    ("sql", "given", "index"),
    [
        (reads.LINES, {"before": "2026"}, "INDEX uploads_in_line"),
        (
            reads.LINE.question,
            {"credential": "a", "before": "2026", "most": 5, "written_after": "", "without": "[]"},
            "INDEX uploads_in_line (credential=? AND due<?)",
        ),
        (reads.SENDERS, {}, "INDEX uploads_in_flight"),
        (reads.STUCK, {}, "INDEX uploads_stuck"),
    ],
)
def test_what_is_asked_in_the_background_looks_only_at_what_is_open(
    connection: sqlite3.Connection,
    sql: str,
    given: dict[str, object] | tuple[object, ...],
    index: str,
) -> None:
    assert index in plan(connection, sql, given)


def test_a_place_in_a_line_is_counted_without_a_look_at_the_records(
    connection: sqlite3.Connection,
) -> None:
    for each in (reads.IN_LINE_BETWEEN, statements.LINE_HEAD):
        seen = plan(connection, each.question, dict.fromkeys(each.names))
        assert "COVERING INDEX uploads_in_line (credential=? AND due" in seen, seen


def test_the_counts_are_read_without_a_look_at_the_records(connection: sqlite3.Connection) -> None:
    for question in (reads.COUNTS, reads.ALL_OPEN, lists.TALLIES.format("")):
        assert "uploads" not in plan(connection, question, ())
    counted = connection.execute(lists.TALLIED).fetchall()
    assert connection.execute(reads.COUNTS).fetchall() == [("pending", 98), ("retrying", 2)]
    kept = connection.execute(lists.TALLIES.format("")).fetchall()
    assert sorted(counted) == sorted(row[:-1] for row in kept if row[-2])


def test_a_place_is_looked_for_in_the_line_alone(connection: sqlite3.Connection) -> None:
    seen = plan(connection, reads.STANDS_AT.question, {"credential": None, "place": 5})
    assert seen == "SEARCH uploads USING COVERING INDEX uploads_in_line (credential=? AND due>?)"


ID = "INTEGER PRIMARY KEY (rowid=?)"
KEY = "(tenant_id=? AND evidence_id=? AND provider=?)"


@pytest.mark.parametrize("rows", PIECES)
@pytest.mark.parametrize(
    ("statement", "by"),
    [
        (statements.CURRENT, ID),
        (statements.SELECT_IDS, KEY),
        (statements.UPDATE_UPLOADS, ID),
        (statements.BEGIN_UPLOADS, ID),
        (statements.INSERT_ATTEMPTS, ID),
        (statements.SELECT_CONTENTS, ID),
        (statements.DELETE_DOCUMENTS, ID),
        (statements.END_SLOTS, ID),
        (statements.SELECT_UPLOADS, KEY),
    ],
)
def test_every_write_finds_its_rows_by_their_id_or_key(
    connection: sqlite3.Connection, statement: Batch, by: str, rows: int
) -> None:
    sql = text_of(statement, rows)
    seen = plan(connection, sql, [None] * sql.count("?"))
    assert by in seen
    assert not any(slow in seen for slow in SLOW), seen
