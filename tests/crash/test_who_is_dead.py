"""When a courier counts as dead: at once on this machine, after a long silence on another, and
never while it shows that it is alive."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from attrs import define, evolve
from store_fixtures import House, evidence

from evidence_courier.adapters.stores.sqlite import SqliteStore
from evidence_courier.domain.upload.upload import Sending
from evidence_courier.ports.logger import AttemptRecovered, CourierLost
from evidence_courier.testing.contracts.stored import AT, entry, started

SILENCE = 600.0
A_YEAR = timedelta(days=365)


@define
class Watcher:
    """A clock that never goes back."""

    seconds: float = 0.0

    def monotonic(self) -> float:
        return self.seconds


@pytest.fixture
def watcher() -> Watcher:
    return Watcher()


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "courier.db"


@pytest.fixture
def here(database: Path, watcher: Watcher) -> Iterator[SqliteStore]:
    with closing(SqliteStore(str(database), monotonic=watcher.monotonic)) as store:
        yield store


@pytest.fixture
def there(database: Path) -> Iterator[SqliteStore]:
    """Another process's store, as far as locks go."""
    with closing(SqliteStore(str(database))) as store:
        yield store


def change(database: Path, owner: int, **columns: object) -> None:
    """Have a courier's row say something else."""
    with closing(sqlite3.connect(database)) as connection, connection:
        for column, value in columns.items():
            connection.execute(f"UPDATE couriers SET {column} = ? WHERE id = ?", (value, owner))


ELSEWHERE = {"host": "elsewhere/1", "boot": "of another machine"}


def test_a_courier_whose_lock_is_held_is_alive_however_silent_it_is(
    database: Path, here: SqliteStore, there: SqliteStore, watcher: Watcher
) -> None:
    me, other = here.heartbeat(None, AT), there.heartbeat(None, AT)
    for where in ({}, {"boot": "the run before"}, ELSEWHERE):
        change(database, other, **where)
        assert list(here.dead(me, 9)) == []
        watcher.seconds += 10 * SILENCE
        assert list(here.dead(me, 9)) == []


@pytest.mark.parametrize("boot", ["the run before", ""])
def test_after_a_reboot_of_this_machine_a_courier_is_dead_at_once(
    database: Path, here: SqliteStore, there: SqliteStore, boot: str
) -> None:
    me, other = here.heartbeat(None, AT), there.heartbeat(None, AT)
    change(database, other, boot=boot)
    there.close()
    assert list(here.dead(me, 9)) == [other]


def test_who_is_dead_does_not_count_as_running(
    database: Path, here: SqliteStore, there: SqliteStore
) -> None:
    """Unless only its silence would tell. What is due says that no courier is left."""
    here.add([evolve(entry(), credential="key")])
    other = there.heartbeat(None, AT)
    assert here.health(AT).couriers == 1
    there.close()
    assert here.health(AT).couriers == 0
    (status,) = here.statuses("acme", ["ev-1"], AT).values()
    assert str(status.waits_for).endswith("; no courier is running now")
    change(database, other, **ELSEWHERE)
    assert here.health(AT).couriers == 1


def test_a_courier_in_another_container_on_this_machine_is_dead_at_once(
    database: Path, here: SqliteStore, there: SqliteStore
) -> None:
    me, other = here.heartbeat(None, AT), there.heartbeat(None, AT)
    change(database, other, host="another-container/1")
    there.close()
    assert list(here.dead(me, 9)) == [other]


@pytest.mark.parametrize("lock", ["the file", None, "no file"])
def test_a_courier_on_another_machine_is_dead_after_a_long_silence(
    database: Path, here: SqliteStore, there: SqliteStore, watcher: Watcher, lock: str | None
) -> None:
    """The silence is measured on the watcher's own clock."""
    me, other = here.heartbeat(None, AT), there.heartbeat(None, AT)
    change(database, other, **ELSEWHERE)
    if lock != "the file":
        change(database, other, lock=lock)
    there.close()
    watcher.seconds = 12_345.0
    assert list(here.dead(me, 9)) == []
    watcher.seconds += SILENCE - 0.001
    assert list(here.dead(me, 9)) == []
    watcher.seconds += 0.001
    assert list(here.dead(me, 9)) == [other]


def test_a_courier_on_another_machine_lives_as_long_as_it_says_so(
    database: Path, here: SqliteStore, there: SqliteStore, watcher: Watcher
) -> None:
    """The time of day there does not matter."""
    me, other = here.heartbeat(None, AT), there.heartbeat(None, AT)
    change(database, other, **ELSEWHERE, lock=None)
    for its_clock in (AT - A_YEAR, AT - A_YEAR, AT + A_YEAR, AT, AT, AT):
        assert list(here.dead(me, 9)) == []
        watcher.seconds += SILENCE - 1
        assert list(here.dead(me, 9)) == []
        there.heartbeat(other, its_clock)
    assert list(here.dead(me, 9)) == []
    watcher.seconds += SILENCE
    assert list(here.dead(me, 9)) == [other]


def test_who_was_discharged_in_flight_or_never_enlisted_is_dead_at_once(here: SqliteStore) -> None:
    me, other = here.heartbeat(None, AT), here.heartbeat(None, AT)
    new, newer = entry("ev-1"), entry("ev-2")
    here.add([new, newer])
    here.begin([[started(new.upload, courier_id=other)], [started(newer.upload, courier_id=0)]])
    here.unregister(other)
    assert list(here.dead(me, 9)) == [0, other]


def test_uploads_of_another_machine_are_recovered_only_after_its_silence(
    database: Path,
) -> None:
    house = House(database)

    async def story() -> None:
        async with house.courier() as courier:
            with closing(SqliteStore(str(database))) as there:
                other = there.heartbeat(None, house.clock.now())
                change(database, other, **ELSEWHERE, lock=None)
                new = entry("ev-1", provider="paper", at=house.clock.now(), content=b"%PDF-1.7")
                there.add([new])
                there.begin([[started(new.upload, house.clock.now(), courier_id=other)]])
                ticket = courier.submit(evidence("ev-1", content=b"%PDF-1.7"))

                async def an_hour(beats: bool) -> None:
                    for _ in range(60):
                        house.clock.advance(60)
                        if beats:
                            there.heartbeat(other, house.clock.now() - A_YEAR)
                        await courier.quiet()

                await an_hour(beats=True)
                [found] = [one.upload for one in there.get([new.upload.key]).values()]
                assert isinstance(found.state, Sending)
                assert house.logger.of(AttemptRecovered) == []
                await an_hour(beats=False)
        [lost] = house.logger.of(CourierLost)
        assert (lost.courier_id, lost.in_flight) == (other, 1)
        status = await ticket.settled()
        assert status is not None
        assert (status.status, status.attempts, status.possible_duplicate) == ("succeeded", 2, True)

    asyncio.run(story())
    assert house.server.held == [("ev-1", b"%PDF-1.7")]
