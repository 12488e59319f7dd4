"""What the records are asked: each question is one indexed query, as fast at a million records
as at ten."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from ....domain.integration import Pace
from ....domain.pacing.estimate import Line, outlook_of
from ....domain.upload.failure import Concern, FailureKind
from ....domain.upload.status import Outlook, UploadStatus
from ....domain.upload.upload import State, Status, UploadKey
from ....ports.paging import place_after
from ....ports.records import Entry, Find
from ..rows import (
    KEY,
    OPEN,
    STATUS,
    Row,
    key_cells,
    moment,
    open_upload_of,
    outlooks_without,
    state_of,
    status_of,
)
from .batches import Batch
from .gates import lease_of, pause_of, used_slots
from .sessions import Session, ask
from .statements import GATES, INVALID, SELECT_OF_EVIDENCE, SELECT_UPLOADS

LOCK_CLASS = 0x4576436F
"""The first half of the advisory locks that couriers hold; the second is the courier's number."""

# An evidence is added under its provider by many at once, under UNKNOWN_PROVIDER by one alone: two
# keys of one evidence are no conflict for an index, and neither transaction would see the other's.
ADD_NAMED = f"SELECT pg_advisory_xact_lock_shared({LOCK_CLASS}, 0)"
ADD_UNNAMED = f"SELECT pg_advisory_xact_lock({LOCK_CLASS}, 0)"

_STATUS = ", ".join(f"uploads.{name}" for name in STATUS)
_KEYS = ", ".join(f"uploads.{name}" for name in KEY)
_OPEN = ", ".join(OPEN)

_NEXT = (
    "SELECT credential FROM uploads WHERE due IS NOT NULL AND credential {0}"
    " ORDER BY credential LIMIT 1"
)
# The first credential after each credential, so that a line is not read to its end.
LINES = f"""
WITH RECURSIVE line (credential) AS (
    ({_NEXT.format("IS NOT NULL")})
    UNION ALL SELECT ({_NEXT.format("> line.credential")}) FROM line WHERE credential IS NOT NULL
)
SELECT credential FROM line WHERE credential IS NOT NULL AND EXISTS (
    SELECT 1 FROM uploads WHERE uploads.credential = line.credential AND due <= %(before)s)
UNION ALL SELECT NULL WHERE EXISTS (
    SELECT 1 FROM uploads WHERE credential IS NULL AND due <= %(before)s)
"""
_LINE = f"""
SELECT {_KEYS} FROM uploads
WHERE credential {{0}} AND due <= %(before)s AND updated_at > %(written_after)s
AND tenant_id <> ALL (%(without)s::text[]) ORDER BY due, id LIMIT %(limit)s
"""
LINE, NO_LINE = _LINE.format("= %(credential)s"), _LINE.format("IS NULL")
COURIERS = f"""
SELECT couriers.id, EXISTS (
    SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND classid = {LOCK_CLASS}
    AND objid = couriers.id::oid AND objsubid = 2 AND granted
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
) AS held,
clock_timestamp() - beat_at > make_interval(secs => %(silence)s) AS silent,
beat_at > greatest(pg_postmaster_start_time(), %(cut_at)s) AS beats
FROM couriers WHERE couriers.id <> %(caller)s ORDER BY couriers.id
"""
SENDERS = "SELECT DISTINCT owner FROM uploads WHERE owner IS NOT NULL AND state = 'sending'"
IN_FLIGHT = f"""
SELECT {_OPEN} FROM uploads
WHERE owner = %s AND state = 'sending' AND tenant_id != ALL (%s) ORDER BY id LIMIT %s
"""


def _kinds(concern: Concern) -> str:
    return ", ".join(f"'{kind.value}'" for kind in FailureKind if kind.concern is concern)


_PARKED = f"state = 'waiting' AND error_kind IN ({_kinds(Concern.TARGET)})"
_STUCK = (
    f"(state IN ('held', 'failed') AND error_kind IN ({_kinds(Concern.INTEGRATION)}) OR {_PARKED})"
)
STUCK = f"SELECT DISTINCT tenant_id, provider FROM uploads WHERE {_STUCK}"
STUCK_OF = f"""
SELECT {_OPEN} FROM uploads WHERE tenant_id = %s AND provider = %s AND {_STUCK}
ORDER BY id LIMIT %s
"""
PARKED = f"SELECT count(*) AS many FROM uploads WHERE {_STUCK} AND {_PARKED}"
ASKING = "SELECT upload_id FROM turns WHERE credential = ANY(%s) AND waits"
MARK = "SELECT COALESCE(max(id), 0) AS mark FROM actions"
ACTED_ON = f"""
SELECT DISTINCT {_KEYS} FROM actions JOIN uploads ON uploads.id = actions.upload_id
WHERE actions.id > %s AND actions.id <= %s
"""
COUNTS = "SELECT status, count(*) AS many FROM uploads WHERE status = ANY(%s) GROUP BY status"
STATUSES = f"""
SELECT {_STATUS} FROM uploads WHERE tenant_id = %s AND evidence_id = ANY(%s)
ORDER BY created_at, id
"""
HISTORY, ACTIONS, LOOK_UPS = (
    f"SELECT * FROM {table} WHERE upload_id = %s ORDER BY id"
    for table in ("attempts", "actions", "look_ups")
)
MOST_COUNTED = 1_000
"""So many uploads are counted at most between two places in a line: what stands farther back is
said to stand there."""

