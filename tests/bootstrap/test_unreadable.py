"""A record that other hands made unreadable stops no tenant: it is named in the log, and all others
are delivered, recovered and shown."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from attrs import define
from postgres_server import server
from store_fixtures import Desk, House, PaperProvider, evidence

from evidence_courier import AsyncCourier, StoreError
from evidence_courier.adapters.stores.databases import inspect
from evidence_courier.delivery import backlog
from evidence_courier.domain.integration import Pace
from evidence_courier.domain.notices import Notice
from evidence_courier.ports.logger import (
    CourierLost,
    DutyFailed,
    RecordingFailed,
    RecordUnreadable,
    StoreTrouble,
    WriteDelayed,
)

TROUBLE = (StoreTrouble, WriteDelayed, RecordingFailed, DutyFailed)
OTHERS = ["acme-1", "acme-2", "globex-0", "globex-1", "globex-2"]
ALL = ["acme-0", *OTHERS]


@define
class Damaged:
    """A house whose database other hands write to. Both tenants have one credential."""

    house: House
    name: str

    @property
    def on_postgres(self) -> bool:
        return not self.name.endswith(".db")

    def execute(self, statement: str) -> None:
        if self.on_postgres:
            with psycopg.connect(self.name, autocommit=True) as connection:
                connection.execute("SET search_path = evidence_courier")
                connection.execute(statement.encode())
        else:
            with closing(sqlite3.connect(self.name, isolation_level=None)) as connection:
                connection.execute("PRAGMA ignore_check_constraints = 1")
                connection.execute(statement)

    def damage(self, how: str, which: str = "evidence_id = 'acme-0'") -> None:
        self.execute(f"UPDATE uploads SET {how} WHERE {which}")

    def record(self, many: int = 3) -> None:
        async def story() -> None:
            async with self.house.courier(background=False) as courier:
                for tenant_id in ("acme", "globex"):
                    for n in range(many):
                        await courier.submit(evidence(f"{tenant_id}-{n}", tenant_id)).recorded()

        asyncio.run(story())

    def sent(self) -> list[str]:
        return sorted(evidence_id for evidence_id, _ in self.house.server.held)

    def named(self) -> list[str]:
        return [one.key.evidence_id for one in self.house.logger.of(RecordUnreadable)]

    def trouble(self) -> list[object]:
        return [one for one in self.house.logger.events if isinstance(one, TROUBLE)]

    def said(self) -> list[str]:
        """What `invariants` says."""
        return [str(one) for one in inspect(self.name, (), lambda done, of: None).breaches]


@pytest.fixture(params=["sqlite", "postgres"])
def damaged(request: pytest.FixtureRequest, tmp_path: Path) -> Damaged:
    is_postgres = request.param == "postgres"
    name = server().new_database() if is_postgres else str(tmp_path / "courier.db")
    return Damaged(House(name), name)  # type: ignore[arg-type]


def by_a_worker(damaged: Damaged) -> None:
    house = damaged.house
    sleep = house.clock.advance
    with house.blocking_courier(transport=Desk(house), sleep=sleep) as courier:
        for _ in range(3):
            courier.deliver_due(60)


def by_calls(damaged: Damaged) -> None:
    async def story() -> None:
        async with damaged.house.courier(background=False) as courier:
            for _ in range(3):
                await courier.deliver_due(60)

    asyncio.run(story())


def in_the_background(damaged: Damaged) -> None:
    async def story() -> None:
        async with damaged.house.courier() as courier:
            await passed(damaged.house, courier, 30)
            await courier.drain()

    asyncio.run(story())


async def passed(house: House, courier: AsyncCourier, seconds: int) -> None:
    for _ in range(seconds):
        await courier.quiet()
        house.clock.advance(1)
    await courier.quiet()


EACH_WAY = pytest.mark.parametrize("deliver", [by_a_worker, by_calls, in_the_background])
Deliver = Callable[[Damaged], None]

DAMAGES = {
    "settings that are no JSON": "settings = 'x'",
    "settings that are a list": "settings = '[]'",
    "more attempts than there can be": "attempts = 9223372036854775807",
    "a version that no update reaches": "version = 9223372036854775807",
}
MOMENTS = {
    "sqlite": {
        "a day that does not exist": "created_at = '2026-02-30T00:00:00.000000Z'",
        "a moment without a zone": "due = '2025-02-20 10:00:00'",
        "no moment": "due = ''",
        "no day": "evidence_date = 'today'",
        "a word that is no outcome": "outcome = 'x'",
        "a word that is no state": "state = 'nonsense'",
    },
    "postgres": {
        "never": "created_at = 'infinity'",
        "ever": "due = '-infinity'",
        "a day that is none": "evidence_date = 'infinity'",
        "a word that is no outcome": "outcome = 'x'",
    },
}


@EACH_WAY
def test_settings_that_are_no_json_stop_no_other_upload(damaged: Damaged, deliver: Deliver) -> None:
    damaged.record()
    damaged.damage("settings = 'a-key-that-nobody-may-see'")
    damaged.house.clock.advance(60)
    deliver(damaged)
    assert damaged.sent() == OTHERS
    assert damaged.named() == ["acme-0"]
    assert damaged.trouble() == []
    (event,) = damaged.house.logger.of(RecordUnreadable)
    assert (event.key.tenant_id, event.key.provider) == ("acme", "paper")
    assert event.reason.endswith(": settings")


@pytest.mark.parametrize("what", sorted({*DAMAGES, *MOMENTS["sqlite"], *MOMENTS["postgres"]}))
def test_whatever_cannot_be_read_of_a_record_stops_no_other(damaged: Damaged, what: str) -> None:
    store = "postgres" if damaged.on_postgres else "sqlite"
    if (how := (DAMAGES | MOMENTS[store]).get(what)) is None:
        pytest.skip("the other store's")
    damaged.record()
    damaged.damage(how)
    damaged.house.clock.advance(60)
    by_calls(damaged)
    assert damaged.sent() == OTHERS
    assert damaged.named() == ["acme-0"]
    (event,) = damaged.house.logger.of(RecordUnreadable)
    assert event.reason.endswith(f": {how.split()[0]}") or how.startswith("state")
    assert damaged.trouble() == []
    assert any("acme/acme-0" in one for one in damaged.said())


@EACH_WAY
def test_once_it_is_mended_it_is_delivered(damaged: Damaged, deliver: Deliver) -> None:
    damaged.record()
    damaged.damage("settings = 'x'")
    damaged.house.clock.advance(60)

    async def story() -> None:
        async with damaged.house.courier() as courier:
            await passed(damaged.house, courier, 10)
            damaged.damage("settings = '{}'")
            await passed(damaged.house, courier, 10)

    if deliver is in_the_background:
        asyncio.run(story())
    else:
        deliver(damaged)
        damaged.damage("settings = '{}'")
        deliver(damaged)
    assert damaged.sent() == ALL
    assert damaged.named() == ["acme-0"]


@EACH_WAY
def test_however_many_cannot_be_read_the_line_goes_on(
    damaged: Damaged, deliver: Deliver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than a courier has in hand of a line, at its head."""
    monkeypatch.setattr(backlog, "MOST_OF_ONE", 2)
    damaged.record(12)
    damaged.damage("settings = 'x'", "tenant_id = 'acme'")
    damaged.house.clock.advance(60)
    deliver(damaged)
    assert damaged.sent() == sorted(f"globex-{n}" for n in range(12))
    assert sorted(damaged.named()) == sorted(f"acme-{n}" for n in range(12))
    assert damaged.trouble() == []


