"""`evidence-courier run`: a process that delivers what others record, until it is stopped."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import pytest
from aiohttp import web
from postgres_server import server
from store_fixtures import evidence

from evidence_courier import AsyncCourier, Courier, Records, StoreError
from evidence_courier.bootstrap.cli import probes as probing
from evidence_courier.bootstrap.cli.changes import Changes
from evidence_courier.bootstrap.cli.place import Files
from evidence_courier.bootstrap.cli.probes import Probes, address_of, listening
from evidence_courier.bootstrap.cli.run import PlainFormatter, Worker
from evidence_courier.domain.errors import MisuseError
from evidence_courier.testing import FakeClock, RecordingLogger
from evidence_courier.testing.sandboxes import FaultPlan, SprintoSandbox, sandbox_in_thread

KEY = "the-key-that-no-log-may-show"
CALL = [sys.executable, "-c", "from evidence_courier.bootstrap.cli import main; main()"]
TENANT = """\
name: ACME
integrations:
  compliance:
    provider: sprinto
    api_key: ${{ACME_KEY}}
    workflow_check: 3f1c2a9e-8a43-4a0e-9d0b-6d3f6f1b2c77
    pace: 100000/min
    endpoint: {url}
"""


@pytest.fixture
def sandbox() -> Iterator[SprintoSandbox]:
    with sandbox_in_thread(SprintoSandbox(key=KEY)) as box:
        yield box


@pytest.fixture
def home(tmp_path: Path, sandbox: SprintoSandbox, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ACME_KEY", KEY)
    Path("tenants").mkdir()
    Path("tenants/acme.yaml").write_text(TENANT.format(url=sandbox.url))
    return tmp_path


def recorded(many: int, database: str = "courier.db") -> None:
    """Evidences that another process has recorded and does not deliver."""
    with Courier.from_config("tenants", database, background=False) as courier:
        for ticket in [courier.submit(one(number)) for number in range(many)]:
            ticket.recorded()


def one(number: int) -> Any:
    return evidence(f"ev-{number}", content=f"%PDF-1.7 {number}".encode())


class Run:
    """A process that runs, with what it has logged."""

    def __init__(self, *arguments: str, place: tuple[str, ...] | None = None) -> None:
        where = ("--config", "tenants", "--db", "courier.db") if place is None else place
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [*CALL, "run", *where, *arguments], stderr=subprocess.PIPE, text=True
        )

    def until(self, words: str) -> str:
        """The line that says so."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line)
            if re.search(words, line):
                return line
        raise AssertionError(f"it ended without {words!r}: {''.join(self.lines)}")

    def tell(self, number: int) -> None:
        self.process.send_signal(number)

    def ended(self) -> int:
        """Its exit code. No secret and no traceback was logged."""
        _, rest = self.process.communicate(timeout=60)
        self.lines += rest.splitlines(keepends=True)
        assert KEY not in self.text and "Traceback" not in self.text, self.text
        return self.process.returncode

    @property
    def text(self) -> str:
        return "".join(self.lines)


@pytest.fixture
def run(home: Path) -> Iterator[Callable[..., Run]]:
    runs: list[Run] = []

    def start(*arguments: str, **more: Any) -> Run:
        runs.append(Run(*arguments, **more))
        return runs[-1]

    yield start
    for each in runs:
        each.process.kill()
        each.process.communicate()


def counts(database: str = "courier.db") -> dict[str, int]:
    with Records.open(database) as records:
        return {word: number for word, number in records.counts().items() if number}


