"""A disk that is full, a database that another process keeps to itself, and one that may not be
written to."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from pathlib import Path

import pytest
from crash_host import Plan
from crash_watch import Hosts, accounts_of, batch, everything_in, recorded_by, submits
from reachable_store import ReachableStore
from store_fixtures import House, evidence

from evidence_courier import StoreError, Ticket, UploadStatus
from evidence_courier.adapters.stores.sqlite.inspection import inspect
from evidence_courier.delivery.maintenance import HEARTBEAT
from evidence_courier.ports.logger import RecordingFailed, StoreTrouble, WriteDelayed
from evidence_courier.testing.sandboxes import SprintoSandbox
from evidence_courier.testing.sandboxes.threads import sandbox_in_thread

NOBODY = 65534

# A write that was under way at the close may have arrived: it depends on the moment.
NOT_OR_PERHAPS = (
    "not recorded before the courier was closed|closed before the database had answered"
)


class LameStore(ReachableStore):
    """A store whose disk can be made to fail."""

    def __init__(self, path: str) -> None:
        super().__init__(path, busy_timeout=0.02)
        (self._pages,) = self.connection.execute("PRAGMA max_page_count").fetchone()

    def fill(self) -> None:
        """Have no room for a page more."""
        (used,) = self.connection.execute("PRAGMA page_count").fetchone()
        self.connection.execute(f"PRAGMA max_page_count = {used}")

    def make_room(self) -> None:
        """Have room again."""
        self.connection.execute(f"PRAGMA max_page_count = {self._pages}")

    def forbid_writing(self) -> None:
        """Have every write refused."""
        self.connection.execute("PRAGMA query_only = ON")

    def allow_writing(self) -> None:
        """Have writes done again."""
        self.connection.execute("PRAGMA query_only = OFF")


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "courier.db")


@pytest.fixture
def lame(house: House) -> Iterator[LameStore]:
    with closing(LameStore(str(house.database))) as store:
        yield store


LOCKER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.read()
"""


