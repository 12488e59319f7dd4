"""What the database could not take is kept within bounds, in order, and tried until it is taken."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence

import pytest
from attrs import define, field
from store_fixtures import House, evidence

from evidence_courier.adapters.engines import unwritten
from evidence_courier.adapters.engines.recorder import BATCH
from evidence_courier.adapters.engines.unwritten import Unwritten
from evidence_courier.domain.errors import StoreError
from evidence_courier.ports.logger import RecordingFailed
from evidence_courier.ports.records import AddAnswer, Entry
from evidence_courier.testing import FakeClock, MemoryStore


@define
class Desk:
    """Takes what it is asked to, and remembers it."""

    clock: FakeClock = field(factory=FakeClock)
    refused: set[str] = field(factory=set)
    tries: list[Sequence[str]] = field(factory=list)
    taken: list[str] = field(factory=list)
    unwritten: Unwritten[str] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.unwritten = Unwritten(self.clock, self.write, lambda: None)

    async def write(self, some: Sequence[str]) -> Sequence[str]:
        self.tries.append(some)
        self.taken += [one for one in some if one not in self.refused]
        return [one for one in some if one in self.refused]

    async def after(self, seconds: float) -> None:
        """Let so much time pass, and what is due be tried."""
        await self._settle()
        self.clock.advance(seconds)
        await self._settle()

    async def _settle(self) -> None:
        async with asyncio.timeout(10):
            for _ in range(5):  # what is woken has its turn
                await asyncio.sleep(0)
            while self.unwritten.task is not None and not self.unwritten.napping:
                await asyncio.sleep(0)
            await asyncio.sleep(0)


def on_a_loop(story: Callable[[Desk], Awaitable[None]]) -> None:
    async def told() -> None:
        await story(Desk())

    asyncio.run(told())


def test_it_is_tried_again_after_a_second_and_then_less_often() -> None:
    async def story(desk: Desk) -> None:
        desk.refused = {"a", "b"}
        assert desk.unwritten.keep("a", 1) and desk.unwritten.keep("b", 1)
        for pause in (1, 2, 4, 8, 16, 30, 30):
            before = len(desk.tries)
            await desk.after(pause - 0.1)
            assert len(desk.tries) == before
            await desk.after(0.1)
            assert len(desk.tries) == before + 1
        desk.refused = set()
        await desk.after(30)
        assert (desk.taken, len(desk.unwritten)) == (["a", "b"], 0)

    on_a_loop(story)


def test_when_some_are_taken_all_others_are_tried_at_once() -> None:
    async def story(desk: Desk) -> None:
        names = [f"{n:03}" for n in range(200)]
        desk.refused = {"000", "150"}
        for name in names:
            assert desk.unwritten.keep(name, 1)
        await desk.after(1)
        assert desk.taken == [name for name in names if name not in desk.refused]
        assert len(desk.unwritten) == 2
        desk.refused = set()
        await desk.after(1)
        assert sorted(desk.taken) == names

    on_a_loop(story)


def test_what_exceeds_a_bound_is_not_queued(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unwritten, "MOST", 3)
    monkeypatch.setattr(unwritten, "MOST_BYTES", 10)

    async def story(desk: Desk) -> None:
        assert [desk.unwritten.keep(name, 4) for name in "abc"] == [True, True, False]
        assert desk.unwritten.keep("d", 2)
        assert not desk.unwritten.keep("e", 0)
        await desk.after(1)  # all are taken, and there is room again
        assert [desk.unwritten.keep(name, 5) for name in "fgh"] == [True, True, False]

    on_a_loop(story)


def test_closing_tries_once_more_at_once_and_keeps_nothing_then() -> None:
    async def story(desk: Desk) -> None:
        desk.refused = {"b"}
        assert desk.unwritten.keep("a", 1) and desk.unwritten.keep("b", 1)
        await asyncio.sleep(0)
        desk.unwritten.try_now()
        assert desk.unwritten.task is not None
        await desk.unwritten.task
        assert desk.taken == ["a"]
        assert not desk.unwritten.keep("c", 1)
        assert desk.unwritten.give_up() == ["b"]
        assert len(desk.unwritten) == 0

    on_a_loop(story)


@pytest.mark.parametrize("passing", [True, False])
def test_only_what_the_database_may_take_later_is_tried_again(passing: bool) -> None:
    class Refusing(MemoryStore):
        def add(self, entries: Sequence[Entry]) -> Sequence[AddAnswer]:
            raise StoreError("not now" if passing else "never", passing=passing)

    house = House(database=None)  # type: ignore[arg-type]

    async def story() -> None:
        async with house.courier_on(Refusing()) as courier:
            ticket = courier.submit(evidence())
            with pytest.raises(
                StoreError, match="^not now; it is tried again" if passing else "^never$"
            ):
                await ticket.recorded()
            assert (await courier.health()).submitted == (1 if passing else 0)
            assert len(house.logger.of(RecordingFailed)) == (0 if passing else 1)

    asyncio.run(story())


def test_what_the_database_has_not_answered_is_shown_as_submitted() -> None:
    asked, locked = threading.Event(), threading.Event()

    class Locked(MemoryStore):
        def add(self, entries: Sequence[Entry]) -> Sequence[AddAnswer]:
            asked.set()
            assert locked.wait(30)
            return super().add(entries)

    house = House(database=None)  # type: ignore[arg-type]

    async def story() -> None:
        async with house.courier_on(Locked()) as courier:
            tickets = [courier.submit(evidence(f"ev-{n}")) for n in range(100)]
            assert await asyncio.to_thread(asked.wait, 30)
            assert (await courier.health()).submitted == 100
            locked.set()
            for ticket in tickets:
                await ticket.settled()
            assert (await courier.health()).submitted == 0

    asyncio.run(story())


def test_what_follows_a_refusal_is_queued_without_a_wait_of_its_own() -> None:
    """A locked database is waited for once, not once for each batch."""
    asked: set[str] = set()

    class Refusing(MemoryStore):
        def add(self, entries: Sequence[Entry]) -> Sequence[AddAnswer]:
            asked.update(entry.upload.key.evidence_id for entry in entries)
            raise StoreError("locked", passing=True)

    house = House(database=None)  # type: ignore[arg-type]

    async def story() -> None:
        async with house.courier_on(Refusing()) as courier:
            tickets = [courier.submit(evidence(f"ev-{n}")) for n in range(300)]
            for ticket in tickets:
                with pytest.raises(StoreError, match="^locked; it is tried again"):
                    await ticket.recorded()
            assert (await courier.health()).submitted == 300
            assert len(asked) <= BATCH

    asyncio.run(story())
