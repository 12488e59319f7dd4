"""The sessions that read, for any number of threads at once."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any
from weakref import WeakKeyDictionary, WeakMethod

import psycopg
from psycopg import Connection, IsolationLevel
from psycopg.rows import DictRow, dict_row
from psycopg_pool import ConnectionPool

from ....domain.errors import MisuseError, StoreError
from ..sql.reader import SqlReader
from ..sql.session import Session
from ..sql.statements import LOCK_CLASS
from .address import Address, address_of, set_up
from .liveness import believed_dead
from .opening import check, has_tables
from .schema import MIGRATIONS
from .session import PostgresSession

_READERS = 4


class PostgresReaders:
    """The `Readers` of a database that is ready. Each session shows that the couriers of this
    process live: a courier is dead when the last of them has ended. Documents are rows."""

    documents = None

    def __init__(self, address: Address) -> None:
        self._address = address
        self._closed = False
        self._pid = os.getpid()
        self._own: set[int] = set()
        self._cut_at = "-infinity"
        self._shown: WeakKeyDictionary[Connection[Any], set[int]] = WeakKeyDictionary()
        self._pool: ConnectionPool[Connection[DictRow]] = ConnectionPool(
            address.dsn,
            min_size=1,
            max_size=_READERS,
            connection_class=Connection[DictRow],
            kwargs={"row_factory": dict_row},
            configure=_configure,
            check=ConnectionPool.check_connection,  # pyright: ignore[reportArgumentType]
            timeout=10.0,
            reconnect_timeout=1.0,
            num_workers=1,
            open=True,
        )
        if hasattr(os, "register_at_fork"):
            mine = WeakMethod(self._let_go)
            os.register_at_fork(after_in_child=lambda: (let_go := mine()) and let_go())

    @contextmanager
    def reading(self) -> Iterator[PostgresSession]:
        """A session for one reader, in a transaction of one moment."""
        with self._address.trouble("not read"):
            self._refuse_when_closed()
            with self._pool.connection() as connection:
                self._show(connection)
                yield PostgresSession(connection)

    def _show(self, connection: Connection[Any]) -> None:
        """Hold the locks of the couriers of this process, as long as the session lives."""
        shown = self._shown.setdefault(connection, set())
        for courier_id in self._own - shown:
            lock = "SELECT pg_advisory_lock_shared(%s, %s)"
            connection.execute(lock, (LOCK_CLASS, courier_id))
            shown.add(courier_id)

    def _let_go(self) -> None:
        """In a child that was forked: it inherits the sockets, and would hold the locks on after
        this process has died. psycopg itself leaves them alone there."""
        for session in [*self._shown]:
            with suppress(OSError, psycopg.Error):
                os.close(session.fileno())

    def others(self, session: Session, caller: int) -> Mapping[int, bool]:
        return believed_dead(session, caller, self._cut_at)

    def close(self) -> None:
        """Sessions that are being read from are closed by their readers."""
        self._closed = True
        if os.getpid() == self._pid:
            self._pool.close()

    def _refuse_when_closed(self) -> None:
        if self._closed:
            name = self._address.name
            raise StoreError(f"{name}: the database is closed; make a new courier to go on")
        if os.getpid() != self._pid:
            raise MisuseError(
                f"{self._address.name}: process {self._pid} opened the database before this one"
                f" ({os.getpid()}) was forked from it: fork before a courier is started"
            )


def _configure(session: Connection[Any]) -> None:
    session.autocommit = True
    set_up(session)
    session.autocommit = False
    session.isolation_level = IsolationLevel.REPEATABLE_READ
    session.read_only = True


def check_readable(address: Address) -> None:
    """Refuse, with a StoreError, what cannot be read as it is."""
    with address.trouble("the database was not opened"), address.connect() as connection:
        check(PostgresSession(connection), MIGRATIONS)


def is_made(dsn: str) -> bool:
    """Whether a couriers' database is there; StoreError if that cannot be asked."""
    address = address_of(dsn)
    with address.trouble("the database was not opened"), address.connect() as connection:
        return has_tables(PostgresSession(connection))


@contextmanager
def open_for_reading(dsn: str) -> Iterator[SqlReader]:
    """The records in a couriers' database, for somebody who only looks. StoreError if it has
    none."""
    address = address_of(dsn)
    check_readable(address)
    reader = SqlReader(PostgresReaders(address))
    try:
        yield reader
    finally:
        reader.close()
