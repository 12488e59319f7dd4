"""The threads in which `AsyncRecords` reads and acts."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from evidence_courier import AsyncRecords, MisuseError, StoreError
from evidence_courier.adapters.stores.sqlite import SqliteStore


def test_a_host_whose_threads_are_busy_reads_the_records(tmp_path: Path) -> None:
    database, done = tmp_path / "courier.db", threading.Event()
    with closing(SqliteStore(str(database))):
        pass

    async def story() -> None:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(1))
        busy = loop.run_in_executor(None, done.wait)
        try:
            async with asyncio.timeout(10), AsyncRecords.open(database) as records:
                assert (await records.counts())["pending"] == 0
                assert ours()
        finally:
            done.set()
            await busy

    asyncio.run(story())
    all_end()


def test_records_that_cannot_be_opened_leave_no_thread(tmp_path: Path) -> None:
    async def story() -> None:
        with pytest.raises(StoreError):
            async with AsyncRecords.open(tmp_path / "none.db"):
                pass

    asyncio.run(story())
    all_end()


def test_records_that_are_closed_make_no_thread(tmp_path: Path) -> None:
    database = tmp_path / "courier.db"
    with closing(SqliteStore(str(database))):
        pass

    async def story() -> None:
        async with AsyncRecords.open(database) as records:
            pass
        all_end()
        with pytest.raises(MisuseError, match="these records are closed"):
            await records.counts()
        await records.close()
        assert ours() == []

    asyncio.run(story())


def ours() -> list[threading.Thread]:
    return [one for one in threading.enumerate() if "evidence-courier-records" in one.name]


def all_end() -> None:
    for thread in ours():
        thread.join(10)
    assert ours() == []
