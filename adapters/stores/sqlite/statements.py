"""Writing many rows with one statement.

A statement takes up to 64 rows as `VALUES (...), (...), ...` with one bound value a cell: nothing
is parsed, no text is cut short at a NUL, and the interpreter's lock is let go once for all the rows
instead of once for each. A batch is cut into pieces of 64, 32, 16, ... 1 rows, so that SQLite
compiles seven sizes of each statement and no more.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Any, TypeAlias

from ....domain.upload.upload import UploadKey
from .rows import ATTEMPT, CHANGING, DOSSIER, ENTRY, KEY, STARTING, UPLOAD, Cell, key_cells

Cells: TypeAlias = Sequence[Cell]

_SIZES = (64, 32, 16, 8, 4, 2, 1)
_THIS_KEY = " AND ".join(f"{name} = ?" for name in KEY)
IN_LINE_BEFORE = "SELECT COUNT(*) FROM (SELECT 1 FROM uploads WHERE credential = ? AND due IS NOT NULL AND (due, id) < (?, ?) LIMIT ?)"
_SAME_KEY = " AND ".join(f"uploads.{name} = given.{name}" for name in KEY)


def insert_uploads(connection: sqlite3.Connection, rows: Sequence[Cells]) -> None:
    """Each row: ENTRY."""
    for piece in _pieces(rows):
        connection.execute(insert_uploads_sql(len(piece)), _flat(piece))


def insert_documents(connection: sqlite3.Connection, rows: Sequence[Cells]) -> None:
    """Each row: the upload's id, the content. One at a time: documents are large, and a
    statement binds a copy of each."""
    connection.executemany("INSERT INTO documents (upload_id, content) VALUES (?, ?)", rows)


def select_outdated(connection: sqlite3.Connection, rows: Sequence[Cells]) -> list[int]:
    """The positions of the changes that somebody else was faster than. Each row: a position,
    KEY, the version to find."""
    return [
        position
        for piece in _pieces(rows)
        for (position,) in connection.execute(select_outdated_sql(len(piece)), _flat(piece))
    ]


def update_uploads(connection: sqlite3.Connection, rows: Sequence[Cells]) -> None:
    """Each row: KEY, CHANGING."""
    for piece in _pieces(rows):
        connection.execute(update_uploads_sql(len(piece)), _flat(piece))


def begin_uploads(connection: sqlite3.Connection, rows: Sequence[Cells]) -> None:
    """Each row: KEY, CHANGING, STARTING."""
    for piece in _pieces(rows):
        connection.execute(begin_uploads_sql(len(piece)), _flat(piece))


def insert_attempts(connection: sqlite3.Connection, rows: Sequence[Cells]) -> None:
    """Each row: KEY, ATTEMPT."""
    for piece in _pieces(rows):
        connection.execute(insert_attempts_sql(len(piece)), _flat(piece))


def select_contents(connection: sqlite3.Connection, rows: Sequence[Cells]) -> dict[int, bytes]:
    """What is staged, by position. Each row: a position, KEY."""
    return {
        position: content
        for piece in _pieces(rows)
        for position, content in connection.execute(select_contents_sql(len(piece)), _flat(piece))
    }


def insert_look_ups(connection: sqlite3.Connection, rows: Sequence[Cells]) -> None:
    """Each row: read, at, finding, message, KEY. Few come at a time."""
    connection.executemany(
        "INSERT INTO look_ups (upload_id, read, at, finding, message) SELECT id, ?, ?, ?, ? FROM uploads"
        f" WHERE {_THIS_KEY}",
        rows,
    )


def insert_actions(connection: sqlite3.Connection, rows: Sequence[Cells]) -> None:
    """Each row: at, action, by, reason, tenant, KEY."""
    connection.executemany(
        'INSERT INTO actions (upload_id, at, action, "by", reason, tenant_id) SELECT id, ?, ?, ?, ?, ? FROM uploads'
        f" WHERE {_THIS_KEY}",
        rows,
    )


def place_of(connection: sqlite3.Connection, key: UploadKey) -> tuple[str, int] | None:
    """Where an upload stands in the order of its credential's line; None where it does not stand
    in one."""
    row = connection.execute(
        f"SELECT due, id FROM uploads WHERE {_THIS_KEY}", key_cells(key)
    ).fetchone()
    return None if row is None or row[0] is None else (row[0], row[1])


def in_line_before(
    connection: sqlite3.Connection, credential: str, place: tuple[str, int], most: int
) -> int:
    """How many of a credential's line stand before a place; counts no further than `most`."""
    (found,) = connection.execute(IN_LINE_BEFORE, (credential, *place, most)).fetchone()
    return int(found)


