"""A person is erased: the bytes are gone, the skeleton stays, and nothing is sent again."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import attrs
import psycopg
import pytest
from click.testing import CliRunner
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from postgres_server import server
from store_fixtures import Desk, House, evidence
from training_records import record_as_json

from evidence_courier import (
    AsyncCourier,
    Document,
    Evidence,
    MisuseError,
    Notice,
    OnNotice,
    Records,
    TrainingRecord,
    load_record,
)
from evidence_courier.adapters.loggers.opentelemetry import OpenTelemetryLogger
from evidence_courier.adapters.loggers.prometheus import PrometheusLogger
from evidence_courier.adapters.stores.copying import copy
from evidence_courier.adapters.stores.databases import inspect, vacuum
from evidence_courier.adapters.stores.postgres import address_of
from evidence_courier.adapters.stores.sqlite import SqliteStore
from evidence_courier.bootstrap.cli.app import app
from evidence_courier.bootstrap.fan_out import FanOut
from evidence_courier.domain.retention import Part
from evidence_courier.domain.upload.failure import Failure, FailureKind
from evidence_courier.ports.removal import Removal, Removed

JANE, MAIL, WORDS = "jane.doe-4711", "Jane.Doe@example.com", "a-certificate-that-names-her"
WHO: Any = {"by": "dpo", "reason": "request 12"}


@pytest.fixture(params=["sqlite", "postgres"])
def house(request: pytest.FixtureRequest, tmp_path: Path) -> House:
    if request.param == "sqlite":
        return House(tmp_path / "courier.db")
    database: Any = server().database_of(str(tmp_path))
    return House(database)


def of_jane(evidence_id: str, tenant_id: str = "acme", size: int = 1) -> Evidence:
    content = f"%PDF-1.7 {WORDS} {JANE} ".encode() * size
    return Evidence(
        tenant_id=tenant_id,
        evidence_id=evidence_id,
        session_id=f"course-of-{JANE}",
        subject=JANE,
        subject_email=MAIL,
        outcome="passed",
        recorded_at=evidence().recorded_at,
        document=Document(content=content, media_type="application/pdf", filename=f"{JANE}.pdf"),
    )


NAMED = f"course-{JANE}"


async def history(house: House, courier: AsyncCourier) -> None:
    """Her uploads: one done, two failed, one of them large; and one of somebody else whose record
    speaks of her."""

    def answer(evidence_id: str, nth: int) -> int:
        return 200 if evidence_id in (NAMED, "ev-2") else 400

    house.server.answer = answer
    for one in (of_jane(NAMED), of_jane("ev-1"), of_jane("large", size=4000), evidence("ev-2")):
        await courier.submit(one).settled()
    reason = f"{MAIL} asked; she is {JANE.upper()}"
    await courier.attest("acme", "ev-1", by=JANE, reason=reason)
    house.server.answer = lambda _evidence, _nth: 400
    await courier.submit(evidence("ev-3")).settled()
    await courier.retry("acme", "ev-3", by="kim", reason=reason)
    await courier.quiet()


def test_no_byte_of_an_erased_person_is_left(house: House, tmp_path: Path) -> None:
    async def story() -> None:
        async with house.courier(keep_documents=True) as courier:
            await history(house, courier)
            before, sent = await courier.counts(), len(house.server.held)
            assert traces(house, tmp_path) != []
            preview = await courier.erase("acme", JANE, **WHO, preview=True)
            assert (len(preview.uploads), preview.open, preview.removed) == (3, (), None)
            erasure = await courier.erase("acme", MAIL, **WHO)
            assert erasure.removed is not None
            assert erasure.removed.parts[Part.PERSONAL] == 3
            assert erasure.removed.parts[Part.DOCUMENT] == 3
            assert erasure.removed.texts == 3
            assert await courier.counts() == before
            for again in (of_jane(NAMED), of_jane("ev-1"), of_jane("large", size=4000)):
                settled = await courier.submit(again).settled()
                assert settled is not None
                assert settled.status in ("succeeded", "failed")
            assert (await courier.counts(), len(house.server.held)) == (before, sent)
            (row,) = await courier.removals("acme")
            assert (row.by, row.reason, row.uploads) == ("dpo", "request 12", 3)
            vacuum(str(house.database))
            assert traces(house, tmp_path) == []  # while the courier runs

    asyncio.run(story())
    assert traces(house, tmp_path) == []
    assert [str(one) for one in inspect(str(house.database), (), lambda *_: None).breaches] == []
    with Records.open(house.database) as records:
        shown = records.show("acme", NAMED)
        assert shown is not None
        assert (shown.status, shown.attempts, len(shown.history)) == ("succeeded", 1, 1)


def test_no_notice_metric_span_or_export_names_an_erased_person(
    house: House, tmp_path: Path
) -> None:
    told, spans, reader = list[Notice](), InMemorySpanExporter(), InMemoryMetricReader()
    tracers = TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(spans))
    prometheus = PrometheusLogger(tenants=True)
    telemetry = OpenTelemetryLogger(MeterProvider([reader]), tracers, tenants=True)

    def refuses(notice: Notice) -> None:
        raise OSError(JANE)

    sinks = [OnNotice(told.append, subjects=True), OnNotice(refuses, "refuses", subjects=True)]
    options: Any = {"logger": FanOut(prometheus, telemetry), "notices": sinks}

    async def looked(*couriers: AsyncCourier) -> None:
        for _ in range(5):
            house.clock.advance(12)
            for courier in couriers:
                await courier.quiet()

    async def story() -> None:
        async with house.courier(**options) as one, house.courier(**options) as other:
            await looked(one, other)
            await history(house, one)
            await other.submit(of_jane("ev-9", size=4000)).settled()
            for _ in range(200):
                if not told:
                    await looked(one, other)
            await one.erase("acme", MAIL, **WHO)
            await looked(one, other)
            prometheus.tell(await one.health())
            telemetry.tell(await other.health())
            vacuum(str(house.database))
            assert [notices.sink for notices in (await one.health()).notices] == ["refuses"]
            assert traces(house, tmp_path) == []  # while both run

    asyncio.run(story())
    assert JANE in told[0].text
    assert traces(house, tmp_path) == []
    written = [prometheus.exposition()[1].decode(), str(reader.get_metrics_data())]
    written += [span.to_json() for span in spans.get_finished_spans()]
    for form in ("csv", "jsonl"):
        arguments = ["export", "--db", str(house.database), "--format", form]
        written.append(CliRunner().invoke(app, arguments).output)
        assert "ev-2" in written[-1]
    text = "\n".join(written).lower()
    assert [name for name in (JANE, MAIL, WORDS) if name.lower() in text] == []


def traces(house: House, folder: Path) -> list[str]:
    """Where the person is still named: a file, or a column of a table."""
    names = [JANE, MAIL, WORDS, JANE.title()]
    if isinstance(house.database, Path):
        return [
            f"{path.name}: {name}"
            for path in folder.rglob("*")
            if path.is_file()
            for name in names
            if name.lower().encode() in path.read_bytes().lower()
        ]
    return [*_in_tables(str(house.database), names)]


def _in_tables(dsn: str, names: list[str]) -> Iterator[str]:
    with closing(address_of(dsn).connect()) as session:
        tables = session.execute(
            "SELECT table_name AS name FROM information_schema.tables"
            " WHERE table_schema = current_schema()"
        ).fetchall()
        assert len(tables) > 10
        for table in (row["name"] for row in tables):
            for row in session.execute(f'SELECT * FROM "{table}"'.encode()).fetchall():
                for column, value in row.items():
                    text = bytes(value).decode("latin-1") if isinstance(value, bytes) else value
                    for name in names:
                        if name.lower() in str(text).lower():
                            yield f"{table}.{column}: {name}"


def test_a_person_with_an_open_upload_is_not_erased_unless_it_is_abandoned(house: House) -> None:
    async def story() -> None:
        house.server.answer = lambda evidence_id, _nth: 503 if evidence_id == "ev-2" else 200
        async with house.courier() as courier:
            await courier.submit(of_jane("ev-1")).settled()
            courier.submit(of_jane("ev-2"))
            await courier.quiet()
            refused = await courier.erase("acme", JANE, **WHO)
            assert [one.evidence_id for one in refused.open] == ["ev-2"]
            assert refused.removed is None
            preview = await courier.erase("acme", JANE, **WHO, preview=True)
            assert len(preview.uploads) == 2
            erasure = await courier.erase("acme", JANE, **WHO, abandon=True)
            assert (erasure.open, erasure.removed is not None) == ((), True)
            status = (await courier.statuses("acme", ["ev-2"]))["ev-2"]
            assert status.status == "failed"
            asked = dict(house.server.asked)
            house.clock.advance(timedelta(hours=1).total_seconds())
            await courier.quiet()
            assert dict(house.server.asked) == asked

    asyncio.run(story())


def connected(house: House) -> Any:
    """A connection of the host's, with a transaction that is open."""
    if "=" in (where := str(house.database)):
        return psycopg.connect(where)
    connection = sqlite3.connect(where)
    connection.execute("BEGIN")
    return connection


