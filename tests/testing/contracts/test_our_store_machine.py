"""The SQLite store and the one in memory, side by side: whatever is asked of both, both answer
the same."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Collection, Mapping
from contextlib import closing
from pathlib import Path

from postgres_server import server

from evidence_courier.adapters.stores.postgres import PostgresStore
from evidence_courier.adapters.stores.sqlite import SqliteStore
from evidence_courier.domain.upload.upload import Status
from evidence_courier.testing import MemoryStore
from evidence_courier.testing.contracts.store_machine import round_trips, store_machine

TestSqliteStoreMachine = store_machine(
    lambda folder, keep_documents: SqliteStore(
        f"{folder}/courier.db", keep_documents=keep_documents
    )
)

TestPostgresStoreMachine = store_machine(
    lambda folder, keep_documents: PostgresStore(
        server().emptied(server().database_of("machine")), keep_documents=keep_documents
    )
)


def test_whatever_an_upload_holds_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    with closing(SqliteStore(str(tmp_path / "courier.db"))) as store:
        round_trips(store)


def test_postgres_reads_back_whatever_an_upload_holds() -> None:
    with closing(PostgresStore(server().new_database())) as store:
        round_trips(store)


def test_a_store_that_counts_otherwise_does_not_agree() -> None:
    class CountsOneTooMany(MemoryStore):
        def counts(
            self, statuses: Collection[Status] = tuple(Status), *, without_parked: bool = False
        ) -> Mapping[Status, int]:
            found = super().counts(statuses, without_parked=without_parked)
            return {status: number + 1 for status, number in found.items()}

    result = store_machine(lambda folder, keep_documents: CountsOneTooMany())("runTest").run()
    assert result is not None
    assert not result.wasSuccessful()


def test_without_hypothesis_the_import_names_the_extra() -> None:
    program = (
        "import sys; sys.modules['hypothesis'] = None; import "
        "evidence_courier.testing.contracts.store_machine"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert 'pip install "evidence-courier[testing]"' in done.stderr.splitlines()[-1]
