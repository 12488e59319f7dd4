"""What the store says to the database, in the order in which a transaction says it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..rows import ATTEMPT, CHANGING, ENTRY, KEY, MADE, OPEN
from .batches import Batch


def _list(names: Iterable[str]) -> str:
    return ", ".join(names)


_SAME_KEY = " AND ".join(f"uploads.{name} = given.{name}" for name in KEY)
_NEW = ENTRY[1:]  # the server gives the id

# --- uploads ---

INSERT_UPLOADS = Batch(
    _NEW,
    ", numbered AS MATERIALIZED"
    " (SELECT nextval(pg_get_serial_sequence('uploads', 'id')) AS id, given.* FROM given)"
    f" INSERT INTO uploads (id, {_list(_NEW)}) SELECT id, {_list(_NEW)} FROM numbered"
    f" ORDER BY {_list(KEY)} ON CONFLICT DO NOTHING RETURNING id, {_list(KEY)}",
)
"""Numbered in the order of the rows, and inserted in one order everywhere, so that no two couriers
wait for one another."""

INSERT_DOCUMENT = (
    "INSERT INTO documents (upload_id, content) VALUES (%s, %b)"
    " ON CONFLICT (upload_id) DO UPDATE SET content = excluded.content"
)
SELECT_UPLOADS = Batch(
    KEY,
    f"SELECT {_list(f'uploads.{name}' for name in OPEN)} FROM given JOIN uploads ON {_SAME_KEY}",
)
LOCK_UPLOADS = Batch(
    ("position", *KEY),
    "SELECT given.position, uploads.id, uploads.version, uploads.due"
    f" FROM given JOIN uploads ON {_SAME_KEY} ORDER BY uploads.id FOR UPDATE OF uploads",
)
"""Each row: a position, KEY. No other session changes these uploads before the transaction ends."""

SELECT_IDS = Batch(
    ("position", *KEY), f"SELECT given.position, uploads.id FROM given JOIN uploads ON {_SAME_KEY}"
)


def _update(names: Sequence[str]) -> Batch:
    sets = _list(f"{name} = given.{name}" for name in names)
    return Batch(
        ("id", *names),
        f"UPDATE uploads SET {sets},"
        " last_attempt_at = COALESCE(given.started_at, uploads.last_attempt_at)"
        " FROM given WHERE uploads.id = given.id",
    )


UPDATE_UPLOADS = _update(CHANGING)
BEGIN_UPLOADS = _update((*CHANGING, "owner", "credential", "budget"))
CONTENTS = "SELECT upload_id, content FROM documents WHERE upload_id = ANY(%s)"
DELETE_DOCUMENTS = "DELETE FROM documents WHERE upload_id = ANY(%s)"
UPDATE_DOCUMENT = (
    f"UPDATE uploads SET {_list(f'{name} = %s' for name in MADE)},"
    " submitted_digest = COALESCE(NULLIF(submitted_digest, ''), %s) WHERE id = %s"
)


def _history(table: str, names: Sequence[str], more: str = "") -> Batch:
    copied = "".join(f", {name}" for name in more.split())
    given = _list(f"given.{name}" for name in names)
    select = f"SELECT uploads.id{copied.replace(', ', ', uploads.')}, {given}"
    return Batch(
        ("position", "upload_id", *names),
        f"INSERT INTO {table} (upload_id{copied}, {_list(names)}) {select}"
        " FROM given JOIN uploads ON uploads.id = given.upload_id ORDER BY given.position",
    )


INSERT_ATTEMPTS = _history("attempts", ATTEMPT, "credential")
INSERT_LOOK_UPS = _history("look_ups", ("read", "at", "finding", "message"))
INSERT_ACTIONS = _history("actions", ("at", "action", "by", "reason"), "tenant_id")
# Numbers of actions become visible in their order: who has seen one has seen all before it.
LOCK_ACTIONS = "LOCK TABLE actions IN SHARE ROW EXCLUSIVE MODE"

SELECT_OF_EVIDENCE = Batch(
    ("tenant_id", "evidence_id"),
    f"SELECT {_list(f'uploads.{name}' for name in OPEN)} FROM given JOIN uploads"
    " ON uploads.tenant_id = given.tenant_id AND uploads.evidence_id = given.evidence_id"
    " ORDER BY uploads.id",
)
NAME_PROVIDER = (
    "UPDATE uploads SET provider = %s, credential = %s, settings = %s"
    " WHERE tenant_id = %s AND provider = %s AND NOT EXISTS (SELECT 1 FROM uploads AS known"
    " WHERE known.tenant_id = uploads.tenant_id AND known.evidence_id = uploads.evidence_id"
    " AND known.provider = %s)"
)
NAME_PROVIDER_OF_ONE = f"{NAME_PROVIDER} AND evidence_id = %s"

# --- gates ---

LIMITS = ("pace_limit", "pace_seconds", "together", "cost")
_REST = "paused_since paused_until holder held_since wanted_at head head_since".split()
_GATE = ("credential", *LIMITS, *_REST)
_OF_GATES = "WHERE credential = ANY(%s)"
GATES = f"SELECT {_list(_GATE)} FROM gates {_OF_GATES}"
LOCK_GATES = f"{GATES} ORDER BY credential FOR UPDATE"
LOCK_FREE_GATES = f"{LOCK_GATES} SKIP LOCKED"
INSERT_GATES = "INSERT INTO gates (credential) SELECT unnest(%s::text[]) ON CONFLICT DO NOTHING"
UPDATE_GATES = Batch(
    _GATE,
    f"UPDATE gates SET {_list(f'{name} = given.{name}' for name in _GATE[1:])}"
    " FROM given WHERE gates.credential = given.credential",
)
PUT_PAUSES = Batch(
    ("credential", "paused_since", "paused_until"),
    "INSERT INTO gates (credential, paused_since, paused_until)"
    " SELECT credential, paused_since, paused_until FROM given ON CONFLICT (credential) DO UPDATE"
    " SET paused_since = excluded.paused_since, paused_until = excluded.paused_until"
    " WHERE gates.paused_until IS NULL OR gates.paused_until < excluded.paused_until",
)
NUMBERS = "SELECT nextval('gate_numbers') AS number FROM generate_series(1, %s)"

_NOW = ("credential", "now", "latest", "old", "over", "future", "too_late")
_END = "'9999-12-31 23:59:59.999999+00'"
_OF_SLOTS = "slots.credential = given.credential AND slots.at"
_OF_TURNS = "turns.credential = given.credential AND turns.until"
TIDY = tuple(
    Batch(_NOW, then)
    for then in (
        f"DELETE FROM slots USING given WHERE {_OF_SLOTS} <= given.old",
        f"UPDATE slots SET at = given.now FROM given"
        f" WHERE {_OF_SLOTS} > given.future AND slots.at < {_END}",
        f"UPDATE slots SET at = slots.until FROM given"
        f" WHERE {_OF_SLOTS} = {_END} AND slots.until <= given.now",
        f"UPDATE slots SET until = given.latest FROM given"
        f" WHERE {_OF_SLOTS} = {_END} AND slots.until > given.too_late",
        f"DELETE FROM turns USING given WHERE {_OF_TURNS} <= given.over",
        f"UPDATE turns SET until = given.latest FROM given WHERE {_OF_TURNS} > given.too_late",
    )
)
TURNS = Batch(
    _NOW, "SELECT turns.* FROM given JOIN turns ON turns.credential = given.credential ORDER BY id"
)
USED = Batch(
    _NOW,
    "SELECT given.credential, (SELECT count(*) FROM slots"
    f" WHERE {_OF_SLOTS} > given.over) AS used FROM given",
)
USED_AT = Batch(
    ("credential", "since", "most"),
    "SELECT given.credential, used.at FROM given CROSS JOIN LATERAL (SELECT slots.at FROM slots"
    f" WHERE {_OF_SLOTS} > given.since ORDER BY slots.at DESC LIMIT given.most) AS used"
    " ORDER BY used.at DESC",
)
LINE_HEADS = Batch(
    ("credential", "most"),
    "SELECT given.credential, line.id, line.due FROM given CROSS JOIN LATERAL"
    " (SELECT uploads.id, uploads.due FROM uploads WHERE uploads.credential = given.credential"
    " AND uploads.due IS NOT NULL ORDER BY uploads.due, uploads.id LIMIT given.most) AS line"
    " ORDER BY line.due, line.id",
)
"""The beginnings of lines, each of at most so many."""

INSERT_SLOTS = Batch(
    ("id", "credential", "at", "until"),
    "INSERT INTO slots (id, credential, at, until) SELECT id, credential, at, until FROM given",
)
END_SLOTS = Batch(
    ("id", "at", "until"),
    "UPDATE slots SET at = given.at FROM given"
    " WHERE slots.id = given.id AND slots.at = given.until",
)
_TURN = ("id", "credential", "owner", "owed", "waits", "until", "upload_id")
PUT_TURNS = Batch(
    _TURN,
    f"INSERT INTO turns ({_list(_TURN)}) SELECT {_list(_TURN)} FROM given ON CONFLICT (id)"
    " DO UPDATE SET owed = excluded.owed, waits = excluded.waits, until = excluded.until",
)
DELETE_TURNS = "DELETE FROM turns WHERE id = ANY(%s)"
BLOCKS = "SELECT * FROM blocks WHERE address = ANY(%s)"
_BLOCK = ("address", "tenant_id", "provider", "at", "kind", "message", "http_status", "until")
PUT_BLOCKS = Batch(
    _BLOCK,
    f"INSERT INTO blocks ({_list(_BLOCK)}) SELECT {_list(_BLOCK)} FROM given ON CONFLICT (address)"
    f" DO UPDATE SET {_list(f'{name} = excluded.{name}' for name in _BLOCK[1:])}",
)
PARK = Batch(
    ("address", "until"),
    "UPDATE blocks SET until = given.until FROM given WHERE blocks.address = given.address",
)
DELETE_BLOCKS = "DELETE FROM blocks WHERE address = ANY(%s)"
# What is invalid of a tenant stands among the blocks, under no provider.
PUT_INVALID = Batch(
    ("tenant_id", "at", "kind"),
    "INSERT INTO blocks (address, tenant_id, provider, at, kind, message)"
    " SELECT 'tenant ' || tenant_id, tenant_id, '', at, kind, '' FROM given"
    " ON CONFLICT (address) DO UPDATE SET at = excluded.at, kind = excluded.kind",
)
DELETE_VALID = "DELETE FROM blocks WHERE provider = '' AND tenant_id = ANY(%s)"
INVALID = "SELECT tenant_id, kind FROM blocks WHERE provider = ''"
UNBLOCK = "DELETE FROM blocks WHERE tenant_id = %s AND provider = %s"
