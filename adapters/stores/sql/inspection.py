"""Looking through a whole database for what must never be: read-only, while couriers may be working
on it.

Each upload is read with all that is kept of it at one moment, some thousands at a time: those that
`plain` does not tell to be right are held against the domain's rules.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from attrs import frozen

from ....domain.integration import Pace
from ....domain.secrets.redaction import Redactor
from ....domain.secrets.secret import Secret
from ....domain.upload.invariants import Record, breaches, contradictions
from ....domain.upload.upload import UploadKey, status_of
from ..rows import (
    Row,
    action_of,
    at_of,
    attempt_of,
    key_of,
    kind_in,
    moment_of,
    moment_or,
    open_upload_of,
    settings_cell,
    upload_of,
)
from ..shown import shown_in
from .gates import END
from .health import notice_in
from .lists import TALLIED, TALLIES
from .reads import counts_of, statuses_of
from .session import Batch, Readers, Session
from .statements import MOMENTS_OF_GATES, list_of

_AT_ONCE = 5_000
_COUNTED = (
    "SELECT (SELECT COUNT(*) FROM uploads WHERE id BETWEEN :first AND :last) AS uploads,"
    " (SELECT COUNT(*) FROM attempts WHERE upload_id BETWEEN :first AND :last) AS attempts"
)
_LAST = "SELECT COALESCE(MAX(id), 0) AS last FROM {0}"
_ORPHANS = """
SELECT id FROM {0} WHERE upload_id IN (
    SELECT upload_id FROM (SELECT DISTINCT upload_id FROM {0}) AS theirs
    WHERE NOT EXISTS (SELECT 1 FROM uploads WHERE uploads.id = theirs.upload_id))
LIMIT 10
"""
_BESIDE = {
    "blocks": (("tenant_id", "provider"), ("at", "kind", "until")),
    "pauses": (("tenant_id", "provider"), ("at", "ended_at")),
    "notices": (("id", "sink"), ("notice",)),
    "gates": (("credential",), MOMENTS_OF_GATES),
}
"""The tables beside those of the uploads, by what their rows are named, and their columns that may
hold what cannot be read."""
_PACES = "SELECT credential, pace_limit, pace_seconds FROM gates WHERE pace_limit IS NOT NULL"
_SLOTS = "SELECT at FROM slots WHERE credential = :credential AND at < :end ORDER BY at"
HISTORY = {
    table: Batch(
        ("id",),
        f"SELECT {table}.* FROM given CROSS JOIN {table} ON {table}.upload_id = given.id"
        f" ORDER BY {table}.id",
    )
    for table in ("attempts", "look_ups", "actions")
}
_MOMENT = re.compile(r"; |, (?:until|at) ")
"""Where in the words for a wait its moment begins."""
TEXTS = {
    "uploads": "error_message error_detail receipt_reference receipt_message progress settings",
    "attempts": "message detail receipt_reference receipt_message request_id",
    "look_ups": "message",
}

Lives = Callable[[int | None], bool]
"""Whether a courier lives."""


@frozen
class Breach:
    """Something that must not be. `key` is None where it is of no single upload."""

    key: UploadKey | None
    what: str

    def __str__(self) -> str:
        return self.what if self.key is None else f"{self.key}: {self.what}"


@frozen
class Inspection:
    """What an inspection has looked at, and what it found. `waiting`: how many uploads wait for
    what, in words without moments."""

    uploads: int
    attempts: int
    breaches: tuple[Breach, ...]
    waiting: Mapping[str, int]


@frozen
class Inspected:
    """A database that is looked through: its readers, what makes a session of them fast for that,
    its question for what is not plain (see `plain`), what it finds of its own, and who lives."""

    readers: Readers
    prepare: str
    not_plain: str
    own: Callable[[Session], Iterator[Breach]]
    lives: Callable[[Session], Lives]

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session at one moment."""
        with self.readers.reading() as session:
            session.tell(self.prepare)
            yield session


