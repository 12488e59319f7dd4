"""On a small or nearly full disk: the write-ahead log leaves room for what it holds, and reading
goes on."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from reachable_store import ReachableStore
from small_disk import Disk, small_disk

from evidence_courier.adapters.stores.sqlite import SqliteStore, open_for_reading, room
from evidence_courier.adapters.stores.sqlite.inspection import inspect
from evidence_courier.domain.errors import StoreError
from evidence_courier.domain.upload.find import Find
from evidence_courier.ports.records import Added, Begun, Entry, Saved
from evidence_courier.testing.contracts.stored import AT, delivered, entry, started

MIB = 2**20
LARGE = bytes(100_000)


def log_of(path: str) -> int:
    """How large the write-ahead log is."""
    return os.path.getsize(f"{path}-wal")


@pytest.mark.parametrize(
    ("free", "most"), [(2 * MIB, MIB), (4 * MIB, 2 * MIB), (40 * MIB, 16 * MIB), (2**40, 64 * MIB)]
)
def test_the_log_takes_no_more_than_a_part_of_what_is_free(
    database: str, monkeypatch: pytest.MonkeyPatch, free: int, most: int
) -> None:
    monkeypatch.setattr(room, "free", lambda folder: free)
    with closing(SqliteStore(database)) as store:
        largest = 0
        for number in range(500):
            store.add([entry(f"ev-{number}", content=LARGE)])
            largest = max(largest, log_of(database))
        assert min(most // 4, 30 * MIB) < largest < most + 2 * len(LARGE)


def test_the_log_shrinks_when_room_becomes_short(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(SqliteStore(database)) as store:
        for number in range(50):
            store.add([entry(f"ev-{number}", content=LARGE)])
        assert log_of(database) > 4 * MIB
        monkeypatch.setattr(room, "free", lambda folder: 2 * MIB)
        for number in range(3):
            store.add([entry(f"then-{number}", content=None)])
        assert log_of(database) <= MIB


class LameStore(ReachableStore):
    """A store whose disk can be made to fail."""

    def leave_room(self, pages: int) -> None:
        """Have room for so many pages more, and no others."""
        (used,) = self.connection.execute("PRAGMA page_count").fetchone()
        self.connection.execute(f"PRAGMA max_page_count = {used + pages}")


@pytest.mark.parametrize("within", [False, True], ids=["alone", "in a larger transaction"])
def test_without_room_the_log_gives_its_own_back(database: str, within: bool) -> None:
    with closing(LameStore(database)) as store:
        store.add([entry("ev-1", content=LARGE)])
        store.leave_room(2)
        assert log_of(database) > len(LARGE)

        def too_much() -> None:
            with store.transaction():
                store.add([entry("ev-2", content=LARGE)])

        with pytest.raises(StoreError, match="no room left"):
            too_much() if within else store.add([entry("ev-2", content=LARGE)])
        assert log_of(database) == 0


# --- a disk of its own ---------------------------------------------------------------------------


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    with small_disk(tmp_path) as disk:
        yield disk


def test_a_disk_that_was_full_takes_outcomes_and_then_more(disk: Disk) -> None:
    with closing(SqliteStore(disk.database)) as store:
        taken: list[Entry] = []
        new = entry("ev-0", content=LARGE)
        with suppress(StoreError):
            while True:
                store.add([new])
                taken.append(new)
                new = entry(f"ev-{len(taken)}", content=LARGE)
        assert len(taken) > 70  # of the 12 MiB, the documents have 7 at least
        with pytest.raises(StoreError, match="its disk has only .* free some space") as caught:
            store.add([new])
        assert caught.value.passing
        for new in taken:  # each outcome frees its document's room
            begin = started(new.upload)
            assert store.begin([[begin]]) == [[Begun(LARGE)]]
            assert store.save([delivered(begin.upload)]) == [Saved()]
        for number in range(50):
            assert store.add([entry(f"then-{number}", content=LARGE)]) == [Added()]
    assert inspect(disk.database).breaches == ()


CRASH = """
import os, sys
from evidence_courier.adapters.stores.sqlite import SqliteStore
from evidence_courier.testing.contracts.stored import entry
SqliteStore(sys.argv[1]).add([entry("ev-2", content=b"%PDF")])
os._exit(0)
"""


@pytest.mark.parametrize("crashed", [False, True])
def test_on_a_full_disk_without_a_courier_the_records_are_read(disk: Disk, crashed: bool) -> None:
    with closing(SqliteStore(disk.database)) as store:
        store.add([entry("ev-1")])
    if crashed:
        subprocess.run([sys.executable, "-c", CRASH, disk.database], check=True)
        os.unlink(f"{disk.database}-shm")
    disk.fill()
    found: set[str] = set()
    for _ in range(2):
        with open_for_reading(disk.database) as reader:
            found = {upload.evidence_id for upload in reader.find(Find(), AT).uploads}
            assert found == ({"ev-1", "ev-2"} if crashed else {"ev-1"})
    assert inspect(disk.database).uploads == len(found)
    disk.clear()
    with closing(SqliteStore(disk.database)) as store:
        assert store.add([entry("then")]) == [Added()]


def test_one_who_has_read_on_a_full_disk_is_in_the_way_of_no_writer(disk: Disk) -> None:
    SqliteStore(disk.database).close()
    disk.fill()
    with open_for_reading(disk.database) as reader:
        assert reader.find(Find(), AT).uploads == ()
        with pytest.raises(StoreError, match="not opened: .* its disk has no room left"):
            SqliteStore(disk.database, busy_timeout=0.05)
        disk.clear()
        with closing(SqliteStore(disk.database, busy_timeout=0.05)) as store:
            assert store.add([entry()]) == [Added()]
        assert [upload.evidence_id for upload in reader.find(Find(), AT).uploads] == ["ev-1"]
