"""Couriers on a PostgreSQL: a host changes `database=` and nothing else, whichever face it uses,
and several couriers share the work."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack, closing
from datetime import UTC, datetime, timedelta
from itertools import cycle
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from attrs import frozen
from click.testing import CliRunner
from cutting_proxy import Cut, CuttingProxy
from postgres_server import server
from psycopg.conninfo import conninfo_to_dict
from store_fixtures import evidence

from evidence_courier import AsyncCourier, BlockingCourier, Courier, UploadStatus
from evidence_courier.adapters.clocks.database import DatabaseClock
from evidence_courier.bootstrap.cli.app import app
from evidence_courier.testing import FakeClock
from evidence_courier.testing.sandboxes import Sandbox, SprintoSandbox, sandbox_in_thread

MANY = 300
CHECK = "3f1c2a9e-8a43-4a0e-9d0b-6d3f6f1b2c77"


@frozen
class Shared:
    """A sandbox, and a database for any number of couriers."""

    sandbox: Sandbox
    url: str

    @property
    def tenants(self) -> dict[str, Any]:
        block = {
            "provider": "sprinto",
            "api_key": "${SHARED_KEY}",
            "endpoint": self.sandbox.url,
            "workflow_check": CHECK,
            "pace": "100000/min",
        }
        return {"acme": {"integrations": {"compliance": block}}}


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> Iterator[Shared]:
    monkeypatch.setenv("SHARED_KEY", "the-key")
    parts = conninfo_to_dict(server().new_database())
    password = f":{parts['password']}" if parts.get("password") else ""
    where = f"{parts['host']}:{parts['port']}/{parts['dbname']}"
    with sandbox_in_thread(SprintoSandbox(key="the-key")) as sandbox:
        yield Shared(sandbox, f"postgresql://{parts['user']}{password}@{where}")


def test_a_worker_waits_out_what_another_courier_has_locked_for_a_moment(shared: Shared) -> None:
    """Else it would leave a line with much in it."""
    clock = FakeClock()
    with ExitStack() as stack:
        other = stack.enter_context(psycopg.connect(shared.url))

        def sleep(seconds: float) -> None:
            clock.advance(seconds)
            other.rollback()

        options: Any = {"clock": clock, "sleep": sleep}
        worker = stack.enter_context(
            BlockingCourier.from_mapping(shared.tenants, shared.url, **options)
        )
        worker.pause("acme", by="asha", reason="an audit")
        worker.deliver_many([evidence(f"ev-{n}") for n in range(5)])
        worker.resume("acme", by="asha", reason="it is over")
        assert worker.deliver_due(0).taken == 0  # they are queued
        other.execute(
            "SELECT id FROM evidence_courier.uploads WHERE evidence_id = 'ev-0' FOR UPDATE"
        )
        assert worker.deliver_due(30).taken == 5


def test_an_asynchronous_courier_delivers(shared: Shared) -> None:
    statuses = asyncio.run(delivered(shared, 1, 20))
    assert statuses == {"succeeded"}


async def delivered(shared: Shared, couriers: int, many: int) -> set[str | None]:
    """What many evidences come to that each of some couriers is given."""
    async with AsyncExitStack() as stack:
        running = [
            await stack.enter_async_context(AsyncCourier.from_mapping(shared.tenants, shared.url))
            for _ in range(couriers)
        ]
        tickets = [one.submit(evidence(f"ev-{n}")) for n in range(many) for one in running]
        settled = [await ticket.settled() for ticket in tickets]
    return {None if status is None else status.status for status in settled}


def test_a_courier_in_a_thread_delivers(shared: Shared) -> None:
    with Courier.from_mapping(shared.tenants, shared.url) as courier:
        status = courier.submit(evidence()).settled(30)
    assert status is not None
    assert status.status == "succeeded"


def test_a_blocking_courier_delivers(shared: Shared) -> None:
    with BlockingCourier.from_mapping(shared.tenants, shared.url) as courier:
        delivery = courier.deliver(evidence())
    assert delivery.status is not None
    assert delivery.status.status == "succeeded"


def test_two_couriers_send_each_evidence_once(shared: Shared) -> None:
    assert asyncio.run(delivered(shared, 2, 30)) == {"succeeded"}
    assert len(shared.sandbox.received) == 30


def test_cut_connections_double_and_lose_nothing(shared: Shared) -> None:
    """Each of the ways a connection can be cut, again and again while a courier works."""
    proxy = CuttingProxy(shared.url)
    there = str(urlsplit(shared.url).port)
    through = shared.url.replace(f":{there}/", f":{proxy.port}/")
    ways: cycle[Cut | None] = cycle(["before", "after", None])

    async def story() -> list[UploadStatus | None]:
        async with AsyncCourier.from_mapping(shared.tenants, through) as courier:
            tickets = []
            for number in range(120):
                tickets.append(courier.submit(evidence(f"ev-{number}")))
                if number % 20 == 19:
                    way = next(ways)
                    if way is None:
                        await asyncio.to_thread(proxy.cut_all)
                    else:
                        proxy.cut_commit = way
                    await tickets[-1].recorded()
            return [await asyncio.wait_for(ticket.settled(), 60) for ticket in tickets]

    with closing(proxy):
        settled = asyncio.run(story())
    assert {None if status is None else status.status for status in settled} == {"succeeded"}
    assert proxy.commits_cut >= 2
    assert len(shared.sandbox.received) == 120


HOST = """
import asyncio, json, sys
from datetime import UTC, datetime
from store_fixtures import evidence
from evidence_courier import AsyncCourier

