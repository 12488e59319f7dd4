"""The records without a courier: they are read and acted on, and nothing is delivered."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Callable, Coroutine
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
from postgres_server import server
from store_fixtures import House, PaperProvider, evidence

from evidence_courier import (
    AsyncCourier,
    AsyncRecords,
    BlockingCourier,
    Filter,
    MisuseError,
    Records,
    StoreError,
)
from evidence_courier.ports.logger import ActionTaken
from evidence_courier.testing import MemoryStore, until_settled

WHY: dict[str, Any] = {"by": "asha", "reason": "seen to"}

Asked = Callable[[Any], Any]


def on_records(database: Path, ask: Asked, **options: Any) -> Any:
    with Records.open(database, **options) as records:
        return ask(records)


def on_async_records(
    database: Path, ask: Callable[[Any], Coroutine[Any, Any, Any]], **options: Any
) -> Any:
    async def story() -> Any:
        async with AsyncRecords.open(database, **options) as records:
            return await ask(records)

    return asyncio.run(story())


@pytest.fixture(params=[on_records, on_async_records])
def ask(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Asks records of either face one question."""
    asked: Callable[..., Any] = request.param
    return asked


@pytest.fixture
def house(tmp_path: Path) -> House:
    """acme's ev-1 has failed and ev-2 has succeeded."""
    house = House(tmp_path / "courier.db")
    house.server.answer = lambda name, nth: 400 if name == "ev-1" else 200

    async def story() -> None:
        async with house.courier() as courier:
            tickets = [courier.submit(evidence(name)) for name in ("ev-1", "ev-2")]
            await until_settled(courier, house.clock, *tickets)

    asyncio.run(story())
    house.server.answer = lambda name, nth: 200
    return house


def couriers_in(database: Path) -> list[int]:
    with closing(sqlite3.connect(database)) as connection:
        return [row[0] for row in connection.execute("SELECT id FROM couriers")]


def test_they_read_what_a_courier_has_recorded(house: House, ask: Callable[..., Any]) -> None:
    read = partial(ask, house.database)
    assert [one.evidence_id for one in read(lambda it: it.find(status="failed")).uploads] == [
        "ev-1"
    ]
    assert read(lambda it: it.statuses("acme", ["ev-2", "ev-9"])).keys() == {"ev-2"}
    assert len(read(lambda it: it.show("acme", "ev-1")).history) == 1
    counts = {"pending": 0, "retrying": 0, "held": 0, "succeeded": 1, "failed": 1, "skipped": 0}
    assert read(lambda it: it.counts()) == read(lambda it: it.health()).counts == counts


def test_what_they_do_a_courier_delivers_and_they_do_not(
    house: House, ask: Callable[..., Any]
) -> None:
    sent = len(house.server.held)
    acted = ask(
        house.database,
        lambda it: it.retry("acme", ["ev-1", "ev-2"], **WHY),
        clock=house.clock,
        logger=house.logger,
        providers={"paper": PaperProvider()},
    )
    assert [one.status for one in acted.done] == ["pending"]
    assert [one.status.evidence_id for one in acted.skipped] == ["ev-2"]
    assert ActionTaken in {type(event) for event in house.logger.events}
    assert len(house.server.held) == sent
    assert couriers_in(house.database) == []

    async def story() -> None:
        async with house.courier() as courier:
            house.clock.advance(60)
            await courier.quiet()

    asyncio.run(story())
    assert ask(house.database, lambda it: it.show("acme", "ev-1")).status == "succeeded"


def test_a_preview_writes_nothing(house: House, ask: Callable[..., Any]) -> None:
    done = ask(house.database, lambda it: it.retry("acme", Filter(), preview=True, **WHY)).done
    assert [one.evidence_id for one in done] == ["ev-1"]
    assert ask(house.database, lambda it: it.show("acme", "ev-1")).actions == ()


def test_one_unknown_evidence_among_several_is_named_and_nothing_is_done(
    house: House, ask: Callable[..., Any]
) -> None:
    with pytest.raises(MisuseError, match="'acme' has no upload of evidence 'ev-9'"):
        ask(house.database, lambda it: it.retry("acme", ["ev-1", "ev-9"], **WHY))
    assert ask(house.database, lambda it: it.show("acme", "ev-1")).actions == ()


def test_a_database_that_does_not_exist_is_refused_and_not_made(
    tmp_path: Path, ask: Callable[..., Any]
) -> None:
    missing = tmp_path / "typo.db"
    with pytest.raises(StoreError, match=r"typo.db: there is no such database; look at the path"):
        ask(missing, lambda it: it.counts())
    assert list(tmp_path.iterdir()) == []


