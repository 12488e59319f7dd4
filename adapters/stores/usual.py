"""What is written of an upload as long as all goes well: what differs from one upload to the next.

All other columns hold the same in each, and stand in the statement or are left out: each cell that
sqlite3 is given takes a tenth of a microsecond, and an empty one, in Python 3.11, three times that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from typing import TypeAlias

from .rows import ATTEMPT, BEGINNING, CHANGING, ENTRY, FLAGS, TROUBLE, Cell

Fixed: TypeAlias = Mapping[str, str | bool | None]


class Usual:
    """Some columns: those with `names` are given cells, and the others hold what `fixed` says."""

    def __init__(self, columns: Sequence[str], fixed: Fixed) -> None:
        self.fixed = {name: fixed[name] for name in columns if name in fixed}
        self.names = tuple(name for name in columns if name not in fixed)
        self._cells = itemgetter(*map(columns.index, self.names))
        self._others = itemgetter(*map(columns.index, self.fixed))
        self._usual = tuple(self.fixed.values())

    def cells(self, cells: Sequence[Cell]) -> tuple[Cell, ...] | None:
        """The cells of `names`; None if the others hold something else."""
        return self._cells(cells) if self._others(cells) == self._usual else None

    def part(
        self, rows: Iterable[Sequence[Cell]]
    ) -> tuple[list[tuple[Cell, ...]], list[Sequence[Cell]]]:
        """The cells of `names` of the usual rows; and the rows that are not."""
        usual, others = [], []
        for row in rows:
            if (cells := self.cells(row)) is None:
                others.append(row)
            else:
                usual.append(cells)
        return usual, others


def _empty(names: str) -> Fixed:
    return dict.fromkeys(names.split())


_UNTROUBLED: Fixed = {name: False if name in FLAGS else None for name in TROUBLE}
_NOT_SENT = _empty("attempt started_at receipt_reference receipt_message")
_NO_FILE = _empty("document_path document_modified document_file")
_NO_FAILURE = _empty("kind message http_status retry_after detail not_before")
_ENDED = _empty("due attempt started_at")

ENTERED = Usual(ENTRY, {**_UNTROUBLED, **_NOT_SENT, **_NO_FILE})
"""An upload that is queued."""
BEGUN = Usual(BEGINNING, _UNTROUBLED)
"""One that is sent."""
SUCCEEDED = Usual(
    CHANGING, {**_UNTROUBLED, **_ENDED, **dict.fromkeys(("state", "status"), "succeeded")}
)
"""One that has succeeded."""
DELIVERED = Usual(("id", *ATTEMPT), {"verdict": "delivered", **_NO_FAILURE})
"""The attempt with which it did."""
