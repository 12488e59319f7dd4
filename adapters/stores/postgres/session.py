"""A session as the SQL of the stores speaks to it.

Many rows are one parameter: a JSON text that the server reads as a table. That costs the client a
fifth, and the server as much, of one parameter a cell; and a statement has one text, however many
rows it is given.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Any

from attrs import frozen
from psycopg import Connection
from psycopg.rows import DictRow, tuple_row

from ..rows import Row
from ..sql.session import NOTHING, Batch, Cells, Each, Given
from .address import escaped
from .liveness import believed_dead
from .schema import TYPES

# SQLite's words, and PostgreSQL's: see `sql.session`.
_WORDS = (
    (re.compile(r" INDEXED BY \w+"), ""),
    (re.compile(r"\bCROSS JOIN\b"), "JOIN"),
    (re.compile(r"/\* (.*?) \*/", re.DOTALL), r"\1"),
    (re.compile(r"\bjson_each\("), "json_array_elements_text("),
    (re.compile(r"GLOB '\*\[\^ -~\]\*'"), "~ '[^ -~]'"),
)
_PLACE = re.compile(r"(?<!:):([a-z_0-9]+)")

_ENCODE = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode
# How JSON writes what PostgreSQL cannot keep in a text, or what stands for that.
_ODD = ("\\u0000", "\\u001a")


def _translated(text: str) -> str:
    for word, other in _WORDS:
        text = word.sub(other, text)
    return text


@cache
def _text(text: str) -> bytes:
    return _PLACE.sub(r"%(\1)s", _translated(text)).encode()


def _columns(names: Sequence[str]) -> str:
    return ", ".join(f"{name} {TYPES.get(name, 'text')}" for name in names)


def _given(names: Sequence[str]) -> str:
    return f"json_to_recordset(%s::json) AS given ({_columns(names)})"


@cache
def text_of(batch: Batch) -> bytes:
    """The statement, whose parameter `rows_of` makes."""
    return f"WITH given AS (SELECT * FROM {_given(batch.names)}) {_translated(batch.then)}".encode()


@cache
def text_of_one(batch: Batch) -> bytes:
    """The statement for one row: the planner takes a table of rows for a hundred, and reads a
    whole table rather than look a hundred times into its index."""
    given = f"json_to_record(%s::json -> 0) AS given ({_columns(batch.names)})"
    return f"WITH given AS (SELECT * FROM {given}) {_translated(batch.then)}".encode()


@cache
def _text_of_each(each: Each) -> bytes:
    question = _PLACE.sub(r"given.\1", _translated(each.question))
    given = _given(("position", *each.names))
    found = (
        f"SELECT given.position, found.* FROM {given} JOIN LATERAL ({question}) AS found ON true"
    )
    return found.encode()


@frozen
class PostgresSession:
    """A `Session` on a connection."""

    connection: Connection[DictRow]

    def ask(self, text: str, given: Given = NOTHING) -> list[Row]:
        return [*self.connection.execute(_text(text), given or None).fetchall()]

    def tell(self, text: str, given: Given = NOTHING) -> None:
        if written := _text(text):
            self.connection.execute(written, given or None)

    def tell_many(self, text: str, given: Sequence[Given]) -> None:
        if given:
            with self.connection.cursor() as cursor:
                cursor.executemany(_text(text), given)

    def ask_all(self, batch: Batch, rows: Iterable[Cells]) -> list[Row]:
        found = list(rows)
        if not found:
            return []
        given, large = rows_of(batch.names, found), batch.large
        return [*self.connection.execute(text_of(batch), [given], binary=large).fetchall()]

    def cells_of(self, batch: Batch, rows: Iterable[Cells]) -> list[tuple[Any, ...]]:
        found = list(rows)
        return self._cells(text_of(batch), rows_of(batch.names, found)) if found else []

    def cells_of_each(self, each: Each, rows: Iterable[Cells]) -> list[list[tuple[Any, ...]]]:
        numbered = _numbered(rows)
        found: list[list[tuple[Any, ...]]] = [[] for _ in numbered]
        if numbered:
            given = rows_of(("position", *each.names), numbered)
            for position, *cells in self._cells(_text_of_each(each), given):
                found[position].append(tuple(cells))
        return found

    def _cells(self, text: bytes, given: str) -> list[tuple[Any, ...]]:
        with self.connection.cursor(row_factory=tuple_row) as cursor:
            return cursor.execute(text, [given]).fetchall()

    def tell_all(self, batch: Batch, rows: Iterable[Cells]) -> None:
        found = list(rows)
        if found:
            self.connection.execute(text_of(batch), [rows_of(batch.names, found)])

    def ask_each(self, each: Each, rows: Iterable[Cells]) -> list[list[Row]]:
        numbered = _numbered(rows)
        found: list[list[Row]] = [[] for _ in numbered]
        if numbered:
            given = rows_of(("position", *each.names), numbered)
            for row in self.connection.execute(_text_of_each(each), [given]):
                found[row["position"]].append(row)
        return found

    def list_of(self, texts: Iterable[str]) -> list[str]:
        return [*map(escaped, texts)]

    def living(self) -> Iterator[int]:
        return (courier for courier, is_dead in believed_dead(self).items() if not is_dead)


def _numbered(rows: Iterable[Cells]) -> list[Cells]:
    return [(position, *row) for position, row in enumerate(rows)]


def rows_of(names: Sequence[str], rows: Sequence[Cells]) -> str:
    """The parameter for these rows."""
    try:
        text = _ENCODE([dict(zip(names, row, strict=True)) for row in rows])
    except ValueError:  # a number that JSON does not know
        text = _ODD[0]
    if any(odd in text for odd in _ODD):
        plain = ([_plain(cell) for cell in row] for row in rows)
        text = _ENCODE([dict(zip(names, row, strict=True)) for row in plain])
    return text


def _plain(cell: Any) -> Any:
    match cell:
        case str():
            return escaped(cell)
        case float():
            return repr(cell)
        case _:
            return cell
