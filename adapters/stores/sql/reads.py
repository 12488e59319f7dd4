"""What the records are asked: each question is one indexed query, as fast at a million records
as at ten."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from math import inf
from typing import TypeAlias

from attrs import evolve

from ....domain.integration import tenant_key
from ....domain.pacing.backfill import credential_of, is_backfill
from ....domain.pacing.estimate import goes_on_when_free, outlook_alone, outlook_of, outlook_of_free
from ....domain.pacing.paused import pause_of
from ....domain.upload.failure import Concern, FailureKind
from ....domain.upload.status import Outlook, UploadStatus
from ....domain.upload.upload import State, Status, UploadKey
from ....ports.records import Entry
from ..rows import (
    DOCUMENT,
    EVER,
    EVER_AFTER,
    KEY,
    OPEN,
    Row,
    at_of,
    key_cells,
    moment,
    moment_or,
)
from ..shown import SHOWN, Shown, outlooks_without, readable, state_shown, status_shown
from ..unreadable import UnreadableRows, entry_of
from . import pauses
from .lines import lines_of
from .session import Batch, Cells, Each, Session
from .statements import SELECT_OF_EVIDENCE, SELECT_UPLOADS, SETTLED, list_of

EVER_SINCE = moment(EVER)

_OPEN_WORDS = frozenset(status.value for status in Status if not status.at_rest)

MOST_COUNTED = 1_000
"""How many uploads are counted to answer one question about places in lines."""

LEAST_COUNTED = 100
"""How many of each line, even if that is more."""

_LAST = 2**62

_InLine: TypeAlias = tuple[datetime, int]
"""Where an upload stands in its line: when it is due, and its id."""

_KEYS = list_of(KEY, "uploads")

# The first credential after each credential, so that a line is not read to its end.
_NEXT = (
    "(SELECT credential FROM uploads INDEXED BY uploads_in_line"
    " WHERE due IS NOT NULL AND credential {0} ORDER BY credential LIMIT 1)"
)
_ANY = "EXISTS (SELECT 1 FROM uploads INDEXED BY uploads_in_line WHERE credential {0}"
LINES = f"""
WITH RECURSIVE line (credential) AS (
    SELECT {_NEXT.format("IS NOT NULL")}
    UNION ALL
    SELECT {_NEXT.format("> line.credential")} FROM line WHERE credential IS NOT NULL
)
SELECT credential FROM line WHERE credential IS NOT NULL
    AND {_ANY.format("= line.credential")} AND due <= :before)
