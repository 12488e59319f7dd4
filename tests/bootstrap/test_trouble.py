"""The courier when its surroundings misbehave: plug-ins, sources, hooks, stores, and a close at
the wrong moment."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import pytest
from store_fixtures import House, PaperProvider, evidence

from evidence_courier import (
    ConfigError,
    Document,
    Evidence,
    MisuseError,
    StoreError,
    Ticket,
    UploadStatus,
)
from evidence_courier.adapters.stores.sqlite import SqliteStore
from evidence_courier.domain.upload.failure import Failure, FailureKind
from evidence_courier.domain.upload.verdict import Delivered, Receipt, Rejected
from evidence_courier.ports.dialogue import Bookmark, HttpRequest
from evidence_courier.ports.logger import RecordingFailed, WriteDelayed
from evidence_courier.testing import until_settled
from evidence_courier.testing.memory_store import MemoryStore

REQUEST = HttpRequest(
    "POST", "https://paper.test/", (("evidence", "ev-1"), ("key", "k"), ("date", "d"))
)
MILLISECOND = 0.001


async def pressing_on(house: House, ticket: Ticket) -> UploadStatus:
    """What a ticket settles to while the clock runs, for stories in which an attempt itself
    waits for the clock."""
    settled = asyncio.ensure_future(ticket.settled(timeout=30))
    while not settled.done():
        house.clock.advance(1)
        await asyncio.sleep(MILLISECOND)
    status = await settled
    assert status is not None
    return status


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "courier.db")


class Garbled(PaperProvider):
    """A plug-in with a bug."""

    def __init__(self, result: object, *steps: object) -> None:
        self._result = result
        self._steps = steps

    def upload(self, parcel: object, settings: object, progress: object) -> Any:
        yield from self._steps
        if isinstance(self._result, Exception):
            raise self._result
        return self._result


@pytest.mark.parametrize(
    ("provider", "says"),
    [
        (Garbled(None), "NoneType"),
        (Garbled("ok"), "str"),
        (Garbled(Delivered(None)), "NoneType"),  # type: ignore[arg-type]
        (Garbled(Delivered(Receipt(reference=7))), "reference"),  # type: ignore[arg-type]
        (Garbled(Rejected("x")), "failure"),  # type: ignore[arg-type]
        (Garbled(Rejected(Failure(FailureKind.REFUSED, "x", retry_after="5"))), "retry_after"),  # type: ignore[arg-type]
        (Garbled(RuntimeError("a bug")), "a bug"),
        (Garbled(None, object()), "object"),
        (Garbled(None, Bookmark(object())), "bookmark"),  # type: ignore[arg-type]
    ],
)
def test_a_plug_in_with_a_bug_fails_its_uploads_in_words(
    house: House, provider: Garbled, says: str
) -> None:
    async def story() -> None:
        async with house.courier(providers={"paper": provider}) as courier:
            [status] = await until_settled(courier, house.clock, courier.submit(evidence()))
            assert status is not None
            assert status.error is not None
            assert (status.status, status.error.kind) == ("failed", "provider_broken")
            assert says in status.error.message

    asyncio.run(story())


def test_a_plug_in_that_breaks_after_it_has_sent_leaves_a_doubt(house: House) -> None:
    async def story() -> None:
        async with house.courier(
            providers={"paper": Garbled(RuntimeError("a bug"), REQUEST)}
        ) as courier:
            [status] = await until_settled(courier, house.clock, courier.submit(evidence()))
            assert status is not None
            assert status.error is not None
            assert (status.status, status.error.kind) == ("failed", "unrecognised_reply")

    asyncio.run(story())


def test_a_plug_in_that_is_no_provider_fails_its_tenants_by_name(house: House) -> None:
    class Odd(PaperProvider):
        pace = "10/min"  # type: ignore[assignment]

    with pytest.raises(ConfigError, match="pace"):
        house.courier(providers={"paper": Odd()})


class Source:
    """A document source of the host's that does as it is told."""

    def __init__(self, answer: Callable[[], object]) -> None:
        self._answer = answer

    def read(self, tenant_id: str, key: str) -> Any:
        return self._answer()


def from_source(evidence_id: str = "ev-1", tenant_id: str = "acme") -> Evidence:
    document = Document(
        source="key", sha256=sha256(b"x").hexdigest(), size=1, media_type="application/pdf"
    )
    return with_document(document, evidence_id, tenant_id)


