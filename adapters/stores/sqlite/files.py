"""Whether a path still leads to the files that are open.

SQLite goes on writing to a file that was removed, renamed or replaced. What it commits there is
lost: the next start opens what is at the path by then.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from attrs import define, field

from ..trouble import RefusedError

Identity = tuple[int, int]

# SQLite makes them with the first connection, and removes them with the last.
_BESIDE = ("-wal", "-shm")


def identity(path: str) -> Identity:
    """The file that a path leads to now, by device and inode."""
    found = os.stat(path)
    return found.st_dev, found.st_ino


@define
class OpenFiles:
    """A database that is open. `given` is its path as the host gave it, which may be a link.
    `written`: when its file was last written to, as `check` has seen it."""

    given: str
    written: int = field(default=0, init=False)
    _open: list[tuple[str, Identity]] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._open = _found([self.given])

    def beside(self, path: str) -> None:
        """From now on those that a connection to `path` has open beside it count as well."""
        self._open += _found([path + suffix for suffix in _BESIDE])

    def check(self) -> None:
        """Raise RefusedError if a path does not lead to its open file any more."""
        for path, opened in self._open:
            try:
                found = os.stat(path)
                if (found.st_dev, found.st_ino) != opened:
                    what = "is another file now"
                elif path == self.given and not found.st_size:
                    what = "was emptied"
                else:
                    self.written = found.st_mtime_ns if path == self.given else self.written
                    continue
            except OSError as error:
                what = f"cannot be found any more ({error.strerror})"
            raise replaced(f"{path} {what}, while the courier has the old one open")


def replaced(what: str) -> RefusedError:
    """The database is not the one that was opened."""
    return RefusedError(
        f"{what}: stop every courier on it, see that the right database is there, start again, and "
        "submit again what was not recorded"
    )


def _found(paths: Sequence[str]) -> list[tuple[str, Identity]]:
    return [(path, identity(path)) for path in paths if os.path.exists(path)]
