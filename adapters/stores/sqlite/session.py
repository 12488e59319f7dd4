"""A connection as the SQL of the stores speaks to it.

A statement for many rows takes up to 64 as `VALUES (...), (...), ...` with one bound value a cell:
nothing is parsed, no text is cut short at a NUL, and the interpreter's lock is let go once for all
the rows instead of once for each. A batch is cut into pieces of twelve sizes, so that SQLite
compiles no more of each statement, and few batches take more than three pieces.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from typing import Any, TypeVar

from attrs import frozen

from ....domain.arguments import NO_TEXT
from ..rows import Row
from ..sql.session import NOTHING, Batch, Cells, Each, Given
from .liveness import COURIERS, lives

R = TypeVar("R")

_MOST = 64
_SIZES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, _MOST)
_LARGEST = [max(size for size in _SIZES if size <= max(rows, 1)) for rows in range(_MOST + 1)]
"""The size of the first piece of a batch, by its number of rows."""


@cache
def text_of(batch: Batch, rows: int) -> str:
    """The statement for this number of rows."""
    row = f"({', '.join('?' * len(batch.names))})"
    values = ", ".join([row] * rows)
    return f"WITH given ({', '.join(batch.names)}) AS (VALUES {values}) {batch.then}"


@frozen
class SqliteSession:
    """A `Session` on a connection."""

    connection: sqlite3.Connection

    def ask(self, text: str, given: Given = NOTHING) -> list[Row]:
        return self._rows(text, given)

    def tell(self, text: str, given: Given = NOTHING) -> None:
        self.connection.execute(text, given)

    def tell_many(self, text: str, given: Sequence[Given]) -> None:
        self.connection.executemany(text, given)

    def ask_all(self, batch: Batch, rows: Iterable[Cells]) -> list[Row]:
        return [row for piece in _pieces(batch, rows) for row in self._rows(*piece)]

    def cells_of(self, batch: Batch, rows: Iterable[Cells]) -> list[tuple[Any, ...]]:
        return [row for piece in _pieces(batch, rows) for row in self._read(*piece, _cells)]

    def cells_of_each(self, each: Each, rows: Iterable[Cells]) -> list[list[tuple[Any, ...]]]:
        return [self._read(each.question, _named(each, row), _cells) for row in rows]

    def tell_all(self, batch: Batch, rows: Iterable[Cells]) -> None:
        for piece in _pieces(batch, rows):
            self.connection.execute(*piece)

    def ask_each(self, each: Each, rows: Iterable[Cells]) -> list[list[Row]]:
        return [self._rows(each.question, _named(each, row)) for row in rows]

    def _rows(self, text: str, given: Any) -> list[Row]:
        return self._read(text, given, _rows)

    def _read(self, text: str, given: Any, of: Callable[[sqlite3.Cursor], list[R]]) -> list[R]:
        try:
            return of(self.connection.execute(text, given))
        except sqlite3.OperationalError as error:
            # Written by other hands: what it says of its row is read, and all other rows.
            if not str(error).startswith("Could not decode"):
                raise
            self.connection.text_factory = _decoded
            try:
                return of(self.connection.execute(text, given))
            finally:
                self.connection.text_factory = str

    def list_of(self, texts: Iterable[str]) -> str:
        return json.dumps([*texts])

    def living(self) -> Iterator[int]:
        """Each is looked at when it is asked for. One whose lock does not tell may live."""
        if rows := self.ask(COURIERS, {"id": -1}):
            (main, *_) = self.ask("PRAGMA database_list")
            folder = os.path.dirname(main["file"])
            yield from (row["id"] for row in rows if lives(row, folder) is not False)


def _decoded(text: bytes) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError:
        return NO_TEXT + text.decode(errors="backslashreplace")


def _pieces(batch: Batch, rows: Iterable[Cells]) -> list[tuple[str, list[Any]]]:
    """A statement and its cells for some of the rows, and for the next."""
    left = list(rows)
    start, pieces = 0, []
    while start < len(left):
        size = _LARGEST[min(len(left) - start, _MOST)]
        cells = [cell for row in left[start : start + size] for cell in row]
        pieces.append((text_of(batch, size), cells))
        start += size
    return pieces


def _named(each: Each, row: Cells) -> dict[str, Any]:
    return dict(zip(each.names, row, strict=True))


def _cells(cursor: sqlite3.Cursor) -> list[tuple[Any, ...]]:
    return cursor.fetchall()


def _rows(cursor: sqlite3.Cursor) -> list[Row]:
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]