UNION ALL SELECT NULL WHERE {_ANY.format("IS NULL")} AND due <= :before)
"""
_LINE = f"""
SELECT {_KEYS} FROM uploads INDEXED BY uploads_in_line
WHERE credential {{0}} AND due <= :before AND updated_at > :written_after
AND tenant_id NOT IN (SELECT value FROM json_each(:without)) ORDER BY due, id LIMIT :most
"""
_OF_LINE = ("credential", "before", "written_after", "without", "most")
LINE = Each(_OF_LINE, _LINE.format("= :credential"))
NO_LINE = Each(_OF_LINE, _LINE.format("IS NULL"))
SENDERS = (
    "SELECT DISTINCT owner FROM uploads INDEXED BY uploads_in_flight"
    " WHERE owner >= 0 AND state = 'sending'"
)
IN_FLIGHT = Each(
    ("owner", "without", "most"),
    f"SELECT {list_of(OPEN)} FROM uploads INDEXED BY uploads_in_flight"
    " WHERE owner = :owner AND state = 'sending'"
    " AND tenant_id NOT IN (SELECT value FROM json_each(:without)) ORDER BY id LIMIT :most",
)


def _kinds(concern: Concern) -> str:
    kinds = (kind for kind in FailureKind if kind.concern is concern)
    return list_of(f"'{kind.value}'" for kind in kinds if kind is not FailureKind.PAUSED)


_IS_PARKED = f"state = 'waiting' AND error_kind IN ({_kinds(Concern.TARGET)})"
_STUCK = (
    f"(state IN ('held', 'failed') AND error_kind IN ({_kinds(Concern.INTEGRATION)})"
    f" OR {_IS_PARKED})"
)
# In an index of their own: a courier of an older version asks for the other by its words.
_PAUSED = "state IN ('held', 'failed') AND error_kind IN ('paused')"
_EACH_STUCK = (("uploads_stuck", _STUCK), ("uploads_paused", _PAUSED))
STUCK = " UNION ".join(
    f"SELECT tenant_id, provider FROM uploads INDEXED BY {index} WHERE {which}"
    for index, which in _EACH_STUCK
)
STUCK_OF = Each(
    ("tenant_id", "provider", "most"),
    " UNION ALL ".join(
        f"SELECT {list_of(OPEN)} FROM uploads INDEXED BY {index}"
        f" WHERE tenant_id = :tenant_id AND provider = :provider AND {which}"
        for index, which in _EACH_STUCK
    )
    + " ORDER BY id LIMIT :most",
)
IN_LINE_BETWEEN = Each(
    ("credential", "since", "since_id", "upto", "upto_id", "most"),
    "SELECT COUNT(*) AS many FROM (SELECT 1 FROM uploads INDEXED BY uploads_in_line"
    " WHERE credential = :credential AND due IS NOT NULL AND (due, id) >= (:since, :since_id)"
    " AND (due, id) < (:upto, :upto_id) LIMIT :most) AS between_them",
)
STANDS_AT = Each(
    ("credential", "place"),
    "SELECT due, id FROM uploads INDEXED BY uploads_in_line"
    " WHERE credential = :credential AND due IS NOT NULL ORDER BY due, id LIMIT 1 OFFSET :place",
)
INVALID = "SELECT tenant_id, kind FROM blocks WHERE provider = ''"
BLOCKED = f"SELECT tenant_id, provider FROM blocks WHERE kind NOT IN ({_kinds(Concern.TARGET)})"
ASKING = Batch(
    ("credential",),
    "SELECT turns.upload_id FROM given CROSS JOIN turns"
    " ON turns.credential = given.credential AND turns.waits",
)
MARK = "SELECT COALESCE(MAX(id), 0) AS mark FROM actions"
ACTED_ON = f"""
SELECT DISTINCT {_KEYS} FROM actions JOIN uploads ON uploads.id = actions.upload_id
WHERE actions.id > :after AND actions.id <= :mark
"""
PARKED = "parked"
"""The word by which those are counted that are parked, and so not as retrying."""
COUNTS = "SELECT word, number FROM counts"
ALL_OPEN = (
    "SELECT CAST(SUM(number) AS bigint) AS number FROM tallies"
    f" WHERE word IN ('{Status.PENDING.value}', '{Status.RETRYING.value}', '{PARKED}')"
)
STATUSES = Batch(
    ("tenant_id", "evidence_id"),
    f"SELECT {list_of(SHOWN, 'uploads')} FROM given CROSS JOIN uploads"
    " ON uploads.tenant_id = given.tenant_id AND uploads.evidence_id = given.evidence_id",
)
HISTORY, ACTIONS, LOOK_UPS = (
    f"SELECT * FROM {table} WHERE upload_id = :id ORDER BY id"
    for table in ("attempts", "actions", "look_ups")
)

BESIDE = (
    f"SELECT uploads.owner, couriers.host, couriers.pid, {list_of(DOCUMENT)},"
    f" substr(document_file, 1, 1) <> '{SETTLED}' OR EXISTS (SELECT 1 FROM documents"
    " WHERE upload_id = uploads.id) AS is_stored FROM uploads"
    " LEFT JOIN couriers ON couriers.id = uploads.owner WHERE uploads.id = :id"
)
"""What is shown of one upload beside its status: its courier and its document."""


def rows_of(session: Session, keys: Iterable[UploadKey]) -> list[Row]:
    """The rows of the uploads with these keys, as far as they are recorded. Columns: OPEN."""
    return session.ask_all(SELECT_UPLOADS, map(key_cells, keys))


def recorded(session: Session, keys: Iterable[UploadKey]) -> dict[UploadKey, Entry]:
    """The uploads with these keys, as far as they are recorded. RefusedError if one of them cannot
    be read."""
    return by_key(map(entry_of, rows_of(session, keys)))


def by_key(entries: Iterable[Entry]) -> dict[UploadKey, Entry]:
    """Uploads by their keys."""
    return {one.upload.key: one for one in entries}


def entries_of(
    session: Session, each: Each, given: Sequence[Cells], most: int, unreadable: UnreadableRows
) -> list[list[Entry] | None]:
    """The uploads that a question gives for each of these, as far as they can be read; None: there
    are some, and none can be. The last cell of each is `most`: how many are asked for. However many
    cannot be read, they take no other's place."""
    found: list[list[Entry] | None] = []
    for cells, rows in zip(given, session.ask_each(each, given), strict=True):
        entries, asked = unreadable.readable(rows), most
        while len(entries) < most and len(rows) == asked:
            asked *= 2
            (rows,) = session.ask_each(each, [(*cells[:-1], asked)])
            entries = unreadable.readable(rows)[:most]
        found.append(entries or (None if rows else []))
    return found


