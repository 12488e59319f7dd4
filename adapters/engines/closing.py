"""A listener that closes its courier: the close does not wait for it, and so for itself."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Lock

from attrs import define, field


@define(eq=False)
class Listener:
    """One listener's calls, one after the other. `closes` is done while a call of it waits for a
    close; `is_cut` once a close has cancelled its call."""

    closes: Future[None] = field(factory=Future, init=False)
    is_cut: bool = field(default=False, init=False)
    _returned: int = field(default=0, init=False)
    _lock: Lock = field(factory=Lock, init=False)

    @contextmanager
    def call(self) -> Iterator[None]:
        """What this task, or this context, runs from here on is a call of it."""
        _CALLED.set((self, self._returned))
        try:
            yield
        finally:
            with self._lock:
                self._returned += 1
                if self.closes.done():
                    self.closes = Future()

    def waits_for_close(self, number: int) -> None:
        """Its call of this number waits for a close, unless it has returned: then a task that it
        began closes."""
        with self._lock:
            if number == self._returned and not self.closes.done():
                self.closes.set_result(None)


_CALLED: ContextVar[tuple[Listener, int] | None] = ContextVar("_CALLED", default=None)


def closed_here() -> None:
    """A courier is closed by what runs here: if that is a listener, it is not waited for."""
    called = _CALLED.get()
    if called is not None:
        listener, number = called
        listener.waits_for_close(number)
