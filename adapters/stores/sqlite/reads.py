"""What the records are asked: each question is one indexed query, as fast at a million records
as at ten."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlite_utils import Database

from ....domain.pacing.estimate import expected_at
from ....domain.upload.failure import Concern, FailureKind
from ....domain.upload.status import UploadDetails, UploadStatus, status_of_upload
from ....domain.upload.upload import Status, UploadKey
from ....ports.records import ActedOn, Find, OpenUpload, Page
from ..history import details_of
from ..paging import Place, place_after, token_of
from .gates import ID_OF, line_of
from .rows import (
    DOSSIER,
    KEY,
    UPLOAD,
    Row,
    action_of,
    attempt_of,
    key_of,
    look_up_of,
    moment,
    moment_of,
    open_upload_of,
    upload_of,
)
from .statements import select_uploads

_STATUS = ", ".join(f"uploads.{name}" for name in ("id", *UPLOAD, "last_attempt_at", "credential"))

_KEYS = ", ".join(f"uploads.{name}" for name in KEY)

# By whether a tenant, and whether a status, is asked for.
_INDEX_FOR = {
    (False, False): "uploads_newest",
    (True, False): "uploads_of_tenant",
    (False, True): "uploads_by_status",
    (True, True): "uploads_of_tenant_by_status",
}

# In the order of the rows' ids, so that a page begins where the one before it ended, whatever has
# changed meanwhile.
DUE = f"""
SELECT {", ".join(KEY)} FROM uploads INDEXED BY uploads_due WHERE due <= :before AND id > :after AND updated_at > :written_after
ORDER BY id LIMIT :limit
"""
COURIERS = "SELECT id, host, boot, lock, beat FROM couriers WHERE id != ?"
SENDERS = "SELECT DISTINCT owner FROM uploads INDEXED BY uploads_in_flight WHERE owner >= 0 AND state = 'sending'"
IN_FLIGHT = f"""
SELECT {", ".join((*UPLOAD, *DOSSIER))} FROM uploads INDEXED BY uploads_in_flight
WHERE owner = :owner AND state = 'sending'
"""
_KINDS = ", ".join(f"'{kind.value}'" for kind in FailureKind if kind.concern is Concern.INTEGRATION)
_FOR_INTEGRATION = f"state = 'held' AND error_kind IN ({_KINDS})"
STUCK = f"""
SELECT DISTINCT tenant_id, provider FROM uploads INDEXED BY uploads_held_for_integration WHERE {_FOR_INTEGRATION}
"""
HELD_FOR_INTEGRATION = f"""
SELECT {", ".join((*UPLOAD, *DOSSIER))} FROM uploads INDEXED BY uploads_held_for_integration
WHERE tenant_id = :tenant_id AND provider = :provider AND {_FOR_INTEGRATION} ORDER BY id LIMIT :limit
"""
IN_LINE_BEFORE = """
SELECT COUNT(*) FROM uploads INDEXED BY uploads_in_line WHERE credential = ? AND due IS NOT NULL AND (due, id) >= (?, ?) AND (due, id) < (?, ?)
"""
LOOK_UPS = "SELECT * FROM look_ups WHERE upload_id = :id ORDER BY id"
COUNTS = """
SELECT status, COUNT(*) AS uploads FROM uploads
WHERE status IN (SELECT value FROM json_each(:statuses)) GROUP BY status
"""
STATUSES = f"""
SELECT {_STATUS} FROM json_each(:evidence_ids) AS wanted
CROSS JOIN uploads ON uploads.tenant_id = :tenant_id AND uploads.evidence_id = wanted.value
"""
SHOW = f"SELECT {_STATUS} FROM uploads WHERE tenant_id = :tenant_id AND evidence_id = :evidence_id"
HISTORY = "SELECT * FROM attempts WHERE upload_id = :id ORDER BY id"
ACTIONS = "SELECT * FROM actions WHERE upload_id = :id ORDER BY id"


def get(db: Database, keys: Sequence[UploadKey]) -> Mapping[UploadKey, OpenUpload]:
    """Uploads as they are recorded, by key."""
    found = map(
        open_upload_of,
        select_uploads(db.conn, [(k.tenant_id, k.evidence_id, k.provider) for k in keys]),
    )
    return {item.upload.key: item for item in found}


def due(
    db: Database,
    before: datetime,
    limit: int,
    after: UploadKey | None,
    written_after: datetime | None,
) -> Sequence[UploadKey]:
    """Keys of what is due, in the order of arrival."""
    arrival = 0
    if after is not None:
        row = db.execute(ID_OF, (after.tenant_id, after.evidence_id, after.provider)).fetchone()
        arrival = 0 if row is None else row[0]
    given = {
        "before": moment(before),
        "after": arrival,
        "limit": limit,
        "written_after": "" if written_after is None else moment(written_after),
    }
    return [key_of(row) for row in db.query(DUE, given)]


def couriers(db: Database, caller: int) -> tuple[list[tuple[Any, ...]], set[int]]:
    """The rows of the other couriers, and the ids of those that have something in flight."""
    rows = db.execute(COURIERS, (caller,)).fetchall()
    return rows, {sender for (sender,) in db.execute(SENDERS).fetchall()}


def in_flight(db: Database, courier_id: int) -> Sequence[OpenUpload]:
    """What a courier is sending."""
    return [open_upload_of(row) for row in db.query(IN_FLIGHT, {"owner": courier_id})]


def freed(
    db: Database, addresses: Mapping[tuple[str, str], str], limit: int
) -> Sequence[OpenUpload]:
    """What is held for an integration that is not blocked."""
    with db.atomic():  # one moment for all
        stuck = [(tenant, provider) for tenant, provider in db.execute(STUCK).fetchall()]
        blocked = {None, *(row[0] for row in db.execute("SELECT address FROM blocks").fetchall())}
        return [
            open_upload_of(row)
            for tenant_id, provider in stuck
            if addresses.get((tenant_id, provider)) not in blocked
            for row in db.query(
                HELD_FOR_INTEGRATION,
                {"tenant_id": tenant_id, "provider": provider, "limit": limit},
            )
        ]


def acted_on(db: Database, after: int | None) -> ActedOn:
    """Whose uploads people did something to since a mark."""
    (mark,) = db.execute("SELECT COALESCE(MAX(id), 0) FROM actions").fetchone()
    if after is None or mark == after:
        return ActedOn((), mark)
    keys = db.query(
        f"SELECT DISTINCT {_KEYS} FROM actions JOIN uploads ON uploads.id = actions.upload_id"
        " WHERE actions.id > :after AND actions.id <= :mark",
        {"after": after, "mark": mark},
    )
    return ActedOn([key_of(row) for row in keys], mark)


def fingerprint_key(db: Database) -> bytes:
    """The key of this database."""
    (value,) = db.execute("SELECT value FROM keys WHERE name = 'fingerprint'").fetchone()
    return bytes(value)


def counts(db: Database, statuses: Collection[Status]) -> Mapping[Status, int]:
    """How many uploads have each of these statuses."""
    wanted = json.dumps([status.value for status in statuses])
    found = {row["status"]: int(row["uploads"]) for row in db.query(COUNTS, {"statuses": wanted})}
    return {status: found.get(status.value, 0) for status in statuses}


def statuses(
    db: Database, tenant_id: str, evidence_ids: Sequence[str], now: datetime
) -> Mapping[str, UploadStatus]:
    """The newest status of each evidence."""
    wanted = set(evidence_ids)
    rows = db.query(STATUSES, {"tenant_id": tenant_id, "evidence_ids": json.dumps(sorted(wanted))})
    # SQLite reads a text in JSON up to its first NUL only: what was not asked for is not told.
    found = sorted((row for row in rows if row["evidence_id"] in wanted), key=_age)
    told = _statuses_of(db, found, now)
    return {status.evidence_id: status for status in told}


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
    return (
        f"SELECT {_STATUS} FROM uploads INDEXED BY {index} {where} ORDER BY created_at DESC, id DESC LIMIT :limit",
        given,
    )


def find(db: Database, find: Find, now: datetime) -> Page:
    """A page of statuses."""
    # One more than asked for shows whether there is a next page.
    rows = list(db.query(*find_query(find)))
    page = rows[: find.limit]
    more = len(rows) > find.limit
    return Page(
        uploads=tuple(_statuses_of(db, page, now)),
        next_page=token_of(Place(*_age(page[-1]))) if more else None,
    )


def show(db: Database, tenant_id: str, evidence_id: str, now: datetime) -> UploadDetails | None:
    """An evidence's newest upload with its history."""
    with db.atomic():  # one moment for all
        rows = sorted(
            db.query(SHOW, {"tenant_id": tenant_id, "evidence_id": evidence_id}), key=_age
        )
        if not rows:
            return None
        newest = rows[-1]
        attempts = [attempt_of(row) for row in db.query(HISTORY, {"id": newest["id"]})]
        actions = [action_of(row) for row in db.query(ACTIONS, {"id": newest["id"]})]
        look_ups = [look_up_of(row) for row in db.query(LOOK_UPS, {"id": newest["id"]})]
        (status,) = _statuses_of(db, [newest], now)
    return details_of(status, attempts, actions, look_ups)


