"""Taking the records of a database in a file over into a PostgreSQL: all of them, or none."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from psycopg import Connection, sql
from psycopg.errors import LockNotAvailable

from ...domain.errors import StoreError
from .postgres import PostgresStore
from .postgres.address import Address, address_of
from .rows import moment
from .sql.statements import LOCK_CLASS, SETTLED, WRITERS
from .sqlite.documents import DocumentFolder
from .sqlite.liveness import SILENCE, lives
from .sqlite.opening import check, one_moment, reading_connection, resolved
from .sqlite.trouble import trouble

Progress = Callable[[str, int], None]

TABLES = (
    *("uploads", "attempts", "look_ups", "actions", "documents", "gates", "slots", "blocks"),
    *("links", "heads", "checkpoints", "removals", "pauses", "notices", "notice_notes"),
)
KEY = "UPDATE keys SET value = %s WHERE name = 'fingerprint'"
NUMBERED = (
    *("uploads", "attempts", "look_ups", "actions", "checkpoints", "removals"),
    *("pauses", "notices"),
)
NO_COURIER = 0
"""Whose attempts are under way in a copy: no courier has this number, so they are recovered."""

_BUSY = 10.0
# A session that was closed just now ends a moment later.
_PATIENCE = "3s"


def copy(path: str, dsn: str, progress: Progress = lambda table, rows: None) -> Mapping[str, int]:
    """Copy all records with their history, documents, paces and blocks; how many rows of each
    table.

    Args:
        path: The database in a file. It stays as it is.
        dsn: Where the PostgreSQL is. Its tables are made, and must have no records.
        progress: Told how many rows of a table have been copied so far.

    Raises:
        StoreError: A courier works on one of them, there are records in the PostgreSQL, or one of
            them cannot be read or written. Then nothing is copied.
    """
    check(resolved(path), _BUSY)
    address = address_of(dsn)
    PostgresStore(dsn).close()
    with (
        trouble(path, "not copied"),
        closing(reading_connection(resolved(path), _BUSY)) as source,
        _alone(source),
    ):
        _refuse_couriers(path, source)
        with (
            address.trouble("not copied"),
            closing(address.connect()) as session,
            session.transaction(),
        ):
            _shut(address, session)
            session.execute("LOCK TABLE uploads, couriers IN EXCLUSIVE MODE")
            _refuse_records(address, session)
            done = {table: _copied(source, session, table, progress) for table in TABLES}
            done["documents"] += _copied_files(source, session, DocumentFolder(resolved(path)))
            _end(source, session)
    return done


@contextmanager
def _alone(source: sqlite3.Connection) -> Iterator[None]:
    """No one writes meanwhile: a courier that is started cannot be registered, and sends nothing of
    what the copy has as open."""
    source.execute("PRAGMA query_only = OFF")  # it refuses the lock, too
    with one_moment(source, "BEGIN IMMEDIATE"):
        yield


def _refuse_couriers(path: str, source: sqlite3.Connection) -> None:
    """A courier whose lock does not tell may live until it has been silent for long."""
    folder = os.path.dirname(resolved(path))
    silent_since = moment(datetime.now(UTC) - timedelta(seconds=SILENCE))
    for row in _rows(source, "SELECT * FROM couriers"):
        match lives(row, folder):
            case True:
                advice = "stop it, so that it sends nothing more"
            case None if row["beat_at"] > silent_since:
                last = f"its last sign of life is of {row['beat_at']} ({row['host']})"
                advice = f"{last}; stop it, or wait for {SILENCE / 60:.0f} minutes if it is dead"
            case _:
                continue
        raise StoreError(f"{path}: a courier works on it: {advice}")


def _shut(address: Address, session: Connection[Any]) -> None:
    """No one has the PostgreSQL open, or opens it before the end: one who has read its key for
    fingerprints would go on with that, and a credential have two paces."""
    session.execute(f"SET LOCAL lock_timeout = '{_PATIENCE}'".encode())
    try:
        session.execute("SELECT pg_advisory_xact_lock(%s, %s)", (LOCK_CLASS, WRITERS))
    except LockNotAvailable as error:
        raise StoreError(
            f"{address.name}: a process has it open, such as a host with a courier: end it, and"
            " start it again after the copy"
        ) from error


def _refuse_records(address: Address, session: Connection[Any]) -> None:
    for table in ("uploads", "couriers", "blocks", "pauses", "removals", "notices"):
        query = sql.SQL("SELECT EXISTS (SELECT 1 FROM {}) AS found").format(sql.Identifier(table))
        if session.execute(query).fetchone()["found"]:  # type: ignore[index]
            what = "a courier works on it" if table == "couriers" else "it has records"
            raise StoreError(f"{address.name}: {what}, and only into an empty one can be copied")
    session.execute("DELETE FROM notice_notes")  # what a courier with sinks has noted of no uploads


def _copied(
    source: sqlite3.Connection, session: Connection[Any], table: str, progress: Progress
) -> int:
    """Copy the rows of a table; how many."""
    names = [row["name"] for row in _rows(source, f"PRAGMA table_info({table})")]
    query = f"SELECT {', '.join(map(_cell, names))} FROM {table}"
    into = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, names))
    )
    number = 0
    with session.cursor() as cursor, cursor.copy(into) as copying:
        for number, row in enumerate(source.execute(query), 1):
            copying.write_row(row)
            if number % 1000 == 0:
                progress(table, number)
    return number


def _cell(name: str) -> str:
    """A column of a table, as it is to be in the copy."""
    match name:
        case "owner":
            return f"CASE WHEN state = 'sending' THEN {NO_COURIER} END"
        case "holder" | "document_file":
            return "NULL"
        case _:
            return f'"{name}"'


def _copied_files(
    source: sqlite3.Connection, session: Connection[Any], folder: DocumentFolder
) -> int:
    """Copy the large documents, which are files; how many."""
    insert = "INSERT INTO documents (upload_id, content) VALUES (%s, %s)"
    return sum(session.execute(insert, file).rowcount for file in _files(source, folder))


def _files(source: sqlite3.Connection, folder: DocumentFolder) -> Iterator[tuple[int, bytes]]:
    columns = "id, tenant_id, evidence_id, document_file, state"
    query = f"SELECT {columns} FROM uploads WHERE document_file IS NOT NULL"
    for upload_id, tenant_id, evidence_id, name, state in source.execute(query):
        if name.startswith(SETTLED):
            continue
        try:
            yield upload_id, folder.read(tenant_id, name)
        except FileNotFoundError as error:
            # A failed one that is to be sent again is told so, as ever when a document is gone.
            if state in ("failed", "succeeded"):
                continue
            raise StoreError(
                f"the document of {tenant_id}/{evidence_id} is gone: put {folder.path} back, or "
                "abandon the upload first"
            ) from error


def _end(source: sqlite3.Connection, session: Connection[Any]) -> None:
    """Have numbers go on where they ended, and fingerprints stay what they are."""
    ends = [(f"pg_get_serial_sequence('{table}', 'id')", table) for table in NUMBERED]
    for sequence, table in (*ends, ("'gate_numbers'", "slots")):
        session.execute(
            f"SELECT setval({sequence}, (SELECT max(id) FROM {table}))"
            f" WHERE EXISTS (SELECT 1 FROM {table})".encode()
        )
    (key,) = source.execute("SELECT value FROM keys WHERE name = 'fingerprint'").fetchone()
    session.execute(KEY, (key,))
    for row in _rows(source, "SELECT name, value FROM keys WHERE name = 'erased'"):
        session.execute("INSERT INTO keys VALUES (%s, %s)", (row["name"], row["value"]))


def _rows(source: sqlite3.Connection, query: str) -> Sequence[Mapping[str, Any]]:
    cursor = source.execute(query)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
