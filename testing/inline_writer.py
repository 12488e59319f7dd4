"""The writer of tests and simulations, which must run the same way every time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from ..adapters.stores.writer import closed, unexpected
from ..domain.errors import CourierError
from ..ports.gates import Acquire, AcquireAnswer
from ..ports.records import AddAnswer, BeginAnswer, Change, Entry, SaveAnswer, Start
from ..ports.store import UploadStore

S = TypeVar("S")
T = TypeVar("T")


class InlineWriter:
    """A `Writer` without a thread: it calls the store at once, where it stands."""

    def __init__(self, store: UploadStore) -> None:
        self._store = store
        self._closed = False

    async def add(self, entries: Sequence[Entry]) -> Sequence[AddAnswer | CourierError]:
        return await self._each(self._store.add, entries)

    async def begin(
        self, turns: Sequence[Sequence[Start]]
    ) -> Sequence[Sequence[BeginAnswer] | CourierError]:
        return await self._each(self._store.begin, turns)

    async def save(self, changes: Sequence[Change]) -> Sequence[SaveAnswer | CourierError]:
        return await self._each(self._store.save, changes)

    async def acquire(self, request: Acquire) -> AcquireAnswer:
        return await self.run(lambda: self._store.acquire([request])[0])

    async def _each(
        self, verb: Callable[[list[S]], Sequence[T]], items: Sequence[S]
    ) -> list[T | CourierError]:
        answers: list[T | CourierError] = []
        for item in items:
            try:
                answers += await self.run(partial(verb, [item]))
            except CourierError as error:
                if self._closed:
                    raise
                answers.append(error)
        return answers

    async def run(self, verb: Callable[[], T]) -> T:
        if self._closed:
            raise closed()
        try:
            return verb()
        except CourierError:
            raise
        except Exception as error:
            raise unexpected(error) from error

    def close(self) -> None:
        self._closed = True
