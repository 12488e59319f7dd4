"""Performs the effects of turns on an event loop: commits are shared with whatever else there is,
and the loop never waits for a disk."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import Executor
from datetime import datetime, timedelta
from functools import partial
from itertools import islice
from typing import Any, Generic, TypeVar

from attrs import define, evolve, field, frozen

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
from ...domain.errors import CourierError, MisuseError
from ...domain.pacing.gate import NotBefore
from ...domain.upload.failure import Failure
from ...domain.upload.verdict import Verdict
from ...ports.clock import Clock
from ...ports.dialogue import HttpRequest, HttpResponse, TransportFailure
from ...ports.records import BeginAnswer, Change, MadeDocument, SaveAnswer, Start
from ...ports.store import UploadStore
from ...ports.transport import AsyncTransport, CutOff
from ...ports.writer import Writer
from .connection_limit import ConnectionLimit
from .driver import Driver, sealing
from .interruptions import hosts_own
from .notify import HookNotifier
from .preparing import Preparer
from .readers import Readers, Then, reading_of, settle
from .token_cache import TokenCache
from .watchdog import About

STORE_RETRY = (1.0, 30.0)
"""The first and the longest pause, in seconds, before a refused write is tried again."""

ANSWERS_AT_ONCE = 32
"""How many turns go on in one turn of the loop when what they asked of the writer is answered."""

CLOSED = "the courier was closed"

T = TypeVar("T")


W = TypeVar("W")
A = TypeVar("A")


class Together(Generic[W, A]):
    """What is asked of the writer in one turn of the loop: it goes as one request, which has one
    answer."""

    def __init__(
        self, request: Callable[[Sequence[W]], Awaitable[Sequence[A | CourierError]]]
    ) -> None:
        self._request = request
        self._asked: list[tuple[int, Then]] = []
        self._wishes: list[W] = []

    def ask(self, wishes: Sequence[W], then: Then) -> None:
        """Call `then` with the answers to some wishes, or with the error if one of them was
        refused."""
        if not self._asked:
            asyncio.get_running_loop().call_soon(self._hand_over)
        self._asked.append((len(wishes), then))
        self._wishes += wishes

    def _hand_over(self) -> None:
        asked, wishes = self._asked, self._wishes
        self._asked, self._wishes = [], []
        # No task: nothing but the writer can end it.
        written = asyncio.ensure_future(self._request(wishes))
        written.add_done_callback(partial(self._written, asked))

    def _written(
        self,
        asked: Sequence[tuple[int, Then]],
        written: asyncio.Future[Sequence[A | CourierError]],
    ) -> None:
        error = asyncio.CancelledError() if written.cancelled() else written.exception()
        answers = () if error else written.result()
        self._share_out(deque(asked), iter(answers), error)

    def _share_out(
        self,
        asked: deque[tuple[int, Then]],
        answers: Iterator[A | CourierError],
        error: BaseException | None,
    ) -> None:
        if len(asked) > ANSWERS_AT_ONCE:  # the loop must not stand still for all of them
            loop = asyncio.get_running_loop()
            loop.call_soon(self._share_out, asked, answers, error)
        for _ in range(min(len(asked), ANSWERS_AT_ONCE)):
            number, then = asked.popleft()
            given = [*islice(answers, number)]
            refused = error or next((one for one in given if isinstance(one, CourierError)), None)
            then(None if refused else given, refused)


@frozen
class Outside:
    """What a courier on an event loop sends with. `files` read what the store keeps in files."""

    transport: AsyncTransport
    connections: ConnectionLimit
    tokens: TokenCache
    readers: Readers
    preparer: Preparer
    files: Readers | None = None

    def readers_of(self, wanted: ReadDocument) -> Readers:
        """Who reads such a document."""
        return self.files if wanted.is_stored and self.files is not None else self.readers


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
    _begins: Together[Sequence[Start], Sequence[BeginAnswer]] = field(init=False)
    _saves: Together[Change, SaveAnswer] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._begins, self._saves = Together(self.writer.begin), Together(self.writer.save)

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

    def ask(self, effect: Effect[Any], then: Then) -> bool:
        """Have an effect performed that needs no task, and call `then` with its answer: what is
        written for many at once, and a document that is read. False for any other."""
        match effect:
            case Begin(turns=turns):
                self._begins.ask(turns, then)
            case Save(changes=changes):
                self._saves.ask(changes, then)
            case ReadDocument():
                self.outside.readers_of(effect).read(effect, then)
            case _:
                return False
        return True

    async def _asked(self, effect: Effect[T]) -> T:
        """The same for a task."""
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self.ask(effect, partial(settle, answer))
        return await answer

    # --- the world ---

    async def _send(self, effect: Send) -> HttpResponse | TransportFailure | NotBefore:
        async with self.outside.connections.taken(effect.destination.lane):
            return await self.send(effect)

    async def send(self, effect: Send) -> HttpResponse | TransportFailure | NotBefore:
        """Send a request for which there is a connection."""
        turn, about = effect.leave(), sealing(effect)
        leaving: HttpRequest | NotBefore | TransportFailure
        try:
            asked = self.step(about, turn.send, None)
        except StopIteration as end:  # as a rule: it has its slot
            leaving = end.value
        else:
            leaving = await self.drive(turn, about, asked)
        if not isinstance(leaving, HttpRequest):
            return leaving
        return await self.outside.transport.send(leaving, effect.route)

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
        return await asyncio.gather(*map(self._asked, documents))

    # --- the store ---

    async def read(self, verb: Callable[[], T]) -> T:
        """Run a reading verb of the store off the loop. MisuseError after the close."""
        try:
            answer = asyncio.get_running_loop().run_in_executor(self.threads, verb)
        except RuntimeError as error:  # the threads are stopping
            raise MisuseError("the courier is closed: build a new one") from error
        return await answer

    async def _write(self, effect: Stored[Any]) -> Any:
        if isinstance(effect, Begin | Save):
            return await self._asked(effect)  # pyright: ignore[reportArgumentType]
        if isinstance(effect, TakeSlot):
            return await self.writer.acquire(effect.request)
        return await self.writer.run(lambda: effect.on(self.store))

    def pauses(self) -> Iterator[float]:
        pause, longest = STORE_RETRY
        while True:
            yield pause
            pause = min(pause * 2, longest)

    async def _pause(self, seconds: float) -> None:
        await self.clock.sleep_until(self.clock.now() + timedelta(seconds=seconds))


def interruption_of(error: BaseException) -> Interrupted | None:
    """The interruption that an exception is: the task's own cancellation, and what a signal or a
    keyboard raised. None for an exception of anything else, whatever its class."""
    if isinstance(error, Interrupted):
        return error
    if isinstance(error, asyncio.CancelledError):
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            cut = error.__cause__
            not_sent = isinstance(cut, CutOff) and cut.not_sent
            return Interrupted(error, CLOSED, closing=True, not_sent=not_sent)
        return None
    if hosts_own(error):
        return Interrupted(error, f"the program was interrupted ({type(error).__name__})")
    return None
