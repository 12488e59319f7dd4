"""What is in the database, as migrations that are applied in order and never edited afterwards.

Moments are text in UTC, `2026-02-21T10:00:00.000000Z`, always 27 characters, so that they sort as
they are. `state` is the state of the domain and decides which of the columns beside it hold
something; `status` is the word for it that people read and filter by. A `confirming` upload with
`taken_at` is undecided: the provider took it at that moment.

Every index serves a question that the store is asked; `id` stands at the end of each of them
without being named, which makes "newest first" a total order. What is small and changes stands
before what is large and does not: SQLite reads a row from its front.
"""

from __future__ import annotations

import re
import secrets
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeAlias

from .later_tables import CHAIN, NOTICES, OPEN, PAUSES, REMOVALS, REOPENED
from .tallies import COUNTS, INDEXES_OF_LISTS, STRICT, TALLIES

if TYPE_CHECKING:
    from sqlite_utils import Migrations

Step: TypeAlias = Callable[[sqlite3.Connection], None]

STEPS: dict[str, Step] = {}
"""The migrations by their names, in order."""


def _step(step: Step) -> Step:
    STEPS[step.__name__] = step
    return step


def _run(db: sqlite3.Connection, *statements: str) -> None:
    """Execute the statements; tables are made strict if this SQLite can do that."""
    for statement in statements:
        is_table = statement.lstrip().startswith("CREATE TABLE")
        db.execute(f"{statement}{STRICT}" if is_table else statement)


_UPLOADS = """
CREATE TABLE uploads (
    id INTEGER PRIMARY KEY,
    tenant_id TEXT NOT NULL, evidence_id TEXT NOT NULL, provider TEXT NOT NULL,
    version INTEGER NOT NULL CHECK (version >= 1),
    state TEXT NOT NULL
        CHECK (state IN
            ('queued', 'sending', 'waiting', 'confirming', 'held', 'succeeded', 'failed')),
    status TEXT NOT NULL CHECK (status IN ('pending', 'retrying', 'held', 'succeeded', 'failed')),
    due TEXT, attempt INTEGER, started_at TEXT, read INTEGER, resend_at TEXT,
    reason TEXT CHECK (reason IN ('rejected', 'exhausted', 'abandoned')),
    attempts INTEGER NOT NULL, spent INTEGER NOT NULL,
    doubt INTEGER NOT NULL CHECK (doubt IN (0, 1)),
    possible_duplicate INTEGER NOT NULL CHECK (possible_duplicate IN (0, 1)),
    alone INTEGER NOT NULL CHECK (alone IN (0, 1)),
    digest TEXT NOT NULL, evidence_date TEXT NOT NULL,
    created_at TEXT NOT NULL, updated_at TEXT NOT NULL, last_attempt_at TEXT,
    progress TEXT,
    error_kind TEXT, error_http_status INTEGER, error_retry_after REAL,
    receipt_reference TEXT, receipt_message TEXT,
    error_message TEXT, error_detail TEXT,
    session_id TEXT NOT NULL, subject TEXT NOT NULL, subject_email TEXT,
    outcome TEXT NOT NULL CHECK (outcome IN ('passed', 'exhausted')),
    recorded_at TEXT NOT NULL, submitted_digest TEXT NOT NULL,
    document_sha256 TEXT NOT NULL, document_size INTEGER NOT NULL,
    document_media_type TEXT NOT NULL, document_filename TEXT, document_source TEXT,
    settings TEXT NOT NULL,
    UNIQUE (tenant_id, evidence_id, provider),
    CHECK ((due IS NOT NULL) = (state IN ('queued', 'waiting', 'confirming')))
)
"""

_ATTEMPTS = """
CREATE TABLE attempts (
    id INTEGER PRIMARY KEY,
    upload_id INTEGER NOT NULL REFERENCES uploads (id),
    number INTEGER NOT NULL, started_at TEXT NOT NULL, ended_at TEXT NOT NULL,
    verdict TEXT NOT NULL
        CHECK (verdict IN
            ('delivered', 'rejected', 'unbundled', 'deferred', 'unclear', 'recovered')),
    kind TEXT, message TEXT, http_status INTEGER, retry_after REAL, detail TEXT,
    receipt_reference TEXT, receipt_message TEXT, request_id TEXT
)
"""

