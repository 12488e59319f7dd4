"""The number under which a process of workers owns what it sends.

A worker has no moment between its tasks in which it could show that it is alive. So its number is
good while its tasks follow one another: each shows it again, and after a pause a new one is taken.
A pause is much shorter than the silence after which others take a courier for dead.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from ...delivery.maintenance import HEARTBEAT
from ...domain.errors import StoreError
from ...ports.clock import Clock
from ...ports.store import UploadStore

PAUSE = 120.0
"""After how many idle seconds a process takes a new number."""


class Registration:
    """The number of one process. `lock` is held while the store is written to."""

    def __init__(self, store: UploadStore, clock: Clock, lock: threading.RLock) -> None:
        self._store = store
        self._clock = clock
        self._lock = lock
        self._owner: int | None = None
        self._shown_at = 0.0
        self._users = 0

    @property
    def owner(self) -> int | None:
        """The number, if there is one now."""
        return self._owner

    @contextmanager
    def taken(self) -> Iterator[int]:
        """Hold the number for a turn; StoreError if that cannot be written."""
        with self._lock:
            owner = self._current()
            self._users += 1
        try:
            yield owner
        finally:
            with self._lock:
                self._users -= 1

    def heartbeat(self) -> None:
        """Show that the process is alive, if it is time to."""
        with self._lock:
            if self._owner is not None and self._clock.monotonic() - self._shown_at >= HEARTBEAT:
                self._store.heartbeat(self._owner, self._clock.now())
                self._shown_at = self._clock.monotonic()

    def unregister(self) -> None:
        """The process sends nothing more."""
        with self._lock:
            owner, self._owner = self._owner, None
            if owner is not None:
                with suppress(StoreError):  # then the next courier finds out that it is gone
                    self._store.unregister(owner)

    def _current(self) -> int:
        if self._users == 0 and self._clock.monotonic() - self._shown_at >= PAUSE:
            self.unregister()
        if self._owner is None:
            self._owner = self._store.heartbeat(None, self._clock.now())
            self._shown_at = self._clock.monotonic()
            self._forget_the_dead()
        else:
            self.heartbeat()
        return self._owner

    def _forget_the_dead(self) -> None:
        """Forget dead couriers that have left nothing behind: workers often end so."""
        assert self._owner is not None
        with suppress(StoreError):
            for owner, left in self._store.dead(self._owner, 1).items():
                if not left:
                    self._store.unregister(owner)
