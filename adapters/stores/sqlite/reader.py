"""Reading the records, from any number of threads, while somebody else writes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from threading import Lock
from typing import TypeVar

from sqlite_utils import Database

from ....domain.errors import StoreError
from ....domain.status import UploadDetails, UploadStatus
from ....domain.upload import Status, UploadKey
from ....ports.store import Find, OpenUpload, Page
from . import reads
from .opening import check, reading_connection, resolved
from .trouble import trouble

T = TypeVar("T")


class SqliteReader:
    """The reading half of an `UploadStore`, on a database that is there and ready. Changes nothing.

    Readers have a connection each while they read: they wait neither for one another nor for a writer, and each question sees the
    records as they are at one moment.
    """

    def __init__(self, path: str, busy_timeout: float) -> None:
        self._path = path
        self._busy_timeout = busy_timeout
        self._idle: list[Database] = []
        self._idle_lock = Lock()
        self._closed = False

    def get(self, keys: Sequence[UploadKey]) -> Mapping[UploadKey, OpenUpload]:
        """See the port."""
        return self._read(lambda db: reads.get(db, keys))

    def due(self, before: datetime, limit: int) -> Sequence[OpenUpload]:
        """See the port."""
        return self._read(lambda db: reads.due(db, before, limit))

    def count_open(self) -> int:
        """See the port."""
        return self._read(reads.count_open)

    def counts(self) -> Mapping[Status, int]:
        """See the port."""
        return self._read(reads.counts)

    def statuses(self, tenant_id: str, evidence_ids: Sequence[str]) -> Mapping[str, UploadStatus]:
        """See the port."""
        return self._read(lambda db: reads.statuses(db, tenant_id, evidence_ids))

    def find(self, find: Find) -> Page:
        """See the port."""
        return self._read(lambda db: reads.find(db, find))

    def show(self, tenant_id: str, evidence_id: str) -> UploadDetails | None:
        """See the port."""
        return self._read(lambda db: reads.show(db, tenant_id, evidence_id))

    def _read(self, question: Callable[[Database], T]) -> T:
        with trouble(self._path, "not read"), self._connected() as db:
            return question(db)

    @contextmanager
    def _connected(self) -> Iterator[Database]:
        """A connection that nobody else reads with meanwhile; kept for the next one."""
        with self._idle_lock:
            self._refuse_when_closed()
            db = self._idle.pop() if self._idle else None
        if db is None:
            db = reading_connection(self._path, self._busy_timeout)
        try:
            yield db
        finally:
            with self._idle_lock:
                if self._closed:
                    db.close()
                else:
                    self._idle.append(db)

    def close(self) -> None:
        """See the port. Connections that are being read from are closed by their readers."""
        with self._idle_lock:
            self._closed = True
            for db in self._idle:
                db.close()
            self._idle.clear()

    def _refuse_when_closed(self) -> None:
        if self._closed:
            raise StoreError(f"{self._path}: the database is closed; make a new courier to go on")


@contextmanager
def open_for_reading(path: str, *, busy_timeout: float = 10.0) -> Iterator[SqliteReader]:
    """The records in a courier's database, for somebody who only looks. StoreError where there is none, or it is not ours."""
    found = resolved(path)
    check(found, busy_timeout)
    reader = SqliteReader(found, busy_timeout)
    try:
        yield reader
    finally:
        reader.close()
