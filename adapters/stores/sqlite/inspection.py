"""Looking through a database in a file: what is of this kind of database only."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from functools import cache

from ....domain.arguments import NO_TEXT
from ....domain.secrets.secret import Secret
from ..rows import KEY, Row, key_of
from ..sql.inspection import (
    HISTORY,
    TEXTS,
    Breach,
    Inspected,
    Inspection,
    Lives,
    look_through,
    unproven,
)
from ..sql.naming import DOCUMENT
from ..sql.plain import not_plain
from ..sql.session import Session
from ..sql.statements import SETTLED, list_of
from .documents import STILL_WITH_FILE, WITH_FILE, DocumentFolder, names_recorded
from .liveness import COURIERS, lives
from .opening import check, resolved
from .readers import SqliteReaders

# Not for a host's connections: if a file is cut short while a mapped page is read, the process is
# killed.
_PREPARE = f"PRAGMA mmap_size = {2**40}"


def _is_moment(name: str) -> str:
    """Whether a column holds a moment. `date` reads all but what GLOB asks for, and corrects a day
    that does not exist."""
    shape = f"{'?' * 10}T{'?' * 8}.{'[0-9]' * 6}Z"
    return f"({name} GLOB '{shape}' AND date({name}, '+0 days') = substr({name}, 1, 10))"


# The others are in the chain.
_TEXTS = ("session_id", "subject", "subject_email", *DOCUMENT[:3], *TEXTS["uploads"].split())
_NOT_ASCII = f"SELECT {list_of((*KEY, *_TEXTS))} FROM uploads WHERE " + " OR ".join(
    f"{name} GLOB '*[^ -~]*'" for name in _TEXTS
)

NOT_PLAIN = not_plain(_is_moment, lambda name: f"date({name}, '+0 days') = {name}")


def inspect(
    path: str,
    *,
    busy_timeout: float = 10.0,
    secrets: Collection[Secret] = (),
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> Inspection:
    """Look through the database (see `look_through`)."""
    with _inspected(path, busy_timeout) as database:
        return look_through(database, secrets, progress)


def unproven_in(path: str, tenant_id: str | None) -> Sequence[Breach]:
    """See `unproven`."""
    with _inspected(path, 10.0) as database:
        return [*unproven(database, tenant_id)]


@contextmanager
def _inspected(path: str, busy_timeout: float) -> Iterator[Inspected]:
    found = resolved(path)
    check(found, busy_timeout)
    with closing(SqliteReaders(path, busy_timeout)) as readers:
        own, lives_in = _own(readers.documents), _lives_in(os.path.dirname(found))
        yield Inspected(readers, _PREPARE, NOT_PLAIN, own, lives_in)


def _own(folder: DocumentFolder) -> Callable[[Session], Iterator[Breach]]:
    def found(session: Session) -> Iterator[Breach]:
        yield from (Breach(None, what) for what in _damage(session))
        yield from _not_texts(session)
        yield from _misplaced(session, folder)

    return found


def _damage(session: Session) -> Iterator[str]:
    for row in session.ask("PRAGMA quick_check(10)"):
        if (result := row["quick_check"]) != "ok":
            yield f"the database is damaged: {result}: stop the courier and restore a backup"
    for row in session.ask("PRAGMA foreign_key_check"):
        if row["table"] not in HISTORY:  # these are looked at in any database
            yield f"row {row['rowid']} of {row['table']} belongs to no row of {row['parent']}"


def _not_texts(session: Session) -> Iterator[Breach]:
    """What stands for a text of an upload and is none. Letters of ASCII alone are one."""
    for row in session.ask(_NOT_ASCII):
        if bad := [name for name in _TEXTS if str(row[name]).startswith(NO_TEXT)]:
            what = f"these texts of its record are not UTF-8: {', '.join(bad)}"
            yield Breach(key_of(row), f"{what}: write them anew in the table `uploads`")


def _lives_in(folder: str) -> Callable[[Session], Lives]:
    """Whether a courier lives: whose lock does not tell, is given the benefit of the doubt."""

    def lives_of(session: Session) -> Lives:
        rows = {row["id"]: row for row in session.ask(COURIERS, {"id": -1})}
        return cache(lambda courier: courier in rows and lives(rows[courier], folder) is not False)

    return lives_of


def _misplaced(session: Session, folder: DocumentFolder) -> Iterator[Breach]:
    """Files that a record needs and that are not there, and files that no record knows."""
    missing = [row["id"] for row in session.ask(WITH_FILE) if not _exists(row, folder)]
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


def _exists(row: Row, folder: DocumentFolder) -> bool:
    try:
        size: int = row["document_size"]
        return folder.size(row["document_file"]) == size
    except FileNotFoundError:
        return False
