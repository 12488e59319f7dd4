"""What removing leaves behind in the files of a database, and how it goes from there."""

from __future__ import annotations

import os
from contextlib import closing, suppress

from ..trouble import RefusedError
from .documents import DocumentFolder, names_recorded
from .opening import resolved, writing_connection
from .readers import SqliteReaders
from .trouble import trouble

BUSY = 10.0


def vacuum(path: str) -> None:
    """Write the file anew, and empty its write-ahead log. A courier may run on it, and waits
    meanwhile. StoreError if it was busy."""
    found = resolved(path)
    with trouble(path, "not vacuumed"), closing(writing_connection(found, BUSY)) as connection:
        connection.execute("VACUUM")
        ((busy, *_),) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        if busy:
            raise RefusedError(
                "it was read all the time, and its log could not be emptied: try again",
                passing=True,
            )


def delete_aside(path: str) -> int:
    """Delete the documents that were moved aside and that no record needs; how many they were."""
    folder, deleted = DocumentFolder(resolved(path)), 0
    names = folder.set_aside()
    with closing(SqliteReaders(path, BUSY)) as readers, readers.reading() as session:
        needed = names_recorded(session, names)
    for name in {*names} - needed:
        with suppress(OSError):
            os.unlink(os.path.join(folder.aside, name))
            deleted += 1
    return deleted
