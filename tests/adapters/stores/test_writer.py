"""Commits are shared, answers are each caller's own, and nothing that a store does stops the
thread."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import pytest
from attrs import evolve

from evidence_courier.adapters.stores.sqlite import SqliteStore, open_for_reading
from evidence_courier.adapters.stores.writer import WriterThread
from evidence_courier.domain.errors import CourierError, MisuseError, StoreError
from evidence_courier.domain.upload.find import Find
from evidence_courier.ports.records import (
    AddAnswer,
    Added,
    AnyChange,
    BeginAnswer,
    Begun,
    Change,
    Conflict,
    Entry,
    Known,
    SaveAnswer,
    Saved,
    Start,
)
from evidence_courier.ports.store import UploadStore
from evidence_courier.ports.writer import Writer
from evidence_courier.testing.contracts.stored import AT, delivered, entry, started
from evidence_courier.testing.inline_writer import InlineWriter
from evidence_courier.testing.memory_store import MemoryStore

T = TypeVar("T")


class WatchedStore(MemoryStore):
    """Remembers its calls. While it is shut, a call waits; what is to be raised for an evidence
    is data."""

    def __init__(self, raises: dict[str, BaseException] | None = None) -> None:
        super().__init__()
        self.calls: list[tuple[str, int]] = []
        self.busy = threading.Event()
        self.open = threading.Event()
        self.open.set()
        self._raises = raises or {}

    def add(self, entries: Sequence[Entry]) -> Sequence[AddAnswer]:
        self._called("add", [new.upload.key.evidence_id for new in entries])
        return super().add(entries)

    def begin(self, turns: Sequence[Sequence[Start]]) -> Sequence[Sequence[BeginAnswer]]:
        self._called("begin", [start.upload.key.evidence_id for turn in turns for start in turn])
        return super().begin(turns)

    def save(self, changes: Sequence[AnyChange]) -> Sequence[SaveAnswer]:
        names = [one.upload.key.evidence_id for one in changes if isinstance(one, Change)]
        self._called("save", names)
        return super().save(changes)

    def _called(self, verb: str, evidence_ids: list[str]) -> None:
        self.calls.append((verb, len(evidence_ids)))
        self.busy.set()
        assert self.open.wait(30)
        for evidence_id in evidence_ids:
            if evidence_id in self._raises:
                raise self._raises[evidence_id]

    @contextmanager
    def shut(self) -> Iterator[None]:
        """Let calls wait until the end of the block."""
        self.busy.clear()
        self.open.clear()
        try:
            yield
        finally:
            self.open.set()


class TransactionalStore(WatchedStore):
    """One that counts its transactions, and can be asked to have none just now."""

    def __init__(self) -> None:
        super().__init__()
        self.transactions = 0
        self.locked = False

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self.transactions += 1
        if self.locked:
            raise StoreError("somebody else is writing")
        yield


def added(writer: Writer, new: Entry) -> Awaitable[AddAnswer]:
    """The answer to one entry, which is asked for at once."""
    asked = writer.add([new])

    async def answer() -> AddAnswer:
        (one,) = await asked
        if isinstance(one, CourierError):
            raise one
        return one

    return answer()


async def answers_of(writes: Sequence[Awaitable[T]]) -> list[T | BaseException]:
    """What each came to, the errors among the answers."""
    return await asyncio.gather(*writes, return_exceptions=True)


def with_writer(store: UploadStore, story: Callable[[WriterThread], Awaitable[T]]) -> T:
    """Run a story on a loop, with a writer that is closed at its end."""

    async def told() -> T:
        writer = WriterThread(store)
        try:
            async with asyncio.timeout(30):
                return await story(writer)
        finally:
            await asyncio.to_thread(writer.close)

    return asyncio.run(told())


async def while_busy(
    store: WatchedStore, writer: WriterThread, ask: Callable[[], Sequence[Awaitable[T]]]
) -> list[T]:
    """What is answered to what was asked for while one commit was under way."""
    with store.shut():
        first = added(writer, entry("first", content=None))
        await asyncio.to_thread(store.busy.wait)
        asked = ask()
    await first
    return await asyncio.gather(*asked)


@pytest.mark.parametrize("writer_of", [InlineWriter, WriterThread])
def test_a_writer_gives_the_answers_of_its_store(
    writer_of: Callable[[UploadStore], Writer],
) -> None:
    async def story() -> None:
        writer = writer_of(MemoryStore())
        new = entry()
        begin = started(new.upload)
        end = delivered(begin.upload)
        assert await added(writer, new) == Added()
        assert await added(writer, new) == Known(new.upload, new.dossier.submitted_digest)
        assert await writer.begin([[begin]]) == [[Begun(new.content)]]
        assert await writer.begin([[begin]]) == [[Conflict(begin.upload)]]
        assert await writer.save([end]) == [Saved()]
        assert await writer.run(lambda: 7) == 7
        writer.close()
        writer.close()
        with pytest.raises(StoreError, match="closed"):
            await writer.save([end])

    asyncio.run(story())


@pytest.mark.parametrize("writer_of", [InlineWriter, WriterThread])
def test_what_a_store_refuses_is_refused_by_the_writer(
    writer_of: Callable[[UploadStore], Writer],
) -> None:
    async def story() -> None:
        store = MemoryStore()
        store.fail_next("add")
        writer = writer_of(store)
        with pytest.raises(StoreError, match="a fault was asked for"):
            await added(writer, entry())
        assert await added(writer, entry()) == Added()
        writer.close()

    asyncio.run(story())


@pytest.mark.parametrize("writer_of", [InlineWriter, WriterThread])
def test_a_surprise_becomes_a_store_error_and_a_misuse_stays_one(
    writer_of: Callable[[UploadStore], Writer],
) -> None:
    def misuse() -> None:
        raise MisuseError("who and why are needed")

    async def story() -> None:
        writer = writer_of(WatchedStore({"ev-1": ZeroDivisionError("division by zero")}))
        with pytest.raises(StoreError, match="unexpected way: ZeroDivisionError: division by zero"):
            await added(writer, entry())
        with pytest.raises(MisuseError, match="who and why"):
            await writer.run(misuse)
        writer.close()

    asyncio.run(story())


# --- sharing a commit ----------------------------------------------------------------------------


def test_what_gathers_during_a_commit_shares_the_next_one() -> None:
    store = TransactionalStore()

    async def story(writer: WriterThread) -> list[AddAnswer]:
        return await while_busy(
            store,
            writer,
            lambda: [added(writer, entry(f"ev-{n}", content=None)) for n in range(100)],
        )

    assert with_writer(store, story) == [Added()] * 100
    assert store.calls == [("add", 1), ("add", 100)]
    assert store.transactions == 2


def test_attempts_and_outcomes_go_before_new_uploads_in_a_transaction() -> None:
    store = TransactionalStore()
    one, two = entry("one"), entry("two")
    store.add([one, two])
    begin = started(one.upload)
    store.begin([[begin]])

    async def story(writer: WriterThread) -> list[object]:
        return await while_busy(
            store,
            writer,
            lambda: [
                added(writer, entry("three")),
                writer.save([delivered(begin.upload)]),
                writer.begin([[started(two.upload)]]),
                added(writer, entry("four")),
            ],
        )

    store.calls.clear()
    assert with_writer(store, story) == [
        Added(),
        [Saved()],
        [[Begun(two.content)]],
        Added(),
    ]
    assert store.calls == [("add", 1), ("begin", 1), ("save", 1), ("add", 2)]
    assert store.transactions == 2


def test_a_commit_takes_512_changes_and_leaves_the_rest_to_the_next() -> None:
    store = WatchedStore()

    async def story(writer: WriterThread) -> list[AddAnswer]:
        return await while_busy(
            store,
            writer,
            lambda: [added(writer, entry(f"ev-{n}", content=None)) for n in range(600)],
        )

    assert with_writer(store, story) == [Added()] * 600
    assert store.calls == [("add", 1), ("add", 512), ("add", 88)]


def test_a_commit_takes_8_mib_of_documents_and_leaves_the_rest_to_the_next() -> None:
    store = WatchedStore()
    three_mib = bytes(3 * 2**20)

    async def story(writer: WriterThread) -> list[AddAnswer]:
        return await while_busy(
            store,
            writer,
            lambda: [added(writer, entry(f"ev-{n}", content=three_mib)) for n in range(7)],
        )

    assert with_writer(store, story) == [Added()] * 7
    assert store.calls == [("add", 1), ("add", 3), ("add", 3), ("add", 1)]


# --- what goes wrong -----------------------------------------------------------------------------


def test_one_that_cannot_be_written_fails_alone(sqlite: SqliteStore) -> None:
    new = [entry(f"ev-{n}", content=None) for n in range(40)]
    new[17] = evolve(new[17], dossier=evolve(new[17].dossier, subject="\ud800"))

    async def story(writer: WriterThread) -> list[AddAnswer | BaseException]:
        return await answers_of([added(writer, item) for item in new])

    answers = with_writer(sqlite, story)
    refused = answers.pop(17)
    assert answers == [Added()] * 39
    assert isinstance(refused, StoreError)
    assert "acme/ev-17 to sprinto not recorded" in str(refused)
    assert len(sqlite.find(Find(), AT).uploads) == 39


def test_the_others_are_not_written_twice_though_they_are_tried_again(sqlite: SqliteStore) -> None:
    new = [entry(f"ev-{n}") for n in range(5)]
    sqlite.add(new)
    begins = [started(item.upload) for item in new]
    sqlite.begin([begins])
    ends = [delivered(begin.upload) for begin in begins]
    assert ends[2].attempt is not None
    ends[2] = evolve(ends[2], attempt=evolve(ends[2].attempt, request_id="\ud800"))

    async def story(writer: WriterThread) -> Sequence[SaveAnswer | BaseException]:
        return await writer.save(ends)

    answers = with_writer(sqlite, story)
    assert [type(answer) for answer in answers] == [Saved, Saved, StoreError, Saved, Saved]
    histories = []
    for item in new:
        details = sqlite.show("acme", item.upload.key.evidence_id, AT)
        assert details is not None
        histories.append(len(details.history))
    assert histories == [1, 1, 0, 1, 1]


@pytest.mark.parametrize(
    "surprise",
    [
        ZeroDivisionError(),
        StopIteration(),
        SystemExit(1),
        KeyboardInterrupt(),
        MemoryError(),
        GeneratorExit(),
    ],
    ids=lambda surprise: type(surprise).__name__,
)
def test_what_a_store_raises_reaches_its_caller_and_the_thread_goes_on(
    surprise: BaseException,
) -> None:
    store = WatchedStore({"bad": surprise})

    async def story(writer: WriterThread) -> list[AddAnswer | BaseException]:
        return await answers_of([added(writer, entry(name)) for name in ("bad", "good", "bad")])

    first, second, third = with_writer(store, story)
    assert second == Added()
    assert isinstance(first, StoreError)
    assert isinstance(third, StoreError)
    assert type(surprise).__name__ in str(first)


def test_a_store_that_does_not_answer_for_each_is_not_believed() -> None:
    class Forgetful(MemoryStore):
        def add(self, entries: Sequence[Entry]) -> Sequence[AddAnswer]:
            return super().add(entries)[1:]

    async def story(writer: WriterThread) -> list[AddAnswer | BaseException]:
        return await answers_of([added(writer, entry(f"ev-{n}")) for n in range(3)])

    assert {type(answer) for answer in with_writer(Forgetful(), story)} == {StoreError}


def test_a_database_that_cannot_be_had_is_not_asked_again_for_each() -> None:
    store = TransactionalStore()

    async def story(writer: WriterThread) -> list[AddAnswer | BaseException]:
        with store.shut():
            first = added(writer, entry("first"))
            await asyncio.to_thread(store.busy.wait)
            writes = [added(writer, entry(f"ev-{n}")) for n in range(50)]
            store.locked = True
        await first
        return await answers_of(writes)

    answers = with_writer(store, story)
    assert [str(answer) for answer in answers] == ["somebody else is writing"] * 50
    assert (
        len({id(answer) for answer in answers}) == 50
    )  # an error that many raise gathers all their tracebacks
    assert store.transactions == 2


# --- coming and going ----------------------------------------------------------------------------


def test_who_stops_waiting_does_not_undo_the_write_nor_stop_the_others() -> None:
    store = WatchedStore()

    async def story(writer: WriterThread) -> AddAnswer:
        with store.shut():
            impatient = writer.add([entry("one")])
            patient = added(writer, entry("two"))
            await asyncio.to_thread(store.busy.wait)
            impatient.cancel()
        return await patient

    assert with_writer(store, story) == Added()
    assert store.counts().keys() and len(store.find(Find(), AT).uploads) == 2


def test_closing_writes_what_was_asked_for() -> None:
    store, before = WatchedStore(), {*threading.enumerate()}

    async def story() -> list[AddAnswer]:
        writer = WriterThread(store)
        with store.shut():
            writes = [added(writer, entry(f"ev-{n}")) for n in range(20)]
            closed = asyncio.ensure_future(asyncio.to_thread(writer.close))
            await asyncio.to_thread(store.busy.wait)
        await closed
        return await asyncio.gather(*writes)

    assert asyncio.run(story()) == [Added()] * 20
    assert not [
        thread
        for thread in {*threading.enumerate()} - before
        if thread.name == "evidence-courier-writer"
    ]


def test_a_loop_that_is_gone_before_its_answer_harms_no_other() -> None:
    store = WatchedStore()
    writers: list[WriterThread] = []

    async def leave() -> None:
        writers.append(WriterThread(store))
        writers[0].add([entry("one")])
        await asyncio.to_thread(store.busy.wait)

    async def stay() -> AddAnswer:
        async with asyncio.timeout(30):
            return await added(writers[0], entry("two"))

    with store.shut():
        asyncio.run(leave())
    try:
        assert asyncio.run(stay()) == Added()
    finally:
        writers[0].close()
    assert len(store.find(Find(), AT).uploads) == 2


def test_a_program_that_never_closes_its_writer_keeps_what_it_asked_for(
    database: str,
) -> None:
    """And it ends."""
    program = (
        "import asyncio, sys\n"
        "from evidence_courier.adapters.stores.sqlite import SqliteStore\n"
        "from evidence_courier.adapters.stores.writer import WriterThread\n"
        "from evidence_courier.testing.contracts.stored import entry\n"
        "async def main():\n"
        "    writer = WriterThread(SqliteStore(sys.argv[1]))\n"
        "    await writer.add([entry('one')])\n"
        "    writer.add([entry('two')])\n"
        "asyncio.run(main())\n"
    )
    subprocess.run(
        [sys.executable, "-c", program, database],
        check=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    with open_for_reading(database) as reader:
        assert {upload.evidence_id for upload in reader.find(Find(), AT).uploads} == {"one", "two"}


def test_a_thread_can_still_write_after_the_main_thread_has_ended(
    database: str,
) -> None:
    """The program waits for that thread."""
    program = (
        "import asyncio, sys, threading\n"
        "from evidence_courier.adapters.stores import writer\n"
        "from evidence_courier.adapters.stores.sqlite import SqliteStore\n"
        "from evidence_courier.testing.contracts.stored import entry\n"
        "writer._IDLE = 0.01\n"
        "async def late():\n"
        "    thread = writer.WriterThread(SqliteStore(sys.argv[1]))\n"
        "    threading.main_thread().join()\n"
        "    await asyncio.sleep(20 * writer._IDLE)\n"
        "    print(*await thread.add([entry('late')]))\n"
        "    thread.close()\n"
        "threading.Thread(target=asyncio.run, args=(late(),)).start()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, database],
        check=True,
        timeout=60,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert (done.stdout, done.stderr) == ("Added()\n", "")
