"""What the records are asked: each question is one indexed query, as fast at a million records
as at ten."""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from math import inf
from typing import TypeAlias

from sqlite_utils import Database

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
from .documents import SETTLED
from .gates import lines_of
from .statements import SELECT_CONTENTS, SELECT_OF_EVIDENCE, SELECT_UPLOADS

_STATUS = ", ".join(f"uploads.{name}" for name in STATUS)

_InLine: TypeAlias = tuple[str, int]
"""Where an upload stands in its line: when it is due, and its id."""

_KEYS = ", ".join(f"uploads.{name}" for name in KEY)
_OPEN = ", ".join(OPEN)

MOST_COUNTED = 1_000
"""So many uploads are counted to answer one question about places in lines."""

LEAST_COUNTED = 100
"""So many of each line, even if that is more."""

# By whether a tenant, and whether a status, is asked for.
_INDEX_FOR = {
    (False, False): "uploads_newest",
    (True, False): "uploads_of_tenant",
    (False, True): "uploads_by_status",
    (True, True): "uploads_of_tenant_by_status",
}

# The first credential after each credential, so that a line is not read to its end.
_NEXT = (
    "SELECT min(credential) FROM uploads INDEXED BY uploads_in_line WHERE due IS NOT NULL"
    " AND credential"
)
LINES = f"""
WITH RECURSIVE line (credential) AS (
    {_NEXT} IS NOT NULL
    UNION ALL SELECT ({_NEXT} > line.credential) FROM line WHERE credential IS NOT NULL
)
SELECT credential FROM (SELECT credential FROM line WHERE credential IS NOT NULL
    UNION ALL SELECT NULL) AS one
WHERE EXISTS (
    SELECT 1 FROM uploads INDEXED BY uploads_in_line
    WHERE uploads.credential IS one.credential AND due <= :before
)
"""
LINE = f"""
SELECT {_KEYS} FROM uploads INDEXED BY uploads_in_line
WHERE credential IS :credential AND due <= :before AND updated_at > :written_after
AND tenant_id NOT IN (SELECT value FROM json_each(:without)) ORDER BY due, id LIMIT :limit
"""
COURIERS = "SELECT id, host, boot, lock, beat FROM couriers WHERE id != ?"
SENDERS = (
    "SELECT DISTINCT owner FROM uploads INDEXED BY uploads_in_flight WHERE owner >= 0 "
    "AND state = 'sending'"
)
IN_FLIGHT = f"""
SELECT {_OPEN} FROM uploads INDEXED BY uploads_in_flight
WHERE owner = ? AND state = 'sending'
AND tenant_id NOT IN (SELECT value FROM json_each(?)) ORDER BY id LIMIT ?
"""


def _kinds(concern: Concern) -> str:
    return ", ".join(f"'{kind.value}'" for kind in FailureKind if kind.concern is concern)


