"""`evidence-courier copy`: a database in a file is taken over into a PostgreSQL."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from attrs import evolve
from click.testing import CliRunner, Result
from postgres_server import server
from store_fixtures import House, PaperProvider, evidence

from evidence_courier import AsyncCourier, Filter
from evidence_courier.adapters.stores import copying
from evidence_courier.adapters.stores.copying import NO_COURIER
from evidence_courier.adapters.stores.postgres import PostgresStore
from evidence_courier.adapters.stores.rows import moment
from evidence_courier.adapters.stores.sqlite import SqliteStore
from evidence_courier.bootstrap.cli.app import app
from evidence_courier.domain.errors import StoreError
from evidence_courier.domain.notices import News
from evidence_courier.domain.pacing.paused import Paused, Scope
from evidence_courier.domain.upload.find import Find
from evidence_courier.domain.upload.status import UploadDetails
from evidence_courier.domain.upload.upload import UploadKey
from evidence_courier.ports.store import UploadStore

NOW = datetime(2026, 3, 1, tzinfo=UTC)
LARGE = b"%PDF-1.7 " + b"large" * 40_000
ODD = "a detail with \0, \x1a, é and 中"


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "courier.db")


@pytest.fixture
def target() -> str:
    return server().empty_database()


def copied(house: House, target: str) -> Result:
    return CliRunner().invoke(app, ["copy", str(house.database), target])


async def history(house: House) -> None:
    """Uploads of every status, with attempts, actions and documents."""
    answers: Mapping[str, Any] = {"503": 503, "400": 400, "429": (429, 90), "dead": None}

    def answer(name: str, nth: int) -> Any:
        word = name.partition("-")[0]
        return answers.get(word, 200) if word != "later" or nth < 3 else 200

    house.server.answer = answer
    async with house.courier(keep_documents=True) as courier:
        for number, word in enumerate(("ok", "503", "400", "429", "ok")):
            await courier.submit(evidence(f"{word}-{number}")).recorded()
        await courier.quiet()
        house.clock.advance(30)
        await courier.quiet()
        await courier.abandon("acme", "429-3", by="asha", reason="a mistake")
        await courier.retry("acme", Filter(), by="asha", reason="mended")
        await courier.quiet()
    async with house.courier(background=False) as courier:
        await courier.submit(evidence("waits-small")).recorded()
        await courier.submit(evidence("waits-large", content=LARGE)).recorded()
    connection = sqlite3.connect(house.database)
    connection.execute("UPDATE attempts SET detail = ? WHERE id = 1", [ODD])
    connection.commit()
    connection.close()


def details(store: UploadStore) -> dict[str, UploadDetails | None]:
    found = store.find(Find(limit=100), NOW).uploads
    return {one.evidence_id: store.show("acme", one.evidence_id, NOW) for one in found}


def test_everything_is_as_it_was(house: House, target: str) -> None:
    asyncio.run(history(house))
    done = copied(house, target)
    assert done.exit_code == 0, done.output
    assert "copied 7 uploads with" in done.output
    before, after = SqliteStore(str(house.database)), PostgresStore(target)
    keys = [UploadKey("acme", name, "paper") for name in details(before)]
    try:
        assert details(after) == details(before)
        assert len(keys) == 7
        assert after.counts() == before.counts()
        assert after.get(keys, staged=True).keys() == before.get(keys, staged=True).keys()
        for key, entry in after.get(keys, staged=True).items():
            there = before.get([key], staged=True)[key]
            assert entry.upload == there.upload
            assert entry.content == there.content or there.dossier.document.file is not None
            assert evolve(there.dossier.document, file=None) == entry.dossier.document
        assert after.fingerprint_key() == before.fingerprint_key()
    finally:
        before.close()
        after.close()


def test_a_courier_goes_on_with_the_copy(house: House, target: str) -> None:
    asyncio.run(history(house))
    assert copied(house, target).exit_code == 0
    house.server.held.clear()
    house.server.answer = lambda _, __: 200
    house.clock.advance(3600)

    async def go_on() -> None:
        options: Any = {"clock": house.clock, "transport": house.server, "secrets": house.keys}
        options |= {"providers": {"paper": PaperProvider()}, "background": False}
        async with AsyncCourier.from_mapping(house.tenants, target, **options) as courier:
            await courier.deliver_due()
            await courier.submit(evidence("new")).recorded()
            await courier.deliver_due()

    asyncio.run(go_on())
    sent = dict(house.server.held)
    assert {"waits-small", "waits-large", "new"} <= sent.keys()
    assert sent["waits-large"] == LARGE


def test_what_was_being_sent_is_recovered(house: House, target: str) -> None:
    asyncio.run(history(house))
    connection = sqlite3.connect(house.database)
    connection.execute(
        "UPDATE uploads SET state = 'sending', due = NULL, attempt = attempts + 1, owner = 1,"
        " started_at = updated_at, attempts = attempts + 1, spent = spent + 1"
        " WHERE evidence_id = 'waits-small'"
    )
    connection.commit()
    connection.close()
    assert copied(house, target).exit_code == 0
    store = PostgresStore(target)
    try:
        (left,) = store.dead(1, 10).items()
        assert left[0] == NO_COURIER
        assert [one.upload.key.evidence_id for one in left[1]] == ["waits-small"]
    finally:
        store.close()


def test_a_target_with_records_is_refused(house: House, target: str) -> None:
    asyncio.run(history(house))
    assert copied(house, target).exit_code == 0
    again = copied(house, target)
    assert (again.exit_code, "it has records" in again.output) == (3, True)


def test_a_target_where_a_courier_has_noted_things_is_no_obstacle(
    house: House, target: str
) -> None:
    asyncio.run(history(house))
    store = PostgresStore(target)
    noted = News((), {"looked": "1"})
    store.note(house.clock.now(), ["sink"], noted, {})
    store.close()
    source = SqliteStore(str(house.database))
    source.note(house.clock.now(), ["sink"], noted, {})
    source.close()
    assert copied(house, target).exit_code == 0


def test_a_target_with_a_pause_is_refused(house: House, target: str) -> None:
    asyncio.run(history(house))
    store = PostgresStore(target)
    store.save([Paused(Scope("acme"), house.clock.now(), "kim", "an audit")])
    store.close()
    refused = copied(house, target)
    assert (refused.exit_code, "it has records" in refused.output) == (3, True)


def test_a_source_on_which_a_courier_works_is_refused(house: House, target: str) -> None:
    async def beside() -> Result:
        async with house.courier():
            return await asyncio.to_thread(copied, house, target)

    refused = asyncio.run(beside())
    assert (refused.exit_code, "a courier works on it: stop it" in refused.output) == (3, True)


@pytest.mark.parametrize(("minutes", "code"), [(9, 3), (11, 0)])
def test_an_unknown_couriers_silence_is_waited_for(
    house: House, target: str, minutes: int, code: int
) -> None:
    """One on another machine, or one whose lock is gone: nothing but its heartbeat tells."""
    asyncio.run(history(house))
    beat_at = moment(datetime.now(UTC) - timedelta(minutes=minutes))
    with closing(sqlite3.connect(house.database)) as connection, connection:
        connection.execute(
            "INSERT INTO couriers (host, boot, pid, lock, enlisted_at, beat, beat_at)"
            " VALUES ('elsewhere', 'then', 7, NULL, ?, 4, ?)",
            (beat_at, beat_at),
        )
    done = copied(house, target)
    assert (done.exit_code, "a courier works on it: its last sign" in done.output) == (
        code,
        code > 0,
    )


def test_no_courier_starts_on_the_source_meanwhile(
    house: House, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asyncio.run(history(house))
    store, refusals = SqliteStore(str(house.database), busy_timeout=0), []
    end = copying._end  # pyright: ignore[reportPrivateUsage]

    def beside(*given: Any) -> None:
        with pytest.raises(StoreError, match="database is locked") as refused:
            store.heartbeat(None, NOW)
        refusals.append(refused)
        end(*given)

    monkeypatch.setattr(copying, "_end", beside)
    try:
        done = copied(house, target)
        assert (done.exit_code, len(refusals)) == (0, 1), done.output
        store.heartbeat(None, NOW)
    finally:
        store.close()


def test_a_target_that_a_process_has_open_is_refused(house: House, target: str) -> None:
    """Registered or not: it has read the key for fingerprints, which the copy replaces."""
    asyncio.run(history(house))
    store = PostgresStore(target)
    try:
        refused = copied(house, target)
        assert (refused.exit_code, "a process has it open" in refused.output) == (3, True)
    finally:
        store.close()
    assert copied(house, target).exit_code == 0


def test_one_who_opens_the_target_meanwhile_has_the_key_of_the_copy(
    house: House, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asyncio.run(history(house))
    end = copying._end  # pyright: ignore[reportPrivateUsage]
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"

    def key_of(store: UploadStore) -> bytes:
        try:
            return store.fingerprint_key()
        finally:
            store.close()

    with ThreadPoolExecutor(1) as threads, psycopg.connect(target, autocommit=True) as look:
        opened: list[Future[bytes]] = []

        def beside(*given: Any) -> None:
            opened.append(threads.submit(lambda: key_of(PostgresStore(target))))
            while not opened[0].done() and look.execute(waiting).fetchone() == (0,):
                wait(opened, timeout=0.01)
            end(*given)

        monkeypatch.setattr(copying, "_end", beside)
        assert copied(house, target).exit_code == 0
        assert opened[0].result(30) == key_of(SqliteStore(str(house.database)))


def test_nothing_is_copied_if_a_document_is_gone(house: House, target: str) -> None:
    asyncio.run(history(house))
    for file in (house.database.parent / "courier.db-documents").iterdir():
        file.unlink()
    refused = copied(house, target)
    assert (refused.exit_code, "the document of acme/waits-large is gone" in refused.output) == (
        3,
        True,
    )
    store = PostgresStore(target)
    try:
        assert set(store.counts().values()) == {0}
    finally:
        store.close()
    act = ["abandon", "--db", str(house.database), "acme", "waits-large", "--by", "asha"]
    assert CliRunner().invoke(app, [*act, "--reason", "its document is gone"]).exit_code == 0
    assert copied(house, target).exit_code == 0


def test_a_stored_document_that_was_cleaned_up_is_not_missed(house: House, target: str) -> None:
    async def deliver() -> None:
        async with house.courier(keep_documents=True) as courier:
            await courier.submit(evidence("kept", content=LARGE)).settled()

    asyncio.run(deliver())
    (file,) = (house.database.parent / "courier.db-documents").glob("*-[0-9]*")
    file.unlink()
    done = copied(house, target)
    assert done.exit_code == 0, done.output
    assert "copied 1 uploads with 1 attempts and 0 documents" in done.output


@pytest.mark.parametrize(("source", "to"), [("a.db", "b.db"), ("postgresql://h/d", "b.db")])
def test_it_goes_from_a_file_into_a_postgresql_only(source: str, to: str) -> None:
    refused = CliRunner().invoke(app, ["copy", source, to])
    assert (refused.exit_code, "copy takes a database in a file" in refused.output) == (2, True)
