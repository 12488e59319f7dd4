"""How far the write-ahead log may grow: as long as there is room for what it holds.

A checkpoint copies the log into the database, which may grow by as much. A log that has taken the
last room of its disk could never be copied again, and nothing could be written for good.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import suppress

from ..trouble import RefusedError
from .trouble import NO_ROOM

_MOST = 32 * 2**20
_LEAST = 2**18
RESERVE = 2**20
"""How many bytes are left for outcomes."""
# Twice its content: once in the log, once in the database. And as much again for all others.
_PART = 4


def free(folder: str) -> int:
    """How many bytes are free on a folder's disk."""
    return shutil.disk_usage(folder).free


def is_no_room(error: BaseException | None) -> bool:
    """Whether something failed for want of room."""
    if not isinstance(error, sqlite3.Error):
        return error is not None and is_no_room(error.__cause__)
    return getattr(error, "sqlite_errorname", "").startswith(("SQLITE_FULL", *NO_ROOM))


def require_room(connection: sqlite3.Connection, path: str, size: int) -> None:
    """Refuse documents of this size that would take the room in which their outcomes are written.

    One is written to the log, copied into the database, and overwritten in the log at its end.
    """
    left = free(os.path.dirname(path))
    if left >= 3 * size + RESERVE:
        return
    (page_size,) = connection.execute("PRAGMA page_size").fetchone()
    (unused,) = connection.execute("PRAGMA freelist_count").fetchone()
    if unused * page_size < size or left < size:  # it does not fit where others have been
        raise RefusedError(
            f"its disk has only {left:,} bytes left, and what is recorded already needs some of "
            "them; free some space",
            passing=True,
        )


def bound_log(connection: sqlite3.Connection, path: str, before: int = 0) -> int:
    """Have the log copied into the database when it has grown to its part of what is free; it is
    then written anew from its start. Returns the bound in bytes; `before` is the last one."""
    part = free(os.path.dirname(path)) // _PART
    bound = min(_MOST, max(_LEAST, 1 << max(part, 1).bit_length() - 1))
    if bound != before:
        (page_size,) = connection.execute("PRAGMA page_size").fetchone()
        connection.execute(f"PRAGMA wal_autocheckpoint = {bound // page_size}")
        connection.execute(f"PRAGMA journal_size_limit = {2 * bound}")
    return bound


def give_back(connection: sqlite3.Connection) -> None:
    """Copy the log now, and give its room back to the disk: as far as that can be done."""
    with suppress(sqlite3.Error):
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
