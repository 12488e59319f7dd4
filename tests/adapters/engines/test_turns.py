"""Turns on an event loop: many begin and are settled at once, and a few tasks send."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from attrs import evolve
from dialogue_runner import driver_of
from store_fixtures import House, evidence, tenant

from evidence_courier import Document, UploadStatus
from evidence_courier.adapters.engines.asyncio_driver import ANSWERS_AT_ONCE, Together
from evidence_courier.adapters.engines.turns import Turns
from evidence_courier.adapters.stores.writer import WriterThread
from evidence_courier.delivery.effects import Interrupted, Turn, Wait, perform
from evidence_courier.domain.errors import StoreError
from evidence_courier.ports.gates import Acquire, AcquireAnswer
from evidence_courier.ports.logger import UploadSettled, WriteDelayed
from evidence_courier.ports.records import BeginAnswer, Start
from evidence_courier.testing import FakeClock, until_settled
from evidence_courier.testing.contracts.stored import entry
from evidence_courier.testing.memory_store import MemoryStore


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "courier.db")


def test_what_begins_and_ends_together_is_one_request_to_the_writer(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, list[int]] = {"begin": [], "save": []}

    def counted(verb: str) -> None:
        ask = getattr(WriterThread, verb)

        def count(writer: WriterThread, items: Sequence[Any]) -> object:
            asked[verb].append(len(items))
            return ask(writer, items)

        monkeypatch.setattr(WriterThread, verb, count)

    counted("begin")
    counted("save")

    async def story() -> None:
        async with house.courier() as courier:
            tickets = [courier.submit(evidence(f"ev-{n}")) for n in range(30)]
            await until_settled(courier, house.clock, *tickets)

    asyncio.run(story())
    assert {verb: sum(sizes) for verb, sizes in asked.items()} == {"begin": 30, "save": 30}
    assert all(len(sizes) <= 10 for sizes in asked.values()), asked


def test_no_more_tasks_send_than_connections_are_allowed(house: House) -> None:
    house.server.answer = lambda _evidence, _nth: None

    async def story() -> None:
        async with house.courier(concurrency=8) as courier:
            before = len(asyncio.all_tasks())
            for tenant_id in ("acme", "globex"):
                for n in range(20):
                    courier.submit(evidence(f"{tenant_id}-{n}", tenant_id))
            while (await courier.health()).under_way < 12 or house.server.now_open < 4:
                await asyncio.sleep(0)
            assert len(asyncio.all_tasks()) - before <= 8
            await courier.close(grace=0)

    asyncio.run(story())
    assert 4 <= house.server.most_open <= 8


class Counting(MemoryStore):
    """Counts the requests that ask for a slot."""

    asked = 0

    def acquire(self, requests: Sequence[Acquire]) -> Sequence[AcquireAnswer]:
        self.asked += len(requests)
        return super().acquire(requests)


@pytest.mark.parametrize(("pace", "asked"), [("100000/min", 0), ("10/min", 4)])
def test_what_is_read_first_has_its_slot_as_it_begins_if_the_pace_is_wide(
    house: House, pace: str, asked: int
) -> None:
    class Source:
        def read(self, tenant_id: str, key: str) -> bytes:
            return b"x"

    house.tenants["acme"] = tenant(pace=pace)
    store = Counting()
    document = Document(
        source="key", sha256=sha256(b"x").hexdigest(), size=1, media_type="application/pdf"
    )

    async def story() -> None:
        async with house.courier_on(store, source=Source()) as courier:
            tickets = [
                courier.submit(evolve(evidence(f"ev-{n}"), document=document)) for n in range(4)
            ]
            for ticket in tickets:
                status = await ticket.settled(10)
                assert status is not None and status.status == "succeeded"

    asyncio.run(story())
    assert store.asked == asked


class Refusing(MemoryStore):
    """Refuses to begin one upload, three times."""

    def __init__(self) -> None:
        super().__init__()
        self.left = 3

    def begin(self, turns: Sequence[Sequence[Start]]) -> Sequence[Sequence[BeginAnswer]]:
        keys = [start.upload.key.evidence_id for turn in turns for start in turn]
        if "ev-3" in keys and self.left:
            self.left -= len(keys) == 1
            raise StoreError("not this one")
        return super().begin(turns)


def test_a_turn_that_is_refused_alone_is_tried_again_alone(house: House) -> None:
    async def story() -> None:
        async with house.courier_on(Refusing()) as courier:
            tickets = [courier.submit(evidence(f"ev-{n}")) for n in range(8)]
            others = [ticket for n, ticket in enumerate(tickets) if n != 3]
            for status in await asyncio.gather(*(ticket.settled(10) for ticket in others)):
                assert status is not None and status.status == "succeeded"
            last = asyncio.ensure_future(tickets[3].settled())
            while not last.done():
                house.clock.advance(1)
                await asyncio.sleep(0)
            status = last.result()
            assert status is not None
            assert (status.status, status.attempts) == ("succeeded", 1)

    asyncio.run(story())
    delayed = [event.key.evidence_id for event in house.logger.of(WriteDelayed)]
    assert delayed == ["ev-3"] * 3


def test_answers_that_come_together_are_handed_out_over_some_turns() -> None:
    """A loop that goes on with two hundred turns at once does nothing else meanwhile."""
    at_once: list[int] = []

    async def echo(wishes: Sequence[int]) -> Sequence[int]:
        return wishes

    async def story() -> None:
        together: Together[int, int] = Together(echo)
        answers: list[Sequence[int]] = []
        for number in range(100):
            together.ask([number], lambda given, error: answers.append(given))
        before = 0
        while len(answers) < 100:
            await asyncio.sleep(0)
            at_once.append(len(answers) - before)
            before = len(answers)
        assert answers == [[number] for number in range(100)]

    asyncio.run(story())
    assert max(at_once) == ANSWERS_AT_ONCE


def states_of(database: Path) -> list[str]:
    with closing(sqlite3.connect(database)) as connection:
        return [row[0] for row in connection.execute("SELECT state FROM uploads")]


def test_a_loop_that_ends_without_a_close_leaves_no_turn_in_flight(house: House) -> None:
    house.server.answer = lambda _evidence, _nth: None

    async def story() -> None:
        courier = house.courier(concurrency=2)
        await courier.start()
        tickets = [courier.submit(evidence(f"ev-{n}")) for n in range(6)]
        for ticket in tickets:
            await ticket.recorded()
        while house.server.now_open < 1:
            await asyncio.sleep(0)
        others = asyncio.all_tasks() - {asyncio.current_task()}  # as `asyncio.run` does it
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        states.update(states_of(house.database))
        await courier.close()

    states: set[str] = set()
    asyncio.run(story())
    assert "sending" not in states
    with closing(sqlite3.connect(house.database)) as connection:
        verdicts = [row[0] for row in connection.execute("SELECT verdict FROM attempts")]
    assert verdicts.count("unclear") == house.server.most_open
    assert set(verdicts) == {"unclear", "deferred"}


def test_a_turn_that_is_cut_off_before_its_task_has_begun_hears_of_it() -> None:
    heard: list[Interrupted] = []

    def turn() -> Turn[None]:
        try:
            yield from perform(Wait(datetime.max.replace(tzinfo=UTC)))
        except Interrupted as cut:
            heard.append(cut)

    async def story() -> None:
        ended: list[object] = []
        driver = driver_of(cast(Any, None), FakeClock())
        turns = Turns(driver, lambda uploads, refused: ended.append(uploads), lambda: None)
        turns.start([cast(Any, SimpleNamespace(upload=entry().upload))], turn())
        turns.interrupt()
        async with asyncio.timeout(10):
            await turns.none()
        assert len(ended) == 1

    asyncio.run(story())
    assert [cut.closing for cut in heard] == [True]


def test_what_a_hook_lets_through_to_the_host_stops_no_other_turn(house: House) -> None:
    def hook(status: UploadStatus) -> None:
        if status.evidence_id == "ev-0":
            raise KeyboardInterrupt

    opened: list[Any] = []

    async def story() -> None:
        async with house.courier(on_settled=hook) as courier:
            opened.append(courier._running)  # pyright: ignore[reportPrivateUsage]
            for ticket in [courier.submit(evidence(f"ev-{n}")) for n in range(8)]:
                await ticket.settled()

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(story())
    # The loop ended before the courier was closed.
    opened[0].writer.close()
    opened[0]._threads.shutdown()
    opened[0]._host_threads.shutdown()
    opened[0]._file_thread.shutdown()
    settled = {event.status.evidence_id for event in house.logger.of(UploadSettled)}
    assert settled == {f"ev-{n}" for n in range(8)}
