"""Which store is behind a database's name: a path is SQLite's file, a URL names a PostgreSQL."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from importlib.util import find_spec
from types import ModuleType

from ...domain.errors import MisuseError
from ...domain.secrets.secret import Secret
from ...ports.clock import Clock
from ...ports.store import UploadStore
from ..clocks.database import DatabaseClock
from ..clocks.system import SystemClock
from .sql.inspection import Breach, Inspection
from .sql.reader import SqlReader
from .sqlite import SqliteStore
from .sqlite import open_for_reading as open_sqlite
from .sqlite.documents import DocumentFolder
from .sqlite.inspection import inspect as inspect_sqlite
from .sqlite.inspection import unproven_in as unproven_in_sqlite
from .sqlite.removal import delete_aside as delete_aside_of_sqlite
from .sqlite.removal import vacuum as vacuum_sqlite

# What is a path in any case.
_PATH = re.compile(r"/|\.|[A-Za-z]:[/\\]")
# A URL, or the pairs `key=value` that libpq reads as well.
_DSN = re.compile(
    r"postgres(ql)?://|(.*\s)?(host|hostaddr|dbname|service|user|password|passfile)\s*=", re.DOTALL
)
# What was meant as a DSN, and would be a file with the password in its name.
_LIKE_POSTGRES = re.compile(r"\s*postgres(ql)?(\+\w+)?:|\s*postgres(ql)?//", re.IGNORECASE)
_URL = re.compile(r"\s*([a-z][a-z0-9+.-]*):/", re.IGNORECASE)
_LOGIN = re.compile(r"[^/\\]*:.*@", re.DOTALL)
_FORM = "postgresql://USER:PASSWORD@HOST:PORT/DATABASE"


def is_postgres(database: str) -> bool:
    """Whether the name is the URL of a PostgreSQL, or another DSN of it.

    Raises:
        MisuseError: It is neither that nor a path. The message does not quote it.
    """
    if _PATH.match(database):
        return False
    if _DSN.match(database):
        return True
    if _LIKE_POSTGRES.match(database):
        raise MisuseError(f"the database's URL must be exactly of the form {_FORM}")
    if (url := _URL.match(database)) or _LOGIN.match(database):
        place = f"the URL of {url[1]!r}" if url else "a login at a host"
        raise MisuseError(
            f"database= is {place}, neither the path of an SQLite file nor a PostgreSQL's URL,"
            f" {_FORM}"
        )
    return False


def clock_of(database: str | None) -> Clock:
    """The clock of the couriers on a database: its own if several machines may share it."""
    shared = database is not None and is_postgres(database)
    return DatabaseClock() if shared else SystemClock()


def open_store(database: str, *, clock: Clock, keep_documents: bool = False) -> UploadStore:
    """The store in a database. A `DatabaseClock` is told the database's time.

    Raises:
        MisuseError: It is no path and no URL that can be read, or the extra `postgres` is missing.
        StoreError: The database cannot be opened.
    """
    if not is_postgres(database):
        return SqliteStore(database, keep_documents=keep_documents, monotonic=clock.monotonic)
    given = clock if isinstance(clock, DatabaseClock) else None
    store: UploadStore = _postgres().PostgresStore(
        database, keep_documents=keep_documents, clock=given
    )
    return store


def exists(database: str) -> bool:
    """Whether a database need not be made before its use, as the file of an SQLite may."""
    return is_postgres(database) or os.path.exists(database)


def is_made(database: str) -> bool:
    """Whether a courier has been started with a database. StoreError if that cannot be asked."""
    if not is_postgres(database):
        return os.path.exists(database)
    made: bool = _postgres().is_made(database)
    return made


def open_for_reading(database: str) -> AbstractContextManager[SqlReader]:
    """The records in a couriers' database, for somebody who only looks.

    Raises:
        MisuseError: As above.
        StoreError: It does not exist, or it is not ours.
    """
    if not is_postgres(database):
        return open_sqlite(database)
    opened: AbstractContextManager[SqlReader] = _postgres().open_for_reading(database)
    return opened


def inspect(
    database: str, secrets: Collection[Secret], progress: Callable[[int, int], None]
) -> Inspection:
    """Look through a couriers' database for what must never be.

    Raises:
        MisuseError: As above.
        StoreError: It does not exist, or it is not ours.
    """
    if not is_postgres(database):
        return inspect_sqlite(database, secrets=secrets, progress=progress)
    found: Inspection = _postgres().inspect(database, secrets=secrets, progress=progress)
    return found


def unproven(database: str, tenant_id: str | None) -> Sequence[Breach]:
    """What of the uploads cannot be so by their attempts, look-ups and actions.

    Raises:
        MisuseError: As above.
        StoreError: It does not exist, or it is not ours.
    """
    if not is_postgres(database):
        return unproven_in_sqlite(database, tenant_id)
    found: Sequence[Breach] = _postgres().unproven_in(database, tenant_id)
    return found


def aside_of(database: str) -> Sequence[str]:
    """The documents beside a database that belong to no record."""
    if is_postgres(database):
        return []
    folder = DocumentFolder(os.path.realpath(database))
    return [os.path.join(folder.aside, name) for name in folder.set_aside()]


def delete_aside(database: str) -> int:
    """Delete these, as far as no record names them by now; how many they were.

    Raises:
        StoreError: The database cannot be read.
    """
    return 0 if is_postgres(database) else delete_aside_of_sqlite(database)


def vacuum(database: str) -> None:
    """Write a database anew, so that the disk holds nothing of what was removed.

    Raises:
        MisuseError: As above.
        StoreError: It does not exist, or it is busy.
    """
    with open_for_reading(database):  # it is there, and ours
        pass
    if is_postgres(database):
        _postgres().vacuum(database)
    else:
        vacuum_sqlite(database)


def name_of(database: str) -> str:
    """How a database is called in a message: without a password."""
    return str(_postgres().address_of(database).name) if is_postgres(database) else database


def typed(database: str) -> tuple[str, bool]:
    """How a database is typed where others read it: without what is secret; and whether something
    secret was left out."""
    if not is_postgres(database):
        return database, False
    address = _postgres().address_of(database)
    return str(address.typed), bool(address.has_secrets)


def require_postgres() -> None:
    """MisuseError if the extra `postgres` is missing."""
    if find_spec("psycopg") is None or find_spec("psycopg_pool") is None:
        raise MisuseError(
            "a database in PostgreSQL is reached with psycopg, which is not installed: "
            'pip install "evidence-courier[postgres]"'
        )


def _postgres() -> ModuleType:
    require_postgres()
    # A host with a database in a file need not have it.
    from . import postgres

    return postgres
