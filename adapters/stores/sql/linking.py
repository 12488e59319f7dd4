"""Making the hash chains longer: beside what couriers write, in transactions of its own."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import datetime

from . import chain
from .reader import SqlReader
from .session import Database, Session


class SqlLinks(SqlReader):
    """The `Chain` in a database that is written to."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._database = database

    def transaction(
        self, undone: str = "nothing was written", about: Sequence[object] = ()
    ) -> AbstractContextManager[None]:
        """One transaction of all that is written inside (see `Database.transaction`)."""
        return self._database.transaction(undone, about)

    @property
    def _session(self) -> Session:
        return self._database.session

    def link(self, limit: int, now: datetime, *, late: bool = True) -> int:
        with self.transaction("the hash chains were made no longer"):
            return chain.link(self._session, limit, now, late=late)