def with_document(
    document: Document, evidence_id: str = "ev-1", tenant_id: str = "acme"
) -> Evidence:
    return Evidence(
        tenant_id=tenant_id,
        evidence_id=evidence_id,
        session_id="s",
        subject="p",
        outcome="passed",
        recorded_at=evidence().recorded_at,
        document=document,
    )


def stop() -> object:
    raise StopIteration


@pytest.mark.parametrize("answer", [lambda: bytearray(b"x"), lambda: "x", lambda: None, stop])
def test_a_source_that_gives_another_document_is_asked_again_then_given_up(
    house: House, answer: Callable[[], object]
) -> None:
    async def story() -> None:
        async with house.courier(source=Source(answer)) as courier:
            [status] = await until_settled(courier, house.clock, courier.submit(from_source()))
            assert status is not None
            assert status.error is not None
            assert (status.status, status.error.kind) == ("failed", "source_unavailable")

    asyncio.run(story())


@contextmanager
def released(event: threading.Event) -> Iterator[None]:
    try:
        yield
    finally:
        event.set()


def test_a_source_that_hangs_holds_up_no_other_tenant_and_no_close(house: House) -> None:
    until = threading.Event()

    async def story() -> None:
        courier = house.courier(source=Source(lambda: until.wait(30)))
        await courier.start()
        for number in range(20):
            courier.submit(from_source(f"hung-{number}"))
        await asyncio.sleep(0)
        # Other tenants' ready documents are prepared in batches; those wait for no source.
        status = await courier.submit(evidence("free", tenant_id="globex")).settled(timeout=20)
        assert status is not None
        assert status.status == "succeeded"
        assert await courier.statuses("globex", ["free"])
        before = time.monotonic()
        await courier.close(grace=0)
        assert time.monotonic() - before < 15

    with released(until):
        asyncio.run(story())