def of_evidences(
    session: Session, keys: Sequence[UploadKey]
) -> dict[tuple[str, str], dict[str, Entry]]:
    """The uploads of these keys' evidences, by evidence and then by provider, the oldest first.
    RefusedError if one of them cannot be read."""
    found: dict[tuple[str, str], dict[str, Entry]] = {}
    for row in session.ask_all(SELECT_OF_EVIDENCE, [key.evidence for key in keys]):
        one = entry_of(row)
        found.setdefault(one.upload.key.evidence, {})[one.upload.key.provider] = one
    return found


def counts_of(session: Session) -> Counter[str]:
    """How many uploads are counted under each word."""
    found = Counter[str]()
    for row in session.ask(COUNTS):
        found[row["word"]] += row["number"]
    return found


def shown(session: Session, batch: Batch, rows: Iterable[Cells]) -> list[Shown]:
    """The uploads that a statement gives for these rows. Columns: SHOWN."""
    return [*map(Shown._make, session.cells_of(batch, rows))]


def statuses_of(session: Session, rows: Sequence[Shown], now: datetime) -> list[UploadStatus]:
    """How the uploads of these rows stand."""
    try:
        return _statuses_of(session, rows, now)
    except (ValueError, TypeError):
        return _statuses_of(session, [*map(readable, rows)], now)


def _statuses_of(session: Session, rows: Sequence[Shown], now: datetime) -> list[UploadStatus]:
    states = [*map(state_shown, rows)]
    free = _outlooks_of_free(session, rows, states)
    outlooks = _outlooks(session, rows, states, now) | free
    if any(one.waits_for for one in outlooks.values()) and not any(session.living()):
        outlooks = {number: outlook_alone(one) for number, one in outlooks.items()}
    invalid = {row["tenant_id"]: row["kind"] for row in session.ask(INVALID)} if rows else {}
    go_on = [row for row in rows if row.due is not None or row.id in free]
    outlooks |= outlooks_without(go_on, invalid, outlooks)
    return [
        status_shown(row, state, outlooks.get(row.id))
        for row, state in zip(rows, states, strict=True)
    ]


def _outlooks(
    session: Session, rows: Sequence[Shown], states: Sequence[State], now: datetime
) -> dict[int, Outlook]:
    """What those that are open wait for, by id. Each credential's line is counted through once,
    however many rows ask."""
    lines: dict[str, dict[_InLine, tuple[State, str]]] = defaultdict(dict)
    for row, state in zip(rows, states, strict=True):
        if row.credential is not None and row.status in _OPEN_WORDS:
            here = at_of(row.due or EVER_SINCE), row.id
            lines[row.credential][here] = (state, row.provider)
    if not lines:
        return {}
    asks = session.ask_all(ASKING, [(one,) for one in {*map(credential_of, lines)}])
    asking = {row["upload_id"] for row in asks}
    about = lines_of(session, lines, now)
    for name, number in _ahead_of(session, filter(is_backfill, lines), now):
        about[name] = evolve(about[name], ahead=number)
    found: dict[int, Outlook] = {}
    for credential, here, place in _places(session, {one: [*lines[one]] for one in lines}):
        (state, provider), line = lines[credential][here], about[credential]
        asked = here[1] in asking
        found[here[1]] = outlook_of(state, provider, line, place, now, asks=asked)
    return found


