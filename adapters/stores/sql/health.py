"""How all uploads in a database stand: figures that are kept with each write, and one look at an
index for each of a tenant's statuses and errors. The work grows with the tenants, and not with the
uploads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from ....domain.health import (
    MOST_LISTED,
    Count,
    RecordsHealth,
    SinkNotices,
    Stop,
    health_of,
    paused,
    stop_of,
)
from ....domain.notices import Notice
from ....domain.pacing.paused import waits_since
from ..rows import EVER, OF_TARGETS, Row, moment_or, refused_in, since_of
from . import pauses
from .lists import BY_ID
from .reads import shown, statuses_of
from .session import Each, Session

OLDEST = Each(
    ("tenant_id", "status", "provider", "kind"),
    "SELECT id, COALESCE(reopened_at, created_at) AS since FROM uploads INDEXED BY uploads_open"
    " WHERE tenant_id = :tenant_id AND status = :status AND provider = :provider"
    " AND COALESCE(error_kind, '') = :kind AND status IN ('pending', 'retrying', 'held')"
    " ORDER BY COALESCE(reopened_at, created_at), id LIMIT 1",
)
"""Of the open uploads with a status and an error ('' without one) that which has waited longest."""
_WAITING = (
    "SELECT sink, COUNT(*) AS number, MIN(tries) AS least, MAX(tries) AS most"
    " FROM notices GROUP BY sink"
)
_OLDEST_NOTICES = """
SELECT sink, notice FROM notices
WHERE id IN (SELECT MIN(id) FROM notices GROUP BY sink) OR notice LIKE '%"kind": "summary"%'
"""
STOPS = "SELECT tenant_id, provider, at, kind, message, until FROM blocks"


def health(
    session: Session,
    now: datetime,
    counts: Sequence[Count],
    most: int | None = MOST_LISTED,
) -> RecordsHealth:
    """How they stand at one moment; `counts` are all that there are then."""
    wait = [stop_of(pause) for pause in pauses.read(session)]
    stops = [*wait, *(_stop_of(row) for row in session.ask(STOPS))]
    late = [
        count
        for count in counts
        if count.may_be_late and not paused(wait, count.tenant_id, count.provider)
    ]
    oldest = _oldest_of_tenants(session, late)
    first = [min(oldest.values())[1]] if oldest else []
    (status,) = statuses_of(session, shown(session, BY_ID, [first]), now) if first else (None,)
    return health_of(counts, {one: at for one, (at, _) in oldest.items()}, status, stops, most)


def notice_in(text: str) -> Notice | None:
    """The notice in a row; None if it cannot be read, since other hands wrote it."""
    try:
        return Notice.from_json(text)
    except (ValueError, TypeError):
        return None


def notices(session: Session) -> Sequence[SinkNotices]:
    """What waits for each sink. A summary stands for older ones than the first."""
    since: dict[str, datetime] = {}
    for row in session.ask(_OLDEST_NOTICES):
        notice = notice_in(row["notice"])
        at = EVER if notice is None else notice.at
        since[row["sink"]] = min(since.get(row["sink"], at), at)
    found = [
        SinkNotices(
            sink=row["sink"],
            number=row["number"],
            since=since[row["sink"]],
            tries=max(refused_in(row[end]).times for end in ("least", "most")),
        )
        for row in session.ask(_WAITING)
    ]
    return sorted(found, key=lambda one: one.sink)


def _oldest_of_tenants(
    session: Session, counts: Sequence[Count]
) -> Mapping[str, tuple[datetime, int]]:
    """For each tenant, since when that of its uploads waits that has waited longest, and its id."""
    found = [*_oldest(session, counts)]
    first = min((row["since"] for _, row in found), default=None)
    changes = [] if first is None else pauses.ended_since(session, first)
    oldest: dict[str, tuple[datetime, int]] = {}
    for count, row in found:
        if (at := moment_or(None, row["since"])) is None:
            continue  # other hands wrote it: `invariants` says so
        one = waits_since(at, count.tenant_id, count.provider, changes), row["id"]
        oldest[count.tenant_id] = min(oldest.get(count.tenant_id, one), one)
    return oldest


def _oldest(session: Session, counts: Sequence[Count]) -> Iterable[tuple[Count, Row]]:
    given = [(one.tenant_id, one.status.value, one.provider, one.reason or "") for one in counts]
    for count, rows in zip(counts, session.ask_each(OLDEST, given), strict=True):
        yield from ((count, row) for row in rows)


def _stop_of(row: Row) -> Stop:
    """A block of an integration or a target, or what is wrong with a tenant's configuration."""
    of_target = row["kind"] in OF_TARGETS
    return Stop(
        state="skipped" if not row["provider"] else "parked" if of_target else "blocked",
        tenant_id=row["tenant_id"],
        provider=row["provider"],
        since=since_of(row["at"]),
        reason=row["kind"],
        message=row["message"],
        until=moment_or(None, row["until"]),
    )
