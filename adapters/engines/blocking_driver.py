"""Performs the effects of turns in the caller's thread.

The thread may be interrupted in the middle of anything: by the time limit of a task queue, which
raises an exception out of nowhere, or by a keyboard. That is no bug of a provider's: the turn hears
of it as `Interrupted`, writes down how far it got, and then the exception goes on its way.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, TypeVar

from attrs import define, field, frozen

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
from ...domain.pacing.gate import MIN_PATIENCE
from ...domain.upload.failure import FailureKind
from ...domain.upload.upload import UploadKey
from ...domain.upload.verdict import Verdict
from ...ports.clock import Clock
from ...ports.dialogue import HttpRequest
from ...ports.gates import Acquire, AcquireAnswer
from ...ports.logger import WriteDelayed
from ...ports.source import DocumentSource
from ...ports.store import UploadStore
from ...ports.transport import BlockingTransport, CutOff
from .interruptions import workers_own
from .notify import Notifier
from .token_cache import BlockingTokenCache

LONGEST_SLEEP = timedelta(seconds=60)
"""A worker that waits shows at least so often that it is alive."""

STORE_PAUSES = (0.5, 2.0)
"""After so many seconds a refused write is tried again; then the caller is told."""

T = TypeVar("T")


@frozen
class BlockingOutside:
    """What a worker sends with. May be used by several threads at once."""

    transport: BlockingTransport
    tokens: BlockingTokenCache
    source: DocumentSource | None


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
class BlockingDriver:
    """Drives one turn, each request of which waits for the pace for at most `patience`."""

    worker: Worker
    patience: timedelta = MIN_PATIENCE
    _waited: timedelta = field(factory=timedelta, init=False)

    def run(self, turn: Turn[T]) -> T:
        """What the turn comes to; what interrupted it is raised when the turn has ended."""
        try:
            return self._drive(turn)
        except Interrupted as cut:
            raise cut.by from None

    def _drive(self, turn: Turn[T]) -> T:
        resume: Callable[[Any], Effect[Any]] = turn.send
        answer: Any = None
        while True:
            try:
                effect = resume(answer)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            try:
                answer, resume = self._perform(effect), turn.send
            except BaseException as error:
                answer, resume = _thrown(effect, error), turn.throw

    def _perform(self, effect: Effect[Any]) -> Any:
        worker = self.worker
        match effect:
            case Send(destination=destination, leave=leave):
                leaving = self._drive(leave())
                if not isinstance(leaving, HttpRequest):
                    return leaving
                self._waited = timedelta(0)
                return worker.outside.transport.send(leaving, destination.integration.route)
            case Notify(event=event):
                return worker.notifier.log(event)
            case Begin(starts=starts):
                key = starts[0].upload.key
                return self.patiently(key, lambda: worker.store.begin([starts])[0])
            case Save(changes=changes):
                return self._surely(changes[0].upload.key, lambda: worker.store.save(changes))
            case Record(key=key, verb=verb):
                return self._surely(key, lambda: verb(worker.store))
            case Write(verb=verb):
                with worker.lock:
                    return verb(worker.store)
            case Read(verb=verb):
                return verb(worker.store)
            case TakeSlot(request=request):
                return self._take_slot(request)
            case Token(wish=wish, mint=mint, lease_since=lease):
                return worker.outside.tokens.token(wish, lambda: self._drive(mint()), lease)
            case ReadDocuments(documents=documents):
                return [self._read_document(wanted) for wanted in documents]
            case Wait(until=until):
                return self._wait(until)
        raise TypeError(f"a turn yields effects, not {type(effect).__name__}")

    # --- the world ---

    def _wait(self, until: datetime) -> bool:
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

    def _read_document(self, wanted: ReadDocument) -> bytes | Verdict:
        source = self.worker.outside.source
        read: object
        try:
            read = NoSourceError() if source is None else source.read(wanted.tenant_id, wanted.key)
        except Exception as error:
            if workers_own(error):
                raise
            read = error
        return wanted.judge(read)

    # --- the store ---

    def _take_slot(self, request: Acquire) -> AcquireAnswer:
        def take() -> AcquireAnswer:
            return self.worker.store.acquire([request])[0]

        if request.key is not None:
            return self._surely(request.key, take)
        with self.worker.lock:
            return take()

    def _surely(self, key: UploadKey, write: Callable[[], T]) -> T:
        """Write what has happened, even if the thread is interrupted meanwhile: then once more,
        before the interruption goes on."""
        try:
            return self.patiently(key, write)
        except Interrupted:
            raise
        except BaseException:
            with suppress(Interrupted):  # then the next courier recovers it
                self.patiently(key, write)
            raise

    def patiently(self, key: UploadKey, write: Callable[[], T]) -> T:
        """Write; a refused write is tried a few times."""
        for pause in STORE_PAUSES:
            try:
                with self.worker.lock:
                    return write()
            except StoreError as error:
                self.worker.notifier.log(WriteDelayed(key, str(error)))
            self.worker.sleep(pause)
        try:
            with self.worker.lock:
                return write()
        except StoreError as error:
            raise _cut_by(error) from error


def interruption_of(error: BaseException) -> Interrupted | None:
    """The interruption that an exception is; None for one that a dialogue has raised by itself."""
    if isinstance(error, Interrupted):
        return error
    return _cut_by(error) if workers_own(error) else None


def _thrown(effect: Effect[Any], error: BaseException) -> BaseException:
    """What a failed effect raises in its turn. It is not the dialogue's doing, but for a request
    that is none, and for what its mint raises."""
    if isinstance(effect, Token) or isinstance(error, Interrupted | ValueError | StoreError):
        return error
    return _cut_by(error)


def _cut_by(error: BaseException) -> Interrupted:
    by = (error.__cause__ or error) if isinstance(error, CutOff) else error
    not_sent = isinstance(error, CutOff) and error.failure.kind in (
        FailureKind.NO_CONNECTION,
        FailureKind.NOT_SENT,
    )
    return Interrupted(by, f"the worker was interrupted ({type(by).__name__})", not_sent=not_sent)
