"""Our store, and the one in memory that stands in for it, keep the contract for stores: so what
passes on one passes on the other."""

from __future__ import annotations

from postgres_server import server

from evidence_courier.adapters.stores.postgres import PostgresStore
from evidence_courier.adapters.stores.sqlite import SqliteStore
from evidence_courier.ports.store import UploadStore
from evidence_courier.testing import MemoryStore
from evidence_courier.testing.contracts import StoreContract


class TestSqliteStore(StoreContract):
    def open_store(self, folder: str, keep_documents: bool) -> UploadStore:
        return SqliteStore(f"{folder}/courier.db", keep_documents=keep_documents)


class TestPostgresStore(StoreContract):
    def open_store(self, folder: str, keep_documents: bool) -> UploadStore:
        return PostgresStore(server().database_of(folder), keep_documents=keep_documents)


class TestMemoryStore(StoreContract):
    durable = False

    def open_store(self, folder: str, keep_documents: bool) -> UploadStore:
        return MemoryStore(keep_documents=keep_documents)
