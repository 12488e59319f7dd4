"""The store as a courier sees it that may be killed: from its last write on, nothing it does
reaches the records."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...domain.errors import StoreError
from ..memory_store import MemoryStore

WRITES = frozenset(
    {
        "add",
        "begin",
        "charge",
        "save",
        "register",
        "heartbeat",
        "unregister",
        "unblock",
    }
)


class MortalStore:
    """An `UploadStore` that hands everything on to another, until it is dead.

    `die_at(n, before)`: the n-th write from now is its last; with `before`, not even that one is
    made. `on_death` is told.
    """

    def __init__(self, store: MemoryStore, on_death: Callable[[], None]) -> None:
        self._store = store
        self._on_death = on_death
        self._left: int | None = None
        self._before = False
        self.is_dead = False

    def die_at(self, write: int, before: bool) -> None:
        """Choose the moment."""
        self._left, self._before = write, before

    def die(self) -> None:
        """Now."""
        if not self.is_dead:
            self.is_dead = True
            self._on_death()

    def __getattr__(self, name: str) -> Any:
        verb = getattr(self._store, name)

        def called(*args: Any, **kwargs: Any) -> Any:
            if self.is_dead:
                raise StoreError("this courier is dead")
            if name not in WRITES or self._left is None:
                return verb(*args, **kwargs)
            self._left -= 1
            if self._left > 0:
                return verb(*args, **kwargs)
            if not self._before:
                verb(*args, **kwargs)
            self.die()
            raise StoreError("this courier is dead")

        return called
