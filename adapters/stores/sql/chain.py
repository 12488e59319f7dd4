"""The hash chains in a database: rows are linked some time after they were written, so that what
writes them waits for nothing.

PostgreSQL numbers rows before they can be seen, so there it is looked back: a row is passed over if
too many later rows of its table are linked before its own transaction has ended.
"""

from __future__ import annotations

import json
import secrets
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from typing import Any

from attrs import evolve

from ....domain.chain import (
    ACTION,
    ATTEMPT,
    CHECKPOINT,
    KINDS,
    PAUSE,
    RESUME,
    Head,
    Link,
    Record,
    Value,
    canonical_of_hashes,
    chained,
    ranges_of,
)
from ....domain.upload.backoff import later
from ....domain.upload.upload import UNKNOWN_PROVIDER
from ....ports.chain import ChainPage, Unlinked
from ..rows import ATTEMPT as ATTEMPT_COLUMNS
from ..rows import Row, moment
from .session import Batch, Session
from .statements import LOCK_CLASS, list_of

_LOOKED_BACK = 10_000

_LATE = timedelta(minutes=1)
"""So long after the last link it is looked back."""

_MOST_NAMED = 100

LINKER = -2
"""Beside WRITERS: held in a transaction that makes a chain longer."""
_TRY_LOCK = f"SELECT /* pg_try_advisory_xact_lock({LOCK_CLASS}, {LINKER}) AND */ 1 = 1 AS free"
_LOCK = f"/* SELECT pg_advisory_xact_lock({LOCK_CLASS}, {LINKER}) */"

# What is hashed of each kind of row; its moments; where it stands.
_COLUMNS = {
    ATTEMPT: ("evidence_id", "provider", "digest", *ATTEMPT_COLUMNS, "credential"),
    ACTION: ("evidence_id", "provider", "at", "action", "by", "reason"),
    PAUSE: ("provider", "at", "by", "reason"),
    RESUME: ("provider", "ended_at", "ended_by", "ended_reason"),
    CHECKPOINT: ("at", "action", "by", "reason", "links"),
}
_MOMENTS = frozenset(("started_at", "ended_at", "not_before", "at"))
_TABLES = {
    ATTEMPT: "attempts",
    ACTION: "actions",
    PAUSE: "pauses",
    RESUME: "pauses",
    CHECKPOINT: "checkpoints",
}
_OF_UPLOADS = ("attempts", "actions")
_COLUMNS_OF_UPLOAD = "tenant_id", "evidence_id", "provider", "digest"


def _joined(table: str) -> str:
    """The upload that a row of the table is of."""
    join = f" CROSS JOIN uploads ON uploads.id = {table}.upload_id"
    return join if table in _OF_UPLOADS else ""


def _columns(table: str) -> str:
    of_upload = f", {list_of(_COLUMNS_OF_UPLOAD, 'uploads')}"
    return f"{table}.*{of_upload if table in _OF_UPLOADS else ''}"


def _is_unlinked(kind: str) -> str:
    linked = (
        f"SELECT 1 FROM links WHERE links.kind = '{kind}' AND links.row_id = {_TABLES[kind]}.id"
    )
    has_ended = " AND pauses.ended_at IS NOT NULL" if kind == RESUME else ""
    return f"NOT EXISTS ({linked}){has_ended}"


