"""Calls a listener of the host (its logger, its `on_settled`) in a thread of its own, so that it
keeps nothing of the courier's, however long it takes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from contextvars import Context, copy_context
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import Any, Generic, TypeAlias, TypeVar

from .closing import Listener

LAST_CALLS = 5.0
"""How many seconds it has for what waits when the courier closes."""

_IDLE = 10.0
"""After how many seconds without work a thread ends; the next call begins another."""

_NAME = "evidence-courier-listener"

T = TypeVar("T")
_Waiting: TypeAlias = "tuple[Context, T] | Future[bool]"


class Aside(Generic[T]):
    """Calls it for one thing after the other, each in the context in which it was put; at
    most `most` wait."""

    def __init__(self, call: Callable[[T], object], most: int) -> None:
        self._call = call
        self._most = most
        self._waiting: SimpleQueue[_Waiting[T]] = SimpleQueue()
        self._works = False
        self._thread: Thread | None = None
        self._starting = Lock()
        self._listener = Listener()

    def put(self, thing: T) -> bool:
        """Have it called for a thing; False if too many wait before it. In any thread."""
        if self._waiting.qsize() >= self._most:
            return False
        try:
            self._add((copy_context(), thing))
        except RuntimeError:  # no thread can be started just now
            return False
        return True

    async def emptied(self) -> None:
        """Wait until nothing waits, for `LAST_CALLS` seconds at most; the rest is dropped. The
        thread ends. If a call waits for this itself, what waits behind it is called afterwards."""
        if not self._works or self._thread is None:
            return
        thread, reached = self._thread, Future[bool]()
        self._add(reached)
        closes = self._listener.closes
        waited: Sequence[asyncio.Future[Any]]
        waited = [asyncio.wrap_future(reached), asyncio.wrap_future(closes)]
        first = asyncio.FIRST_COMPLETED
        await asyncio.wait(waited, timeout=LAST_CALLS, return_when=first)
        if closes.done():
            return
        if reached.done() and reached.result():
            thread.join(LAST_CALLS)  # it has nothing left to do
        with suppress(Empty):
            while not reached.done():
                self._waiting.get_nowait()

    def _add(self, thing: _Waiting[T]) -> None:
        self._waiting.put(thing)
        if not self._works:
            with self._starting:
                if not self._works:
                    self._thread = Thread(target=self._work, name=_NAME, daemon=True)
                    self._thread.start()
                    self._works = True

    def _work(self) -> None:
        while True:
            try:
                thing = self._waiting.get(timeout=_IDLE)
            except Empty:
                if self._ends():
                    return
                continue
            if isinstance(thing, Future):
                ends = self._ends()
                thing.set_result(ends)
                if ends:
                    return
                continue
            context, given = thing
            with suppress(BaseException):  # it is counted; nothing waits here that could end by it
                context.run(self._run, given)

    def _run(self, given: T) -> None:
        with self._listener.call():
            self._call(given)

    def _ends(self) -> bool:
        with self._starting:
            # In this order: what is added meanwhile finds that nothing works, or is found.
            self._works = False
            self._works = not self._waiting.empty()
            return not self._works
