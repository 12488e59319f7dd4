"""Who watches the hosts of `crash_host` die: starts them, listens to them, kills them, and
settles the accounts afterwards."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import crash_host
from attrs import define, evolve, field, frozen
from crash_host import Death, Plan

from evidence_courier import UploadStatus
from evidence_courier.adapters.stores.sqlite import open_for_reading
from evidence_courier.adapters.stores.sqlite.inspection import inspect
from evidence_courier.domain.upload.find import Find
from evidence_courier.testing.sandboxes import Fault, SprintoSandbox
from evidence_courier.testing.sandboxes.received import ReceivedUpload
from evidence_courier.testing.sandboxes.threads import sandbox_in_thread

PATIENCE = 60.0
"""How long a host may keep its watcher waiting for a line, in seconds."""

AT_ONCE = 16
"""How many requests a host of a story makes at once: a sandbox shares its process with others."""

AT_REST = ("succeeded", "failed", "held")


class GoneError(Exception):
    """The host has died, or ended."""


@define(eq=False)
class Watched:
    """A host, seen from outside. `heard` are all the lines that it has said."""

    pid: int
    channel: socket.socket
    heard: list[str] = field(factory=list)
    _rest: bytes = b""

    def say(self, *orders: str) -> None:
        """Give it orders. A dead host hears nothing."""
        with suppress(OSError):
            self.channel.sendall("".join(f"{order}\n" for order in orders).encode())

    def next_line(self) -> str:
        """What it says next; GoneError where it says nothing any more."""
        while b"\n" not in self._rest:
            try:
                more = self.channel.recv(65536)
            except ConnectionError:
                more = b""
            if not more:
                raise GoneError(f"host {self.pid} is gone; it said {self.heard[-5:]}")
            self._rest += more
        line, _, self._rest = self._rest.partition(b"\n")
        self.heard.append(line.decode())
        return self.heard[-1]

    def listen_for(self, start: str, times: int = 1) -> str:
        """Wait until it has said so many lines that begin so; the last of them."""
        while True:
            line = self.next_line()
            if line.startswith(start):
                times -= 1
                if times == 0:
                    return line

    def hear_out(self) -> None:
        """Listen until it is gone."""
        with suppress(GoneError):
            while True:
                self.next_line()

    def said(self, start: str) -> list[str]:
        """Of all that was heard, the rest of the lines that begin so."""
        return [line.removeprefix(start).strip() for line in self.heard if line.startswith(start)]

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill it, and hear what it had said until then."""
        self.signal(signal.SIGKILL)
        self.hear_out()


