"""The database is removed, replaced or restored under an open store: nothing is acknowledged that
is not in the file at the path, and the error says what to do."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from store_fixtures import House, evidence

from evidence_courier import StoreError
from evidence_courier.adapters.stores.sqlite import SqliteStore, open_for_reading
from evidence_courier.domain.integration import Route
from evidence_courier.domain.upload.find import Find
from evidence_courier.ports.dialogue import HttpRequest, HttpResponse
from evidence_courier.ports.records import Added
from evidence_courier.testing.contracts.stored import AT, entry, started

on_posix = pytest.mark.skipif(os.name != "posix", reason="an open file cannot be removed there")


def remove(path: Path, suffix: str = "") -> None:
    Path(f"{path}{suffix}").unlink()


def remove_all(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        remove(path, suffix)


def move_away(path: Path) -> None:
    path.rename(path.with_name("moved.db"))


def replace_by_a_copy(path: Path) -> None:
    copy = path.with_name("copy.db")
    shutil.copy(path, copy)
    copy.replace(path)


def rename_the_folder(path: Path) -> None:
    path.parent.rename(path.parent.with_name("renamed"))


def replace_the_folder(path: Path) -> None:
    rename_the_folder(path)
    path.parent.mkdir()
    SqliteStore(str(path)).close()


def switch_the_link(path: Path) -> None:
    other = path.with_name("other.db")
    SqliteStore(str(other)).close()
    path.unlink()
    path.symlink_to(other)


WAYS: dict[str, Callable[[Path], None]] = {
    "removed": remove,
    "removed with all beside it": remove_all,
    "without its write-ahead log": lambda path: remove(path, "-wal"),
    "without its shared memory": lambda path: remove(path, "-shm"),
    "emptied": lambda path: os.truncate(path, 0),
    "moved away": move_away,
    "replaced by a copy": replace_by_a_copy,
    "its folder renamed": rename_the_folder,
    "its folder replaced": replace_the_folder,
}
every_way = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path / "data" / "courier.db"


@on_posix
@every_way
def test_nothing_is_acknowledged_once_file_and_path_have_come_apart(
    path: Path, way: Callable[[Path], None]
) -> None:
    first = entry("first")
    with closing(SqliteStore(str(path))) as store:
        store.add([first])
        way(path)
        with pytest.raises(StoreError, match="acme/second to sprinto not recorded: .* start again"):
            store.add([entry("second")])
        with pytest.raises(StoreError, match="attempt not begun"):
            store.begin([[started(first.upload)]])
        with pytest.raises(StoreError, match="not read: .* has the old one open"):
            store.find(Find(), AT)


@on_posix
def test_a_commit_to_a_file_that_is_removed_meanwhile_fails(path: Path) -> None:
    with closing(SqliteStore(str(path))) as store:

        def lost() -> None:
            with store.transaction("not recorded"):
                store.add([entry()])
                remove_all(path)

        with pytest.raises(
            StoreError, match=r"not recorded: .*courier.db cannot be found any more"
        ):
            lost()


@on_posix
def test_a_link_that_leads_elsewhere_now_is_noticed(tmp_path: Path) -> None:
    link = tmp_path / "courier.db"
    link.symlink_to(tmp_path / "real.db")
    with closing(SqliteStore(str(link))) as store:
        assert store.add([entry("first")]) == [Added()]
        switch_the_link(link)
        with pytest.raises(StoreError, match="is another file now"):
            store.add([entry("second")])
    for name in ("real.db", "other.db"):
        with open_for_reading(str(tmp_path / name)) as reader:
            found = [upload.evidence_id for upload in reader.find(Find(), AT).uploads]
            assert found == (["first"] if name == "real.db" else [])


@on_posix
def test_what_is_put_back_is_gone_on_with(path: Path) -> None:
    with closing(SqliteStore(str(path))) as store:
        store.add([entry("first")])
        move_away(path)
        with pytest.raises(StoreError):
            store.add([entry("second")])
        path.with_name("moved.db").rename(path)
        assert store.add([entry("second")]) == [Added()]
        assert len(store.find(Find(), AT).uploads) == 2


@pytest.mark.parametrize("known", [False, True], ids=["before its start", "since its start"])
def test_a_backup_that_is_restored_under_a_courier_is_noticed(path: Path, known: bool) -> None:
    backup = str(path.with_name("backup.db"))

    def copy(source: str, target: str) -> None:
        with closing(sqlite3.connect(source)) as one, closing(sqlite3.connect(target)) as other:
            one.backup(other)

    with closing(SqliteStore(str(path))) as store:
        if not known:
            copy(str(path), backup)
        courier_id = store.heartbeat(None, AT)
        if known:
            copy(str(path), backup)
        store.heartbeat(courier_id, AT)
        store.add([entry("first")])
        copy(backup, str(path))
        with pytest.raises(StoreError, match="an older copy was restored while the courier runs"):
            store.add([entry("second")])
        with pytest.raises(StoreError, match="heartbeat not written"):
            store.heartbeat(courier_id, AT)
    with closing(SqliteStore(str(path))) as store:  # a start anew takes the copy as it is
        store.heartbeat(None, AT)
        assert store.add([entry("second")]) == [Added()]


def with_the_backup_api(source: str, target: str) -> None:
    with closing(sqlite3.connect(source)) as one, closing(sqlite3.connect(target)) as other:
        one.backup(other)


def with_vacuum_into(source: str, target: str) -> None:
    with closing(sqlite3.connect(source)) as one:
        one.execute("VACUUM INTO ?", (target,))


@pytest.mark.parametrize("copy", [with_the_backup_api, with_vacuum_into, shutil.copyfile])
@pytest.mark.parametrize("known", [False, True], ids=["before its start", "since its start"])
def test_an_older_copy_that_is_written_into_the_file_is_noticed(
    path: Path, copy: Callable[[str, str], object], known: bool
) -> None:
    backup = path.with_name("backup.db")
    with closing(SqliteStore(str(path))) as store:
        store.add([entry("before")])
    with closing(SqliteStore(str(path))) as store:
        if not known:
            copy(str(path), str(backup))
        courier_id = store.heartbeat(None, AT)
        if known:
            store.add([entry("first")])
            copy(str(path), str(backup))
        if known:
            store.add([entry("second")])
        store.heartbeat(courier_id, AT)
        path.write_bytes(backup.read_bytes())
        with pytest.raises(StoreError, match="third .* an older copy was written into it"):
            store.add([entry("third")])


def an_evidence(store: SqliteStore) -> None:
    store.add([entry("since")])


def a_start(store: SqliteStore) -> None:
    store.heartbeat(None, AT)


@pytest.mark.parametrize("since", [an_evidence, a_start])
@pytest.mark.parametrize("by_courier", [False, True], ids=["Records", "a courier"])
def test_a_copy_that_lacks_what_the_file_has_shown_is_noticed(
    path: Path, by_courier: bool, since: Callable[[SqliteStore], object]
) -> None:
    """An evidence, or a courier's start; it is younger than the last heartbeat, and records have
    none."""
    backup = path.with_name("backup.db")
    with closing(SqliteStore(str(path))) as other, closing(SqliteStore(str(path))) as store:
        store.add([entry("before")])
        for each in (other, store) if by_courier else (other,):
            each.heartbeat(None, AT)
        with_the_backup_api(str(path), str(backup))
        since(other)
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA wal_checkpoint")
        store.add([entry("second")])  # from here on it knows what the file has
        path.write_bytes(backup.read_bytes())
        with pytest.raises(StoreError, match="an older copy was written into it while it was open"):
            store.add([entry("third")])


def test_what_others_write_into_the_file_is_no_older_copy(path: Path) -> None:
    with closing(SqliteStore(str(path))) as store, closing(SqliteStore(str(path))) as other:
        ids = [each.heartbeat(None, AT) for each in (store, other)]
        for number in range(5):
            store.add([entry(f"ours {number}")])
            other.add([entry(f"theirs {number}")])
            for each, courier_id in zip((store, other), ids, strict=True):
                each.heartbeat(courier_id, AT)
        store.unregister(ids[1])  # another has buried it
        other.heartbeat(None, AT)
        other.add([entry("last of theirs")])
        store.add([entry("last of ours")])


@on_posix
def test_a_lock_whose_file_was_removed_is_taken_anew(path: Path) -> None:
    with closing(SqliteStore(str(path))) as watcher:
        mine = watcher.heartbeat(None, AT)
        with closing(SqliteStore(str(path), busy_timeout=0.05)) as store:
            courier_id = store.heartbeat(None, AT)
            for lock in path.parent.glob("*.lock"):
                lock.unlink()
            with closing(sqlite3.connect(path, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                with pytest.raises(StoreError, match="heartbeat not written"):
                    store.heartbeat(courier_id, AT)
            store.heartbeat(courier_id, AT)
            assert watcher.dead(mine, 9) == {}
        assert watcher.dead(mine, 9) == {courier_id: []}


class Line:
    """Takes every upload, and remembers it."""

    def __init__(self) -> None:
        self.taken: list[str] = []

    def send(self, request: HttpRequest, route: Route) -> HttpResponse:
        self.taken.append(dict(request.headers)["evidence"])
        return HttpResponse(200, (), b"", AT)

    def close(self) -> None:
        """Nothing is open."""


@on_posix
@every_way
def test_a_worker_on_a_replaced_file_raises_and_sends_nothing(
    path: Path, way: Callable[[Path], None]
) -> None:
    line = Line()
    around = {"transport": line, "sleep": lambda seconds: None}
    with House(path).blocking_courier(**around) as courier:
        courier.deliver(evidence("first"))
        way(path)
        with pytest.raises(StoreError, match="not (read|recorded): .* has the old one open"):
            courier.deliver(evidence("second"))
    assert line.taken == ["first"]


@on_posix
@every_way
def test_a_courier_tells_who_submits_and_sends_nothing(
    path: Path, way: Callable[[Path], None]
) -> None:
    house = House(path)

    async def story() -> None:
        async with house.courier() as courier:
            await courier.submit(evidence("first")).settled(timeout=30)
            way(path)
            with pytest.raises(StoreError, match="has the old one open: stop every courier"):
                await courier.submit(evidence("second")).recorded()
            with pytest.raises(StoreError, match="has the old one open"):
                await courier.health()

    asyncio.run(story())
    assert [name for name, _ in house.server.held] == ["first"]
