"""Reading the records, from any number of threads, while somebody else writes them."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from threading import Lock

from attrs import evolve
from sqlite_utils import Database

from ....domain.errors import StoreError
from ....domain.upload.history import details_of
from ....domain.upload.status import UploadDetails, UploadStatus
from ....domain.upload.upload import Status, UploadKey
from ....ports.couriers import NO_TENANTS
from ....ports.paging import Place, token_of
from ....ports.records import ActedOn, Entry, Find, Page
from ..rows import Row, action_of, attempt_of, key_of, look_up_of, moment, open_upload_of
from . import reads
from .documents import DocumentFolder
from .files import OpenFiles
from .liveness import Watch
from .opening import check, reading_connection, resolved
from .trouble import trouble


class SqliteReader:
    """The reading verbs of an `UploadStore`, on a database that is ready. Changes nothing.

    Readers have a connection each while they read: they wait neither for one another nor for a
    writer, and each question sees the records as they are at one moment.
    """

    def __init__(
        self, path: str, busy_timeout: float, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._path = resolved(path)
        self._busy_timeout = busy_timeout
        self._idle: list[Database] = []
        self._idle_lock = Lock()
        self._closed = False
        self._watch = Watch(os.path.dirname(self._path), monotonic)
        self._files = OpenFiles(os.path.abspath(path))
        self.documents = DocumentFolder(self._path)

    def get(self, keys: Sequence[UploadKey], *, staged: bool = False) -> Mapping[UploadKey, Entry]:
        with self._reading() as db, db.atomic():  # one moment for all
            found = reads.recorded(db.conn, keys)
            if staged:
                keys_of = {entry.upload.id: key for key, entry in found.items()}
                contents = reads.staged(db.conn, [identity for identity in keys_of if identity])
                for identity, content in contents.items():
                    key = keys_of[identity]
                    found[key] = evolve(found[key], content=content)
        return {key: self._with_file(entry) if staged else entry for key, entry in found.items()}

    def _with_file(self, entry: Entry) -> Entry:
        if (file := entry.dossier.document.file) is None:
            return entry
        with suppress(FileNotFoundError):
            return evolve(entry, content=self.documents.read("", file))
        return entry

    def due(
        self,
        before: datetime,
        limit: int,
        *,
        lines: Mapping[str | None, Collection[str]] | None = None,
        written_after: datetime | None = None,
    ) -> Mapping[str | None, Sequence[UploadKey]]:
        since = "" if written_after is None else moment(written_after)
        given = {"before": moment(before), "limit": limit, "written_after": since}
        found: dict[str | None, list[UploadKey]] = {}
        with self._reading() as db, db.atomic():  # one moment for all
            if lines is None:
                lines = {row["credential"]: () for row in db.query(reads.LINES, given)}
            for credential, without in lines.items():
                given |= {"credential": credential, "without": json.dumps(sorted(without))}
                rows = db.query(reads.LINE, given) if limit else ()
                found[credential] = [key_of(row) for row in rows]
        return found

    def counts(
        self, statuses: Collection[Status] = tuple(Status), *, without_parked: bool = False
    ) -> Mapping[Status, int]:
        with self._reading() as db:
            found = Counter(dict(db.execute(reads.COUNTS).fetchall()))
        if not without_parked:
            found[Status.RETRYING.value] += found[reads.PARKED]
        return {status: found[status.value] for status in statuses}

    def statuses(
        self, tenant_id: str, evidence_ids: Sequence[str], now: datetime
    ) -> Mapping[str, UploadStatus]:
        with self._reading() as db, db.atomic():  # one moment for all
            wanted = set(evidence_ids)
            rows = db.query(
                reads.STATUSES, {"tenant_id": tenant_id, "evidence_ids": json.dumps(sorted(wanted))}
            )
            # SQLite reads a text in JSON up to its first NUL only: what was not asked for stays.
            found = sorted((row for row in rows if row["evidence_id"] in wanted), key=reads.age)
            told = reads.statuses_of(db, found, now)
            return {status.evidence_id: status for status in told}

    def find(self, find: Find, now: datetime) -> Page:
        with self._reading() as db, db.atomic():  # one moment for all
            # One more than asked for shows whether there is a next page.
            rows = list(db.query(*reads.find_query(find)))
            page = rows[: find.limit]
            more = len(rows) > find.limit
            return Page(
                uploads=tuple(reads.statuses_of(db, page, now)),
                next_page=token_of(_place_of(page[-1])) if more else None,
            )

    def show(self, tenant_id: str, evidence_id: str, now: datetime) -> UploadDetails | None:
        with self._reading() as db:
            with db.atomic():  # one moment for all
                wanted = {"tenant_id": tenant_id, "evidence_id": evidence_id}
                rows = sorted(db.query(reads.SHOW, wanted), key=reads.age)
                if not rows:
                    return None
                newest = rows[-1]
                its = {"id": newest["id"]}
                attempts = [attempt_of(row) for row in db.query(reads.HISTORY, its)]
                actions = [action_of(row) for row in db.query(reads.ACTIONS, its)]
                look_ups = [look_up_of(row) for row in db.query(reads.LOOK_UPS, its)]
                (status,) = reads.statuses_of(db, [newest], now)
            return details_of(status, attempts, actions, look_ups)

    def fingerprint_key(self) -> bytes:
        with self._reading() as db:
            (value,) = db.execute("SELECT value FROM keys WHERE name = 'fingerprint'").fetchone()
            return bytes(value)

    def dead(
        self, caller: int, limit: int, without: Mapping[int, Collection[str]] = NO_TENANTS
    ) -> Mapping[int, Sequence[Entry]]:
        with self._reading() as db:
            rows = db.execute(reads.COURIERS, (caller,)).fetchall()
            senders = {sender for (sender,) in db.execute(reads.SENDERS).fetchall()}
            gone = [row[0] for row in rows if self._watch.dead(row)]
            unknown = senders - {row[0] for row in rows} - {caller}
            found = {}
            for courier in (*gone, *sorted(unknown)):
                left_out = json.dumps(sorted(without.get(courier, ())))
                left = db.query(reads.IN_FLIGHT, (courier, left_out, limit))
                found[courier] = [open_upload_of(row) for row in left]
            return found

    def freed(self, addresses: Mapping[tuple[str, str], str], limit: int) -> Sequence[Entry]:
        with self._reading() as db, db.atomic():  # one moment for all
            stuck = [(tenant, provider) for tenant, provider in db.execute(reads.STUCK).fetchall()]
            addresses_of_blocks = db.execute("SELECT address FROM blocks").fetchall()
            blocked = {None, *(address for (address,) in addresses_of_blocks)}
            return [
                open_upload_of(row)
                for tenant_id, provider in stuck
                if addresses.get((tenant_id, provider)) not in blocked
                for row in db.query(
                    reads.STUCK_OF,
                    {"tenant_id": tenant_id, "provider": provider, "limit": limit},
                )
            ]

    def acted_on(self, after: int | None) -> ActedOn:
        with self._reading() as db:
            (mark,) = db.execute("SELECT COALESCE(MAX(id), 0) FROM actions").fetchone()
            if after is None or mark == after:
                return ActedOn((), mark)
            keys = db.query(reads.ACTED_ON, {"after": after, "mark": mark})
            return ActedOn([key_of(row) for row in keys], mark)

    @contextmanager
    def _reading(self) -> Iterator[Database]:
        """A connection that nobody else reads with meanwhile; kept for the next one."""
        with trouble(self._path, "not read"):
            with self._idle_lock:
                self._refuse_when_closed()
                db = self._idle.pop() if self._idle else None
            try:
                self._files.check()
                db = db or reading_connection(self._path, self._busy_timeout)
                yield db
            finally:
                with self._idle_lock:
                    if db is not None and self._closed:
                        db.close()
                    elif db is not None:
                        self._idle.append(db)

    def close(self) -> None:
        """As in `Records`. Connections that are being read from are closed by their readers."""
        with self._idle_lock:
            self._closed = True
            for db in self._idle:
                db.close()
            self._idle.clear()

    def _refuse_when_closed(self) -> None:
        if self._closed:
            raise StoreError(f"{self._path}: the database is closed; make a new courier to go on")


def _place_of(row: Row) -> Place:
    return Place(datetime.fromisoformat(row["created_at"]), row["id"])


@contextmanager
def open_for_reading(path: str, *, busy_timeout: float = 10.0) -> Iterator[SqliteReader]:
    """The records in a courier's database, for somebody who only looks. StoreError where there
    is none, or it is not ours."""
    check(resolved(path), busy_timeout)
    reader = SqliteReader(path, busy_timeout)
    try:
        yield reader
    finally:
        reader.close()