def everything_holds(database: str = "courier.db") -> None:
    done = subprocess.run(
        [*CALL, "invariants", "--db", database, "--config", "tenants"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_it_delivers_what_another_process_recorded_and_drains(
    run: Callable[..., Run], sandbox: SprintoSandbox
) -> None:
    recorded(3)
    worker = run("--drain")
    assert worker.ended() == 0
    assert counts() == {"succeeded": 3}
    assert len(sandbox.received) == 3
    assert "INFO started on courier.db, process" in worker.text
    assert "INFO all is settled or held" in worker.text
    assert "stopped: 3 uploads settled since the start; 0 open in courier.db" in worker.text


def test_what_people_do_goes_on_without_a_host(
    run: Callable[..., Run], sandbox: SprintoSandbox
) -> None:
    sandbox.use_faults(FaultPlan.script(["status:400"]))
    recorded(1)
    assert run("--drain").ended() == 0
    assert counts() == {"failed": 1}
    with Records.open("courier.db") as records:
        records.retry("acme", "ev-0", by="asha", reason="mended")
    assert run("--drain").ended() == 0
    assert counts() == {"succeeded": 1}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_what_is_under_way_finish(
    run: Callable[..., Run], sandbox: SprintoSandbox, number: signal.Signals
) -> None:
    sandbox.use_faults(["slow:0.001=1"])
    recorded(80)
    worker = run("--grace", "30")
    worker.until("succeeded after")
    worker.tell(number)
    said = worker.until(f"{number.name}: stopping; nothing new is sent")
    assert "may take 30 s more; a second signal ends at once" in said
    assert worker.ended() == 0
    assert re.search(r"stopped: \d+ uploads? settled since the start; \d+ open in", worker.text)
    everything_holds()
    assert len(sandbox.received) == counts()["succeeded"]  # nothing was left in flight
    assert run("--drain").ended() == 0
    assert counts() == {"succeeded": 80}
    assert len({file.sha256 for file in sandbox.received}) == len(sandbox.received) == 80


def test_a_second_signal_ends_at_once_and_records_what_was_cut_off(
    run: Callable[..., Run], sandbox: SprintoSandbox
) -> None:
    sandbox.use_faults(["silence=1"])
    recorded(2)
    worker = run("--grace", "3600")
    while sandbox.requests < 2:
        assert worker.process.poll() is None
    worker.tell(signal.SIGTERM)
    worker.until("stopping")
    worker.tell(signal.SIGTERM)
    worker.until("SIGTERM, the second signal: ending at once")
    assert worker.ended() == 128 + signal.SIGTERM
    assert "0 uploads settled since the start, 2 cut off while under way" in worker.text
    assert "2 open in courier.db; the next courier goes on with them" in worker.text
    everything_holds()


def test_a_broken_file_keeps_the_old_configuration_and_says_so(
    run: Callable[..., Run], sandbox: SprintoSandbox
) -> None:
    worker = run()
    worker.until("started")
    Path("tenants/acme.yaml").write_text("integrations: [")
    worker.tell(signal.SIGHUP)
    worker.until("SIGHUP: reading the tenants anew")
    said = worker.until("ERROR")
    assert (
        "what they had before stays in force" in said and "acme.yaml:1: is not valid YAML" in said
    )
    worker.until("configuration loaded from tenants: 1 tenant")
    Path("tenants/acme.yaml").write_text(TENANT.format(url=sandbox.url))
    Path("tenants/globex.yaml").write_text("name: Globex\n")
    worker.tell(signal.SIGHUP)
    worker.until("configuration loaded from tenants: 1 tenant with an integration; without: globex")
    worker.tell(signal.SIGTERM)
    assert worker.ended() == 0


def test_what_a_hosts_function_raises_keeps_the_old_configuration(
    run: Callable[..., Run],
) -> None:
    Path("shop.py").write_text(
        "from pathlib import Path\n"
        "from evidence_courier import AsyncCourier\n"
        "def tenants():\n"
        "    if Path('down').exists():\n"
        "        raise OSError('no customers at postgresql://app:hunter2@db/x')\n"
        "    return {'acme': {'name': 'x'}}\n"
        "courier = AsyncCourier.from_mapping(tenants, 'shop.db')\n"
    )
    worker = run(place=("--app", "shop:courier"))
    worker.until("started")
    Path("down").touch()
    worker.tell(signal.SIGHUP)
    said = worker.until("ERROR")
    assert "what was in force stays: OSError: no customers at postgresql://***@db/x" in said
    Path("down").unlink()
    worker.tell(signal.SIGHUP)
    worker.until(
        "configuration loaded from a mapping: 0 tenants with an integration; without: acme"
    )
    worker.tell(signal.SIGTERM)
    assert worker.ended() == 0


def test_a_tenant_that_is_broken_at_the_start_stops_no_other(
    run: Callable[..., Run],
) -> None:
    recorded(1)
    Path("tenants/globex.yaml").write_text("integrations: [")
    worker = run("--drain")
    assert worker.ended() == 0
    assert "globex.yaml:1: is not valid YAML" in worker.text
    assert counts() == {"succeeded": 1}


def test_a_folder_that_is_empty_is_none_that_was_meant(run: Callable[..., Run]) -> None:
    """It may not be mounted yet, and ten minutes later all that is open would be held."""
    os.remove("tenants/acme.yaml")
    worker = run()
    assert worker.ended() == 2
    assert "tenants holds no tenant file" in worker.text and "mounted" in worker.text


def test_a_log_in_json_is_one_object_a_line(run: Callable[..., Run]) -> None:
    worker = run("--drain", "--json")
    assert worker.ended() == 0
    said = [json.loads(line)["message"] for line in worker.lines]
    assert "all is settled or held" in said


@pytest.mark.parametrize("kind", ["AsyncCourier", "Courier"])
def test_the_hosts_own_courier_runs_even_without_a_background(
    run: Callable[..., Run], kind: str
) -> None:
    Path("shop.py").write_text(
        f"from evidence_courier import {kind}\n"
        f"def courier():\n"
        f"    return {kind}.from_config('tenants', 'courier.db', background=False)\n"
    )
    recorded(2)
    worker = run("--drain", place=("--app", "shop:courier"))
    assert worker.ended() == 0, worker.text
    assert counts() == {"succeeded": 2}


def test_options_that_an_app_does_not_use_are_named(
    run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("shop.py").write_text(
        "from evidence_courier import AsyncCourier\n"
        "courier = AsyncCourier.from_config('tenants', 'courier.db')\n"
    )
    monkeypatch.setenv("EVIDENCE_COURIER_WEBHOOK", "https://hooks.example.com/secret-path")
    monkeypatch.setenv("EVIDENCE_COURIER_RETENTION", "attempts: 400d")
    worker = run("--drain", place=("--app", "shop:courier"))
    assert worker.ended() == 0, worker.text
    assert "not used: EVIDENCE_COURIER_RETENTION, EVIDENCE_COURIER_WEBHOOK;" in worker.text
    assert "secret-path" not in worker.text


def test_the_start_says_where_notices_go_and_which_variable_is_unknown(
    run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVIDENCE_COURIER_WEBHOK", "https://hooks.example.com/secret-path")
    mistyped = run("--drain")
    assert mistyped.ended() == 0, mistyped.text
    warned = "EVIDENCE_COURIER_WEBHOK is set, and is none of this program's variables: did you mean"
    assert f"WARNING {warned} EVIDENCE_COURIER_WEBHOOK?" in mistyped.text
    assert "notices go to no one: set EVIDENCE_COURIER_WEBHOOK or" in mistyped.text
    monkeypatch.setenv("EVIDENCE_COURIER_WEBHOOK", "https://hooks.example.com/secret-path")
    monkeypatch.delenv("EVIDENCE_COURIER_WEBHOK")
    right = run("--drain")
    assert right.ended() == 0, right.text
    assert "notices go to webhook at hooks.example.com (" in right.text
    assert "secret-path" not in mistyped.text + right.text
    assert "WARNING" not in right.text


def test_two_of_them_share_the_work(run: Callable[..., Run], sandbox: SprintoSandbox) -> None:
    recorded(60)
    workers = [run("--drain"), run("--drain")]
    assert [worker.ended() for worker in workers] == [0, 0]
    assert counts() == {"succeeded": 60}
    assert len({file.sha256 for file in sandbox.received}) == len(sandbox.received) == 60
    everything_holds()


def test_it_runs_on_a_postgresql(run: Callable[..., Run], sandbox: SprintoSandbox) -> None:
    url = server().new_database()
    recorded(20, url)
    workers = [run("--drain", place=("--config", "tenants", "--db", url)) for _ in range(2)]
    assert [worker.ended() for worker in workers] == [0, 0]
    assert counts(url) == {"succeeded": 20}
    assert len(sandbox.received) == 20
    password = re.search(r"password=(\S+)", url)
    assert password is None or password[1] not in workers[0].text


def test_a_line_is_one_line_and_has_its_time_in_utc() -> None:
    said = logging.makeLogRecord(
        {"created": 0.0, "levelname": "WARNING", "msg": "refused\n\tIs the server running?\n"}
    )
    line = "1970-01-01T00:00:00Z WARNING refused Is the server running?"
    assert PlainFormatter().format(said) == line


# --- probes --------------------------------------------------------------------------------------


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port: int = taken.getsockname()[1]
        return port


def asked(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=30) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_probes_are_answered_on_loopback(run: Callable[..., Run]) -> None:
    worker = run("--listen", str(free_port()))
    url = worker.until("listening on").split()[4]
    assert url.startswith("http://127.0.0.1:")
    assert asked(f"{url}/healthz") == (200, "alive\n")
    worker.until("started")
    assert asked(f"{url}/readyz") == (200, "ready\n")
    code, text = asked(f"{url}/metrics")
    assert code == 200
    assert 'evidence_courier_events_total{event="configuration_loaded"' in text
    assert "evidence_courier_oldest_open_age_seconds 0.0" in text
    worker.tell(signal.SIGTERM)
    assert worker.ended() == 0


def test_an_address_in_use_is_reported_before_anything_is_opened(
    run: Callable[..., Run],
) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        worker = run("--listen", f"127.0.0.1:{port}")
        assert worker.ended() == 2
    assert f"--listen 127.0.0.1:{port}: the address cannot be had: Address already" in worker.text
    assert not Path("courier.db").exists()


@pytest.mark.parametrize(
    ("where", "address"),
    [
        ("9464", ("127.0.0.1", 9464)),
        (":9464", ("127.0.0.1", 9464)),
        ("0.0.0.0:9464", ("0.0.0.0", 9464)),
        ("[::1]:9464", ("::1", 9464)),
        ("localhost:0", ("localhost", 0)),
    ],
)
def test_without_a_host_it_listens_on_loopback(where: str, address: tuple[str, int]) -> None:
    assert address_of(where) == address


@pytest.mark.parametrize("where", ["", "localhost", "1.2.3.4:", "::1:80", "x:70000", "x:8o"])
def test_what_is_no_address_is_refused(where: str) -> None:
    with pytest.raises(MisuseError, match=r"--listen is \[HOST:\]PORT.* at most 65535"):
        address_of(where)


@pytest.mark.parametrize("host", ["203.0.113.7", "no-host.invalid"])
def test_an_address_of_no_machine_is_not_taken_for_one_in_use(host: str) -> None:
    async def story() -> None:
        async with listening(f"{host}:8080", Probes(cast(AsyncCourier, Database()))):
            pass

    with pytest.raises(MisuseError, match=f"--listen {host}:8080: the address cannot") as refused:
        asyncio.run(story())
    advice = "; name an address of this machine, or 0.0.0.0 for all of them"
    assert str(refused.value).endswith(advice)


def test_an_address_that_the_environment_has_names_its_variable(
    run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVIDENCE_COURIER_LISTEN", "99999")
    worker = run()
    assert worker.ended() == 2
    assert worker.lines[-1] == "note: --listen is set by EVIDENCE_COURIER_LISTEN\n"


class Database:
    """The part of a courier that a probe asks, with a database that is as the test wants."""

    def __init__(self) -> None:
        self.looked = 0
        self.answer: asyncio.Future[dict[str, int]] = asyncio.get_running_loop().create_future()

    async def counts(self) -> dict[str, int]:
        self.looked += 1
        return await asyncio.shield(self.answer)


def test_it_is_ready_once_it_has_started_and_its_database_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(probing, "PATIENCE", 0.01)

    async def story() -> list[tuple[int, str | None]]:
        database, said = Database(), []
        probes, request = Probes(cast(AsyncCourier, database)), cast(web.Request, None)

        async def ask() -> None:
            reply = await probes.readyz(request)
            said.append((reply.status, reply.text))

        await ask()
        probes.state = ""
        await asyncio.gather(ask(), ask(), ask())
        assert database.looked == 1  # one thread at most waits for a database that hangs
        database.answer.set_exception(StoreError("courier.db: not read: it is locked"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await ask()
        return said

    assert asyncio.run(story()) == [
        (503, "not ready: it has not started yet\n"),
        *[(503, "not ready: the database has not answered for 0.01 seconds\n")] * 3,
        (503, "not ready: courier.db: not read: it is locked\n"),
    ]


# --- --watch -------------------------------------------------------------------------------------


def test_a_file_that_changes_is_read_once_it_stands_still(home: Path) -> None:
    clock, logger = FakeClock(), RecordingLogger()
    courier = AsyncCourier.from_config("tenants", "courier.db", clock=clock, logger=logger)
    worker = Worker(Files({"folder": "tenants", "database": "courier.db"}), courier, grace=0)

    def globex(text: str) -> None:
        Path("tenants/globex.yaml").write_text(text)

    async def looked(times: int = 1) -> None:
        for _ in range(times):
            while clock.next_wake() is None:
                await asyncio.sleep(0)
            clock.advance(2)
            while clock.next_wake() is None and not worker._reload.is_set():
                await asyncio.sleep(0)

    async def story() -> None:
        watching = asyncio.create_task(worker.watch(Changes("tenants")))
        await looked(2)
        assert not worker._reload.is_set()
        globex("na")
        await looked()
        globex("name: Globex\n")
        await looked()
        assert not worker._reload.is_set()  # it was still being written
        await looked()
        assert worker._reload.is_set()
        worker._reload.clear()
        await looked(2)
        assert not worker._reload.is_set()
        os.remove("tenants/globex.yaml")
        await looked(2)
        assert worker._reload.is_set()
        watching.cancel()

    asyncio.run(story())


def test_only_a_folder_can_be_watched(run: Callable[..., Run]) -> None:
    Path("shop.py").write_text(
        "from evidence_courier import AsyncCourier\n"
        "courier = AsyncCourier.from_mapping({'acme': {'name': 'x'}}, 'shop.db')\n"
    )
    worker = run("--watch", place=("--app", "shop:courier"))
    assert worker.ended() == 2
    assert "--watch looks at a folder of tenant files, and this app's tenants are in none" in (
        worker.text
    )
