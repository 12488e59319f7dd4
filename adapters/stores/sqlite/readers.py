"""The connections that read, for any number of threads at once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from ....domain.errors import StoreError
from ..sql.reader import SqlReader
from ..trouble import RefusedError
from .documents import DocumentFolder
from .files import OpenFiles
from .opening import Connection, check, has_log, one_moment, reading_connection, resolved
from .session import SqliteSession
from .trouble import trouble


class SqliteReaders:
    """The `Readers` of a file that is ready. Readers have a connection each while they read: they
    wait neither for one another nor for a writer."""

    def __init__(self, path: str, busy_timeout: float) -> None:
        self._path = resolved(path)
        self._busy_timeout = busy_timeout
        self._idle: list[Connection] = []
        self._idle_lock = Lock()
        self._closed = False
        self._files = OpenFiles(os.path.abspath(path))
        self.documents = DocumentFolder(self._path)

    @contextmanager
    def reading(self) -> Iterator[SqliteSession]:
        """A connection that no one else reads with meanwhile; kept for the next one, unless it
        shuts others out or has taken no locks."""
        with trouble(self._path, "not read"):
            with self._idle_lock:
                self._refuse_when_closed()
                connection = self._idle.pop() if self._idle else None
            try:
                self._files.check()
                if connection is None:
                    connection = reading_connection(self._path, self._busy_timeout)
                with one_moment(connection):
                    yield SqliteSession(connection)
                if connection.from_file_alone and has_log(self._path):
                    raise RefusedError("it was written to while it was read: read it again")
            finally:
                with self._idle_lock:
                    if connection is None:
                        pass
                    elif self._closed or connection.from_file_alone or connection.shuts_out:
                        connection.close()
                    else:
                        self._idle.append(connection)

    def close(self) -> None:
        """Connections that are being read from are closed by their readers."""
        with self._idle_lock:
            self._closed = True
            for connection in self._idle:
                connection.close()
            self._idle.clear()

    def _refuse_when_closed(self) -> None:
        if self._closed:
            raise StoreError(f"{self._path}: the database is closed; make a new courier to go on")


@contextmanager
def open_for_reading(path: str, *, busy_timeout: float = 10.0) -> Iterator[SqlReader]:
    """The records in a courier's database, for somebody who only looks. StoreError if it does
    not exist, or is not ours."""
    check(resolved(path), busy_timeout)
    reader = SqlReader(SqliteReaders(path, busy_timeout))
    try:
        yield reader
    finally:
        reader.close()
