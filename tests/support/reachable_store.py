"""An SQLite store whose connection a test can reach."""

from __future__ import annotations

import sqlite3

from evidence_courier.adapters.stores.sqlite import SqliteStore
from evidence_courier.adapters.stores.sqlite.session import SqliteSession


class ReachableStore(SqliteStore):
    """It, with the connection that writes."""

    @property
    def connection(self) -> sqlite3.Connection:
        assert isinstance(self._session, SqliteSession)
        return self._session.connection
