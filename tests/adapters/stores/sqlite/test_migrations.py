"""Every schema that was ever released is brought up to date, with what is recorded in it."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlite_utils import Database

from evidence_courier.adapters.stores.sql import lists
from evidence_courier.adapters.stores.sqlite import SqliteStore
from evidence_courier.adapters.stores.sqlite.opening import APPLICATION_ID
from evidence_courier.adapters.stores.sqlite.schema import STEPS as BY_NAME
from evidence_courier.adapters.stores.sqlite.schema import apply, migrations
from evidence_courier.domain.upload.events import Unfit
from evidence_courier.domain.upload.failure import Failure, FailureKind
from evidence_courier.domain.upload.transitions import Rules, advance
from evidence_courier.domain.upload.upload import Sending, Status
from evidence_courier.ports.records import Begun, Entry
from evidence_courier.testing.contracts.stored import AT, entry, started

STEPS = tuple(BY_NAME)
DOCUMENT = Path(__file__).parents[4] / "docs" / "stored-schemas.md"

COLUMNS = {
    "tenant_id": "acme",
    "provider": "sprinto",
    "version": 2,
    "status": "pending",
    "attempts": 1,
    "spent": 1,
    "doubt": 0,
    "possible_duplicate": 0,
    "alone": 0,
    "digest": "d",
    "evidence_date": "2026-02-21",
    "created_at": "2026-02-21T10:00:00.000000Z",
    "updated_at": "2026-02-21T10:00:00.000000Z",
    "session_id": "s-1",
    "subject": "emp-7",
    "outcome": "passed",
    "recorded_at": "2026-02-21T10:00:00.000000Z",
    "submitted_digest": "d",
    "document_sha256": "d",
    "document_size": 3,
    "document_media_type": "application/pdf",
    "settings": "{}",
}


def old_database(path: Path, last: str) -> None:
    """As the version of that step left it: one upload in flight, one queued."""
    following = STEPS[STEPS.index(last) + 1 :]
    db = Database(path)
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    if following:
        migrations().apply(db, stop_before=following[0])
    else:
        migrations().apply(db)
    queued = COLUMNS | {"evidence_id": "queued", "state": "queued", "due": COLUMNS["created_at"]}
    sending = COLUMNS | {
        "evidence_id": "sending",
        "state": "sending",
        "attempt": 1,
        "started_at": COLUMNS["created_at"],
    }
    owned = {} if last == "m001_records" else {"owner": 7, "budget": 5}
    db.table("uploads").insert(queued | {"attempts": 0, "spent": 0})
    db.table("uploads").insert(sending | owned)
    new = STEPS.index(last) >= STEPS.index("m004_turns")
    names = ("by", "reason") if new else ("who", "why")
    action = {"upload_id": 1, "at": COLUMNS["created_at"], "action": "retry"}
    db.table("actions").insert(action | dict(zip(names, ("asha", "again"), strict=True)))
    ended = {"upload_id": 2, "number": 1, "verdict": "unclear", "kind": "timeout", "message": "?"}
    db.table("attempts").insert(
        ended | {"started_at": COLUMNS["created_at"], "ended_at": COLUMNS["created_at"]}
    )
    if last != "m001_records":
        db.table("look_ups").insert(
            {"upload_id": 2, "read": 1, "at": COLUMNS["created_at"], "finding": "absent"}
        )
    db.conn.commit()
    db.close()


def test_a_new_database_is_what_sqlite_utils_makes_of_an_empty_one() -> None:
    applied = "SELECT id, migration_set, name, length(applied_at) FROM _sqlite_migrations"
    with Database(memory=True) as ours, Database(memory=True) as theirs:
        apply(ours.conn)
        migrations().apply(theirs)
        for asked in ("SELECT * FROM sqlite_master", applied, "SELECT name FROM keys"):
            assert ours.execute(asked).fetchall() == theirs.execute(asked).fetchall()
        assert migrations().pending(ours) == []


def test_each_step_has_a_note_for_those_who_go_from_the_one_before_it() -> None:
    headings = [
        line.removeprefix("## ")
        for line in DOCUMENT.read_text("utf-8").splitlines()
        if line.startswith("## ")
    ]
    assert tuple(headings) == STEPS


@pytest.mark.parametrize("last", STEPS)
def test_what_an_older_version_recorded_is_gone_on_with(tmp_path: Path, last: str) -> None:
    path = tmp_path / "courier.db"
    old_database(path, last)
    store = SqliteStore(str(path))
    try:
        statuses = store.statuses("acme", ["queued", "sending"], AT)
        assert {name: status.attempts for name, status in statuses.items()} == {
            "queued": 0,
            "sending": 1,
        }
        details = store.show("acme", "sending", AT)
        assert details is not None
        assert [row.verdict for row in details.history] == ["unclear"]
        found_before = ["absent"] if last != "m001_records" else []
        assert [row.finding for row in details.look_ups] == found_before
        details = store.show("acme", "queued", AT)
        assert details is not None
        assert [(row.by, row.reason) for row in details.actions] == [("asha", "again")]
        assert store.counts([Status.PENDING]) == {Status.PENDING: 2}
        ours = store.heartbeat(None, AT)
        # Whoever had it in flight is gone, and is found out.
        ((found,),) = store.dead(ours, 9).values()
        assert isinstance(found.upload.state, Sending)
        ((key,),) = store.due(AT, 10).values()
        ((begun,),) = store.begin([[started(store.get([key])[key].upload)]])
        assert isinstance(begun, Begun)
        new = entry("new")
        store.add([new])
        assert store.get([new.upload.key])
    finally:
        store.close()


# What stands in the columns of each state beside those of COLUMNS.
AT_TEXT = COLUMNS["created_at"]
ROWS_BY_STATE: dict[str, dict[str, object]] = {
    "queued": {"status": "pending", "due": AT_TEXT},
    "sending": {"status": "pending", "attempt": 1, "started_at": AT_TEXT, "owner": 7, "budget": 5},
    "waiting": {"status": "retrying", "due": AT_TEXT},
    "confirming": {"status": "retrying", "due": AT_TEXT, "read": 2, "resend_at": AT_TEXT},
    "held": {"status": "held", "progress": "half"},
    "succeeded": {"status": "succeeded", "receipt_reference": "r-1"},
    "failed": {"status": "failed", "reason": "rejected"},
}
SCHEMA = "SELECT name, sql FROM sqlite_master WHERE tbl_name != 'uploads' OR type = 'index'"


def fill(db: Database) -> None:
    """An upload in each state, each with all that may be kept of it."""
    for number, (state, own) in enumerate(ROWS_BY_STATE.items(), 11):
        error = {"error_kind": "unauthorized", "error_message": "no"}
        rest = {"id": number, "evidence_id": state, "state": state, "credential": "c"}
        has_error = state not in ("queued", "sending", "succeeded")
        db.table("uploads").insert(COLUMNS | rest | own | (error if has_error else {}))
        db.table("documents").insert({"upload_id": number, "content": b"%PDF"})
        ended = {"number": 1, "verdict": "unclear", "kind": "timeout", "message": "?"}
        times = {"started_at": AT_TEXT, "ended_at": AT_TEXT}
        db.table("attempts").insert(ended | times | {"upload_id": number})
        found = {"read": 1, "at": AT_TEXT, "finding": "absent"}
        db.table("look_ups").insert(found | {"upload_id": number})
        action = {"at": AT_TEXT, "action": "retry", "by": "asha", "reason": "again"}
        db.table("actions").insert(action | {"upload_id": number})


def everything_in(db: Database) -> dict[str, list[dict[str, object]]]:
    tables = ("uploads", "documents", "attempts", "look_ups", "actions")
    return {table: list(db.query(f"SELECT * FROM {table} ORDER BY rowid")) for table in tables}


def test_a_table_of_uploads_that_is_built_anew_keeps_all(tmp_path: Path) -> None:
    path = tmp_path / "courier.db"
    with Database(path) as db:
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        migrations().apply(db, stop_before="m006_skipped")
        fill(db)
        db.conn.commit()
        with pytest.raises(Exception, match="CHECK constraint failed"):
            db.table("uploads").insert(COLUMNS | {"evidence_id": "x", "state": "skipped"})
        before, schema = everything_in(db), dict(db.execute(SCHEMA).fetchall())
        migrations().apply(db, stop_before="m007_documents_made_later")
        assert dict(db.execute(SCHEMA).fetchall()) == schema
        db.conn.commit()
    store = SqliteStore(str(path))
    try:
        found = store.statuses("acme", list(ROWS_BY_STATE), AT)
        assert {name: one.status for name, one in found.items()} == {
            state: row["status"] for state, row in ROWS_BY_STATE.items()
        }
        new = entry("new")
        excluded = Unfit(AT, Failure(FailureKind.OUTCOME_EXCLUDED, "only passed is sent"))
        store.add([Entry(advance(new.upload, excluded, Rules()), new.dossier, new.content)])
        assert store.counts([Status.SKIPPED]) == {Status.SKIPPED: 1}
    finally:
        store.close()
    with Database(path) as db:
        after = everything_in(db)
        for row in after["uploads"]:
            assert (row.pop("document_path"), row.pop("document_modified")) == (None, None)
            assert (row.pop("parked_at"), row.pop("document_file")) == (None, None)
            assert (row.pop("tried_since"), row.pop("reopened_at")) == (None, None)
            assert (row.pop("erased_at"), row.pop("pruned_at")) == (None, None)
        assert {table: rows[: len(before[table])] for table, rows in after.items()} == before
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        references = {row[2] for row in db.execute("PRAGMA foreign_key_list(documents)").fetchall()}
        assert references == {"uploads"}


def test_what_an_older_courier_writes_meanwhile_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "courier.db"
    old_database(path, "m009_lines_only")
    with Database(path) as older:
        older.execute("SELECT * FROM uploads").fetchall()
        store = SqliteStore(str(path))
        try:
            other = COLUMNS | {"status": "retrying", "state": "waiting", "due": AT_TEXT}
            target = {"error_kind": "check_in_review", "error_message": "closed"}
            older.table("uploads").insert(other | {"evidence_id": "waits"})
            older.table("uploads").insert(other | target | {"evidence_id": "parked"})
            older.conn.commit()
            few = (Status.PENDING, Status.RETRYING, Status.SUCCEEDED)
            assert list(store.counts(few).values()) == [2, 2, 0]
            assert list(store.counts(few, without_parked=True).values()) == [2, 1, 0]
            for statement in (
                "UPDATE uploads SET status = 'succeeded', state = 'succeeded', due = NULL"
                " WHERE evidence_id = 'queued'",
                "UPDATE uploads SET error_kind = 'server_error' WHERE evidence_id = 'parked'",
                "DELETE FROM uploads WHERE evidence_id = 'waits'",
            ):
                older.execute(statement)
            older.conn.commit()
            assert list(store.counts(few, without_parked=True).values()) == [1, 1, 1]
        finally:
            store.close()
        counted = older.execute(lists.TALLIED).fetchall()
        kept = older.execute(lists.TALLIES.format("")).fetchall()
        assert sorted(counted) == sorted(row[:-1] for row in kept if row[-2])


def test_a_database_of_a_newer_version_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "courier.db"
    SqliteStore(str(path)).close()
    with Database(path) as db:
        db.table("_sqlite_migrations").insert(
            {
                "migration_set": "evidence-courier",
                "name": "m999_to_come",
                "applied_at": "2030-01-01",
            }
        )
        db.conn.commit()
    with pytest.raises(Exception, match=r"newer evidence-courier has written it \(m999_to_come\)"):
        SqliteStore(str(path))