class SlowPaper(PaperProvider):
    pace = Pace(1, timedelta(seconds=10))


def test_at_a_slow_pace_the_line_goes_on_behind_it(damaged: Damaged) -> None:
    damaged.record()
    damaged.damage("settings = 'x'")
    house = damaged.house
    house.clock.advance(60)
    options: Any = {"transport": Desk(house), "sleep": house.clock.advance}
    with house.blocking_courier(providers={"paper": SlowPaper()}, **options) as courier:
        for _ in range(30):
            courier.deliver_due(10)
            house.clock.advance(10)
    assert damaged.sent() == OTHERS


@EACH_WAY
def test_what_a_dead_courier_was_sending_is_recovered(damaged: Damaged, deliver: Deliver) -> None:
    damaged.record()
    damaged.damage(
        "state = 'sending', due = NULL, attempt = 1, attempts = 1, spent = 1, version = 2,"
        " owner = 77, started_at = '2026-02-21T10:00:00.000000Z'",
        "1 = 1",
    )
    damaged.damage("attempt = NULL")
    damaged.house.clock.advance(60)
    deliver(damaged)
    (lost,) = damaged.house.logger.of(CourierLost)
    assert lost.in_flight == 5
    assert damaged.named() == ["acme-0"]
    assert damaged.trouble() == []