def test_a_path_that_is_no_regular_file_is_recorded_as_failed(house: House, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    async def story() -> None:
        async with house.courier() as courier:
            ticket = courier.submit(
                with_document(Document(path=str(tmp_path / "pipe"), media_type="application/pdf"))
            )
            (status,) = await until_settled(courier, house.clock, ticket)
            assert status is not None and status.error is not None
            assert (status.status, status.error.kind) == ("failed", "document_gone")
            assert "not a regular file" in status.error.message

    asyncio.run(story())


def test_a_path_in_a_folder_that_is_gone_is_recorded_as_failed_alone(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    (tmp_path / "a.pdf").write_bytes(b"a document")
    paths = [str(tmp_path / "a.pdf")] * 9
    paths[6] = "gone.pdf"

    async def story() -> None:
        async with house.courier() as courier:
            monkeypatch.chdir(tmp_path / "gone")
            (tmp_path / "gone").rmdir()
            tickets = [
                courier.submit(
                    with_document(Document(path=path, media_type="application/pdf"), f"ev-{number}")
                )
                for number, path in enumerate(paths)
            ]
            settled = await until_settled(courier, house.clock, *tickets)
            gone = settled[6]
            assert gone is not None and gone.error is not None
            assert (gone.status, gone.error.kind) == ("failed", "document_gone")
            assert "submit it by its full path" in gone.error.message
            assert all(one and one.status == "succeeded" for one in settled if one is not gone)

    asyncio.run(story())


class RefusesToReadOnce(MemoryStore):
    """A store that once cannot read what a document is made of."""

    refused = False

    def get(self, keys: Any, *, staged: bool = False) -> Any:
        if staged and not self.refused:
            self.refused = True
            raise StoreError("the database is locked")
        return super().get(keys, staged=staged)


def test_a_document_is_made_when_the_store_can_be_read_again(house: House, tmp_path: Path) -> None:
    path, store = tmp_path / "late.pdf", RefusesToReadOnce()
    path.mkdir()

    async def story() -> None:
        async with house.courier_on(store) as courier:
            document = Document(path=str(path), media_type="application/pdf")
            await until_settled(courier, house.clock, courier.submit(with_document(document)))
            path.rmdir()
            path.write_bytes(b"%PDF-1.7 evidence")
            await courier.retry("acme", "ev-1", by="ann", reason="the file is there now")
            status = await pressing_on(house, courier.submit(with_document(document)))
            assert (status.status, status.attempts) == ("succeeded", 1)
            assert store.refused
            assert not house.logger.of(RecordingFailed)
            assert house.logger.of(WriteDelayed)

    asyncio.run(story())


class SlowToBegin(MemoryStore):
    """A store whose disk takes its time."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = threading.Event()
        self.go_on = threading.Event()

    def begin(self, turns: Any) -> Any:
        self.asked.set()
        assert self.go_on.wait(30)
        return super().begin(turns)


def test_an_attempt_cut_off_before_it_was_sent_is_not_left_in_flight(house: House) -> None:
    store = SlowToBegin()

    async def story() -> None:
        courier = house.courier_on(store)
        await courier.start()
        courier.submit(evidence())
        await asyncio.to_thread(store.asked.wait, 30)
        closing = asyncio.create_task(courier.close(grace=0))
        await asyncio.sleep(10 * MILLISECOND)
        store.go_on.set()
        await closing
        details = store.show("acme", "ev-1", house.clock.now())
        assert details is not None
        assert [(row.verdict, row.kind) for row in details.history] == [("deferred", "not_sent")]
        assert not house.server.asked

    asyncio.run(story())


class Doubtful(MemoryStore):
    """A store that writes, and then says that it did not."""

    def __init__(self) -> None:
        super().__init__()
        self.lies = 1

    def begin(self, turns: Any) -> Any:
        answers = super().begin(turns)
        if self.lies:
            self.lies -= 1
            raise StoreError("the disk said something odd")
        return answers


def test_a_write_that_was_made_after_all_is_taken_for_its_own(house: House) -> None:
    async def story() -> None:
        async with house.courier_on(Doubtful()) as courier:
            status = await pressing_on(house, courier.submit(evidence()))
            assert (status.status, status.attempts) == ("succeeded", 2)
        assert len(house.server.held) == 1

    asyncio.run(story())


@pytest.mark.parametrize("verb", ["add", "begin", "save"])
def test_a_store_in_trouble_loses_nothing_and_says_what_was_not_recorded(
    house: House, verb: Literal["add", "begin", "save"]
) -> None:
    store = MemoryStore()
    store.fail_next(verb, times=2)

    async def story() -> None:
        async with house.courier_on(store) as courier:
            ticket = courier.submit(evidence())
            if verb == "add":
                with pytest.raises(StoreError):
                    await ticket.recorded()
                assert house.logger.of(RecordingFailed)
                ticket = courier.submit(evidence())
                with pytest.raises(StoreError):
                    await ticket.recorded()
                ticket = courier.submit(evidence())
            status = await pressing_on(house, ticket)
            assert (status.status, status.attempts) == ("succeeded", 1)
        assert len(house.server.held) == 1

    asyncio.run(story())


def test_what_a_thread_has_submitted_before_closing_is_recorded(house: House) -> None:
    async def story() -> None:
        async with house.courier() as courier:
            thread = threading.Thread(target=courier.submit, args=(evidence("from-a-thread"),))
            thread.start()
            thread.join()
        store = SqliteStore(str(house.database))
        try:
            assert store.statuses("acme", ["from-a-thread"], house.clock.now())
        finally:
            store.close()

    asyncio.run(story())


def test_a_submit_after_the_close_raises_and_is_logged(house: House) -> None:
    async def story() -> None:
        async with house.courier() as courier:
            pass
        with pytest.raises(MisuseError, match="closed"):
            await courier.submit(evidence()).recorded()
        [failed] = house.logger.of(RecordingFailed)
        assert failed.key.evidence_id == "ev-1"
        assert await courier.submit(evidence(tenant_id="initech")).settled() is None

    asyncio.run(story())


def test_calls_that_wait_raise_at_the_close(house: House) -> None:
    house.server.answer = lambda _id, _nth: 503

    async def story() -> None:
        courier = house.courier()
        await courier.start()
        await courier.submit(evidence()).recorded()
        draining = asyncio.create_task(courier.drain())
        await courier.quiet()
        known = courier.submit(evidence())
        await courier.close(grace=0)
        with pytest.raises(MisuseError, match="closed"):
            await draining
        with pytest.raises(MisuseError, match="closed"):
            await known.settled(timeout=5)

    asyncio.run(story())


def test_a_cancelled_close_is_finished_by_the_next(house: House) -> None:
    before = {*threading.enumerate()}
    house.server.answer = lambda _id, _nth: None

    async def story() -> None:
        courier = house.courier()
        await courier.start()
        ticket = courier.submit(evidence())
        await ticket.recorded()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(courier.close(grace=0.2), MILLISECOND)
        await courier.close()
        with pytest.raises(MisuseError, match="closed"):
            await ticket.settled()
        assert not [
            thread
            for thread in {*threading.enumerate()} - before
            if thread.name.startswith("evidence-courier_")
        ]

    asyncio.run(story())


def test_a_loop_that_ends_during_a_close_leaves_nothing_in_flight(house: House) -> None:
    house.server.answer = lambda _id, _nth: None
    asked: set[str] = set()
    before = {*threading.enumerate()}

    async def story() -> None:
        courier = house.courier(concurrency=4)
        await courier.start()
        tickets = [courier.submit(evidence(f"ev-{number}")) for number in range(20)]
        await asyncio.gather(*(ticket.recorded() for ticket in tickets))
        while not house.server.now_open:
            await asyncio.sleep(MILLISECOND)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(courier.close(), 50 * MILLISECOND)
        asked.update(house.server.asked)

    asyncio.run(story())
    with closing(sqlite3.connect(house.database)) as database:
        assert database.execute("SELECT 1 FROM uploads WHERE state = 'sending'").fetchall() == []
    assert set(house.server.asked) == asked  # nothing was sent any more
    left = {*threading.enumerate()} - before
    assert not [thread for thread in left if "courier-writer" in thread.name]


def test_a_hook_that_never_ends_holds_up_no_drain(house: House) -> None:
    async def hook(status: UploadStatus) -> None:
        await asyncio.get_running_loop().create_future()

    async def story() -> None:
        courier = house.courier(on_settled=hook)
        await courier.start()
        courier.submit(evidence())
        await asyncio.wait_for(courier.drain(), 20)
        await courier.close(grace=0)

    asyncio.run(story())


def test_a_logger_that_raises_disturbs_no_delivery(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    class Raising:
        def log(self, event: object) -> None:
            raise RuntimeError("the host's logger")

    async def story() -> None:
        house.logger = Raising()  # type: ignore[assignment]
        async with house.courier() as courier:
            status = await courier.submit(evidence()).settled(timeout=20)
            assert status is not None
            assert status.status == "succeeded"
        assert "the host's logger" in caplog.text

    asyncio.run(story())


def test_an_upload_without_an_integration_is_held_only_after_a_while(house: House) -> None:
    house.server.answer = lambda _id, _nth: 503

    async def story() -> None:
        async with house.courier() as first:
            await first.submit(evidence()).recorded()
            await first.quiet()
        del house.tenants["acme"]
        heard: list[str] = []
        house.clock.advance(60)
        async with house.courier(on_settled=lambda status: heard.append(status.status)) as second:
            await second.quiet()
            assert (await second.statuses("acme", ["ev-1"]))["ev-1"].status == "retrying"
            house.clock.set(house.clock.now() + timedelta(minutes=11))
            await second.drain()
            status = (await second.statuses("acme", ["ev-1"]))["ev-1"]
            assert status.error is not None
            assert (status.status, status.error.kind, heard) == (
                "held",
                "integration_gone",
                ["held"],
            )

    asyncio.run(story())


def test_a_tenant_whose_file_is_broken_keeps_its_uploads_open(house: House) -> None:
    house.server.answer = lambda _id, _nth: 503

    async def story() -> None:
        async with house.courier() as first:
            await first.submit(evidence()).recorded()
            await first.quiet()
        key = house.keys.values.pop("KEY")
        house.clock.advance(3600)
        async with house.courier(on_invalid="skip") as second:
            await second.quiet()
            assert (await second.statuses("acme", ["ev-1"]))["ev-1"].status == "retrying"
            house.keys.values["KEY"] = key
            house.server.answer = lambda _id, _nth: 200
            await second.reload()
            house.clock.advance(10)
            await second.drain()
            assert (await second.statuses("acme", ["ev-1"]))["ev-1"].status == "succeeded"

    asyncio.run(story())


def test_a_ticket_that_is_polled_leaves_nothing_behind(house: House) -> None:
    house.server.answer = lambda _id, _nth: None

    async def story() -> None:
        courier = house.courier()
        await courier.start()
        ticket = courier.submit(evidence())
        for _ in range(3):
            with pytest.raises(TimeoutError):
                await ticket.settled(timeout=MILLISECOND)
        assert ticket._settled._waiting == []  # pyright: ignore[reportPrivateUsage]
        await courier.close(grace=0)

    asyncio.run(story())
