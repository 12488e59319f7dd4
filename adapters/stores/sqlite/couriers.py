"""The connection that writes, and the couriers that are registered through it.

A writer holds SQLite's write lock from the first look to the commit. So what is read there cannot
change before it is acted on.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from threading import RLock

from .liveness import Lock, boot, host, new_lock
from .opening import prepare, resolved, writing_connection
from .reader import SqliteReader
from .rows import moment
from .trouble import trouble

# How much of the room that documents have left is given back to the disk when the store is closed,
# in pages (32 MiB).
_PAGES_GIVEN_BACK = 8192


class SqliteCouriers(SqliteReader):
    """The reading verbs, and those of `Couriers`. Writers take turns."""

    def __init__(self, path: str, busy_timeout: float, monotonic: Callable[[], float]) -> None:
        super().__init__(resolved(path), busy_timeout, monotonic)
        self._turn = RLock()
        self._writing = False
        self._locks: dict[int, Lock] = {}
        prepare(self._path, busy_timeout)
        with trouble(self._path, "the database was not opened"):
            self._connection = writing_connection(self._path, busy_timeout)

    @contextmanager
    def transaction(
        self, undone: str = "nothing was written", about: Sequence[object] = ()
    ) -> Iterator[None]:
        """Make one transaction, and one commit to the disk, of all that is written inside: all
        of it is written, or none. `undone` and `about` are as for `trouble`."""
        with trouble(self._path, undone, about), self._turn:
            if self._writing:
                yield  # part of the transaction around it
                return
            self._refuse_when_closed()
            connection = self._connection
            connection.execute("BEGIN IMMEDIATE")
            self._writing = True
            try:
                yield
                connection.execute("COMMIT")
            finally:
                self._writing = False
                # SQLite has rolled back by itself after some errors, and not after others.
                if connection.in_transaction:
                    connection.execute("ROLLBACK")

    def register(self, now: datetime) -> int:
        """As in `Couriers`. The lock's file is made beside the database."""
        lock = new_lock(self._path)
        file = None if lock is None else os.path.basename(lock.path)
        try:
            with self.transaction("the courier was not registered"):
                cursor = self._connection.execute(
                    "INSERT INTO couriers (host, boot, pid, lock, enlisted_at, beat, "
                    "beat_at) VALUES (?, ?, ?, ?, ?, 1, ?)",
                    (host(), boot(), os.getpid(), file, moment(now), moment(now)),
                )
                assert cursor.lastrowid is not None
                courier_id = cursor.lastrowid
        except BaseException:
            if lock is not None:
                lock.release()
            raise
        if lock is not None:
            self._locks[courier_id] = lock
        return courier_id

    def heartbeat(self, courier_id: int, now: datetime) -> None:
        with self.transaction("heartbeat not written"):
            beat = "UPDATE couriers SET beat = beat + 1, beat_at = ? WHERE id = ?"
            self._connection.execute(beat, (moment(now), courier_id))

    def unregister(self, courier_id: int) -> None:
        """As in `Couriers`. The file of a dead courier's lock is removed."""
        own = self._locks.pop(courier_id, None)
        try:
            with self.transaction("the courier was not unregistered"):
                row = self._connection.execute(
                    "SELECT lock FROM couriers WHERE id = ?", (courier_id,)
                ).fetchone()
                self._connection.execute("DELETE FROM couriers WHERE id = ?", (courier_id,))
                self._connection.execute("DELETE FROM turns WHERE owner = ?", (courier_id,))
                self._connection.execute(
                    "UPDATE gates SET holder = NULL WHERE holder = ?", (courier_id,)
                )
        except BaseException:
            if own is not None:
                own.let_go()  # it ends all the same, and whoever comes next is to see that
            raise
        if own is not None:
            own.release()
        elif row is not None and row[0] is not None:
            with suppress(OSError):
                os.unlink(os.path.join(os.path.dirname(self._path), row[0]))

    def close(self) -> None:
        """As in `Records`. Room that documents have left is given back to the disk, up to a bound
        that keeps this quick."""
        with self._turn:
            if self._closed:
                return
            super().close()
            for lock in self._locks.values():
                lock.let_go()
            try:
                # Another process that writes just now keeps the room for itself.
                with suppress(sqlite3.OperationalError):
                    # As a script: it gives back one page a step, and `execute` takes a single step.
                    self._connection.executescript(
                        f"PRAGMA incremental_vacuum({_PAGES_GIVEN_BACK})"
                    )
            finally:
                self._connection.close()
