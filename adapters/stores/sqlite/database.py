"""The connection that writes, and the couriers that are registered through it.

A writer holds SQLite's write lock from the first look to the commit. So what is read there cannot
change before it is acted on.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import datetime
from threading import RLock

from attrs import define

from ....domain.upload.upload import UploadKey
from ....ports.records import Entry
from ..rows import ENTRY, FLAGS, cells_of_entries, moment
from ..sql.session import Batch, Session
from ..sql.statements import UNREGISTER, list_of
from ..trouble import RefusedError
from ..usual import ENTERED
from .documents import names_recorded
from .files import replaced
from .liveness import COURIERS, Lock, Watch, boot, host, new_lock
from .opening import file_alone, prepare, resolved, writing_connection
from .readers import SqliteReaders
from .room import bound_log, give_back, is_no_room, require_room
from .session import SqliteSession
from .trouble import trouble

# How much of the room that documents have left is given back to the disk when the store is closed,
# in pages (32 MiB).
_PAGES_GIVEN_BACK = 8192


# How often it is looked whether another process has ended its write, in seconds.
_LOOK_AGAIN = 0.0005

# An older copy is looked for so often, before it is believed to be one.
_LOOKS = 20

_NUMBERS = """
SELECT name, seq FROM sqlite_sequence UNION ALL SELECT 'uploads', COALESCE(MAX(id), 0) FROM uploads
"""
_NEXT_ID = "SELECT COALESCE(MAX(id), 0) + 1 FROM uploads"
_INSERT_UPLOADS = Batch(ENTRY, f"INSERT INTO uploads ({list_of(ENTRY)}) SELECT * FROM given")
_INSERT_USUALLY = Batch(
    ENTERED.names,
    f"INSERT INTO uploads ({list_of((*ENTERED.names, *FLAGS))})"
    f" SELECT given.*{', FALSE' * len(FLAGS)} FROM given",
)
_LAST_NUMBER = """
SELECT MAX(COALESCE((SELECT MAX(id) FROM slots), 0),
           COALESCE((SELECT seq FROM sqlite_sequence WHERE name = 'turns'), 0))
"""
_BEAT = """
SELECT (SELECT beat FROM couriers WHERE id = ?),
       (SELECT seq FROM sqlite_sequence WHERE name = 'couriers')