def delete_documents(connection: sqlite3.Connection, rows: Sequence[Cells]) -> None:
    """Each row: KEY."""
    for piece in _pieces(rows):
        connection.execute(delete_documents_sql(len(piece)), _flat(piece))


def select_uploads(connection: sqlite3.Connection, rows: Sequence[Cells]) -> list[dict[str, Any]]:
    """UPLOAD and DOSSIER of those that are recorded. Each row: KEY."""
    names = (*UPLOAD, *DOSSIER)
    return [
        dict(zip(names, found, strict=True))
        for piece in _pieces(rows)
        for found in connection.execute(select_uploads_sql(len(piece)), _flat(piece))
    ]


@cache
def insert_uploads_sql(rows: int) -> str:
    """See `insert_uploads`."""
    return f"INSERT INTO uploads ({_list(ENTRY)}) {_values(len(ENTRY), rows)}"


@cache
def select_outdated_sql(rows: int) -> str:
    """See `select_outdated`."""
    return (
        f"{_given(('position', *KEY, 'version'), rows)} SELECT given.position FROM given LEFT JOIN uploads ON {_SAME_KEY}"
        " WHERE uploads.version IS NOT given.version"
    )


@cache
def update_uploads_sql(rows: int) -> str:
    """See `update_uploads`."""
    return _update(CHANGING, rows)


@cache
def begin_uploads_sql(rows: int) -> str:
    """See `begin_uploads`."""
    return _update((*CHANGING, *STARTING), rows)


def _update(names: Sequence[str], rows: int) -> str:
    sets = _list(f"{name} = given.{name}" for name in names)
    return (
        f"{_given((*KEY, *names), rows)} UPDATE uploads SET {sets},"
        " last_attempt_at = COALESCE(given.started_at, uploads.last_attempt_at)"
        f" FROM given WHERE {_SAME_KEY} AND uploads.version = given.version - 1"
    )


@cache
def insert_attempts_sql(rows: int) -> str:
    """See `insert_attempts`."""
    return (
        f"{_given((*KEY, *ATTEMPT), rows)} INSERT INTO attempts (upload_id, credential, {_list(ATTEMPT)})"
        f" SELECT uploads.id, uploads.credential, {_list(f'given.{name}' for name in ATTEMPT)} FROM given CROSS JOIN uploads ON {_SAME_KEY}"
    )


@cache
def select_contents_sql(rows: int) -> str:
    """See `select_contents`."""
    return (
        f"{_given(('position', *KEY), rows)} SELECT given.position, documents.content"
        f" FROM given CROSS JOIN uploads ON {_SAME_KEY} CROSS JOIN documents ON documents.upload_id = uploads.id"
    )


@cache
def delete_documents_sql(rows: int) -> str:
    """See `delete_documents`."""
    return (
        f"{_given(KEY, rows)} DELETE FROM documents"
        f" WHERE upload_id IN (SELECT uploads.id FROM given CROSS JOIN uploads ON {_SAME_KEY})"
    )


@cache
def select_uploads_sql(rows: int) -> str:
    """See `select_uploads`."""
    wanted = _list(f"uploads.{name}" for name in (*UPLOAD, *DOSSIER))
    return f"{_given(KEY, rows)} SELECT {wanted} FROM given CROSS JOIN uploads ON {_SAME_KEY}"


def _given(names: Sequence[str], rows: int) -> str:
    return f"WITH given ({_list(names)}) AS ({_values(len(names), rows)})"


def _values(width: int, rows: int) -> str:
    row = f"({', '.join('?' * width)})"
    return f"VALUES {', '.join([row] * rows)}"


def _list(names: Iterable[str]) -> str:
    return ", ".join(names)


def _pieces(rows: Sequence[Cells]) -> Iterator[Sequence[Cells]]:
    start = 0
    for size in _SIZES:
        while len(rows) - start >= size:
            yield rows[start : start + size]
            start += size


def _flat(rows: Sequence[Cells]) -> list[Cell]:
    return [cell for row in rows for cell in row]
