"""What the store tells a database, in the order in which a transaction says it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ....domain.pacing.backfill import BEHIND
from ....domain.retention import DOCUMENT_ERASED, ERASED
from ....domain.upload.failure import FailureKind
from ..rows import (
    ATTEMPT,
    BEGINNING,
    CHANGING,
    FLAGS,
    KEY,
    MADE,
    OPEN,
    SENDING,
    TROUBLE,
    Cell,
    Row,
)
from ..usual import BEGUN, DELIVERED, SUCCEEDED, Fixed, Usual
from .session import NOTHING, Batch, Each, Session

LOCK_CLASS = 0x4576436F
"""The first half of PostgreSQL's advisory locks that couriers hold; the second is the courier's
number."""
WRITERS = -1
"""Beside the numbers of couriers: held by all that have the database open to write to it."""


def list_of(names: Iterable[str], table: str = "") -> str:
    """Names of columns, of a table if one is named."""
    return ", ".join(f"{table}.{name}" if table else name for name in names)


# --- uploads -------------------------------------------------------------------------------------

SAME_KEY = " AND ".join(f"uploads.{name} = given.{name}" for name in KEY)

# PostgreSQL is not to look for it by the key.
_CHECKED_KEY = " AND ".join(f"uploads.{name} /* || '' */ = given.{name}" for name in KEY)

# An evidence is added under its provider by many at once, under UNKNOWN_PROVIDER by one alone: two
# keys of one evidence are no conflict for an index, and neither transaction would see the other's.
ADD_NAMED = f"/* SELECT pg_advisory_xact_lock_shared({LOCK_CLASS}, 0) */"
ADD_UNNAMED = f"/* SELECT pg_advisory_xact_lock({LOCK_CLASS}, 0) */"

SETTLED = "-"
"""Stands before the name of a file in a record that needs it no more."""

SELECT_OF_EVIDENCE = Batch(
    ("tenant_id", "evidence_id"),
    f"SELECT {list_of(OPEN, 'uploads')} FROM given CROSS JOIN uploads"
    " ON uploads.tenant_id = given.tenant_id AND uploads.evidence_id = given.evidence_id"
    " ORDER BY uploads.id",
)
"""OPEN of an evidence's uploads, to whatever provider. Each row: a tenant id, an evidence id."""

SELECT_UPLOADS = Batch(
    KEY, f"SELECT {list_of(OPEN, 'uploads')} FROM given CROSS JOIN uploads ON {SAME_KEY}"
)
"""OPEN of those that are recorded. Each row: KEY."""

SELECT_IDS = Batch(
    ("position", *KEY),
    f"SELECT given.position, uploads.id FROM given CROSS JOIN uploads ON {SAME_KEY}",
)
"""The ids of those that are recorded. Each row: a position, KEY."""

_NO_TROUBLE = " AND ".join(
    f"NOT uploads.{name}" if name in FLAGS else f"uploads.{name} IS NULL" for name in TROUBLE
)
_CURRENT = (
    f"SELECT given.position, uploads.id, uploads.status, uploads.due, {_NO_TROUBLE} AS is_plain,"
    " uploads.document_source IS NULL AS is_stored"
    f" FROM given CROSS JOIN uploads ON uploads.id = given.id AND {_CHECKED_KEY}"
    " AND uploads.version = given.version"
)
_EXPECTED = ("position", "id", *KEY, "version")
CURRENT = Batch(_EXPECTED, f"{_CURRENT} /* ORDER BY uploads.id FOR UPDATE OF uploads */")
CURRENT_FREE = Batch(
    _EXPECTED, f"{_CURRENT} /* ORDER BY uploads.id FOR UPDATE OF uploads SKIP LOCKED */"
)
"""The positions of the changes that are in time, with their uploads' ids, statuses and due times,
whether there is no TROUBLE in them, and whether their documents are stored here, if they are stored
at all: no other session changes these before the transaction ends. Of what another session has
locked, the second says nothing.
Each row: a position, an id, KEY, the version to find."""


_EMPTIED = ("error_detail", "detail", "receipt_reference", "receipt_message", "progress")
"""The columns with texts in which nothing stands for what was erased."""


