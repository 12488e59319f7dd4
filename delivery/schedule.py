"""Which upload's turn it is.

Knows due times and sizes, no documents: what waits costs a few words of memory. Lanes (an origin,
and a tenant with a credential) take turns, so one lane's ten thousand do not delay another's single
upload. How many are under way and the bytes of their documents are bounded, and lanes have fair
shares of both.

A document that does not fit is never waited for. Instead one document may go beyond the bytes if
nothing of its lane is under way, and one more if nothing of its origin is. So a big document does
not starve, and no lane can stop another by filling the room.

A lane may stand behind another: that of a tenant's old records has one part more. It hands out
nothing while the other has something ready.

While an origin is silent, only `PROBES` of its uploads are under way. The others wait as long as
they would have to wait after a failed attempt, and then go.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Hashable, Mapping
from datetime import datetime, timedelta
from itertools import count
from typing import Generic, NamedTuple, TypeVar

from attrs import define

from ..domain.upload.backoff import later, wait_of
from .fair_share import FairShare, Lane, parts_of

PROBES = 2
"""How many uploads are under way to an origin that is silent, beside those that have waited."""

K = TypeVar("K", bound=Hashable)


class _Item(NamedTuple, Generic[K]):
    """`patience`: for so long it waits for a silent origin; `waited`: it has. It sorts as it
    stands: no two have the same number."""

    due: datetime
    number: int
    key: K
    lane: Lane
    size: int
    patience: timedelta
    waited: bool = False


@define
class _UnderWay(Generic[K]):
    """`beyond`: the part of its lane for whose sake it goes beyond the bytes."""

    item: _Item[K]
    beyond: int | None


class Schedule(Generic[K]):
    """Hands out keys whose time has come, lane by lane. Pure bookkeeping: the caller brings the
    time.

    `capacity` bounds how many are under way, `in_flight_bytes` how many bytes their documents have
    together, but for those that go beyond. `silent` are the origins that do not answer.
    """

    def __init__(self, capacity: int, in_flight_bytes: int) -> None:
        self.silent: set[Hashable] = set()
        self._places = FairShare(capacity)
        self._bytes = FairShare(in_flight_bytes)
        self._beyond: set[int] = set()
        self._future: list[_Item[K]] = []
        self._lanes: dict[Lane, list[_Item[K]]] = {}
        self._turns: deque[Hashable] = deque()
        self._lanes_of: dict[Hashable, deque[Lane]] = {}
        self._planned: dict[K, int] = {}
        self._under_way: dict[K, _UnderWay[K]] = {}
        self._waits: dict[Lane, datetime] = {}
        self._ends: list[tuple[datetime, int, Lane]] = []
        self._resting: set[Lane] = set()
        self._numbers = count()

    def __len__(self) -> int:
        """How many are planned and not under way."""
        return len(self._planned)

    @property
    def under_way(self) -> int:
        """How many have been handed out and are not done."""
        return len(self._under_way)

    def is_under_way(self, key: K) -> bool:
        """Whether a key was handed out and is not done."""
        return key in self._under_way

    def plan(
        self, key: K, lane: Lane, due: datetime, size: int, patience: timedelta = timedelta(0)
    ) -> None:
        """Have a key handed out at `due`, or `patience` later if its origin is silent then. A key
        planned before is planned anew; one under way is left alone."""
        if key in self._under_way:
            return
        number = next(self._numbers)
        self._planned[key] = number
        heapq.heappush(self._future, _Item(due, number, key, lane, size, patience))

    def forget(self, key: K) -> None:
        """Take a planned key back."""
        self._planned.pop(key, None)

    def wait(self, lane: Lane, until: datetime) -> None:
        """Hand out nothing of this lane before a moment: its gate has said so. What it has
        planned keeps its place. The lane takes no turns meanwhile, since thousands may wait.
        """
        self._waits[lane] = until
        self._note_end(lane)

    def take(self, now: datetime) -> K | None:
        """The next key to start now, counted as under way from here on; None where nothing may
        start."""
        self._ripen(now)
        for _ in range(len(self._turns)):
            origin = self._turns.popleft()
            lanes = self._lanes_of[origin]
            if self._places.admits((origin,)):
                for _ in range(len(lanes)):
                    if (key := self._take_of(lanes.popleft(), lanes, now)) is not None:
                        self._turns.append(origin)
                        return key
            if lanes:
                self._turns.append(origin)
            else:
                del self._lanes_of[origin]
        return None

    def _take_of(self, lane: Lane, lanes: deque[Lane], now: datetime) -> K | None:
        """The next key of a lane, if it may start; the lane keeps its turn among those of its
        origin."""
        if not (ready := self._ready_of(lane, now)):
            del self._lanes[lane]
            return None
        if self._must_wait(lane, now):
            self._resting.add(lane)
            self._note_end(lane)
            return None
        lanes.append(lane)
        if not self._places.admits(lane) or (len(lane) > 2 and self._gives_way(lane, now)):
            return None
        item = ready[0]
        if self._bytes.admits(lane, item.size, new=not self._places.held(lane[:1])):
            return self._hand_out(item, None)
        beyond = self._part_beyond(lane)
        return None if beyond is None else self._hand_out(item, beyond)

    def _gives_way(self, lane: Lane, now: datetime) -> bool:
        """Whether the lane before this one has something ready."""
        before = lane[:-1]
        return before in self._lanes and bool(self._ready_of(before, now))

    def places(self, lane: Lane) -> Mapping[K, int]:
        """What of a lane waits for its turn, with its number in the line; the first has 0."""
        ready = sorted(self._lanes.get(lane, ()))
        waiting = [item.key for item in ready if self._planned.get(item.key) == item.number]
        return {key: number for number, key in enumerate(waiting)}

    def waits_for(self, lane: Lane, size: int) -> str:
        """What the next document of a lane waits for; it has `size` bytes."""
        origin, held = lane[0], self._places.held(lane[:1])
        if origin in self.silent and held >= PROBES:
            return f"an answer of {origin}: it is silent, and uploads probe it"
        if not self._places.admits(lane):
            return (
                f"a place at a courier: {self.under_way} of {self._places.capacity} are taken, "
                f"{held} by {origin}, {self._places.held(lane)} by its tenant"
            )
        if not self._bytes.admits(lane, size, new=not held):
            return (
                f"room for its document of {size:,} bytes at a courier: "
                f"{self._bytes.taken:,} of {self._bytes.capacity:,} are under way"
            )
        return "its turn at a courier"

    def done(self, key: K) -> None:
        """A key that was handed out is finished with; it may be planned again."""
        ended = self._under_way.pop(key)
        self._places.leave(ended.item.lane)
        if ended.beyond is None:
            self._bytes.leave(ended.item.lane, ended.item.size)
        else:
            self._beyond.remove(ended.beyond)

    def put_back(self, key: K) -> None:
        """A key that was handed out could not be begun: it has its place again, as if it had
        never been taken."""
        item = self._under_way[key].item
        self.done(key)
        self._planned[key] = item.number
        self._make_ready(item)

    def next_due(self) -> datetime | None:
        """When the next planned key becomes due, or a lane's wait is over; None if neither is
        to come."""
        while self._future and self._planned.get(self._future[0].key) != self._future[0].number:
            heapq.heappop(self._future)
        while self._ends and not self._is_waited_for(*self._ends[0]):
            heapq.heappop(self._ends)
        moments = [item.due for item in self._future[:1]] + [end for end, *_ in self._ends[:1]]
        return min(moments, default=None)

    def next_behind(self, now: datetime, seconds: float) -> datetime | None:
        """When the wait of a lane that stands behind another is over, if that is soon: its old
        records begin evenly."""
        waits = [end for lane, end in self._waits.items() if len(lane) > 2 and lane in self._lanes]
        at = min(waits, default=now)
        return at if now < at < later(now, wait_of(seconds)) else None

    def stop_waiting(self, *lanes: Lane) -> None:
        """Forget the waits of these lanes, or every wait; a lane that must still wait is told so
        again."""
        for lane in lanes or tuple(self._waits):
            self._waits.pop(lane, None)
            if lane in self._resting:
                self._resting.remove(lane)
                self._take_turns(lane)

    def _note_end(self, lane: Lane) -> None:
        heapq.heappush(self._ends, (self._waits[lane], next(self._numbers), lane))

    def _is_waited_for(self, end: datetime, _: int, lane: Lane) -> bool:
        """Whether something needs this end of a wait."""
        return self._waits.get(lane) == end and lane in self._lanes

    def _must_wait(self, lane: Lane, now: datetime) -> bool:
        until = self._waits.get(lane)
        return until is not None and until > now

    def _ripen(self, now: datetime) -> None:
        while self._ends and self._ends[0][0] <= now:
            end, _, lane = heapq.heappop(self._ends)
            if self._waits.get(lane) == end:
                self.stop_waiting(lane)
        while self._future and self._future[0].due <= now:
            item = heapq.heappop(self._future)
            if self._planned.get(item.key) != item.number:
                continue
            self._make_ready(item)

    def _make_ready(self, item: _Item[K]) -> None:
        if item.lane not in self._lanes:
            self._lanes[item.lane] = []
            self._take_turns(item.lane)
        heapq.heappush(self._lanes[item.lane], item)

    def _take_turns(self, lane: Lane) -> None:
        """Have a lane take turns with others, as the last of its origin."""
        if lane[0] not in self._lanes_of:
            self._lanes_of[lane[0]] = deque()
            self._turns.append(lane[0])
        self._lanes_of[lane[0]].append(lane)

    def _ready_of(self, lane: Lane, now: datetime) -> list[_Item[K]]:
        """What of a lane may go, the first to go first: without what was forgotten, and what waits
        for its silent origin."""
        ready = self._lanes[lane]
        probed = lane[0] in self.silent and self._places.held(lane[:1]) >= PROBES
        while ready:
            item = ready[0]
            if self._planned.get(item.key) == item.number:
                if item.waited or not (probed and item.patience) or self._must_wait(lane, now):
                    break
                then = later(now, item.patience)
                heapq.heappush(self._future, item._replace(due=then, waited=True))
            heapq.heappop(ready)
        return ready

    def _part_beyond(self, lane: Lane) -> int | None:
        """The part of the lane, the innermost first, for whose sake one document may go beyond the
        bytes now."""
        parts = [*enumerate(parts_of(lane))]
        for number, part in reversed(parts):
            if number not in self._beyond and not self._places.held(part):
                return number
        return None

    def _hand_out(self, item: _Item[K], beyond: int | None) -> K:
        heapq.heappop(self._lanes[item.lane])
        del self._planned[item.key]
        self._under_way[item.key] = _UnderWay(item, beyond)
        self._places.enter(item.lane)
        if beyond is None:
            self._bytes.enter(item.lane, item.size)
        else:
            self._beyond.add(beyond)
        return item.key