def unproven(database: Inspected, tenant_id: str | None) -> Iterator[Breach]:
    """What of the uploads, of all tenants or of one, cannot be so by their attempts, look-ups and
    actions; and, of all tenants, what is of an upload that is missing."""
    with database.reading() as session:
        last = session.ask(_LAST.format("uploads"))[0]["last"]
        yield from _orphans(session) if tenant_id is None else ()
    for given in _stretches(last):
        with database.reading() as session:
            rows = session.ask(database.not_plain, given)
            wanted = [row for row in rows if tenant_id in (None, row["tenant_id"])]
            yield from breaches_of(session, wanted, lambda _: True, contradictions)


def _orphans(session: Session) -> Iterator[Breach]:
    """PostgreSQL has no foreign keys here, and a shell on SQLite does not look at them."""
    for table in HISTORY:
        for row in session.ask(_ORPHANS.format(table)):
            yield Breach(None, f"row {row['id']} of {table} belongs to no row of uploads")


def look_through(
    database: Inspected, secrets: Collection[Secret], progress: Callable[[int, int], None]
) -> Inspection:
    """Look through a database. StoreError where it cannot be read.

    `progress` gets the id of the upload up to which it has looked, and the last one's.

    With `secrets`, no text that came from a provider may show a piece of one, and no setting a
    whole one: a client id may begin as the secret does.
    """
    with database.reading() as session:
        seen = [*database.own(session), *_orphans(session)]
        last = session.ask(_LAST.format("uploads"))[0]["last"]
    uploads = attempts = 0
    waiting: Counter[str] = Counter()
    for given in _stretches(last):
        progress(given["first"] - 1, last)
        with database.reading() as session:  # one moment for all that is kept of an upload
            lives = database.lives(session)  # some may have been registered since the last
            (counted,) = session.ask(_COUNTED, given)
            uploads, attempts = uploads + counted["uploads"], attempts + counted["attempts"]
            rows = session.ask(database.not_plain, given)
            found = [*breaches_of(session, rows, lives)]
            seen += found
            suspects = {breach.key for breach in found}
            readable = [row for row in rows if key_of(row) not in suspects or _is_readable(row)]
            statuses = statuses_of(session, [*map(shown_in, readable)], datetime.now(UTC))
            waits = filter(None, (one.waits_for for one in statuses))
            waiting.update(_MOMENT.split(wait)[0] for wait in waits)
    progress(last, last)
    with database.reading() as session:
        seen += [Breach(None, what) for what in _miscounted(session)]
        seen += [Breach(None, what) for what in _overfull(session)]
        seen += [Breach(None, what) for what in _unreadable(session)]
    if secrets:
        seen += [Breach(None, what) for what in _secrets(database, secrets)]
    return Inspection(uploads, attempts, tuple(seen), waiting)


def _is_readable(row: Row) -> bool:
    try:
        upload_of(row)
    except (ValueError, TypeError):
        return False
    return True


def _stretches(last: int) -> Iterator[dict[str, int]]:
    for first in range(1, last + 1, _AT_ONCE):
        yield {"first": first, "last": first + _AT_ONCE - 1}


def _miscounted(session: Session) -> Iterator[str]:
    counted, tallied = _tallies(session, TALLIED), _tallies(session, TALLIES.format(""))
    for cell in sorted({*counted, *tallied}):
        if counted[cell] != tallied[cell]:
            tenant, provider, word, kind = cell
            are = f"of {tenant} to {provider} are {word}{f' with {kind}' if kind else ''}"
            yield f"{counted[cell]} uploads {are}, and {tallied[cell]} are counted as such"
    words = Counter[str]()
    for (*_, word, _), number in tallied.items():
        words[word] += number
    for word, number in counts_of(session).items():
        if words[word] != number:
            yield f"{words[word]} uploads are {word}, and {number} are counted as such"


def _tallies(session: Session, question: str) -> Counter[tuple[str, ...]]:
    return Counter(
        {
            (row["tenant_id"], row["provider"], row["word"], row["kind"]): row["number"]
            for row in session.ask(question)
        }
    )


