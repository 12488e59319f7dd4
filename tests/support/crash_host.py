"""A host program that dies where it is told to: a real process with a courier in it, on a real
database.

Run as a program it is a nursery: it imports everything once, and forks a host for each request. So
hosts start in milliseconds, and a test can afford many of them. A host is spoken to in lines over a
socket (`crash_watch` is the other end): first its `Plan`, then

    submit TENANT ID SIZE    drain    close    fork    room

It answers with what has happened, and flushes each line: ``started``, ``recorded TENANT ID`` once
the ticket says so, ``refused TENANT ID WHY``, ``settled TENANT ID STATUS``, ``drained``,
``closed``, ``forked PID``, ``error WHY``, and ``log EVENT ...``. What it said before it died is
true.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import resource
import signal
import socket
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, nullcontext, suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from urllib.parse import urlsplit

from attrs import asdict, field, frozen

from evidence_courier import AsyncCourier, CourierError, Document, Evidence, UploadStatus
from evidence_courier.adapters.engines import asyncio_engine
from evidence_courier.adapters.stores.sql.store import SqlStore
from evidence_courier.adapters.stores.sqlite.database import SqliteDatabase
from evidence_courier.adapters.transports.aiohttp_transport import AiohttpTransport
from evidence_courier.delivery import maintenance
from evidence_courier.domain.integration import Route
from evidence_courier.domain.secrets.secret import Secret
from evidence_courier.ports.dialogue import HttpRequest, HttpResponse, TransportFailure
from evidence_courier.ports.logger import (
    AttemptRecovered,
    CourierLost,
    LogEvent,
    RecordingFailed,
    StoreTrouble,
    WriteDelayed,
)
from evidence_courier.ports.records import (
    AddAnswer,
    AnyChange,
    BeginAnswer,
    Entry,
    SaveAnswer,
    Start,
)

CHECK = "3f1c2a9e-8a43-4a0e-9d0b-6d3f6f1b2c77"
VERBS = ("add", "begin", "save", "register", "heartbeat", "unregister")
"""The verbs of the store that a courier for Sprinto writes with."""

STAGES = ("unsent", "half", "whole", "answering", "answered")
"""How far a request is: not begun; half of the body has left; all of it; the reply begins; the
reply is read and not acted on."""

WORTH_TELLING = (AttemptRecovered, CourierLost, RecordingFailed, StoreTrouble, WriteDelayed)


@frozen
class Death:
    """Where a host dies: before or after the n-th commit with a verb of the store, or when its n-th
    request is at a stage.

    With `stops`, for ``answered``: it does not die, but stands still between two writes until
    somebody continues it.
    """

    point: str
    side: str = "at"
    nth: int = 1
    stops: bool = False

    def __str__(self) -> str:
        return f"{self.side} {self.point}"

    def strike(self) -> None:
        """Now."""
        os.kill(os.getpid(), signal.SIGSTOP if self.stops else signal.SIGKILL)


@frozen(kw_only=True)
class Plan:
    """What a host is like.

    `hurried`: it looks round ten times a second, and takes up at once what is overdue. `uid`: under
    whose name it runs. `room`: how many bytes each of its files may hold, until it is told to make
    room.
    """

    database: str
    endpoint: str
    death: Death | None = None
    hurried: bool = True
    concurrency: int = 64
    initial_delay: str = "100ms"
    idle: str = "30s"
    uid: int | None = None
    room: int | None = None

    def line(self) -> str:
        """As a host is told it."""
        return json.dumps(asdict(self))

    @classmethod
    def of(cls, line: str) -> Plan:
        """As a host hears it."""
        told = json.loads(line)
        death = told.pop("death")
        return cls(death=Death(**death) if death else None, **told)


def document_of(tenant_id: str, evidence_id: str, size: int) -> bytes:
    """The document of an evidence: nobody else's has the same bytes."""
    return f"%PDF-1.7 {tenant_id}/{evidence_id} ".encode().ljust(size, b".")


def tenants(plan: Plan) -> Mapping[str, Mapping[str, object]]:
    """Two tenants: what may have been taken is sent again for one, and held for the other."""
    block: dict[str, object] = {
        "provider": "sprinto",
        "api_key": "${KEY}",
        "workflow_check": CHECK,
        "endpoint": plan.endpoint,
        "pace": "100000/s",
        "retry": {"max_attempts": 20, "initial_delay": plan.initial_delay, "max_delay": "10s"},
        "timeout": {"idle": plan.idle},
    }
    return {
        "acme": {"integrations": {"compliance": {**block, "on_unclear": "retry"}}},
        "globex": {"integrations": {"compliance": {**block, "on_unclear": "hold"}}},
    }


