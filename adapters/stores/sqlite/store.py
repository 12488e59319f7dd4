"""The store in one SQLite file: one connection that writes, and a few that read."""

from __future__ import annotations

import time
from collections.abc import Callable

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

    insertion_of = staticmethod(insertion_of)

    def __init__(
        self,
        path: str,
        *,
        keep_documents: bool = False,
        busy_timeout: float = 10.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        database = SqliteDatabase(path, busy_timeout, monotonic)
        super().__init__(database, keep_documents=keep_documents)
        self.documents = database.documents
