"""When the database cannot do what it is asked: nothing is half-written, and the error says what
to do."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from attrs import evolve
from reachable_store import ReachableStore

from evidence_courier.adapters.stores.sqlite import SqliteStore, database, open_for_reading
from evidence_courier.adapters.stores.sqlite.opening import writing_connection
from evidence_courier.domain.errors import StoreError
from evidence_courier.domain.upload.find import Find
from evidence_courier.domain.upload.upload import Sending, Upload
from evidence_courier.ports.records import Added, Begun, Entry, Saved
from evidence_courier.testing.contracts.stored import AT, delivered, entry, started

HALF_A_CHARACTER = "\ud800"


class LameStore(ReachableStore):
    """A store whose disk can be made to fail."""

    def leave_room(self, pages: int) -> None:
        """Have room for so many pages more, and no others."""
        (used,) = self.connection.execute("PRAGMA page_count").fetchone()
        self.connection.execute(f"PRAGMA max_page_count = {used + pages}")

    def forbid_writing(self) -> None:
        """Have every write refused."""
        self.connection.execute("PRAGMA query_only = ON")


@pytest.fixture
def lame(database: str) -> Iterator[LameStore]:
    with closing(LameStore(database, busy_timeout=0.05)) as store:
        yield store


@contextmanager
def by_hand(path: str) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


def poisoned(new: Entry) -> Entry:
    """The same with a text that no file can hold."""
    return evolve(new, dossier=evolve(new.dossier, subject=HALF_A_CHARACTER))


def test_on_a_full_disk_a_call_writes_nothing_and_the_next_may_work(
    lame: LameStore,
) -> None:
    small = entry("small")
    lame.add([small])
    lame.leave_room(64)
    large = [entry(f"large-{number}", content=bytes(100_000)) for number in range(10)]
    with pytest.raises(StoreError) as caught:
        lame.add(large)
    assert "acme/large-0 to sprinto and 9 more not recorded" in str(caught.value)
    assert "there is no room left; free some space on its disk" in str(caught.value)
    assert [upload.evidence_id for upload in lame.find(Find(), AT).uploads] == ["small"]
    assert lame.begin([[started(small.upload)]]) == [[Begun(small.content)]]
    lame.leave_room(1000)
    assert lame.add(large) == [Added()] * 10


def test_a_database_that_may_not_be_written_to_says_so(lame: LameStore) -> None:
    lame.forbid_writing()
    with pytest.raises(StoreError, match="give this process the right to write"):
        lame.add([entry()])


def test_a_database_held_by_another_process_says_so_and_works_later(
    lame: LameStore, database: str
) -> None:
    new = entry()
    with by_hand(database) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(
            StoreError, match="acme/ev-1 to sprinto not recorded: .* another process is writing"
        ):
            lame.add([new])
        assert lame.find(Find(), AT).uploads == ()  # reading goes on
    assert lame.add([new]) == [Added()]


def test_whether_another_process_has_ended_its_write_is_looked_at_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite's own wait sleeps for longer and longer: one of several busy processes starved."""
    path, naps = str(tmp_path / "courier.db"), list[float]()
    with closing(ReachableStore(path)) as store, by_hand(path) as other:
        other.execute("BEGIN IMMEDIATE")

        def nap(seconds: float) -> None:
            naps.append(seconds)
            if len(naps) == 50:
                other.execute("COMMIT")

        monkeypatch.setattr(database, "time", SimpleNamespace(sleep=nap, monotonic=lambda: 0.0))
        store.add([entry("ev-1")])
        assert len(naps) == 50
        assert max(naps) <= 0.002
        assert store.connection.execute("PRAGMA busy_timeout").fetchone() == (10_000,)


def test_a_value_that_cannot_be_stored_fails_its_call_without_a_trace(
    sqlite: SqliteStore,
) -> None:
    with pytest.raises(
        StoreError, match="acme/good to sprinto and 1 more not recorded: a value does not fit"
    ):
        sqlite.add([entry("good"), poisoned(entry("bad"))])
    assert sqlite.find(Find(), AT).uploads == ()


@pytest.mark.parametrize("settings", [{"a": object()}, {"a": float("nan")}, {"a": {1, 2}}])
def test_a_setting_that_is_no_json_value_is_refused(
    sqlite: SqliteStore, settings: dict[str, object]
) -> None:
    new = entry()
    with pytest.raises(StoreError, match="not recorded"):
        sqlite.add([evolve(new, dossier=evolve(new.dossier, settings=settings))])