class Keys:
    """The one key of the sandbox."""

    def resolve(self, name: str) -> Secret | None:
        """It, whatever it is called."""
        return Secret("sandbox-key")


class KillableDatabase(SqliteDatabase):
    """A database whose process dies right before or right after the n-th commit with a verb."""

    def __init__(self, path: str, death: Death | None) -> None:
        super().__init__(path, 10.0, time.monotonic)
        self.verbs: set[str] = set()
        self._death = death
        self._commits: Counter[str] = Counter()

    @contextmanager
    def transaction(
        self, undone: str = "nothing was written", about: Sequence[object] = ()
    ) -> Iterator[None]:
        if self._writing:
            with super().transaction(undone, about):
                yield
            return
        try:
            with super().transaction(undone, about):
                yield
                self._commits.update(self.verbs)
                self._perhaps_die("before")
            self._perhaps_die("after")
        finally:
            self.verbs.clear()

    @contextmanager
    def between_commits(self) -> Iterator[None]:
        """While nothing is being written. Who stands still in the middle of a write keeps
        everybody from writing."""
        with self._turn:
            yield

    def _perhaps_die(self, side: str) -> None:
        death = self._death
        if death is None or death.side != side or death.point not in self.verbs:
            return
        if self._commits[death.point] == death.nth:
            death.strike()


class KillableStore(SqlStore):
    """The store on it."""

    def __init__(self, path: str, death: Death | None) -> None:
        database = KillableDatabase(path, death)
        super().__init__(database, keep_documents=False)
        self._verbs = database.verbs
        self.between_commits = database.between_commits

    def add(self, entries: Sequence[Entry]) -> Sequence[AddAnswer]:
        self._verbs.add("add")
        return super().add(entries)

    def begin(self, turns: Sequence[Sequence[Start]]) -> Sequence[Sequence[BeginAnswer]]:
        self._verbs.add("begin")
        return super().begin(turns)

    def save(self, changes: Sequence[AnyChange]) -> Sequence[SaveAnswer]:
        self._verbs.add("save")
        return super().save(changes)

    def heartbeat(self, courier_id: int | None, now: datetime) -> int:
        self._verbs.add("register" if courier_id is None else "heartbeat")
        return super().heartbeat(courier_id, now)

    def unregister(self, courier_id: int) -> None:
        self._verbs.add("unregister")
        super().unregister(courier_id)


class KillableTransport(AiohttpTransport):
    """A transport whose process dies in the middle of its n-th request."""

    def __init__(self, death: Death | None, store: KillableStore) -> None:
        super().__init__(now=lambda: datetime.now(UTC))
        self._store = store
        self._death = death if death is not None and death.point in STAGES else None
        self._requests = 0

    async def send(self, request: HttpRequest, route: Route) -> HttpResponse | TransportFailure:
        self._requests += 1
        death = self._death
        if death is None or death.nth != self._requests:
            return await super().send(request, route)
        if death.point == "answered":
            reply = await super().send(request, route)
            with self._store.between_commits() if death.stops else nullcontext():
                death.strike()
            return reply
        if death.point != "unsent":
            # The server may hang up, or say nothing.
            with suppress(OSError, EOFError, TimeoutError):
                async with asyncio.timeout(route.timeouts.idle.total_seconds()):
                    await _begin_by_hand(request, death.point)
        death.strike()
        raise AssertionError("it is dead")


