"""The store in a PostgreSQL database that any number of couriers share: one session writes, a few
read."""

from __future__ import annotations

from ....ports.records import Entry
from ...clocks.database import DatabaseClock
from ..hosts import Insertion
from ..sql.store import SqlStore
from .address import address_of
from .database import PostgresDatabase
from .insertion import insertion_of


class PostgresStore(SqlStore):
    """An `UploadStore` in a PostgreSQL database.

    Staged documents are removed with the success of their upload, unless `keep_documents`. `clock`
    is told the database's time, when the store is opened and with each heartbeat. Raises StoreError
    where the database cannot be used, and says why. May be used from any thread; writers take
    turns.
    """

    def __init__(
        self, dsn: str, *, keep_documents: bool = False, clock: DatabaseClock | None = None
    ) -> None:
        database = PostgresDatabase(address_of(dsn), clock)
        super().__init__(database, keep_documents=keep_documents)

    def insertion_of(self, entry: Entry) -> Insertion:
        """What records an entry on a host's connection."""
        return insertion_of(entry, self.erased_id(entry.upload.key))
