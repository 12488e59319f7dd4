"""Lists of uploads, and how many they hold.

Each combination of status, provider and error that a list asks for is a stretch of one index, in
the order of the list; which providers a status has, the index tells. So a page reads the places of
a page of each, however many uploads fit or do not fit, and then the rows that it shows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any

from attrs import evolve

from ....domain.arguments import is_whole
from ....domain.health import Count
from ....domain.upload.find import MOST_WITH_PREFIX, Find, Place, place_after, too_many_begin_with
from ....domain.upload.upload import Status
from ..rows import Row, kind_in, moment, moment_or, status_in
from ..shown import SHOWN, Shown, age
from .reads import EVER_SINCE, PARKED, shown
from .session import Batch, Cells, Each, Given, Session
from .statements import list_of

_CELL = ("tenant_id", "provider", "word", "kind")
_COUNTED_BY = ("tenant_id", "provider", "status", "error_kind")
_LAST = "\U0010ffff" * 512
"""After all that an id may go on with: it has at most 512 characters."""

_WHERE = {
    "since": "created_at >= :since",
    "until": "created_at < :until",
    "after": "(created_at, id) < (:after, :arrival)",
    "arrival": "",
    "most": "",
}
_OF_TENANT = " WHERE tenant_id = :tenant_id"
TALLIES = (
    f"SELECT {list_of(_CELL)}, CAST(SUM(number) AS bigint) AS number, MAX(last_at) AS last_at"
    f" FROM tallies{{0}} GROUP BY {list_of(_CELL)}"
)
TALLIED = f"""
SELECT tenant_id, provider, CASE WHEN state = 'waiting' AND error_kind IN ('check_in_review')
    THEN '{PARKED}' ELSE status END AS word, COALESCE(error_kind, '') AS kind, COUNT(*) AS number