async def _begin_by_hand(request: HttpRequest, stage: str) -> None:
    """Send as much of a request as belongs to a stage, on a line of its own."""
    url = urlsplit(request.url)
    body = b"".join(request.body)
    head = [
        f"{request.method} {url.path} HTTP/1.1",
        f"Host: {url.netloc}",
        f"Content-Length: {len(body)}",
        *(f"{name}: {value}" for name, value in request.headers),
    ]
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    writer.transport.set_write_buffer_limits(0)  # so that draining waits until all of it has left
    writer.write("\r\n".join([*head, "", ""]).encode())
    writer.write(body[: len(body) // 2] if stage == "half" else body)
    await writer.drain()
    if stage == "answering":
        await reader.readexactly(len("HTTP/1.1"))


@frozen
class Voice:
    """The line to whoever watches."""

    line: asyncio.StreamWriter
    is_prompt: Literal[True] = True

    def tell(self, *words: object) -> None:
        """Say what has happened; it has left this process when this returns."""
        self.line.write(" ".join(" ".join(map(str, words)).split()).encode() + b"\n")

    def log(self, event: LogEvent) -> None:
        """Pass on what a watcher may want to know."""
        if isinstance(event, WORTH_TELLING):
            self.tell("log", type(event).__name__, event)

    async def settled(self, status: UploadStatus) -> None:
        """An upload has come to rest."""
        self.tell("settled", status.tenant_id, status.evidence_id, status.status)


@frozen
class Host:
    """What does as the watcher says. `leash`: what can be read from it ends with the nursery."""

    courier: AsyncCourier
    voice: Voice
    leash: int
    busy: set[asyncio.Task[None]] = field(factory=set)

    def do(self, order: str) -> None:
        """Begin what the watcher asks for."""
        match order.split():
            case ["submit", tenant_id, evidence_id, size]:
                self._spawn(self._submit(tenant_id, evidence_id, int(size)))
            case ["drain"]:
                self._spawn(self._drain())
            case ["fork"]:
                self.voice.tell("forked", self._fork())
            case ["room"]:
                _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
                resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
            case _:
                raise ValueError(order)

    def _spawn(self, work: Any) -> None:
        task: asyncio.Task[None] = asyncio.ensure_future(work)
        self.busy.add(task)
        task.add_done_callback(self.busy.discard)

    async def _submit(self, tenant_id: str, evidence_id: str, size: int) -> None:
        document = Document(
            content=document_of(tenant_id, evidence_id, size), media_type="application/pdf"
        )
        ticket = self.courier.submit(
            Evidence(
                tenant_id=tenant_id,
                evidence_id=evidence_id,
                session_id="s-1",
                subject="emp-7",
                outcome="passed",
                recorded_at=datetime(2026, 2, 20, 23, 30, tzinfo=UTC),
                document=document,
            )
        )
        try:
            await ticket.recorded()
        except CourierError as error:
            self.voice.tell("refused", tenant_id, evidence_id, type(error).__name__, error)
        else:
            self.voice.tell("recorded", tenant_id, evidence_id)

    async def _drain(self) -> None:
        await self.courier.drain()
        self.voice.tell("drained")

    def _fork(self) -> int:
        """A child as a web server's worker may be: it knows nothing of the courier, and outlives
        its parent until the nursery ends."""
        child = os.fork()
        if child == 0:
            os.close(self.voice.line.get_extra_info("socket").fileno())
            os.read(self.leash, 1)  # nobody writes: this returns when all other ends are closed
            os._exit(0)
        return child


async def live(channel: socket.socket, leash: int) -> None:
    """One host's life."""
    reader, line = await asyncio.open_connection(sock=channel)
    voice = Voice(line)
    try:
        await _live(Plan.of((await reader.readline()).decode()), reader, voice, leash)
    except CourierError as error:
        voice.tell("error", error)
    await line.drain()


async def _live(plan: Plan, orders: asyncio.StreamReader, voice: Voice, leash: int) -> None:
    if plan.hurried:
        asyncio_engine.MAINTAIN_EVERY = maintenance.HEARTBEAT = 0.1
        maintenance.OVERDUE = timedelta(milliseconds=100)
    if plan.uid is not None:
        os.setuid(plan.uid)
    if plan.room is not None:
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (plan.room, hard))
    with closing(KillableStore(plan.database, plan.death)) as store:
        transport = KillableTransport(plan.death, store)
        courier = AsyncCourier.from_mapping(
            tenants(plan),
            store=store,
            transport=transport,
            secrets=Keys(),
            concurrency=plan.concurrency,
            logger=voice,
            on_settled=voice.settled,
        )
        async with courier:
            voice.tell("started")
            host = Host(courier, voice, leash)
            while (order := (await orders.readline()).decode().strip()) not in ("", "close"):
                host.do(order)
        await transport.close()
    voice.tell("closed")


def nursery(control: socket.socket) -> None:
    """Fork a host for each socket that arrives, and say its number; until the other end is closed.

    Nobody is waited for: a dead host keeps its number as long as there is a nursery, and a late
    signal meets no stranger.
    """
    leash, held = os.pipe()
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, 1, 1)
        if not message:
            return
        (descriptor,) = descriptors
        pid = os.fork()
        if pid == 0:
            control.close()
            os.close(held)
            random.seed()
            try:
                asyncio.run(live(socket.socket(fileno=descriptor), leash))
            except BaseException:
                traceback.print_exc()
            os._exit(0)
        os.close(descriptor)
        control.sendall(pid.to_bytes(4, "big"))


if __name__ == "__main__":
    nursery(socket.socket(fileno=int(sys.argv[1])))
