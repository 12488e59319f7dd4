"""What runs in a campaign of `running.py`, and what happens to it."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

from attrs import define, field
from hostile_sinks import HOW, SECRET, Sink
from run_host import TENANTS

from evidence_courier import Records
from evidence_courier.testing.sandboxes import SprintoSandbox
from evidence_courier.testing.sandboxes.server import KEY, Sandbox

CALL = [sys.executable, "-m", "evidence_courier"]
GRACE = 5.0
FAULTS = (
    (),
    ("status:503=0.2", "slow:0.001=0.1"),
    ("reset-after=0.1", "cut=0.1"),
    ("silence-after=0.05", "html=0.05"),
    ("status-after:504=0.1", "not-json=0.05", "huge=0.01"),
    ("reset-before=1",),
    ("status:400=0.1",),
)
SPRINTO = """\
tenant: {tenant}
integrations:
  compliance:
    provider: sprinto
    workflow_check: 3f1c2a9e-8a43-4a0e-9d0b-6d3f6f1b2c77
    api_key: ${{file:{secrets}/{platform}}}
    endpoint: {url}
    pace: 100000/min
    on_unclear: {on_unclear}
    retry: {{max_attempts: 6, initial_delay: 200ms, max_delay: 10s}}
    timeout: {{idle: 20s}}
    retention: {{attempts: 1h, personal: 1h, failed_documents: 1h}}
"""
VANTA = """\
tenant: {tenant}
integrations:
  compliance:
    provider: vanta
    client_id: sandbox-client
    client_secret: ${{file:{secrets}/{platform}}}
    document: security-awareness-training
    endpoint: {url}
    pace: 100000/min
    on_unclear: {on_unclear}
    retry: {{max_attempts: 6, initial_delay: 200ms, max_delay: 10s}}
    timeout: {{idle: 20s}}
