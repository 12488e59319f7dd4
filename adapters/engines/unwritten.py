"""What the database could not take when it was submitted: kept in memory within bounds, and tried
again until it is recorded or the courier is closed."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import timedelta
from itertools import islice
from typing import Generic, TypeVar

from ...ports.clock import Clock
from .asyncio_driver import STORE_RETRY

MOST = 10_000
MOST_BYTES = 64 * 2**20
"""How many submissions, and how many bytes of their documents, are kept at most."""

AT_ONCE = 64

K = TypeVar("K")


class Unwritten(Generic[K]):
    """The items that are kept, in the order of arrival.

    `write` tries to record some, and returns those for which it is still too early; `rest` is
    called when there is nothing to do for a while.
    """

    def __init__(
        self,
        clock: Clock,
        write: Callable[[Sequence[K]], Awaitable[Sequence[K]]],
        rest: Callable[[], None],
    ) -> None:
        self._clock = clock
        self._write = write
        self._rest = rest
        self._items: deque[tuple[K, int]] = deque()
        self._bytes = 0
        self._nap: asyncio.Task[None] | None = None
        self._closing = False
        self.task: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[K]:
        return (item for item, _ in self._items)

    @property
    def napping(self) -> bool:
        """Whether it waits for a later moment."""
        return self._nap is not None and not self._nap.done()

    def keep(self, item: K, size: int) -> bool:
        """Keep one; False if there is no room, or the courier is closing."""
        room = len(self._items) < MOST and self._bytes + size <= MOST_BYTES
        if self._closing or not room:
            return False
        self._items.append((item, size))
        self._bytes += size
        if self.task is None:
            self.task = asyncio.create_task(self._work())
        return True

    def try_now(self) -> None:
        """The courier is closing: try once more at once, and then no more."""
        self._closing = True
        if self._nap is not None:
            self._nap.cancel()

    def give_up(self) -> list[K]:
        """What is still not recorded; it is kept no more."""
        items = [item for item, _ in self._items]
        self._items.clear()
        return items

    async def _work(self) -> None:
        pause, longest = STORE_RETRY
        try:
            while self._items:
                if not self._closing:
                    until = self._clock.now() + timedelta(seconds=pause)
                    self._nap = asyncio.create_task(self._clock.sleep_until(until))
                    self._rest()
                    await asyncio.wait([self._nap])
                pause = min(pause * 2, longest)
                while self._items and await self._try():
                    pause = STORE_RETRY[0]
                if self._closing:
                    return
        finally:
            self.task = None
            self._rest()

    async def _try(self) -> bool:
        """Write the first few; whether any of them has an answer. The others go to the end."""
        some = [item for item, _ in islice(self._items, AT_ONCE)]
        early = await self._write(some)
        for _ in some:
            item, size = self._items.popleft()
            if any(item is one for one in early):
                self._items.append((item, size))
            else:
                self._bytes -= size
        return len(early) < len(some)
