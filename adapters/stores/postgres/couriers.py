"""The session that writes, and the couriers that are registered through it.

A commit whose answer was lost with its connection has a number by which the server says later
whether it took place. So it is asked for, and nothing is written twice or believed to be lost.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from threading import RLock

import psycopg

from ....domain.errors import StoreError
from ....ports.couriers import NO_TENANTS
from ....ports.records import Entry
from ...clocks.database import DatabaseClock
from ..rows import moment, open_upload_of
from ..trouble import RefusedError
from . import reads
from .opening import prepare
from .reader import PostgresReader
from .schema import MIGRATIONS
from .sessions import Address, Session, ask, tell

PATIENCE = 30.0
"""For so many seconds the server is asked for what became of a commit."""

SILENCE = 120.0
"""After so many seconds without a beat, a courier without a lock is dead in any case."""

_ASK_AGAIN = 0.05

_BEGIN = "BEGIN; SELECT pg_current_xact_id()::text AS number"
_REGISTER = (
    "INSERT INTO couriers (id, host, pid, enlisted_at, beat, beat_at)"
    " VALUES (%s, %s, %s, %s, 1, clock_timestamp())"
    " ON CONFLICT (id) DO UPDATE SET beat = couriers.beat + 1, beat_at = clock_timestamp()"
)


class PostgresCouriers(PostgresReader):
    """The reading verbs, and those of `Couriers`. Writers take turns."""

    def __init__(self, address: Address, clock: DatabaseClock | None) -> None:
        with address.trouble("the database was not opened"):
            self._session = address.connect()
            try:
                prepare(self._session, MIGRATIONS)
            except BaseException:
                self._session.close()
                raise
        super().__init__(address)
        self._clock = clock
        self._turn = RLock()
        self._writing = False
        self._cut_at = "-infinity"
        self._tell_clock()

    @contextmanager
    def transaction(
        self, undone: str = "nothing was written", about: Sequence[object] = ()
    ) -> Iterator[None]:
        """Make one transaction of all that is written inside: all of it is written, or none.
        `undone` and `about` are as for `Address.trouble`."""
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
                if not self._session.closed:
                    with suppress(psycopg.Error):
                        tell(self._session, "ROLLBACK")
                raise
            finally:
                self._writing = False

    def _start(self) -> str:
        """Begin a transaction, on a new session if the last was cut; its number."""
        if not self._session.closed:
            try:
                return _number(self._session)
            except psycopg.OperationalError:
                if not self._session.closed:
                    raise
        self._reconnect()
        return _number(self._session)

    def _reconnect(self) -> None:
        self._session = self._address.connect()
        self._show(self._session)
        (row,) = ask(self._session, "SELECT clock_timestamp() AS now")
        self._cut_at = row["now"]

    def _commit(self, number: str) -> None:
        try:
            done = self._session.execute("COMMIT")
        except psycopg.OperationalError:
            if self._session.closed and self._has_committed(number):
                return
            raise
        if done.statusmessage != "COMMIT":
            raise RefusedError("the server has rolled it back", passing=True)

    def _has_committed(self, number: str) -> bool:
        """What became of a commit that was not answered."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and not self._closed:
            try:
                if self._session.closed:
                    self._reconnect()
                query = "SELECT pg_xact_status(%s::xid8) AS status"
                (row,) = ask(self._session, query, [number])
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
            (row,) = ask(self._session, "SELECT clock_timestamp() AS now")
            self._clock.tell(datetime.fromisoformat(row["now"]), asked)

    # --- couriers ---

    def heartbeat(self, courier_id: int | None, now: datetime) -> int:
        """As in `Couriers`. The database's clock is asked for the time."""
        with self.transaction("heartbeat not written"):
            if courier_id is None:
                query = "SELECT nextval(pg_get_serial_sequence('couriers', 'id'))::int AS id"
                (row,) = ask(self._session, query)
                courier_id = int(row["id"])
                self._own.add(courier_id)
                self._show(self._session)
            tell(self._session, _REGISTER, (courier_id, platform.node(), os.getpid(), moment(now)))
            self._tell_clock()
        return courier_id

    def unregister(self, courier_id: int) -> None:
        self._own.discard(courier_id)
        with self.transaction("the courier was not unregistered"):
            tell(self._session, "DELETE FROM couriers WHERE id = %s", [courier_id])
            tell(self._session, "DELETE FROM turns WHERE owner = %s", [courier_id])
            tell(self._session, "UPDATE gates SET holder = NULL WHERE holder = %s", [courier_id])

    def dead(
        self, caller: int, limit: int, without: Mapping[int, Collection[str]] = NO_TENANTS
    ) -> Mapping[int, Sequence[Entry]]:
        """As in `Couriers`. A lock that is gone tells at once; but if the server has started since
        the last beat, or our own session was cut since then, theirs may have been cut, too."""
        with self._reading() as session:
            rows = ask(
                session,
                reads.COURIERS,
                {"caller": caller, "cut_at": self._cut_at, "silence": SILENCE},
            )
            senders = {row["owner"] for row in ask(session, reads.SENDERS)}
            gone = [
                row["id"] for row in rows if not row["held"] and (row["silent"] or row["beats"])
            ]
            unknown = senders - {row["id"] for row in rows} - {caller}
            found = {}
            for courier in (*gone, *sorted(unknown)):
                given = [courier, sorted(without.get(courier, ())), limit]
                rows = ask(session, reads.IN_FLIGHT, given)
                found[courier] = [open_upload_of(row) for row in rows]
            return found

    def close(self) -> None:
        self._closed = True
        with self._turn:
            super().close()
            if os.getpid() == self._pid:
                self._session.close()


def _number(session: Session) -> str:
    cursor = session.execute(_BEGIN)
    cursor.nextset()
    row = cursor.fetchone()
    if row is None:
        raise StoreError("the server did not begin a transaction")
    return str(row["number"])