def test_a_name_that_is_a_common_word_is_searched_for_only_if_asked(house: House) -> None:
    async def story() -> None:
        house.server.answer = lambda _evidence, _nth: 400
        async with house.courier() as courier:
            for evidence_id in ("ev-1", "ev-2"):
                await courier.submit(evidence(evidence_id)).settled()
            before = [await courier.show("acme", one) for one in ("ev-1", "ev-2")]
            assert "status 400" in repr(before[0])
            preview = await courier.erase("acme", "400", **WHO, preview=True)
            assert (preview.uploads, preview.texts, preview.common) == ((), 0, ("400",))
            erasure = await courier.erase("acme", "400", **WHO)
            assert erasure.removed is not None
            assert erasure.removed.texts == 0
            assert [await courier.show("acme", one) for one in ("ev-1", "ev-2")] == before
            preview = await courier.erase("acme", "400", **WHO, preview=True, common=True)
            assert (preview.texts > 3, preview.common) == (True, ())
            erasure = await courier.erase("acme", "400", **WHO, common=True)
            assert erasure.removed is not None
            assert erasure.removed.texts == preview.texts

    asyncio.run(story())


def test_a_text_written_while_others_are_searched_is_erased_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = House(tmp_path / "courier.db")
    with house.blocking_courier(transport=Desk(house)) as courier:
        courier.deliver(of_jane("ev-1"))
        remove = SqliteStore.remove

        def write_meanwhile(store: SqliteStore, removal: Removal) -> Removed:
            monkeypatch.setattr(SqliteStore, "remove", remove)
            with Records.open(house.database) as records:
                records.pause("acme", by="kim", reason=f"as {JANE} said")
            return store.remove(removal)

        monkeypatch.setattr(SqliteStore, "remove", write_meanwhile)
        erasure = courier.erase("acme", JANE, **WHO)
        assert erasure.removed is not None
        assert erasure.removed.texts == 1
        assert [one.reason for one in courier.paused()] == ["(erased)"]


