"""A limit of requests at once, shared fairly between lanes.

This stands before the transport: in an HTTP client's own pool, "never sent" and "timed out" would
look alike, and one tenant's silent server could take every connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ...delivery.fair_share import FairQueue, Lane


class ConnectionLimit(FairQueue):
    """Places for requests, which a task can wait for."""

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
