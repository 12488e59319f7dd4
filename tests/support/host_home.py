"""Where an example host lives while a test drives it, and how it is spoken to."""

from __future__ import annotations

import sqlite3
import subprocess
from collections.abc import Mapping
from contextlib import AbstractContextManager, closing
from pathlib import Path

import httpx
from attrs import frozen
from host_process import BIN, HostProcess, host_process

from evidence_courier.testing.sandboxes import SprintoSandbox

EXAMPLES = Path(__file__).parents[2] / "examples"


@frozen
class Home:
    """A folder for a host's databases, and the environment that points it there and at the
    sandbox."""

    folder: Path
    sandbox: SprintoSandbox

    @property
    def database(self) -> Path:
        return self.folder / "courier.db"

    @property
    def environment(self) -> Mapping[str, str]:
        return {
            "HOME": str(self.folder),  # where gunicorn puts a socket
            "TENANTS": str(EXAMPLES / "tenants"),
            "HOST_DATABASE": str(self.folder / "host.db"),
            "COURIER_DATABASE": str(self.database),
            "ACME_SPRINTO_API_KEY": "sandbox-key",
            "ACME_SPRINTO_ENDPOINT": self.sandbox.url,
            "GLOBEX_SPRINTO_API_KEY": "sandbox-key",
            "GLOBEX_SPRINTO_ENDPOINT": self.sandbox.url,
            "UMBRELLA_DRATA_API_KEY": "sandbox-key",
            "UMBRELLA_DRATA_ENDPOINT": self.sandbox.url,
        }

    def start(
        self, host: str, *command: str | Path, **more: str
    ) -> AbstractContextManager[HostProcess]:
        """Run a command in an example's folder while a block runs."""
        return host_process(
            command,
            folder=EXAMPLES / host,
            environment={**self.environment, **more},
            log=self.folder / f"{len(list(self.folder.glob('*.log')))} {Path(command[0]).name}.log",
        )

    def rows(self, table: str = "uploads") -> list[sqlite3.Row]:
        """What is in a table of the courier's database; nothing where there is none yet."""
        if not self.database.exists():
            return []
        with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)) as database:
            database.row_factory = sqlite3.Row
            if not database.execute(
                "SELECT 1 FROM sqlite_master WHERE name = ?", [table]
            ).fetchall():
                return []
            return list(database.execute(f"SELECT * FROM {table}"))

    def copies(self, tenant_id: str = "acme") -> dict[str, int]:
        """For each of a tenant's uploads on record, by evidence id, how many copies of its
        document the provider holds."""
        return {
            row["evidence_id"]: self.sandbox.copies(row["document_sha256"])
            for row in self.rows()
            if row["tenant_id"] == tenant_id
        }

    def states(self) -> dict[str, str]:
        """The state of each tenant's upload, where it has one."""
        return {row["tenant_id"]: row["state"] for row in self.rows()}

    def check_left_in_order(self) -> None:
        """Nothing is in flight, no courier is enlisted, and every invariant holds of the
        records."""
        assert [row["evidence_id"] for row in self.rows() if row["state"] == "sending"] == []
        assert [row["pid"] for row in self.rows("couriers")] == []
        command = [str(BIN / "evidence-courier"), "invariants", "--db", str(self.database)]
        found = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert found.returncode == 0, found.stdout + found.stderr


@frozen
class Client:
    """Speaks to a web host. All of the examples serve the same two pages."""

    url: str

    def complete(self, tenant_id: str, session_id: str) -> None:
        """Tell the host that a session has ended."""
        reply = httpx.post(
            f"{self.url}/trainings/{session_id}/complete",
            json={"employee": "emp-7", "outcome": "passed"},
            headers={"X-Tenant": tenant_id},
            timeout=30,
        )
        assert reply.status_code == 201, reply.text

    def evidence(self, tenant_id: str) -> dict[str, str | None]:
        """The host's own list: for each evidence the status of its upload, if it has one."""
        reply = httpx.get(f"{self.url}/evidence", headers={"X-Tenant": tenant_id}, timeout=30)
        assert reply.status_code == 200, reply.text
        return {
            row["evidence_id"]: row["upload"]["status"] if row["upload"] else None
            for row in reply.json()
        }
