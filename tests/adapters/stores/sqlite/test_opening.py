"""How the database file comes to be, who may read it, and what is refused."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from evidence_courier.adapters.stores.sqlite import SqliteStore, open_for_reading
from evidence_courier.domain.errors import MisuseError, StoreError
from evidence_courier.domain.upload.find import Find
from evidence_courier.domain.upload.upload import Status
from evidence_courier.ports.records import Added
from evidence_courier.testing.contracts.stored import AT, entry

on_posix = pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")


@contextmanager
def opened_by_hand(path: str) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


def pragma(path: str, name: str) -> object:
    with opened_by_hand(path) as connection:
        return connection.execute(f"PRAGMA {name}").fetchone()[0]


def modes(folder: Path) -> dict[str, str]:
    return {file.name: oct(stat.S_IMODE(file.stat().st_mode)) for file in folder.iterdir()}


@on_posix
def test_only_its_owner_can_read_the_database_and_the_files_beside_it(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with closing(SqliteStore(str(tmp_path / "courier.db"))) as store:
            store.add([entry()])
            assert modes(tmp_path) == {
                "courier.db": "0o600",
                "courier.db-wal": "0o600",
                "courier.db-shm": "0o600",
            }
    finally:
        os.umask(before)


@on_posix
def test_an_empty_file_open_to_others_is_closed_to_them_before_its_use(
    tmp_path: Path,
) -> None:
    path = tmp_path / "courier.db"
    path.touch(0o644)
    with closing(SqliteStore(str(path))) as store:
        store.add([entry()])
        assert set(modes(tmp_path).values()) == {"0o600"}


@on_posix
def test_a_database_that_its_owner_opened_to_a_group_stays_so(database: str) -> None:
    SqliteStore(database).close()
    os.chmod(database, 0o640)
    SqliteStore(database).close()
    assert stat.S_IMODE(os.stat(database).st_mode) == 0o640


@on_posix
def test_a_link_to_a_file_not_yet_made_makes_that_file_private_too(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "courier.db").symlink_to(tmp_path / "disk" / "real.db")
    SqliteStore(str(tmp_path / "courier.db")).close()
    assert modes(tmp_path / "disk") == {"real.db": "0o600"}


def test_a_closed_store_leaves_one_file(tmp_path: Path) -> None:
    with closing(SqliteStore(str(tmp_path / "courier.db"))) as store:
        store.add([entry()])
        store.find(Find(), AT)
    assert [file.name for file in tmp_path.iterdir()] == ["courier.db"]


def test_the_records_are_found_again_at_the_next_start(database: str) -> None:
    new = entry()
    with closing(SqliteStore(database)) as store:
        store.add([new])
    with closing(SqliteStore(database)) as store:
        assert store.get([new.upload.key])[new.upload.key].upload == new.upload


def test_a_relative_path_means_the_same_file_after_the_folder_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with closing(SqliteStore("courier.db")) as store:
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        assert store.find(Find(), AT).uploads == ()
    assert not list((tmp_path / "elsewhere").iterdir())


def test_the_file_is_set_up_to_be_durable_and_to_give_room_back(
    database: str, sqlite: SqliteStore
) -> None:
    assert pragma(database, "journal_mode") == "wal"
    assert pragma(database, "auto_vacuum") == 2  # incremental


def test_a_copy_made_with_vacuum_into_is_set_up_as_the_original(
    database: str, tmp_path: Path
) -> None:
    with closing(SqliteStore(database)) as store:
        store.add([entry("ev-1")])
    copy = str(tmp_path / "copy.db")
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("VACUUM INTO ?", (copy,))
    assert pragma(copy, "journal_mode") == "delete"
    with closing(SqliteStore(copy)) as store:
        assert store.statuses("acme", ["ev-1"], AT).keys() == {"ev-1"}
    assert pragma(copy, "journal_mode") == "wal"
    assert pragma(copy, "auto_vacuum") == pragma(database, "auto_vacuum")


def test_room_that_documents_have_left_is_given_back_at_the_end(database: str) -> None:
    with closing(SqliteStore(database)) as store:
        store.add([entry(content=b"x" * 2**20)])
        with opened_by_hand(database) as connection:
            connection.execute("DELETE FROM documents")
    assert os.path.getsize(database) < 2**18


@pytest.mark.parametrize("path", ["", ":memory:"])
def test_records_that_no_file_would_keep_are_refused(path: str) -> None:
    with pytest.raises(MisuseError, match="MemoryStore"):
        SqliteStore(path)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"the folder .*/nowhere does not exist; make it"):
        SqliteStore(str(tmp_path / "nowhere" / "courier.db"))
    assert not list(tmp_path.iterdir())


def test_a_folder_in_the_place_of_the_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="it is a folder; name a file"):
        SqliteStore(str(tmp_path))


def test_a_folder_that_takes_no_file_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(**_: object) -> None:  # as /proc has it
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))

    monkeypatch.setattr(tempfile, "mkstemp", none)
    with pytest.raises(StoreError, match=f"{tmp_path} takes no file; name one in another folder$"):
        SqliteStore(str(tmp_path / "courier.db"))


def test_a_folder_that_may_not_be_entered_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    advice, database = f"give this process the right to enter {tmp_path}$", tmp_path / "courier.db"
    with pytest.raises(StoreError, match=advice), open_for_reading(str(database)):
        pass


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_to_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(StoreError, match="the right to write to"):
            SqliteStore(str(tmp_path / "courier.db"))
    finally:
        tmp_path.chmod(0o700)


def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("Buy milk, and more than sixteen bytes of it.\n" * 30)
    before = path.read_bytes()
    with pytest.raises(StoreError, match="not an SQLite database; name another file"):
        SqliteStore(str(path))
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(
    "mark", ["CREATE TABLE customers (name TEXT)", "PRAGMA application_id = 12345"]
)
def test_the_database_of_another_application_is_refused_and_left_as_it_is(
    tmp_path: Path, mark: str
) -> None:
    path = tmp_path / "other.db"
    with opened_by_hand(str(path)) as connection:
        connection.execute(mark)
        connection.execute("PRAGMA user_version = 7")
    before = path.read_bytes()
    with pytest.raises(StoreError, match="belongs to another application; name another file"):
        SqliteStore(str(path))
    assert path.read_bytes() == before


def test_a_database_that_a_newer_version_has_written_is_refused(database: str) -> None:
    SqliteStore(database).close()
    with opened_by_hand(database) as connection:
        connection.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at)"
            " VALUES ('evidence-courier', 'm999_future', '2030-01-01')"
        )
    advice = (
        r"a newer evidence-courier has written it \(m999_future\); install that version or a "
        r"later one"
    )
    with pytest.raises(StoreError, match=advice):
        SqliteStore(database)
    with pytest.raises(StoreError, match=advice), open_for_reading(database):
        pass


def test_a_database_locked_by_another_process_is_given_up_in_time(
    database: str,
) -> None:
    with opened_by_hand(database) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreError, match="another process is writing to it"):
            SqliteStore(database, busy_timeout=0.05)


def test_many_threads_may_make_the_same_database_at_once(database: str) -> None:
    def make(number: int) -> list[object]:
        with closing(SqliteStore(database)) as store:
            return list(store.add([entry(f"ev-{number}", content=None)]))

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(make, range(8)))
    assert answers == [[Added()]] * 8
    with open_for_reading(database) as reader:
        assert reader.counts()[Status.PENDING] == 8


def test_processes_may_make_the_same_database_at_once(database: str) -> None:
    script = (
        "import sys\n"
        "from evidence_courier.adapters.stores.sqlite import SqliteStore\n"
        "print('ready', flush=True)\n"
        "sys.stdin.readline()\n"
        "store = SqliteStore(sys.argv[1])\n"
        "print(sum(store.counts().values()), flush=True)\n"
        "store.close()\n"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script, database],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    # Both wait at the same line, and are let go together.
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    assert [process.communicate(timeout=60)[0] for process in processes] == ["0\n", "0\n"]


def test_a_store_opened_for_reading_changes_nothing(database: str) -> None:
    with closing(SqliteStore(database)) as store:
        store.add([entry()])
        with open_for_reading(database) as reader:
            assert reader.find(Find(), AT).uploads[0].evidence_id == "ev-1"
    with open_for_reading(database) as reader:
        assert not hasattr(reader, "add")
        assert reader.counts([Status.PENDING]) == {Status.PENDING: 1}


def test_reading_a_missing_database_makes_none(tmp_path: Path) -> None:
    with (
        pytest.raises(StoreError, match="there is no such database"),
        open_for_reading(str(tmp_path / "courier.db")),
    ):
        pass
    assert not list(tmp_path.iterdir())


def test_looking_at_a_folder_says_that_it_is_one(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is a folder"), open_for_reading(str(tmp_path)):
        pass


def test_looking_at_an_empty_file_says_that_a_courier_has_to_start_first(tmp_path: Path) -> None:
    (tmp_path / "courier.db").touch()
    with (
        pytest.raises(StoreError, match="start a courier with it once"),
        open_for_reading(str(tmp_path / "courier.db")),
    ):
        pass


READS = """
import os, sys
from evidence_courier.adapters.stores.sqlite.readers import SqliteReaders
from evidence_courier.domain.errors import StoreError