"""


def _beat_in(connection: sqlite3.Connection, courier_id: int, otherwise: int) -> int:
    """The beat of a courier; 0 if it is not known yet, `otherwise` if its row was removed."""
    beat, last = connection.execute(_BEAT, (courier_id,)).fetchone()
    if beat is None:
        return otherwise if (last or 0) >= courier_id else 0
    return int(beat)


@define
class _Own:
    """A courier that was registered here: its lock, whether its row does not name that yet, and
    its last beat."""

    lock: Lock | None
    unnamed: bool = False
    beat: int = 1


class SqliteDatabase(SqliteReaders):
    """The `Database` in a file, and the couriers that are registered through it."""

    def __init__(self, path: str, busy_timeout: float, monotonic: Callable[[], float]) -> None:
        prepare(resolved(path), busy_timeout)
        super().__init__(path, busy_timeout)
        self._watch = Watch(os.path.dirname(self._path), monotonic)
        self._turn = RLock()
        self._writing = False
        self._log_bound = 0
        self._own: dict[int, _Own] = {}
        self._needless: list[str] = []  # files, once what is being written is committed
        self._seen = 0
        self._shown: dict[object, int] = {}
        with trouble(self._path, "the database was not opened"):
            self._connection = writing_connection(self._path, busy_timeout)
            self._files.beside(self._path)
        self.session = SqliteSession(self._connection)

    @contextmanager
    def transaction(
        self, undone: str = "nothing was written", about: Sequence[object] = ()
    ) -> Iterator[None]:
        """One commit to the disk. Holds the lock of the database from its first look on."""
        with trouble(self._path, undone, about), self._turn:
            if self._writing:
                yield  # part of the transaction around it
                return
            self._refuse_when_closed()
            connection = self._connection
            self._files.check()
            self._check_file()
            self._log_bound = bound_log(connection, self._path, self._log_bound)
            self._take_the_lock()
            self._writing = True
            try:
                self._check_beats()
                yield
                connection.execute("COMMIT")
                self._files.check()
                self.documents.remove(self._needless)
            except BaseException as error:
                # SQLite has rolled back by itself after some errors, and not after others.
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                if is_no_room(error):
                    give_back(connection)
                raise
            finally:
                self._writing = False
                self._needless = []

    def _take_the_lock(self) -> None:
        """Begin, and wait for another process that writes. SQLite's own wait sleeps for longer and
        longer, so that one of several busy processes would get three times as much as another."""
        execute, deadline = self._connection.execute, time.monotonic() + self._busy_timeout
        execute("PRAGMA busy_timeout = 0")
        try:
            while True:
                try:
                    execute("BEGIN IMMEDIATE")
                    return
                except sqlite3.OperationalError as error:
                    is_busy = error.sqlite_errorname.startswith("SQLITE_BUSY")
                    if not is_busy or time.monotonic() >= deadline:
                        raise
                time.sleep(_LOOK_AGAIN)
        finally:
            execute(f"PRAGMA busy_timeout = {round(self._busy_timeout * 1e3)}")

    def _check_beats(self) -> None:
        """Raise RefusedError if an older copy was restored over the database: it shows an earlier
        beat of a courier, or does not know it yet."""
        for courier_id, own in self._own.items():
            if _beat_in(self._connection, courier_id, own.beat) < own.beat:
                raise replaced("an older copy was restored while the courier runs")

    def _check_file(self) -> None:
        """Raise RefusedError if an older copy was written into the file, under its write-ahead log:
        it shows an earlier beat, or earlier last numbers, than the file has shown before."""
        if self._files.written == self._seen:
            return
        for _ in range(_LOOKS):
            if not self._shows_less():
                self._seen = self._files.written
                return
            time.sleep(_LOOK_AGAIN)
        raise replaced("an older copy was written into it while it was open")

    def _shows_less(self) -> bool:
        """Whether the file shows less than before. It may seem so while another process copies its
        log into it."""
        shown: dict[object, int] = {}
        with suppress(sqlite3.Error), closing(file_alone(self._path)) as file:
            shown.update(file.execute(_NUMBERS))
            shown |= {one: _beat_in(file, one, self._shown.get(one, 0)) for one in self._own}
        if any(shown.get(name, last) < last for name, last in self._shown.items()):
            return True
        self._shown |= shown
        return False

    def insert(self, entries: Sequence[Entry]) -> Mapping[UploadKey, int]:
        """The ids can be given here: no other can insert before this transaction ends."""
        size = sum(len(entry.content or b"") for entry in entries)
        require_room(self._connection, self._path, size)
        (first,) = self._connection.execute(_NEXT_ID).fetchone()
        numbered = [*enumerate(entries, first)]
        usual, others = ENTERED.part(cells_of_entries(numbered))
        self.session.tell_all(_INSERT_USUALLY, usual)
        self.session.tell_all(_INSERT_UPLOADS, others)
        return {entry.upload.key: number for number, entry in numbered}

    def remove_files(self, names: Iterable[str]) -> None:
        self._needless += names

    def numbers(self, many: int) -> Sequence[int]:
        """No other can take one before this transaction ends."""
        (last,) = self._connection.execute(_LAST_NUMBER).fetchone()
        return range(last + 1, last + many + 1)

    def heartbeat(self, courier_id: int | None, now: datetime) -> int:
        if courier_id is None:
            courier_id = self._register(now)
        else:
            self._beat(courier_id, now)
        self.documents.tidy(self._recorded, now.timestamp(), self._watch.monotonic())
        return courier_id

    def _recorded(self, files: Sequence[str]) -> set[str]:
        with self.reading() as session:
            return names_recorded(session, files)

    def _register(self, now: datetime) -> int:
        """Register a new courier. The lock's file is made beside the database."""
        lock = new_lock(self._path)
        file = None if lock is None else lock.name
        try:
            with self.transaction("the courier was not registered"):
                cursor = self._connection.execute(
                    "INSERT INTO couriers (host, boot, pid, lock, enlisted_at, beat, "
                    "beat_at) VALUES (?, ?, ?, ?, ?, 1, ?)",
                    (host(), boot(), os.getpid(), file, moment(now), moment(now)),
                )
                assert cursor.lastrowid is not None
                courier_id = cursor.lastrowid
        except BaseException:
            if lock is not None:
                lock.release()
            raise
        self._own[courier_id] = _Own(lock)
        self._copy_log()
        return courier_id

    def _beat(self, courier_id: int, now: datetime) -> None:
        """Show that a courier is alive. A lock whose file was removed is taken anew."""
        own = self._own.get(courier_id, _Own(None))
        if own.lock is not None and not os.path.exists(own.lock.path):
            own.lock.let_go()
            own.lock = new_lock(self._path)
            own.unnamed = own.lock is not None
        anew = own.lock.name if own.lock is not None and own.unnamed else None
        with self.transaction("heartbeat not written"):
            self._connection.execute(
                "UPDATE couriers SET beat = beat + 1, beat_at = ?, lock = COALESCE(?, lock)"
                " WHERE id = ?",
                (moment(now), anew, courier_id),
            )
        own.unnamed = False
        own.beat += 1
        self._copy_log()

    def _copy_log(self) -> None:
        """Have the beat in the file as well, as far as that can be done now, and see it there."""
        with self._turn, suppress(sqlite3.Error, RefusedError):
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            self._files.check()
            self._check_file()

    def empty_log(self) -> None:
        """Have nothing in the write-ahead log: what was erased stands there as it was. A reader may
        keep that from being done now."""
        with self._turn, suppress(sqlite3.Error, RefusedError):
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            self._files.check()

    def unregister(self, courier_id: int) -> None:
        """The file of a dead courier's lock is removed."""
        own = self._own.pop(courier_id, _Own(None)).lock
        try:
            with self.transaction("the courier was not unregistered"):
                row = self._connection.execute(
                    "SELECT lock FROM couriers WHERE id = ?", (courier_id,)
                ).fetchone()
                for statement in UNREGISTER:
                    self.session.tell(statement, {"id": courier_id})
        except BaseException:
            if own is not None:
                own.let_go()  # it ends all the same, and the next courier is to see that
            raise
        if own is not None:
            own.release()
        elif row is not None and row[0] is not None:
            with suppress(OSError):
                os.unlink(os.path.join(os.path.dirname(self._path), row[0]))

    def others(self, session: Session, caller: int) -> Mapping[int, bool]:
        return {row["id"]: self._watch.dead(row) for row in session.ask(COURIERS, {"id": caller})}

    def close(self) -> None:
        """Room that documents have left is given back to the disk, up to a bound
        that keeps this quick."""
        with self._turn:
            if self._closed:
                return
            super().close()
            self.documents.close()
            for own in self._own.values():
                if own.lock is not None:
                    own.lock.let_go()
            try:
                # Another process that writes just now keeps the room for itself.
                with suppress(sqlite3.OperationalError, RefusedError):
                    self._files.check()
                    # As a script: it gives back one page a step, and `execute` takes a single step.
                    self._connection.executescript(
                        f"PRAGMA incremental_vacuum({_PAGES_GIVEN_BACK})"
                    )
            finally:
                self._connection.close()