def test_what_was_blocked_goes_on_beside_it(damaged: Damaged) -> None:
    house = damaged.house
    damaged.record()
    house.server.answer = lambda *_: 401
    by_calls(damaged)
    damaged.damage("settings = 'x'")
    damaged.execute("DELETE FROM blocks")
    house.server.answer = lambda *_: 200
    by_calls(damaged)
    assert damaged.sent() == OTHERS
    assert damaged.named() == ["acme-0"]


def test_what_submits_it_again_gets_an_error_that_names_it(damaged: Damaged) -> None:
    damaged.record()
    damaged.damage("settings = 'x'")

    async def story() -> None:
        async with damaged.house.courier() as courier:
            again, new = courier.submit(evidence("acme-0")), courier.submit(evidence("new"))
            with pytest.raises(StoreError, match="acme/acme-0 to paper cannot be read: .*settings"):
                await again.recorded()
            await new.recorded()

    asyncio.run(story())
    with (
        damaged.house.blocking_courier(transport=Desk(damaged.house)) as worker,
        pytest.raises(StoreError, match="acme/acme-0 to paper cannot be read: .*settings"),
    ):
        worker.deliver(evidence("acme-0"))


def test_an_action_says_why_it_was_not_done(damaged: Damaged) -> None:
    damaged.record()
    damaged.house.server.answer = lambda *_: 400
    by_calls(damaged)
    damaged.damage("settings = 'x'")

    async def story() -> None:
        async with damaged.house.courier(background=False) as courier:
            person: Any = {"by": "asha", "reason": "mended"}
            one = await courier.retry("acme", "acme-0", **person)
            assert [status.evidence_id for status in one.done] == []
            assert "its record cannot be read" in one.skipped[0].reason
            three = await courier.retry("acme", ["acme-0", "acme-1", "acme-2"], **person)
            assert [status.evidence_id for status in three.done] == ["acme-1", "acme-2"]

    asyncio.run(story())


# --- what stands beside the uploads ---------------------------------------------------------------


def no_moment(damaged: Damaged) -> str:
    return "infinity" if damaged.on_postgres else "yesterday"


def looked_at(damaged: Damaged) -> dict[str, str]:
    """How all uploads stand, by page and by health."""

    async def story() -> dict[str, str]:
        async with damaged.house.courier(background=False) as courier:
            await courier.health()
            page = await courier.find()
            return {one.evidence_id: one.status for one in page.uploads}

    return asyncio.run(story())


@EACH_WAY
def test_a_pause_that_cannot_be_read_holds_its_tenant_alone(
    damaged: Damaged, deliver: Deliver
) -> None:
    damaged.record()

    async def pause() -> None:
        async with damaged.house.courier(background=False) as courier:
            await courier.pause("acme", by="asha", reason="an audit")

    asyncio.run(pause())
    damaged.execute(f"UPDATE pauses SET at = '{no_moment(damaged)}'")
    damaged.house.clock.advance(60)
    deliver(damaged)
    assert damaged.sent() == ["globex-0", "globex-1", "globex-2"]
    assert damaged.trouble() == []
    assert looked_at(damaged)["acme-0"] == "held"
    assert "a row of pauses (tenant_id acme, provider ) cannot be read: look at its at" in (
        damaged.said()
    )