_DOCUMENTS = """
CREATE TABLE documents (
    upload_id INTEGER PRIMARY KEY REFERENCES uploads (id),
    content BLOB NOT NULL
)
"""

_ACTIONS = """
CREATE TABLE actions (
    id INTEGER PRIMARY KEY,
    upload_id INTEGER NOT NULL REFERENCES uploads (id),
    at TEXT NOT NULL,
    action TEXT NOT NULL CHECK (action IN ('retry', 'release', 'abandon', 'attest')),
    who TEXT NOT NULL, why TEXT NOT NULL
)
"""

_INDEXES = (
    "CREATE INDEX uploads_newest ON uploads (created_at)",
    "CREATE INDEX uploads_of_tenant ON uploads (tenant_id, created_at)",
    "CREATE INDEX uploads_by_status ON uploads (status, created_at)",
    "CREATE INDEX uploads_of_tenant_by_status ON uploads (tenant_id, status, created_at)",
    "CREATE INDEX uploads_due ON uploads (due) WHERE due IS NOT NULL",
    "CREATE INDEX attempts_of_upload ON attempts (upload_id)",
    "CREATE INDEX actions_of_upload ON actions (upload_id)",
)


@_step
def m001_records(db: sqlite3.Connection) -> None:
    """Uploads, their attempts, their staged documents, and what people did to them."""
    _run(db, _UPLOADS, _ATTEMPTS, _DOCUMENTS, _ACTIONS, *_INDEXES)


_COURIERS = """
CREATE TABLE couriers (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    host TEXT NOT NULL, boot TEXT NOT NULL, pid INTEGER NOT NULL, lock TEXT,
    enlisted_at TEXT NOT NULL, beat INTEGER NOT NULL, beat_at TEXT NOT NULL
)
"""

_GATES = """
CREATE TABLE gates (
    credential TEXT PRIMARY KEY,
    pace_limit INTEGER, pace_seconds REAL,
    paused_since TEXT, paused_until TEXT
)
"""

_SLOTS = """
CREATE TABLE slots (
    id INTEGER PRIMARY KEY,
    credential TEXT NOT NULL, at TEXT NOT NULL, until TEXT NOT NULL
)
"""

_BLOCKS = """
CREATE TABLE blocks (
    address TEXT PRIMARY KEY,
    tenant_id TEXT NOT NULL, provider TEXT NOT NULL, at TEXT NOT NULL,
    kind TEXT NOT NULL, message TEXT NOT NULL, http_status INTEGER
)
"""

_LOOK_UPS = """
CREATE TABLE look_ups (
    id INTEGER PRIMARY KEY,
    upload_id INTEGER NOT NULL REFERENCES uploads (id),
    read INTEGER NOT NULL, at TEXT NOT NULL,
    finding TEXT NOT NULL CHECK (finding IN ('found', 'partly', 'absent', 'unreadable')),
    message TEXT
)
"""

_KEYS = "CREATE TABLE keys (name TEXT PRIMARY KEY, value BLOB NOT NULL)"

# `credential` and `address` are keyed fingerprints; the key lives in this file only. `owner` is the
# courier that has an upload in flight.
_COLUMNS = (
    "ALTER TABLE uploads ADD COLUMN owner INTEGER",
    "ALTER TABLE uploads ADD COLUMN credential TEXT",
    "ALTER TABLE uploads ADD COLUMN budget INTEGER",
    "ALTER TABLE attempts ADD COLUMN not_before TEXT",
    "ALTER TABLE attempts ADD COLUMN credential TEXT",
    "ALTER TABLE actions ADD COLUMN tenant_id TEXT",
    # Who had these in flight left no word: no courier is number 0.
    "UPDATE uploads SET owner = 0 WHERE state = 'sending'",
)

