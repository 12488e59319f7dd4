"""One tenant's trouble reaches no other: recording, and documents that the host keeps itself."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from attrs import define, field, frozen
from store_fixtures import House, Keys, evidence, tenant
from training_records import record_as_json

from evidence_courier import AsyncCourier, Document, Evidence, TrainingRecord, load_record
from evidence_courier.adapters.engines import readers
from evidence_courier.adapters.engines.readers import READERS, READERS_OF_TENANT
from evidence_courier.adapters.engines.recorder import BATCH
from evidence_courier.bootstrap.running import WORKER_THREADS
from evidence_courier.domain.upload.failure import Failure, FailureKind
from evidence_courier.ports.logger import ReaderLost
from evidence_courier.testing import until_settled


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "courier.db")


def of(document: Document, evidence_id: str, tenant_id: str) -> Evidence:
    one = evidence(evidence_id, tenant_id=tenant_id)
    return Evidence(
        tenant_id=tenant_id,
        evidence_id=evidence_id,
        session_id=one.session_id,
        subject=one.subject,
        outcome=one.outcome,
        recorded_at=one.recorded_at,
        document=document,
    )


def test_a_burst_of_one_tenant_delays_the_record_of_another_by_two_batches(house: House) -> None:
    async def story() -> None:
        async with house.courier() as courier:
            for number in range(20 * BATCH):
                courier.submit(evidence(f"{number}"))
            await courier.submit(evidence("single", tenant_id="globex")).recorded()
            assert (await courier.health()).submitted >= 17 * BATCH

    asyncio.run(story())


def test_files_that_hang_delay_the_files_of_no_other_tenant(house: House, tmp_path: Path) -> None:
    until = threading.Event()
    hanging: list[str] = []

    class Renderer:
        def render(self, record: TrainingRecord) -> Document | Failure:
            hanging.append(record.session_id)
            until.wait(30)
            return Failure(FailureKind.UNFIT_RENDER, "late")

        def close(self) -> None:
            pass

    file = tmp_path / "document.pdf"
    file.write_bytes(b"%PDF")
    whole = Document(path=str(file), media_type="application/pdf")

    async def story() -> None:
        async with house.courier(renderer=Renderer()) as courier:
            for number in range(20):
                record = load_record(record_as_json(evidence_id=f"{number}"))
                courier.submit(Evidence.from_record(record))
            for number in range(8):
                ticket = courier.submit(of(whole, f"{number}", "globex"))
                await asyncio.wait_for(ticket.recorded(), 20)
            assert len(hanging) == READERS_OF_TENANT
            until.set()

    try:
        asyncio.run(story())
    finally:
        until.set()


def rendered(tenant_id: str, evidence_id: str) -> Evidence:
    """Evidence whose document is rendered from a record."""
    text = record_as_json(tenant_id=tenant_id, evidence_id=evidence_id)
    return Evidence.from_record(load_record(text))


def test_files_that_hang_for_fifty_tenants_delay_those_of_no_other(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readers, "SLOW", 0.05)
    until = threading.Event()
    house.tenants |= {f"hangs-{number}": tenant() for number in range(50)}
    file = tmp_path / "document.pdf"
    file.write_bytes(b"%PDF")

    class Renderer:
        def render(self, record: TrainingRecord) -> Document | Failure:
            until.wait(60)
            return Failure(FailureKind.UNFIT_RENDER, "late")

        def close(self) -> None:
            pass

    async def story() -> None:
        async with house.courier(renderer=Renderer()) as courier:
            for number in range(READERS_OF_TENANT + 1):
                for tenant_number in range(50):
                    courier.submit(rendered(f"hangs-{tenant_number}", f"{number}"))
            for number in range(8):
                whole = Document(path=str(file), media_type="application/pdf")
                ticket = courier.submit(of(whole, f"{number}", "globex"))
                await asyncio.wait_for(ticket.recorded(), 10)
            assert (await courier.health()).lost_readers == 0
            until.set()

    try:
        asyncio.run(asyncio.wait_for(story(), 60))
    finally:
        until.set()


def test_what_hangs_is_recorded_in_time_and_its_threads_are_counted(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More tenants than fill the threads; the last of them are recorded without one."""
    monkeypatch.setattr(readers, "SLOW_READERS", 0)
    until = threading.Event()

    class Renderer:
        def render(self, record: TrainingRecord) -> Document | Failure:
            until.wait(60)
            return Document(content=b"%PDF", media_type="application/pdf")

        def close(self) -> None:
            pass

    tenants = [f"hangs-{number}" for number in range(READERS)]
    short = tenant(timeout={"total": "0.2s", "connect": "0.2s", "idle": "0.2s"})
    house.tenants |= dict.fromkeys(tenants, short)

    async def story() -> None:
        async with house.courier(renderer=Renderer()) as courier:
            for tenant_id in tenants[:-1]:
                courier.submit(rendered(tenant_id, "0"))
                courier.submit(rendered(tenant_id, "1"))
            courier.submit(rendered(tenants[-1], "0"))
            last = rendered(tenants[-1], "1")
            ticket = courier.submit(last)
            single = courier.submit(evidence("single", tenant_id="globex"))
            await asyncio.wait_for(single.recorded(), 5)
            status = await ticket.settled(timeout=30)
            assert status is not None
            assert status.error is not None
            assert status.error.kind == "unfit_render"
            assert "the renderer did not answer within 0.2 s" in status.error.message
            lost = (await courier.health()).lost_readers
            assert lost == len(house.logger.of(ReaderLost)) == READERS
            until.set()
            while (await courier.health()).lost_readers:
                await asyncio.sleep(0.01)
            await courier.retry(tenants[-1], "1", by="ops", reason="mended")
            (status,) = await until_settled(courier, house.clock, courier.submit(last))
            assert status is not None
            assert status.status == "succeeded"

    try:
        asyncio.run(asyncio.wait_for(story(), 60))
    finally:
        until.set()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"concurrency": 1},
            "a place at a courier: 2 of 4 are taken, 2 by paper, 2 by its tenant; "
            "17 of its tenant are before it",
        ),
        (
            {"in_flight_bytes": 100},
            "room for its document of 17 bytes at a courier: 34 of 100 are under way; "
            "17 of its tenant are before it",
        ),
    ],
)
def test_a_status_says_which_limit_of_the_courier_is_waited_for(
    house: House, options: dict[str, int], words: str
) -> None:
    house.server.answer = lambda evidence_id, number: None

    async def story() -> None:
        async with house.courier(**options) as courier:
            tickets = [courier.submit(evidence(f"{number}")) for number in range(20)]
            await asyncio.gather(*(ticket.recorded() for ticket in tickets))
            while (await courier.health()).under_way == 0:
                await asyncio.sleep(0)
            found = (await courier.find()).uploads
            last = next(one for one in found if one.evidence_id == "19")
            assert last.waits_for == words
            assert (await courier.statuses("acme", ["19"]))["19"].waits_for == words
            details = await courier.show("acme", "19")
            assert details is not None
            assert details.waits_for == words
            await courier.close(grace=0)

    asyncio.run(story())