"""


@define(eq=False)
class Process:
    """One that is started again after it has ended, with its log in a file."""

    command: list[str]
    log: Path
    environment: dict[str, str]
    started: int = 0
    process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start it, unless it runs."""
        if self.process is None or self.process.poll() is not None:
            with self.log.open("a") as log:
                self.process = subprocess.Popen(
                    self.command,
                    stderr=log,
                    stdout=(self.log.with_suffix(".out")).open("a"),
                    env=self.environment,
                    text=True,
                )
            self.started += 1

    def tell(self, number: signal.Signals) -> None:
        """Send it a signal."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)

    def end(self, number: signal.Signals, seconds: float) -> int | None:
        """Its exit code, or None if it did not end so soon."""
        assert self.process is not None
        self.tell(number)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def figures(self) -> tuple[int, int, int]:
        """Its memory of its own, handles and threads."""
        assert self.process is not None
        own = Path("/proc", str(self.process.pid))
        status = dict(line.split(":", 1) for line in (own / "status").read_text().splitlines())
        memory = int(status["RssAnon"].split()[0]) * 1024
        return memory, len(os.listdir(own / "fd")), int(status["Threads"])


@define(eq=False)
class World:
    """All that runs, and what was seen of it. `wrong` must stay empty."""

    home: Path
    dice: random.Random
    sandboxes: dict[str, Sandbox]
    sinks: tuple[Sink, Sink]
    rate: float
    wrong: list[str] = field(factory=list)
    did: Counter[str] = field(factory=Counter)
    erased: set[str] = field(factory=set)
    notices: set[str] = field(factory=set)
    figures: list[tuple[int, int, int, int]] = field(factory=list)
    keys: set[str] = field(factory=set)
    runs: list[Process] = field(init=False)
    host: Process = field(init=False)
    _rotations: int = 0
    _host: list[str] = field(init=False)

    def __attrs_post_init__(self) -> None:
        for name in ("tenants", "secrets"):
            (self.home / name).mkdir()
        for name in self.sandboxes:
            self.rotate(name)
            (self.home / "secrets" / name).symlink_to(f"..data/{name}")
        for tenant in TENANTS:
            self.mend(tenant)
        place = ["--config", f"{self.home}/tenants", "--db", f"{self.home}/courier.db"]
        folder = ["--secret-folder", f"{self.home}/secrets"]
        worker = [*CALL, "run", *place, *folder, "--watch", "--grace", f"{GRACE}"]
        hook, post = self.sinks
        people = "?from=a@example.com&to=b@example.com"
        environment = os.environ | {
            "EVIDENCE_COURIER_WEBHOOK": f"http://127.0.0.1:{hook.port}/hook",
            "EVIDENCE_COURIER_WEBHOOK_SECRET": SECRET,
            "EVIDENCE_COURIER_MAIL": f"smtp://localhost:{post.port}/{people}",
            "EVIDENCE_COURIER_LATE_AFTER": "2m",
            "SSL_CERT_FILE": f"{self.home}/authority.pem",
        }
        self.runs = [
            Process([*worker, "--listen", "0"], self.home / f"run-{one}.log", environment)
            for one in (1, 2)
        ]
        script = str(Path(__file__).with_name("run_host.py"))
        given = [f"{self.home}/tenants", f"{self.home}/courier.db", f"{self.home}/secrets"]
        self.host = Process([], self.home / "host.log", dict(os.environ))
        self._host = [sys.executable, script, *given]

    @property
    def database(self) -> str:
        """The database of all."""
        return f"{self.home}/courier.db"

    # --- what happens ----------------------------------------------------------------------------

    def start_all(self) -> None:
        """Start what does not run."""
        for run in self.runs:
            run.start()
        if self.host.process is None or self.host.process.poll() is not None:
            self.host.command = [*self._host, f"h{self.host.started}", f"{self.rate}"]
            self.host.start()

    def mend(self, tenant: str) -> None:
        """Write its file as it should be."""
        platform = {"umbrella": "vanta", "stark": "second"}.get(tenant, "first")
        text = (VANTA if platform == "vanta" else SPRINTO).format(
            tenant=tenant,
            secrets=self.home / "secrets",
            platform=platform,
            url=self.sandboxes[platform].url,
            on_unclear="hold" if tenant == "globex" else "retry",
        )
        (self.home / "tenants" / f"{tenant}.yaml").write_text(text)

    def break_file(self) -> None:
        """Break a tenant's file in some way."""
        tenant = self.dice.choice(TENANTS)
        file = self.home / "tenants" / f"{tenant}.yaml"
        self.mend(tenant)
        how = self.dice.randrange(4)
        text = file.read_text()
        if how == 0:
            file.write_text(text + "  }{: [")
        elif how == 1:
            file.write_text(text[: len(text) // 2])
        elif how == 2:
            file.write_text(text.replace("/secrets/", "/secrets/none-"))
        else:
            file.write_text(text.replace("pace: 100000/min", "pace: a lot"))

    def mend_all(self) -> None:
        """Every tenant file."""
        for tenant in TENANTS:
            self.mend(tenant)

    def rotate(self, name: str | None = None) -> None:
        """Give a platform another key, and the file of the secret a moment later."""
        name = name or self.dice.choice(list(self.sandboxes))
        sandbox, key = self.sandboxes[name], KEY
        if isinstance(sandbox, SprintoSandbox):  # the other's tokens are minted for the key it has
            key = f"key-{name}-{self._rotations}-{self.dice.getrandbits(64):x}"
            _use_key(sandbox, key)
        self.keys.add(key)
        self._rotations += 1
        folder = self.home / "secrets"
        old = (folder / "..data").resolve() if (folder / "..data").exists() else None
        fresh = folder / f"..{self._rotations}"
        fresh.mkdir()
        for file in old.iterdir() if old else ():
            (fresh / file.name).write_text(file.read_text())
        (fresh / name).write_text(f"{key}\n")
        (folder / "..data_tmp").symlink_to(fresh.name)
        (folder / "..data_tmp").rename(folder / "..data")
        for file in old.iterdir() if old else ():
            file.unlink()
        if old:
            old.rmdir()

    def kill(self, which: Process, number: signal.Signals) -> None:
        """End one; it is started again a little later."""
        code = which.end(number, GRACE + 60)
        if code is None or (number is signal.SIGTERM and code not in (0, -15, 143)):
            self.wrong.append(f"{which.log.name}: {number.name} ended it with {code}")
        threading.Event().wait(self.dice.random() * 3)

    def stand_still(self, which: Process) -> None:
        """Stop one for a while."""
        which.tell(signal.SIGSTOP)
        threading.Event().wait(self.dice.choice((0.5, 3, 12, 40)))
        which.tell(signal.SIGCONT)

    def command(self, *arguments: str, codes: tuple[int, ...] = (0, 1)) -> str:
        """What a command says. Nothing of it may be a traceback or a secret."""
        done = subprocess.run(
            [*CALL, *arguments], capture_output=True, text=True, check=False, timeout=300
        )
        said = done.stdout + done.stderr
        self.no_leak(f"`{' '.join(arguments)}`", said)
        if done.returncode not in codes:
            self.wrong.append(f"`{' '.join(arguments)}` gave {done.returncode}: {said[-600:]}")
        return done.stdout

    def no_leak(self, where: str, text: str) -> None:
        """Complain of a traceback or a secret."""
        for bad in ("Traceback", SECRET, *self.keys):
            if bad in text:
                at = text.index(bad)
                self.wrong.append(f"{where} shows {bad!r}: {text[max(0, at - 300) : at + 1500]}")

    def act(self) -> None:
        """What a person does, or looks at."""
        who, tenant = ("--by", "ops", "--reason", "chaos"), self.dice.choice(TENANTS)
        db = ("--db", self.database)
        folder = ("--config", f"{self.home}/tenants", "--secret-folder", f"{self.home}/secrets")
        command = self.dice.choice(
            (
                ("retry", "--tenant", tenant, *who, "--yes", *db),
                ("release", "--tenant", tenant, *who, "--yes", *db),
                ("abandon", "--tenant", tenant, "--kind", "server_error", *who, "--yes", *db),
                ("pause", "--tenant", tenant, *who, *db),
                ("resume", "--tenant", tenant, *who, *db),
                ("prune", "--by", "ops", *folder, "--yes", *db),
                ("health", "--json", "--max-age", "1m", *db),
                ("blocks", "--json", *db),
                ("status", "--group-by", "reason", *db),
                ("export", "--format", "jsonl", "--tenant", tenant, *db),
                ("verify", *db),
                ("invariants", *db),
                ("vacuum", *db),
            )
        )
        self.did[command[0]] += 1
        codes = (0, 1, 2) if command[0] in ("prune", "resume", "pause") else (0, 1)
        said = self.command(*command, codes=(0, 3) if command[0] == "vacuum" else codes)
        if command[0] in ("verify", "invariants") and "hold" not in said and "no " in said[:3]:
            self.wrong.append(said)

    def erase(self) -> None:
        """Remove a person whose evidence has come to an end."""
        with Records.open(self.database) as records:
            page = records.find(status=["succeeded", "failed"], limit=200)
            found = [one for one in page.uploads if one.evidence_id.startswith("h")]
        if found:
            one = self.dice.choice(found)
            person = ("--tenant", one.tenant_id, "--subject", f"person-{one.evidence_id}")
            why = ("--by", "ops", "--reason", "asked to")
            self.command("erase", *person, *why, "--yes", "--db", self.database)
            self.erased.add(one.evidence_id)

    def something(self) -> None:
        """One thing happens."""
        first = self.runs[0]
        either = self.dice.choice(self.runs)
        things: dict[str, tuple[int, Callable[[], object]]] = {
            "kill run": (3, lambda: self.kill(first, signal.SIGKILL)),
            "end run": (2, lambda: self.kill(first, signal.SIGTERM)),
            "stop": (2, lambda: self.stand_still(either)),
            "reload": (4, lambda: either.tell(signal.SIGHUP)),
            "kill host": (1, lambda: self.kill(self.host, signal.SIGKILL)),
            "break file": (3, self.break_file),
            "mend files": (4, self.mend_all),
            "rotate": (2, self.rotate),
            "faults": (5, self._other_faults),
            "sink": (4, self._other_sinks),
            "person": (6, self.act),
            "erase": (2, self.erase),
        }
        names = list(things)
        name = self.dice.choices(names, [things[one][0] for one in names])[0]
        self.did[name] += 1
        things[name][1]()

    def _other_faults(self) -> None:
        name = self.dice.choice(list(self.sandboxes))
        faults = self.dice.choice(FAULTS)
        self.sandboxes[name].use_faults(faults, seed=self.dice.randrange(2**32))

    def _other_sinks(self) -> None:
        for sink in self.sinks:
            sink.how = self.dice.choice((*HOW, "well"))

    # --- what is seen ----------------------------------------------------------------------------

    def look(self) -> None:
        """Note what the second `run` takes, and which notices wait."""
        with suppress(sqlite3.Error), closing(sqlite3.connect(self.database)) as db:
            for (text,) in db.execute("SELECT notice FROM notices"):
                self.notices.add(json.loads(text)["id"])
            (number,) = db.execute(
                "SELECT count(*) FROM uploads WHERE status = 'succeeded'"
            ).fetchone()
            with suppress(OSError):
                self.figures.append((number, *self.runs[1].figures()))

    def promised(self) -> Iterator[tuple[str, str, str]]:
        """What the host has said is on disk."""
        text = (self.home / "host.out").read_text()
        for line in text.splitlines(keepends=True):
            if line.endswith("\n"):
                tenant, evidence, digest = line.split()
                yield tenant, evidence, digest


def _use_key(sandbox: Sandbox, key: str) -> None:
    sandbox._key_fingerprint = sandbox._fingerprints.of(  # pyright: ignore[reportPrivateUsage]
        sandbox.header_value(key)
    )
