"""A listener that closes its courier: the close does not wait for it, and so for itself."""

from __future__ import annotations

from concurrent.futures import Future
from contextvars import ContextVar
from threading import Lock

from attrs import define, field


@define(eq=False)
class Listener:
    """One listener's calls. `closes` is done while a call of it waits for a close."""

    closes: Future[None] = field(factory=Future, init=False)
    _lock: Lock = field(factory=Lock, init=False)

    def is_called(self) -> None:
        """What this task, or this context, runs from here on is a call of it."""
        _CALLED.set(self)

    def has_returned(self) -> None:
        """The call has returned."""
        with self._lock:
            if self.closes.done():
                self.closes = Future()

    def waits_for_close(self) -> None:
        """Its call waits for a close."""
        with self._lock:
            if not self.closes.done():
                self.closes.set_result(None)


_CALLED: ContextVar[Listener | None] = ContextVar("_CALLED", default=None)


def closed_here() -> None:
    """A courier is closed by what runs here: if that is a listener, it is not waited for."""
    listener = _CALLED.get()
    if listener is not None:
        listener.waits_for_close()
