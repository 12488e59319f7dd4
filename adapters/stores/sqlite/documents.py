"""Large documents: files in a folder beside the database.

A file is on the disk before the commit that names it, and is removed after the commit that says
that its upload has succeeded. A courier that is killed between the two leaves a file that no record
names, or one whose upload has succeeded: `tidy` removes the latter and moves the former aside.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import threading
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from itertools import count, islice
from typing import TypeVar

from ....domain.errors import StoreError
from ..rows import KEY
from ..sql.session import Batch, Session
from ..sql.statements import SETTLED, list_of
from . import room
from .liveness import Lock, held, lock_at

LEFT_AFTER = 3600.0
"""So old, in seconds, is a file before it counts as left behind. A pass looks for them as often."""

_WITH_FILE = f"SELECT id, {list_of(KEY)}, document_file, document_size FROM uploads"
WITH_FILE = f"""
{_WITH_FILE} INDEXED BY uploads_with_file WHERE document_file >= '0' ORDER BY id
"""
STILL_WITH_FILE = f"""
{_WITH_FILE} WHERE document_file >= '0' AND id IN (SELECT value FROM json_each(:ids)) ORDER BY id
"""
"""The uploads whose documents are files that are needed: all, and those of some ids."""
_NAMED = Batch(
    ("name",),
    "SELECT document_file FROM given CROSS JOIN uploads INDEXED BY uploads_with_file"
    " ON document_file = given.name",
)

IN_MEMORY = 4
"""How many files the system may hold in memory from when they are written until they are read. It
lets go of those that wait behind them: their memory is used again for what is written next."""
READ_WITHIN = 60.0
"""How old, in seconds, is a file before another takes its place in memory: it waits for long."""

T = TypeVar("T")

_LOOKED_AT = 500  # entries of the folder in one call, so that a writer is not held up
_NAME = re.compile(r"([0-9a-f]{32})-[0-9]+")
_LOCK = re.compile(r"([0-9a-f]{32})\.lock")
_NO_LINK: int = getattr(os, "O_NOFOLLOW", 0)
_BINARY: int = getattr(os, "O_BINARY", 0)


class DocumentFolder:
    """A `Documents` in the folder `database`-documents, which is made with its first file.

    Files are named by who wrote them, which holds a lock beside them as long as its process lives,
    and by number. Any thread may use it.
    """

    def __init__(self, database: str) -> None:
        self.path = f"{database}-documents"
        self.aside = os.path.join(self.path, "aside")
        self._writer = uuid.uuid4().hex
        self._numbers = count(1)
        self._making = threading.Lock()
        self._lock: Lock | None = None
        self._in_memory: set[str] = set()
        self._pass: Iterator[os.DirEntry[str]] | None = None
        self._next_pass = 0.0

    def keep(self, chunks: Iterable[bytes | memoryview]) -> str:
        name = f"{self._writer}-{next(self._numbers)}"
        path = os.path.join(self.path, name)
        with self._trouble():
            self._make()
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINK | _BINARY
            file = os.open(path, flags, 0o600)
        try:
            for chunk in chunks:  # what they raise is not the folder's trouble
                with self._trouble():
                    self._require_room(len(chunk))
                    _write(file, chunk)
            with self._trouble():
                os.fsync(file)
                _sync(self.path)
            self._keep_in_memory(name, file)
        except BaseException:
            with suppress(OSError):
                os.unlink(path)
            raise
        finally:
            os.close(file)
        return name

    def read(self, tenant_id: str, key: str) -> bytes:
        self._in_memory.discard(key)
        return self._found(key, _read)

    def size(self, name: str) -> int:
        """How many bytes a file has; FileNotFoundError if there is no such file."""
        return self._found(name, os.path.getsize)

    def remove(self, names: Iterable[str]) -> None:
        """Remove files that are needed no more; what cannot be removed now is left to a pass."""
        for name in names:
            self._in_memory.discard(name)
            with suppress(OSError):
                self._found(name, os.unlink)

    def set_aside(self) -> Sequence[str]:
        """The documents that were moved aside; other files are not ours."""
        names = os.listdir(self.aside) if os.path.isdir(self.aside) else []
        return sorted(filter(_NAME.fullmatch, names))

    def left(self, now: float) -> Iterator[str]:
        """The files that have been left behind, if no record needs them."""
        with suppress(FileNotFoundError), os.scandir(self.path) as entries:
            yield from self._left(entries, now)

    def tidy(
        self, recorded: Callable[[Sequence[str]], Collection[str]], now: float, monotonic: float
    ) -> None:
        """Look at some more entries of the folder, anew every hour. `recorded` tells which of some
        files stand in a record, and puts SETTLED before those that are needed no more."""
        with suppress(OSError, StoreError):
            if self._pass is None and monotonic >= self._next_pass:
                self._next_pass = monotonic + LEFT_AFTER
                self._refuse_links()
                self._pass = os.scandir(self.path)
            if self._pass is None:
                return
            entries = list(islice(self._pass, _LOOKED_AT))
            if not entries:
                self._pass = None
            names = list(self._left(entries, now))
            known = set(recorded(names)) if names else set()
            self.remove(name for name in names if SETTLED + name in known)
            self._move_aside([name for name in names if not {name, SETTLED + name} & known])
            self._forget_writers(entries, now)

    def close(self) -> None:
        """End the lock. It is safe to call this twice."""
        with self._making:
            if self._lock is not None:
                self._lock.release()
                self._lock = None

    # --- the folder ------------------------------------------------------------------------------

    def _make(self) -> None:
        with self._making:
            with suppress(FileExistsError):
                os.mkdir(self.path, 0o700)
                _sync(os.path.dirname(self.path))
            self._refuse_links()
            if self._lock is None:
                self._lock = lock_at(os.path.join(self.path, f"{self._writer}.lock"))

    def _keep_in_memory(self, name: str, file: int) -> None:
        if len(self._in_memory) >= IN_MEMORY:
            now = os.fstat(file).st_mtime
            gone = {one for one in [*self._in_memory] if not self._is_read_soon(one, now)}
            self._in_memory -= gone
        if len(self._in_memory) < IN_MEMORY:
            self._in_memory.add(name)
        elif hasattr(os, "posix_fadvise"):
            with suppress(OSError):  # this is only advice
                os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)

    def _is_read_soon(self, name: str, now: float) -> bool:
        """Whether a file waits, and not for long. Another courier may have read and removed it."""
        try:
            return now - os.stat(os.path.join(self.path, name)).st_mtime < READ_WITHIN
        except OSError:
            return False

    def _refuse_links(self) -> None:
        if not stat.S_ISDIR(os.lstat(self.path).st_mode):
            what = "is a link or a file, and must be a folder of its own: remove it"
            raise OSError(errno.ENOTDIR, what)

    def _require_room(self, size: int) -> None:
        if (left := room.free(self.path)) < size + room.RESERVE:
            raise OSError(errno.ENOSPC, f"its disk has only {left:,} bytes left; free some space")

    @contextmanager
    def _trouble(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            text = f"{self.path}: a document was not written: {error.strerror}"
            raise StoreError(text, passing=True) from error

    def _found(self, name: str, verb: Callable[[str], T]) -> T:
        """What `verb` gives for a file, which may have been moved aside."""
        if not _NAME.fullmatch(name):
            raise FileNotFoundError(errno.ENOENT, "is no name of a document", name)
        self._refuse_links()
        try:
            return verb(os.path.join(self.path, name))
        except FileNotFoundError as error:
            with suppress(FileNotFoundError):
                return verb(os.path.join(self.aside, name))
            raise error

    # --- what was left behind --------------------------------------------------------------------

    def _left(self, entries: Iterable[os.DirEntry[str]], now: float) -> Iterator[str]:
        is_gone = cache(self._is_gone)
        for entry in entries:
            name = _NAME.fullmatch(entry.name)
            if name is not None and is_gone(name[1]) and _is_old(entry, now):
                yield entry.name

    def _is_gone(self, writer: str) -> bool:
        lock = os.path.join(self.path, f"{writer}.lock")
        return writer != self._writer and (not os.path.exists(lock) or held(lock) is False)

    def _move_aside(self, names: Sequence[str]) -> None:
        if names:
            with suppress(FileExistsError):
                os.mkdir(self.aside, 0o700)
        for name in names:
            with suppress(OSError):
                os.rename(os.path.join(self.path, name), os.path.join(self.aside, name))

    def _forget_writers(self, entries: Iterable[os.DirEntry[str]], now: float) -> None:
        for entry in entries:
            name = _LOCK.fullmatch(entry.name)
            if name is not None and self._is_gone(name[1]) and _is_old(entry, now):
                os.unlink(entry.path)


def _write(file: int, chunk: bytes | memoryview) -> None:
    left = memoryview(chunk)
    while left:
        left = left[os.write(file, left) :]


def _read(path: str) -> bytes:
    with open(os.open(path, os.O_RDONLY | _NO_LINK | _BINARY), "rb", buffering=0) as file:
        return file.read()


def _is_old(entry: os.DirEntry[str], now: float) -> bool:
    try:
        return now - entry.stat(follow_symlinks=False).st_mtime >= LEFT_AFTER
    except FileNotFoundError:
        return False


def _sync(folder: str) -> None:
    """Have what was made in a folder outlast a crash; some systems do that by themselves."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except PermissionError:
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def names_recorded(session: Session, files: Iterable[str]) -> set[str]:
    """Those of some files that stand in a record: with SETTLED before the name if they are needed
    no more."""
    names = [(name,) for file in files for name in (file, SETTLED + file)]
    return {row["document_file"] for row in session.ask_all(_NAMED, names)}