def test_of_a_file_that_is_too_large_nothing_is_read(house: House, tmp_path: Path) -> None:
    size = 2**40  # a sparse file: to read it to its end takes minutes
    file = tmp_path / "document.pdf"
    with file.open("wb") as large:
        large.truncate(size)
    document = Document(path=str(file), media_type="application/pdf")

    async def story() -> None:
        async with house.courier() as courier:
            ticket = courier.submit(of(document, "large", "acme"))
            status = await ticket.settled(timeout=20)
            assert status is not None
            assert status.error is not None
            assert status.error.kind == "unfit_size"
            assert f"{size:,} bytes" in status.error.message

    asyncio.run(story())


def test_readers_that_a_source_loses_are_counted_and_logged(house: House) -> None:
    until = threading.Event()

    class Source:
        def read(self, tenant_id: str, key: str) -> bytes:
            until.wait(30)
            return b"x"

    document = Document(
        source="key", sha256=sha256(b"x").hexdigest(), size=1, media_type="application/pdf"
    )

    house.tenants["acme"] = tenant(timeout={"total": "0.2s", "connect": "0.2s", "idle": "0.2s"})

    async def story() -> None:
        async with house.courier(source=Source()) as courier:
            await courier.submit(of(document, "late", "acme")).recorded()
            while (await courier.health()).lost_readers == 0:
                await asyncio.sleep(0.01)
            assert ReaderLost("acme", "the document source", 0.2, 1) in house.logger.events
            until.set()
            while (await courier.health()).lost_readers == 1:
                await asyncio.sleep(0.01)

    try:
        asyncio.run(asyncio.wait_for(story(), 30))
    finally:
        until.set()


UPLOADED = json.dumps(
    {
        "data": {
            "uploadWorkflowCheckEvidence": {
                "message": "Evidence uploaded for this check",
                "workflowCheck": {"evidenceStatus": "UPLOAD_COMPLETE"},
            }
        }
    }
).encode()
REPLY = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(UPLOADED)


async def answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    await reader.readexactly(int(head.split(b"content-length:")[1].split(b"\r\n")[0]))
    writer.write(REPLY + UPLOADED)
    await writer.drain()
    writer.close()


async def is_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while await reader.read(65_536):
            pass
    writer.close()


