"""What goes wrong in the database, as a StoreError that says what was not done and what to do
about it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from ....domain.errors import StoreError
from ..trouble import RefusedError, subject_of

NO_ROOM = ("SQLITE_IOERR_WRITE", "SQLITE_IOERR_SHM")
"""A quota is told as a failed write, and a full disk so if the file of shared memory beside the
database does not fit on it."""

# By the name that SQLite gives an error, or by how that name begins. The first may pass by
# themselves, or are mended while the courier runs.
_PASSING: dict[str | tuple[str, ...], str] = {
    ("SQLITE_BUSY", "SQLITE_LOCKED"): (
        "another process is writing to it and did not finish in time; look for "
        "one that hangs, or wait"
    ),
    "SQLITE_FULL": "there is no room left; free some space on its disk",
    NO_ROOM: (
        "its disk has no room left, or does not work as it should; free some space, or look at the "
        "system's log"
    ),
    "SQLITE_IOERR": (
        "its disk does not work as it should; look at the system's log and at the disk's free space"
    ),
    "SQLITE_READONLY": (
        "it may not be written to; give this process the right to write to the file and its "
        "folder, or read a copy, with the -wal file, in a folder that it may write to"
    ),
    ("SQLITE_CANTOPEN", "SQLITE_PERM", "SQLITE_AUTH"): (
        "it cannot be opened; look at the rights of the file and of its folder, or read a copy, "
        "with the -wal file, in a folder that this process may write to"
    ),
}
_LASTING: dict[str | tuple[str, ...], str] = {
    "SQLITE_CORRUPT": (
        "its content is damaged, or its disk does not give it back: look at the system's log; "
        "if the disk works, stop the courier and restore a backup, or have "
        "`sqlite3 FILE .recover` save the rest"
    ),
    "SQLITE_NOTADB": "it is not an SQLite database; name another file",
    "SQLITE_TOOBIG": "a document of this size cannot be staged; hand it over by a document source",
}


@contextmanager
def trouble(path: str, undone: str, about: Sequence[object] = ()) -> Iterator[None]:
    """Turn whatever the database, or a value that it cannot keep, raises inside into a StoreError.

    `undone` is what is not done then, as in "not recorded"; `about` is what it was to be done to.
    """
    try:
        yield
    except sqlite3.Error as error:
        # Errors of the sqlite3 module itself (a closed connection) carry no name.
        name = getattr(error, "sqlite_errorname", "")
        passing = _advice(name, _PASSING)
        advice = passing or _advice(name, _LASTING)
        raise StoreError(
            f"{path}: {subject_of(about)}{undone}: {error}{advice}", passing=passing != ""
        ) from error
    except RefusedError as error:
        text = f"{path}: {subject_of(about)}{undone}: {error}"
        raise StoreError(text, passing=error.passing) from error
    except (ValueError, TypeError, OverflowError) as error:
        # Going in: half a character in a text, a number beyond 64 bits, a setting that is no JSON
        # value. Coming out: a word that this code does not know, written by other hands.
        raise StoreError(
            f"{path}: {subject_of(about)}{undone}: a value does not fit: {error}"
        ) from error


def _advice(name: str, known: Mapping[str | tuple[str, ...], str]) -> str:
    return next((f"; {advice}" for start, advice in known.items() if name.startswith(start)), "")
