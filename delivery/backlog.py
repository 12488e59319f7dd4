"""How much of the backlog a courier has in hand.

What is overdue in the store stands in lines, one for each credential and one for its old records.
Each line has its share of what one courier holds in memory. As soon as half of the share is
sent, more is taken up, so that a backlog is taken up as fast as it is sent, and no line keeps
another from being taken up.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import TypeAlias

from attrs import define, field

IN_HAND = 10_000
"""How many uploads of the backlog are in memory, if there are not too many lines."""

MOST_OF_ONE, LEAST_OF_ONE = 1_000, 10

Line: TypeAlias = str | None


@define
class Backlog:
    """Counts what is in hand of each line, and knows which lines are to be looked at."""

    _count: int = field(default=1, init=False)
    _in_hand: Counter[Line] = field(factory=Counter, init=False)
    _more: set[Line] = field(factory=set, init=False)
    _wanting: dict[Line, None] = field(factory=dict, init=False)

    @property
    def wanting(self) -> bool:
        """Whether a line is to be looked at."""
        return bool(self._wanting)

    @property
    def share(self) -> int:
        """How much of one line is in hand at most."""
        return min(max(IN_HAND // max(self._count, 1), LEAST_OF_ONE), MOST_OF_ONE)

    def room(self, line: Line) -> int:
        """How much more of a line may be taken in hand."""
        return max(self.share - self._in_hand[line], 0)

    def add(self, line: Line) -> None:
        """An upload of a line is in hand, from the backlog or new."""
        self._in_hand[line] += 1

    def remove(self, line: Line) -> None:
        """It is not in hand any more."""
        self._in_hand[line] -= 1
        if not self._in_hand[line]:
            del self._in_hand[line]
        if line in self._more and self._is_low(line):
            self._wanting[line] = None

    def found(self, lines: Collection[Line]) -> None:
        """All lines that have something overdue."""
        self._count = len(lines)
        self._more.intersection_update(lines)
        self._wanting = dict.fromkeys(filter(self._is_low, lines))

    def next_lines(self) -> list[Line]:
        """Some lines to look at now."""
        lines = list(self._wanting)[: max(MOST_OF_ONE // self.share, 1)]
        for line in lines:
            del self._wanting[line]
        return lines

    def looked(self, line: Line, *, more: bool, again: bool) -> None:
        """A line was looked at: whether there is more of it, and whether it is looked at again at
        once."""
        (self._more.add if more else self._more.discard)(line)
        if again:
            self._wanting[line] = None

    def _is_low(self, line: Line) -> bool:
        return self._in_hand[line] < (self.share + 1) // 2
