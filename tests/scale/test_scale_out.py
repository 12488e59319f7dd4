"""One host and two workers on one PostgreSQL, with all that can happen to them: `make test-scale`.

`make scale` makes more of it: 16,000 transactions, 5,000 credentials, a worker that is stopped for
35 seconds, and ticks of 20 seconds.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from aiohttp import web
from postgres_server import own_server
from scale_out import EXAMPLE, ScaleOut

from evidence_courier import BlockingCourier, Document, Evidence, StoreError
from evidence_courier.adapters.stores.postgres.liveness import SILENCE
from evidence_courier.adapters.stores.rows import ENTRY
from evidence_courier.testing.sandboxes import SprintoSandbox, sandbox_in_thread


def asked(name: str, usual: int) -> int:
    return int(os.environ.get(f"SCALE_{name}", usual))


COLUMNS = ENTRY[1:]
REPLACED = {"evidence_id": "'waits-' || number", "due": "now() + interval '1 day'"}
WAITING = (
    f"INSERT INTO evidence_courier.uploads ({', '.join(COLUMNS)})"
    f" SELECT {', '.join(REPLACED.get(name, name) for name in COLUMNS)}"
    " FROM evidence_courier.uploads, generate_series(1, 100000) AS number"
    " WHERE evidence_id = 't-0'"
)
TRANSACTIONS, CREDENTIALS, LOAD = asked("TRANSACTIONS", 2_000), asked("CREDENTIALS", 100), 400
STOPPED, TICK = asked("STOPPED", 3), asked("TICK", 3)


class AnyKey(SprintoSandbox):
    """A platform that takes every key."""

    def knows_key(self, request: web.Request) -> bool:
        return True


@pytest.fixture
def sandbox() -> Iterator[SprintoSandbox]:
    with sandbox_in_thread(AnyKey()) as sandbox:
        yield sandbox


@pytest.fixture
def scale(tmp_path: Path, sandbox: SprintoSandbox, monkeypatch: pytest.MonkeyPatch) -> ScaleOut:
    scale = ScaleOut(tmp_path, sandbox)
    for name, value in scale.environment.items():
        monkeypatch.setenv(name, value)
    return scale


class Host:
    """The host, in this process: its transactions are committed or given up, whatever happens."""

    def __init__(self, scale: ScaleOut) -> None:
        self._scale = scale
        self.courier = BlockingCourier.from_config(scale.folder / "tenants", database=scale.dsn)

    def __enter__(self) -> Host:
        return self

    def __exit__(self, *error: object) -> None:
        self.courier.close()

    def complete(self, connection: psycopg.Connection[object], tenant: str, name: str) -> None:
        connection.execute("INSERT INTO trainings VALUES (%s, %s, now())", (tenant, name))
        self.courier.submit(evidence_of(tenant, name), connection=connection)

    def complete_many(self, names: list[tuple[str, str]], seed: int) -> None:
        """One transaction each, and a new connection whenever one is lost. One of ten is given up;
        of one whose commit was not answered, nobody knows."""
        dice, connection = random.Random(seed), None
        for tenant, name in names:
            while True:
                try:
                    if connection is None or connection.closed:
                        connection = psycopg.connect(self._scale.dsn)
                    self.complete(connection, tenant, name)
                    connection.rollback() if dice.random() < 0.1 else connection.commit()
                except psycopg.errors.UniqueViolation:  # its commit was not answered
                    assert connection is not None
                    connection.rollback()
                except (psycopg.OperationalError, StoreError):
                    time.sleep(0.05)
                    continue
                break
        if connection is not None:
            connection.close()


def evidence_of(tenant: str, name: str) -> Evidence:
    return Evidence(
        tenant_id=tenant,
        evidence_id=name,
        session_id=name,
        subject="emp-7",
        outcome="passed",
        recorded_at=datetime.now(UTC),
        document=Document(content=f"training {tenant} {name}\r\n".encode(), media_type="text/csv"),
    )


def arrived(sandbox: SprintoSandbox) -> Counter[str]:
    """How often each training's document is at the platform, by its digest."""
    return Counter(one.sha256 for one in sandbox.received)


def marked(scale: ScaleOut) -> set[str]:
    """The documents that may be there twice, as their records say."""
    query = "SELECT digest FROM evidence_courier.uploads WHERE possible_duplicate"
    with psycopg.connect(scale.dsn) as connection:
        return {digest for (digest,) in connection.execute(query.encode()).fetchall()}


def lanes(many: int) -> list[tuple[str, str]]:
    return [(("acme", "globex")[number % 2], f"t-{number}") for number in range(many)]


# --- the usual case -------------------------------------------------------------------------------


def test_one_host_and_two_workers_deliver_each_training_once(
    scale: ScaleOut, sandbox: SprintoSandbox
) -> None:
    done = scale.python("complete", "acme", "s-1", "s-2")
    assert done.returncode == 0, done.stderr
    with scale.worker(), scale.worker(), Host(scale) as host:
        host.complete_many(lanes(200), seed=1)
        trainings = scale.trainings
        scale.wait_for(trainings)
        assert len(sandbox.received) == trainings
    assert scale.ask("SELECT count(*) FROM procrastinate_jobs") <= 3
    assert "training-s-1 succeeded" in scale.python("evidence", "acme").stdout