def words_instead(kind: str) -> str:
    """What stands for the words of a failure of this kind once they are erased."""
    gone = FailureKind.DOCUMENT_GONE.value
    return f"CASE {kind} WHEN '{gone}' THEN '{DOCUMENT_ERASED}' ELSE '{ERASED}' END"


def _unless_erased(name: str, instead: str = "NULL", text: str = "") -> str:
    """What is given for a column, or `text`; and `instead` for an upload from which a person was
    erased, if anything is given."""
    has_text = f"uploads.erased_at IS NULL OR given.{name} IS NULL"
    return f"CASE WHEN {has_text} THEN {text or f'given.{name}'} ELSE {instead} END"


def _of_upload(name: str, state: str) -> str:
    """What is written to a column of an upload that comes into this state."""
    if name != "error_message":
        return _unless_erased(name) if name in _EMPTIED else f"given.{name}"
    # A courier may remember the words of a block from before a person was erased from them.
    of_erased_block = (
        f"given.{name} IS NOT NULL AND {state} IN ('held', 'waiting')"
        " AND EXISTS (SELECT 1 FROM blocks WHERE blocks.tenant_id = uploads.tenant_id"
        " AND blocks.provider = uploads.provider AND blocks.kind = given.error_kind"
        f" AND blocks.message = '{ERASED}')"
    )
    text = f"CASE WHEN {of_erased_block} THEN '{ERASED}' ELSE given.{name} END"
    return _unless_erased(name, words_instead("given.error_kind"), text)


def _of_attempt(name: str) -> str:
    """What is written to a column of an attempt."""
    if name == "message":
        return _unless_erased(name, words_instead("given.kind"))
    return _unless_erased(name) if name in _EMPTIED else f"given.{name}"


def _texts(fixed: Fixed) -> dict[str, str]:
    """Words and empty cells as a statement writes them."""
    return {name: "NULL" if cell is None else f"'{cell}'" for name, cell in fixed.items()}


def _update(names: Sequence[str], others: Mapping[str, str] = NOTHING) -> Batch:
    """Write what is given for the columns with these names, and the others as they are told."""
    state = others.get("state", "given.state")
    given = {name: _of_upload(name, state) for name in names}
    sets = list_of(f"{name} = {one}" for name, one in {**given, **others}.items())
    return Batch(
        ("id", *names), f"UPDATE uploads SET {sets} FROM given WHERE uploads.id = given.id"
    )


_SENDING = _texts(SENDING)
BEGIN_UPLOADS = _update(BEGINNING, _SENDING)
BEGIN_USUALLY = _update(BEGUN.names, {name: _SENDING[name] for name in ("state", "due")})
"""Each row: an id, BEGINNING; an id, the `names` of BEGUN."""

UPDATE_STATUS = _update(("status",))
"""Each row: an id, a status."""

_ATTEMPTED = "coalesce(given.started_at, uploads.last_attempt_at)"
_ENDED = {name: one for name, one in SUCCEEDED.fixed.items() if name not in TROUBLE}
UPDATE_UPLOADS = _update(CHANGING, {"last_attempt_at": _ATTEMPTED})
END_USUALLY = _update(SUCCEEDED.names, _texts(_ENDED))
"""Each row: an id, CHANGING; an id, the `names` of SUCCEEDED."""


def update(
    session: Session,
    rows: Iterable[tuple[Row, Sequence[Cell]]],
    statement: Batch,
    usually: Batch,
    usual: Usual,
) -> None:
    """Write cells over rows of CURRENT, as few of them as will do."""
    many, few = [], []
    for row, cells in rows:
        if row["is_plain"] and (some := usual.cells(cells)) is not None:
            few.append((row["id"], *some))
        else:
            many.append((row["id"], *cells))
    session.tell_all(usually, few)
    session.tell_all(statement, many)


# One that is recorded under its provider as well is left as it is.
NAME_PROVIDER = (
    "UPDATE uploads SET provider = :provider, settings = :settings, credential = CASE"
    f" WHEN credential <> REPLACE(credential, '{BEHIND}', '') THEN :behind ELSE :credential END"
    " WHERE tenant_id = :tenant_id AND provider = :unknown AND NOT EXISTS"
    " (SELECT 1 FROM uploads AS known WHERE known.tenant_id = uploads.tenant_id"
    " AND known.evidence_id = uploads.evidence_id AND known.provider = :provider)"
)
NAME_PROVIDER_OF_ONE = f"{NAME_PROVIDER} AND evidence_id = :evidence_id"