def breaches_of(
    session: Session,
    rows: Sequence[Row],
    lives: Lives,
    rules: Callable[[Record], Iterator[str]] = breaches,
) -> Iterator[Breach]:
    """What the domain's rules find in these uploads, with all that is kept of them."""
    ids = [(row["id"],) for row in rows]
    attempts, look_ups, actions = (_by_upload(session, batch, ids) for batch in HISTORY.values())
    for row in rows:
        identity = row["id"]
        try:
            upload = open_upload_of(row).upload
            record = Record(
                upload=upload,
                attempts=[attempt_of(one) for one in attempts[identity]],
                credentials=[one["credential"] for one in attempts[identity]],
                look_ups=[(at_of(one["at"]), one["finding"]) for one in look_ups[identity]],
                action_tenants=[
                    one["tenant_id"] for one in actions[identity] if one["tenant_id"] is not None
                ],
                owner_lives=row["state"] == "sending" and lives(row["owner"]),
                budget=row["budget"],
                pruned=row["pruned_at"] is not None,
                erased=row["erased_at"] is not None,
                actions=[action_of(one) for one in actions[identity]],
                last_attempt_at=moment_of(row["last_attempt_at"]),
            )
            found = list(rules(record))
            if row["status"] != (status := status_of(upload.state).value):
                found.append(f"its status is {row['status']}, and its state says {status}")
        except (ValueError, TypeError) as error:
            found = [f"its record cannot be read: {error}"]
        yield from (Breach(key_of(row), what) for what in found)


def _by_upload(
    session: Session, history: Batch, ids: Sequence[tuple[int]]
) -> Mapping[int, Sequence[Row]]:
    found: dict[int, list[Row]] = defaultdict(list)
    for row in session.ask_all(history, ids):
        found[row["upload_id"]].append(row)
    return found


def _overfull(session: Session) -> Iterator[str]:
    """No stretch of one period holds more requests than the pace allows: as far as they are
    still on record."""
    for row in session.ask(_PACES):
        found = session.ask(_SLOTS, {"credential": row["credential"], "end": END})
        moments = [at for slot in found if (at := moment_or(None, slot["at"])) is not None]
        pace = Pace(row["pace_limit"], timedelta(seconds=row["pace_seconds"]))
        for earlier, later in zip(moments, moments[pace.limit :], strict=False):
            if later - earlier < pace.period:
                yield (
                    f"more than {pace} requests of one credential stand between "
                    f"{earlier.isoformat()} and {later.isoformat()}"
                    " (a pace that was lowered just now looks the same)"
                )
                break


def _unreadable(session: Session) -> Iterator[str]:
    """What stands beside the uploads and cannot be read. All else goes on meanwhile."""
    for table, (about, columns) in _BESIDE.items():
        for row in session.ask(f"SELECT {list_of((*about, *columns))} FROM {table}"):
            if bad := [one for one in columns if not _fits(one, row[one])]:
                which = ", ".join(f"{name} {row[name]}" for name in about)
                yield f"a row of {table} ({which}) cannot be read: look at its {', '.join(bad)}"


def _fits(column: str, cell: str | None) -> bool:
    if column == "notice":
        return cell is not None and notice_in(cell) is not None
    if column == "kind":
        return kind_in(cell) == cell
    return cell is None or moment_or(None, cell) is not None


def _secrets(database: Inspected, secrets: Collection[Secret]) -> Iterator[str]:
    redactor = Redactor(secrets)
    whole = [settings_cell({"": one.reveal()})[len('{"": "') : -len('"}')] for one in secrets]

    def shows(column: str, text: str) -> bool:
        if column == "settings":
            return any(one in text for one in whole)
        return redactor.text(text) != text

    for table, names in TEXTS.items():
        with database.reading() as session:
            last = session.ask(_LAST.format(table))[0]["last"]
        columns = ", ".join(names.split())
        query = f"SELECT id, {columns} FROM {table} WHERE id BETWEEN :first AND :last"
        for given in _stretches(last):
            with database.reading() as session:
                rows = session.ask(query, given)
            yield from _shown(table, rows, shows)
    with database.reading() as session:
        rows = session.ask("SELECT address AS id, message FROM blocks")
    yield from _shown("blocks", rows, shows)
    with database.reading() as session:
        rows = session.ask('SELECT id, "by", reason, ended_by, ended_reason FROM pauses')
    yield from _shown("pauses", rows, shows)


def _shown(
    table: str, rows: Sequence[Row], shows_secret: Callable[[str, str], bool]
) -> Iterator[str]:
    for row in rows:
        for column, text in row.items():
            if column != "id" and text is not None and shows_secret(column, text):
                where = f"row {row['id']} of {table} shows a secret in {column}"
                yield f"{where}: delete it and change the secret"