async def is_known_within_a_transaction(house: House, courier: AsyncCourier) -> None:
    """What a host submits again on its own connection is what is there."""
    with closing(connected(house)) as connection:
        ticket = courier.submit(of_jane(NAMED), connection=connection)
        connection.commit()
    settled = await ticket.settled()
    assert settled is not None
    assert settled.status == "succeeded"
    assert sum((await courier.counts()).values()) == 1


def test_what_is_submitted_on_a_hosts_connection_stays_erased(house: House) -> None:
    async def story() -> None:
        async with house.courier() as courier:
            await courier.submit(of_jane(NAMED)).settled()
            await courier.erase("acme", JANE, **WHO)
            await is_known_within_a_transaction(house, courier)

    asyncio.run(story())


def test_what_is_erased_between_two_submits_of_a_host_stays_so(house: House) -> None:
    """The second asks for what was erased after the courier was opened, and by another."""

    async def story() -> None:
        async with house.courier() as courier:
            with closing(connected(house)) as connection:
                courier.submit(of_jane("first"), connection=connection)
                connection.commit()
            async with house.courier() as other:
                await other.submit(of_jane(NAMED)).settled()
                await courier.submit(of_jane("first")).settled()
                await other.erase("acme", JANE, **WHO)
            with closing(connected(house)) as connection:
                courier.submit(of_jane(NAMED), connection=connection)
                connection.commit()
            assert sum((await courier.counts()).values()) == 2

    asyncio.run(story())


def test_a_copy_of_the_database_knows_what_was_erased(tmp_path: Path) -> None:
    house = House(tmp_path / "courier.db")
    there: Any = server().database_of(f"{tmp_path} copy")

    async def delivered(at: House) -> int:
        async with at.courier() as courier:
            await courier.submit(of_jane(NAMED)).settled()
            await courier.erase("acme", JANE, **WHO)
            return len(await courier.removals())

    assert asyncio.run(delivered(house)) == 1
    copy(str(house.database), there)
    copied = House(there)
    assert asyncio.run(delivered(copied)) == 1
    assert copied.server.held == []