# --- documents -----------------------------------------------------------------------------------

PUT_DOCUMENT = (
    "INSERT INTO documents (upload_id, content) VALUES (:id, :content)"
    " ON CONFLICT (upload_id) DO UPDATE SET content = excluded.content"
)
SELECT_CONTENTS = Batch(
    ("id",),
    "SELECT documents.upload_id, documents.content"
    " FROM given CROSS JOIN documents ON documents.upload_id = given.id",
    large=True,
)
"""The bytes that are staged, with the id of their upload. Each row: an id."""

DELETE_DOCUMENTS = Batch(("id",), "DELETE FROM documents WHERE upload_id IN (SELECT id FROM given)")
"""Each row: an id."""

SELECT_FILES = Batch(
    ("id",),
    "SELECT uploads.id, document_file FROM given CROSS JOIN uploads ON uploads.id = given.id"
    " WHERE document_file IS NOT NULL",
)
"""The files of documents, with the id of their upload. Each row: an id."""

SETTLE_FILES = Batch(
    ("id",),
    f"UPDATE uploads SET document_file = '{SETTLED}' || document_file FROM given"
    " WHERE uploads.id = given.id",
)
"""Each row: the id of one that has a file."""

UPDATE_DOCUMENT = (
    f"UPDATE uploads SET {list_of(f'{name} = :{name}' for name in MADE)},"
    " submitted_digest = COALESCE(NULLIF(submitted_digest, ''), :digest) WHERE id = :id"
)

# --- history -------------------------------------------------------------------------------------


def _insert_attempts(names: Sequence[str], fixed: Fixed) -> Batch:
    others = _texts(fixed)
    values = (*map(_of_attempt, names), *others.values())
    return Batch(
        ("id", *names),
        f"INSERT INTO attempts (upload_id, credential, {list_of((*names, *others))})"
        f" SELECT uploads.id, uploads.credential, {list_of(values)}"
        " FROM given CROSS JOIN uploads ON uploads.id = given.id",
    )


INSERT_ATTEMPTS = _insert_attempts(ATTEMPT, {})
INSERT_DELIVERED = _insert_attempts(DELIVERED.names[1:], DELIVERED.fixed)
"""Each row: an id, ATTEMPT; the `names` of DELIVERED."""


def insert_attempts(session: Session, rows: Iterable[Sequence[Cell]]) -> None:
    """Record attempts, with as few cells as will do. Each row: an id, ATTEMPT."""
    usual, others = DELIVERED.part(rows)
    session.tell_all(INSERT_DELIVERED, usual)
    session.tell_all(INSERT_ATTEMPTS, others)


_OF_LOOK_UP = _unless_erased("message", f"'{ERASED}'")
INSERT_LOOK_UPS = Batch(
    ("id", "read", "at", "finding", "message"),
    "INSERT INTO look_ups (upload_id, read, at, finding, message) SELECT uploads.id, given.read,"
    f" given.at, given.finding, {_OF_LOOK_UP}"
    " FROM given CROSS JOIN uploads ON uploads.id = given.id",
)
# Numbers of actions become visible in their order: who has seen one has seen all before it.
LOCK_ACTIONS = "/* LOCK TABLE actions IN SHARE ROW EXCLUSIVE MODE */"
INSERT_ACTIONS = Batch(
    ("id", "at", "action", "actor", "reason", "tenant_id"),
    'INSERT INTO actions (upload_id, at, action, "by", reason, tenant_id) SELECT * FROM given',
)

# --- gates ---------------------------------------------------------------------------------------