def test_a_database_that_is_removed_meanwhile_is_not_made_anew(house: House) -> None:
    with Records.open(house.database) as records:
        for file in house.database.parent.glob(f"{house.database.name}*"):
            file.unlink()
        with pytest.raises(StoreError, match="cannot be found any more"):
            records.pause("acme", by="dana", reason="moves")
    assert not house.database.exists()


def test_a_database_of_another_version_is_refused_with_advice(
    house: House, ask: Callable[..., Any]
) -> None:
    with closing(sqlite3.connect(house.database)) as connection, connection:
        connection.execute("DELETE FROM _sqlite_migrations WHERE name = 'm011_document_files'")
    advice = "an older evidence-courier has written it; start a courier with it once"
    with pytest.raises(StoreError, match=advice):
        ask(house.database, lambda it: it.counts())


def test_an_option_that_does_not_exist_is_refused(house: House, ask: Callable[..., Any]) -> None:
    with pytest.raises(
        MisuseError, match="'clok' is no option of this courier: did you mean clock"
    ):
        ask(house.database, lambda it: it.counts(), clok=None)


def test_a_store_of_the_hosts_own_is_read_and_stays_open(ask: Callable[..., Any]) -> None:
    store = MemoryStore()
    assert ask(None, lambda it: it.counts(), store=store)["pending"] == 0
    assert sum(store.counts().values()) == 0


def test_once_closed_they_are_refused(house: House) -> None:
    records = Records.open(house.database)
    records.close()
    records.close()
    with pytest.raises(MisuseError, match="these records are closed: open them anew"):
        records.counts()

    async def story() -> None:
        awaited = AsyncRecords.open(house.database)
        await awaited.close()
        with pytest.raises(MisuseError, match="these records are closed: open them anew"):
            await awaited.counts()

    asyncio.run(story())


def test_they_read_and_act_on_a_postgresql(tmp_path: Path, ask: Callable[..., Any]) -> None:
    url = server().new_database()
    house = House(tmp_path / "none")
    house.server.answer = lambda name, nth: 400

    def courier() -> AsyncCourier:
        return AsyncCourier.from_mapping(house.tenants, url, **house._around({}))

    async def story() -> None:
        async with courier() as delivering:
            await until_settled(delivering, house.clock, delivering.submit(evidence("ev-1")))

    asyncio.run(story())
    assert ask(url, lambda it: it.counts())["failed"] == 1
    acted = ask(url, lambda it: it.retry("acme", "ev-1", **WHY))
    assert [one.status for one in acted.done] == ["pending"]
    assert ask(url, lambda it: it.show("acme", "ev-1")).actions[0].by == "asha"
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT id FROM evidence_courier.couriers").fetchall() == []
    with pytest.raises(StoreError, match="start a courier"):
        ask(server().empty_database(), lambda it: it.counts())


def test_a_blocking_courier_counts_too(house: House) -> None:
    with BlockingCourier.from_mapping(
        house.tenants,
        house.database,
        providers={"paper": PaperProvider()},
        secrets=house.keys,
    ) as courier:
        assert courier.counts() == courier.health().counts
        assert courier.counts()["failed"] == 1


def in_a_process(database: Path, code: str) -> str:
    text = "import os, sys, threading\nfrom evidence_courier import MisuseError, Records\n"
    text += "records = Records.open(sys.argv[1])\n" + textwrap.dedent(code)
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", text, str(database)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_opened_before_a_fork_they_work_on_both_sides_of_it(house: House) -> None:
    said = in_a_process(
        house.database,
        """
        assert records.counts()["failed"] == 1
        child = os.fork()
        if not child:
            acted = records.retry("acme", "ev-1", by="asha", reason="seen to")
            os._exit(0 if len(acted.done) == 1 else 1)
        print(os.waitpid(child, 0)[1], records.counts()["failed"])
        records.close()
        """,
    )
    assert said == "0 0\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_child_forked_while_they_are_in_use_is_refused(house: House) -> None:
    said = in_a_process(
        house.database,
        """
        begun, end = threading.Event(), threading.Event()

        def read(reader):
            reader.counts()
            begun.set()
            end.wait()

        thread = threading.Thread(target=records._access.read, args=[read])
        thread.start()
        begun.wait()
        child = os.fork()
        if not child:
            try:
                records.counts()
            except MisuseError as error:
                os._exit(0 if "fork" in str(error) else 1)
            os._exit(2)
        end.set()
        thread.join()
        print(os.waitpid(child, 0)[1], records.counts()["failed"])
        records.close()
        """,
    )
    assert said == "0 1\n"