path, uid = sys.argv[1], int(sys.argv[2])
if uid:
    os.setuid(uid)
try:
    with SqliteReaders(path, 0.1).reading() as session:
        print(*(row["number"] for row in session.ask("SELECT COUNT(*) AS number FROM uploads")))
        sys.stdout.flush()
        sys.stdin.readline()
except StoreError as error:
    print(error)
"""


@contextmanager
def reading_without_rights(path: Path) -> Iterator[subprocess.Popen[str]]:
    """One who may read the file, and write neither to it nor to its folder. To root no right is
    denied, so this is another user."""
    for file in path.parent.iterdir():
        file.chmod(0o444)
    path.parent.chmod(0o555)
    uid = "65534" if os.geteuid() == 0 else "0"
    given = [sys.executable, "-c", READS, str(path), uid]
    pipe = subprocess.PIPE
    try:
        with subprocess.Popen(given, stdin=pipe, stdout=pipe, text=True) as process:
            yield process
    finally:
        path.parent.chmod(0o755)


@pytest.fixture
def folder_for_all() -> Iterator[Path]:
    """One that another user may look into."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


@on_posix
def test_a_copy_that_may_only_be_read_is_read(folder_for_all: Path) -> None:
    """By an auditor, say."""
    path = folder_for_all / "courier.db"
    with closing(SqliteStore(str(path))) as store:
        store.add([entry()])
    with reading_without_rights(path) as process:
        assert process.communicate("go on\n")[0] == "1\n"
    assert [file.name for file in folder_for_all.iterdir()] == ["courier.db"]


@on_posix
def test_a_log_that_cannot_be_read_is_not_left_out(folder_for_all: Path) -> None:
    """What was recorded last may stand there only."""
    path, copy = folder_for_all / "courier.db", folder_for_all / "copy"
    copy.mkdir()
    with closing(SqliteStore(str(path))) as store:
        store.add([entry()])
        for end in ("", "-wal"):
            shutil.copy(f"{path}{end}", copy)
    with reading_without_rights(copy / path.name) as process:
        assert "or read a copy, with the -wal file, in a folder that" in process.communicate()[0]


@on_posix
def test_what_is_written_to_while_its_file_alone_is_read_is_refused(folder_for_all: Path) -> None:
    path = folder_for_all / "courier.db"
    with closing(SqliteStore(str(path))):
        pass
    with reading_without_rights(path) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "0\n"
        folder_for_all.chmod(0o755)
        path.chmod(0o600)
        with closing(SqliteStore(str(path))) as store:
            store.add([entry()])
            assert "it was written to while it was read" in process.communicate("go on\n")[0]
