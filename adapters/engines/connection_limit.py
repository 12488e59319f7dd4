"""At most so many requests at once, shared fairly between lanes.

This stands before the transport: in an HTTP client's own pool, "never sent" and "timed out" would
look alike, and one tenant's silent server could take every connection.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from ...delivery.fair_share import FairShare, Lane


class ConnectionLimit:
    """Places for requests. Waiting for one costs nothing but time."""

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
            queue = self._queues[other]
            while queue and self._share.admits(other):
                if queue.popleft()():
                    self._share.enter(other)
                    # To the end of the line of lanes, so that they take turns.
                    self._queues[other] = self._queues.pop(other)
                    break
            if not queue:
                del self._queues[other]

    async def enter(self, lane: Lane) -> None:
        """Take a place, as soon as there is one."""
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def admit() -> bool:
            if not place.done():
                place.set_result(None)
            return not place.cancelled()

        self.ask(lane, admit)
        try:
            await place
        except asyncio.CancelledError:
            if not place.cancelled():
                self.leave(lane)
            raise

    @asynccontextmanager
    async def taken(self, lane: Lane) -> AsyncIterator[None]:
        """Hold one place for a request of this lane."""
        await self.enter(lane)
        try:
            yield
        finally:
            self.leave(lane)
