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
from ..rows import (
    ATTEMPT,
    BEGINNING,
    CHANGING,
    ENTRY,
    KEY,
    MADE,
    OPEN,
    Cell,
    key_cells,
)
from .documents import SETTLED

Cells: TypeAlias = Sequence[Cell]

_SIZES = (64, 32, 16, 8, 4, 2, 1)
_THIS_KEY = " AND ".join(f"{name} = ?" for name in KEY)
_SAME_KEY = " AND ".join(f"uploads.{name} = given.{name}" for name in KEY)
IN_LINE_BEFORE = (
    "SELECT COUNT(*) FROM (SELECT 1 FROM uploads WHERE credential = ? AND due IS NOT NULL"
    " AND (due, id) < (?, ?) LIMIT ?)"
)


class Statement:
    """A statement for many rows: the cells of each have `names` in the table `given`, with which
    `then` does something. `text` is the statement for so many rows."""

    def __init__(self, names: Sequence[str], then: str) -> None:
        self._names = names
        self._then = then
        self.text = cache(self._text)

    def _text(self, rows: int) -> str:
        row = f"({', '.join('?' * len(self._names))})"
        values = ", ".join([row] * rows)
        return f"WITH given ({_list(self._names)}) AS (VALUES {values}) {self._then}"

    def run(
        self, connection: sqlite3.Connection, rows: Sequence[Cells]
    ) -> Iterator[tuple[Any, ...]]:
        """Execute it, piece by piece, while what it gives is read."""
        start = 0
        for size in _SIZES:
            while len(rows) - start >= size:
                piece = rows[start : start + size]
                start += size
                cells = [cell for row in piece for cell in row]
                yield from connection.execute(self.text(size), cells)

    def write(self, connection: sqlite3.Connection, rows: Sequence[Cells]) -> None:
        """Execute it, for what it does."""
        for _ in self.run(connection, rows):
            pass


def _list(names: Iterable[str]) -> str:
    return ", ".join(names)


def _update(names: Sequence[str], *others: str) -> Statement:
    sets = _list((*(f"{name} = given.{name}" for name in names), *others))
    return Statement(
        ("id", *names), f"UPDATE uploads SET {sets} FROM given WHERE uploads.id = given.id"
    )


def _select_current(same: str) -> Statement:
    return Statement(
        ("position", "id", *KEY, "version"),
        f"SELECT given.position, uploads.id, uploads.status FROM given CROSS JOIN uploads ON {same}"
        " AND uploads.version = given.version",
    )


INSERT_UPLOADS = Statement(ENTRY, f"INSERT INTO uploads ({_list(ENTRY)}) SELECT * FROM given")
"""Each row: ENTRY."""

CURRENT_BY_ID = _select_current(f"uploads.id = given.id AND {_SAME_KEY}")
CURRENT_BY_KEY = _select_current(_SAME_KEY)
"""The positions of the changes that are in time, the ids and statuses of their uploads. Each row: a
position, an id, KEY, the version to find."""

UPDATE_UPLOADS = _update(
    CHANGING, "last_attempt_at = coalesce(given.started_at, uploads.last_attempt_at)"
)
"""Each row: an id, CHANGING."""

BEGIN_UPLOADS = _update(BEGINNING)
"""Each row: an id, BEGINNING."""

UPDATE_STATUS = _update(("status",))
"""Each row: an id, a status."""

SELECT_OF_EVIDENCE = Statement(
    ("tenant_id", "evidence_id"),
    f"SELECT {_list(f'uploads.{name}' for name in OPEN)} FROM given CROSS JOIN uploads"
    " ON uploads.tenant_id = given.tenant_id AND uploads.evidence_id = given.evidence_id"
    " ORDER BY uploads.id",
)
"""OPEN of an evidence's uploads, to whatever provider. Each row: a tenant id, an evidence id."""

INSERT_ATTEMPTS = Statement(
    ("id", *ATTEMPT),
    f"INSERT INTO attempts (upload_id, credential, {_list(ATTEMPT)})"
    f" SELECT uploads.id, uploads.credential, {_list(f'given.{name}' for name in ATTEMPT)}"
    " FROM given CROSS JOIN uploads ON uploads.id = given.id",
)
"""Each row: an id, ATTEMPT."""

