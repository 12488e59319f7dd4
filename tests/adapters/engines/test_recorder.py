"""From submission to record: what waits for a reader."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from attrs import evolve
from store_fixtures import House, evidence, tenant
from training_records import record_as_json

from evidence_courier import Document, Evidence, MisuseError, StoreError, load_record
from evidence_courier.adapters.engines import readers, recorder
from evidence_courier.adapters.engines.preparing import Preparer
from evidence_courier.adapters.engines.readers import Readers
from evidence_courier.adapters.stores.writer import WriterThread
from evidence_courier.delivery.active import ActiveUpload, ActiveUploads
from evidence_courier.delivery.destinations import Destination
from evidence_courier.delivery.fair_share import FairShare, Lane
from evidence_courier.domain.evidence.training import TrainingRecord
from evidence_courier.ports.logger import RecordingFailed
from evidence_courier.ports.records import Entry


def test_a_submission_does_not_ask_for_all_tenants_that_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"tenant-{number}" for number in range(40)]
    house = House(tmp_path / "courier.db", tenants={name: tenant() for name in names})
    (tmp_path / "a.pdf").write_bytes(b"a document")
    document = Document(path=str(tmp_path / "a.pdf"), media_type="application/pdf")
    asked, admits = [0], FairShare.admits

    def count(share: FairShare, lane: Lane, amount: int = 1, new: bool | None = None) -> bool:
        asked[0] += 1
        return admits(share, lane, amount, new)

    monkeypatch.setattr(FairShare, "admits", count)

    async def story() -> None:
        async with house.courier() as courier:
            its = [evidence(f"ev-{number}", name) for number in range(5) for name in names]
            tickets = [courier.submit(evolve(one, document=document)) for one in its]
            assert asked[0] < 2 * len(tickets)
            for ticket in tickets:
                status = await ticket.settled(30)
                assert status is not None and status.status == "succeeded"
            assert asked[0] < 40 * len(tickets)

    asyncio.run(story())


def test_files_of_a_tenant_are_read_in_one_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house, runs, run = House(tmp_path / "courier.db"), [0], Readers.run
    (tmp_path / "a.pdf").write_bytes(b"a document")
    document = Document(path=str(tmp_path / "a.pdf"), media_type="application/pdf")

    async def count(*given: Any, **options: Any) -> object:
        runs[0] += 1
        return await run(*given, **options)

    monkeypatch.setattr(Readers, "run", count)

    async def story() -> None:
        async with house.courier() as courier:
            its = [evolve(evidence(f"ev-{number}"), document=document) for number in range(64)]
            for ticket in [courier.submit(one) for one in its]:
                status = await ticket.settled(30)
                assert status is not None and status.status == "succeeded"

    asyncio.run(story())
    assert runs[0] <= 32


def test_what_is_rendered_while_more_waits_is_written_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house, waited = House(tmp_path / "courier.db"), set[float]()

    async def sleep(seconds: float) -> None:
        waited.add(round(seconds, 6))
        await asyncio.sleep(0)

    class Renderer:
        def render(self, record: TrainingRecord) -> Document:
            return Document(content=b"a page", media_type="application/pdf")

        def close(self) -> None: ...

    async def deliver(records: int) -> None:
        record = load_record(record_as_json(tenant_id="acme"))
        async with house.courier(renderer=Renderer()) as courier:
            its = [evolve(record, evidence_id=f"ev-{records}-{one}") for one in range(records)]
            for ticket in [courier.submit(Evidence.from_record(one)) for one in its]:
                await asyncio.wait_for(ticket.recorded(), 20)

    clock = SimpleNamespace(time=lambda: 7 * recorder.TOGETHER + 0.03)
    own = vars(asyncio) | {"sleep": sleep, "get_running_loop": lambda: clock}
    monkeypatch.setattr(recorder, "asyncio", SimpleNamespace(**own))
    asyncio.run(deliver(1))
    assert waited <= {0}
    asyncio.run(deliver(20))
    assert round(recorder.TOGETHER - 0.03, 6) in waited


def test_a_file_that_hangs_keeps_those_after_it_waiting_for_a_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readers, "SLOW", 0.05)
    house, until, prepare = House(tmp_path / "courier.db"), threading.Event(), Preparer.prepare
    (tmp_path / "a.pdf").write_bytes(b"a document")
    document = Document(path=str(tmp_path / "a.pdf"), media_type="application/pdf")

    def hang(own: Preparer, one: Evidence, destination: Destination, now: datetime) -> Entry:
        if one.evidence_id == "ev-0":
            until.wait(60)
        return prepare(own, one, destination, now)

    monkeypatch.setattr(Preparer, "prepare", hang)

    async def story() -> None:
        async with house.courier() as courier:
            its = [evolve(evidence(f"ev-{number}"), document=document) for number in range(9)]
            hanging, *others = [courier.submit(one) for one in its]
            for ticket in others:
                await asyncio.wait_for(ticket.recorded(), 20)
            until.set()
            await asyncio.wait_for(hanging.recorded(), 20)
            settled = [await ticket.settled(30) for ticket in (hanging, *others)]
            assert [one and one.status for one in settled] == ["succeeded"] * 9

    try:
        asyncio.run(story())
    finally:
        until.set()


def test_what_waits_behind_a_file_that_hangs_is_read_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readers, "SLOW_READERS", 0)
    reading = readers.Reading("acme", "the file", 0.3)
    monkeypatch.setattr(recorder, "reading_of", lambda destination, is_file: reading)
    house, until, prepare = House(tmp_path / "courier.db"), threading.Event(), Preparer.prepare
    (tmp_path / "a.pdf").write_bytes(b"a document")
    document = Document(path=str(tmp_path / "a.pdf"), media_type="application/pdf")

    def hang(own: Preparer, one: Evidence, destination: Destination, now: datetime) -> Entry:
        if one.evidence_id == "ev-4" and own.late is None:  # the first of those read in one go
            until.wait(60)
        return prepare(own, one, destination, now)

    monkeypatch.setattr(Preparer, "prepare", hang)

    async def story() -> None:
        async with house.courier() as courier:
            its = [evolve(evidence(f"ev-{number}"), document=document) for number in range(12)]
            tickets = [courier.submit(one) for one in its]
            settled = [await ticket.settled(10) for ticket in tickets]
            statuses = [one and one.status for one in settled]
            assert statuses == 4 * ["succeeded"] + ["failed"] + 7 * ["succeeded"]

    try:
        asyncio.run(story())
    finally:
        until.set()


def test_a_close_that_gives_up_leaves_no_worker_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "MOMENT", 0.01)
    house = House(tmp_path / "courier.db")
    document = Document(path=str(tmp_path / "a.pdf"), media_type="application/pdf")

    async def is_slow_in_the_end(
        own: Readers, reading: Any, work: Any, *, at_once: bool, on_slow: Callable[[], None]
    ) -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            on_slow()  # as its alarm may ring before it hears that it is given up

    monkeypatch.setattr(Readers, "run", is_slow_in_the_end)

    async def story() -> None:
        courier = house.courier()
        await courier.start()
        before = asyncio.all_tasks()
        its = [evolve(evidence(f"ev-{number}"), document=document) for number in range(10)]
        tickets = [courier.submit(one) for one in its]
        await courier.close(grace=0)
        assert asyncio.all_tasks() <= before
        for ticket in tickets:
            with pytest.raises(MisuseError, match="closed before"):
                await asyncio.wait_for(ticket.recorded(), 5)

    asyncio.run(story())


@pytest.mark.parametrize("by_path", [False, True], ids=["ready", "file"])
def test_one_that_cannot_be_prepared_says_so_and_stops_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by_path: bool
) -> None:
    house, prepare = House(tmp_path / "courier.db"), Preparer.prepare
    (tmp_path / "a.pdf").write_bytes(b"a document")
    document = Document(path=str(tmp_path / "a.pdf"), media_type="application/pdf")

    def breaks(own: Preparer, one: Evidence, destination: Destination, now: datetime) -> Entry:
        if one.evidence_id == "ev-3":
            raise ZeroDivisionError("oh")
        return prepare(own, one, destination, now)

    monkeypatch.setattr(Preparer, "prepare", breaks)

    async def story() -> None:
        reported: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, told: reported.append(told))
        async with house.courier() as courier:
            its = [evidence(f"ev-{number}") for number in range(8)]
            given = [evolve(one, document=document) for one in its] if by_path else its
            *others, broken = sorted(map(courier.submit, given), key=lambda one: "-3" in repr(one))
            for ticket in others:
                status = await ticket.settled(30)
                assert status is not None and status.status == "succeeded"
            with pytest.raises(StoreError, match=r"recorded \(ZeroDivisionError: oh\): submit it"):
                await asyncio.wait_for(broken.recorded(), 30)
            assert (await courier.health()).submitted == 0
        assert [told["message"][-8:] for told in reported] == ["is a bug"]

    asyncio.run(story())
    assert [event.key.evidence_id for event in house.logger.of(RecordingFailed)] == ["ev-3"]


def test_what_the_database_has_when_the_work_breaks_may_be_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house, recorded = House(tmp_path / "courier.db"), ActiveUploads.recorded

    def breaks(own: ActiveUploads, entry: Entry, *given: Any) -> ActiveUpload:
        if entry.upload.key.evidence_id == "ev-3":
            raise ZeroDivisionError("oh")
        return recorded(own, entry, *given)

    async def story() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        async with house.courier() as courier:
            await courier.submit(evidence("ev-1")).settled(30)
            await courier.quiet()
        monkeypatch.setattr(ActiveUploads, "recorded", breaks)
        async with house.courier() as courier:
            # One batch: known before, new, then the one that breaks, then two that wait behind it.
            before, new, *others = [courier.submit(evidence(f"ev-{n}")) for n in (1, 2, 3, 4, 5)]
            status = await new.settled(30)
            assert status is not None and status.status == "succeeded"
            for ticket in (before, *others):
                with pytest.raises(StoreError, match="ZeroDivisionError.*again is safe"):
                    await asyncio.wait_for(ticket.settled(), 30)

    asyncio.run(story())


@pytest.mark.parametrize("kept", [False, True], ids=["new", "kept"])
@pytest.mark.parametrize("how", ["closes", "raises"])
def test_what_the_database_has_not_answered_may_be_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: bool, how: str
) -> None:
    monkeypatch.setattr(recorder, "MOMENT", 0.01)
    house, add, calls = House(tmp_path / "courier.db"), WriterThread.add, [0]

    def answers_late(own: WriterThread, entries: Any) -> Any:
        calls[0] += 1
        if kept and calls[0] == 1:
            locked = asyncio.get_running_loop().create_future()
            locked.set_exception(StoreError("locked", passing=True))
            return locked
        written = add(own, entries)

        async def late() -> None:
            await written
            if how == "raises":
                raise ZeroDivisionError("oh")
            await asyncio.get_running_loop().create_future()

        return asyncio.ensure_future(late())

    monkeypatch.setattr(WriterThread, "add", answers_late)
    words = "closed before the database had answered" if how == "closes" else "ZeroDivisionError"
    words += r".*\); submitting it again is safe"

    async def story() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        courier = house.courier()
        await courier.start()
        ticket = courier.submit(evidence())
        while calls[0] < 1 + kept:
            house.clock.advance(1)
            await asyncio.sleep(0.001)
        if how == "closes":
            later = courier.submit(evidence("ev-2"))  # which the database is only given if kept
            await courier.close(grace=0)
            with pytest.raises(StoreError if kept else MisuseError, match="ev-2.* be recorded"):
                await asyncio.wait_for(later.recorded(), 30)
        with pytest.raises(StoreError, match="may be recorded|is tried again" if kept else words):
            await asyncio.wait_for(ticket.recorded(), 30)
        await courier.close(grace=0)

    asyncio.run(story())
    monkeypatch.undo()

    async def again() -> None:
        async with house.courier() as courier:
            status = await courier.submit(evidence()).settled(30)
            assert status is not None and status.status == "succeeded"

    asyncio.run(again())
    told = [event for event in house.logger.of(RecordingFailed) if event.key.evidence_id == "ev-1"]
    if how == "closes":
        assert ["may be recorded" in event.reason for event in told] == [True]
