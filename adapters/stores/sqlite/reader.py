"""Reading the records, from any number of threads, while somebody else writes them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from threading import Lock
from typing import TypeVar

from sqlite_utils import Database

from ....domain.errors import StoreError
from ....domain.upload.status import UploadDetails, UploadStatus
from ....domain.upload.upload import Status, UploadKey
from ....ports.records import ActedOn, Find, OpenUpload, Page
from . import reads
from .liveness import Watch
from .opening import check, reading_connection, resolved
from .trouble import trouble

T = TypeVar("T")


class SqliteReader:
    """The reading verbs of an `UploadStore`, on a database that is ready. Changes nothing.

    Readers have a connection each while they read: they wait neither for one another nor for a
    writer, and each question sees the records as they are at one moment.
    """

    def __init__(
        self, path: str, busy_timeout: float, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._path = path
        self._busy_timeout = busy_timeout
        self._idle: list[Database] = []
        self._idle_lock = Lock()
        self._closed = False
        self._watch = Watch(os.path.dirname(path), monotonic)

    def get(self, keys: Sequence[UploadKey]) -> Mapping[UploadKey, OpenUpload]:
        return self._read(lambda db: reads.get(db, keys))

    def due(
        self,
        before: datetime,
        limit: int,
        after: UploadKey | None = None,
        written_after: datetime | None = None,
    ) -> Sequence[UploadKey]:
        return self._read(lambda db: reads.due(db, before, limit, after, written_after))

    def counts(self, statuses: Collection[Status] = tuple(Status)) -> Mapping[Status, int]:
        return self._read(lambda db: reads.counts(db, statuses))

    def statuses(
        self, tenant_id: str, evidence_ids: Sequence[str], now: datetime
    ) -> Mapping[str, UploadStatus]:
        return self._read(lambda db: reads.statuses(db, tenant_id, evidence_ids, now))

    def find(self, find: Find, now: datetime) -> Page:
        return self._read(lambda db: reads.find(db, find, now))

    def show(self, tenant_id: str, evidence_id: str, now: datetime) -> UploadDetails | None:
        return self._read(lambda db: reads.show(db, tenant_id, evidence_id, now))

    def fingerprint_key(self) -> bytes:
        return self._read(reads.fingerprint_key)

    def dead(self, caller: int) -> Sequence[int]:
        rows, senders = self._read(lambda db: reads.couriers(db, caller))
        registered = {row[0] for row in rows}
        gone = [row[0] for row in rows if self._watch.dead(row)]
        return [*gone, *sorted(senders - registered - {caller})]

    def in_flight(self, courier_id: int) -> Sequence[OpenUpload]:
        return self._read(lambda db: reads.in_flight(db, courier_id))

    def freed(self, addresses: Mapping[tuple[str, str], str], limit: int) -> Sequence[OpenUpload]:
        return self._read(lambda db: reads.freed(db, addresses, limit))

    def acted_on(self, after: int | None) -> ActedOn:
        return self._read(lambda db: reads.acted_on(db, after))

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
        """As in `Records`. Connections that are being read from are closed by their readers."""
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
    """The records in a courier's database, for somebody who only looks. StoreError where there
    is none, or it is not ours."""
    found = resolved(path)
    check(found, busy_timeout)
    reader = SqliteReader(found, busy_timeout)
    try:
        yield reader
    finally:
        reader.close()
