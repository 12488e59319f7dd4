"""A store of a courier that may be killed: after its last write nothing reaches the records."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...domain.errors import StoreError
from ..memory_store import MemoryStore

WRITES = frozenset(
    {
        "add",
        "begin",
        "acquire",
        "save",
        "heartbeat",
        "unregister",
    }
)


class KillableStore:
    """An `UploadStore` that calls another store until it is dead, and then raises StoreError.

    Args:
        store: The store that it calls.
        on_death: Called once, when it dies.
    """

    def __init__(self, store: MemoryStore, on_death: Callable[[], None]) -> None:
        self._store = store
        self._on_death = on_death
        self._left: int | None = None
        self._before = False
        self.is_dead = False

    def die_at(self, write: int, before: bool) -> None:
        """Die at the n-th write from now; with `before`, that write is not made."""
        self._left, self._before = write, before

    def die(self) -> None:
        """Die now."""
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
