"""Large documents in files beside the database: there before the commit that names them, gone with
success, and never lost in between."""

from __future__ import annotations

import asyncio
import gc
import os
import re
import sqlite3
import stat
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from store_fixtures import House, PaperServer, evidence

from evidence_courier import Document, Evidence, StoreError
from evidence_courier.adapters.stores.sqlite import SqliteStore, documents, room
from evidence_courier.adapters.stores.sqlite.documents import (
    IN_MEMORY,
    LEFT_AFTER,
    READ_WITHIN,
    DocumentFolder,
)
from evidence_courier.adapters.stores.sqlite.inspection import inspect
from evidence_courier.domain.integration import Route
from evidence_courier.domain.upload.upload import with_digest
from evidence_courier.ports.dialogue import HttpRequest, HttpResponse
from evidence_courier.ports.documents import LARGE
from evidence_courier.ports.records import Added, Begun, Change, Entry, Known, MadeDocument, Saved
from evidence_courier.testing import until_settled
from evidence_courier.testing.contracts.stored import AT, delivered, entry, started

PDF = b"%PDF-1.7 ".ljust(LARGE + 1, b".")
NAME = re.compile(r"[0-9a-f]{32}-[0-9]+")


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "courier.db")


def files(database: Path | str) -> list[Path]:
    """The documents that are files."""
    folder = Path(f"{database}-documents")
    return sorted(path for path in folder.glob("*") if NAME.fullmatch(path.name))


def in_database(database: Path | str) -> list[int]:
    """How large the documents are that are in the database."""
    with closing(sqlite3.connect(database)) as db:
        return [size for (size,) in db.execute("SELECT length(content) FROM documents")]


def filed(store: SqliteStore, evidence_id: str = "ev-1", content: bytes = PDF) -> Entry:
    """A new upload whose document is a file."""
    new = entry(evidence_id, content=content)
    document = evolve(new.dossier.document, file=store.documents.keep([content]))
    return evolve(new, dossier=evolve(new.dossier, document=document), content=None)


def large(evidence_id: str = "ev-1", **document: object) -> Evidence:
    """Evidence with a large document."""
    given = Document(**{"content": PDF, "media_type": "application/pdf", **document})  # type: ignore[arg-type]
    return evolve(evidence(evidence_id), document=given)


@contextmanager
def aged(path: str, by: float = LEFT_AFTER + 1) -> Iterator[None]:
    """What is in the folder is older."""
    for file in os.scandir(f"{path}-documents"):
        if file.is_file():
            then = time.time() - by
            os.utime(file.path, (then, then))
    yield


# --- from submit to success ----------------------------------------------------------------------


def test_a_large_document_is_a_file_until_it_has_succeeded(house: House) -> None:
    async def story() -> None:
        async with house.courier() as courier:
            house.server.answer = lambda _id, nth: 503 if nth == 1 else 200
            ticket = courier.submit(large("Jane Doe"))
            await ticket.recorded()
            [file] = files(house.database)
            assert stat.S_IMODE(file.stat().st_mode) == 0o600
            assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
            assert file.read_bytes() == PDF
            assert in_database(house.database) == []
            assert inspect(str(house.database)).breaches == ()
            [status] = await until_settled(courier, house.clock, ticket)
            assert status is not None
            assert (status.status, status.attempts) == ("succeeded", 2)
            assert files(house.database) == []

    asyncio.run(story())
    assert house.server.held == [("Jane Doe", PDF)]
    assert inspect(str(house.database)).breaches == ()


@pytest.mark.parametrize(("size", "files_kept"), [(LARGE, 0), (LARGE + 1, 1)])
def test_what_is_small_stays_in_the_database(house: House, size: int, files_kept: int) -> None:
    async def story() -> None:
        async with house.courier(keep_documents=True) as courier:
            ticket = courier.submit(large(content=bytes(size)))
            await until_settled(courier, house.clock, ticket)

    asyncio.run(story())
    assert len(files(house.database)) == files_kept
    assert in_database(house.database) == [size] * (1 - files_kept)
    assert inspect(str(house.database)).breaches == ()


