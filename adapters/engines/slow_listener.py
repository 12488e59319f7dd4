"""Keeps a slow listener of the host (its logger, its `on_settled`) from keeping the event loop."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from queue import Empty, Full, Queue
from threading import Thread
from typing import Generic, TypeVar

SLOW = 0.1
"""A listener that has taken so many seconds for one call is slow."""

LAST_CALLS = 5.0
"""So many seconds it has for what waits when the courier closes."""

T = TypeVar("T")


class SlowListener(Generic[T]):
    """Calls it for one thing after the other, in a thread of its own; at most so many wait."""

    def __init__(self, call: Callable[[T], object], most: int) -> None:
        self._call = call
        self._waiting: Queue[T | None] = Queue(most)
        self._thread = Thread(target=self._work, name="evidence-courier-listener", daemon=True)
        self._thread.start()

    def put(self, thing: T) -> bool:
        """Have it called for a thing; False if too many wait before it."""
        try:
            self._waiting.put_nowait(thing)
        except Full:
            return False
        return True

    def end(self) -> None:
        """Wait until nothing waits, for `LAST_CALLS` seconds at most; the rest is dropped."""
        with suppress(Full):
            self._waiting.put_nowait(None)
        self._thread.join(LAST_CALLS)
        if self._thread.is_alive():
            with suppress(Empty):
                while True:
                    self._waiting.get_nowait()
            self._waiting.put_nowait(None)

    def _work(self) -> None:
        while (thing := self._waiting.get()) is not None:
            with suppress(BaseException):  # it is counted; nothing waits here that could end by it
                self._call(thing)
