"""Performs the effects of turns on an event loop: commits are shared with whatever else there is,
and the loop never waits for a disk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from datetime import datetime, timedelta
from typing import Any, TypeVar

from attrs import define, evolve, frozen

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
from ...domain.errors import CourierError
from ...domain.pacing.gate import NotBefore
from ...domain.upload.failure import Failure
from ...domain.upload.verdict import Verdict
from ...ports.clock import Clock
from ...ports.dialogue import HttpRequest, HttpResponse, TransportFailure
from ...ports.records import MadeDocument
from ...ports.store import UploadStore
from ...ports.transport import AsyncTransport
from ...ports.writer import Writer
from .connection_limit import ConnectionLimit
from .driver import Driver, sealing
from .interruptions import hosts_own
from .notify import HookNotifier
from .preparing import Preparer
from .readers import Readers, reading_of
from .token_cache import TokenCache
from .watchdog import About

STORE_RETRY = (1.0, 30.0)
"""The first and the longest pause, in seconds, before a refused write is tried again."""

CLOSED = "the courier was closed"

T = TypeVar("T")


@frozen
class Outside:
    """What a courier on an event loop sends with."""

    transport: AsyncTransport
    connections: ConnectionLimit
    tokens: TokenCache
    readers: Readers
    preparer: Preparer


@define
class AsyncioDriver(Driver):
    """Drives turns for one courier. `threads` are those in which the store is read (None: the
    loop's own).

    A turn whose task is cancelled hears of it once, as `Interrupted`, and may then still write down
    how far it got.
    """

    outside: Outside
    store: UploadStore  # pyright: ignore[reportIncompatibleMethodOverride]
    writer: Writer
    threads: Executor | None
    clock: Clock
    notifier: HookNotifier  # pyright: ignore[reportIncompatibleMethodOverride]
    closing: bool = False

    @property
    def tokens(self) -> TokenCache:
        return self.outside.tokens

    async def run(self, turn: Turn[T], about: About | None = None) -> T:
        """What the turn comes to; what interrupted it is raised when the turn has ended. `about`:
        what the watchdog is told of it."""
        return await self.finished(turn, about)

    def step(self, about: About | None, resume: Callable[[Any], Effect[Any]], answer: Any) -> Any:
        return self.notifier.watchdog.run(about, resume, answer)

    def raised_by(self, effect: Effect[Any], error: BaseException) -> BaseException:
        return interruption_of(error) or error

    def cut_by(self, error: BaseException) -> Interrupted:
        return Interrupted(error, CLOSED, closing=True)

    # --- the world ---

    async def _send(self, effect: Send) -> HttpResponse | TransportFailure | NotBefore:
        async with self.outside.connections.taken(effect.destination.lane):
            return await self.send(effect)

    async def send(self, effect: Send) -> HttpResponse | TransportFailure | NotBefore:
        """Send a request for which there is a connection."""
        leaving = await self.drive(effect.leave(), sealing(effect))
        if not isinstance(leaving, HttpRequest):
            return leaving
        return await self.outside.transport.send(leaving, effect.destination.integration.route)

    async def _make(self, effect: MakeDocument) -> MadeDocument | Failure:
        outside, is_file = self.outside, effect.document.path is not None
        reading = reading_of(effect.destination, is_file=is_file)
        try:
            return await outside.readers.run(reading, lambda: outside.preparer.make(effect))
        except TimeoutError as late:
            preparer = evolve(outside.preparer, late=late)
            return await self.read(lambda: preparer.make(effect))

    async def _wait(self, until: datetime) -> bool:
        await self.clock.sleep_until(until)
        return True

    async def _read_documents(self, documents: Sequence[ReadDocument]) -> Sequence[bytes | Verdict]:
        read = self.outside.readers.read
        if len(documents) == 1:
            return [await read(documents[0])]
        return await asyncio.gather(*map(read, documents))

    # --- the store ---

    async def read(self, verb: Callable[[], T]) -> T:
        """Run a reading verb of the store off the loop."""
        return await asyncio.get_running_loop().run_in_executor(self.threads, verb)

    async def _write(self, effect: Stored[Any]) -> Any:
        match effect:
            case Begin(starts=starts):
                return _unless_refused(await self.writer.begin([starts]))[0]
            case Save(changes=changes):
                return _unless_refused(await self.writer.save(changes))
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


def _unless_refused(answers: Sequence[T | CourierError]) -> Sequence[T]:
    given: list[T] = []
    for answer in answers:
        if isinstance(answer, CourierError):
            raise answer
        given.append(answer)
    return given


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
