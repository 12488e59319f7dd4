"""Looking through a whole database for what must never be: read-only, while couriers may be working
on it.

Each upload is read with all that is kept of it at one moment, some thousands at a time: those that
`plain` does not tell to be right are held against the domain's rules.
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import cache

from attrs import frozen
from sqlite_utils import Database

from ....domain.integration import Pace
from ....domain.secrets.redaction import Redactor
from ....domain.secrets.secret import Secret
from ....domain.upload.invariants import Record, breaches
from ....domain.upload.upload import UploadKey
from ..rows import Row, attempt_of, key_of, settings_cell, upload_of
from ..sql.reads import COUNTED, COUNTS, statuses_of
from ..sql.statements import SETTLED
from .database import COURIERS
from .documents import STILL_WITH_FILE, WITH_FILE, DocumentFolder, names_recorded
from .liveness import lives
from .opening import check, reading_connection, resolved
from .plain import NOT_PLAIN
from .session import SqliteSession
from .trouble import trouble

_AT_ONCE = 5_000
_COUNTED = (
    "SELECT (SELECT COUNT(*) FROM uploads WHERE id BETWEEN :first AND :last),"
    " (SELECT COUNT(*) FROM attempts WHERE upload_id BETWEEN :first AND :last)"
)
_MOMENT = re.compile(r"; |, (?:until|at) ")
"""Where in the words for a wait its moment begins."""
_TEXTS = {
    "uploads": "error_message error_detail receipt_reference receipt_message progress",
    "attempts": "message detail receipt_reference receipt_message request_id",
    "look_ups": "message",
    "blocks": "message",
}


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


def inspect(
    path: str,
    *,
    busy_timeout: float = 10.0,
    secrets: Collection[Secret] = (),
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> Inspection:
    """Look through the database. StoreError where it cannot be read.

    `progress` is told up to which upload's id it has looked, of which last one.

    With `secrets`, no text that came from a provider may show a piece of one, and no setting a
    whole one: a client id may begin as the secret does.
    """
    found = resolved(path)
    check(found, busy_timeout)
    with trouble(found, "not inspected"):
        db = reading_connection(found, busy_timeout)
        with closing(db.conn):
            # Not for a host's connections: if a file is cut short while a mapped page is read, the
            # process is killed.
            db.execute(f"PRAGMA mmap_size = {2**40}")
            seen = [Breach(None, what) for what in _damage(db.conn)]
            session = SqliteSession(db.conn)
            living = _living(session, found)
            uploads = attempts = 0
            waiting: Counter[str] = Counter()
            (last,) = db.execute("SELECT COALESCE(MAX(id), 0) FROM uploads").fetchone()
            for first in range(1, last + 1, _AT_ONCE):
                progress(first - 1, last)
                given = {"first": first, "last": first + _AT_ONCE - 1}
                with db.atomic():  # one moment for all that is kept of an upload
                    counted = db.execute(_COUNTED, given).fetchone()
                    uploads, attempts = uploads + counted[0], attempts + counted[1]
                    rows = list(db.query(NOT_PLAIN, given))
                    waits = [one.waits_for for one in statuses_of(session, rows, datetime.now(UTC))]
                    waiting.update(_MOMENT.split(wait)[0] for wait in waits if wait)
                    seen += _breaches(db, rows, living)
            progress(last, last)
            seen += [Breach(None, what) for what in _miscounted(db)]
            seen += [Breach(None, what) for what in _overfull(db)]
            seen += _misplaced(session, DocumentFolder(found))
            if secrets:
                seen += [Breach(None, what) for what in _secrets(db, secrets)]
    return Inspection(uploads, attempts, tuple(seen), waiting)


def _damage(connection: sqlite3.Connection) -> Iterator[str]:
    for (said,) in connection.execute("PRAGMA quick_check(10)"):
        if said != "ok":
            yield f"the database is damaged: {said}: stop the courier and restore a backup"
    for table, row, parent, _ in connection.execute("PRAGMA foreign_key_check"):
        yield f"row {row} of {table} belongs to no row of {parent}"


def _miscounted(db: Database) -> Iterator[str]:
    with db.atomic():  # one moment for both
        counted = Counter(dict(db.execute(COUNTED).fetchall()))
        kept = Counter(dict(db.execute(COUNTS).fetchall()))
    for word in sorted({*counted, *kept}):
        if counted[word] != kept[word]:
            yield f"{counted[word]} uploads are {word}, and {kept[word]} are counted as such"


def _living(session: SqliteSession, path: str) -> Callable[[int | None], bool]:
    """Whether a courier lives: whose lock does not tell, is given the benefit of the doubt."""
    rows = {row["id"]: row for row in session.ask(COURIERS, {"id": -1})}
    folder = os.path.dirname(path)
    return cache(lambda courier: courier in rows and lives(rows[courier], folder) is not False)


def _breaches(
    db: Database, rows: Sequence[Row], living: Callable[[int | None], bool]
) -> Iterator[Breach]:
    ids = json.dumps([row["id"] for row in rows])
    attempts, look_ups, actions = (
        _by_upload(db, table, ids) for table in ("attempts", "look_ups", "actions")
    )
    for row in rows:
        identity = row["id"]
        try:
            record = Record(
                upload=upload_of(row),
                attempts=[attempt_of(one) for one in attempts[identity]],
                credentials=[one["credential"] for one in attempts[identity]],
                look_ups=[
                    (datetime.fromisoformat(one["at"]), one["finding"])
                    for one in look_ups[identity]
                ],
                action_tenants=[
                    one["tenant_id"] for one in actions[identity] if one["tenant_id"] is not None
                ],
                owner_lives=row["state"] == "sending" and living(row["owner"]),
                budget=row["budget"],
            )
            found = list(breaches(record))
        except (ValueError, TypeError) as error:
            found = [f"its record cannot be read: {error}"]
        yield from (Breach(key_of(row), what) for what in found)


def _by_upload(db: Database, table: str, ids: str) -> dict[int, list[Row]]:
    found: dict[int, list[Row]] = defaultdict(list)
    query = f"SELECT * FROM {table} WHERE upload_id IN (SELECT value FROM json_each(?)) ORDER BY id"
    for row in db.query(query, (ids,)):
        found[row["upload_id"]].append(row)
    return found


def _overfull(db: Database) -> Iterator[str]:
    """No stretch of one period holds more requests than the pace allows: as far as they are
    still on record."""
    for credential, limit, seconds in db.execute(
        "SELECT credential, pace_limit, pace_seconds FROM gates WHERE pace_limit IS NOT NULL"
    ).fetchall():
        query = "SELECT at FROM slots WHERE credential = ? AND at < '9999' ORDER BY at"
        found = db.execute(query, (credential,)).fetchall()
        moments = [datetime.fromisoformat(at) for (at,) in found]
        pace = Pace(limit, timedelta(seconds=seconds))
        for earlier, later in zip(moments, moments[limit:], strict=False):
            if later - earlier < pace.period:
                yield (
                    f"more than {pace} requests of one credential stand between "
                    f"{earlier.isoformat()} and {later.isoformat()}"
                    " (a pace that was lowered just now looks the same)"
                )
                break


def _misplaced(session: SqliteSession, folder: DocumentFolder) -> Iterator[Breach]:
    """Files that a record needs and that are not there, and files that no record knows."""
    missing = [row["id"] for row in session.ask(WITH_FILE) if not _is_there(row, folder)]
    # Some may have succeeded meanwhile.
    for row in session.ask(STILL_WITH_FILE, {"ids": json.dumps(missing)}):
        name = row["document_file"]
        what = f"its document {os.path.join(folder.path, name)} is missing, or has another size"
        yield Breach(key_of(row), f"{what}: put it there from a backup, or abandon the upload")
    left = list(folder.left(datetime.now(UTC).timestamp()))
    known = {name.removeprefix(SETTLED) for name in names_recorded(session, left)}
    for name in set(left) - known:
        what = f"the document {os.path.join(folder.path, name)} belongs to no upload"
        yield Breach(None, f"{what}: a courier on this database moves it aside within an hour")


def _is_there(row: Row, folder: DocumentFolder) -> bool:
    try:
        size: int = row["document_size"]
        return folder.size(row["document_file"]) == size
    except FileNotFoundError:
        return False


def _secrets(db: Database, secrets: Collection[Secret]) -> Iterator[str]:
    redactor = Redactor(secrets)
    whole = [settings_cell({"": one.reveal()})[len('{"": "') : -len('"}')] for one in secrets]
    for table, names in _TEXTS.items():
        yield from _shown(db, table, names.split(), lambda text: redactor.text(text) != text)
    yield from _shown(db, "uploads", ["settings"], lambda text: any(one in text for one in whole))


def _shown(
    db: Database, table: str, columns: Sequence[str], shows_secret: Callable[[str], bool]
) -> Iterator[str]:
    for row in db.query(f"SELECT rowid AS place, {', '.join(columns)} FROM {table}"):
        for column in columns:
            if row[column] is not None and shows_secret(row[column]):
                where = f"row {row['place']} of {table} shows a secret in {column}"
                yield f"{where}: delete it and change the secret"
