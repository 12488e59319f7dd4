"""Performs the effects of turns on an event loop: commits are shared with whatever else there is,
and the loop never waits for a disk."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor
from datetime import timedelta
from typing import Any, TypeVar

from attrs import define, frozen

from ...delivery.effects import (
    Begin,
    Effect,
    Interrupted,
    Notify,
    Read,
    ReadDocument,
    ReadDocuments,
    Record,
    Save,
    Send,
    TakeSlot,
    Token,
    Turn,
    Wait,
    Write,
)
from ...delivery.outcome import NoSourceError
from ...domain.errors import StoreError
from ...domain.upload.upload import UploadKey
from ...domain.upload.verdict import Verdict
from ...ports.clock import Clock
from ...ports.dialogue import HttpRequest, HttpResponse, TransportFailure
from ...ports.logger import WriteDelayed
from ...ports.records import Change, SaveAnswer
from ...ports.source import DocumentSource
from ...ports.store import UploadStore
from ...ports.transport import AsyncTransport
from ...ports.writer import Writer
from .connection_limit import ConnectionLimit
from .interruptions import hosts_own
from .notify import HookNotifier
from .token_cache import TokenCache

STORE_RETRY = (timedelta(seconds=1), timedelta(seconds=30))
"""The first and the longest pause before a refused write is tried again."""

CLOSED = "the courier was closed"

T = TypeVar("T")


@frozen
class Outside:
    """What a courier on an event loop sends with. `threads` are for what is the host's own."""

    transport: AsyncTransport
    connections: ConnectionLimit
    tokens: TokenCache
    source: DocumentSource | None
    threads: Executor | None


@define
class AsyncioDriver:
    """Drives turns for one courier. `threads` are those in which the store is read (None: the
    loop's own).

    A turn whose task is cancelled hears of it once, as `Interrupted`, and may then still write down
    how far it got. While `closing`, a refused write is not tried again.
    """

    outside: Outside
    store: UploadStore
    writer: Writer
    threads: Executor | None
    clock: Clock
    notifier: HookNotifier
    closing: bool = False

    async def run(self, turn: Turn[T]) -> T:
        """What the turn comes to; what interrupted it is raised when the turn has ended."""
        try:
            return await self._drive(turn)
        except Interrupted as cut:
            raise cut.by from None

    async def _drive(self, turn: Turn[T]) -> T:
        resume: Callable[[Any], Effect[Any]] = turn.send
        answer: Any = None
        while True:
            try:
                effect = resume(answer)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            try:
                answer, resume = await self._perform(effect), turn.send
            except BaseException as error:
                answer, resume = interruption_of(error) or error, turn.throw

    async def read(self, verb: Callable[[], T]) -> T:
        """Run a reading verb of the store off the loop."""
        return await asyncio.get_running_loop().run_in_executor(self.threads, verb)

    async def _perform(self, effect: Effect[Any]) -> Any:
        match effect:
            case Send():
                return await self._send(effect)
            case Notify(event=event):
                self.notifier.log(event)
                return None
            case Begin(starts=starts):
                key = starts[0].upload.key
                return await self._to_its_end(
                    self._patiently(key, lambda: self.writer.begin(starts))
                )
            case Save(changes=changes):
                key = changes[0].upload.key
                return await self._patiently(key, lambda: self._save(changes))
            case Record(key=key, verb=verb):
                return await self._patiently(key, lambda: self._write(verb))
            case Write(verb=verb):
                return await self._write(verb)
            case Read(verb=verb):
                return await self.read(lambda: verb(self.store))
            case TakeSlot(request=request):
                if request.key is None:
                    return await self.writer.acquire(request)
                return await self._patiently(request.key, lambda: self.writer.acquire(request))
            case Token(wish=wish, mint=mint, lease_since=lease):
                return await self.outside.tokens.token(wish, lambda: self._drive(mint()), lease)
            case ReadDocuments(documents=documents):
                return await self._read_documents(documents)
            case Wait(until=until):
                await self.clock.sleep_until(until)
                return True
        raise TypeError(f"a turn yields effects, not {type(effect).__name__}")

    # --- the world ---

    async def _send(self, effect: Send) -> HttpResponse | TransportFailure | Any:
        destination = effect.destination
        async with self.outside.connections.taken(destination.lane):
            leaving = await self._drive(effect.leave())
            if not isinstance(leaving, HttpRequest):
                return leaving
            return await self.outside.transport.send(leaving, destination.integration.route)

    async def _read_documents(self, documents: Sequence[ReadDocument]) -> Sequence[bytes | Verdict]:
        if len(documents) == 1:
            return [await self._read_document(documents[0])]
        return await asyncio.gather(*map(self._read_document, documents))

    async def _read_document(self, wanted: ReadDocument) -> bytes | Verdict:
        source, loop = self.outside.source, asyncio.get_running_loop()
        read: object
        if source is None:
            return wanted.judge(NoSourceError())
        try:
            async with asyncio.timeout(wanted.timeout.total_seconds()):
                read = await loop.run_in_executor(
                    self.outside.threads, _read, source, wanted.tenant_id, wanted.key
                )
        except BaseException as error:
            if interruption_of(error) is not None:
                raise
            read = error
        return await loop.run_in_executor(self.outside.threads, wanted.judge, read)

    # --- the store ---

    async def _write(self, verb: Callable[[UploadStore], T]) -> T:
        return await self.writer.run(lambda: verb(self.store))

    async def _save(self, changes: Sequence[Change]) -> Sequence[SaveAnswer]:
        if len(changes) == 1:
            return [await self.writer.save(changes[0])]
        return await self._write(lambda store: store.save(changes))

    async def _to_its_end(self, work: Awaitable[T]) -> T:
        """What was asked for is written all the same, so a cancellation waits for its end."""
        task = asyncio.ensure_future(work)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            await task
            raise

    async def _patiently(self, key: UploadKey, write: Callable[[], Awaitable[T]]) -> T:
        """Write, however often it takes: what has happened at the provider cannot be taken back,
        so it must not be forgotten."""
        pause, longest = STORE_RETRY
        while True:
            try:
                return await write()
            except StoreError as error:
                if self.closing:
                    raise Interrupted(error, CLOSED, closing=True) from error
                self.notifier.log(WriteDelayed(key, str(error)))
            await self.clock.sleep_until(self.clock.now() + pause)
            pause = min(pause * 2, longest)


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
