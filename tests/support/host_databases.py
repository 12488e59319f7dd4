"""Hosts that keep their trainings in the courier's database, each with a library of its own."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import django
import psycopg
from attrs import frozen
from django.conf import settings
from django.db import transaction
from django.db.utils import ConnectionHandler
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import URL, create_engine, text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

TABLE = "CREATE TABLE trainings (id text PRIMARY KEY)"
INSERT = "INSERT INTO trainings (id) VALUES ('{}')"
COUNT = "SELECT count(*) FROM trainings"


class NotPassedError(Exception):
    """The host gives its transaction up."""


Submit: TypeAlias = Callable[[Any], Any]
"""What a host calls within its transaction, with its connection."""


@frozen
class Host:
    """A host: `complete` stores a training and submits its evidence in one transaction, and then
    raises what `fail` raises. Those of one that awaits are coroutine functions."""

    complete: Callable[[str, str, Submit, Callable[[], None]], Any]
    autocommit: Callable[[str, Submit], Any]


# --- hosts that block -----------------------------------------------------------------------------


def psycopg_complete(dsn: str, name: str, submit: Submit, fail: Callable[[], None]) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute(INSERT.format(name).encode())
        submit(connection)
        fail()


def psycopg_autocommit(dsn: str, submit: Submit) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        submit(connection)


def psycopg_block(dsn: str, name: str, submit: Submit, fail: Callable[[], None]) -> None:
    """Autocommit, with a block that is a transaction."""
    with psycopg.connect(dsn, autocommit=True) as connection, connection.transaction():
        submit(connection)
        connection.execute(INSERT.format(name).encode())
        fail()


def sqlite_complete(path: str, name: str, submit: Submit, fail: Callable[[], None]) -> None:
    connection = sqlite3.connect(path)
    try:
        with connection:
            submit(connection)
            connection.execute(INSERT.format(name))
            fail()
    finally:
        connection.close()


class Autocommit(sqlite3.Connection):
    """One with `autocommit=True`, which Python knows since 3.12: its `commit` does nothing."""

    autocommit = True

    def commit(self) -> None:
        pass


def sqlite_new_autocommit(path: str, submit: Submit) -> None:
    connection = sqlite3.connect(path, factory=Autocommit)
    try:
        submit(connection)
    finally:
        connection.close()


def sqlite_autocommit(path: str, submit: Submit) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        submit(connection)
    finally:
        connection.close()


def session_complete(where: str, name: str, submit: Submit, fail: Callable[[], None]) -> None:
    engine = create_engine(url_of(where))
    try:
        with Session(engine) as session, session.begin():
            session.execute(text(INSERT.format(name)))
            submit(session)
            fail()
    finally:
        engine.dispose()


def session_autocommit(where: str, submit: Submit) -> None:
    engine = create_engine(url_of(where), isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            submit(connection)
    finally:
        engine.dispose()


def django_complete(where: str, name: str, submit: Submit, fail: Callable[[], None]) -> None:
    def work(connection: Any) -> None:
        with transaction.Atomic("default", True, False):
            with connection.cursor() as cursor:
                cursor.execute(INSERT.format(name))
            submit(connection)
            fail()

    with_django(where, work)


def django_complete_by_hand(
    where: str, name: str, submit: Submit, fail: Callable[[], None]
) -> None:
    """Without a block: Django begins at the first change, which is ours."""

    def work(connection: Any) -> None:
        connection.set_autocommit(False)
        try:
            submit(connection)
            with connection.cursor() as cursor:
                cursor.execute(INSERT.format(name))
            fail()
        except BaseException:
            connection.rollback()
            raise
        connection.commit()

    with_django(where, work)


def django_autocommit(where: str, submit: Submit) -> None:
    with_django(where, submit)


def with_django(where: str, work: Callable[[Any], None]) -> None:
    """Django's own connection, as `from django.db import connection` gives it."""
    if not settings.configured:
        settings.configure()
        django.setup()
    handler = ConnectionHandler({"default": django_options(where)})
    before, transaction.connections = transaction.connections, handler  # type: ignore[attr-defined]
    try:
        work(handler["default"])
    finally:
        handler.close_all()
        transaction.connections = before  # type: ignore[attr-defined]


def django_options(where: str) -> Mapping[str, Any]:
    if "=" not in where:
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": where}
    parts = conninfo_to_dict(where)
    names = {"NAME": "dbname", "USER": "user", "PASSWORD": "password", "HOST": "host"}
    found = {key: parts.get(name) or "" for key, name in names.items()}
    return {"ENGINE": "django.db.backends.postgresql", "PORT": parts["port"], **found}


# --- hosts that await -----------------------------------------------------------------------------


async def psycopg_await(dsn: str, name: str, submit: Submit, fail: Callable[[], None]) -> None:
    async with await psycopg.AsyncConnection.connect(dsn) as connection:
        await connection.execute(INSERT.format(name).encode())
        await submit(connection)
        fail()


async def psycopg_await_autocommit(dsn: str, submit: Submit) -> None:
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        await submit(connection)


async def session_await(where: str, name: str, submit: Submit, fail: Callable[[], None]) -> None:
    engine = create_async_engine(url_of(where, "psycopg", "aiosqlite"))
    try:
        async with AsyncSession(engine) as session, session.begin():
            await session.execute(text(INSERT.format(name)))
            await submit(session)
            fail()
    finally:
        await engine.dispose()


async def asyncpg_await(where: str, name: str, submit: Submit, fail: Callable[[], None]) -> None:
    engine = create_async_engine(url_of(where, "asyncpg"))
    try:
        async with engine.begin() as connection:
            await submit(connection)
            await connection.execute(text(INSERT.format(name)))
            fail()
    finally:
        await engine.dispose()


async def session_await_autocommit(where: str, submit: Submit) -> None:
    url = url_of(where, "psycopg", "aiosqlite")
    engine = create_async_engine(url, isolation_level="AUTOCOMMIT")
    try:
        async with engine.connect() as connection:
            await submit(connection)
    finally:
        await engine.dispose()


def url_of(where: str, postgres: str = "psycopg", sqlite: str = "pysqlite") -> URL:
    """Where a database is, for SQLAlchemy."""
    if "=" not in where:
        return URL.create(f"sqlite+{sqlite}", database=where)
    parts = conninfo_to_dict(where)
    return URL.create(
        f"postgresql+{postgres}",
        username=str(parts["user"]),
        password=None if parts.get("password") is None else str(parts["password"]),
        host=str(parts["host"]),
        port=int(parts["port"] or 0),
        database=str(parts["dbname"]),
    )


BLOCKING = {
    "psycopg": Host(psycopg_complete, psycopg_autocommit),
    "psycopg block": Host(psycopg_block, psycopg_autocommit),
    "sqlite3": Host(sqlite_complete, sqlite_autocommit),
    "sqlite3 of 3.12": Host(sqlite_complete, sqlite_new_autocommit),
    "sqlalchemy": Host(session_complete, session_autocommit),
    "django": Host(django_complete, django_autocommit),
    "django by hand": Host(django_complete_by_hand, django_autocommit),
}
AWAITING = {
    "psycopg": Host(psycopg_await, psycopg_await_autocommit),
    "sqlalchemy": Host(session_await, session_await_autocommit),
    "asyncpg": Host(asyncpg_await, session_await_autocommit),
}
