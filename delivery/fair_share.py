"""How lanes share a bounded room, so that the trouble of one leaves space for the others.

A lane is a path, such as (origin, tenant): each part of it has its share of what the part above it
may have. A part may hold `SHARE_OF_FREE` times what it leaves free. So one origin alone gets three
quarters of the room, and one tenant three quarters of that; each further one gets its share of what
is left. The last place goes to a part that has nothing in the room.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Sequence
from functools import lru_cache
from typing import TypeAlias

SHARE_OF_FREE = 3

Lane: TypeAlias = tuple[Hashable, ...]


@lru_cache(maxsize=4096)
def parts_of(lane: Lane) -> Sequence[Lane]:
    """The lane's parts, from the outermost to the lane itself."""
    return tuple(lane[:length] for length in range(1, len(lane) + 1))


class FairShare:
    """Counts what is in a room: places, or bytes. Not thread-safe; owned by one engine.

    `most`: no lane holds more than that, whatever is free.
    """

    def __init__(self, capacity: int, most: int | None = None) -> None:
        self.capacity = capacity
        self.taken = 0
        self._most = capacity if most is None else most
        self._held: dict[Lane, int] = {}

    def held(self, part: Lane) -> int:
        """How much a lane, or an outer part of lanes, holds."""
        return self._held.get(part, 0)

    def admits(self, lane: Lane, amount: int = 1) -> bool:
        """Whether so much more of this lane may enter now."""
        free = self.capacity - self.taken
        for part in parts_of(lane):
            held = self._held.get(part, 0)
            if held or amount > 1:
                free = (SHARE_OF_FREE * free - held) // (SHARE_OF_FREE + 1)
        return amount <= min(free, self._most - self.held(lane))

    def enter(self, lane: Lane, amount: int = 1) -> None:
        """So much of this lane enters."""
        self.taken += amount
        for part in parts_of(lane):
            self._held[part] = self._held.get(part, 0) + amount

    def leave(self, lane: Lane, amount: int = 1) -> None:
        """So much of this lane leaves."""
        self.taken -= amount
        for part in parts_of(lane):
            if left := self._held.get(part, 0) - amount:
                self._held[part] = left
            else:
                self._held.pop(part, None)


class FairQueue:
    """Places in a room, and those who wait for one, lane by lane. Not thread-safe."""

    def __init__(self, capacity: int, most: int | None = None) -> None:
        self.capacity = capacity
        self._share = FairShare(capacity, most)
        self._queues: dict[Lane, deque[Callable[[], bool]]] = {}

    def ask(self, lane: Lane, admit: Callable[[], bool]) -> None:
        """Call `admit` as soon as there is a place for a request of this lane. It says False if
        the place is not wanted any more."""
        if lane not in self._queues and self._share.admits(lane):
            self._share.enter(lane)
            admit()
        else:
            self._queues.setdefault(lane, deque()).append(admit)

    def leave(self, lane: Lane) -> None:
        """Give a place back. Others may enter now, lane by lane."""
        self._share.leave(lane)
        for other in list(self._queues):
            if self._admit(other) and other[:-1] == lane[:-1]:
                # As much is taken as before, when no lane could enter: one holds less now.
                if other != lane and lane in self._queues:
                    self._admit(lane)
                return

    def _admit(self, lane: Lane) -> bool:
        queue, entered = self._queues[lane], False
        while queue and not entered and self._share.admits(lane):
            entered = queue.popleft()()
        if entered:
            self._share.enter(lane)
            # To the end of the line of lanes, so that they take turns.
            self._queues[lane] = self._queues.pop(lane)
        if not queue:
            del self._queues[lane]
        return entered