# Of `rows` rows of a table at most: a server that plans for any number of them reads all.
_UNLINKED = {
    kind: f"SELECT {_columns(table)} FROM"
    f" (SELECT id FROM {table} WHERE id > :after ORDER BY id LIMIT :rows) AS found"
    f" CROSS JOIN {table} ON {table}.id = found.id{_joined(table)}"
    f" WHERE {_is_unlinked(kind)} ORDER BY {table}.id LIMIT :most"
    for kind, table in _TABLES.items()
}
_ALL = 2**62
_COUNT_UNLINKED = {
    kind: f"SELECT {'uploads' if _joined(table) else table}.tenant_id, COUNT(*) AS number"
    f" FROM {table}{_joined(table)} WHERE {_is_unlinked(kind)} GROUP BY 1"
    for kind, table in _TABLES.items()
}
_ROWS = {
    kind: Batch(
        ("id",),
        f"SELECT {_columns(table)} FROM given CROSS JOIN {table} ON {table}.id = given.id"
        f"{_joined(table)}",
    )
    for kind, table in _TABLES.items()
}
_LAST_LINKED = (
    f"SELECT row_id AS last, row_id /* - {_LOOKED_BACK} */ AS back, time FROM links"
    " WHERE kind = :kind AND row_id IS NOT NULL ORDER BY row_id DESC LIMIT 1"
)

_LINK = ("tenant_id", "position", "time", "kind", "row_id", "fields", "record", "hash")
_HEAD = ("tenant_id", "length", "hash", "time")
_HEADS = f"SELECT {list_of(_HEAD)} FROM heads"
_HEADS_OF = Batch(
    ("tenant_id",),
    f"SELECT {list_of(_HEAD, 'heads')} FROM given CROSS JOIN heads"
    " ON heads.tenant_id = given.tenant_id",
)
_LAST_OF = Batch(
    ("tenant_id",),
    "SELECT tenant_id, (SELECT MAX(position) FROM links WHERE links.tenant_id = given.tenant_id)"
    " AS last FROM given",
)
_PUT_HEADS = Batch(
    _HEAD,
    f"INSERT INTO heads ({list_of(_HEAD)}) SELECT * FROM given WHERE true"
    " ON CONFLICT (tenant_id) DO UPDATE SET length = excluded.length, hash = excluded.hash,"
    " time = excluded.time",
)
_TENANTS = "SELECT tenant_id FROM heads UNION SELECT tenant_id FROM links"
_INSERT_LINKS = Batch(_LINK, f"INSERT INTO links ({list_of(_LINK)}) SELECT * FROM given")
_LINKS_AFTER = (
    f"SELECT {list_of(_LINK)} FROM links WHERE tenant_id = :tenant_id AND position > :after"
    " ORDER BY position LIMIT :most"
)
_LINKS_OF = {
    kind: Batch(
        ("row_id",),
        f"SELECT {list_of(_LINK, 'links')} FROM given CROSS JOIN links"
        f" ON links.kind = '{kind}' AND links.row_id = given.row_id",
    )
    for kind in KINDS
}
_UPDATE_LINKS = Batch(
    ("tenant_id", "position", "row_id", "fields", "record"),
    "UPDATE links SET row_id = given.row_id, fields = given.fields, record = given.record"
    " FROM given WHERE links.tenant_id = given.tenant_id AND links.position = given.position",
)
_INSERT_CHECKPOINTS = Batch(
    ("tenant_id", "at", "action", "actor", "reason", "links"),
    'INSERT INTO checkpoints (tenant_id, at, action, "by", reason, links) SELECT * FROM given',
)


# --- reading -------------------------------------------------------------------------------------


def heads_of(session: Session, tenant_id: str | None) -> list[Head]:
    """As in `ChainReader`."""
    if tenant_id is not None:
        return [*_heads(session, [tenant_id]).values()]
    return [Head(**row) for row in session.ask(f"{_HEADS} ORDER BY tenant_id")]


def page_of(session: Session, tenant_id: str, after: int, limit: int) -> ChainPage:
    """As in `ChainReader`."""
    given = {"tenant_id": tenant_id, "after": after, "most": limit}
    links = [_link_of(row) for row in session.ask(_LINKS_AFTER, given)]
    found: dict[tuple[str, int | None], Record] = {}
    for kind in KINDS:
        ids = [one.row_id for one in links if one.kind == kind and one.row_id is not None]
        found |= {(kind, one.id): one for one in _records(session, kind, ids)}
    head = _heads(session, [tenant_id]).get(tenant_id, Head(tenant_id))
    return ChainPage([(one, found.get((one.kind, one.row_id))) for one in links], head)


