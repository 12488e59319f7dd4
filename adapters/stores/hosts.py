"""Writing a record on a connection of the host's, within the transaction that it has open there.

The record is one statement in a savepoint: the host's transaction goes on as it was, whatever
becomes of it. No library is imported here: a connection of psycopg, SQLAlchemy, Django or sqlite3
is known by what it has.
"""

from __future__ import annotations

import inspect
import sqlite3
from collections.abc import Callable, Coroutine, Iterator, Sequence
from functools import partial
from typing import Any, Protocol, TypeAlias

from attrs import frozen

from ...domain.errors import CourierError, MisuseError, StoreError
from ...domain.upload.upload import UploadKey
from .rows import Cell

Statement: TypeAlias = tuple[str, Sequence[Cell]]
"""A statement with `%s` where its parameters go, and no other percent sign."""

_SAVEPOINT, _RELEASE, _BACK = (
    f"{verb} evidence_courier" for verb in ("SAVEPOINT", "RELEASE SAVEPOINT", "ROLLBACK TO")
)
_NO_TRANSACTION = "25P01"


class Connection(Protocol):
    """A connection that blocks: psycopg's or sqlite3's, Django's, SQLAlchemy's or its Session."""

    def commit(self) -> None:
        """The host ends its transaction."""
        ...


class AsyncConnection(Protocol):
    """A connection that is awaited: psycopg's, SQLAlchemy's or its AsyncSession."""

    def commit(self) -> Coroutine[Any, Any, None]:
        """The host ends its transaction."""
        ...


@frozen
class Insertion:
    """The statements that record an upload, for a database of this kind: postgresql or sqlite."""

    key: UploadKey
    kind: str
    statements: Sequence[Statement]


def is_awaited(connection: object) -> bool:
    """Whether the connection is one for `write_async`. MisuseError if it is none at all."""
    if not callable(commit := getattr(connection, "commit", None)):
        raise MisuseError(
            "connection= takes a connection of psycopg, SQLAlchemy, Django or sqlite3, "
            f"not {type(connection).__name__}"
        )
    return inspect.iscoroutinefunction(commit)


def write(connection: Any, insertion: Insertion) -> None:
    """Record an upload in the transaction that is open on the connection.

    Raises:
        MisuseError: The connection is in autocommit, or of another database.
        StoreError: The database refused it; the host's transaction is as it was before.
    """
    try:
        _within(_executor(connection, insertion), insertion)
    except CourierError:
        raise
    except Exception as error:
        raise _explained(insertion, error) from error


async def write_async(connection: Any, insertion: Insertion) -> None:
    """`write`, for a connection that is awaited."""
    if hasattr(connection, "run_sync"):  # SQLAlchemy's
        await connection.run_sync(write, insertion)
        return
    _require(insertion, "postgresql")
    try:
        steps = _steps(insertion)
        failed: Exception | None = None
        while (step := _next(steps, failed)) is not None:
            failed = None
            try:
                await connection.execute(*step)
            except Exception as error:
                failed = error
    except CourierError:
        raise
    except Exception as error:
        raise _explained(insertion, error) from error


def _within(execute: Callable[[str, Sequence[Cell]], object], insertion: Insertion) -> None:
    steps = _steps(insertion)
    failed: Exception | None = None
    while (step := _next(steps, failed)) is not None:
        failed = None
        try:
            execute(*step)
        except Exception as error:
            failed = error


def _steps(insertion: Insertion) -> Iterator[Statement]:
    """What is executed one after the other; what it raises is thrown in."""
    yield _SAVEPOINT, ()
    try:
        yield from insertion.statements
    except Exception:
        yield _BACK, ()
        yield _RELEASE, ()
        raise
    yield _RELEASE, ()


def _next(steps: Any, failed: Exception | None) -> Statement | None:
    try:
        step: Statement = next(steps) if failed is None else steps.throw(failed)
    except StopIteration:
        return None
    return step


def _executor(connection: Any, insertion: Insertion) -> Callable[[str, Sequence[Cell]], object]:
    """What executes a statement on a connection that blocks."""
    if isinstance(connection, sqlite3.Connection):
        _require(insertion, "sqlite")
        _begin_sqlite(connection)
        return lambda text, cells: connection.execute(text.replace("%s", "?"), cells)
    if hasattr(connection, "in_atomic_block"):  # Django's
        _require(insertion, connection.vendor)
        if insertion.kind == "sqlite":
            connection.ensure_connection()
            _begin_sqlite(connection.connection)
        elif not connection.in_atomic_block and connection.get_autocommit():
            raise _autocommit()
        return partial(_by_cursor, connection)
    if hasattr(connection, "get_bind"):  # SQLAlchemy's Session
        connection = connection.connection()
    if hasattr(connection, "exec_driver_sql"):
        _require(insertion, connection.dialect.name)
        if insertion.kind == "sqlite":
            _begin_sqlite(connection.connection.driver_connection, connection.exec_driver_sql)
        return partial(_by_sqlalchemy, connection)
    _require(insertion, "postgresql")
    return partial(_by_cursor, connection)


def _begin_sqlite(driver: Any, execute: Callable[[str], object] | None = None) -> None:
    """Begin a transaction, as the driver itself would at the first change: a savepoint by itself
    would be one, and end with its release."""
    if driver.in_transaction:
        return
    if driver.isolation_level is None or getattr(driver, "autocommit", None) is True:
        raise _autocommit()  # there a commit() does nothing, whatever was begun
    (execute or driver.execute)("BEGIN")


def _by_cursor(connection: Any, text: str, cells: Sequence[Cell]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(text, tuple(cells))


def _by_sqlalchemy(connection: Any, text: str, cells: Sequence[Cell]) -> None:
    from sqlalchemy import text as clause  # the host has it

    names = [f"cell_{number}" for number in range(len(cells))]
    named = text.replace("%s", "{}").format(*(f" :{name} " for name in names)) if names else text
    connection.execute(clause(named), dict(zip(names, cells, strict=True)))


def _require(insertion: Insertion, kind: str) -> None:
    if insertion.kind != kind:
        raise MisuseError(
            f"connection= leads to a database of {kind}, and the courier's is of {insertion.kind}: "
            "both must be the same"
        )


def _explained(insertion: Insertion, error: Exception) -> CourierError:
    """What a driver's error means for the host."""
    own = getattr(error, "orig", None) or error
    if _NO_TRANSACTION in (getattr(own, "sqlstate", None), getattr(own, "pgcode", None)):
        return _autocommit()
    return StoreError(
        f"{insertion.key}: not recorded on the host's connection: {error}; look whether it leads "
        "to the courier's database, and whether its user may write to the courier's tables"
    )


def _autocommit() -> MisuseError:
    return MisuseError(
        "connection= is in autocommit, so the evidence would be recorded whatever becomes of the "
        "host's own work: begin a transaction first"
    )