def blocked(damaged: Damaged) -> None:
    """Acme's integration."""
    house = damaged.house
    damaged.record()
    house.server.answer = lambda evidence_id, _: 401 if evidence_id.startswith("acme") else 429
    by_calls(damaged)
    house.server.answer = lambda *_: 200
    house.clock.advance(600)


@pytest.mark.parametrize("column", ["kind", "at"])
def test_a_block_that_cannot_be_read_stays_and_stops_no_one_else(
    damaged: Damaged, column: str
) -> None:
    blocked(damaged)
    word = "nonsense" if column == "kind" else no_moment(damaged)
    damaged.execute(f"UPDATE blocks SET {column} = '{word}' WHERE tenant_id = 'acme'")
    by_calls(damaged)
    assert damaged.sent() == ["globex-0", "globex-1", "globex-2"]
    assert looked_at(damaged)["acme-0"] == "failed"
    (said,) = [one for one in damaged.said() if "blocks" in one]
    assert said == (
        f"a row of blocks (tenant_id acme, provider paper) cannot be read: look at its {column}"
    )

    async def release() -> None:
        async with damaged.house.courier(background=False) as courier:
            await courier.retry("acme", "acme-0", by="asha", reason="it works")
            await courier.deliver_due(60)
            damaged.house.clock.advance(10)
            await courier.deliver_due(60)

    asyncio.run(release())
    assert damaged.sent() == ALL


@EACH_WAY
def test_a_gate_that_cannot_be_read_stops_no_one(damaged: Damaged, deliver: Deliver) -> None:
    damaged.record()
    damaged.house.server.answer = lambda *_: 429
    by_calls(damaged)
    damaged.house.server.answer = lambda *_: 200
    damaged.house.clock.advance(600)
    names = "paused_since paused_until held_since wanted_at head_since backfill_at".split()
    at = no_moment(damaged)
    damaged.execute(f"UPDATE gates SET {', '.join(f'{one} = {at!r}' for one in names)}, holder = 9")
    damaged.execute(f"UPDATE slots SET at = '{at}'")
    assert len([one for one in damaged.said() if "a row of gates" in one]) == 1
    looked_at(damaged)
    deliver(damaged)
    assert damaged.sent() == ALL
    assert damaged.trouble() == []


@pytest.mark.parametrize("figure", ["pace_limit = 0", "pace_seconds = 1e300", "together = 0"])
def test_a_pace_that_cannot_be_stops_no_page(damaged: Damaged, figure: str) -> None:
    damaged.record()
    damaged.house.server.answer = lambda *_: 429
    by_calls(damaged)
    damaged.execute(f"UPDATE gates SET {figure}")
    assert sorted(looked_at(damaged)) == ALL


def test_a_courier_whose_row_cannot_be_read_stops_no_recovery(damaged: Damaged) -> None:
    damaged.record()
    names = "id, host, pid, enlisted_at, beat, beat_at"
    cells = f"55, 'elsewhere', 1, '{no_moment(damaged)}', 1, '{no_moment(damaged)}'"
    if not damaged.on_postgres:
        names, cells = f"{names}, boot, lock", f"{cells}, '', 'no' || char(0) || 'lock'"
    damaged.execute(f"INSERT INTO couriers ({names}) VALUES ({cells})")
    by_calls(damaged)
    assert damaged.sent() == ALL
    assert damaged.trouble() == []


class Sink:
    name = "a list"

    def __init__(self) -> None:
        self.taken: list[str] = []

    def take(self, notice: Notice) -> None:
        self.taken.append(notice.text)