class Hosts:
    """A nursery of hosts. On exit all of them are dead."""

    def __enter__(self) -> Self:
        self._control, theirs = socket.socketpair()
        with theirs:
            self._nursery = subprocess.Popen(
                [sys.executable, crash_host.__file__, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            )
        self._hosts: list[Watched] = []
        self._turn = threading.Lock()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.kill_all()
        self._control.close()
        self._nursery.wait(PATIENCE)

    def kill_all(self) -> None:
        """Kill every host that was started, and forget them."""
        for host in self._hosts:
            host.signal(signal.SIGKILL)
            host.channel.close()
        self._hosts.clear()

    def start(self, plan: Plan, *orders: str) -> Watched:
        """A new host, with its first orders."""
        ours, theirs = socket.socketpair()
        ours.settimeout(PATIENCE)
        with theirs, self._turn:
            socket.send_fds(self._control, [b"!"], [theirs.fileno()])
            pid = int.from_bytes(self._control.recv(4), "big")
        host = Watched(pid, ours)
        self._hosts.append(host)
        host.say(plan.line(), *orders)
        return host


# --- the accounts afterwards ---------------------------------------------------------------------


@frozen(kw_only=True)
class Accounts:
    """What became of everything. `wrong` must be empty."""

    wrong: Sequence[str]
    statuses: Counter[str]
    copies: int
    extra_copies: int
    marked: int


def accounts_of(
    database: Path,
    received: Iterable[ReceivedUpload],
    recorded: set[tuple[str, str]],
    *,
    all_at_rest: bool = True,
) -> Accounts:
    """Compare what hosts were told, what the database says, and what the sandbox has
    received."""
    stored = {(status.tenant_id, status.evidence_id): status for status in everything_in(database)}
    copies = Counter(upload.sha256 for upload in received)
    wrong = [f"{one} was recorded and is gone" for one in sorted(recorded - set(stored))]
    for status in stored.values():
        wrong += _wrong_with(status, copies[status.digest], all_at_rest)
    known = {status.digest for status in stored.values()}
    wrong += [f"{digest} was sent and is not on record" for digest in copies if digest not in known]
    if all_at_rest:
        wrong += [str(breach) for breach in inspect(str(database)).breaches]
    return Accounts(
        wrong=wrong,
        statuses=Counter(status.status for status in stored.values()),
        copies=copies.total(),
        extra_copies=sum(number - 1 for number in copies.values()),
        marked=sum(status.possible_duplicate for status in stored.values()),
    )


def _wrong_with(status: UploadStatus, copies: int, all_at_rest: bool) -> Iterator[str]:
    name = f"{status.tenant_id}/{status.evidence_id} ({status.status}, {status.attempts} attempts)"
    if all_at_rest and status.status not in AT_REST:
        yield f"{name} is not at rest"
    if copies > 1 and not status.possible_duplicate:
        yield f"{name} is there {copies} times and not marked"
    if copies > status.attempts:
        yield f"{name} is there {copies} times"
    if status.status == "succeeded" and copies == 0:
        yield f"{name} is not there"
    if status.tenant_id == "globex" and copies > 1:
        yield f"{name} was to be held"


def everything_in(database: Path) -> list[UploadStatus]:
    """All uploads on record."""
    found: list[UploadStatus] = []
    after: str | None = None
    with open_for_reading(str(database)) as reader:
        while True:
            page = reader.find(Find(after=after, limit=500), datetime.now(UTC))
            found += page.uploads
            after = page.next_page
            if after is None:
                return found


# --- lives in a row, on one database -------------------------------------------------------------


@frozen
class Life:
    """How one host lives: which evidences it is given, and how it dies.

    None: it is killed from outside, `after` seconds after it has said so many lines, `lines`.
    """

    submits: Sequence[tuple[str, str, int]]
    death: Death | None
    lines: int = 0
    after: float = 0.0
    hurried: bool = True


@define
class Story:
    """Hosts that live and die one after the other, or side by side, on one database; then one
    that may finish."""

    hosts: Hosts
    database: Path
    sandbox: SprintoSandbox
    idle: str = "30s"
    submitted: list[tuple[str, str, int]] = field(factory=list)
    recorded: set[tuple[str, str]] = field(factory=set)
    kills: Counter[str] = field(factory=Counter)

    def generation(self, *lives: Life) -> None:
        """These live at the same time, until all are dead. What no host has said to be recorded,
        they submit again, all of them."""
        unheard = self._unheard()
        for life in lives:
            self.submitted += [one for one in life.submits if one not in self.submitted]
        watched = [(life, self._start(life, unheard)) for life in lives]
        for life, host in watched:
            self._watch(life, host)

    def _unheard(self) -> list[tuple[str, str, int]]:
        return [one for one in self.submitted if one[:2] not in self.recorded]

    def _start(self, life: Life, unheard: Sequence[tuple[str, str, int]]) -> Watched:
        plan = Plan(
            database=str(self.database),
            endpoint=self.sandbox.url,
            death=life.death,
            hurried=life.hurried,
            concurrency=AT_ONCE,
            idle=self.idle,
        )
        return self.hosts.start(plan, *submits([*unheard, *life.submits]), "drain")

    def _watch(self, life: Life, host: Watched) -> None:
        died_of = "from outside"
        try:
            if life.death is None:
                for _ in range(life.lines):
                    if host.next_line() == "drained":
                        died_of = "at rest"
                        break
                threading.Event().wait(life.after)
                host.kill()
            else:
                host.listen_for("drained")
                if life.death.point == "unregister":
                    host.say("close")
                    host.listen_for("closed")
                if life.death.point in ("beat", "heartbeat"):  # it comes, at rest or not
                    host.hear_out()
                    raise GoneError
                died_of = "at rest"
                host.kill()
        except GoneError:
            if life.death is not None:
                died_of = str(life.death)
        self.kills[died_of] += 1
        self.recorded |= recorded_by(host)

    def end(self, *, hurried: bool = True, timeout: float = PATIENCE) -> Accounts:
        """A last host finishes what is open; then the accounts."""
        last = self.hosts.start(
            Plan(
                database=str(self.database),
                endpoint=self.sandbox.url,
                hurried=hurried,
                concurrency=AT_ONCE,
                idle=self.idle,
            ),
            *submits(self._unheard()),
            "drain",
        )
        last.channel.settimeout(timeout)
        last.listen_for("drained")
        last.say("close")
        last.listen_for("closed")
        self.recorded |= recorded_by(last)
        accounts = accounts_of(self.database, self.sandbox.received, self.recorded)
        unheard = [
            f"{tenant_id}/{evidence_id} was never recorded"
            for tenant_id, evidence_id, _ in self._unheard()
        ]
        return evolve(accounts, wrong=[*accounts.wrong, *unheard])


def submits(evidences: Iterable[tuple[str, str, int]]) -> list[str]:
    """The orders to submit these."""
    return [
        f"submit {tenant_id} {evidence_id} {size}" for tenant_id, evidence_id, size in evidences
    ]


def recorded_by(host: Watched) -> set[tuple[str, str]]:
    """What a host has said to be recorded."""
    found = set()
    for rest in host.said("recorded "):
        tenant_id, evidence_id = rest.split()
        found.add((tenant_id, evidence_id))
    return found


@contextmanager
def story(
    hosts: Hosts,
    folder: Path,
    faults: Sequence[Fault | str] = (),
    *,
    seed: int = 0,
    idle: str = "30s",
) -> Iterator[Story]:
    """A new database, and a sandbox for it."""
    with sandbox_in_thread(SprintoSandbox(faults=faults, seed=seed)) as sandbox:
        yield Story(hosts, folder / f"courier-{seed}.db", sandbox, idle)


def batch(name: str, count: int, *, size: int = 2_000) -> list[tuple[str, str, int]]:
    """So many evidences; every fourth belongs to the tenant whose doubts are held."""
    return [
        ("globex" if number % 4 == 3 else "acme", f"{name}-{number}", size)
        for number in range(count)
    ]