FROM uploads GROUP BY 1, 2, 3, 4
"""
"""What TALLIES must say, but for what is 0."""
_WITH_PREFIX = (
    "SELECT CASE WHEN {1} THEN 1 ELSE 0 END AS is_wanted, {2}"
    " FROM (SELECT DISTINCT tenant_id FROM tallies{0}) AS tenants"
    " CROSS JOIN uploads ON uploads.tenant_id = tenants.tenant_id"
    " AND uploads.evidence_id >= :prefix AND uploads.evidence_id < :beyond"
    f" LIMIT {MOST_WITH_PREFIX + 1}"
)
BY_ID = Batch(
    ("id",),
    f"SELECT {list_of(SHOWN, 'uploads')} FROM given CROSS JOIN uploads ON uploads.id = given.id",
)
_COUNTED = (
    "SELECT COUNT(*) AS number FROM uploads INDEXED BY {0} WHERE tenant_id = :tenant_id{1}"
    " AND status = :status AND provider = :provider"
    " AND created_at >= :since AND created_at < :upto"
)
_COUNTED_OF = ("tenant_id", "provider", "status", "since", "upto")
COUNTED = Each(_COUNTED_OF, _COUNTED.format("uploads_of_tenant_by_status", ""))
COUNTED_WITH_ERROR = Each(
    (*_COUNTED_OF, "error_kind"),
    _COUNTED.format("uploads_of_tenant_by_kind", " AND error_kind = :error_kind"),
)
_LAST_MOMENT = datetime.max.replace(tzinfo=UTC)


def newest(session: Session, find: Find) -> list[Shown]:
    """The rows of a page, and one more if there is a next page. MisuseError where the request
    cannot be met."""
    after = place_after(find)
    if not _may_be_found(find):
        return []
    if find.id_prefix:
        found = with_prefix(session, find, after, ("created_at", "id"))
    else:
        parts = session.cells_of_each(*stretches(session, find, after))
        found = [place for part in parts for place in part]
    page = sorted(found, reverse=True)[: find.limit + 1]
    rows = shown(session, BY_ID, [(one,) for _, one in page])
    return sorted(rows, key=age, reverse=True)


def stretches(session: Session, find: Find, after: Place | None) -> tuple[Each, list[Cells]]:
    """The question for the newest of a stretch, and what it is asked with: a status and a provider
    where any is asked for, and the other filters."""
    same, within = _same(find), _within_time(find, after)
    of_tenant = "" if find.tenant_id is None else "_of_tenant"
    cells: Sequence[Cells] = [()]
    names: tuple[str, ...] = ()
    if find.statuses or find.kind is not None or find.provider is not None:
        names = ("status", "provider")
        index = f"uploads{of_tenant}_by_{'status' if find.kind is None else 'kind'}"
        statuses = [status.value for status in {*find.statuses} or Status]
        cells = [(status, find.provider) for status in statuses]
        if find.provider is None:
            given = [(*same.values(), status) for status in statuses]
            found = session.ask_each(providers(index, *same), given)
            pairs = zip(statuses, found, strict=True)
            cells = [(status, row["provider"]) for status, rows in pairs for row in rows]
    else:
        index = f"uploads{of_tenant or '_newest'}"
    rest = (*within.values(), find.limit + 1)
    question = stretch(index, *same, *names, *within, "most")
    return question, [(*same.values(), *cell, *rest) for cell in cells]


def _same(find: Find) -> dict[str, str]:
    filters = {"tenant_id": find.tenant_id, "error_kind": find.kind}
    return {name: value for name, value in filters.items() if value is not None}


def _within_time(find: Find, after: Place | None) -> dict[str, str | int]:
    bounds = {"since": find.since, "until": find.until}
    found: dict[str, str | int] = {name: moment(at) for name, at in bounds.items() if at}
    if after is not None:
        found |= {"after": moment(after.created_at), "arrival": after.arrival}
    return found


def _condition(name: str) -> str:
    return _WHERE.get(name, f"{name} = :{name}")


# Indexes are named, because SQLite's own choice between two that fit changes from version to
# version, and one may be slow.
@cache
def stretch(index: str, *names: str) -> Each:
    """Which are the newest in a stretch of an index."""
    where = " AND ".join(filter(None, map(_condition, names)))
    select = f"SELECT created_at, id FROM uploads INDEXED BY {index}"
    # As PostgreSQL's index by age has it; SQLite takes no notice.
    last = "" if "status" in names else " NULLS LAST"
    order = f"ORDER BY created_at DESC{last}, id DESC{last} LIMIT :most"
    return Each(names, f"{select}{' WHERE ' * bool(where)}{where} {order}")


@cache
def providers(index: str, *names: str) -> Each:
    """The providers that a status has: one look at the index for each."""
    where = " AND ".join(f"{name} = :{name}" for name in (*names, "status"))
    first = f"SELECT MIN(provider) FROM uploads INDEXED BY {index} WHERE {where}"
    return Each(
        (*names, "status"),
        f"WITH RECURSIVE one (provider) AS (SELECT ({first}) UNION ALL"
        f" SELECT ({first} AND provider > one.provider) FROM one WHERE provider IS NOT NULL)"
        " SELECT provider FROM one WHERE provider IS NOT NULL",
    )


def counted(session: Session, find: Find) -> list[Count]:
    """How many uploads there are for which every filter holds."""
    if not _may_be_found(find):
        return []
    if find.id_prefix:
        return _counts_of(with_prefix(session, find, None, _COUNTED_BY))
    found = []
    for row in session.ask(*_of_tenant(TALLIES, find)):
        count = _count_of(row)
        wanted = not find.statuses or count.status in find.statuses
        of_provider = find.provider in (None, count.provider)
        if not (count.number and wanted and of_provider and find.kind in (None, count.reason)):
            continue
        found.append(count)
    if find.since is None and find.until is None:
        return found
    return _within(session, find, found)


def _within(session: Session, find: Find, counts: Iterable[Count]) -> list[Count]:
    """These, as far as their uploads were recorded within the time that is asked for."""
    # Parked ones and those that are asking again are one stretch.
    one_each = {(one.tenant_id, one.provider, one.status, one.reason): one for one in counts}
    since = EVER_SINCE if find.since is None else moment(find.since)
    until = moment(find.until or _LAST_MOMENT)
    found: list[Count] = []
    for question in (COUNTED, COUNTED_WITH_ERROR):
        with_error = question is COUNTED_WITH_ERROR
        some = [one for one in one_each.values() if (one.reason is not None) is with_error]
        given = [
            (one.tenant_id, one.provider, one.status.value, since, until, one.reason)
            for one in some
        ]
        rows = session.ask_each(question, [one[: len(question.names)] for one in given])
        found += [
            evolve(one, number=row["number"], parked=False, last_at=None)
            for one, (row,) in zip(some, rows, strict=True)
            if row["number"]
        ]
    return found


def _may_be_found(find: Find) -> bool:
    """Half a character stands in no record."""
    return all(map(is_whole, filter(None, (find.tenant_id, find.provider, find.id_prefix))))


def with_prefix(
    session: Session, find: Find, after: Place | None, names: tuple[str, ...]
) -> list[tuple[Any, ...]]:
    """The columns with these names of the uploads whose evidence id begins so, and for which every
    other filter holds."""
    prefix = find.id_prefix or ""
    words = tuple(sorted(status.value for status in find.statuses))
    given = {"prefix": prefix, "beyond": prefix + _LAST, **_same(find), **_within_time(find, after)}
    if find.provider is not None:
        given["provider"] = find.provider
    question = beginning_so(names, words, *given)
    (found,) = session.cells_of_each(question, [(*given.values(),)])
    if len(found) > MOST_WITH_PREFIX:
        raise too_many_begin_with(prefix)
    return [cells[1:] for cells in found if cells[0]]


@cache
def beginning_so(columns: tuple[str, ...], words: tuple[str, ...], *names: str) -> Each:
    """These columns of the uploads whose evidence id begins so, and whether the other filters hold:
    those with these names, and a status with one of the words if any is given."""
    of_tenant = _OF_TENANT if "tenant_id" in names else ""
    filters = [_condition(name) for name in names if name not in ("tenant_id", "prefix", "beyond")]
    if words:
        among = list_of(f"'{word}'" for word in words)
        filters.append(f"status IN ({among})")
    where = " AND ".join(filter(None, filters)) or "1 = 1"
    return Each(names, _WITH_PREFIX.format(of_tenant, where, list_of(columns, "uploads")))


def _of_tenant(text: str, find: Find) -> tuple[str, Given]:
    if find.tenant_id is None:
        return text.format(""), {}
    return text.format(_OF_TENANT), {"tenant_id": find.tenant_id}


def _status(word: str) -> Status:
    return Status.RETRYING if word == PARKED else status_in(word)


def _count_of(row: Row) -> Count:
    return Count(
        tenant_id=row["tenant_id"],
        provider=row["provider"],
        status=_status(row["word"]),
        reason=kind_in(row["kind"]) or None,
        number=row["number"],
        parked=row["word"] == PARKED,
        last_at=moment_or(None, row["last_at"]),
    )


def _counts_of(found: Iterable[tuple[Any, ...]]) -> list[Count]:
    counted = Counter(
        (tenant, provider, status_in(word), kind_in(kind)) for tenant, provider, word, kind in found
    )
    return [
        Count(tenant_id=tenant, provider=provider, status=status, reason=kind, number=number)
        for (tenant, provider, status, kind), number in counted.items()
    ]