def test_the_reason_of_an_erasure_must_not_name_the_person(tmp_path: Path) -> None:
    house = House(tmp_path / "courier.db")
    with house.blocking_courier(transport=Desk(house)) as courier:
        courier.deliver(of_jane("ev-1"))
        with pytest.raises(MisuseError, match="reason names the person who is erased"):
            courier.erase("acme", JANE, by="dpo", reason=f"{JANE.upper()} asked")
        with pytest.raises(MisuseError, match="reason names the person who is erased"):
            courier.erase("acme", JANE, by="dpo", reason=f"request of {MAIL}", abandon=True)
        for no_name in (" ", "", "\ud800"):
            with pytest.raises(MisuseError, match="subject must name the person"):
                courier.erase("acme", no_name, **WHO)
        erasure = courier.erase("acme", JANE, **WHO)
        assert erasure.removed is not None
        assert courier.deliver(of_jane("ev-1")).status is not None
        assert traces(house, tmp_path) == []
        nothing = courier.erase("acme", "no-one", **WHO)
        assert (nothing.uploads, nothing.removed is None) == ((), False)
        assert [one.uploads for one in courier.removals()] == [1]
        courier.pause("acme", by="kim", reason="no-one asked")
        assert courier.erase("acme", "no-one", **WHO).removed is not None
        assert [(one.uploads, one.texts) for one in courier.removals()] == [(0, 1), (1, 0)]


def test_who_erased_another_is_erased_too(house: House, tmp_path: Path) -> None:
    """Also where it was from the records of all tenants."""
    with house.blocking_courier(transport=Desk(house)) as courier:
        courier.pause(None, "paper", by="kim", reason="emp-9 asked for it")
        courier.deliver_due()
        courier.erase("acme", "emp-9", by=JANE, reason="request 11")
        assert traces(house, tmp_path) != []
        courier.erase("acme", JANE, **WHO)
    vacuum(str(house.database))
    assert traces(house, tmp_path) == []


class NoFont:
    """A renderer that lacks a font."""

    def render(self, record: TrainingRecord) -> Document | Failure:
        return Failure(FailureKind.UNFIT_RENDER, f"no font has the name of {record.employee.name}")

    def close(self) -> None:
        pass


def test_what_a_document_would_be_made_of_is_erased_too(tmp_path: Path) -> None:
    """A retry is refused then, and says so."""
    house = House(tmp_path / "courier.db")

    async def story() -> None:
        async with house.courier(renderer=NoFont()) as courier:
            of_her = {"employee__id": JANE, "employee__email": MAIL}
            record = load_record(record_as_json(tenant_id="acme", evidence_id="ev-1", **of_her))
            one = Evidence.from_record(record)
            failed = await courier.submit(one).settled()
            assert failed is not None
            assert failed.status == "failed"
            assert traces(house, tmp_path) != []
            await courier.erase("acme", JANE, **WHO)
            (refused,) = (await courier.retry("acme", "ev-1", by="kim", reason="again")).skipped
            assert refused.reason.startswith("its document was erased, removed or not stored")

    asyncio.run(story())
    vacuum(str(house.database))
    assert traces(house, tmp_path) == []


RETENTION: Any = {"attempts": "1h", "personal": "1h", "failed_documents": "1h"}


@pytest.mark.parametrize("how", ["erased", "pruned", "both"])
@pytest.mark.parametrize("copied", [False, True], ids=["restarted", "copied"])
def test_what_was_delivered_is_not_sent_again(
    house: House, tmp_path: Path, how: str, copied: bool
) -> None:
    """By whatever verb it comes, and after a restart or on a copy in another database."""
    if copied and "=" in str(house.database):
        pytest.skip("a copy is made of a file only")

    async def before() -> None:
        async with house.courier(retention=RETENTION if how != "erased" else {}) as courier:
            await courier.submit(of_jane(NAMED)).settled()
            if how != "pruned":
                await courier.erase("acme", JANE, **WHO)
            for _ in range(3):
                house.clock.advance(7200)
                await courier.quiet()

    async def after(at: House) -> None:
        async with at.courier() as courier:
            known = await courier.submit(of_jane(NAMED)).settled()
            assert known is not None
            assert known.status == "succeeded"
            await is_known_within_a_transaction(at, courier)
            shown = await courier.show("acme", NAMED)
            assert shown is not None
            assert (shown.erased_at is not None, shown.attempts) == (True, 1)
            assert {one.action for one in shown.actions} == {
                *(["erase"] if how != "pruned" else []),
                *(["prune"] if how != "erased" else []),
            }

    asyncio.run(before())
    assert [one for one, _ in house.server.held] == [NAMED]
    later = house
    if copied:
        later = House(server().database_of(f"{tmp_path} {how}"))  # type: ignore[arg-type]
        copy(str(house.database), str(later.database))
    asyncio.run(after(later))
    with later.blocking_courier(transport=Desk(later)) as courier:
        delivery = courier.deliver(of_jane(NAMED))
        assert delivery.status is not None
        assert delivery.status.status == "succeeded"
    assert len(house.server.held) == 1
    assert later is house or later.server.held == []