def _outlooks_of_free(
    session: Session, rows: Sequence[Shown], states: Sequence[State]
) -> dict[int, Outlook]:
    """What those wait for that were held for a pause or a block which is over."""
    pairs = zip(rows, states, strict=True)
    held = [(row, state) for row, state in pairs if goes_on_when_free(state)]
    if not held:
        return {}
    paused = pauses.read(session)
    blocked = {(tenant_key(row["tenant_id"]), row["provider"]) for row in session.ask(BLOCKED)}
    return {
        row.id: outlook_of_free(state, row.provider)
        for row, state in held
        if (tenant_key(row.tenant_id), row.provider) not in blocked
        and pause_of(paused, row.tenant_id, row.provider) is None
    }


def _ahead_of(session: Session, names: Iterable[str], now: datetime) -> Iterator[tuple[str, int]]:
    """How much that is fresh and due goes before these lines of old records, as far as is
    counted."""
    wanted = [*names]
    upto = moment(now)
    given = [(credential_of(one), EVER_SINCE, 0, upto, _LAST, MOST_COUNTED) for one in wanted]
    for name, (row,) in zip(wanted, session.ask_each(IN_LINE_BETWEEN, given), strict=True):
        yield name, row["many"]


def _places(
    session: Session, lines: Mapping[str, Sequence[_InLine]]
) -> Iterator[tuple[str, _InLine, int]]:
    """How many stand in their lines before these. No more than a bound are counted in each line:
    the places of others are estimated, as if the rest were as dense as its beginning."""
    most = max(MOST_COUNTED // len(lines), min(MOST_COUNTED, LEAST_COUNTED))
    ends = session.ask_each(STANDS_AT, [(credential, most) for credential in lines])
    stretches: list[tuple[str, _InLine, _InLine]] = []
    beyond: list[tuple[str, _InLine, list[_InLine]]] = []
    for (credential, places), rows in zip(lines.items(), ends, strict=True):
        end = next(map(_in_line, rows), None)
        reached = _in_line({"due": EVER_SINCE, "id": 0})
        for here in sorted(places):
            if end is None or here < end:
                stretches.append((credential, reached, here))
                reached = here
        if end is not None and (behind := [here for here in places if here >= end]):
            beyond.append((credential, end, behind))
    given = [
        (credential, moment(since[0]), since[1], moment(here[0]), here[1], most)
        for credential, since, here in stretches
    ]
    counted: dict[str, int] = defaultdict(int)
    for (credential, _, here), (row,) in zip(
        stretches, session.ask_each(IN_LINE_BETWEEN, given), strict=True
    ):
        counted[credential] += row["many"]
        yield credential, here, counted[credential]
    if beyond:
        yield from _estimated(session, beyond, most)


def _estimated(
    session: Session, beyond: Sequence[tuple[str, _InLine, Sequence[_InLine]]], most: int
) -> Iterator[tuple[str, _InLine, int]]:
    """The places of those that stand at or behind the place `most` of their line: each with its
    credential, and with what stands there."""
    (row,) = session.ask(ALL_OPEN)
    open_ones = row["number"]
    starts = session.ask_each(STANDS_AT, [(credential, 0) for credential, *_ in beyond])
    for (credential, end, places), (row,) in zip(beyond, starts, strict=True):
        start = _in_line(row)
        for here in places:
            if end[0] > start[0]:
                share = (here[0] - start[0]) / (end[0] - start[0])
            elif here[0] > end[0]:
                share = inf
            else:  # due at one moment, in the order of arrival
                share = (here[1] - start[1]) / (end[1] - start[1])
            yield credential, here, max(most, round(min(most * share, open_ones - 1)))


def _in_line(row: Row) -> _InLine:
    # What other hands wrote is the last in the order of texts.
    return moment_or(None, row["due"]) or EVER_AFTER, row["id"]
