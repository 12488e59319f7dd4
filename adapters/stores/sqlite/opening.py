"""Making the database file and its connections.

The file is readable by its owner only, from its first moment, and so are the files that SQLite puts
beside it. Any number of processes may make the same file at the same time. What is not ours, or is
newer than this code, is refused before anything is written to it.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
import time
import weakref
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext, suppress
from pathlib import Path

from attrs import frozen

from ....domain.errors import MisuseError, StoreError
from .files import Identity, identity
from .room import bound_log, is_no_room
from .schema import STEPS, apply
from .trouble import trouble

# UPDATE ... FROM came with 3.33.
_OLDEST = (3, 33, 0)
_CACHE_KIB = 8 * 2**10
_RETRY_SECONDS = 0.02
_NOT_WRITABLE = ("SQLITE_READONLY", "SQLITE_CANTOPEN")
_FIRST_LOOK = "SELECT 1 FROM sqlite_master"
_APPLIED = "SELECT name FROM _sqlite_migrations WHERE migration_set = 'evidence-courier'"

# Written into the file's header, so that a database of another application is never mistaken for
# ours: "EvCo" in ASCII.
APPLICATION_ID = 0x4576436F


def resolved(path: str) -> str:
    """The file that a path leads to, whatever the current folder becomes later."""
    if not path or path == ":memory:":
        raise MisuseError(
            f"the courier keeps its records in a file, not in {path!r}; name one, or hand in "
            "testing.MemoryStore"
        )
    return os.path.realpath(path)


def prepare(path: str, busy_timeout: float) -> None:
    """Make the database, or bring an older one up to date. StoreError where that cannot be done."""
    if sqlite3.sqlite_version_info < _OLDEST:
        wanted = ".".join(map(str, _OLDEST))
        raise StoreError(
            f"{path}: this Python carries SQLite {sqlite3.sqlite_version}; {wanted} or newer "
            "is needed: use a newer Python"
        )
    _make_file(path)
    with trouble(path, "the database was not opened"):
        deadline = time.monotonic() + busy_timeout
        while not _prepared(path, busy_timeout, deadline):
            time.sleep(_RETRY_SECONDS)


def check(path: str, busy_timeout: float) -> None:
    """Refuse, with a StoreError, what cannot be read as it is. Changes nothing."""
    if os.path.isdir(path):
        raise StoreError(f"{path}: is a folder: name the file of the database, as courier.db in it")
    if not os.path.isfile(path):
        folder = os.path.dirname(path)
        if os.path.isdir(folder) and not os.access(folder, os.X_OK):
            raise _not_opened(path, f"give this process the right to enter {folder}")
        raise StoreError(
            f"{path}: there is no such database; look at the path, or start a courier with it first"
        )
    undone = "the database was not opened"
    with trouble(path, undone), closing(reading_connection(path, busy_timeout)) as connection:
        if not _has_all_steps(path, connection):
            older = "an older evidence-courier has written it; start a courier with it once"
            raise _not_opened(path, f"{older} to bring it up to date")


def writing_connection(path: str, busy_timeout: float) -> sqlite3.Connection:
    """The connection that writes."""
    connection = _connect(path, busy_timeout)
    try:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        bound_log(connection, path)
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def reading_connection(path: str, busy_timeout: float) -> Connection:
    """A connection that reads, and cannot write."""
    connection = _connect(path, busy_timeout)
    try:
        connection.execute(_FIRST_LOOK).fetchone()
    except sqlite3.OperationalError as error:
        connection.close()
        connection = _without_shared_memory(path, busy_timeout, error)
    connection.execute("PRAGMA query_only = ON")
    connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
    return connection


def _without_shared_memory(
    path: str, busy_timeout: float, error: sqlite3.OperationalError
) -> Connection:
    """A connection that reads where the first to look cannot make the file of shared memory beside
    the database. Raises `error` if that is no help."""
    if error.sqlite_errorname.startswith(_NOT_WRITABLE) and not has_log(path):
        connection = _connect(path, busy_timeout, from_file_alone=True)
    elif is_no_room(error):
        # One who has the database alone needs none.
        connection = _connect(path, busy_timeout)
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.shuts_out = True
    else:
        raise error
    try:
        connection.execute(_FIRST_LOOK).fetchone()
    except sqlite3.OperationalError:
        connection.close()
        raise error from None
    return connection


def has_log(path: str) -> bool:
    """Whether the database has a write-ahead log: there may be more in it than in the file."""
    try:
        return os.path.getsize(f"{path}-wal") > 0
    except OSError:
        return False


@contextmanager
def one_moment(connection: sqlite3.Connection, begin: str = "BEGIN") -> Iterator[None]:
    """All that is read inside is as it was at one moment."""
    connection.execute(begin)
    try:
        yield
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def file_alone(path: str) -> sqlite3.Connection:
    """A connection that reads the database as its file is now, without its write-ahead log."""
    return sqlite3.connect(f"{Path(path).as_uri()}?immutable=1", uri=True)


@frozen(eq=False)
class _Opened:
    """An open file, by device and inode, and the process that has opened it."""

    file: Identity
    pid: int


# For the whole process, and as it was at the fork in a child: so is the list of open files inside
# SQLite, which knows nothing of forks. A child that opens a file on that list takes no locks of its
# own on it, and what it writes is lost when its parent closes the file.
_opened: set[_Opened] = set()


class Connection(sqlite3.Connection):
    """Is on the list as long as it is open. `from_file_alone`: it reads the file as if no one wrote
    to it, and takes no locks. `shuts_out`: as long as it is open no other can open the database,
    not even in this process."""

    from_file_alone = False
    shuts_out = False

    def enter(self, opened: _Opened) -> None:
        """Put it on the list."""
        _opened.add(opened)
        self._leave = weakref.finalize(self, _opened.discard, opened)
        self._leave.atexit = False

    def close(self) -> None:
        """As ever."""
        super().close()
        self._leave()


def _connect(path: str, busy_timeout: float, *, from_file_alone: bool = False) -> Connection:
    try:
        opened = _Opened(identity(path), os.getpid())
    except OSError as error:
        raise _not_opened(path, error.strerror) from error
    for other in tuple(_opened):
        if other.file == opened.file and other.pid != opened.pid:
            raise MisuseError(
                f"{path}: the database was not opened: process {other.pid} had it open when this "
                f"one ({opened.pid}) was forked from it, and SQLite's locks do not outlast a fork: "
                "fork before a courier is started, or start this process anew instead of forking "
                "it; see docs/several-processes.md"
            )
    connection = sqlite3.connect(
        f"{Path(path).as_uri()}?immutable=1" if from_file_alone else path,
        uri=from_file_alone,
        timeout=busy_timeout,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=512,
        factory=Connection,
    )
    connection.enter(opened)
    connection.from_file_alone = from_file_alone
    # Sorting and grouping may see personal data: never in a temporary file.
    connection.execute("PRAGMA temp_store = MEMORY")
    return connection


def _make_file(path: str) -> None:
    folder, name = os.path.split(path)
    if not os.path.isdir(folder):
        missing = f"the folder {folder} does not exist; make it, or name another file"
        raise _not_opened(path, missing)
    if os.path.isdir(path):
        raise _not_opened(path, "it is a folder; name a file")
    try:
        if not os.path.exists(path):
            # Made under another name and linked into place. Opening and closing the file itself
            # would drop, for this whole process, the locks that another thread may already hold on
            # it.
            descriptor, fresh = tempfile.mkstemp(prefix=f"{name}.", suffix=".new", dir=folder)
            os.close(descriptor)
            try:
                with suppress(FileExistsError):
                    os.link(fresh, path)
            finally:
                os.unlink(fresh)
        elif os.path.getsize(path) == 0:
            os.chmod(path, 0o600)
    except FileNotFoundError as error:  # as in /proc
        raise _not_opened(path, f"{folder} takes no file; name one in another folder") from error
    except OSError as error:
        raise StoreError(
            f"{path}: the database was not made: {error.strerror}; give this process the "
            f"right to write to {folder}"
        ) from error


def _prepared(path: str, busy_timeout: float, deadline: float) -> bool:
    """Whether the database is ready; False where another process is in the way just now."""
    with closing(_connect(path, busy_timeout)) as connection:
        done = _has_all_steps(path, connection)
        # Not so in a copy that was made with VACUUM INTO.
        if done and connection.execute("PRAGMA journal_mode").fetchone() == ("wal",):
            return True
        try:
            # Both are properties of the file and have to stand before its first page is written.
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            connection.execute("PRAGMA foreign_keys = OFF")  # a table may be built anew
            connection.execute("PRAGMA journal_mode = WAL")
            if done:
                return True
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            # The journal mode is changed without the patience that the time-out asks for.
            if error.sqlite_errorname.startswith("SQLITE_BUSY") and time.monotonic() < deadline:
                return False
            raise
        try:
            if not _has_all_steps(path, connection):
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                apply(connection)
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
    return True


def _has_all_steps(path: str, connection: sqlite3.Connection) -> bool:
    """Whether the database is as this code wants it. StoreError if it is not ours, or newer."""
    # Another process may be making it just now.
    with nullcontext() if connection.in_transaction else one_moment(connection):
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
        has_steps = "_sqlite_migrations" in tables
        applied = [name for (name,) in connection.execute(_APPLIED)] if has_steps else []
    if application != APPLICATION_ID and (application != 0 or tables):
        raise _not_opened(path, "it belongs to another application; name another file")
    if unknown := [name for name in applied if name not in STEPS]:
        newer = f"a newer evidence-courier has written it ({', '.join(unknown)})"
        raise _not_opened(path, f"{newer}; install that version or a later one")
    return len(applied) == len(STEPS)


def _not_opened(path: str, why: str | None) -> StoreError:
    return StoreError(f"{path}: the database was not opened: {why}")
