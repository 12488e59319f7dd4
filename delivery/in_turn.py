"""A queue of several lanes that are served in turn."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
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
        """The next item of the next lane that is admitted; None if no lane is."""
        lane = next((lane for lane in self._lanes if admits(lane)), None)
        if lane is None:
            return None
        items = self._lanes.pop(lane)
        item = items.popleft()
        self._waiting -= 1
        if items:
            self._lanes[lane] = items
        return item

    def take_along(self, lane: L, most: int, fits: Callable[[T], bool]) -> list[T]:
        """The next items of a lane as long as they fit; it keeps its turn."""
        items, taken = self._lanes.get(lane, deque[T]()), list[T]()
        while items and len(taken) < most and fits(items[0]):
            taken.append(items.popleft())
        if not items:
            self._lanes.pop(lane, None)
        self._waiting -= len(taken)
        return taken

    def put_back(self, lane: L, items: Sequence[T]) -> None:
        """Have items that were taken wait again, before the others of their lane."""
        if items:
            self._lanes.setdefault(lane, deque()).extendleft(reversed(items))
            self._waiting += len(items)