@pytest.mark.parametrize("notice", ["no notice", "[]", "{}", '{"at": "2026-02-21"}'])
def test_a_notice_that_cannot_be_read_keeps_no_other_back(damaged: Damaged, notice: str) -> None:
    damaged.record()
    sink, house = Sink(), damaged.house

    async def story() -> None:
        async with house.courier(background=False, notices=[sink]) as courier:
            house.server.answer = lambda *_: 400
            damaged.execute(
                "INSERT INTO notices (sink, notice, due, tries)"
                f" VALUES ('a list', '{notice}', '2026-02-21T10:00:00.000000Z', 0)"
            )
            for _ in range(10):
                await courier.deliver_due(60)
                house.clock.advance(30)
            (waiting,) = (await courier.health()).notices
            assert waiting.number == 1

    asyncio.run(story())
    assert [one for one in sink.taken if "acme" in one]
    assert [one for one in sink.taken if "globex" in one]
    assert damaged.trouble() == []
    assert [one for one in damaged.said() if "a row of notices" in one]


def test_a_note_that_cannot_be_read_keeps_no_notice_back(damaged: Damaged) -> None:
    damaged.record()
    sink, house = Sink(), damaged.house

    async def story() -> None:
        async with house.courier(background=False, notices=[sink]) as courier:
            house.server.answer = lambda evidence_id, _: 400 if evidence_id != "globex-2" else 500
            for _ in range(3):
                await courier.deliver_due(60)
                house.clock.advance(30)
            damaged.execute("UPDATE notice_notes SET value = 'x' WHERE name LIKE '%acme%'")
            damaged.execute("INSERT INTO notice_notes (name, value) VALUES ('[x', '')")
            sink.taken.clear()
            house.server.answer = lambda *_: 400
            for _ in range(10):
                await courier.deliver_due(60)
                house.clock.advance(600)

    asyncio.run(story())
    assert [one for one in sink.taken if "globex" in one]
    assert damaged.trouble() == []


# --- what is shown --------------------------------------------------------------------------------


@pytest.mark.parametrize("what", sorted({*DAMAGES, *MOMENTS["sqlite"], *MOMENTS["postgres"]}))
def test_pages_and_health_answer_and_show_it_as_held(damaged: Damaged, what: str) -> None:
    store = "postgres" if damaged.on_postgres else "sqlite"
    how = (DAMAGES | MOMENTS[store]).get(what)
    if how is None or how.split()[0] in ("outcome", "attempts", "version"):
        pytest.skip("the other store's, or nothing that is shown")
    damaged.record()
    damaged.damage(how)

    async def story() -> None:
        async with damaged.house.courier(background=False) as courier:
            seen: list[str] = []
            after: str | None = None
            for _ in range(9):
                page = await courier.find(limit=2, after=after)
                seen += [one.evidence_id for one in page.uploads]
                if (after := page.next_page) is None:
                    break
            assert sorted({*seen}) == ALL
            statuses = await courier.statuses("acme", ["acme-0", "acme-1"])
            assert statuses["acme-1"].status == "pending"
            assert statuses["acme-0"].status == "held"
            error = statuses["acme-0"].error
            assert error is not None
            assert "its record cannot be read" in error.message
            shown = await courier.show("acme", "acme-0")
            assert shown is not None
            assert shown.status == "held"
            assert (await courier.health()).oldest_open_at is not None

    asyncio.run(story())


def test_a_history_that_cannot_be_read_is_named(damaged: Damaged) -> None:
    damaged.record()
    by_calls(damaged)
    damaged.execute("UPDATE attempts SET verdict = 'nonsense' WHERE upload_id = 1")

    async def story() -> None:
        async with damaged.house.courier(background=False) as courier:
            with pytest.raises(StoreError, match="history of acme/acme-0 to paper cannot be read"):
                await courier.show("acme", "acme-0")
            assert await courier.show("acme", "acme-1") is not None

    asyncio.run(story())
