"""Many rows in one statement, as one parameter: a JSON text that the server reads as a table.

That costs the client a fifth, and the server as much, of one parameter a cell; and a statement has
one text, however many rows it is given.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from psycopg.rows import DictRow

from ..rows import Cell
from .schema import TYPES
from .sessions import Session, ask, escaped, tell

_ENCODE = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode
# How JSON writes what PostgreSQL cannot keep in a text, or what stands for that.
_ODD = ("\\u0000", "\\u001a")


class Batch:
    """A statement for many rows: the cells of each have `names` in the table `given`, with which
    `then` does something."""

    def __init__(self, names: Sequence[str], then: str) -> None:
        self._names = names
        columns = ", ".join(f"{name} {TYPES.get(name, 'text')}" for name in names)
        self.text = (
            f"WITH given AS (SELECT * FROM json_to_recordset(%s::json) AS given ({columns})) {then}"
        )

    def ask(self, session: Session, rows: Iterable[Sequence[Cell]]) -> list[DictRow]:
        """Execute it; what it gives."""
        found = list(rows)
        return ask(session, self.text, [self.given(found)]) if found else []

    def tell(self, session: Session, rows: Iterable[Sequence[Cell]]) -> None:
        """Execute it, for what it does."""
        found = list(rows)
        if found:
            tell(session, self.text, [self.given(found)])

    def given(self, rows: Sequence[Sequence[Cell]]) -> str:
        """The parameter for these rows."""
        names = self._names
        try:
            text = _ENCODE([dict(zip(names, row, strict=True)) for row in rows])
        except ValueError:  # a number that JSON does not know
            text = _ODD[0]
        if any(odd in text for odd in _ODD):
            plain = ([_plain(cell) for cell in row] for row in rows)
            text = _ENCODE([dict(zip(names, row, strict=True)) for row in plain])
        return text


def _plain(cell: Cell) -> Cell:
    match cell:
        case str():
            return escaped(cell)
        case float():
            return repr(cell)
        case _:
            return cell