_PARKED = f"state = 'waiting' AND error_kind IN ({_kinds(Concern.TARGET)})"
_STUCK = (
    f"(state IN ('held', 'failed') AND error_kind IN ({_kinds(Concern.INTEGRATION)}) OR {_PARKED})"
)
STUCK = f"""
SELECT DISTINCT tenant_id, provider FROM uploads INDEXED BY uploads_stuck WHERE {_STUCK}
"""
STUCK_OF = f"""
SELECT {_OPEN} FROM uploads INDEXED BY uploads_stuck
WHERE tenant_id = :tenant_id AND provider = :provider AND {_STUCK}
ORDER BY id LIMIT :limit
"""
IN_LINE_BEFORE = """
SELECT COUNT(*) FROM (
    SELECT 1 FROM uploads INDEXED BY uploads_in_line
    WHERE credential = ? AND due IS NOT NULL AND (due, id) >= (?, ?) AND (due, id) < (?, ?)
    LIMIT ?
)
"""
STANDS_AT = """
SELECT due, id FROM uploads INDEXED BY uploads_in_line
WHERE credential = ? AND due IS NOT NULL ORDER BY due, id LIMIT 1 OFFSET ?
"""
INVALID = "SELECT tenant_id, kind FROM blocks WHERE provider = ''"
ASKING = """
SELECT upload_id FROM turns WHERE waits AND credential IN (SELECT value FROM json_each(?))
"""
ACTED_ON = f"""
SELECT DISTINCT {_KEYS} FROM actions JOIN uploads ON uploads.id = actions.upload_id
WHERE actions.id > :after AND actions.id <= :mark
"""
# The names of files that are needed no more begin with SETTLED.
WITH_FILE = f"""
SELECT id, {_KEYS}, document_file, document_size FROM uploads INDEXED BY uploads_with_file
WHERE document_file >= '0' AND (?1 = '[]' OR id IN (SELECT value FROM json_each(?1))) ORDER BY id
"""
_NAMED = """
SELECT document_file FROM uploads INDEXED BY uploads_with_file
WHERE document_file IN (SELECT value FROM json_each(?))
"""
LOOK_UPS = "SELECT * FROM look_ups WHERE upload_id = :id ORDER BY id"
PARKED = "parked"
"""The word by which those are counted that are parked, and so not as retrying."""
COUNTS = "SELECT word, number FROM counts"
_COUNT_PARKED = f"COUNT(*) FROM uploads INDEXED BY uploads_stuck WHERE {_STUCK} AND {_PARKED}"
COUNTED = f"""
SELECT word, SUM(number) FROM (
    SELECT status AS word, COUNT(*) AS number FROM uploads INDEXED BY uploads_by_status
    GROUP BY status
    UNION ALL SELECT 'parked', {_COUNT_PARKED}
    UNION ALL SELECT 'retrying', -{_COUNT_PARKED}
) GROUP BY word
"""
"""What COUNTS must say, but for what is 0."""
STATUSES = f"""
SELECT {_STATUS} FROM json_each(:evidence_ids) AS wanted
CROSS JOIN uploads ON uploads.tenant_id = :tenant_id AND uploads.evidence_id = wanted.value
"""
SHOW = f"SELECT {_STATUS} FROM uploads WHERE tenant_id = :tenant_id AND evidence_id = :evidence_id"
HISTORY = "SELECT * FROM attempts WHERE upload_id = :id ORDER BY id"
ACTIONS = "SELECT * FROM actions WHERE upload_id = :id ORDER BY id"


def recorded(connection: sqlite3.Connection, keys: Iterable[UploadKey]) -> dict[UploadKey, Entry]:
    """The uploads with these keys, as far as they are recorded."""
    rows = SELECT_UPLOADS.run(connection, list(map(key_cells, keys)))
    found = [open_upload_of(dict(zip(OPEN, row, strict=True))) for row in rows]
    return {item.upload.key: item for item in found}


def of_evidences(
    connection: sqlite3.Connection, keys: Sequence[UploadKey]
) -> dict[tuple[str, str], dict[str, Entry]]:
    """The uploads of these keys' evidences, by evidence and then by provider, the oldest first."""
    found: dict[tuple[str, str], dict[str, Entry]] = {}
    for row in SELECT_OF_EVIDENCE.run(connection, [key.evidence for key in keys]):
        one = open_upload_of(dict(zip(OPEN, row, strict=True)))
        found.setdefault(one.upload.key.evidence, {})[one.upload.key.provider] = one
    return found


def staged(connection: sqlite3.Connection, ids: Iterable[int]) -> dict[int, bytes]:
    """The bytes that are staged with these uploads, by id."""
    return dict(SELECT_CONTENTS.run(connection, [(identity,) for identity in ids]))


def names_recorded(db: Database, files: Sequence[str]) -> set[str]:
    """Those of some files that stand in a record: with SETTLED before the name if they are needed
    no more."""
    names = [*files, *(SETTLED + file for file in files)]
    return {name for (name,) in db.execute(_NAMED, (json.dumps(names),)).fetchall()}