def test_a_file_that_is_given_by_its_path_is_copied(house: House, tmp_path: Path) -> None:
    path = tmp_path / "evidence.pdf"
    path.write_bytes(PDF * 7)

    async def story() -> None:
        async with house.courier(keep_documents=True) as courier:
            ticket = courier.submit(large(content=None, path=str(path)))
            await ticket.recorded()
            path.unlink()
            [status] = await until_settled(courier, house.clock, ticket)
            assert status is not None
            assert status.digest == sha256(PDF * 7).hexdigest()

    asyncio.run(story())
    assert [file.read_bytes() for file in files(house.database)] == [PDF * 7]


def test_commits_of_others_do_not_wait_for_a_large_file(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = documents._write  # pyright: ignore[reportPrivateUsage]
    writing, go_on = threading.Event(), threading.Event()

    def slow(file: int, chunk: bytes) -> None:
        writing.set()
        assert go_on.wait(30)
        write(file, chunk)

    monkeypatch.setattr(documents, "_write", slow)

    async def story() -> None:
        async with house.courier() as courier:
            big = courier.submit(large("big"))
            assert await asyncio.to_thread(writing.wait, 30)
            small = courier.submit(evidence("small"))
            await asyncio.wait_for(small.recorded(), 30)
            status = await asyncio.wait_for(small.settled(), 30)
            assert status is not None
            assert status.status == "succeeded"
            go_on.set()
            await big.recorded()
            await until_settled(courier, house.clock, big)

    asyncio.run(story())
    assert [name for name, _ in house.server.held] == ["small", "big"]


def test_nothing_of_a_document_stays_in_memory_once_it_is_sent(house: House) -> None:
    """Not even in a sender that waits for the next one."""
    requests: list[weakref.ref[HttpRequest]] = []

    class Server(PaperServer):
        async def send(self, request: HttpRequest, route: Route) -> Any:
            requests.append(weakref.ref(request))
            return HttpResponse(200, (), b"", self.clock.now())

    house.server = Server(house.clock)

    async def story() -> None:
        async with house.courier() as courier:
            tickets = [courier.submit(large(f"ev-{number}")) for number in range(3)]
            await until_settled(courier, house.clock, *tickets)
            assert [request() for request in requests] == [None] * 3

    gc.disable()
    try:
        asyncio.run(story())
    finally:
        gc.enable()


def in_memory(path: Path) -> bool:
    """Whether the system holds the beginning of a file in memory."""
    file = os.open(path, os.O_RDONLY)
    try:
        return os.preadv(file, [bytearray(1)], 0, os.RWF_NOWAIT) == 1
    except BlockingIOError:
        return False
    finally:
        os.close(file)


def is_memory(folder: Path) -> bool:
    """Whether files in a folder are in memory all the time."""
    path = folder / "a file"
    with path.open("wb") as file:
        file.write(PDF)
        file.flush()
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return in_memory(path)


@pytest.mark.skipif(not hasattr(os, "RWF_NOWAIT"), reason="it cannot be seen here")
def test_what_waits_behind_other_files_takes_no_memory(sqlite: SqliteStore, database: str) -> None:
    def written(number: int) -> list[Path]:
        names = [sqlite.documents.keep([PDF]) for _ in range(number)]
        return [Path(f"{database}-documents", name) for name in names]

    if is_memory(Path(database).parent):
        pytest.skip("the file system is itself in memory")
    first, late = written(IN_MEMORY), written(2)
    assert list(map(in_memory, first)) == [True] * IN_MEMORY
    assert list(map(in_memory, late)) == [False] * 2
    assert sqlite.documents.read("acme", first[0].name) == PDF
    sqlite.documents.remove([first[1].name])
    assert list(map(in_memory, written(3))) == [True, True, False]
    assert sqlite.documents.read("acme", late[0].name) == PDF


@pytest.mark.skipif(not hasattr(os, "RWF_NOWAIT"), reason="it cannot be seen here")
def test_a_file_that_this_courier_does_not_read_takes_no_place_for_long(
    sqlite: SqliteStore, database: str
) -> None:
    def written() -> Path:
        return Path(f"{database}-documents", sqlite.documents.keep([PDF]))

    if is_memory(Path(database).parent):
        pytest.skip("the file system is itself in memory")
    delivered, waiting, *_ = [written() for _ in range(IN_MEMORY)]
    assert not in_memory(written())
    with closing(SqliteStore(database)) as another:
        another.documents.remove([delivered.name])
    assert list(map(in_memory, [written(), written()])) == [True, False]
    long_ago = waiting.stat().st_mtime - READ_WITHIN
    os.utime(waiting, (long_ago, long_ago))
    assert list(map(in_memory, [written(), written()])) == [True, False]


def test_what_is_submitted_again_leaves_no_second_file(house: House) -> None:
    house.server.answer = lambda _id, nth: 503 if nth < 3 else 200

    async def story() -> None:
        async with house.courier() as courier:
            tickets = []
            for content in (PDF, PDF, PDF + b"another"):
                tickets.append(courier.submit(large(content=content)))
                await tickets[-1].recorded()
            assert [file.read_bytes() for file in files(house.database)] == [PDF]
            await until_settled(courier, house.clock, *tickets)
            assert files(house.database) == []

    asyncio.run(story())


@pytest.mark.parametrize("damage", ["missing", "changed"])
def test_without_its_file_an_upload_fails_until_that_is_back(house: House, damage: str) -> None:
    house.server.answer = lambda _id, nth: 503 if nth == 1 else 200

    async def story() -> None:
        async with house.courier() as courier:
            ticket = courier.submit(large())
            await ticket.recorded()
            [file] = files(house.database)
            content = file.read_bytes()
            if damage == "missing":
                file.unlink()
            else:
                file.write_bytes(content[:-1] + b"!")
            [status] = await until_settled(courier, house.clock, ticket)
            assert status is not None
            assert status.error is not None
            assert (status.status, status.error.kind) == ("failed", "document_gone")
            assert file.name in status.error.message
            assert "put it there from a backup, then retry" in status.error.message
            file.write_bytes(content)
            await courier.retry("acme", "ev-1", by="an admin", reason="it is back")
            [status] = await until_settled(courier, house.clock, courier.submit(large()))
            assert status is not None
            assert status.status == "succeeded"

    asyncio.run(story())
    assert house.server.held == [("ev-1", PDF)]


def test_a_worker_of_a_task_queue_keeps_files_as_well(house: House) -> None:
    sent: list[bytes] = []

    class Transport:
        def send(self, request: HttpRequest, route: Route) -> HttpResponse:
            [file] = files(house.database)
            sent.append(file.read_bytes())
            assert b"".join(request.body) == PDF
            return HttpResponse(200, (), b"", house.clock.now())

        def close(self) -> None:
            pass

    with house.blocking_courier(transport=Transport()) as courier:
        delivery = courier.deliver(large())
        assert delivery.status is not None
        assert delivery.status.status == "succeeded"
    assert (sent, files(house.database)) == ([PDF], [])


# --- a folder that cannot be used ----------------------------------------------------------------


def link(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    elsewhere = folder.parent / "elsewhere"
    elsewhere.mkdir()
    folder.symlink_to(elsewhere)
    return "is a link or a file, and must be a folder of its own"


def full(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(room, "free", lambda folder: LARGE)
    return "its disk has only 131,072 bytes left; free some space"


@pytest.mark.parametrize("spoil", [link, full])
def test_a_folder_that_cannot_be_used_is_refused_in_words(
    sqlite: SqliteStore,
    database: str,
    monkeypatch: pytest.MonkeyPatch,
    spoil: Callable[[Path, pytest.MonkeyPatch], str],
) -> None:
    folder = Path(f"{database}-documents")
    words = spoil(folder, monkeypatch)
    with pytest.raises(StoreError, match=words) as caught:
        sqlite.documents.keep([PDF])
    assert caught.value.passing
    assert [path.name for path in folder.iterdir() if NAME.fullmatch(path.name)] == []


def test_with_a_link_at_its_place_documents_stay_in_the_database(house: House) -> None:
    folder = Path(f"{house.database}-documents")
    folder.parent.joinpath("elsewhere").mkdir()
    folder.symlink_to(folder.parent / "elsewhere")

    async def story() -> None:
        async with house.courier() as courier:
            await until_settled(courier, house.clock, courier.submit(large()))

    asyncio.run(story())
    assert house.server.held == [("ev-1", PDF)]
    assert list((folder.parent / "elsewhere").iterdir()) == []


def test_on_a_full_disk_nothing_is_acknowledged_until_it_has_room(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        async with house.courier(keep_documents=True) as courier:
            with monkeypatch.context() as short:
                short.setattr(room, "free", lambda folder: LARGE)
                ticket = courier.submit(large())
                with pytest.raises(StoreError, match="its disk has only .* free some space"):
                    await ticket.recorded()
                assert files(house.database) == []
            await until_settled(courier, house.clock, courier.submit(large()))

    asyncio.run(story())
    assert house.server.held == [("ev-1", PDF)]
    assert [file.read_bytes() for file in files(house.database)] == [PDF]
    assert in_database(house.database) == []


def test_what_its_chunks_raise_is_raised_and_leaves_no_file(
    sqlite: SqliteStore, database: str
) -> None:
    def chunks() -> Iterable[bytes]:
        yield PDF
        raise OSError("the other disk has failed")

    with pytest.raises(OSError, match="the other disk has failed"):
        sqlite.documents.keep(chunks())
    assert files(database) == []


def test_a_name_that_leads_elsewhere_is_not_read(sqlite: SqliteStore, database: str) -> None:
    sqlite.documents.keep([PDF])
    for name in ("../courier.db", "/etc/hostname", ""):
        with pytest.raises(FileNotFoundError):
            sqlite.documents.read("acme", name)


# --- in the store --------------------------------------------------------------------------------


def test_a_large_document_in_an_older_database_is_read_as_before(sqlite: SqliteStore) -> None:
    new = entry(content=PDF)
    sqlite.add([new])
    assert sqlite.begin([[started(new.upload)]]) == [[Begun(PDF)]]


def test_staged_documents_are_read_from_their_files(sqlite: SqliteStore) -> None:
    new = filed(sqlite)
    key = new.upload.key
    assert sqlite.add([new]) == [Added()]
    assert sqlite.get([key], staged=True)[key].content == PDF
    assert sqlite.get([key])[key].content is None
    sqlite.documents.remove([new.dossier.document.file or ""])
    assert sqlite.get([key], staged=True)[key].content is None


def test_a_document_that_is_made_takes_the_place_of_its_file(
    sqlite: SqliteStore, database: str
) -> None:
    new = filed(sqlite)
    sqlite.add([new])
    stored = evolve(new.dossier.document, file=sqlite.documents.keep([PDF + b"made"]))
    after = with_digest(new.upload, "a digest", AT)
    assert sqlite.save([Change(after, document=MadeDocument(stored, None))]) == [Saved()]
    assert [file.read_bytes() for file in files(database)] == [PDF + b"made"]
    small = MadeDocument(evolve(stored, file=None), b"small")
    assert sqlite.save([Change(with_digest(after, "d", AT), document=small)]) == [Saved()]
    assert files(database) == []


def test_a_file_outlasts_a_commit_that_fails(sqlite: SqliteStore, database: str) -> None:
    new = filed(sqlite)
    sqlite.add([new])
    begin = started(new.upload)
    sqlite.begin([[begin]])

    def fail() -> None:
        with sqlite.transaction():
            sqlite.save([delivered(begin.upload)])
            raise StoreError("what comes after it fails")

    with pytest.raises(StoreError, match="what comes after"):
        fail()
    assert len(files(database)) == 1
    assert sqlite.save([delivered(begin.upload)]) == [Saved()]
    assert files(database) == []


def test_the_same_entry_once_more_keeps_its_file(sqlite: SqliteStore, database: str) -> None:
    new = filed(sqlite)
    sqlite.add([new])
    [answer] = sqlite.add([new])
    assert isinstance(answer, Known)
    assert len(files(database)) == 1


# --- what was left behind ------------------------------------------------------------------------


def tidied(database: str) -> list[str]:
    """Have another courier look through the folder; what has been moved aside."""
    with closing(SqliteStore(database, monotonic=lambda: 1.0)) as other:
        courier_id = None
        for _ in range(3):
            courier_id = other.heartbeat(courier_id, AT.now(AT.tzinfo))
        other.unregister(courier_id or 0)
    return sorted(path.name for path in Path(f"{database}-documents", "aside").glob("*"))


def left_by_a_dead_courier(database: str) -> str:
    """A file that no record names, as a courier leaves it that is killed before its commit."""
    folder = DocumentFolder(database)
    name = folder.keep([PDF])
    lock = folder._lock  # pyright: ignore[reportPrivateUsage]
    assert lock is not None
    lock.let_go()
    return name


def test_a_file_without_a_record_is_moved_aside(sqlite: SqliteStore, database: str) -> None:
    known, left = filed(sqlite), left_by_a_dead_courier(database)
    sqlite.add([known])
    with aged(database):
        [breach] = inspect(database).breaches
        assert f"{left} belongs to no upload" in str(breach)
        assert tidied(database) == [left]
    assert [file.name for file in files(database)] == [known.dossier.document.file]
    assert inspect(database).breaches == ()
    assert sqlite.documents.read("acme", left) == PDF  # a restored record may name it
    assert len(list(Path(f"{database}-documents").glob("*.lock"))) == 1


def test_a_file_of_a_living_courier_is_left_to_it(sqlite: SqliteStore, database: str) -> None:
    sqlite.documents.keep([PDF])
    with aged(database):
        assert tidied(database) == []
        assert inspect(database).breaches == ()


def test_a_file_that_is_not_an_hour_old_is_left(sqlite: SqliteStore, database: str) -> None:
    left_by_a_dead_courier(database)
    with aged(database, LEFT_AFTER - 100):
        assert tidied(database) == []
        assert inspect(database).breaches == ()


def test_a_file_that_outlasted_its_success_is_removed(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(SqliteStore(database)) as store:
        new = filed(store)
        store.add([new])
        begin = started(new.upload)
        store.begin([[begin]])
        with monkeypatch.context() as killed:
            killed.setattr(store.documents, "remove", lambda names: None)
            store.save([delivered(begin.upload)])
    assert len(files(database)) == 1
    with aged(database):
        assert tidied(database) == []
    assert files(database) == []


def test_inspection_names_an_upload_whose_file_is_missing(
    sqlite: SqliteStore, database: str
) -> None:
    for number in range(3):
        sqlite.add([filed(sqlite, f"ev-{number}")])
    files(database)[0].unlink()
    files(database)[0].write_bytes(b"cut short")
    told = [str(breach) for breach in inspect(database).breaches]
    assert [line.split(":")[0] for line in told] == [
        "acme/ev-0 to sprinto",
        "acme/ev-1 to sprinto",
    ]
    assert all("is missing, or has another size: put it there" in line for line in told)
