"""A disk that is full, or that gives errors, while a courier records, sends, prunes, links, erases
and writes documents to files: nothing is done by half, and all of it is done once the disk works.

The errors are the system's own: a disk of 12 MiB with no byte free (ENOSPC), and a process that may
write to no file (EFBIG, which SQLite takes as any error of writing, SQLITE_IOERR_WRITE).
"""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
from attrs import define
from small_disk import Disk, small_disk
from store_fixtures import Desk, House, evidence

from evidence_courier import AsyncCourier, StoreError
from evidence_courier.adapters.stores.sqlite import open_for_reading
from evidence_courier.adapters.stores.sqlite.inspection import inspect
from evidence_courier.delivery.chain import LINK_EVERY, faults_of
from evidence_courier.domain.integration import Route
from evidence_courier.ports.dialogue import HttpRequest, HttpResponse, TransportFailure
from evidence_courier.ports.documents import LARGE
from evidence_courier.ports.logger import UploadSettled

DAY = 86_400.0
RULES: Any = {"attempts": "10d", "personal": "10d", "failed_documents": "10d"}
Trouble = Callable[[], AbstractContextManager[None]]
T = TypeVar("T")


@contextmanager
def unwritable() -> Iterator[None]:
    """Nothing can be written to any file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def full(disk: Disk) -> Iterator[None]:
    disk.fill()
    try:
        yield
    finally:
        disk.clear()


@pytest.fixture(params=["full", "gives errors"])
def around(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[House, Trouble]]:
    if request.param == "gives errors":
        yield House(tmp_path / "courier.db"), unwritable
        return
    with small_disk(tmp_path) as disk:
        yield House(Path(disk.database)), lambda: full(disk)


@define
class SlowServer:
    """The house's server, which answers when it is told to."""

    house: House
    answers: asyncio.Event
    asked: bool = False

    async def send(self, request: HttpRequest, route: Route) -> HttpResponse | TransportFailure:
        self.asked = True
        await self.answers.wait()
        return await self.house.server.send(request, route)

    async def close(self) -> None: ...


async def until(house: House, holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not holds():
            house.clock.advance(1)
            await asyncio.sleep(0.005)


async def told(house: House, waits: Coroutine[Any, Any, T]) -> T:
    waiting = asyncio.ensure_future(waits)
    await until(house, waiting.done)
    return waiting.result()


def checked(house: House) -> None:
    """No rule is broken, and the chain holds."""
    database = str(house.database)
    assert inspect(database).breaches == ()
    with open_for_reading(database) as reader:
        assert list(faults_of(reader, "acme")) == []


def test_what_is_submitted_and_sent_meanwhile_is_recorded_afterwards(
    around: tuple[House, Trouble],
) -> None:
    """Small documents and one that goes to a file, and an outcome whose commit fails."""
    house, trouble = around

    async def story() -> None:
        answers = asyncio.Event()
        transport = SlowServer(house, answers)
        async with house.courier(transport=transport) as courier:
            sent = courier.submit(evidence("sent"))
            await until(house, lambda: transport.asked)
            with trouble():
                answers.set()
                large = courier.submit(evidence("large", content=bytes(2 * LARGE)))
                small = courier.submit(evidence("small"))
                for ticket in (large, small):
                    with pytest.raises(StoreError, match="it is tried again"):
                        await told(house, ticket.recorded())
            await until(house, lambda: len(house.logger.of(UploadSettled)) == 3)
            for ticket in (sent, large, small):
                status = await ticket.settled()
                assert status is not None
                assert (status.status, status.possible_duplicate) == ("succeeded", False)

    asyncio.run(story())
    assert sorted(name for name, _ in house.server.held) == ["large", "sent", "small"]
    checked(house)


def test_a_blocking_courier_says_so_and_goes_on_afterwards(around: tuple[House, Trouble]) -> None:
    house, trouble = around
    with house.blocking_courier(transport=Desk(house)) as courier:
        given = evidence("large", content=bytes(2 * LARGE))
        with trouble(), pytest.raises(StoreError):
            courier.deliver(given)
        assert house.server.held == []
        delivery = courier.deliver(given)
        assert delivery.status is not None and delivery.status.status == "succeeded"
    checked(house)


def test_what_is_pruned_linked_and_erased_meanwhile_is_so_afterwards(
    around: tuple[House, Trouble],
) -> None:
    """The documents' files, too; until then none of it is done by half."""
    house, trouble = around

    def files() -> int:
        return len(list(Path(f"{house.database}-documents").glob("*-*")))

    async def named(courier: AsyncCourier) -> int:
        preview = await courier.erase("acme", "emp-7", by="dpo", reason="request", preview=True)
        return len(preview.uploads)

    async def story() -> None:
        async with house.courier(keep_documents=True, retention=RULES) as courier:
            for name in ("old", "new"):
                large = evidence(name, content=bytes(2 * LARGE) + name.encode())
                await told(house, courier.submit(large).settled())
            assert files() == 2
            with trouble():
                with pytest.raises(StoreError):
                    await courier.erase("acme", "emp-7", by="dpo", reason="request 12")
                house.clock.advance(11 * DAY)  # all is to be pruned, and linked
                for _ in range(30):
                    house.clock.advance(10)
                    await asyncio.sleep(0.005)
                shown = await courier.show("acme", "old")
                assert shown is not None
                removed = len(await courier.removals())
                found = len(shown.history), await named(courier), files(), removed
                # Where a full log gives back its own room, pruning has room.
                assert found in ((1, 2, 2, 0), (0, 0, 0, 1))
            house.clock.advance(3600)  # the next pass of retention
            await until(house, lambda: files() == 0)
            await told(house, courier.erase("acme", "emp-7", by="dpo", reason="request 12"))
            assert await named(courier) == 0
            house.clock.advance(LINK_EVERY)
            await courier.quiet()

    asyncio.run(story())
    assert house.database.read_bytes().count(b"emp-7") == 0
    checked(house)