def chains_of(session: Session) -> dict[str, Unlinked]:
    """As in `ChainReader`."""
    number = dict.fromkeys((row["tenant_id"] for row in session.ask(_TENANTS)), 0)
    passed_over: defaultdict[str, list[str]] = defaultdict(list)
    for kind in KINDS:
        for row in session.ask(_COUNT_UNLINKED[kind]):
            number[row["tenant_id"]] = number.get(row["tenant_id"], 0) + row["number"]
        last = _all_linked(session, kind, "")
        for row in _unlinked(session, kind, -1, _ALL, _MOST_NAMED):
            if row["id"] <= last:
                passed_over[row["tenant_id"]].append(_record_of(kind, row).about)
    return {one: Unlinked(many, tuple(passed_over[one])) for one, many in number.items()}


# --- making --------------------------------------------------------------------------------------


def link(session: Session, limit: int, now: datetime, *, late: bool = True) -> int:
    """As in `Chain`, within a transaction."""
    (lock,) = session.ask(_TRY_LOCK)
    if not lock["free"]:
        return 0
    return _link_rows(session, limit, now, late)


def _link_rows(session: Session, limit: int, now: datetime, late: bool) -> int:
    late_since = moment(later(now, -_LATE)) if late else None
    done = 0
    for kind in KINDS:
        after, most = _all_linked(session, kind, late_since), limit - done
        rows = _unlinked(session, kind, after, most + _LOOKED_BACK if late else most, most)
        _append(session, [_record_of(kind, row) for row in rows], now)
        done += len(rows)
    return done


def _unlinked(session: Session, kind: str, after: int, rows: int, most: int) -> Sequence[Row]:
    given = {"after": after, "rows": _ALL if kind == RESUME else rows, "most": most}
    return session.ask(_UNLINKED[kind], given)


def _append(session: Session, records: Sequence[Record], now: datetime) -> None:
    tenants = {one.tenant_id for one in records}
    heads = _heads(session, tenants)
    for row in session.ask_all(_LAST_OF, ((one,) for one in tenants)):
        length = heads.get(row["tenant_id"], Head("")).length
        if row["last"] and (row["last"] > length or length > _ALL):
            # Someone has changed the head. `verify` says so, and no one else waits for that.
            heads[row["tenant_id"]] = evolve(
                heads.get(row["tenant_id"], Head(row["tenant_id"])), length=row["last"]
            )
    links, ends = chained(heads, records, secrets.token_hex, moment(now))
    session.tell_all(_INSERT_LINKS, map(_link_cells, links))
    session.tell_all(_PUT_HEADS, ((one.tenant_id, one.length, one.hash, one.time) for one in ends))


