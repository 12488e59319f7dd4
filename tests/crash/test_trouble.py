"""A disk that is full, a database that another process keeps to itself, and one that may not be written to."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from crash_host import Plan
from crash_watch import Hosts, accounts_of, batch, recorded_by, submits
from paper_house import House, evidence

from evidence_courier import StoreError, UploadStatus
from evidence_courier.adapters.engines.caretaker import BEAT
from evidence_courier.adapters.stores.sqlite import SqliteStore
from evidence_courier.adapters.stores.sqlite.inspection import inspect
from evidence_courier.ports.logger import RecordingFailed, StoreTrouble, WriteDelayed
from evidence_courier.testing.sandboxes import SprintoSandbox
from evidence_courier.testing.sandboxes.threads import sandbox_in_thread

NOBODY = 65534


class LameStore(SqliteStore):
    """A store whose disk can be made to fail."""

    def __init__(self, path: str) -> None:
        super().__init__(path, busy_timeout=0.02)
        (self._pages,) = self._connection.execute("PRAGMA max_page_count").fetchone()

    def fill(self) -> None:
        """Have no room for a page more."""
        (used,) = self._connection.execute("PRAGMA page_count").fetchone()
        self._connection.execute(f"PRAGMA max_page_count = {used}")

    def make_room(self) -> None:
        """Have room again."""
        self._connection.execute(f"PRAGMA max_page_count = {self._pages}")

    def forbid_writing(self) -> None:
        """Have every write refused."""
        self._connection.execute("PRAGMA query_only = ON")

    def allow_writing(self) -> None:
        """Have writes done again."""
        self._connection.execute("PRAGMA query_only = OFF")


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "courier.db")


@pytest.fixture
def lame(house: House) -> Iterator[LameStore]:
    with closing(LameStore(str(house.database))) as store:
        yield store


LOCKER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.read()
"""


@contextmanager
def locked_by_another_process(path: Path) -> Iterator[None]:
    with subprocess.Popen(
        [sys.executable, "-c", LOCKER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        assert process.stdout.readline() == b"locked\n"
        yield
        process.stdin.close()
        process.wait(60)


@contextmanager
def read_only(store: LameStore) -> Iterator[None]:
    store.forbid_writing()
    yield
    store.allow_writing()


@contextmanager
def full(store: LameStore) -> Iterator[None]:
    store.fill()
    yield
    store.make_room()


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop and its threads go on until it holds; the clock stands still."""
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.001)


async def settled(house: House, *evidence_ids: str, courier: object = None) -> None:
    """Let time pass until these are with the provider."""
    async with asyncio.timeout(60):
        while not set(evidence_ids) <= {name for name, _ in house.server.held}:
            house.clock.advance(1)
            await asyncio.sleep(0.001)
