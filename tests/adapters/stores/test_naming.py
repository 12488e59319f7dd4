"""No text column is forgotten when a person is erased: a new one is said to name no one, or is
searched."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

from evidence_courier.adapters.stores.sql import naming, removing
from evidence_courier.adapters.stores.sqlite import SqliteStore

NAMES_NO_ONE = {
    "uploads": "tenant_id provider state status due started_at resend_at taken_at reason digest "
    "evidence_date created_at updated_at last_attempt_at parked_at tried_since reopened_at "
    "error_kind outcome recorded_at submitted_digest document_sha256 document_media_type "
    "document_file credential erased_at pruned_at",
    "attempts": "started_at ended_at verdict kind not_before credential",
    "look_ups": "at finding",
    "actions": "at action tenant_id",
    "couriers": "host boot lock enlisted_at beat_at",
    "gates": "credential paused_since paused_until held_since wanted_at head_since backfill_at",
    "slots": "credential at until",
    "turns": "credential until",
    "blocks": "address tenant_id provider at kind until",
    "keys": "name",
    "tallies": "tenant_id provider status kind last_at word error_kind",
    "links": "tenant_id time kind fields record hash",  # of what was erased a hash without its salt
    "heads": "tenant_id hash time",
    "checkpoints": "tenant_id at action links",
    "removals": "at tenant_id action subject",  # a keyed hash
    "pauses": "tenant_id provider at ended_at",
    "notices": "sink notice due",
    "notice_notes": "name value",
    "_sqlite_migrations": "migration_set name applied_at",
}
FORGOTTEN = {
    "uploads": set(re.findall(r"(\w+) =", removing._FORGET_PERSON[0].then)),
    "attempts": set(re.findall(r"(\w+) =", removing._FORGET_PERSON[1].then)),
    "look_ups": set(re.findall(r"(\w+) =", removing._FORGET_PERSON[2].then)),
}


def test_every_text_column_is_searched_or_names_no_one(tmp_path: Path) -> None:
    SqliteStore(str(tmp_path / "courier.db")).close()
    searched: dict[str, set[str]] = {}
    for one in naming.NAMING:
        searched.setdefault(one.table, set()).update(one.names)
    unknown = []
    with closing(sqlite3.connect(tmp_path / "courier.db")) as connection:
        tables = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        for (table,) in connection.execute(tables).fetchall():
            known = {*NAMES_NO_ONE.get(table, "").split()} | searched.get(table, set())
            known |= FORGOTTEN.get(table, set())
            columns = connection.execute(f'PRAGMA table_info("{table}")').fetchall()
            unknown += [
                f"{table}.{name}"
                for _, name, kind, *_ in columns
                if kind == "TEXT" and name not in known
            ]
    assert unknown == [], "may it name a person? then NAMING in sql/naming.py, else NAMES_NO_ONE"
