"""A courier is known to be dead by the lock that its sessions hold, or by its beat."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import closing
from datetime import datetime

import psycopg
import pytest
from attrs import evolve
from postgres_server import server

from evidence_courier.adapters.clocks.database import DatabaseClock
from evidence_courier.adapters.stores.postgres import PostgresStore
from evidence_courier.domain.upload.upload import Sending
from evidence_courier.testing.contracts.stored import AT, UNPACED, begin_each, entry, started

HOST = """
import os, sys, time
from datetime import UTC, datetime
from evidence_courier.adapters.stores.postgres import PostgresStore
from evidence_courier.testing.contracts.stored import begin_each, entry, started
store = PostgresStore(sys.argv[1])
courier = store.heartbeat(None, datetime.now(UTC))
new = entry()
store.add([new])
begin_each(store, [started(new.upload, courier_id=courier)])
store.dead(courier, 1)  # a session that reads has the lock, too
if len(sys.argv) > 2 and os.fork() == 0:
    os.read(0, 1)  # as long as the test holds the other end
    os._exit(0)
print(courier, flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("given", [[], ["forks"]], ids=["alone", "with a child"])
def test_a_killed_courier_is_dead_at_once(dsn: str, store: PostgresStore, given: list[str]) -> None:
    mine = store.heartbeat(None, AT)
    host = subprocess.Popen(
        [sys.executable, "-c", HOST, dsn, *given],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert host.stdout is not None
    courier = int(host.stdout.readline())
    assert (store.dead(mine, 10), store.health(AT).couriers) == ({}, 2)
    host.kill()
    host.wait()
    began = time.monotonic()
    while not store.dead(mine, 10):
        assert time.monotonic() - began < 2, "a killed courier is not noticed"
    ((number, left),) = store.dead(mine, 10).items()
    assert (number, store.health(AT).couriers) == (courier, 1)
    assert [type(one.upload.state) for one in left] == [Sending]
    host.communicate()
    store.unregister(courier)


def test_a_courier_whose_one_session_was_cut_lives(dsn: str, store: PostgresStore) -> None:
    with closing(PostgresStore(dsn)) as other:
        mine, theirs = store.heartbeat(None, AT), other.heartbeat(None, AT)
        other.dead(theirs, 10)  # a reading session of theirs shows that it lives, too
        cut_last(dsn, "idle")
        assert store.dead(mine, 10) == {}


def test_a_courier_that_was_cut_off_shows_itself_again(dsn: str, store: PostgresStore) -> None:
    mine = store.heartbeat(None, AT)
    with closing(PostgresStore(dsn)) as other:
        theirs = other.heartbeat(None, AT)
        store.unregister(theirs)  # it was taken for dead
        other.heartbeat(theirs, AT)
        new = entry()
        other.add([new])
        begin = started(new.upload, courier_id=theirs, quota=evolve(UNPACED))
        begin_each(other, [begin])
        assert store.dead(mine, 10) == {}


def test_a_silent_courier_without_a_lock_is_dead(dsn: str, store: PostgresStore) -> None:
    mine = store.heartbeat(None, AT)
    execute(
        dsn,
        "INSERT INTO evidence_courier.couriers (id, host, pid, enlisted_at, beat, beat_at)"
        " VALUES (77, 'h', 1, now(), 1, now() - interval '3 minutes')",
    )
    assert list(store.dead(mine, 10)) == [77]


def test_the_databases_clock_tells_a_beat(dsn: str, store: PostgresStore) -> None:
    courier = store.heartbeat(None, AT)
    store.heartbeat(courier, AT)
    with psycopg.connect(dsn) as connection:
        row = connection.execute(
            "SELECT beat, clock_timestamp() - beat_at < interval '1 minute'"
            " FROM evidence_courier.couriers"
        ).fetchone()
    assert row == (2, True)


def cut_last(dsn: str, state: str) -> None:
    """Have the server end the session that was opened first of those in a state."""
    execute(
        dsn,
        "SELECT pg_terminate_backend(pid) FROM (SELECT pid FROM pg_stat_activity"
        f" WHERE datname = current_database() AND state = '{state}'"
        " AND pid <> pg_backend_pid() AND application_name = 'evidence-courier'"
        " ORDER BY backend_start DESC LIMIT 1) AS one",
    )


def execute(dsn: str, statement: str) -> None:
    server().execute(statement, dsn)


class ToldClock(DatabaseClock):
    """Counts what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[datetime] = []

    def tell(self, given: datetime, asked: float) -> None:
        super().tell(given, asked)
        self.told.append(given)


def test_a_couriers_clock_receives_the_databases_time(dsn: str) -> None:
    clock = ToldClock()
    with closing(PostgresStore(dsn, clock=clock)) as store:
        assert len(clock.told) == 1
        courier = store.heartbeat(None, AT)
        store.heartbeat(courier, AT)
        assert len(clock.told) == 3
        assert clock.told == sorted(clock.told)