LIMITS = ("pace_limit", "pace_seconds", "together", "cost")
MOMENTS_OF_GATES = tuple(
    "paused_since paused_until held_since wanted_at head_since backfill_at".split()
)
_REST = "paused_since paused_until holder held_since wanted_at head head_since backfill_at".split()
_GATE = ("credential", *LIMITS, *_REST)
_GATES = (
    f"SELECT {list_of(_GATE, 'gates')} FROM given CROSS JOIN gates"
    " ON gates.credential = given.credential"
)
GATES = Batch(("credential",), _GATES)
LOCK_GATES = Batch(
    ("credential",), f"{_GATES} /* ORDER BY gates.credential FOR UPDATE OF gates SKIP LOCKED */"
)
"""The rows of the gates of these credentials: as they are; and locked, those of them that no other
courier has locked. Each row: a credential."""

INSERT_GATES = Batch(
    ("credential",),
    "INSERT INTO gates (credential) SELECT credential FROM given WHERE true ON CONFLICT DO NOTHING",
)
UPDATE_GATES = Batch(
    _GATE,
    f"UPDATE gates SET {list_of(f'{name} = given.{name}' for name in _GATE[1:])}"
    " FROM given WHERE gates.credential = given.credential",
)
PUT_COOLDOWNS = Batch(
    ("credential", "paused_since", "paused_until"),
    "INSERT INTO gates (credential, paused_since, paused_until) SELECT * FROM given WHERE true"
    " ON CONFLICT (credential) DO UPDATE"
    " SET paused_since = excluded.paused_since, paused_until = excluded.paused_until"
    " WHERE gates.paused_until IS NULL OR gates.paused_until < excluded.paused_until",
)
"""Each row: a credential, since when and until when it cools down, unless it does so for longer."""

MOMENTS = tuple("credential now latest old oldest over future too_late under_way".split())
_SLOTS = "given CROSS JOIN slots ON slots.credential = given.credential AND slots.at"
_OF_SLOTS = "FROM given WHERE slots.credential = given.credential AND slots.at"
_TURNS = "given CROSS JOIN turns ON turns.credential = given.credential"
TIDY = tuple(
    Batch(MOMENTS, then)
    for then in (
        f"DELETE FROM slots WHERE id IN (SELECT slots.id FROM {_SLOTS} <= given.old)",
        f"UPDATE slots SET at = given.now {_OF_SLOTS} > given.future"
        " AND slots.at < given.under_way",
        f"UPDATE slots SET at = slots.until {_OF_SLOTS} = given.under_way"
        " AND slots.until <= given.now",
        f"UPDATE slots SET until = given.latest {_OF_SLOTS} = given.under_way"
        " AND slots.until > given.too_late",
        f"DELETE FROM turns WHERE id IN (SELECT turns.id FROM {_TURNS}"
        " AND turns.until <= given.over)",
        "UPDATE turns SET until = given.latest FROM given"
        " WHERE turns.credential = given.credential AND turns.until > given.too_late",
    )
)
TURNS = Batch(MOMENTS, f"SELECT turns.* FROM {_TURNS}")
_A_SLOT = "EXISTS (SELECT 1 FROM slots WHERE slots.credential = given.credential AND slots.at"
USED = Batch(
    MOMENTS,
    "SELECT given.credential, (SELECT COUNT(*) FROM slots"
    " WHERE slots.credential = given.credential AND slots.at > given.over) AS used,"
    f" {_A_SLOT} <= given.oldest) OR {_A_SLOT} > given.future AND slots.at < given.under_way)"
    f" OR {_A_SLOT} = given.under_way"
    " AND (slots.until <= given.now OR slots.until > given.too_late))"
    " OR EXISTS (SELECT 1 FROM turns WHERE turns.credential = given.credential) AS untidy"
    " FROM given",
)
"""How many slots are used; and whether TIDY has something to do, or there are TURNS. What is old
enough to be deleted is so once a period."""
USED_AT = Each(
    ("credential", "since", "most"),
    "SELECT at FROM slots WHERE credential = :credential AND at > :since"
    " ORDER BY at DESC LIMIT :most",
)
"""From when the latest requests count, newest first."""

LINE_HEAD = Each(
    ("credential", "most"),
    "SELECT id, due FROM uploads INDEXED BY uploads_in_line"
    " WHERE credential = :credential AND due IS NOT NULL ORDER BY due, id LIMIT :most",
)
"""The beginning of a line."""

INSERT_SLOTS = Batch(
    ("id", "credential", "at", "until"),
    "INSERT INTO slots (id, credential, at, until) SELECT * FROM given",
)
"""Each row: a number, a credential, when it counts from, when its request has surely ended."""