_MORE_INDEXES = (
    "CREATE INDEX uploads_in_line ON uploads (credential, due) WHERE due IS NOT NULL",
    "CREATE INDEX uploads_in_flight ON uploads (owner) WHERE state = 'sending'",
    "CREATE INDEX uploads_held_for_integration ON uploads (tenant_id, provider)"
    " WHERE state = 'held'"
    " AND error_kind IN ('unauthorized', 'target_not_found', 'integration_gone')",
    "CREATE INDEX slots_of_credential ON slots (credential, at)",
    "CREATE INDEX blocks_of_tenant ON blocks (tenant_id, provider)",
    "CREATE INDEX look_ups_of_upload ON look_ups (upload_id)",
)


@_step
def m002_gates_and_owners(db: sqlite3.Connection) -> None:
    """Pace, pauses and blocks for each credential; who has what in flight; look-ups."""
    tables = (_COURIERS, _GATES, _SLOTS, _BLOCKS, _LOOK_UPS, _KEYS)
    _run(db, *tables, *_COLUMNS, *_MORE_INDEXES)
    db.execute(
        "INSERT INTO keys (name, value) VALUES ('fingerprint', ?)", [secrets.token_bytes(32)]
    )


# `holder` is the courier that has a credential which only one may use; `together` how many uploads
# travel in one request.
_OF_GATES = (
    "ALTER TABLE gates ADD COLUMN together INTEGER NOT NULL DEFAULT 1",
    "ALTER TABLE gates ADD COLUMN holder INTEGER",
    "ALTER TABLE gates ADD COLUMN held_since TEXT",
    "ALTER TABLE gates ADD COLUMN wanted_at TEXT",
)


@_step
def m003_holders_and_bundles(db: sqlite3.Connection) -> None:
    """Who holds a credential that only one courier may use; how many uploads travel together."""
    _run(db, *_OF_GATES)


# An attempt or a look-up under way, as long as a slot may be owed to it. `waits`: for a slot.
_TURNS = """
CREATE TABLE turns (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    credential TEXT NOT NULL, owner INTEGER NOT NULL, upload_id INTEGER, owed INTEGER NOT NULL,
    waits INTEGER NOT NULL CHECK (waits IN (0, 1)),
    until TEXT NOT NULL
)
"""

# `cost` is how many requests an upload takes; `head` is the upload that was seen at the head of the
# credential's line, since `head_since`.
_SLOTS_BY_REQUEST = (
    "CREATE INDEX turns_of_credential ON turns (credential, id)",
    "ALTER TABLE gates ADD COLUMN cost INTEGER NOT NULL DEFAULT 1",
    "ALTER TABLE gates ADD COLUMN head INTEGER",
    "ALTER TABLE gates ADD COLUMN head_since TEXT",
    'ALTER TABLE actions RENAME COLUMN who TO "by"',
    "ALTER TABLE actions RENAME COLUMN why TO reason",
)


@_step
def m004_turns(db: sqlite3.Connection) -> None:
    """What has begun, and what it is owed; people's actions in the words of today."""
    _run(db, _TURNS, *_SLOTS_BY_REQUEST)


# Built anew without the lists of words that were allowed for a verdict and for a finding: the code
# knows them, and a list in a table cannot be made longer.
_BUILT_ANEW = {
    "attempts": """
CREATE TABLE attempts (
    id INTEGER PRIMARY KEY,
    upload_id INTEGER NOT NULL REFERENCES uploads (id),
    number INTEGER NOT NULL, started_at TEXT NOT NULL, ended_at TEXT NOT NULL,
    verdict TEXT NOT NULL,
    kind TEXT, message TEXT, http_status INTEGER, retry_after REAL, detail TEXT,
    receipt_reference TEXT, receipt_message TEXT, request_id TEXT,
    not_before TEXT, credential TEXT
)
""",
    "look_ups": """
CREATE TABLE look_ups (
    id INTEGER PRIMARY KEY,
    upload_id INTEGER NOT NULL REFERENCES uploads (id),
    read INTEGER NOT NULL, at TEXT NOT NULL, finding TEXT NOT NULL, message TEXT
)
""",
}


