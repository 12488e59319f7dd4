"""The couriers on one database, and how it is known that one of them is dead.

Each has a row whose `beat` grows every few seconds, and holds a lock on a file of its own for as
long as its process lives. On the same machine the lock tells at once. Elsewhere a courier counts as
dead when its beat has not changed for `SILENCE`, measured on the watcher's own clock that never
goes back, so that no two machines' clocks are compared: much longer than a request may take.
"""

from __future__ import annotations

import os
import platform
import uuid
import weakref
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from attrs import define, field

from ..rows import Row

fcntl: Any
try:
    import fcntl
except ImportError:  # no such locks on this system: the beat has to do
    fcntl = None

COURIERS = "SELECT id, host, boot, lock, beat FROM couriers WHERE id != :id"
"""The couriers that are registered, but for one."""

SILENCE = 600.0
"""After how many seconds without a beat a courier on another machine is taken for dead."""


class Lock:
    """A lock on a file of its own, held as long as this process lives, and by no child that it
    forks."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.name = os.path.basename(path)
        self._descriptor: int | None = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        mine = weakref.WeakMethod(self.let_go)
        if hasattr(os, "register_at_fork"):
            # A child inherits what holds the lock, and would hold it on after this process has
            # died.
            os.register_at_fork(after_in_child=lambda: (let_go := mine()) and let_go())

    def release(self) -> None:
        """End it, and remove the file."""
        with suppress(OSError):
            os.unlink(self.path)
        self.let_go()

    def let_go(self) -> None:
        """End it, and leave the file: another courier that finds it free knows at once that
        this one is gone."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with suppress(OSError):
                os.close(descriptor)


def new_lock(database: str) -> Lock | None:
    """A lock beside the database; None on a system or a disk that has none."""
    return lock_at(f"{database}-courier-{uuid.uuid4().hex}.lock")


def lock_at(path: str) -> Lock | None:
    """A lock on a file that does not exist yet; None as above."""
    if fcntl is None:
        return None
    try:
        return Lock(path)
    except OSError:
        return None


def held(path: str) -> bool | None:
    """Whether a courier holds the lock on a file; None if that cannot be found out."""
    if fcntl is None:
        return None
    try:
        descriptor = os.open(path, os.O_RDWR)
    except (OSError, ValueError):  # the latter if other hands wrote its name
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)  # others may look, too
    except BlockingIOError:
        return True
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return False


def lives(row: Row, folder: str) -> bool | None:
    """Whether the courier of this row lives; None where its lock in the folder does not tell.

    A lock that no one holds tells only on the machine where it was taken.
    """
    taken = None if row["lock"] is None else held(os.path.join(folder, row["lock"]))
    is_here = (row["boot"] != "" and row["boot"] == boot()) or row["host"] == host()
    return None if taken is False and not is_here else taken


def host() -> str:
    """This machine, by its name and its own id where it has one."""
    return f"{platform.node()}/{_content('/etc/machine-id')}"


def boot() -> str:
    """This run of this machine; empty where the system does not say."""
    return _content("/proc/sys/kernel/random/boot_id")


def _content(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


@define
class Watch:
    """What one watcher has seen of the others' beats."""

    folder: str
    monotonic: Callable[[], float]
    _seen: dict[int, tuple[int, float]] = field(factory=dict)

    def dead(self, row: Row) -> bool:
        """Whether the courier of this row is dead, as far as one can know: where its lock does not
        tell, by its beat."""
        alive = lives(row, self.folder)
        if alive is not None:
            return not alive
        courier_id, beat = row["id"], row["beat"]
        now = self.monotonic()
        last, since = self._seen.get(courier_id, (None, now))
        if last != beat:
            self._seen[courier_id] = (beat, now)
            return False
        return now - since >= SILENCE
