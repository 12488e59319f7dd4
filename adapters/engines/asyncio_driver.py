"""Performs the effects of turns on an event loop: commits are shared with whatever else there is,
and the loop never waits for a disk."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import Executor
from datetime import datetime, timedelta
from typing import Any, TypeVar, TypeVarTuple

from attrs import define, frozen

from ...delivery.effects import (
    Begin,
    Effect,
    Interrupted,
    MakeDocument,
    ReadDocument,
    Save,
    Send,
    Stored,
    TakeSlot,
    Turn,
)
from ...delivery.outcome import NoSourceError
from ...domain.upload.failure import Failure
from ...domain.upload.verdict import Verdict
from ...ports.clock import Clock
from ...ports.dialogue import HttpRequest, HttpResponse, TransportFailure
from ...ports.records import MadeDocument
from ...ports.source import DocumentSource
from ...ports.store import UploadStore
from ...ports.transport import AsyncTransport
from ...ports.writer import Writer
from .connection_limit import ConnectionLimit
from .driver import Driver
from .interruptions import hosts_own
from .notify import HookNotifier
from .preparing import Preparer
from .token_cache import TokenCache

STORE_RETRY = (1.0, 30.0)
"""The first and the longest pause, in seconds, before a refused write is tried again."""

CLOSED = "the courier was closed"

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


@frozen
class Outside:
    """What a courier on an event loop sends with. `threads` are for what is the host's own: its
    files, its document source, a renderer."""

    transport: AsyncTransport
    connections: ConnectionLimit
    tokens: TokenCache
    source: DocumentSource | None
    threads: Executor | None
    preparer: Preparer


@define
class AsyncioDriver(Driver):
    """Drives turns for one courier. `threads` are those in which the store is read (None: the
    loop's own).

    A turn whose task is cancelled hears of it once, as `Interrupted`, and may then still write down
    how far it got.
    """

    outside: Outside
    store: UploadStore
    writer: Writer
    threads: Executor | None
    clock: Clock
    notifier: HookNotifier
    closing: bool = False

    @property
    def tokens(self) -> TokenCache:
        return self.outside.tokens

    async def run(self, turn: Turn[T]) -> T:
        """What the turn comes to; what interrupted it is raised when the turn has ended."""
        return await self.finished(turn)

    def raised_by(self, effect: Effect[Any], error: BaseException) -> BaseException:
        return interruption_of(error) or error

    def cut_by(self, error: BaseException) -> Interrupted:
        return Interrupted(error, CLOSED, closing=True)

    # --- the world ---

    async def _send(self, effect: Send) -> HttpResponse | TransportFailure | Any:
        destination = effect.destination
        async with self.outside.connections.taken(destination.lane):
            leaving = await self.drive(effect.leave())
            if not isinstance(leaving, HttpRequest):
                return leaving
            return await self.outside.transport.send(leaving, destination.integration.route)

    async def _make(self, effect: MakeDocument) -> MadeDocument | Failure:
        return await self._in_hosts_threads(self.outside.preparer.make, effect)

    async def _wait(self, until: datetime) -> bool:
        await self.clock.sleep_until(until)
        return True

    async def _read_documents(self, documents: Sequence[ReadDocument]) -> Sequence[bytes | Verdict]:
        if len(documents) == 1:
            return [await self._read_document(documents[0])]
        return await asyncio.gather(*map(self._read_document, documents))

    async def _read_document(self, wanted: ReadDocument) -> bytes | Verdict:
        source = self.outside.source
        read: object
        if source is None:
            return wanted.judge(NoSourceError())
        try:
            async with asyncio.timeout(wanted.timeout.total_seconds()):
                read = await self._in_hosts_threads(_read, source, wanted.tenant_id, wanted.key)
        except BaseException as error:
            if interruption_of(error) is not None:
                raise
            read = error
        return await self._in_hosts_threads(wanted.judge, read)

    async def _in_hosts_threads(self, verb: Callable[[*Ts], T], *given: *Ts) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.outside.threads, verb, *given)

    # --- the store ---

    async def read(self, verb: Callable[[], T]) -> T:
        """Run a reading verb of the store off the loop."""
        return await asyncio.get_running_loop().run_in_executor(self.threads, verb)

    async def _write(self, effect: Stored[Any]) -> Any:
        match effect:
            case Begin(starts=starts):
                return await _to_its_end(self.writer.begin(starts))
            case Save(changes=[change]):
                return [await self.writer.save(change)]
            case TakeSlot(request=request):
                return await self.writer.acquire(request)
        return await self.writer.run(lambda: effect.on(self.store))

    def pauses(self) -> Iterator[float]:
        pause, longest = STORE_RETRY
        while True:
            yield pause
            pause = min(pause * 2, longest)

    async def _pause(self, seconds: float) -> None:
        await self.clock.sleep_until(self.clock.now() + timedelta(seconds=seconds))


async def _to_its_end(work: Awaitable[T]) -> T:
    """What was asked for is written all the same, so a cancellation waits for its end."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await task
        raise


def interruption_of(error: BaseException) -> Interrupted | None:
    """The interruption that an exception is: the task's own cancellation, and what a signal or a
    keyboard raised. None for an exception of anything else, whatever its class."""
    if isinstance(error, Interrupted):
        return error
    if isinstance(error, asyncio.CancelledError):
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            return Interrupted(error, CLOSED, closing=True)
        return None
    if hosts_own(error):
        return Interrupted(error, f"the program was interrupted ({type(error).__name__})")
    return None


def _read(source: DocumentSource, tenant_id: str, key: str) -> object:
    """In a worker thread."""
    try:
        return source.read(tenant_id, key)
    except StopIteration as error:  # no future can carry one
        raise RuntimeError("the document source raised StopIteration") from error
