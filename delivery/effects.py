"""What a turn wants done, as values.

A turn is a generator: it yields an effect and is sent the effect's answer, as a provider's dialogue
is. Two drivers perform effects, one on an event loop and one in the caller's thread
(`adapters/engines`), so that each rule of a delivery is written once. Write
``answer = yield from perform(effect)``: `perform` gives the answer its type.

An effect that fails raises in the turn. `Interrupted` says that the driver itself was cut off.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from datetime import datetime, timedelta
from typing import Any, Generic, TypeAlias, TypeVar

from attrs import field, frozen

from ..domain.integration import Route
from ..domain.pacing.gate import NotBefore
from ..domain.upload.failure import Failure
from ..domain.upload.upload import UploadKey
from ..domain.upload.verdict import Verdict
from ..ports.dialogue import (
    Access,
    AccessToken,
    HttpRequest,
    HttpResponse,
    MintedToken,
    TransportFailure,
)
from ..ports.gates import Acquire, AcquireAnswer
from ..ports.logger import LogEvent
from ..ports.records import BeginAnswer, Change, MadeDocument, SaveAnswer, Start, StoredDocument
from ..ports.store import UploadStore
from .destinations import Destination

T = TypeVar("T")


class Effect(Generic[T]):
    """Something to be done; T is the type of its answer."""

    __slots__ = ()


Turn: TypeAlias = Generator[Effect[Any], Any, T]


def perform(effect: Effect[T]) -> Turn[T]:
    """Have it done: ``answer = yield from perform(effect)``."""
    answer: T = yield effect
    return answer


# --- the store -----------------------------------------------------------------------------------


class Stored(Effect[T]):
    """Something to be written. For the sake of an upload (`key`) it is tried again if the store
    refuses it: what has happened must not be forgotten. Else StoreError is raised in the turn."""

    __slots__ = ()

    @property
    def key(self) -> UploadKey | None:
        """The upload for whose sake it is written."""
        raise NotImplementedError

    def on(self, store: UploadStore) -> T:
        """Write it; StoreError if the store refuses it."""
        raise NotImplementedError


@frozen
class Begin(Stored[Sequence[Sequence[BeginAnswer]]]):
    """Write the beginnings of turns in one transaction, which asks the gate once for each turn."""

    turns: Sequence[Sequence[Start]]

    @property
    def key(self) -> UploadKey:
        return self.turns[0][0].upload.key

    def on(self, store: UploadStore) -> Sequence[Sequence[BeginAnswer]]:
        return store.begin(self.turns)


@frozen
class Save(Stored[Sequence[SaveAnswer]]):
    """Write these changes in one transaction."""

    changes: Sequence[Change]

    @property
    def key(self) -> UploadKey:
        return self.changes[0].upload.key

    def on(self, store: UploadStore) -> Sequence[SaveAnswer]:
        return store.save(self.changes)


@frozen
class TakeSlot(Stored[AcquireAnswer]):
    """Ask the gate for a slot."""

    request: Acquire

    @property
    def key(self) -> UploadKey | None:
        return self.request.key

    def on(self, store: UploadStore) -> AcquireAnswer:
        return store.acquire([self.request])[0]


@frozen
class Write(Stored[T]):
    """Call another verb of the store that writes."""

    verb: Callable[[UploadStore], T]
    key: UploadKey | None = None  # pyright: ignore[reportIncompatibleMethodOverride]

    def on(self, store: UploadStore) -> T:
        return self.verb(store)


@frozen
class Read(Effect[T]):
    """Call a verb of the store that only reads."""

    verb: Callable[[UploadStore], T]


# --- the world -----------------------------------------------------------------------------------


@frozen
class Send(Effect[HttpResponse | TransportFailure | NotBefore]):
    """Send one request when there is a connection for it.

    `leave` is driven with the connection in hand, just before the request leaves. It gives the
    request that is sent, or else the answer: then nothing is sent.
    """

    destination: Destination
    leave: Callable[[], Turn[HttpRequest | NotBefore | TransportFailure]] = field(repr=False)
    brief: bool = False

    @property
    def route(self) -> Route:
        """How the request leaves, and how long it may take."""
        route = self.destination.integration.route
        return route.brief if self.brief else route


@frozen
class Token(Effect[AccessToken | Failure]):
    """A token from the cache, which has `mint` driven when it holds none that was minted under the
    present lease, if the credential is exclusive."""

    destination: Destination
    wish: Access
    mint: Callable[[], Turn[MintedToken | Failure]] = field(repr=False)
    lease_since: datetime | None = None


@frozen
class ReadDocument(Effect[bytes | Verdict]):
    """Read from the host's document source, or a file that the store keeps (`is_stored`), for at
    most `timeout`.

    `judge` is called where it was read, with the document or the exception, and gives the answer:
    to hash 20 MB takes its time.
    """

    tenant_id: str
    key: str
    timeout: timedelta
    judge: Callable[[object], bytes | Verdict] = field(repr=False)
    is_stored: bool = False


@frozen
class ReadDocuments(Effect[Sequence[bytes | Verdict]]):
    """Read several documents, at the same time where the driver can."""

    documents: Sequence[ReadDocument]


@frozen
class MakeDocument(Effect[MadeDocument | Failure]):
    """Make a document of what was kept: render the staged record, or read the file."""

    key: UploadKey
    document: StoredDocument
    staged: bytes | None = field(repr=False)
    destination: Destination


@frozen
class Wait(Effect[bool]):
    """Wait until a moment. False: that is longer than this driver may wait, so it did not."""

    until: datetime


@frozen
class Notify(Effect[None]):
    """Tell the host. A logger that raises changes nothing in a turn."""

    event: LogEvent


class Interrupted(BaseException):
    """Raised in a turn whose driver was cut off; the effect may have been done all the same.

    `by` is the exception that cut it off, and `what` says it in words. `closing`: the courier
    itself is closing. `not_sent`: the request that was under way was surely not taken.
    """

    def __init__(
        self, by: BaseException, what: str, *, closing: bool = False, not_sent: bool = False
    ) -> None:
        self.by, self.what, self.closing, self.not_sent = by, what, closing, not_sent
        super().__init__(by, what)

    def __str__(self) -> str:
        return self.what
