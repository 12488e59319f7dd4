"""The session that writes, and the couriers that are registered through it.

A commit whose answer was lost with its connection has a number by which the server says later
whether it took place. So it is asked for, and nothing is written twice or believed to be lost.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from threading import RLock

import psycopg
from psycopg import Connection
from psycopg.rows import DictRow

from ....domain.errors import StoreError
from ....domain.upload.upload import UploadKey
from ....ports.records import Entry
from ...clocks.database import DatabaseClock
from ..rows import ENTRY, KEY, cells_of_entries, key_of, moment
from ..sql.session import Batch
from ..sql.statements import UNREGISTER, WRITERS, list_of
from ..trouble import RefusedError
from .address import Address
from .opening import prepare
from .readers import PostgresReaders
from .schema import ADD_UP_COUNTS, ADDED_UP_AT_ONCE, MIGRATIONS
from .session import PostgresSession

PATIENCE = 30.0
"""How many seconds the server is asked for what became of a commit."""

_ASK_AGAIN = 0.05

# A host's open transaction may hold what a courier is to record: all other tenants' work, which is
# written by the same session, goes on meanwhile, and this is tried again.
_WAIT_FOR_LOCKS = "SET lock_timeout = '1s'"
_BEGIN = "BEGIN; SELECT pg_current_xact_id()::text AS number"
_MOST_SUMS = 20
"""So often counts are added up at a heartbeat, which keeps the writer."""
_REGISTER = (
    "INSERT INTO couriers (id, host, pid, enlisted_at, beat, beat_at)"
    " VALUES (:id, :host, :pid, :now, 1, clock_timestamp())"
    " ON CONFLICT (id) DO UPDATE SET beat = couriers.beat + 1, beat_at = clock_timestamp()"
)
_NEW = ENTRY[1:]  # the server gives the id
_INSERT_UPLOADS = Batch(
    _NEW,
    ", numbered AS MATERIALIZED"
    " (SELECT nextval(pg_get_serial_sequence('uploads', 'id')) AS id, given.* FROM given)"
    f" INSERT INTO uploads (id, {list_of(_NEW)}) SELECT id, {list_of(_NEW)} FROM numbered"
    f" ORDER BY {list_of(KEY)} ON CONFLICT DO NOTHING RETURNING id, {list_of(KEY)}",
)
"""Numbered in the order of the rows, and inserted in one order everywhere, so that no two couriers
wait for one another."""
_NUMBERS = "SELECT nextval('gate_numbers') AS number FROM generate_series(1, :many)"


class PostgresDatabase(PostgresReaders):
    """The `Database` in PostgreSQL, and the couriers that are registered through it."""

    def __init__(self, address: Address, clock: DatabaseClock | None) -> None:
        with address.trouble("the database was not opened"):
            self.session = PostgresSession(address.connect())
            try:
                prepare(self.session, MIGRATIONS)
                self.session.tell(_WAIT_FOR_LOCKS)
            except BaseException:
                self._connection.close()
                raise
        super().__init__(address)
        self._clock = clock
        self._turn = RLock()
        self._writing = False
        self._own.add(WRITERS)
        try:
            with address.trouble("the database was not opened"):
                self._show(self._connection)
                self._tell_clock()
        except BaseException:
            self.close()
            raise

    @property
    def _connection(self) -> Connection[DictRow]:
        return self.session.connection

    @contextmanager
    def transaction(
        self, undone: str = "nothing was written", about: Sequence[object] = ()
    ) -> Iterator[None]:
        """A commit that was not answered is asked for."""
        with self._address.trouble(undone, about), self._turn:
            if self._writing:
                yield  # part of the transaction around it
                return
            self._refuse_when_closed()
            number = self._start()
            self._writing = True
            try:
                yield
                self._commit(number)
            except BaseException:
                if not self._connection.closed:
                    with suppress(psycopg.Error):
                        self.session.tell("ROLLBACK")
                raise
            finally:
                self._writing = False

    def _start(self) -> str:
        """Begin a transaction, on a new session if the last was cut; its number."""
        if not self._connection.closed:
            try:
                return _number(self._connection)
            except psycopg.OperationalError:
                if not self._connection.closed:
                    raise
        self._reconnect()
        return _number(self._connection)

    def _reconnect(self) -> None:
        self.session = PostgresSession(self._address.connect())
        self.session.tell(_WAIT_FOR_LOCKS)
        self._show(self._connection)
        (row,) = self.session.ask("SELECT clock_timestamp() AS now")
        self._cut_at = row["now"]

    def _commit(self, number: str) -> None:
        try:
            done = self._connection.execute("COMMIT")
        except psycopg.OperationalError:
            if self._connection.closed and self._has_committed(number):
                return
            raise
        if done.statusmessage != "COMMIT":
            raise RefusedError("the server has rolled it back", passing=True)

    def _has_committed(self, number: str) -> bool:
        """What became of a commit that was not answered."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and not self._closed:
            try:
                if self._connection.closed:
                    self._reconnect()
                query = "SELECT pg_xact_status(:number::xid8) AS status"
                (row,) = self.session.ask(query, {"number": number})
            except psycopg.OperationalError:
                row = {"status": "in progress"}  # as far as is known
            if row["status"] != "in progress":
                return bool(row["status"] == "committed")
            time.sleep(_ASK_AGAIN)
        raise RefusedError(
            "the connection was cut before the server had answered, and whether it is written is"
            f" not known after {PATIENCE:.0f} seconds; look at the server",
            passing=True,
        )

    def _tell_clock(self) -> None:
        if self._clock is not None:
            asked = self._clock.monotonic()
            (row,) = self.session.ask("SELECT clock_timestamp() AS now")
            self._clock.tell(datetime.fromisoformat(row["now"]), asked)

    def insert(self, entries: Sequence[Entry]) -> Mapping[UploadKey, int]:
        rows = (cells[1:] for cells in cells_of_entries([(0, one) for one in entries]))
        return {key_of(row): row["id"] for row in self.session.ask_all(_INSERT_UPLOADS, rows)}

    def remove_files(self, names: Iterable[str]) -> None:
        """There are none."""

    def numbers(self, many: int) -> Sequence[int]:
        return [row["number"] for row in self.session.ask(_NUMBERS, {"many": many})]

    # --- couriers ---

    def heartbeat(self, courier_id: int | None, now: datetime) -> int:
        """The database's clock is asked for the time."""
        with self.transaction("heartbeat not written"):
            if courier_id is None:
                query = "SELECT nextval(pg_get_serial_sequence('couriers', 'id'))::int AS id"
                (row,) = self.session.ask(query)
                courier_id = int(row["id"])
                self._own.add(courier_id)
                self._show(self._connection)
            about = {"host": platform.node(), "pid": os.getpid(), "now": moment(now)}
            self.session.tell(_REGISTER, {"id": courier_id, **about})
            self._tell_clock()
        with suppress(StoreError):  # the next heartbeat does it
            for statement in ADD_UP_COUNTS:
                self._add_up(statement)
        return courier_id

    def _add_up(self, statement: str) -> None:
        """Some in each transaction, which takes the sums in their order: couriers that do so at
        once wait for one another, and none for ever."""
        for _ in range(_MOST_SUMS):
            with self.transaction("counts will be added up later"):
                (row,) = self.session.ask(statement)
            if row["number"] < ADDED_UP_AT_ONCE:
                break

    def unregister(self, courier_id: int) -> None:
        self._own.discard(courier_id)
        with self.transaction("the courier was not unregistered"):
            for statement in UNREGISTER:
                self.session.tell(statement, {"id": courier_id})

    def close(self) -> None:
        self._closed = True
        with self._turn:
            super().close()
            if os.getpid() == self._pid:
                self._connection.close()


def _number(connection: Connection[DictRow]) -> str:
    cursor = connection.execute(_BEGIN)
    cursor.nextset()
    row = cursor.fetchone()
    if row is None:
        raise StoreError("the server did not begin a transaction")
    return str(row["number"])