@_step
def m005_decisions(db: sqlite3.Connection) -> None:
    """Verdicts and findings of providers that decide later; uploads held for a locked account."""
    for table, statement in _BUILT_ANEW.items():
        _build_anew(db, table, statement)
    _run(
        db,
        "ALTER TABLE uploads ADD COLUMN taken_at TEXT",
        "DROP INDEX uploads_held_for_integration",
        "CREATE INDEX uploads_held_for_integration ON uploads (tenant_id, provider)"
        " WHERE state = 'held' AND error_kind IN"
        " ('unauthorized', 'target_not_found', 'account_locked', 'integration_gone')",
    )


def _build_anew(db: sqlite3.Connection, table: str, statement: str) -> None:
    """Make a table of an upload's history as the statement says, with the rows of the old one."""
    _run(
        db,
        f"ALTER TABLE {table} RENAME TO old_{table}",
        statement,
        f"INSERT INTO {table} SELECT * FROM old_{table}",
        f"DROP TABLE old_{table}",
        f"CREATE INDEX {table}_of_upload ON {table} (upload_id)",
    )


@_step
def m006_skipped(db: sqlite3.Connection) -> None:
    """Uploads that were skipped: built anew without the lists of states and of statuses, as the
    code knows them. What refers to an upload goes on to refer to it."""
    indexes = "SELECT sql FROM sqlite_master WHERE type = 'index' AND tbl_name = 'uploads'"
    statements = [sql for (sql,) in db.execute(f"{indexes} AND sql IS NOT NULL").fetchall()]
    (table,) = db.execute("SELECT sql FROM sqlite_master WHERE name = 'uploads'").fetchone()
    text = re.sub(r"\s*CHECK \((state|status) IN\s*\([^)]*\)\)", "", table)
    db.execute(text.replace("CREATE TABLE uploads", "CREATE TABLE new_uploads"))
    _run(
        db,
        "INSERT INTO new_uploads SELECT * FROM uploads",
        "DROP TABLE uploads",
        "ALTER TABLE new_uploads RENAME TO uploads",
        *statements,
    )


@_step
def m007_documents_made_later(db: sqlite3.Connection) -> None:
    """The file that a document is made of; uploads held for an invalid tenant file."""
    _run(
        db,
        "ALTER TABLE uploads ADD COLUMN document_path TEXT",
        "ALTER TABLE uploads ADD COLUMN document_modified INTEGER",
        "DROP INDEX uploads_held_for_integration",
        "CREATE INDEX uploads_held_for_integration ON uploads (tenant_id, provider)"
        " WHERE state = 'held' AND error_kind IN ('unauthorized', 'target_not_found',"
        " 'account_locked', 'integration_gone', 'integration_invalid')",
    )


# Built anew without its list of words, as those above. `by` is the courier for what it does itself.
_ACTIONS_ANEW = """
CREATE TABLE actions (
    id INTEGER PRIMARY KEY,
    upload_id INTEGER NOT NULL REFERENCES uploads (id),
    at TEXT NOT NULL, action TEXT NOT NULL, "by" TEXT NOT NULL, reason TEXT NOT NULL,
    tenant_id TEXT
)
"""

# `parked_at` is since when an upload's target has taken nothing, `until` when the next one asks.
_PARKING = (
    "ALTER TABLE uploads ADD COLUMN parked_at TEXT",
    "ALTER TABLE blocks ADD COLUMN until TEXT",
    "DROP INDEX uploads_held_for_integration",
    "CREATE INDEX uploads_stuck ON uploads (tenant_id, provider)"
    " WHERE state IN ('held', 'failed') AND error_kind IN"
    " ('unauthorized', 'target_not_found', 'account_locked', 'integration_gone',"
    " 'integration_invalid', 'unknown_status')"
    " OR state = 'waiting' AND error_kind IN ('check_in_review')",
)


@_step
def m008_parked_targets(db: sqlite3.Connection) -> None:
    """Targets that take nothing now; what goes on by itself once an integration works again."""
    _build_anew(db, "actions", _ACTIONS_ANEW)
    _run(db, *_PARKING)


@_step
def m009_lines_only(db: sqlite3.Connection) -> None:
    """What is due is asked for by its line: nothing reads the index of all that is due."""
    db.execute("DROP INDEX uploads_due")


