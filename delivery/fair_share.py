"""How lanes share a bounded room, so that one lane's trouble leaves space for the others.

A lane may take up to `SHARE_OF_FREE` times what is free. One lane alone gets three quarters of the
room; each further one takes its share of what is left; and while a few lanes are stuck, there is
always a place for the next.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from typing import Generic, TypeVar

SHARE_OF_FREE = 3

L = TypeVar("L", bound=Hashable)


class FairShare(Generic[L]):
    """Counts who is in the room. Not thread-safe; owned by one engine."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.taken = 0
        self._by_lane: Counter[L] = Counter()

    @property
    def full(self) -> bool:
        """Whether nobody may enter, of whatever lane."""
        return self.taken >= self.capacity

    def admits(self, lane: L) -> bool:
        """Whether one more of this lane may enter now."""
        return self._by_lane[lane] < SHARE_OF_FREE * (self.capacity - self.taken)

    def enter(self, lane: L) -> None:
        """One of this lane enters."""
        self.taken += 1
        self._by_lane[lane] += 1

    def leave(self, lane: L) -> None:
        """One of this lane leaves."""
        self.taken -= 1
        self._by_lane[lane] -= 1
