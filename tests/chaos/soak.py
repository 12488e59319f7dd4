"""An hour of mixed load with faults and restarts, and what it must not do: grow. `make soak`.

    python tests/chaos/soak.py [--minutes 60] [--rate 10] [--seed 1]

A host submits documents as bytes, as files, in a source of its own, and as training records, for
tenants with Sprinto and with Vanta, one of them with a wrong key; it asks for statuses and pages,
and reloads its tenants. The platforms misbehave in another way each minute. The host lives four
times: it is killed, ended, killed, and ended. Each minute a line says what its process and its
database have come to.

What is predicted: after a life's first third, memory, Python's objects, handles and threads stay as
they are, but for what is open; each upload on record takes as many bytes of the database as in the
first life; a document is gone with its success. In the end everything is at rest and accounted for.
The exit code is 1 if any of that does not hold.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import gc
import hashlib
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from attrs import define, field, frozen
from crash_watch import accounts_of
from training_records import record_as_json

from evidence_courier import AsyncCourier, Document, Evidence, UploadStatus, load_record
from evidence_courier.testing.sandboxes import SprintoSandbox, VantaSandbox
from evidence_courier.testing.sandboxes.threads import sandbox_in_thread

LIVES = 4
LARGE = 1_500_000
FAULTS: Sequence[Sequence[str]] = (
    (),
    ("status:503=0.2", "slow:0.001=0.1"),
    ("reset-after=0.1", "cut=0.1"),
    ("silence-after=0.02", "html=0.05"),
    ("status:429:retry-after=1=0.02", "reset-before=0.1"),
    ("status-after:504=0.1", "not-json=0.05", "huge=0.01"),
    ("reset-before=1",),
)
RETRY = {"max_attempts": 30, "initial_delay": "100ms", "max_delay": "10s"}

# What a life may add after its first third, for each upload that it has settled meanwhile and at
# all: the noise of the allocator, and of what happens to be under way.
BYTES_AN_UPLOAD, OBJECTS_AN_UPLOAD = 300, 0.3
SOME_BYTES, SOME_OBJECTS, SOME_HANDLES, SOME_THREADS = 12 * 2**20, 4_000, 24, 8
BYTES_OPEN, OBJECTS_OPEN = 20_000, 150
RECORDS_FACTOR, SOME_RECORDS = 1.1, 2**20
FILE_FACTOR, SOME_FILE, LARGEST_LOG = 1.5, 32 * 2**20, 48 * 2**20
_SIZES = """SELECT (SELECT * FROM pragma_page_count), (SELECT * FROM pragma_freelist_count),
    (SELECT * FROM pragma_page_size), (SELECT coalesce(sum(length(content)), 0) FROM documents)"""


# --- the host, a process of its own --------------------------------------------------------------


def tenants(sprinto: str, vanta: str) -> dict[str, dict[str, object]]:
    """acme and globex have Sprinto, initech has it with a wrong key, umbrella has Vanta."""
    of_sprinto: dict[str, object] = {
        "provider": "sprinto",
        "api_key": "${KEY}",
        "workflow_check": "3f1c2a9e-8a43-4a0e-9d0b-6d3f6f1b2c77",
        "endpoint": sprinto,
        "pace": "100000/s",
        "retry": RETRY,
        "timeout": {"idle": "5s"},
    }
    of_vanta: dict[str, object] = {
        "provider": "vanta",
        "client_id": "sandbox-client",
        "client_secret": "${KEY}",
        "document": "security-awareness-training",
        "endpoint": vanta,
        "pace": "100000/s",
        "retry": RETRY,
        "timeout": {"idle": "5s"},
    }
    blocks: dict[str, dict[str, object]] = {
        "acme": of_sprinto,
        "globex": {**of_sprinto, "on_unclear": "hold"},
        "initech": {**of_sprinto, "api_key": "${WRONG_KEY}"},
        "umbrella": of_vanta,
    }
    return {name: {"integrations": {"compliance": block}} for name, block in blocks.items()}


def bytes_of(tenant_id: str, key: str, size: int) -> bytes:
    """A document that no other evidence has."""
    return f"%PDF-1.7 {tenant_id}/{key} ".encode().ljust(size, b".")


class Storage:
    """Documents that the host keeps: their key says how large they are."""

    def read(self, tenant_id: str, key: str) -> bytes:
        """As in `DocumentSource`."""
        return bytes_of(tenant_id, key, int(key.rpartition("-")[2]))


@define(eq=False)
class Host:
    """Submits so many evidences a second until it is ended, and answers what it is asked."""

    courier: AsyncCourier
    folder: Path
    name: str
    dice: random.Random
    submitted: int = 0
    settled: int = 0
    recent: list[tuple[str, str]] = field(factory=list)

    def on_settled(self, status: UploadStatus) -> None:
        """Count it, and remove its file."""
        self.settled += 1
        (self.folder / f"{status.evidence_id}.pdf").unlink(missing_ok=True)

    def evidence(self) -> Evidence:
        """Another one, of any kind."""
        self.submitted += 1
        tenant_id = self.dice.choices(["acme", "globex", "umbrella", "initech"], [56, 30, 12, 2])[0]
        kind = self.dice.choices(
            ["bytes", "file", "source", "record", "large"], [50, 20, 24, 5, 1]
        )[0]
        key = f"{self.name}-{self.submitted}"
        if kind == "record":
            tree = record_as_json(tenant_id=tenant_id, evidence_id=key)
            return Evidence.from_record(load_record(json.dumps(tree)))
        size = LARGE if kind == "large" else self.dice.choice((500, 5_000, 30_000, 80_000))
        content = bytes_of(tenant_id, f"{key}-{size}", size)
        given: dict[str, Any] = {}
        if kind == "file":
            given = {"path": f"{self.folder}/{key}.pdf"}
            Path(given["path"]).write_bytes(content)
        elif kind == "source":
            digest = hashlib.sha256(content).hexdigest()
            given = {"source": f"{key}-{size}", "size": size, "sha256": digest}
        document = Document(**(given or {"content": content}), media_type="application/pdf")
        return Evidence(
            tenant_id=tenant_id,
            evidence_id=key,
            session_id="s",
            subject="p",
            outcome="passed",
            recorded_at=datetime.now(UTC),
            document=document,
        )

    async def submit(self, rate: float) -> None:
        """For ever."""
        began = time.monotonic()
        while True:
            evidence = self.evidence()
            self.courier.submit(evidence)
            self.recent = [*self.recent[-99:], (evidence.tenant_id, evidence.evidence_id)]
            await asyncio.sleep(max(0.0, began + self.submitted / rate - time.monotonic()))

    async def ask(self) -> None:
        """What pages of a host ask for, each second; and a reload each minute."""
        for second in range(1, 10**6):
            await asyncio.sleep(1)
            for tenant_id in ("acme", "umbrella"):
                ids = [key for tenant, key in self.recent if tenant == tenant_id]
                if ids:
                    await self.courier.statuses(tenant_id, ids)
            await self.courier.find(status=("held", "failed", "pending")[second % 3])
            if second % 60 == 0:
                await self.courier.reload()

    async def tell(self) -> dict[str, int]:
        """What it has come to."""
        gc.collect()
        with suppress(OSError, AttributeError):
            # What the allocator keeps for itself is no growth.
            ctypes.CDLL(None).malloc_trim(0)
        health = await self.courier.health()
        return {
            "submitted": self.submitted,
            "settled": self.settled,
            "open": health.counts.get("pending", 0) + health.counts.get("retrying", 0),
            "uploads": sum(health.counts.values()),
            "objects": len(gc.get_objects()),
        }


async def be_host(arguments: argparse.Namespace) -> None:
    """Answer each line on standard input with figures; SIGTERM ends it in order."""
    os.environ |= {"KEY": "sandbox-key", "WRONG_KEY": "another-key"}
    folder, dice = Path(arguments.folder), random.Random(arguments.seed)
    hosts: list[Host] = []
    loop, end = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, end.set)
    async with AsyncCourier.from_mapping(
        tenants(arguments.sprinto, arguments.vanta),
        folder / "courier.db",
        source=Storage(),
        on_settled=lambda status: hosts[0].on_settled(status) if hosts else None,
    ) as courier:
        hosts.append(host := Host(courier, folder, arguments.name, dice))
        load = [asyncio.create_task(host.ask())]

        async def answer() -> None:
            while await asyncio.to_thread(sys.stdin.readline):
                print(json.dumps(await host.tell()), flush=True)

        if arguments.rate:
            load += map(asyncio.create_task, (answer(), host.submit(arguments.rate)))
        ending = asyncio.create_task(end.wait() if arguments.rate else courier.drain())
        await asyncio.wait([*load, ending], return_when=asyncio.FIRST_COMPLETED)
        for task in load:
            if task.done():
                task.result()
            task.cancel()
    # Its thread waits for a line.
    os._exit(0)


# --- who watches it ------------------------------------------------------------------------------


@frozen
class Sample:
    """What a host and its database had come to at some moment."""

    settled: int
    open: int
    uploads: int
    objects: int
    memory: int
    handles: int
    threads: int
    records: int
    staged: int
    file: int
    log: int

    def line(self, minute: float, life: int) -> str:
        """For people."""
        each = self.records / max(self.uploads, 1)
        return (
            f"{minute:5.1f} min, life {life}: {self.uploads:7,} uploads, {self.open:5,} open, "
            f"{self.memory / 2**20:6.1f} MiB, {self.objects:8,} objects, {self.handles:3} handles, "
            f"{self.threads:3} threads, database {self.file / 2**20:6.1f} MiB with "
            f"{each:6,.0f} B an upload and {self.staged / 2**20:5.1f} MiB staged, "
            f"log {self.log / 2**20:4.1f} MiB"
        )


class Watched:
    """A host's process."""

    def __init__(self, folder: Path, name: str, rate: float, urls: Sequence[str]) -> None:
        self._folder = folder
        given = {"folder": folder, "name": name, "rate": rate, "sprinto": urls[0], "vanta": urls[1]}
        self.process = subprocess.Popen(
            [sys.executable, __file__, *(f"--{name}={value}" for name, value in given.items())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=(folder / "log").open("a"),
            text=True,
        )

    def sample(self) -> Sample:
        """Ask it, and look at its process."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        assert answer, f"the host is gone: {(self._folder / 'log').read_text()[-5_000:]}"
        told = json.loads(answer)
        own = Path("/proc", str(self.process.pid))
        status = dict(line.split(":", 1) for line in (own / "status").read_text().splitlines())
        file, log = (
            (self._folder / name).stat().st_size for name in ("courier.db", "courier.db-wal")
        )
        with closing(sqlite3.connect(self._folder / "courier.db")) as db:
            pages, free, size, staged = db.execute(_SIZES).fetchone()
        return Sample(
            told["settled"],
            told["open"],
            told["uploads"],
            told["objects"],
            int(status["RssAnon"].split()[0]) * 1024,
            len(os.listdir(own / "fd")),
            int(status["Threads"]),
            (pages - free) * size - staged,
            staged,
            file,
            log,
        )

    def end(self, how: signal.Signals) -> None:
        """End it, and see that it ends."""
        self.process.send_signal(how)
        self.process.communicate(timeout=60)


def growths(samples: Sequence[Sample]) -> Iterator[str]:
    """What has grown in a life after its first third."""
    third = len(samples) // 3
    if third == 0:
        return
    # The middle of each third: what one moment happens to hold is no growth.
    early, late = samples[third : 2 * third], samples[2 * third :]

    def grown(what: str) -> float:
        before, after = (median(getattr(one, what) for one in some) for some in (early, late))
        return float(after - before)

    settled, more_open = grown("settled"), max(0.0, grown("open"))
    for what, most in (
        ("memory", SOME_BYTES + BYTES_AN_UPLOAD * settled + BYTES_OPEN * more_open),
        ("objects", SOME_OBJECTS + OBJECTS_AN_UPLOAD * settled + OBJECTS_OPEN * more_open),
        ("handles", SOME_HANDLES),
        ("threads", SOME_THREADS),
    ):
        if grown(what) > most:
            yield f"{what} grew by {grown(what):,.0f}, {most:,.0f} at most was predicted"


def sizes(samples: Sequence[Sample], each: float) -> Iterator[str]:
    """What is larger than predicted: an upload on record takes so many bytes, and the room of what
    is gone is used again."""
    last = samples[-1]
    longest = max(one.records + one.staged for one in samples)
    for what, figure, most in (
        ("records", last.records, each * last.uploads * RECORDS_FACTOR + SOME_RECORDS),
        ("file", last.file, longest * FILE_FACTOR + SOME_FILE),
        ("log", max(one.log for one in samples), LARGEST_LOG),
    ):
        if figure > most:
            yield f"the database's {what} had {figure:,} bytes, {most:,.0f} at most was predicted"


def soak(folder: Path, minutes: float, rate: float, seed: int) -> list[str]:
    """Everything that is not as predicted."""
    wrong: list[str] = []
    dice, began = random.Random(seed), time.monotonic()
    each: float | None = None
    with (
        sandbox_in_thread(SprintoSandbox(seed=seed)) as sprinto,
        sandbox_in_thread(VantaSandbox(seed=seed, token_pace=None)) as vanta,
    ):
        urls = [sprinto.url, vanta.url]
        for life in range(1, LIVES + 1):
            host, samples = Watched(folder, f"life-{life}", rate, urls), []
            count = max(3, round(minutes * 60 / LIVES / PERIOD))
            for number in range(count):
                # The last ones of a life are on good terms, so that little is open then.
                faults = () if number > count - 3 else FAULTS[number % len(FAULTS)]
                for sandbox in (sprinto, vanta):
                    sandbox.use_faults(faults, seed=dice.randrange(2**32))
                threading.Event().wait(PERIOD)
                samples.append(host.sample())
                print(samples[-1].line((time.monotonic() - began) / 60, life), flush=True)
            wrong += [f"life {life}: {growth}" for growth in growths(samples)]
            each = each or samples[-1].records / samples[-1].uploads
            wrong += [f"life {life}: {size}" for size in sizes(samples, each)]
            host.end(signal.SIGKILL if life % 2 else signal.SIGTERM)
        # What was open is delivered, and then everything must be accounted for.
        Watched(folder, "the-last", 0, urls).process.communicate(timeout=600)
        received = [*sprinto.received, *vanta.received]
        accounts = accounts_of(folder / "courier.db", received, set())
        print(f"{accounts.statuses.total():,} uploads: {dict(accounts.statuses)}")
        return wrong + list(accounts.wrong[:20])


PERIOD = float(os.environ.get("SOAK_PERIOD", "60"))
"""Seconds between two lines, each with faults of its own."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--rate", type=float, default=10, help="evidences a second")
    parser.add_argument("--seed", type=int, default=1)
    for hidden in ("--folder", "--name", "--sprinto", "--vanta"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.folder:
        with suppress(KeyboardInterrupt):
            asyncio.run(be_host(arguments))
        return
    with tempfile.TemporaryDirectory(prefix="evidence-soak-") as folder:
        wrong = soak(Path(folder), arguments.minutes, arguments.rate, arguments.seed)
    print(*wrong, sep="\n", end="\n" if wrong else "")
    print(f"verdict: {f'{len(wrong)} things are not as predicted' if wrong else 'as predicted'}")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