@_step
def m010_counts(db: sqlite3.Connection) -> None:
    """How many uploads have each status, kept with each write."""
    _run(db, *COUNTS)


@_step
def m011_document_files(db: sqlite3.Connection) -> None:
    """The files of large documents."""
    _run(
        db,
        "ALTER TABLE uploads ADD COLUMN document_file TEXT",
        "CREATE UNIQUE INDEX uploads_with_file ON uploads (document_file)"
        " WHERE document_file IS NOT NULL",
    )


@_step
def m012_time_as_a_budget(db: sqlite3.Connection) -> None:
    """When the first attempt of a budget began whose time is limited."""
    db.execute("ALTER TABLE uploads ADD COLUMN tried_since TEXT")


@_step
def m013_tallies(db: sqlite3.Connection) -> None:
    """How many uploads of each tenant have each status and error; lists by provider and error."""
    _run(db, *TALLIES, *INDEXES_OF_LISTS)


def migrations() -> Migrations:
    """The steps for sqlite-utils, which takes a third of a courier's start to import."""
    from sqlite_utils import Migrations

    found = Migrations(_SET)
    for name, step in STEPS.items():
        found(name=name)(lambda db, step=step: step(db.conn))
    return found


@_step
def m014_chain(db: sqlite3.Connection) -> None:
    """The hash chain of each tenant. What there is already is linked as what comes."""
    _run(db, *CHAIN)


@_step
def m015_removals(db: sqlite3.Connection) -> None:
    """What was removed from uploads, by whom, and why."""
    _run(db, *REMOVALS)


@_step
def m016_pauses(db: sqlite3.Connection) -> None:
    """What people have paused; without a tenant or a provider it is every one."""
    _run(db, *PAUSES)


@_step
def m017_notices(db: sqlite3.Connection) -> None:
    """What waits for a sink of notices, and what was noted of how the uploads stand."""
    _run(db, *NOTICES)


@_step
def m018_backfill(db: sqlite3.Connection) -> None:
    """When the next old record of a credential may begin. Old records stand in a line of their own:
    `credential` of an upload is the name of its line."""
    _run(db, "ALTER TABLE gates ADD COLUMN backfill_at TEXT")


@_step
def m019_claimed_notices(db: sqlite3.Connection) -> None:
    """Whether a courier is telling a notice, until it is due."""
    _run(db, "ALTER TABLE notices ADD COLUMN claimed INTEGER NOT NULL DEFAULT 0")


@_step
def m020_reopened(db: sqlite3.Connection) -> None:
    """When an upload last went on after it had failed, was skipped or was parked."""
    _run(db, *REOPENED)


@_step
def m021_oldest_open(db: sqlite3.Connection) -> None:
    """Since when each open upload waits, in an index."""
    _run(db, *OPEN)


def apply(connection: sqlite3.Connection) -> None:
    """Make the database, or bring it up to date, within a transaction; whatever plug-ins the host
    has for sqlite-utils do not see it."""
    if connection.execute("SELECT 1 FROM sqlite_master").fetchone() is None:
        _make(connection)
        return
    from sqlite_utils import Database

    migrations().apply(Database(connection, recursive_triggers=False, execute_plugins=False))


_SET = "evidence-courier"
_APPLIED = (
    """CREATE TABLE "_sqlite_migrations" (
   "id" INTEGER PRIMARY KEY,
   "migration_set" TEXT,
   "name" TEXT,
   "applied_at" TEXT
)""",
    'CREATE UNIQUE INDEX "idx__sqlite_migrations_migration_set_name"\n'
    '    ON "_sqlite_migrations" ("migration_set", "name")',
)
"""The table of sqlite-utils for what was applied, as it makes that itself."""


def _make(connection: sqlite3.Connection) -> None:
    """What sqlite-utils would do to an empty database, without importing it."""
    for statement in _APPLIED:
        connection.execute(statement)
    for name, step in STEPS.items():
        step(connection)
        connection.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES (?, ?, ?)",
            (_SET, name, str(datetime.now(UTC))),
        )
