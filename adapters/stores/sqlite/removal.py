"""What removing leaves behind in the files of a database, and how it goes from there."""

from __future__ import annotations

from contextlib import closing

from ..trouble import RefusedError
from .opening import resolved, writing_connection
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
