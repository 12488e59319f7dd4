"""Drives turns: performs the effects that they yield, and sends them the answers.

The two drivers differ in how they send, wait and come to the store, and in which exceptions cut
them off. All of it is written as coroutines; those of the blocking driver never suspend.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, TypeVar

from ...delivery.effects import (
    Effect,
    Interrupted,
    MakeDocument,
    Notify,
    Read,
    ReadDocument,
    ReadDocuments,
    Send,
    Stored,
    Token,
    Turn,
    Wait,
)
from ...domain.errors import StoreError
from ...domain.pacing.gate import NotBefore
from ...domain.upload.failure import Failure
from ...domain.upload.verdict import Verdict
from ...ports.dialogue import HttpResponse, TransportFailure
from ...ports.logger import WriteDelayed
from ...ports.records import MadeDocument
from ...ports.store import UploadStore
from .notify import Notifier
from .token_cache import TokenCache
from .watchdog import About, about

T = TypeVar("T")


class Driver(ABC):
    """What drives a turn.

    `pauses` are the seconds after which a refused write is tried again. While `closing`, it is not
    tried again.
    """

    closing: bool = False

    async def finished(self, turn: Turn[T], about: About | None = None) -> T:
        """What the turn comes to; what interrupted it is raised when the turn has ended."""
        try:
            return await self.drive(turn, about)
        except Interrupted as cut:
            raise cut.by from None

    async def drive(
        self, turn: Turn[T], about: About | None = None, effect: Effect[Any] | None = None
    ) -> T:
        """What the turn comes to; an interruption is raised as it is. `effect`: what it has asked
        for already, if it has begun."""
        resume: Callable[[Any], Effect[Any]] = turn.send
        answer: Any = None
        while True:
            try:
                asked, effect = effect or self.step(about, resume, answer), None
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            try:
                answer, resume = await self.perform(asked), turn.send
            except BaseException as error:
                answer, resume = self.raised_by(asked, error), turn.throw

    def step(self, about: About | None, resume: Callable[[Any], Effect[Any]], answer: Any) -> Any:
        """The next effect. `about`: what a driver that watches is told of it."""
        return resume(answer)

    async def perform(self, effect: Effect[Any]) -> Any:
        """The effect's answer."""
        match effect:
            case Send():
                return await self._send(effect)
            case Notify(event=event):
                return self.notifier.log(event)
            case Stored(key=None):
                return await self._write(effect)
            case Stored():
                return await self._surely(effect)
            case Read(verb=verb):
                return await self.read(lambda: verb(self.store))
            case Token(wish=wish, mint=mint, lease_since=lease):
                minting = about(effect.destination.integration, "a dialogue for a token")
                return await self.tokens.token(wish, lambda: self.drive(mint(), minting), lease)
            case ReadDocument():
                (read,) = await self._read_documents([effect])
                return read
            case ReadDocuments(documents=documents):
                return await self._read_documents(documents)
            case MakeDocument():
                return await self._make(effect)
            case Wait(until=until):
                return await self._wait(until)
        raise TypeError(f"a turn yields effects, not {type(effect).__name__}")

    async def patiently(self, effect: Stored[T], refused: StoreError | None = None) -> T:
        """Write, or go on after it was refused; a refused write is tried again. Interrupted if it
        is given up."""
        pauses = iter(self.pauses())
        while True:
            if refused is None:
                try:
                    return await self._write(effect)
                except StoreError as error:
                    refused = error
            pause = None if self.closing else next(pauses, None)
            if pause is None:
                raise self.cut_by(refused) from refused
            assert effect.key is not None
            self.notifier.log(WriteDelayed(effect.key, str(refused)))
            refused = None
            await self._pause(pause)

    async def _surely(self, effect: Stored[T]) -> T:
        return await self.patiently(effect)

    # --- what differs ---

    @property
    @abstractmethod
    def store(self) -> UploadStore: ...

    @property
    @abstractmethod
    def notifier(self) -> Notifier: ...

    @property
    @abstractmethod
    def tokens(self) -> TokenCache: ...

    @abstractmethod
    def pauses(self) -> Iterable[float]: ...

    @abstractmethod
    def raised_by(self, effect: Effect[Any], error: BaseException) -> BaseException:
        """What a failed effect raises in its turn."""

    @abstractmethod
    def cut_by(self, error: BaseException) -> Interrupted: ...

    @abstractmethod
    async def read(self, verb: Callable[[], T]) -> T:
        """Run a reading verb of the store."""

    @abstractmethod
    async def _write(self, effect: Stored[T]) -> T: ...

    @abstractmethod
    async def _send(self, effect: Send) -> HttpResponse | TransportFailure | NotBefore: ...

    @abstractmethod
    async def _read_documents(
        self, documents: Sequence[ReadDocument]
    ) -> Sequence[bytes | Verdict]: ...

    @abstractmethod
    async def _make(self, effect: MakeDocument) -> MadeDocument | Failure: ...

    @abstractmethod
    async def _wait(self, until: datetime) -> bool: ...

    @abstractmethod
    async def _pause(self, seconds: float) -> None: ...


def sealing(effect: Send) -> About:
    """What the watchdog is told of a request that is sealed."""
    return about(effect.destination.integration, "the seal of a request")
