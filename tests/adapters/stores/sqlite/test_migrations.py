"""Every schema that was ever released is brought up to date, with what is recorded in it."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlite_utils import Database

from evidence_courier.adapters.stores.sqlite import SqliteStore
from evidence_courier.adapters.stores.sqlite.schema import APPLICATION_ID, migrations
from evidence_courier.domain.upload.upload import Sending
from evidence_courier.ports.records import Begun
from evidence_courier.testing.contracts.stored import AT, entry, started

STEPS = (
    "m001_records",
    "m002_gates_and_owners",
    "m003_holders_and_bundles",
    "m004_turns",
    "m005_decisions",
)
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
        migrations.apply(db, stop_before=following[0])
    else:
        migrations.apply(db)
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


def test_the_steps_are_those_that_were_released() -> None:
    with Database(memory=True) as empty:
        assert tuple(step.name for step in migrations.pending(empty)) == STEPS


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
        ours = store.register(AT)
        # Whoever had it in flight is gone, and is found out.
        (dead,) = store.dead(ours)
        (found,) = store.in_flight(dead)
        assert isinstance(found.upload.state, Sending)
        (key,) = store.due(AT, 10)
        ((begun,),) = store.begin([[started(store.get([key])[key].upload)]])
        assert isinstance(begun, Begun)
        new = entry("new")
        store.add([new])
        assert store.get([new.upload.key])
    finally:
        store.close()


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
