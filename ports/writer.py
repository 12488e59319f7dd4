"""The way from an event loop to a store: writes share commits, and the loop waits for no disk."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol, TypeVar, runtime_checkable

from ..domain.errors import CourierError
from .gates import Acquire, AcquireAnswer
from .records import AddAnswer, BeginAnswer, Change, Entry, SaveAnswer, Start

T = TypeVar("T")


class Writer(Protocol):
    """The writing verbs of `UploadRecords` and `Gates`, for a coroutine.

    Each raises StoreError if nothing was written. A caller that stops waiting for an answer does
    not undo what it asked for.
    """

    def add(self, entries: Sequence[Entry]) -> Awaitable[Sequence[AddAnswer | CourierError]]:
        """Record new uploads: one request, with one answer. The error of one that was refused
        stands among the answers."""
        ...

    def begin(
        self, turns: Sequence[Sequence[Start]]
    ) -> Awaitable[Sequence[Sequence[BeginAnswer] | CourierError]]:
        """Record the attempts of many turns in the same way."""
        ...

    def save(self, changes: Sequence[Change]) -> Awaitable[Sequence[SaveAnswer | CourierError]]:
        """Record many changes in the same way."""
        ...

    def acquire(self, request: Acquire) -> Awaitable[AcquireAnswer]:
        """Ask for a slot for one request."""
        ...

    def run(self, verb: Callable[[], T]) -> Awaitable[T]:
        """Call another verb of the store that writes, in its turn."""
        ...

    def close(self) -> None:
        """Write what was asked for, then stop; the store stays open. Blocks until then. It is safe
        to call this twice."""
        ...


@runtime_checkable
class Transactional(Protocol):
    """A store that can make one transaction of several verbs."""

    def transaction(self) -> AbstractContextManager[None]:
        """All that is written inside is written, or none of it."""
        ...
