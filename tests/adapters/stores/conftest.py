"""Every store there is, each new and empty."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from evidence_courier.adapters.stores.sqlite import SqliteStore
from evidence_courier.ports.store import UploadStore
from evidence_courier.testing.memory_store import MemoryStore


@pytest.fixture
def database(tmp_path: Path) -> str:
    """Where a database may be made."""
    return str(tmp_path / "courier.db")


@pytest.fixture(params=["memory", "sqlite"])
def open_store(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[Callable[[bool], UploadStore]]:
    """Makes a store; the argument says whether it keeps the documents of what has succeeded."""
    with ExitStack() as stack:

        def opened(keep_documents: bool) -> UploadStore:
            store: UploadStore
            if request.param == "memory":
                store = MemoryStore(keep_documents=keep_documents)
            else:
                store = SqliteStore(str(tmp_path / "courier.db"), keep_documents=keep_documents)
            return stack.enter_context(closing(store))

        yield opened


@pytest.fixture
def store(open_store: Callable[[bool], UploadStore]) -> UploadStore:
    """A store that removes the documents of what has succeeded."""
    return open_store(False)


@pytest.fixture
def sqlite(database: str) -> Iterator[SqliteStore]:
    """The SQLite store."""
    with closing(SqliteStore(database)) as store:
        yield store
