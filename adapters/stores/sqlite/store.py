"""The store in one SQLite file: one connection that writes, and a few that read."""

from __future__ import annotations

import time
from collections.abc import Callable

from ....ports.records import Entry
from ....ports.removal import Removal, Removed
from ..hosts import Insertion
from ..sql.store import SqlStore
from .database import SqliteDatabase
from .insertion import insertion_of


class SqliteStore(SqlStore):
    """An `UploadStore` in one SQLite file.

    `path` is made where it does not exist, readable by its owner only. Staged documents are removed
    with the success of their upload, unless `keep_documents`. `busy_timeout` is how many seconds
    another process may keep the database from us; `monotonic` measures how long another courier has
    been silent. Raises StoreError where the file cannot be used, and says why. May be used from any
    thread; writers take turns.
    """

    def __init__(
        self,
        path: str,
        *,
        keep_documents: bool = False,
        busy_timeout: float = 10.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._file = database = SqliteDatabase(path, busy_timeout, monotonic)
        super().__init__(database, keep_documents=keep_documents)
        self.documents = database.documents

    def remove(self, removal: Removal) -> Removed:
        removed = super().remove(removal)
        if removal.action == "erase":
            self._file.empty_log()
        return removed

    def insertion_of(self, entry: Entry) -> Insertion:
        """What records an entry on a host's connection."""
        return insertion_of(entry, self.erased_id(entry.upload.key))
