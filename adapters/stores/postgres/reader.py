"""Reading the records, from any number of threads, while couriers write them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any
from weakref import WeakKeyDictionary, WeakMethod

import psycopg
from attrs import evolve
from psycopg import Connection, IsolationLevel
from psycopg.rows import DictRow, dict_row
from psycopg_pool import ConnectionPool

from ....domain.errors import MisuseError, StoreError
from ....domain.upload.history import details_of
from ....domain.upload.status import UploadDetails, UploadStatus
from ....domain.upload.upload import Status, UploadKey
from ....ports.paging import Place, token_of
from ....ports.records import ActedOn, Entry, Find, Page
from ..rows import action_of, attempt_of, key_cells, key_of, look_up_of, moment, open_upload_of
from . import reads
from .gates import blocks_of
from .opening import check
from .schema import MIGRATIONS
from .sessions import Address, Session, address_of, ask, is_text, set_up
from .statements import CONTENTS, SELECT_IDS

_READERS = 4
_EVER_SINCE = moment(datetime.min.replace(tzinfo=UTC))


class PostgresReader:
    """The reading verbs of an `UploadStore`, on a database that is ready. Changes nothing.

    Each question sees the records as they are at one moment. Each session shows that the couriers
    of this process live: a courier is dead when the last of them has ended.
    """

    def __init__(self, address: Address) -> None:
        self._address = address
        self._closed = False
        self._pid = os.getpid()
        self._own: set[int] = set()
        self._shown: WeakKeyDictionary[Connection[Any], set[int]] = WeakKeyDictionary()
        self._pool: ConnectionPool[Session] = ConnectionPool(
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

    def get(self, keys: Sequence[UploadKey], *, staged: bool = False) -> Mapping[UploadKey, Entry]:
        with self._reading() as session:
            found = reads.recorded(session, keys)
            if staged and found:
                given = [(position, *key_cells(key)) for position, key in enumerate(keys)]
                ids = {row["id"]: row["position"] for row in SELECT_IDS.ask(session, given)}
                for row in session.execute(CONTENTS, [list(ids)], binary=True):
                    key = keys[ids[row["upload_id"]]]
                    found[key] = evolve(found[key], content=row["content"])
            return found

    def due(
        self,
        before: datetime,
        limit: int,
        *,
        lines: Mapping[str | None, Collection[str]] | None = None,
        written_after: datetime | None = None,
    ) -> Mapping[str | None, Sequence[UploadKey]]:
        since = _EVER_SINCE if written_after is None else moment(written_after)
        given = {"before": moment(before), "limit": limit, "written_after": since}
        found: dict[str | None, list[UploadKey]] = {}
        with self._reading() as session:
            if lines is None:
                lines = {row["credential"]: () for row in ask(session, reads.LINES, given)}
            for credential, without in lines.items():
                given |= {"credential": credential, "without": sorted(without)}
                line = reads.NO_LINE if credential is None else reads.LINE
                rows = ask(session, line, given) if limit else ()
                found[credential] = [key_of(row) for row in rows]
        return found

    def counts(
        self, statuses: Collection[Status] = tuple(Status), *, without_parked: bool = False
    ) -> Mapping[Status, int]:
        with self._reading() as session:
            rows = ask(session, reads.COUNTS, [[status.value for status in statuses]])
            found = Counter({row["status"]: row["many"] for row in rows})
            if without_parked:
                found[Status.RETRYING.value] -= ask(session, reads.PARKED)[0]["many"]
            return {status: found[status.value] for status in statuses}

    def statuses(
        self, tenant_id: str, evidence_ids: Sequence[str], now: datetime
    ) -> Mapping[str, UploadStatus]:
        with self._reading() as session:
            # Half a character stands in no record.
            wanted = sorted(filter(is_text, set(evidence_ids)))
            rows = ask(session, reads.STATUSES, (tenant_id, wanted))
            told = reads.statuses_of(session, rows, now)
            return {status.evidence_id: status for status in told}

    def find(self, find: Find, now: datetime) -> Page:
        with self._reading() as session:
            # One more than asked for shows whether there is a next page.
            rows = ask(session, *reads.find_query(find))
            page = rows[: find.limit]
            more = len(rows) > find.limit
            return Page(
                uploads=tuple(reads.statuses_of(session, page, now)),
                next_page=token_of(Place(*reads.age(page[-1]))) if more else None,
            )

    def show(self, tenant_id: str, evidence_id: str, now: datetime) -> UploadDetails | None:
        with self._reading() as session:
            rows = ask(session, reads.STATUSES, (tenant_id, [evidence_id]))
            if not rows:
                return None
            its = [rows[-1]["id"]]
            attempts = [attempt_of(row) for row in ask(session, reads.HISTORY, its)]
            actions = [action_of(row) for row in ask(session, reads.ACTIONS, its)]
            look_ups = [look_up_of(row) for row in ask(session, reads.LOOK_UPS, its)]
            (status,) = reads.statuses_of(session, rows[-1:], now)
            return details_of(status, attempts, actions, look_ups)

    def fingerprint_key(self) -> bytes:
        with self._reading() as session:
            (row,) = ask(session, "SELECT value FROM keys WHERE name = 'fingerprint'")
            return bytes(row["value"])

    def freed(self, addresses: Mapping[tuple[str, str], str], limit: int) -> Sequence[Entry]:
        with self._reading() as session:
            stuck = ask(session, reads.STUCK)
            pairs = sorted((row["tenant_id"], row["provider"]) for row in stuck)
            wanted = {addresses[pair] for pair in pairs if pair in addresses}
            blocked = {None, *blocks_of(session, wanted)}
            return [
                open_upload_of(row)
                for pair in pairs
                if addresses.get(pair) not in blocked
                for row in ask(session, reads.STUCK_OF, (*pair, limit))
            ]

    def acted_on(self, after: int | None) -> ActedOn:
        with self._reading() as session:
            mark = ask(session, reads.MARK)[0]["mark"]
            if after is None or mark == after:
                return ActedOn((), mark)
            return ActedOn(
                [key_of(row) for row in ask(session, reads.ACTED_ON, (after, mark))], mark
            )

    @contextmanager
    def _reading(self) -> Iterator[Session]:
        """A session for one reader, in a transaction of one moment."""
        with self._address.trouble("not read"):
            self._refuse_when_closed()
            with self._pool.connection() as session:
                self._show(session)
                yield session

    def _show(self, session: Session) -> None:
        """Hold the locks of the couriers of this process, as long as the session lives."""
        shown = self._shown.setdefault(session, set())
        for courier_id in self._own - shown:
            lock = "SELECT pg_advisory_lock_shared(%s, %s)"
            session.execute(lock, (reads.LOCK_CLASS, courier_id))
            shown.add(courier_id)

    def _let_go(self) -> None:
        """In a child that was forked: it inherits the sockets, and would hold the locks on after
        this process has died. psycopg itself leaves them alone there."""
        for session in [*self._shown]:
            with suppress(OSError, psycopg.Error):
                os.close(session.fileno())

    def close(self) -> None:
        """As in `Records`. Sessions that are being read from are closed by their readers."""
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


@contextmanager
def open_for_reading(dsn: str) -> Iterator[PostgresReader]:
    """The records in a couriers' database, for somebody who only looks. StoreError where there
    are none."""
    address = address_of(dsn)
    with address.trouble("the database was not opened"), address.connect() as session:
        check(session, MIGRATIONS)
    reader = PostgresReader(address)
    try:
        yield reader
    finally:
        reader.close()
