"""How lanes share a bounded room, so that the trouble of one leaves space for the others.

A lane is a path, such as (origin, tenant): each part of it has its share of what the part above it
may have. A part may hold `SHARE_OF_FREE` times what it leaves free, so one tenant gets three
quarters of what its origin may have, and each further one gets its share of what is left; the last
place goes to a tenant that has nothing in the room.

Origins share three quarters of the room in that way. The last quarter is entered only by origins
that have nothing in the room: each of them gets one place as long as there is any. If they fill
that quarter as well, whatever leaves makes room for the next origin that has nothing, and those
that have something wait until a quarter is free again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import lru_cache
from typing import TypeAlias

SHARE_OF_FREE = 3
RESERVED = 4
"""One of this many equal parts of a room is for origins that have nothing in it."""

Lane: TypeAlias = tuple[Hashable, ...]


@lru_cache(maxsize=4096)
def parts_of(lane: Lane) -> Sequence[Lane]:
    """The lane's parts, from the outermost to the lane itself."""
    return tuple(lane[:length] for length in range(1, len(lane) + 1))


class FairShare:
    """Counts what is in a room: places, or bytes. Not thread-safe; owned by one engine.

    `most`: no lane holds more than that, what has stepped aside included, whatever is free. While
    `crowd` or more have stepped aside, a lane that is among them holds no more than one.
    """

    def __init__(self, capacity: int, most: int | None = None, crowd: int | None = None) -> None:
        self.capacity = capacity
        self.taken = 0
        self._most = capacity if most is None else most
        self._crowd = crowd
        self._all_aside = 0
        self._held: dict[Lane, int] = {}
        self._aside: dict[Lane, int] = {}

    def held(self, lane: Lane) -> int:
        """How much a lane holds, what has stepped aside included."""
        return self._held.get(lane, 0) + self._aside.get(lane, 0)

    def admits(self, lane: Lane, amount: int = 1, new: bool | None = None) -> bool:
        """Whether so much more of this lane may enter now. `new`: its origin has nothing under
        way; None: that is so if it has nothing in this room."""
        if amount > self.capacity - self.taken:
            return False
        bounded = self._most < self.capacity or self._all_aside
        if bounded and self._held.get(lane, 0) + amount > self._most_of(lane):
            return False
        return amount <= self.open_to(lane, amount, new)

    def _most_of(self, lane: Lane) -> int:
        """How much a lane may hold beside what it has aside."""
        aside = self._aside.get(lane, 0)
        crowded = aside and self._crowd is not None and self._all_aside >= self._crowd
        return 0 if crowded else self._most - aside

    def first_admitted(self, origin: Lane, lanes: Iterable[Lane]) -> Lane | None:
        """The first of some lanes of an origin that one more upload may enter now."""
        # As `admits` says of each: asked for all that wait, whenever one leaves.
        free, held_by = self.open_to(origin), self._held.get
        for lane in lanes if free > 0 else ():
            room = free
            for part in parts_of(lane)[len(origin) :]:
                if held := held_by(part, 0):
                    room = (SHARE_OF_FREE * room - held) // (SHARE_OF_FREE + 1)
            if room > 0 and held_by(lane, 0) < self._most_of(lane):
                return lane
        return None

    def open_to(self, part: Lane, amount: int = 1, new: bool | None = None) -> int:
        """How much more of the lanes with this part may enter now, if `most` allows it."""
        free, parts = self.capacity - self.taken, parts_of(part)
        if not (parts[0] not in self._held if new is None else new):
            # All but one of the reserved quarter: a share never takes the last of what is free.
            free -= (self.capacity - 1) // RESERVED
        for each in parts:
            held = self._held.get(each, 0)
            if held or amount > 1:
                free = (SHARE_OF_FREE * free - held) // (SHARE_OF_FREE + 1)
        return free

    def enter(self, lane: Lane, amount: int = 1) -> None:
        """So much of this lane enters."""
        self.taken += amount
        for part in parts_of(lane):
            self._held[part] = self._held.get(part, 0) + amount

    def leave(self, lane: Lane, amount: int = 1) -> None:
        """So much of this lane leaves."""
        self.taken -= amount
        held = self._held
        for part in parts_of(lane):
            if left := held.get(part, 0) - amount:
                held[part] = left
            else:
                held.pop(part, None)

    def step_aside(self, lane: Lane) -> None:
        """One of this lane takes no room any more, but is there."""
        self.leave(lane)
        self._aside[lane] = self._aside.get(lane, 0) + 1
        self._all_aside += 1

    def end_aside(self, lane: Lane) -> None:
        """One of this lane that has stepped aside is gone."""
        self._aside[lane] -= 1
        self._all_aside -= 1
        if not self._aside[lane]:
            del self._aside[lane]


class FairQueue:
    """Places in a room, and those who wait for one, lane by lane. Not thread-safe."""

    def __init__(self, capacity: int, most: int | None = None, crowd: int | None = None) -> None:
        self.capacity = capacity
        self._share = FairShare(capacity, most, crowd)
        self._queues: dict[Lane, dict[Lane, deque[Callable[[], bool]]]] = {}

    def held(self, lane: Lane) -> int:
        """How many places a lane has, those that have stepped aside included."""
        return self._share.held(lane)

    def ask(self, lane: Lane, admit: Callable[[], bool]) -> None:
        """Call `admit` as soon as there is a place for a request of this lane. It says False if
        the place is not wanted any more."""
        lanes = self._queues.get(lane[:1], {})
        if lane not in lanes and self._share.admits(lane):
            self._share.enter(lane)
            if not admit():
                self._share.leave(lane)
        else:
            self._queues.setdefault(lane[:1], lanes).setdefault(lane, deque()).append(admit)

    def leave(self, lane: Lane) -> None:
        """Give a place back."""
        self._share.leave(lane)
        self._admit_others()

    def move(self, lane: Lane, to: Lane) -> None:
        """A place of one lane is another's from now on, however many that has."""
        self._share.leave(lane)
        self._share.enter(to)
        self._admit_others()

    def step_aside(self, lane: Lane) -> None:
        """Give a place back, but count on against the `most` of the lane."""
        self._share.step_aside(lane)
        self._admit_others()

    def end_aside(self, lane: Lane) -> None:
        """One that has stepped aside is gone."""
        self._share.end_aside(lane)
        self._admit_others()

    def _admit_others(self) -> None:
        """Others may enter now, origin by origin and lane by lane."""
        entered = bool(self._queues)
        while entered:
            entered = False
            for origin in list(self._queues):
                if self._admit_of(origin):
                    entered = bool(self._queues)
                    break

    def _admit_of(self, origin: Lane) -> bool:
        lanes, entered = self._queues[origin], False
        while not entered and (lane := self._share.first_admitted(origin, lanes)) is not None:
            queue = lanes[lane]
            entered = queue.popleft()()
            if entered:
                # To the end of the line, of lanes and of origins, so that they take turns.
                self._share.enter(lane)
                lanes[lane] = lanes.pop(lane)
                self._queues[origin] = self._queues.pop(origin)
            if not queue:
                del lanes[lane]
        if not lanes:
            del self._queues[origin]
        return entered