IN_LINE_BETWEEN = Batch(
    ("position", "credential", "since", "since_id", "upto", "upto_id"),
    "SELECT given.position, (SELECT count(*) FROM (SELECT 1 FROM uploads"
    " WHERE uploads.credential = given.credential AND due IS NOT NULL"
    " AND (due, id) >= (given.since, given.since_id) AND (due, id) < (given.upto, given.upto_id)"
    f" LIMIT {MOST_COUNTED}) AS between_them) AS many FROM given",
)


def recorded(session: Session, keys: Iterable[UploadKey]) -> dict[UploadKey, Entry]:
    """The uploads with these keys, as far as they are recorded."""
    found = map(open_upload_of, SELECT_UPLOADS.ask(session, map(key_cells, keys)))
    return {item.upload.key: item for item in found}


def of_evidences(
    session: Session, keys: Sequence[UploadKey]
) -> dict[tuple[str, str], dict[str, Entry]]:
    """The uploads of these keys' evidences, by evidence and then by provider, the oldest first."""
    found: dict[tuple[str, str], dict[str, Entry]] = {}
    for row in SELECT_OF_EVIDENCE.ask(session, [key.evidence for key in keys]):
        one = open_upload_of(row)
        found.setdefault(one.upload.key.evidence, {})[one.upload.key.provider] = one
    return found


def find_query(find: Find) -> tuple[str, dict[str, object]]:
    """The query for a page, and what it is asked with. MisuseError where the request cannot be
    met."""
    conditions: list[str] = []
    given: dict[str, object] = {"limit": find.limit + 1}
    if find.tenant_id is not None:
        conditions.append("tenant_id = %(tenant_id)s")
        given["tenant_id"] = find.tenant_id
    if find.status is not None:
        conditions.append("status = %(status)s")
        given["status"] = find.status.value
    if find.since is not None:
        conditions.append("created_at >= %(since)s")
        given["since"] = moment(find.since)
    after = place_after(find)
    if after is not None:
        conditions.append("(created_at, id) < (%(after)s, %(arrival)s)")
        given |= {"after": moment(after.created_at), "arrival": after.arrival}
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    select = f"SELECT {_STATUS} FROM uploads {where}"
    return f"{select} ORDER BY created_at DESC, id DESC LIMIT %(limit)s", given


def statuses_of(session: Session, rows: Sequence[Row], now: datetime) -> list[UploadStatus]:
    """How the uploads of these rows stand. Columns: STATUS."""
    states = {row["id"]: state_of(row) for row in rows}
    outlooks = _outlooks(session, rows, states, now)
    invalid = {row["tenant_id"]: row["kind"] for row in ask(session, INVALID)} if rows else {}
    outlooks |= outlooks_without(rows, invalid, outlooks)
    return [status_of(row, states[row["id"]], outlooks.get(row["id"])) for row in rows]


def _outlooks(
    session: Session, rows: Sequence[Row], states: Mapping[int, State], now: datetime
) -> dict[int, Outlook]:
    """What those that are open wait for, by id. Each credential's line is counted through once,
    however many rows ask."""
    waiting = sorted(
        (row["credential"], row["due"] or "-infinity", row["id"], row["provider"])
        for row in rows
        if row["credential"] is not None and not Status(row["status"]).at_rest
    )
    if not waiting:
        return {}
    credentials = sorted({credential for credential, *_ in waiting})
    lines = _lines(session, credentials, now)
    asking = {row["upload_id"] for row in ask(session, ASKING, [credentials])}
    alone = not ask(session, "SELECT 1 FROM couriers LIMIT 1")
    stretches, last = [], ("", "-infinity", 0)
    for position, (credential, due, identity, _) in enumerate(waiting):
        since = last[1:] if credential == last[0] else ("-infinity", 0)
        stretches.append((position, credential, *since, due, identity))
        last = (credential, due, identity)
    many = {row["position"]: row["many"] for row in IN_LINE_BETWEEN.ask(session, stretches)}
    found: dict[int, Outlook] = {}
    place, before = 0, ""
    for position, (credential, _, identity, provider) in enumerate(waiting):
        place = many[position] + (place if credential == before else 0)
        before = credential
        line, asks, state = lines.get(credential, Line()), identity in asking, states[identity]
        found[identity] = outlook_of(state, provider, line, place, now, asks=asks, alone=alone)
    return found


def _lines(session: Session, credentials: Sequence[str], now: datetime) -> dict[str, Line]:
    """What an estimate needs to know of the lines of credentials."""
    rows = {row["credential"]: row for row in ask(session, GATES, [list(credentials)])}
    paces = {
        name: Pace(row["pace_limit"], timedelta(seconds=row["pace_seconds"]))
        for name, row in rows.items()
        if row["pace_limit"] is not None
    }
    used = used_slots(session, paces.items(), now)
    return {name: _line(row, paces.get(name), used[name], now) for name, row in rows.items()}


def _line(row: Row, pace: Pace | None, used: Sequence[datetime], now: datetime) -> Line:
    pause, lease = pause_of(row), lease_of(row)
    if pace is None:
        return Line(pause=pause)
    wanted = lease is not None and lease.is_wanted(now)
    return Line(pace, row["cost"], row["together"], used, pause, wanted)


def age(row: Row) -> tuple[datetime, int]:
    """Where a row stands in the order of the lists."""
    return datetime.fromisoformat(row["created_at"]), row["id"]