class Gone:
    """What is let go of the records; see `letting_go`."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.positions: defaultdict[str, list[int]] = defaultdict(list)

    def fields(self, kind: str, ids: Collection[int], names: Collection[str]) -> None:
        """Fields of these rows are erased now; `names` are columns, or evidence_id."""
        self._let_go(kind, ids, names)

    def rows(self, kind: str, ids: Collection[int]) -> None:
        """These rows are deleted now."""
        self._let_go(kind, ids, None)

    def _let_go(self, kind: str, ids: Collection[int], names: Collection[str] | None) -> None:
        records = {one.id: one for one in _records(self._session, kind, ids)}
        asked = self._session.ask_all(_LINKS_OF[kind], ((one,) for one in ids))
        found = [_link_of(row) for row in asked]
        after = []
        for one in found:
            after.append(one.without(records.get(one.row_id or 0), names))
            self.positions[one.tenant_id].append(one.position)
        rows: Iterable[dict[str, Any]] = (
            dict(zip(_LINK, _link_cells(one), strict=True)) for one in after
        )
        names = _UPDATE_LINKS.names
        self._session.tell_all(_UPDATE_LINKS, ([row[name] for name in names] for row in rows))


@contextmanager
def letting_go(session: Session, at: datetime, action: str, by: str, reason: str) -> Iterator[Gone]:
    """Erase fields or delete rows within a transaction, so that the chains stay whole: tell what,
    before it is done. A checkpoint of each tenant says who did it.

    Args:
        action: erase or prune.
    """
    session.tell(_LOCK)
    gone = Gone(session)
    yield gone
    rows = [
        (tenant, moment(at), action, by, reason, ranges_of(positions))
        for tenant, positions in gone.positions.items()
    ]
    session.tell_all(_INSERT_CHECKPOINTS, rows)
    last = _all_linked(session, CHECKPOINT, None)
    found = _unlinked(session, CHECKPOINT, last, len(rows), len(rows))
    _append(session, [_record_of(CHECKPOINT, row) for row in found], at)


# --- rows ----------------------------------------------------------------------------------------


def _heads(session: Session, tenants: Iterable[str]) -> dict[str, Head]:
    rows = session.ask_all(_HEADS_OF, ((one,) for one in tenants))
    return {row["tenant_id"]: Head(**row) for row in rows}


def _all_linked(session: Session, kind: str, late_since: str | None) -> int:
    """All rows up to this one are linked, if none is late. One may be if the last link is not older
    than that moment; None: no look back. Pauses end in any order."""
    if kind == RESUME:
        return 0
    for row in session.ask(_LAST_LINKED, {"kind": kind}):
        may_be_late = late_since is not None and row["time"] >= late_since
        return int(row["back"] if may_be_late else row["last"])
    return 0


def _records(session: Session, kind: str, ids: Collection[int]) -> Iterator[Record]:
    for row in session.ask_all(_ROWS[kind], ((one,) for one in ids)):
        yield _record_of(kind, row)


def _record_of(kind: str, row: Row) -> Record:
    content: dict[str, Value] = {}
    for name in _COLUMNS[kind]:
        value = row[name]
        if value is not None and (name in _MOMENTS or type(value) is not str):
            value = _value(name, value)
        content[name] = value
    match kind:
        case "attempt":
            about = f"attempt {row['number']} of evidence {row['evidence_id']!r}"
            # Before, the document may be made anew.
            if row["verdict"] != "delivered":
                content["digest"] = None
        case "action":
            about = f"{row['action']} of evidence {row['evidence_id']!r}"
            if row["provider"] == UNKNOWN_PROVIDER:  # and it may become known
                content["provider"] = None
        case "pause" | "resume":
            whom = f" of provider {row['provider']!r}" if row["provider"] else ""
            about = f"the {kind}{whom} at {content['at' if kind == PAUSE else 'ended_at']}"
        case _:
            about = f"the checkpoint of {content['at']}"
    return Record(row["tenant_id"], kind, row["id"], about, content)


def _value(name: str, value: Any) -> Value:
    """A cell as it is hashed: the same from both databases."""
    if type(value) is int:
        return value
    if name in _MOMENTS and not (isinstance(value, str) and value.endswith("Z")):
        with suppress(ValueError, TypeError):  # then someone has changed it
            return moment(datetime.fromisoformat(value))
    return value if isinstance(value, str) else repr(value)


def _link_of(row: Row) -> Link:
    given: dict[str, Any] = {name: row[name] for name in _LINK}
    if given["fields"] is not None:
        given["fields"] = _fields_in(given["fields"])
    return Link(**given)


def _fields_in(text: str) -> Mapping[str, str]:
    """What stands in a link's fields. Someone may have changed it: then that is no field."""
    with suppress(ValueError):
        found = json.loads(text)
        if isinstance(found, dict) and all(isinstance(one, str) for one in found.values()):
            return found
    return {}


def _link_cells(one: Link) -> tuple[Any, ...]:
    fields = None if one.fields is None else canonical_of_hashes(one.fields)
    return (
        *(one.tenant_id, one.position, one.time, one.kind, one.row_id),
        *(fields, one.record, one.hash),
    )
