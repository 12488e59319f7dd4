"""The example of several machines: one host, some workers, and a PostgreSQL of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import psycopg
from attrs import define, field
from host_process import HostProcess, host_process, wait_until
from postgres_server import own_server
from psycopg.conninfo import conninfo_to_dict

from evidence_courier.testing.sandboxes import SprintoSandbox

PREPARED: list[str] = []
"""The database that the example has prepared: it is copied."""

EXAMPLE = Path(__file__).parents[2] / "examples" / "scale_out"


@define
class ScaleOut:
    """A folder, a sandbox, and a database with all tables."""

    folder: Path
    sandbox: SprintoSandbox
    dsn: str = field(init=False)
    _logs: int = 0

    def __attrs_post_init__(self) -> None:
        (self.folder / "tenants").mkdir()
        for tenant in ("acme", "globex"):
            self.configure(tenant)
        if not PREPARED:
            PREPARED.append(own_server().empty_database())
            self.dsn = url_of(PREPARED[0])
            done = self.python("prepare")
            assert done.returncode == 0, done.stderr
        self.dsn = url_of(own_server().copied(PREPARED[0]))

    def configure(self, tenant: str, key: str = "SCALE_KEY") -> None:
        """Give a tenant its file; its key is in the environment under this name."""
        block = {
            "provider": "sprinto",
            "api_key": f"${{{key}}}",
            "endpoint": self.sandbox.url,
            "workflow_check": "3f1c2a9e-8a43-4a0e-9d0b-6d3f6f1b2c77",
            "pace": "1000000/min",
        }
        text = json.dumps({"integrations": {"compliance": block}})
        (self.folder / "tenants" / f"{tenant}.json").write_text(text)

    @property
    def environment(self) -> dict[str, str]:
        return {
            "DATABASE": self.dsn,
            "TENANTS": str(self.folder / "tenants"),
            "SCALE_KEY": "sandbox-key",
            "PYTHONPATH": os.pathsep.join(sys.path),
        }

    def python(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the host's program."""
        command = [sys.executable, "service.py", *arguments]
        return subprocess.run(
            command,
            cwd=EXAMPLE,
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            check=False,
        )

    def worker(self, **more: str) -> AbstractContextManager[HostProcess]:
        """A worker, as the page starts it."""
        self._logs += 1
        command = (sys.executable, "-m", "procrastinate", "--app", "service.app", "worker")
        log = self.folder / f"worker-{self._logs}.log"
        return host_process(
            command, folder=EXAMPLE, environment={**self.environment, **more}, log=log
        )

    @contextmanager
    def supervised(self, **more: str) -> Iterator[Supervised]:
        """A worker that is started again whenever it ends, as `Restart=always` does."""
        supervised = Supervised(self, more)
        thread = threading.Thread(target=supervised.run)
        thread.start()
        try:
            yield supervised
        finally:
            supervised.stop()
            thread.join()

    def ask(self, query: str) -> Any:
        """The one cell that a query gives."""
        with psycopg.connect(self.dsn) as connection:
            row = connection.execute(query.encode()).fetchone()
            assert row is not None
            return row[0]

    @property
    def trainings(self) -> int:
        return int(self.ask("SELECT count(*) FROM trainings"))

    def statuses(self) -> Counter[str]:
        """How many uploads have each status."""
        with psycopg.connect(self.dsn) as connection:
            query = "SELECT status, count(*) FROM evidence_courier.uploads GROUP BY status"
            return Counter(dict(connection.execute(query).fetchall()))

    def wait_for(self, succeeded: int, patience: float = 30.0) -> None:
        """Return once so many uploads have succeeded."""

        def there() -> bool:
            try:
                return self.statuses()["succeeded"] >= succeeded
            except psycopg.OperationalError:
                return False

        wait_until(f"{succeeded} uploads have succeeded", there, patience)


def url_of(dsn: str) -> str:
    """A DSN as a URL, which is how a courier is given one."""
    parts = conninfo_to_dict(dsn)
    where = f"{parts['host']}:{parts['port']}/{parts['dbname']}"
    return f"postgresql://{parts['user']}:{parts['password']}@{where}"


@define
class Supervised:
    """A worker and its supervisor: `codes` are those with which it has ended."""

    scale: ScaleOut
    more: dict[str, str]
    codes: list[int] = field(factory=list)
    _process: HostProcess | None = None
    _over: threading.Event = field(factory=threading.Event)

    def run(self) -> None:
        while not self._over.is_set():
            with self.scale.worker(**self.more) as self._process:
                self.codes.append(self._process.popen.wait())

    def kill(self) -> None:
        """Kill it, in the middle of whatever it does."""
        if self._process is not None:
            self._process.popen.kill()

    def stop(self) -> None:
        self._over.set()
        self.kill()
