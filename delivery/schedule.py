"""Which upload's turn it is.

Knows due times and sizes, no documents: what waits costs a few words of memory. Lanes (a tenant
with a credential) take turns, so one lane's ten thousand do not delay another's single upload. The
bytes of what is under way are bounded; what does not fit yet is passed by others a few times and
then waited for, so a big document is neither starved nor starves the rest.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Hashable
from datetime import datetime
from itertools import count
from typing import Generic, TypeVar

from attrs import define, field, frozen

from .fair_share import FairShare

PATIENCE = 64
"""How many may overtake a document that does not fit before everybody waits for it."""

K = TypeVar("K", bound=Hashable)


@frozen(eq=False)
class _Item(Generic[K]):
    due: datetime
    number: int
    key: K
    lane: Hashable
    size: int

    def __lt__(self, other: _Item[K]) -> bool:
        return (self.due, self.number) < (other.due, other.number)


@define
class _Lane(Generic[K]):
    ready: list[_Item[K]] = field(factory=list)
    passed: int = 0


class Schedule(Generic[K]):
    """Hands out keys whose time has come, lane by lane. Pure bookkeeping: the caller brings the
    time.

    `capacity` bounds how many are under way, `in_flight_bytes` how many bytes their documents have
    together; a single document larger than that goes alone.
    """

    def __init__(self, capacity: int, in_flight_bytes: int) -> None:
        self._share: FairShare[Hashable] = FairShare(capacity)
        self._budget = in_flight_bytes
        self._bytes = 0
        self._future: list[_Item[K]] = []
        self._lanes: dict[Hashable, _Lane[K]] = {}
        self._turns: deque[Hashable] = deque()
        self._planned: dict[K, int] = {}
        self._under_way: dict[K, _Item[K]] = {}
        self._pauses: dict[Hashable, datetime] = {}
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

    def plan(self, key: K, lane: Hashable, due: datetime, size: int) -> None:
        """Have a key handed out at `due`. A key planned before is planned anew; one under way is
        left alone."""
        if key in self._under_way:
            return
        number = next(self._numbers)
        self._planned[key] = number
        heapq.heappush(self._future, _Item(due, number, key, lane, size))

    def forget(self, key: K) -> None:
        """Take a planned key back."""
        self._planned.pop(key, None)

    def pause(self, lane: Hashable, until: datetime) -> None:
        """Hand out nothing of this lane before a moment: its gate has said so. What it has
        planned keeps its place."""
        self._pauses[lane] = until

    def take(self, now: datetime) -> K | None:
        """The next key to start now, counted as under way from here on; None where nothing may
        start."""
        self._ripen(now)
        if self._share.full:
            return None
        overtaken: list[_Lane[K]] = []
        for _ in range(len(self._turns)):
            lane_key = self._turns.popleft()
            lane = self._lanes[lane_key]
            self._drop_stale(lane)
            if not lane.ready:
                del self._lanes[lane_key]
                continue
            item = lane.ready[0]
            self._turns.append(lane_key)
            if lane_key in self._pauses or not self._share.admits(lane_key):
                continue
            if not self._fits(item.size):
                if lane.passed >= PATIENCE:
                    # Everybody waits for this one: keep its lane at the head.
                    self._turns.rotate(1)
                    return None
                overtaken.append(lane)
                continue
            for other in overtaken:
                other.passed += 1
            return self._hand_out(item, lane)
        return None

    def done(self, key: K) -> None:
        """A key that was handed out is finished with; it may be planned again."""
        item = self._under_way.pop(key)
        self._share.leave(item.lane)
        self._bytes -= item.size

    def put_back(self, key: K) -> None:
        """A key that was handed out could not be begun: it has its place again, as if it had
        never been taken."""
        item = self._under_way[key]
        self.done(key)
        self._planned[key] = item.number
        self._ready(item)

    def next_due(self) -> datetime | None:
        """When the next planned key becomes due, or a lane's pause is over; None where neither
        is to come."""
        while self._future and self._planned.get(self._future[0].key) != self._future[0].number:
            heapq.heappop(self._future)
        moments = [until for lane, until in self._pauses.items() if lane in self._lanes]
        if self._future:
            moments.append(self._future[0].due)
        return min(moments, default=None)

    def unpause(self) -> None:
        """Forget every pause; whoever must still wait is told so again."""
        self._pauses.clear()

    def _ripen(self, now: datetime) -> None:
        for lane in [lane for lane, until in self._pauses.items() if until <= now]:
            del self._pauses[lane]
        while self._future and self._future[0].due <= now:
            item = heapq.heappop(self._future)
            if self._planned.get(item.key) != item.number:
                continue
            self._ready(item)

    def _ready(self, item: _Item[K]) -> None:
        if item.lane not in self._lanes:
            self._lanes[item.lane] = _Lane()
            self._turns.append(item.lane)
        heapq.heappush(self._lanes[item.lane].ready, item)

    def _drop_stale(self, lane: _Lane[K]) -> None:
        while lane.ready and self._planned.get(lane.ready[0].key) != lane.ready[0].number:
            heapq.heappop(lane.ready)

    def _fits(self, size: int) -> bool:
        return self._bytes + size <= self._budget or not self._under_way

    def _hand_out(self, item: _Item[K], lane: _Lane[K]) -> K:
        heapq.heappop(lane.ready)
        lane.passed = 0
        del self._planned[item.key]
        self._under_way[item.key] = item
        self._share.enter(item.lane)
        self._bytes += item.size
        return item.key
