"""Reads documents from the host's source, in threads of their own: a source that hangs for one
tenant keeps none of another's waiting, and stops nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor

from attrs import define, field

from ...delivery.effects import ReadDocument
from ...delivery.outcome import NoSourceError
from ...domain.upload.verdict import Verdict
from ...ports.logger import LogEvent, ReaderLost
from ...ports.source import DocumentSource
from .connection_limit import ConnectionLimit
from .interruptions import hosts_own

READERS = 32
"""So many threads read from the source, those that hang included."""

READERS_OF_TENANT = 4


@define(eq=False)
class SourceReaders:
    """The threads that read from a host's source. Used on one event loop.

    A thread that does not return cannot be ended. It is `lost` from the moment that its document
    is no longer waited for until it returns, and keeps its place so long.

    Args:
        source: The host's source; None: every document is unavailable.
        threads: At least `READERS` of them; None: the loop's own.
    """

    source: DocumentSource | None
    threads: Executor | None
    lost: int = field(default=0, init=False)
    _places: ConnectionLimit = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._places = ConnectionLimit(READERS, READERS_OF_TENANT)

    async def read(self, wanted: ReadDocument, log: Callable[[LogEvent], None]) -> bytes | Verdict:
        """Read a document for as long as its time allows, a wait for a thread included."""
        source, lane, seconds = self.source, (wanted.tenant_id,), wanted.timeout.total_seconds()
        if source is None:
            return wanted.judge(NoSourceError())
        reading: asyncio.Future[bytes | Verdict] | None = None
        try:
            async with asyncio.timeout(seconds):
                await self._places.enter(lane)
                reading = self._start(source, wanted)
                return await asyncio.shield(reading)
        except TimeoutError as error:
            if reading is not None and not reading.done():
                self.lost += 1
                reading.add_done_callback(self._returned)
                log(ReaderLost(wanted.tenant_id, seconds, self.lost))
            return wanted.judge(error)

    def _start(
        self, source: DocumentSource, wanted: ReadDocument
    ) -> asyncio.Future[bytes | Verdict]:
        loop = asyncio.get_running_loop()
        reading = loop.run_in_executor(self.threads, _read, source, wanted)
        reading.add_done_callback(lambda _: self._places.leave((wanted.tenant_id,)))
        return reading

    def _returned(self, reading: asyncio.Future[bytes | Verdict]) -> None:
        self.lost -= 1
        if not reading.cancelled():
            reading.exception()  # it was not waited for


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
