"""Keeps a host's logger that is slow from keeping the event loop."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from queue import Empty, Full, Queue
from threading import Thread

from ...ports.logger import LogEvent

SLOW = 0.1
"""A logger that has taken so many seconds for one event is slow."""

EVENTS = 10_000
"""So many events wait for a slow logger."""

LAST_EVENTS = 5.0
"""So many seconds it has for them when the courier closes."""


class SlowLogger:
    """Calls `log` for one event after the other, in a thread of its own."""

    def __init__(self, log: Callable[[LogEvent], None]) -> None:
        self._log = log
        self._events: Queue[LogEvent | None] = Queue(EVENTS)
        self._thread = Thread(target=self._work, name="evidence-courier-log", daemon=True)
        self._thread.start()

    def put(self, event: LogEvent) -> bool:
        """Have it logged; False if too many wait before it."""
        try:
            self._events.put_nowait(event)
        except Full:
            return False
        return True

    def end(self) -> None:
        """Wait until all is logged, for `LAST_EVENTS` seconds at most; the rest is dropped."""
        with suppress(Full):
            self._events.put_nowait(None)
        self._thread.join(LAST_EVENTS)
        if self._thread.is_alive():
            with suppress(Empty):
                while True:
                    self._events.get_nowait()
            self._events.put_nowait(None)

    def _work(self) -> None:
        while (event := self._events.get()) is not None:
            with suppress(BaseException):  # it is counted; nothing waits here that could end by it
                self._log(event)
