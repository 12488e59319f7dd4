"""Something that each process opens for itself, and that no child of a fork inherits in use."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Generic, TypeVar

from ..domain.errors import MisuseError
from . import refusals

T = TypeVar("T")


class PerProcess(Generic[T]):
    """Opens a `T` at its first use in a process, and closes it before the process forks.

    If another thread is using it at the fork it stays open, and the child neither uses nor closes
    what it inherits, but opens its own.
    """

    def __init__(
        self,
        open_it: Callable[[], T],
        close_it: Callable[[T], None],
        refusal: Callable[[], MisuseError] = refusals.closed,
    ) -> None:
        self._open = open_it
        self._close = close_it
        self._refusal = refusal
        self._opened: tuple[int, T] | None = None
        # Kept so that no finalizer closes it in the child.
        self._inherited: list[T] = []
        self._users = 0
        self._closed = False
        self._lock = threading.RLock()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(
                before=_weakly(self._before_fork),
                after_in_parent=_weakly(self._after_fork_in_parent),
                after_in_child=_weakly(self._after_fork_in_child),
            )

    @property
    def users(self) -> int:
        """How many calls are using it in this process."""
        return self._users

    @property
    def closed(self) -> bool:
        """Whether it has been closed for good."""
        return self._closed

    @contextmanager
    def used(self) -> Iterator[T]:
        """This process's own. The refusal once it has been closed."""
        with self._lock:
            if self._closed:
                raise self._refusal()
            self._leave_inherited()
            if self._opened is None:
                self._opened = os.getpid(), self._open()
            opened = self._opened[1]
            self._users += 1
        try:
            yield opened
        finally:
            with self._lock:
                self._users -= 1

    def close(self) -> None:
        """Close this process's own, and open none any more."""
        with self._lock:
            self._closed = True
            self._close_own()

    def _leave_inherited(self) -> None:
        if self._opened is not None and self._opened[0] != os.getpid():
            self._inherited.append(self._opened[1])
            self._opened, self._users = None, 0

    def _close_own(self) -> None:
        self._leave_inherited()
        opened, self._opened = self._opened, None
        if opened is not None:
            self._close(opened[1])

    def _before_fork(self) -> None:
        """Close what is open, unless another thread is using it."""
        self._lock.acquire()
        if self._users == 0:
            with suppress(Exception):  # a fork must not fail for it
                self._close_own()

    def _after_fork_in_parent(self) -> None:
        self._lock.release()

    def _after_fork_in_child(self) -> None:
        """The lock may be held by a thread that the child has not."""
        self._lock = threading.RLock()


def _weakly(method: Callable[[], None]) -> Callable[[], None]:
    """A hook for forks. It can never be removed, so it must not keep its object alive."""
    reference = weakref.WeakMethod(method)

    def hook() -> None:
        if (alive := reference()) is not None:
            alive()

    return hook