async def host():
    courier = AsyncCourier.from_mapping(json.loads(sys.argv[1]), sys.argv[2])
    async with courier:
        tickets = [courier.submit(evidence(f"ev-{n}")) for n in range(int(sys.argv[3]))]
        await tickets[-1].recorded()
        print("recorded", flush=True)
        await asyncio.sleep(60)

asyncio.run(host())
"""


def test_what_a_killed_courier_had_is_sent_by_another(shared: Shared) -> None:
    support = os.pathsep.join([str(Path(__file__).parents[1] / "support"), *sys.path])
    host = subprocess.Popen(
        [sys.executable, "-c", HOST, json.dumps(shared.tenants), shared.url, str(MANY)],
        env={**os.environ, "PYTHONPATH": support},
        stdout=subprocess.PIPE,
    )
    assert host.stdout is not None
    assert host.stdout.readline() == b"recorded\n"
    while not shared.sandbox.received:
        assert host.poll() is None
    host.kill()
    host.communicate()
    ids = [f"ev-{number}" for number in range(MANY)]
    with Courier.from_mapping(shared.tenants, shared.url) as courier:
        while any(is_waiting(one) for one in courier.statuses("acme", ids).values()):
            pass
    with BlockingCourier.from_mapping(shared.tenants, shared.url) as reader:
        statuses = reader.statuses("acme", ids)
    # Whether these arrived is not known: they are sent again after a while, and marked.
    doubtful = [one for one in statuses.values() if one.status != "succeeded"]
    assert {one.error and one.error.kind for one in doubtful} <= {"interrupted"}
    assert len(statuses) == MANY
    copies = sum(one.possible_duplicate for one in statuses.values())
    assert MANY - len(doubtful) <= len(shared.sandbox.received) <= MANY + copies


def is_waiting(status: UploadStatus) -> bool:
    """Whether nothing is known of it yet: it waits for its turn, or its courier was killed."""
    return status.status == "pending"


def test_the_command_line_reads_it(shared: Shared) -> None:
    with BlockingCourier.from_mapping(shared.tenants, shared.url) as courier:
        courier.deliver(evidence())
    run = CliRunner().invoke
    listed = run(app, ["status", "--db", shared.url, "--json"])
    assert [one["status"] for one in json.loads(listed.stdout)] == ["succeeded"]
    shown = run(app, ["show", "--db", shared.url, "acme", "ev-1"])
    assert "succeeded" in shown.stdout
    unknown = run(app, ["show", "--db", shared.url, "acme", "ev-2"])
    assert unknown.exit_code == 2
    password = str(conninfo_to_dict(shared.url).get("password"))
    assert password not in unknown.stderr
    sound = run(app, ["invariants", "--db", shared.url, "--json"])
    assert (sound.exit_code, json.loads(sound.stdout)["uploads"]) == (0, 1)


def test_the_database_tells_the_time() -> None:
    clock = DatabaseClock()
    clock.tell(datetime(2030, 1, 1, tzinfo=UTC), clock.monotonic())
    assert timedelta(0) <= clock.now() - datetime(2030, 1, 1, tzinfo=UTC) < timedelta(minutes=1)
    clock.tell(datetime(2031, 1, 1, tzinfo=UTC), clock.monotonic() - 10)
    assert clock.now().year == 2030, "an answer that took ten seconds says little"
