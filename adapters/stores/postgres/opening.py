"""Making the tables, and refusing a database that this code cannot work with."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from ..rows import Row
from ..trouble import RefusedError
from .address import OLDEST_SERVER
from .schema import SCHEMA, Migration
from .session import PostgresSession

_MIGRATIONS = f"""
CREATE SCHEMA IF NOT EXISTS {SCHEMA};
CREATE TABLE IF NOT EXISTS migrations (
    number integer PRIMARY KEY, name text NOT NULL, oldest integer NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);
"""


def prepare(session: PostgresSession, migrations: Sequence[Migration]) -> None:
    """Bring the database up to date. RefusedError if that cannot be done."""
    _check_server(session)
    if _pending(session, migrations):
        with session.connection.transaction():
            _migrate(session, migrations)
    _refuse_newer(session, migrations)


def _migrate(session: PostgresSession, migrations: Sequence[Migration]) -> None:
    """One courier at a time does so: the others wait for it."""
    session.tell("SELECT pg_advisory_xact_lock(hashtext(:schema))", {"schema": SCHEMA})
    session.tell(_MIGRATIONS)
    for number in sorted(_pending(session, migrations)):
        migration = migrations[number - 1]
        session.tell(migration.statements)
        insert = "INSERT INTO migrations (number, name, oldest) VALUES (:number, :name, :oldest)"
        given = {"number": number, "name": migration.name, "oldest": migration.oldest}
        session.tell(insert, given)
    key = "INSERT INTO keys (name, value) VALUES ('fingerprint', :value) ON CONFLICT DO NOTHING"
    session.tell(key, {"value": secrets.token_bytes(32)})


def check(session: PostgresSession, migrations: Sequence[Migration]) -> None:
    """Refuse what cannot be read as it is. Changes nothing."""
    _check_server(session)
    missing = _pending(session, migrations)
    if len(missing) == len(migrations):
        raise RefusedError(
            "there are no tables of a courier in it; look at the DSN, or start a courier with it "
            "first"
        )
    if missing:
        raise RefusedError(
            "an older evidence-courier has written it; start a courier with it once to bring it up"
            " to date"
        )
    _refuse_newer(session, migrations)


def has_tables(session: PostgresSession) -> bool:
    """Whether a courier has been started with it."""
    return bool(_applied(session))


def _check_server(session: PostgresSession) -> None:
    if session.connection.info.server_version < OLDEST_SERVER:
        raise RefusedError(f"PostgreSQL {OLDEST_SERVER // 10_000} or newer is needed")
    (row,) = session.ask("SELECT current_setting('server_encoding') AS encoding")
    if row["encoding"] != "UTF8":
        raise RefusedError(
            f"its encoding is {row['encoding']}; create a database with the encoding UTF8"
        )


def _refuse_newer(session: PostgresSession, migrations: Sequence[Migration]) -> None:
    newer = [row["name"] for row in _applied(session).values() if row["oldest"] > len(migrations)]
    if newer:
        raise RefusedError(
            f"a newer evidence-courier has written it ({', '.join(newer)}); install that version or"
            " a later one"
        )


def _pending(session: PostgresSession, migrations: Sequence[Migration]) -> set[int]:
    """The numbers of the migrations that the database does not have yet."""
    return set(range(1, len(migrations) + 1)) - _applied(session).keys()


def _applied(session: PostgresSession) -> dict[int, Row]:
    (table,) = session.ask(f"SELECT to_regclass('{SCHEMA}.migrations') AS found")
    if table["found"] is None:
        return {}
    rows = session.ask("SELECT number, name, oldest FROM migrations")
    return {row["number"]: row for row in rows}
