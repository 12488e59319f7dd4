"""The store behind the port: one connection that writes, a few that read, and every write one transaction.

Whoever writes holds SQLite's write lock from the first look to the commit. So what is read there cannot change before it is acted on, and
the key of an upload, unique in the file, decides every race between threads, couriers and processes.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from threading import RLock

from ....domain.upload import Succeeded, UploadKey
from ....ports.store import (
    AddAnswer,
    Added,
    BeginAnswer,
    Begun,
    Change,
    Conflict,
    Entry,
    Known,
    OpenUpload,
    SaveAnswer,
    Saved,
)
from . import statements
from .opening import prepare, resolved, writing_connection
from .reader import SqliteReader
from .rows import attempt_cells, changing_cells, entry_cells, key_cells, open_upload_of
from .trouble import trouble

# How much of the room that documents have left is given back to the disk when the store is closed, in pages (32 MiB).
_PAGES_GIVEN_BACK = 8192


class SqliteStore(SqliteReader):
    """An `UploadStore` in one SQLite file.

    `path` is made where it does not exist, readable by its owner only. Staged documents are removed with the success of their
    upload, unless `keep_documents`. `busy_timeout` is how many seconds another process may keep the database from us. Raises
    StoreError where the file cannot be used, and says why. May be used from any thread; writers take turns.
    """

    def __init__(self, path: str, *, keep_documents: bool = False, busy_timeout: float = 10.0) -> None:
        super().__init__(resolved(path), busy_timeout)
        self._keep_documents = keep_documents
        self._turn = RLock()
        self._writing = False
        prepare(self._path, busy_timeout)
        with trouble(self._path, "the database was not opened"):
            self._connection = writing_connection(self._path, busy_timeout)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make one transaction, and one commit to the disk, of all that is written inside: all of it is written, or none."""
        with trouble(self._path, "nothing was written"), self._transaction():
            yield

    def add(self, entries: Sequence[Entry]) -> Sequence[AddAnswer]:
        """See the port."""
        keys = [entry.upload.key for entry in entries]
        answers: list[AddAnswer] = []
        with trouble(self._path, "not recorded", keys), self._transaction():
            known = self._recorded(keys)
            fresh: list[Entry] = []
            for entry in entries:
                key = entry.upload.key
                there = known.get(key)
                if there is None:
                    known[key] = OpenUpload(entry.upload, entry.dossier)
                    fresh.append(entry)
                    answers.append(Added())
                else:
                    answers.append(Known(there.upload, there.dossier.submitted_digest))
            if fresh:
                self._insert(fresh)
        return answers

    def begin(self, changes: Sequence[Change]) -> Sequence[BeginAnswer]:
        """See the port."""
        keys = [change.upload.key for change in changes]
        answers: list[BeginAnswer] = []
        with trouble(self._path, "attempt not begun", keys), self._transaction():
            for stretch in _stretches(changes):
                lost = self._write(stretch)
                staged = statements.select_contents(
                    self._connection,
                    [
                        (position, *key_cells(change.upload.key))
                        for position, change in enumerate(stretch)
                        if position not in lost
                    ],
                )
                answers += [
                    lost.get(position) or Begun(staged.get(position)) for position in range(len(stretch))
                ]
        return answers

    def save(self, changes: Sequence[Change]) -> Sequence[SaveAnswer]:
        """See the port."""
        keys = [change.upload.key for change in changes]
        answers: list[SaveAnswer] = []
        with trouble(self._path, "change not written", keys), self._transaction():
            for stretch in _stretches(changes):
                lost = self._write(stretch)
                answers += [lost.get(position) or Saved() for position in range(len(stretch))]
        return answers

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._turn:
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

    def _insert(self, entries: Sequence[Entry]) -> None:
        connection = self._connection
        # Nobody else can insert before this transaction ends, so the ids can be given here.
        first = connection.execute("SELECT COALESCE(MAX(id), 0) + 1 FROM uploads").fetchone()[0]
        rows = [entry_cells(identity, entry) for identity, entry in enumerate(entries, first)]
        statements.insert_uploads(connection, rows)
        documents = [
            (identity, entry.content)
            for identity, entry in enumerate(entries, first)
            if entry.content is not None
        ]
        statements.insert_documents(connection, documents)

    def _write(self, changes: Sequence[Change]) -> dict[int, Conflict]:
        """Write those changes that nobody was faster than; the others' answers, by position. No upload comes twice."""
        connection = self._connection
        found = [
            (position, *key_cells(change.upload.key), change.upload.version - 1)
            for position, change in enumerate(changes)
        ]
        outdated = statements.select_outdated(connection, found)
        lost = self._conflicts(changes, outdated) if outdated else {}
        won = [change for position, change in enumerate(changes) if position not in lost]
        statements.update_uploads(
            connection, [(*key_cells(change.upload.key), *changing_cells(change.upload)) for change in won]
        )
        statements.insert_attempts(
            connection,
            [
                (*key_cells(change.upload.key), *attempt_cells(change.attempt))
                for change in won
                if change.attempt is not None
            ],
        )
        if not self._keep_documents:
            succeeded = [change.upload.key for change in won if isinstance(change.upload.state, Succeeded)]
            statements.delete_documents(connection, list(map(key_cells, succeeded)))
        return lost

    def _conflicts(self, changes: Sequence[Change], outdated: Sequence[int]) -> dict[int, Conflict]:
        there = self._recorded([changes[position].upload.key for position in outdated])
        conflicts = {}
        for position in outdated:
            item = there.get(changes[position].upload.key)
            conflicts[position] = Conflict(None if item is None else item.upload)
        return conflicts

    def _recorded(self, keys: Sequence[UploadKey]) -> dict[UploadKey, OpenUpload]:
        rows = statements.select_uploads(self._connection, list(map(key_cells, keys)))
        return {item.upload.key: item for item in map(open_upload_of, rows)}

    def close(self) -> None:
        """See the port. Room that documents have left is given back to the disk, up to a bound that keeps this quick."""
        with self._turn:
            if self._closed:
                return
            super().close()
            try:
                # Another process that writes just now keeps the room for itself.
                with suppress(sqlite3.OperationalError):
                    # As a script: it gives back one page a step, and `execute` takes a single step.
                    self._connection.executescript(f"PRAGMA incremental_vacuum({_PAGES_GIVEN_BACK})")
            finally:
                self._connection.close()


def _stretches(changes: Sequence[Change]) -> Iterator[Sequence[Change]]:
    """The changes in order, in stretches that change no upload twice."""
    start = 0
    seen: set[UploadKey] = set()
    for position, change in enumerate(changes):
        if change.upload.key in seen:
            yield changes[start:position]
            start, seen = position, set()
        seen.add(change.upload.key)
    yield changes[start:]
