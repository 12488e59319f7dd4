"""Runs what a host brings (its document source, its files, a renderer) in threads of their own:
what hangs for one tenant keeps none of another's waiting, and stops nothing else."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, TypeVar

from attrs import define, field, frozen

from ...delivery.destinations import Destination
from ...delivery.effects import ReadDocument
from ...delivery.fair_share import Lane
from ...delivery.outcome import NoSourceError
from ...domain.upload.verdict import Verdict
from ...ports.logger import LogEvent, ReaderLost
from ...ports.source import DocumentSource
from .connection_limit import ConnectionLimit
from .interruptions import hosts_own

READERS = 32
"""So many threads run what the host brings, those that hang included."""

READERS_OF_TENANT = 4

T = TypeVar("T")


@frozen
class Reading:
    """What is run for a tenant: `what` it waits for, and the seconds that this may take."""

    tenant_id: str
    what: str
    seconds: float


def reading_of(destination: Destination, *, is_file: bool) -> Reading:
    """The reading of a file, or the rendering of a record."""
    integration = destination.integration
    seconds = integration.route.timeouts.total.total_seconds()
    return Reading(integration.tenant_id, "the file" if is_file else "the renderer", seconds)


@define(eq=False)
class Readers:
    """The threads that run what a host brings. Used on one event loop.

    A thread that does not return cannot be ended. It is `lost` from the moment that its result is
    no longer waited for until it returns, and keeps its place so long.

    Args:
        threads: At least `READERS` of them; None: the loop's own.
        log: Is told of each thread that is lost.
        source: The host's document source; None: every document is unavailable.
    """

    threads: Executor | None
    log: Callable[[LogEvent], None]
    source: DocumentSource | None = None
    _places: ConnectionLimit = field(init=False)
    _lost: Counter[Lane] = field(factory=Counter, init=False)

    def __attrs_post_init__(self) -> None:
        self._places = ConnectionLimit(READERS, READERS_OF_TENANT)

    @property
    def lost(self) -> int:
        """How many threads are lost."""
        return self._lost.total()

    async def run(self, reading: Reading, work: Callable[[], T], *, at_once: bool = False) -> T:
        """What the work comes to, in a thread. It waits for one while the tenant's work.

        Raises:
            TimeoutError: It took too long; or for so long all threads of the tenant were lost, or
                all of all tenants were taken. `at_once`: all of the tenant are lost now.
        """
        lane, seconds = (reading.tenant_id,), reading.seconds
        late = TimeoutError(f"{reading.what} did not answer within {seconds:g} s")
        if at_once and self._lost[lane] >= READERS_OF_TENANT:
            raise late
        while not await self._entered(lane, seconds):
            if self._lost[lane] >= self._places.held(lane):
                raise late
        running = asyncio.get_running_loop().run_in_executor(self.threads, work)
        running.add_done_callback(lambda _: self._places.leave(lane))
        done, _ = await asyncio.wait([running], timeout=seconds)
        if done:
            return running.result()
        self._lost[lane] += 1
        running.add_done_callback(lambda returned: self._returned(lane, returned))
        self.log(ReaderLost(reading.tenant_id, reading.what, seconds, self.lost))
        raise late

    async def _entered(self, lane: Lane, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._places.enter(lane)
        except TimeoutError:
            return False
        return True

    def _returned(self, lane: Lane, running: asyncio.Future[Any]) -> None:
        self._lost[lane] -= 1
        if not running.cancelled():
            running.exception()  # it was not waited for

    async def read(self, wanted: ReadDocument) -> bytes | Verdict:
        """A document of the source."""
        source, seconds = self.source, wanted.timeout.total_seconds()
        if source is None:
            return wanted.judge(NoSourceError())
        reading = Reading(wanted.tenant_id, "the document source", seconds)
        try:
            return await self.run(reading, lambda: _read(source, wanted))
        except TimeoutError as late:
            return wanted.judge(late)


def _read(source: DocumentSource, wanted: ReadDocument) -> bytes | Verdict:
    """In a worker thread, where it is hashed as well: for 20 MB that takes its time."""
    read: object
    try:
        read = source.read(wanted.tenant_id, wanted.key)
    except BaseException as error:
        if hosts_own(error):
            raise
        read = error
    return wanted.judge(read)
