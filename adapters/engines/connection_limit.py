"""At most so many requests at once, shared fairly between lanes.

This stands before the transport: in an HTTP client's own pool, "never sent" and "timed out" would
look alike, and one tenant's silent server could take every connection.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ...delivery.fair_share import FairShare, Lane


class ConnectionLimit:
    """Places for requests. Waiting for one costs nothing but time."""

    def __init__(self, capacity: int, most: int | None = None) -> None:
        self._share = FairShare(capacity, most)
        self._queues: dict[Lane, deque[asyncio.Future[None]]] = {}

    @asynccontextmanager
    async def taken(self, lane: Lane) -> AsyncIterator[None]:
        """Hold one place for a request of this lane."""
        await self.enter(lane)
        try:
            yield
        finally:
            self.leave(lane)

    def leave(self, lane: Lane) -> None:
        """Give a place back."""
        self._share.leave(lane)
        self._admit()

    async def enter(self, lane: Lane) -> None:
        """Take a place, as soon as there is one."""
        if lane not in self._queues and self._share.admits(lane):
            self._share.enter(lane)
            return
        place = asyncio.get_running_loop().create_future()
        self._queues.setdefault(lane, deque()).append(place)
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self.leave(lane)
            raise

    def _admit(self) -> None:
        """Let in whoever may enter now, lane by lane."""
        for lane in list(self._queues):
            queue = self._queues[lane]
            while queue and queue[0].cancelled():
                queue.popleft()
            if queue and self._share.admits(lane):
                self._share.enter(lane)
                queue.popleft().set_result(None)
                # To the end of the line of lanes, so that they take turns.
                self._queues[lane] = self._queues.pop(lane)
            if not queue:
                del self._queues[lane]