def _statuses_of(db: Database, rows: Sequence[Row], now: datetime) -> list[UploadStatus]:
    expected = _expected(db, rows, now)
    return [
        status_of_upload(upload_of(row), moment_of(row["last_attempt_at"]), expected.get(row["id"]))
        for row in rows
    ]


def _expected(db: Database, rows: Sequence[Row], now: datetime) -> dict[int, datetime]:
    """When those that wait in a paced line are likely to be sent, by id. Each line is counted
    through once, however many rows ask."""
    lines: dict[str, list[Row]] = {}
    for row in rows:
        if row["state"] in ("queued", "waiting") and row["credential"] is not None:
            lines.setdefault(row["credential"], []).append(row)
    found: dict[int, datetime] = {}
    for credential, waiting in lines.items():
        line = line_of(db.conn, credential, now)
        place, reached = 0, ("", 0)
        for row in sorted(waiting, key=lambda row: (row["due"], row["id"])):
            here = (row["due"], row["id"])
            (between,) = db.execute(IN_LINE_BEFORE, (credential, *reached, *here)).fetchone()
            place, reached = place + between, here
            found[row["id"]] = expected_at(line, datetime.fromisoformat(row["due"]), place, now)
    return found


def _age(row: Row) -> tuple[datetime, int]:
    return datetime.fromisoformat(row["created_at"]), row["id"]