def test_a_retry_of_what_was_erased_is_refused_at_once(house: House) -> None:
    async def story() -> None:
        house.server.answer = lambda _evidence, _nth: 400
        async with house.courier() as courier:
            await courier.submit(of_jane("ev-1")).settled()
            await courier.erase("acme", JANE, **WHO)
            (refused,) = (await courier.retry("acme", "ev-1", by="kim", reason="again")).skipped
            assert refused.reason.startswith("its document was erased, removed or not stored")
            shown = await courier.show("acme", "ev-1")
            assert shown is not None
            assert (shown.status, shown.actions[-1].action) == ("failed", "erase")
            assert [one.message for one in shown.history] == ["(erased)"]

    asyncio.run(story())
    assert traces_of_her(house) == []


def traces_of_her(house: House) -> list[str]:
    """What the lists and the page show of her."""
    with Records.open(house.database) as records:
        found = [*records.find().uploads, records.show("acme", "ev-1")]
        return [repr(one) for one in found if JANE in repr(one)]


def test_of_two_persons_only_one_is_erased(house: House) -> None:
    """One's name is a part of the other's; addresses with a plus are other addresses."""
    others = {"jane": "jane+x@example.com", "jane.doe": "jane@example.com"}

    async def story() -> None:
        async with house.courier() as courier:
            for number, (subject, mail) in enumerate(others.items()):
                one = attrs.evolve(of_jane(f"ev-{number}"), subject=subject, subject_email=mail)
                await courier.submit(attrs.evolve(one, session_id="course")).settled()
            erasure = await courier.erase("acme", "jane+x@example.com", **WHO)
            assert [one.evidence_id for one in erasure.uploads] == ["ev-0"]
            again = await courier.erase("acme", "jane", **WHO)
            assert again.uploads == ()
            left = await courier.erase("acme", "JANE@EXAMPLE.COM", **WHO, preview=True)
            assert [one.evidence_id for one in left.uploads] == ["ev-1"]

    asyncio.run(story())


@pytest.mark.parametrize(
    ("name", "words"),
    [(MAIL, "no user at ?email=Jane.Doe%40Example.com"), ("ACME\\jane", 'no user "ACME\\\\jane"')],
)
def test_a_name_within_a_url_or_json_is_erased_too(house: House, name: str, words: str) -> None:
    async def story() -> None:
        async with house.courier() as courier:
            await courier.pause("acme", by="kim", reason=words)
            erasure = await courier.erase("acme", name, **WHO)
            assert erasure.removed is not None
            assert erasure.removed.texts == 1

    asyncio.run(story())


def test_a_name_with_very_many_others_is_erased(house: House) -> None:
    """An address that many ids share: the texts are searched for all of them."""

    async def story() -> None:
        async with house.courier() as courier:
            for number in range(150):
                courier.submit(attrs.evolve(of_jane(f"ev-{number}"), subject=f"emp-{number}"))
            await courier.quiet()
            await courier.pause("acme", by="kim", reason="emp-1 and emp-149 asked")
            erasure = await courier.erase("acme", MAIL, **WHO)
            assert erasure.removed is not None
            assert (len(erasure.uploads), erasure.removed.texts) == (150, 1)

    asyncio.run(story())


def test_a_preview_names_what_the_other_name_of_a_person_would_find(house: House) -> None:
    async def story() -> None:
        async with house.courier() as courier:
            for number, (subject, mail) in enumerate(
                ((JANE, MAIL), ("E-7007", MAIL), (JANE, None))
            ):
                one = attrs.evolve(of_jane(f"ev-{number}"), subject=subject, subject_email=mail)
                await courier.submit(one).settled()
            for name, own, others in ((JANE, {0, 2}, {1}), (MAIL, {0, 1}, {2})):
                seen = await courier.erase("acme", name, **WHO, preview=True)
                assert {one.evidence_id for one in seen.uploads} == {f"ev-{n}" for n in own}
                assert {one.evidence_id for one in seen.others} == {f"ev-{n}" for n in others}

    asyncio.run(story())
