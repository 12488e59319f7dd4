"""A new database in PostgreSQL, and a store on it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from postgres_server import server

from evidence_courier.adapters.stores.postgres import PostgresStore


@pytest.fixture
def dsn() -> str:
    return server().new_database()


@pytest.fixture
def store(dsn: str) -> Iterator[PostgresStore]:
    with closing(PostgresStore(dsn)) as one:
        yield one