# --- kills and crashes ----------------------------------------------------------------------------


def test_kills_and_a_crash_of_the_server_lose_and_double_nothing(
    scale: ScaleOut, sandbox: SprintoSandbox
) -> None:
    """Trainings, records and files are the same, but for copies that are marked."""
    names, dice = lanes(TRANSACTIONS), random.Random(7)
    with Host(scale) as host, scale.supervised() as one, scale.supervised() as two:
        threads = [
            threading.Thread(target=host.complete_many, args=(names[part::2], part))
            for part in range(2)
        ]
        for thread in threads:
            thread.start()
        crashed = False
        while any(thread.is_alive() for thread in threads):
            time.sleep(dice.uniform(0.5, 2.5))
            dice.choice((one, two)).kill()
            if not crashed and scale.trainings > TRANSACTIONS // 3:
                crashed = True
                own_server().stop("immediate")
                time.sleep(0.5)
                own_server().start()
        for thread in threads:
            thread.join()
        assert crashed
        trainings = scale.trainings
        # Of a worker that was killed a moment before the crash, only its silence tells.
        scale.wait_for(trainings, patience=SILENCE + 60 + TRANSACTIONS / 50)
    at_rest = scale.statuses()
    assert at_rest == Counter({"succeeded": trainings})
    files = arrived(sandbox)
    assert len(files) == trainings
    assert {one for one, copies in files.items() if copies > 1} <= marked(scale)


def test_a_worker_that_ends_when_the_server_restarts_is_started_again(
    scale: ScaleOut,
) -> None:
    """It may end with code 0, and `Restart=on-failure` would leave it ended."""
    with scale.worker() as worker, Host(scale) as host:
        host.complete_many([("acme", "t-1")], seed=1)
        scale.wait_for(1)
        own_server().stop()
        own_server().start()
        assert worker.ended() in (0, 1)
    unit = (EXAMPLE / "worker.service").read_text(encoding="utf-8")
    assert "Restart=always" in unit
    with scale.worker(), Host(scale) as host:
        host.complete_many([("acme", "t-2")], seed=1)
        scale.wait_for(2)


# --- signals --------------------------------------------------------------------------------------


def test_a_worker_under_load_ends_soon_after_sigterm(
    scale: ScaleOut, sandbox: SprintoSandbox
) -> None:
    sandbox.use_faults(["slow:0.0002=1"])
    with Host(scale) as host:
        host.complete_many(lanes(LOAD), seed=2)
    with scale.worker(TICK=str(TICK)) as worker:
        scale.wait_for(20)
        worker.tell_to_end()
        asked = time.monotonic()
        assert worker.ended() == 0
        assert time.monotonic() - asked < 25
    trainings = scale.trainings
    with scale.worker():
        scale.wait_for(trainings)
    files = arrived(sandbox)
    assert len(files) == trainings
    assert {one for one, copies in files.items() if copies > 1} <= marked(scale)


def test_a_worker_that_was_stopped_for_long_doubles_nothing(
    scale: ScaleOut, sandbox: SprintoSandbox
) -> None:
    with Host(scale) as host, scale.worker() as stopped, scale.worker():
        host.complete_many(lanes(50), seed=3)
        scale.wait_for(10)
        stopped.popen.send_signal(signal.SIGSTOP)
        host.complete_many([("acme", f"later-{n}") for n in range(20)], seed=3)
        time.sleep(STOPPED)
        stopped.popen.send_signal(signal.SIGCONT)
        trainings = scale.trainings
        scale.wait_for(trainings)
    files = arrived(sandbox)
    assert len(files) == trainings
    assert {one for one, copies in files.items() if copies > 1} <= marked(scale)


# --- many -----------------------------------------------------------------------------------------


def test_many_credentials_with_one_due_each(scale: ScaleOut, sandbox: SprintoSandbox) -> None:
    tenants = [f"tenant-{number}" for number in range(CREDENTIALS)]
    keys = {f"SCALE_KEY_{number}": f"key-{number}" for number in range(CREDENTIALS)}
    for number, tenant in enumerate(tenants):
        scale.configure(tenant, key=f"SCALE_KEY_{number}")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in keys.items():
            patch.setenv(name, value)
        with Host(scale) as host, psycopg.connect(scale.dsn) as connection:
            for tenant in tenants:
                host.complete(connection, tenant, "t-1")
        with scale.worker(), scale.worker():
            scale.wait_for(CREDENTIALS, patience=60 + CREDENTIALS / 50)
    assert set(arrived(sandbox).values()) == {1}


def test_what_is_due_does_not_wait_for_what_is_not(scale: ScaleOut) -> None:
    """A hundred thousand retries wait for tomorrow."""
    with Host(scale) as host:
        host.complete_many([("acme", "t-0")], seed=4)
        with psycopg.connect(scale.dsn) as connection:
            connection.execute(WAITING.encode())
        before = scale.trainings
        with scale.worker():
            scale.wait_for(before)
            host.complete_many([("acme", f"now-{n}") for n in range(20)], seed=4)
            began = time.monotonic()
            scale.wait_for(scale.trainings)
            assert time.monotonic() - began < 5
    assert scale.statuses()["pending"] == 100_000
