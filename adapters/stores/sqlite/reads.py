"""What the records are asked: each question is one indexed query, as fast at a million records as at ten."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlite_utils import Database

from ....domain.status import UploadDetails, UploadStatus, status_of_upload
from ....domain.upload import Status, UploadKey
from ....ports.store import Find, OpenUpload, Page
from ..history import details_of
from ..paging import Place, place_after, token_of
from .rows import (
    DOSSIER,
    UPLOAD,
    Row,
    action_of,
    attempt_of,
    moment,
    moment_of,
    open_upload_of,
    upload_of,
)
from .statements import select_uploads

_STATUS = ", ".join(f"uploads.{name}" for name in ("id", *UPLOAD, "last_attempt_at"))

# By whether a tenant, and whether a status, is asked for.
_INDEX_FOR = {
    (False, False): "uploads_newest",
    (True, False): "uploads_of_tenant",
    (False, True): "uploads_by_status",
    (True, True): "uploads_of_tenant_by_status",
}

DUE = f"""
SELECT {", ".join((*UPLOAD, *DOSSIER))} FROM uploads WHERE due <= :before ORDER BY due, id LIMIT :limit
"""
COUNT_OPEN = "SELECT COUNT(*) AS open FROM uploads WHERE status IN ('pending', 'retrying')"
COUNTS = "SELECT status, COUNT(*) AS uploads FROM uploads GROUP BY status"
STATUSES = f"""
SELECT {_STATUS} FROM json_each(:evidence_ids) AS wanted
CROSS JOIN uploads ON uploads.tenant_id = :tenant_id AND uploads.evidence_id = wanted.value
"""
SHOW = f"SELECT {_STATUS} FROM uploads WHERE tenant_id = :tenant_id AND evidence_id = :evidence_id"
HISTORY = "SELECT * FROM attempts WHERE upload_id = :id ORDER BY id"
ACTIONS = "SELECT * FROM actions WHERE upload_id = :id ORDER BY id"


def get(db: Database, keys: Sequence[UploadKey]) -> Mapping[UploadKey, OpenUpload]:
    """See the port."""
    found = map(
        open_upload_of, select_uploads(db.conn, [(k.tenant_id, k.evidence_id, k.provider) for k in keys])
    )
    return {item.upload.key: item for item in found}


def due(db: Database, before: datetime, limit: int) -> Sequence[OpenUpload]:
    """See the port."""
    return [open_upload_of(row) for row in db.query(DUE, {"before": moment(before), "limit": limit})]


def count_open(db: Database) -> int:
    """See the port."""
    (row,) = db.query(COUNT_OPEN)
    return int(row["open"])


def counts(db: Database) -> Mapping[Status, int]:
    """See the port; every status is there, with 0 where no upload has it."""
    found = {row["status"]: int(row["uploads"]) for row in db.query(COUNTS)}
    return {status: found.get(status.value, 0) for status in Status}


def statuses(db: Database, tenant_id: str, evidence_ids: Sequence[str]) -> Mapping[str, UploadStatus]:
    """See the port."""
    wanted = set(evidence_ids)
    rows = db.query(STATUSES, {"tenant_id": tenant_id, "evidence_ids": json.dumps(sorted(wanted))})
    # SQLite reads a text in JSON up to its first NUL only: what was not asked for is not told.
    found = sorted((row for row in rows if row["evidence_id"] in wanted), key=_age)
    return {row["evidence_id"]: _status_of(row) for row in found}


def find_query(find: Find) -> tuple[str, dict[str, object]]:
    """The query for a page, and what it is asked with. MisuseError where the request cannot be met."""
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
    # Named, because SQLite's own choice between two that fit changes from version to version, and one may be slow.
    index = _INDEX_FOR[find.tenant_id is not None, find.status is not None]
    return (
        f"SELECT {_STATUS} FROM uploads INDEXED BY {index} {where} ORDER BY created_at DESC, id DESC LIMIT :limit",
        given,
    )


def find(db: Database, find: Find) -> Page:
    """See the port."""
    # One more than asked for shows whether there is a next page.
    rows = list(db.query(*find_query(find)))
    page = rows[: find.limit]
    more = len(rows) > find.limit
    return Page(
        uploads=tuple(map(_status_of, page)),
        next_page=token_of(Place(*_age(page[-1]))) if more else None,
    )


def show(db: Database, tenant_id: str, evidence_id: str) -> UploadDetails | None:
    """See the port."""
    with db.atomic():  # one moment for all three
        rows = sorted(db.query(SHOW, {"tenant_id": tenant_id, "evidence_id": evidence_id}), key=_age)
        if not rows:
            return None
        newest = rows[-1]
        attempts = [attempt_of(row) for row in db.query(HISTORY, {"id": newest["id"]})]
        actions = [action_of(row) for row in db.query(ACTIONS, {"id": newest["id"]})]
    return details_of(upload_of(newest), moment_of(newest["last_attempt_at"]), attempts, actions)


def _status_of(row: Row) -> UploadStatus:
    return status_of_upload(upload_of(row), moment_of(row["last_attempt_at"]))


def _age(row: Row) -> tuple[datetime, int]:
    return datetime.fromisoformat(row["created_at"]), row["id"]