def find_query(find: Find) -> tuple[str, dict[str, object]]:
    """The query for a page, and what it is asked with. MisuseError where the request cannot be
    met."""
    conditions: list[str] = []
    given: dict[str, object] = {"limit": find.limit + 1}
    if find.tenant_id is not None:
        conditions.append("tenant_id = :tenant_id")
        given["tenant_id"] = find.tenant_id
    if find.status is not None:
        conditions.append("status = :status")
        given["status"] = find.status.value
    if find.since is not None:
        conditions.append("created_at >= :since")
        given["since"] = moment(find.since)
    after = place_after(find)
    if after is not None:
        conditions.append("(created_at, id) < (:after, :arrival)")
        given |= {"after": moment(after.created_at), "arrival": after.arrival}
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    # Named, because SQLite's own choice between two that fit changes from version to version, and
    # one may be slow.
    index = _INDEX_FOR[find.tenant_id is not None, find.status is not None]
    select = f"SELECT {_STATUS} FROM uploads INDEXED BY {index} {where}"
    return f"{select} ORDER BY created_at DESC, id DESC LIMIT :limit", given


def statuses_of(db: Database, rows: Sequence[Row], now: datetime) -> list[UploadStatus]:
    """How the uploads of these rows stand. Columns: STATUS."""
    states = [state_of(row) for row in rows]
    outlooks = _outlooks(db, rows, states, now)
    return [
        status_of(row, state, outlooks.get(row["id"]))
        for row, state in zip(rows, states, strict=True)
    ]


def _outlooks(
    db: Database, rows: Sequence[Row], states: Sequence[State], now: datetime
) -> dict[int, Outlook]:
    """What those that are open wait for, by id. Each credential's line is counted through once,
    however many rows ask."""
    lines: dict[str, dict[tuple[str, int], tuple[State, str]]] = defaultdict(dict)
    for row, state in zip(rows, states, strict=True):
        if row["credential"] is not None and not Status(row["status"]).at_rest:
            lines[row["credential"]][row["due"] or "", row["id"]] = (state, row["provider"])
    found: dict[int, Outlook] = {}
    alone, asking, about = False, frozenset[int](), dict[str, Line]()
    if lines:
        alone = db.execute(COURIERS, (-1,)).fetchone() is None
        asks_now = db.execute(ASKING, (json.dumps([*lines]),)).fetchall()
        asking = frozenset(identity for (identity,) in asks_now)
        about = lines_of(db.conn, lines, now)
    for credential, in_line in lines.items():
        line = about[credential]
        most = max(MOST_COUNTED // len(lines), min(MOST_COUNTED, LEAST_COUNTED))
        for here, place in _places(db, credential, sorted(in_line), most):
            state, provider = in_line[here]
            asks = here[1] in asking
            outlook = outlook_of(state, provider, line, place, now, asks=asks, alone=alone)
            found[here[1]] = outlook
    invalid = dict(db.execute(INVALID).fetchall()) if rows else {}
    return found | outlooks_without(rows, invalid, found)


def _places(
    db: Database, credential: str, in_line: Sequence[_InLine], most: int
) -> Iterator[tuple[_InLine, int]]:
    """How many stand in a line before each of these, in order. No more than `most` are counted: the
    places of others are estimated, as if the rest of the line were as dense as its beginning."""
    place, reached = 0, ("", 0)
    for here in in_line:
        if place < most:
            between = (credential, *reached, *here, most - place)
            place += db.execute(IN_LINE_BEFORE, between).fetchone()[0]
            reached = here
        if place < most:
            yield here, place
    beyond = [here for here in in_line if here >= reached] if place >= most else []
    if beyond:
        first, last = (db.execute(STANDS_AT, (credential, place)).fetchone() for place in (0, most))
        counted = dict(db.execute(COUNTS).fetchall())
        open_ones = sum(
            counted.get(word, 0) for word in (Status.PENDING.value, Status.RETRYING.value, PARKED)
        )
        start, end = (datetime.fromisoformat(due) for due, _ in (first, last))
        for here in beyond:
            own = datetime.fromisoformat(here[0])
            if end > start:
                share = (own - start) / (end - start)
            elif own > end:
                share = inf
            else:  # due at one moment, in the order of arrival
                share = (here[1] - first[1]) / (last[1] - first[1])
            yield here, max(most, round(min(most * share, open_ones - 1)))


def age(row: Row) -> tuple[str, int]:
    """Where a row stands in the order of the lists."""
    return row["created_at"], row["id"]
