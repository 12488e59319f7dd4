"""Performs the effects of turns in the caller's thread.

The thread may be interrupted in the middle of anything: by the time limit of a task queue, which
raises an exception out of nowhere, or by a keyboard. That is no bug of a provider's: the turn hears
of it as `Interrupted`, writes down how far it got, and then the exception goes on its way.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, TypeVar

from attrs import define, field, frozen

from ...delivery.effects import (
    Begin,
    Effect,
    Interrupted,
    MakeDocument,
    ReadDocument,
    Send,
    Stored,
    Token,
    Turn,
)
from ...delivery.outcome import NoSourceError
from ...domain.errors import StoreError
from ...domain.pacing.gate import MIN_PATIENCE, NotBefore
from ...domain.upload.failure import Failure
from ...domain.upload.verdict import Verdict
from ...ports.clock import Clock
from ...ports.dialogue import HttpRequest, HttpResponse, TransportFailure
from ...ports.records import MadeDocument
from ...ports.source import DocumentSource
from ...ports.store import UploadStore
from ...ports.transport import BlockingTransport, CutOff
from .driver import Driver
from .interruptions import workers_own
from .notify import Notifier
from .preparing import Preparer
from .token_cache import BlockingTokenCache, TokenCache

LONGEST_SLEEP = timedelta(seconds=60)
"""A worker that waits shows at least so often that it is alive."""

STORE_PAUSES = (0.5, 2.0)
"""After how many seconds a refused write is tried again; then the caller is told."""

T = TypeVar("T")


@frozen
class BlockingOutside:
    """What a worker sends with. May be used by several threads at once."""

    transport: BlockingTransport
    tokens: BlockingTokenCache
    source: DocumentSource | None
    preparer: Preparer


@frozen
class Worker:
    """What all turns of one process have in common.

    `lock` is held whenever the store is written to, and never while a request is under way.
    `heartbeat` shows that the process is alive.
    """

    outside: BlockingOutside
    store: UploadStore
    clock: Clock
    sleep: Callable[[float], None]
    lock: threading.RLock
    heartbeat: Callable[[], None]
    notifier: Notifier


@define
class BlockingDriver(Driver):
    """Drives one turn; each of its requests waits for the pace for at most `patience`."""

    worker: Worker
    patience: timedelta = MIN_PATIENCE
    _waited: timedelta = field(factory=timedelta, init=False)

    @property
    def store(self) -> UploadStore:
        return self.worker.store

    @property
    def notifier(self) -> Notifier:
        return self.worker.notifier

    @property
    def tokens(self) -> TokenCache:
        return self.worker.outside.tokens

    def run(self, turn: Turn[T]) -> T:
        """What the turn comes to; what interrupted it is raised when the turn has ended."""
        return at_once(self.finished(turn))

    def raised_by(self, effect: Effect[Any], error: BaseException) -> BaseException:
        # It is not the dialogue's doing, but for a request that is none, and for what its mint
        # raises.
        if isinstance(effect, Token) or isinstance(error, Interrupted | ValueError | StoreError):
            return error
        return self.cut_by(error)

    def cut_by(self, error: BaseException) -> Interrupted:
        return _cut_by(error)

    # --- the world ---

    async def _send(self, effect: Send) -> HttpResponse | TransportFailure | NotBefore:
        leaving = await self.drive(effect.leave())
        if not isinstance(leaving, HttpRequest):
            return leaving
        self._waited = timedelta(0)
        return self.worker.outside.transport.send(leaving, effect.route)

    async def _make(self, effect: MakeDocument) -> MadeDocument | Failure:
        return self.worker.outside.preparer.make(effect)

    async def _wait(self, until: datetime) -> bool:
        wait = max(until - self.worker.clock.now(), timedelta(0))
        if self._waited + wait > self.patience:
            return False
        self._waited += wait
        while wait > timedelta(0):  # a courier that is silent for long is taken for dead
            moment = min(wait, LONGEST_SLEEP)
            self.worker.sleep(moment.total_seconds())
            self.worker.heartbeat()
            wait -= moment
        return True

    async def _read_documents(self, documents: Sequence[ReadDocument]) -> Sequence[bytes | Verdict]:
        return [self._read_document(wanted) for wanted in documents]

    def _read_document(self, wanted: ReadDocument) -> bytes | Verdict:
        outside = self.worker.outside
        source = outside.preparer.documents if wanted.is_stored else outside.source
        read: object
        try:
            read = NoSourceError() if source is None else source.read(wanted.tenant_id, wanted.key)
        except Exception as error:
            if workers_own(error):
                raise
            read = error
        return wanted.judge(read)

    # --- the store ---

    async def read(self, verb: Callable[[], T]) -> T:
        return verb()

    async def _write(self, effect: Stored[T]) -> T:
        with self.worker.lock:
            return effect.on(self.worker.store)

    async def _surely(self, effect: Stored[T]) -> T:
        """Write what has happened, even if the thread is interrupted meanwhile: then once more,
        before the interruption goes on."""
        try:
            return await self.patiently(effect)
        except Interrupted:
            raise
        except BaseException:
            if not isinstance(effect, Begin):  # nothing has happened yet
                with suppress(Interrupted):  # then the next courier recovers it
                    await self.patiently(effect)
            raise

    def pauses(self) -> Sequence[float]:
        return STORE_PAUSES

    async def _pause(self, seconds: float) -> None:
        self.worker.sleep(seconds)


def at_once(work: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that never suspends."""
    try:
        work.send(None)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
    raise AssertionError("what blocks has suspended")


def interruption_of(error: BaseException) -> Interrupted | None:
    """The interruption that an exception is; None for one that a dialogue has raised by itself."""
    if isinstance(error, Interrupted):
        return error
    return _cut_by(error) if workers_own(error) else None


def _cut_by(error: BaseException) -> Interrupted:
    by = (error.__cause__ or error) if isinstance(error, CutOff) else error
    not_sent = isinstance(error, CutOff) and error.not_sent
    return Interrupted(by, f"the worker was interrupted ({type(by).__name__})", not_sent=not_sent)