def sprinto(server: asyncio.Server, key: str) -> dict[str, object]:
    port = server.sockets[0].getsockname()[1]
    endpoint = f"http://127.0.0.1:{port}/graphql"
    block = {"provider": "sprinto", "api_key": f"${{{key}}}", "workflow_check": "check"}
    return {"integrations": {"compliance": {**block, "endpoint": endpoint}}}


def test_beside_each_trouble_an_upload_arrives_within_five_seconds(
    tmp_path: Path,
) -> None:
    """A real run: a silent platform of many tenants, big documents, a source that hangs, a listener
    that raises, and a burst."""
    until = threading.Event()

    class Source:
        def read(self, tenant_id: str, key: str) -> bytes:
            until.wait(60)
            return b"x"

    def raises(status: object) -> None:
        raise RuntimeError("a listener's bug")

    kept = Document(
        source="key", sha256=sha256(b"x").hexdigest(), size=1, media_type="application/pdf"
    )

    async def story() -> None:
        silent = await asyncio.start_server(is_silent, "127.0.0.1", 0)
        good = await asyncio.start_server(answers, "127.0.0.1", 0)
        tenants = {f"silent-{number}": sprinto(silent, f"K{number}") for number in range(40)}
        tenants |= {name: sprinto(good, name.upper()) for name in ("kept", "burst", "single")}
        names = [*(f"K{number}" for number in range(40)), "KEPT", "BURST", "SINGLE"]
        courier = AsyncCourier.from_mapping(
            tenants,
            tmp_path / "courier.db",
            secrets=Keys({name: f"the key of {name}" for name in names}),
            source=Source(),
            on_settled=raises,
        )
        await courier.start()
        for tenant_id in tenants:
            if tenant_id.startswith("silent"):
                courier.submit(evidence("big", tenant_id, bytes(2_000_000)))
                for number in range(5):
                    courier.submit(evidence(f"{number}", tenant_id))
        for number in range(50):
            courier.submit(of(kept, f"{number}", "kept"))
            courier.submit(evidence(f"{number}", "burst"))
        for number in range(3):
            ticket = courier.submit(evidence(f"{number}", "single"))
            status = await ticket.settled(timeout=5)
            assert status is not None
            assert status.status == "succeeded"
            await asyncio.sleep(0.5)
        until.set()
        await courier.close(grace=0)
        silent.close()
        good.close()

    try:
        asyncio.run(story())
    finally:
        until.set()


# --- on a connection of the host's that is awaited ------------------------------------------------


@define
class Stuck:
    """A renderer that does not return before it is told to."""

    until: threading.Event = field(factory=threading.Event)
    asked: int = 0

    def render(self, record: TrainingRecord) -> Document | Failure:
        self.asked += 1
        self.until.wait(60)
        return Failure(FailureKind.UNFIT_RENDER, "late")

    def close(self) -> None:
        pass


@frozen
class Awaited:
    """A connection that is awaited, as SQLAlchemy's."""

    connection: sqlite3.Connection

    async def commit(self) -> None:
        self.connection.commit()

    async def run_sync(self, verb: Callable[..., None], insertion: object) -> None:
        verb(self.connection, insertion)


def test_what_hangs_on_a_hosts_connection_stops_no_reading(house: House) -> None:
    stuck = Stuck()

    async def story() -> None:
        async with house.courier(background=False, renderer=stuck) as courier:
            connection: Any = Awaited(sqlite3.connect(house.database))
            hung = [
                asyncio.ensure_future(
                    courier.submit(rendered("acme", f"{n}"), connection=connection)
                )
                for n in range(WORKER_THREADS)
            ]
            while stuck.asked < READERS_OF_TENANT:
                await asyncio.sleep(0)
            assert await asyncio.wait_for(courier.statuses("acme", ["0"]), 10) == {}
            for each in hung:
                each.cancel()
            stuck.until.set()
            connection.connection.close()

    try:
        asyncio.run(story())
    finally:
        stuck.until.set()


def test_what_hangs_on_a_hosts_connection_is_recorded_in_time(house: House) -> None:
    house.tenants["acme"] = tenant(timeout={"total": "0.2s", "connect": "0.2s", "idle": "0.2s"})
    stuck = Stuck()

    async def story() -> None:
        async with house.courier(background=False, renderer=stuck) as courier:
            connection: Any = Awaited(sqlite3.connect(house.database))
            work = courier.submit(rendered("acme", "0"), connection=connection)
            ticket = await asyncio.wait_for(work, 20)
            await connection.commit()
            status = await ticket.settled()
            assert status is not None
            assert status.error is not None
            assert "the renderer did not answer within 0.2 s" in status.error.message
            stuck.until.set()
            connection.connection.close()

    try:
        asyncio.run(story())
    finally:
        stuck.until.set()