SELECT_CONTENTS = Statement(
    ("id",),
    "SELECT documents.upload_id, documents.content"
    " FROM given CROSS JOIN documents ON documents.upload_id = given.id",
)
"""The bytes that are staged, with the id of their upload. Each row: an id."""

INSERT_SLOTS = Statement(
    ("id", "credential", "at", "until"),
    "INSERT INTO slots (id, credential, at, until) SELECT * FROM given",
)
"""Each row: a number, a credential, when it counts from, when its request has surely ended."""

END_SLOTS = Statement(
    ("id", "at", "under_way"),
    "UPDATE slots SET at = given.at FROM given"
    " WHERE slots.id = given.id AND slots.at = given.under_way",
)
"""Each row: a number, when it ended, what stands there while its request is under way."""

DELETE_DOCUMENTS = Statement(
    ("id",), "DELETE FROM documents WHERE upload_id IN (SELECT id FROM given)"
)
"""Each row: an id."""

SELECT_FILES = Statement(
    ("id",),
    "SELECT uploads.id, document_file FROM given CROSS JOIN uploads ON uploads.id = given.id"
    " WHERE document_file IS NOT NULL",
)
"""The files of documents, with the id of their upload. Each row: an id."""

SETTLE_FILES = Statement(
    ("id",),
    f"UPDATE uploads SET document_file = '{SETTLED}' || document_file FROM given"
    " WHERE uploads.id = given.id",
)
"""Each row: the id of one that has a file."""

SELECT_UPLOADS = Statement(
    KEY,
    f"SELECT {_list(f'uploads.{name}' for name in OPEN)}"
    f" FROM given CROSS JOIN uploads ON {_SAME_KEY}",
)
"""OPEN of those that are recorded. Each row: KEY."""

UPDATE_DOCUMENT = (
    f"UPDATE uploads SET {_list(f'{name} = ?' for name in MADE)},"
    " submitted_digest = COALESCE(NULLIF(submitted_digest, ''), ?)"
    " WHERE id = ?"
)
REPLACE_DOCUMENT = "INSERT OR REPLACE INTO documents (upload_id, content) VALUES (?, ?)"
DELETE_DOCUMENT = "DELETE FROM documents WHERE upload_id = ?"

NEXT_ID = "SELECT COALESCE(MAX(id), 0) + 1 FROM uploads"
# One that is recorded under its provider as well, by an older version, is left as it is.
NAME_PROVIDER = (
    "UPDATE OR IGNORE uploads SET provider = ?, credential = ?, settings = ?"
    " WHERE tenant_id = ? AND provider = ?"
)
NAME_PROVIDER_OF_ONE = f"{NAME_PROVIDER} AND evidence_id = ?"

# Documents are large, and a statement binds a copy of each; look-ups and actions are few.
INSERT_DOCUMENT = "INSERT INTO documents (upload_id, content) VALUES (?, ?)"
DELETE_BLOCKS = "DELETE FROM blocks WHERE tenant_id = ? AND provider = ?"
# What is wrong with a tenant's configuration stands among the blocks, without a provider.
INSERT_INVALID = (
    "INSERT OR REPLACE INTO blocks (address, tenant_id, provider, at, kind, message)"
    " SELECT 'tenant ' || key, key, '', ?, value, '' FROM json_each(?)"
)
DELETE_VALID = (
    "DELETE FROM blocks WHERE provider = '' AND tenant_id IN (SELECT value FROM json_each(?))"
)
INSERT_LOOK_UP = (
    "INSERT INTO look_ups (upload_id, read, at, finding, message) VALUES (?, ?, ?, ?, ?)"
)
INSERT_ACTION = (
    'INSERT INTO actions (upload_id, at, action, "by", reason, tenant_id) VALUES (?, ?, ?, ?, ?, ?)'
)


def place_of(connection: sqlite3.Connection, key: UploadKey) -> tuple[str, int] | None:
    """Where an upload stands in its credential's line; None if it does not stand in one."""
    sql = f"SELECT due, id FROM uploads WHERE {_THIS_KEY}"
    row = connection.execute(sql, key_cells(key)).fetchone()
    return None if row is None or row[0] is None else (row[0], row[1])


def in_line_before(
    connection: sqlite3.Connection, credential: str, place: tuple[str, int], most: int
) -> int:
    """How many of a credential's line stand before a place; counts no further than `most`."""
    (found,) = connection.execute(IN_LINE_BEFORE, (credential, *place, most)).fetchone()
    return int(found)