@contextmanager
def locked_by_another_process(path: Path) -> Iterator[None]:
    with subprocess.Popen(
        [sys.executable, "-c", LOCKER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        assert process.stdout.readline() == b"locked\n"
        yield
        process.stdin.close()
        process.wait(60)


@contextmanager
def read_only(store: LameStore) -> Iterator[None]:
    store.forbid_writing()
    try:
        yield
    finally:
        store.allow_writing()


@contextmanager
def full(store: LameStore) -> Iterator[None]:
    store.fill()
    yield
    store.make_room()


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop and its threads go on until it holds; the clock stands still."""
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.001)


async def letting_time_pass(house: House, *tickets: Ticket) -> list[UploadStatus]:
    """What the tickets settle to while the clock runs."""
    waiting = asyncio.gather(*(ticket.settled(timeout=60) for ticket in tickets))
    while not waiting.done():
        house.clock.advance(1)
        await asyncio.sleep(0.001)
    return [status for status in await waiting if status is not None]


def trouble_at_the_first_answer(
    house: House, trouble: AbstractContextManager[None], stack: ExitStack
) -> None:
    """From when the provider has taken something, until the stack is closed."""

    def answer(evidence_id: str, nth: int) -> int:
        if not house.server.held:
            stack.enter_context(trouble)
        return 200

    house.server.answer = answer


@pytest.mark.parametrize("kind", ["full", "locked", "read-only"])
def test_recorded_uploads_outlive_the_trouble_and_the_others_raise(
    house: House, lame: LameStore, kind: str
) -> None:
    troubles = {
        "full": full(lame),
        "locked": locked_by_another_process(house.database),
        "read-only": read_only(lame),
    }
    names = [f"ev-{number}" for number in range(60)]
    large = evidence("late", content=b"%PDF-1.7".ljust(100_000, b"."))

    async def story() -> None:
        with ExitStack() as stack:
            trouble_at_the_first_answer(house, troubles[kind], stack)
            async with house.courier_on(lame) as courier:
                tickets = [courier.submit(evidence(name)) for name in names]
                await asyncio.gather(*(ticket.recorded() for ticket in tickets))
                await until(lambda: bool(house.logger.of(WriteDelayed)))

                late = courier.submit(large)
                with pytest.raises(StoreError, match="it is tried again; submitting it again"):
                    await late.recorded()
                with pytest.raises(StoreError):
                    await late.settled()
                assert "late" in {event.key.evidence_id for event in house.logger.of(WriteDelayed)}
                assert (await courier.health()).submitted == 1

                if kind != "full":  # to say that it is alive, a courier needs no page more
                    house.clock.advance(HEARTBEAT)
                    await until(lambda: bool(house.logger.of(StoreTrouble)))
                open_still = {
                    status.evidence_id for status in (await courier.find(status="pending")).uploads
                }
                assert open_still
                assert "late" not in open_still

                stack.close()
                statuses = await letting_time_pass(house, *tickets, courier.submit(large))
                await late.recorded()  # the one that was kept
                assert (await courier.health()).submitted == 0
        assert not house.logger.of(RecordingFailed)
        assert {(status.status, status.attempts) for status in statuses} == {("succeeded", 1)}
        assert not any(status.possible_duplicate for status in statuses)

    asyncio.run(story())
    assert sorted(name for name, _ in house.server.held) == sorted([*names, "late"])
    assert inspect(str(house.database)).breaches == ()


@pytest.mark.parametrize("reopened", [True, False], ids=["reopened", "kept open"])
@pytest.mark.parametrize("kind", ["full", "locked", "read-only"])
def test_a_host_closed_in_trouble_leaves_recorded_uploads_to_the_next(
    house: House, lame: LameStore, kind: str, reopened: bool
) -> None:
    troubles = {
        "full": full(lame),
        "locked": locked_by_another_process(house.database),
        "read-only": read_only(lame),
    }
    names = [f"ev-{number}" for number in range(60)]

    async def first() -> None:
        with ExitStack() as stack:
            trouble_at_the_first_answer(house, troubles[kind], stack)
            courier = house.courier_on(lame)
            await courier.start()
            tickets = [courier.submit(evidence(name)) for name in names]
            await asyncio.gather(*(ticket.recorded() for ticket in tickets))
            await until(lambda: bool(house.logger.of(WriteDelayed)))
            late = courier.submit(evidence("late", content=bytes(100_000)))
            with pytest.raises(StoreError, match="it is tried again"):
                await late.recorded()
            closing = asyncio.ensure_future(courier.close(grace=0))
            while not closing.done():
                house.clock.advance(1)
                await asyncio.sleep(0.001)
            await closing
            with pytest.raises(StoreError, match=NOT_OR_PERHAPS):
                await late.recorded()
            assert "late" in {one.key.evidence_id for one in house.logger.of(RecordingFailed)}

    async def second() -> None:
        async with house.courier() if reopened else house.courier_on(lame) as courier:
            await letting_time_pass(house, *(courier.submit(evidence(name)) for name in names))
            statuses = await courier.statuses("acme", names)
        copies = Counter(name for name, _ in house.server.held)
        assert {statuses[name].status for name in names} == {"succeeded"}
        assert all(statuses[name].possible_duplicate for name in names if copies[name] > 1)

    asyncio.run(first())
    if reopened:
        lame.close()
    asyncio.run(second())
    assert inspect(str(house.database)).breaches == ()


def test_on_a_full_disk_a_host_logs_it_and_goes_on_once_it_has_room(
    hosts: Hosts, tmp_path: Path
) -> None:
    database = tmp_path / "courier.db"
    with sandbox_in_thread(SprintoSandbox()) as sandbox:
        # Each of its files may hold this much: there is room for the first few documents.
        plan = Plan(database=str(database), endpoint=sandbox.url, room=2_000_000)
        host = hosts.start(plan, *submits(batch("first", 4)))
        host.listen_for("recorded", times=4)
        host.say(*submits(batch("large", 40, size=100_000)))
        host.listen_for("refused")
        host.listen_for("log StoreTrouble")  # it cannot even write that it is alive
        host.say("room", *submits(batch("then", 4)), "drain")
        host.listen_for("drained")
        recorded = recorded_by(host)
        told = {tuple(rest.split()[1:3]) for rest in host.heard if rest.startswith("refused")}
        host.say("close")
        host.listen_for("closed")
        accounts = accounts_of(database, sandbox.received, recorded)
    assert accounts.wrong == []
    assert {(tenant_id, name) for tenant_id, name, _ in batch("then", 4)} <= recorded
    # Each of them has heard one thing or the other, and what was refused was kept.
    assert told.isdisjoint(recorded)
    assert len(told) + len(recorded) == 48
    assert accounts.statuses == {"succeeded": 48}
    assert accounts.extra_copies == 0
    for _, name in told:
        assert any("WriteDelayed" in line and f"'{name}'" in line for line in host.heard)


@pytest.fixture
def folder_for_all() -> Iterator[Path]:
    """One that another user may look into."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


@pytest.mark.skipif(os.name != "posix", reason="rights are another matter there")
def test_a_missing_right_to_write_is_named_in_the_error(hosts: Hosts, folder_for_all: Path) -> None:
    database = folder_for_all / "courier.db"
    with sandbox_in_thread(SprintoSandbox()) as sandbox:
        first = hosts.start(
            Plan(database=str(database), endpoint=sandbox.url), *submits(batch("ev", 3)), "drain"
        )
        first.listen_for("drained")
        first.say("close")
        first.listen_for("closed")
        before = everything_in(database)
        database.chmod(0o444)
        folder_for_all.chmod(0o555)
        # To root no right is denied.
        uid = NOBODY if os.geteuid() == 0 else None
        second = hosts.start(
            Plan(database=str(database), endpoint=sandbox.url, uid=uid), *submits(batch("more", 1))
        )
        said = second.listen_for("error")
        folder_for_all.chmod(0o755)
        assert str(database) in said
        assert "right" in said
        assert everything_in(database) == before
