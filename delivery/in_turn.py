"""A queue of several lanes that are served in turn."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterator
from typing import Generic, TypeVar

L = TypeVar("L", bound=Hashable)
T = TypeVar("T")


class InTurn(Generic[L, T]):
    """What waits, lane by lane: the first of a lane goes first, and then the lane waits for the
    others."""

    def __init__(self) -> None:
        self._lanes: dict[L, deque[T]] = {}
        self._waiting = 0

    def __len__(self) -> int:
        return self._waiting

    def __iter__(self) -> Iterator[T]:
        return (item for lane in self._lanes.values() for item in lane)

    def put(self, lane: L, item: T) -> None:
        """Have an item wait in its lane."""
        self._lanes.setdefault(lane, deque()).append(item)
        self._waiting += 1

    def take(self, admits: Callable[[L], bool] = lambda lane: True) -> T | None:
        """The next item of the next lane that is admitted; None if there is none."""
        lane = next((lane for lane in self._lanes if admits(lane)), None)
        if lane is None:
            return None
        items = self._lanes.pop(lane)
        item = items.popleft()
        self._waiting -= 1
        if items:
            self._lanes[lane] = items
        return item