END_SLOTS = Batch(
    ("id", "at", "under_way"),
    "UPDATE slots SET at = given.at FROM given"
    " WHERE slots.id = given.id AND slots.at = given.under_way",
)
"""Each row: a number, when it ended, what stands there while its request is under way."""

_TURN = ("id", "credential", "owner", "owed", "waits", "until", "upload_id")
PUT_TURNS = Batch(
    _TURN,
    f"INSERT INTO turns ({list_of(_TURN)}) SELECT * FROM given WHERE true ON CONFLICT (id)"
    " DO UPDATE SET owed = excluded.owed, waits = excluded.waits, until = excluded.until",
)
DELETE_TURNS = Batch(("id",), "DELETE FROM turns WHERE id IN (SELECT id FROM given)")

# --- blocks --------------------------------------------------------------------------------------

_BLOCK = ("address", "tenant_id", "provider", "at", "kind", "message", "http_status", "until")
BLOCKS = Batch(
    ("address",),
    f"SELECT {list_of(_BLOCK, 'blocks')} FROM given CROSS JOIN blocks"
    " ON blocks.address = given.address",
)
PUT_BLOCKS = Batch(
    _BLOCK,
    f"INSERT INTO blocks ({list_of(_BLOCK)}) SELECT * FROM given WHERE true ON CONFLICT (address)"
    f" DO UPDATE SET {list_of(f'{name} = excluded.{name}' for name in _BLOCK[1:])}",
)
PARK = Batch(
    ("address", "until"),
    "UPDATE blocks SET until = given.until FROM given WHERE blocks.address = given.address",
)
DELETE_BLOCKS = Batch(
    ("address",), "DELETE FROM blocks WHERE address IN (SELECT address FROM given)"
)
UNBLOCK = "DELETE FROM blocks WHERE tenant_id = :tenant_id AND provider = :provider"
# What is wrong with a tenant's configuration stands among the blocks, without a provider.
PUT_INVALID = Batch(
    ("tenant_id", "at", "kind"),
    "INSERT INTO blocks (address, tenant_id, provider, at, kind, message)"
    " SELECT 'tenant ' || tenant_id, tenant_id, '', at, kind, '' FROM given WHERE true"
    " ON CONFLICT (address) DO UPDATE SET kind = excluded.kind,"
    " at = CASE WHEN blocks.kind = excluded.kind THEN blocks.at ELSE excluded.at END",
)
DELETE_VALID = Batch(
    ("tenant_id",),
    "DELETE FROM blocks WHERE provider = '' AND tenant_id IN (SELECT tenant_id FROM given)",
)

# --- pauses --------------------------------------------------------------------------------------

PAUSE = Batch(
    ("tenant_id", "provider", "at", "actor", "reason"),
    'INSERT INTO pauses (tenant_id, provider, at, "by", reason) SELECT * FROM given WHERE true'
    " ON CONFLICT (tenant_id, provider) WHERE ended_at IS NULL DO NOTHING",
)
RESUME = Batch(
    ("tenant_id", "provider", "ended_at", "ended_by", "ended_reason"),
    "UPDATE pauses SET ended_at = given.ended_at, ended_by = given.ended_by,"
    " ended_reason = given.ended_reason FROM given WHERE pauses.tenant_id = given.tenant_id"
    " AND pauses.provider = given.provider AND pauses.ended_at IS NULL",
)
_PAUSES = (
    'SELECT tenant_id, provider, at, "by", reason, ended_at, ended_by, ended_reason FROM pauses'
    " WHERE {} ORDER BY id"
)
PAUSED = _PAUSES.format("ended_at IS NULL")
PAUSES_OF = _PAUSES.format("tenant_id IN ('', :tenant_id) AND provider IN ('', :provider)")
ENDED_PAUSES = _PAUSES.format("ended_at > :since")

# --- couriers ------------------------------------------------------------------------------------

UNREGISTER = (
    "DELETE FROM couriers WHERE id = :id",
    "DELETE FROM turns WHERE owner = :id",
    "UPDATE gates SET holder = NULL WHERE holder = :id",
)