def test_a_moment_without_a_time_zone_is_refused(sqlite: SqliteStore) -> None:
    new = entry()
    naive = evolve(new, dossier=evolve(new.dossier, recorded_at=AT.replace(tzinfo=None)))
    with pytest.raises(StoreError, match="does not know its time zone"):
        sqlite.add([naive])


def test_a_number_beyond_64_bits_is_refused(sqlite: SqliteStore) -> None:
    new = entry()
    sqlite.add([new])
    begin = started(new.upload)
    assert isinstance(begin.upload.state, Sending)
    state = evolve(begin.upload.state, attempt=2**63)
    with pytest.raises(StoreError, match="acme/ev-1 to sprinto attempt not begun"):
        sqlite.begin([[evolve(begin, upload=evolve(begin.upload, state=state))]])


def test_a_damaged_database_says_how_to_save_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "courier.db"
    with closing(SqliteStore(str(path))) as store:
        store.add([entry()])
    with by_hand(str(path)) as connection:
        (page,) = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'uploads'"
        ).fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)
    with (
        pytest.raises(StoreError, match="restore a backup"),
        open_for_reading(str(path)) as reader,
    ):
        reader.find(Find(), AT)


def test_a_word_that_this_code_does_not_know_is_not_guessed_at(
    sqlite: SqliteStore, database: str
) -> None:
    sqlite.add([entry()])
    with by_hand(database) as connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        connection.execute("UPDATE uploads SET state = 'asleep'")
    status = sqlite.statuses("acme", ["ev-1"], AT)["ev-1"]
    assert status.error is not None
    assert status.status == "held"
    assert "its record cannot be read (there is no state 'asleep')" in status.error.message


# --- several verbs in one transaction ------------------------------------------------------------


def begun(store: SqliteStore, new: Entry) -> Upload:
    store.add([new])
    begin = started(new.upload)
    store.begin([[begin]])
    return begin.upload


def test_what_is_written_in_one_transaction_is_written_together(
    sqlite: SqliteStore, database: str
) -> None:
    sending = begun(sqlite, entry("one"))
    two = entry("two")
    with open_for_reading(database) as elsewhere:
        with sqlite.transaction():
            assert sqlite.save([delivered(sending)]) == [Saved()]
            assert sqlite.add([two]) == [Added()]
            assert sqlite.begin([[started(two.upload)]]) == [[Begun(two.content)]]
            assert [upload.status for upload in elsewhere.find(Find(), AT).uploads] == ["pending"]
        assert [upload.status for upload in elsewhere.find(Find(), AT).uploads] == [
            "pending",
            "succeeded",
        ]


def test_when_one_verb_of_a_transaction_fails_none_is_written(sqlite: SqliteStore) -> None:
    sending = begun(sqlite, entry("one"))

    def both() -> None:
        with sqlite.transaction():
            sqlite.save([delivered(sending)])
            sqlite.add([poisoned(entry("two"))])

    with pytest.raises(StoreError, match="acme/two to sprinto not recorded"):
        both()
    assert [upload.status for upload in sqlite.find(Find(), AT).uploads] == ["pending"]
    assert sqlite.save([delivered(sending)]) == [Saved()]


# --- personal data -------------------------------------------------------------------------------


def test_nothing_of_a_removed_document_is_left_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "courier.db"
    content = b"Asha Patel, score 0.86" * 1000
    with closing(SqliteStore(str(path))) as store:
        sending = begun(store, entry(content=content))
        store.add([entry("another", content=b"another document" * 5000)])
        store.save([delivered(sending)])
    kept = path.read_bytes()
    assert b"another document" in kept
    assert b"Asha Patel" not in kept


def test_a_commit_is_on_the_disk_before_it_is_answered(database: str, sqlite: SqliteStore) -> None:
    with closing(writing_connection(database, 1.0)) as connection:
        settings = {
            name: connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in (
                "synchronous",
                "secure_delete",
                "foreign_keys",
                "wal_autocheckpoint",
                "journal_size_limit",
            )
        }
    assert settings == {
        "synchronous": 2,  # FULL
        "secure_delete": 1,
        "foreign_keys": 1,
        "wal_autocheckpoint": 8192,  # pages of 4 KiB
        "journal_size_limit": 64 * 2**20,
    }
