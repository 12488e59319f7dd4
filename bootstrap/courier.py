"""`AsyncCourier`: the face for a host that runs on asyncio."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Self, TypeVar, Unpack, overload
from weakref import WeakSet

from attrs import asdict

from ..adapters.engines.adding import Submission
from ..adapters.engines.asyncio_engine import AsyncEngine, closed_error
from ..adapters.engines.notify import tell as notify
from ..adapters.engines.tickets import NothingToDo, Ticket
from ..adapters.stores.hosts import AsyncConnection, Connection
from ..delivery.actions import ActionResult
from ..delivery.destinations import Destination
from ..delivery.due_delivery import DueDelivery
from ..domain.arguments import number_of_seconds
from ..domain.evidence.evidence import Evidence
from ..domain.upload.actions import Action, Person
from ..domain.upload.status import UploadStatus
from ..domain.upload.upload import UploadKey
from ..domain.upload.verdict import DryRun
from ..ports.logger import Logger, RecordingFailed
from ..ports.records import UploadReader
from ..ports.store import UploadStore
from . import refusals
from .duties import duties_of
from .face import Face, require_evidence
from .running import Running
from .tenants import PathText, Source, TenantMapping, Tenants, folder, mapping
from .wiring import AsyncWiring, CourierOptions

T = TypeVar("T")

_START = "async with AsyncCourier..."
_NONE: tuple[Collection[str], None] = ((), None)
_STARTED: WeakSet[AsyncCourier] = WeakSet()


def _forget_started() -> None:
    """In a forked child none of them runs. To ask for the process with each evidence takes longer
    than all else that is done with one without an integration."""
    for courier in list(_STARTED):
        courier._without = _NONE  # pyright: ignore[reportPrivateUsage]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_started)


class AsyncCourier(Face):
    """Delivers compliance evidence for a host that runs on asyncio.

    Build it with `from_config` or `from_mapping`, and use it as an async context manager: it starts
    on entry, and on exit it finishes or hands back what is under way. Only `submit` and `enabled`
    may be called from other threads.

    Before the start, after the end and in a forked child its methods raise MisuseError; those that
    use the database raise StoreError if it cannot be read or written.
    """

    def __init__(self, source: Source, wiring: AsyncWiring, options: CourierOptions) -> None:
        self._wiring = wiring
        self._clock = wiring.clock
        self._tenants = Tenants(source, options, wiring.logger)
        wiring.duties = duties_of(wiring, self._tenants)
        self._running: Running | None = None
        # While it runs in this process: the tenants without an integration and a record; its loop.
        self._without: tuple[Collection[str], Any] = _NONE
        self._pid: int | None = None
        self._closed = False
        self._closing: asyncio.Task[None] | None = None
        self._closing_engine: AsyncEngine | None = None
        self._lock = threading.Lock()
        self._reloading, self._starting = asyncio.Lock(), asyncio.Lock()

    @classmethod
    def from_config(
        cls, path: PathText, database: PathText | None = None, **options: Unpack[CourierOptions]
    ) -> Self:
        """A courier for the tenants in a folder of YAML and JSON files.

        Args:
            path: The folder.
            database: The path of the SQLite database, created if it does not exist; or the URL of a
                PostgreSQL, ``postgresql://user:password@host/database``, which exists.
            options: See `CourierOptions`, `CommonOptions` and `TenantOptions`.

        Raises:
            ConfigError: With every problem of every file.
            MisuseError: An argument cannot be right.
        """
        return cls(folder(path), AsyncWiring(database, options), options)

    @classmethod
    def from_mapping(
        cls,
        tenants: TenantMapping | Callable[[], TenantMapping],
        database: PathText | None = None,
        **options: Unpack[CourierOptions],
    ) -> Self:
        """A courier for tenants that the host keeps itself.

        Args:
            tenants: What each tenant's file would hold, by tenant id; or a function that returns
                it, which is called again at each `reload`.
            database, options: As in `from_config`.

        Raises:
            ConfigError, MisuseError: As `from_config`.
        """
        return cls(mapping(tenants), AsyncWiring(database, options), options)

    # --- lifecycle -------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    async def start(self) -> None:
        """Open the database and begin to work.

        Raises:
            StoreError: The database cannot be opened; then nothing is left running.
            MisuseError: It has been started before.
        """
        self._refuse_in_a_child()
        async with self._starting:
            if self._running is not None or self._closed:
                raise refusals.started_before()
            await self._start()

    async def _start(self) -> None:
        self._wiring.guard()
        self._clock, self._tenants.logger = self._wiring.clock, self._wiring.logger
        running = await Running.open(self._wiring, self._tenants.without, self._tenants.use_key)
        if self._closed:
            await running.release()
            raise refusals.closed()
        self._put_in_force(running)
        self._running, self._pid = running, os.getpid()
        self._without = running.untouched, running.loop
        _STARTED.add(self)
        self._tenants.log()
        self._wiring.log_what_is_missing()
        running.engine.start(running.courier_id, background=self._wiring.background)

    async def close(self, grace: float = 10.0) -> None:
        """Record what was submitted, let what is under way finish, and close everything.

        May be called again: a later call waits for the same closing, and with a shorter `grace`
        shortens it. The next courier on the database goes on with what is not settled. In a forked
        child this does nothing: everything belongs to the parent.

        Args:
            grace: How many seconds what is under way may take; then it is interrupted.

        Raises:
            MisuseError: Its event loop is closed, or `grace` is no number.
        """
        number_of_seconds("grace", grace)
        if self._pid not in (None, os.getpid()):
            return
        with self._lock:
            if self._running is not None and self._running.loop.is_closed():
                raise refusals.loop_has_ended()
            running, self._running = self._running, None
            self._without, self._closed = _NONE, True
        if running is not None:
            self._closing_engine = running.engine
            self._closing = asyncio.create_task(running.close(grace))
        elif self._closing_engine is not None:
            self._closing_engine.cut_short(grace)
        if self._closing is not None:
            # A caller that is cancelled does not cancel the closing.
            await asyncio.shield(self._closing)

    async def drain(self) -> None:
        """Return once everything open in the database is settled or held, retries included. What
        waits for a valid tenant file is not waited for; what is open of a tenant that no file
        names is, until it is held ten minutes after its time."""
        await self._on_its_loop().engine.drained()

    async def deliver_due(self, until: float = 20.0) -> DueDelivery:
        """Deliver what is due in the database, and old records in their time, for a scheduler that
        calls this again and again. Starts the courier, built with ``background=False``.

        Args:
            until: How many seconds it begins something; what is under way then has three more.

        Raises:
            MisuseError: The courier has a background; or `until` is negative, or no number.
        """
        number_of_seconds("until", until, at_least_0=True)
        if self._wiring.background:
            raise refusals.has_a_background()
        async with self._starting:
            if self._running is None and not self._closed:
                await self._start()
        return await self._on_its_loop().engine.deliver_due(until)

    async def quiet(self) -> datetime | None:
        """When the next upload goes on by itself, once nothing is under way. For tests."""
        return await self._on_its_loop().engine.quiet()

    async def reload(self) -> None:
        """Read the tenants anew. Uploads that have begun keep the credentials they began with.

        Raises:
            ConfigError: A tenant is invalid, or no tenant is left, and nothing changes. With
                ``on_invalid="skip"`` an invalid one keeps what it had, and the others change.
        """
        async with self._reloading:
            running = self._now()
            read = await running.engine.read(self._tenants.read)
            untouched = await running.untouched_of(frozenset(read[0].without))
            self._tenants.put_in_force(read)
            self._put_in_force(running)
            if self._running is not None:
                self._without = untouched & self._tenants.without, running.loop
            running.engine.maintain_now()
            await running.engine.read(self._tenants.log)

    def _put_in_force(self, running: Running) -> None:
        active = running.engine.active
        active.destinations, active.broken = self._tenants.destinations, self._tenants.broken

    # --- delivering ------------------------------------------------------------------------------

    def enabled(self, tenant_id: str) -> bool:
        """Whether the tenant has an integration, so that a host need not make a document for
        nothing. May be called from any thread."""
        self._refuse_in_a_child()
        return self._tenants.destination(tenant_id) is not None

    @overload
    def submit(self, evidence: Evidence) -> Ticket: ...
    @overload
    def submit(self, evidence: Evidence, *, connection: Connection) -> Ticket: ...
    @overload
    def submit(
        self, evidence: Evidence, *, connection: AsyncConnection
    ) -> Coroutine[Any, Any, Ticket]: ...
    def submit(
        self, evidence: Evidence, *, connection: Connection | AsyncConnection | None = None
    ) -> Ticket | Coroutine[Any, Any, Ticket]:
        """Have an evidence delivered; returns at once. May be called from any thread.

        Args:
            evidence: What is delivered. If its ids are known it is not sent again, and the ticket
                is one for the upload that exists.
            connection: A connection of the host to the courier's database: the evidence is recorded
                by the commit of its transaction, or not at all. The document is read or rendered
                before this returns; with a connection that is awaited, this is awaited, too.

        Returns:
            A ticket to await or forget; settled, with None, without an integration, unless the
            tenant had one before and this evidence is recorded. What goes wrong with the delivery
            is in its status, and not raised here.

        Raises:
            MisuseError: The courier was never started, its loop is closed, this is no Evidence, the
                tenant is unknown and ``on_unknown_tenant="raise"``, or the connection is in
                autocommit or leads to another kind of database.
            StoreError: It could not be written on the connection; its transaction goes on.
        """
        if connection is not None:
            return self._submit_within(evidence, connection)
        if type(evidence) is Evidence:
            tenant_id, (without, loop) = evidence.tenant_id, self._without
            if tenant_id in without:  # nothing is taken in, so it needs no lock
                ticket = NothingToDo()
                ticket.tenant_id, ticket.evidence_id = tenant_id, evidence.evidence_id
                ticket.loop = loop
                return ticket
        return self._take_in(evidence)

    def _take_in(self, evidence: Evidence) -> Ticket:
        self._refuse_in_a_child()  # before the lock, which the parent may have held at the fork
        require_evidence(evidence, "submit")
        # Closing takes in what was submitted before it, and nothing after.
        with self._lock:
            running = self._running
            loop = _loop_when_closed(self._closed) if running is None else running.loop
            ticket = Ticket(evidence.tenant_id, evidence.evidence_id, loop)
            destination = self._tenants.submitted(evidence.tenant_id)
            if destination is None:
                return _left_alone(ticket, running)
            submission = Submission(evidence, destination, ticket)
            if running is None:
                return _lost(submission, self._wiring.logger)
            ticket.is_among(running.engine.active, destination.integration.provider)
            if not self._wiring.background:
                ticket.is_elsewhere(partial(running.settled, submission.key))
            if _running_loop() is running.loop:
                running.engine.submit(submission)
            else:
                running.submit_from_a_thread(submission)
            return ticket

    def _submit_within(
        self, evidence: Evidence, connection: Connection | AsyncConnection
    ) -> Ticket | Coroutine[Any, Any, Ticket]:
        running = self._now()
        require_evidence(evidence, "submit")
        ticket = Ticket(evidence.tenant_id, evidence.evidence_id, running.loop)
        to = self._tenants.submitted(evidence.tenant_id)
        return running.submit_within(evidence, to, ticket, connection)

    # --- the basis of what all couriers share ----------------------------------------------------

    async def _read(self, read: Callable[[UploadReader], T]) -> T:
        running = self._now()
        return await running.engine.read(partial(read, running.store))

    async def _act_on(
        self, found: Sequence[UploadStatus], action: Action, person: Person
    ) -> ActionResult:
        return await self._now().act(found, action, person, self._tenants.rules_of)

    async def _write(self, write: Callable[[UploadStore], T]) -> T:
        return await self._now().write(write)

    async def _dry_run(self, destination: Destination) -> DryRun | None:
        return await self._now().dry_run(destination)

    def _waits(self, keys: Iterable[UploadKey]) -> Mapping[UploadKey, str]:
        return {} if self._running is None else self._running.engine.active.waits(keys)

    async def _workload(self) -> Mapping[str, int]:
        return asdict(self._now().engine.workload)

    def _refuse_in_a_child(self) -> None:
        if self._pid is not None and self._pid != os.getpid():
            raise refusals.forked(self._pid)

    def _on_its_loop(self) -> Running:
        running = self._now()
        if running.loop.is_closed():
            raise refusals.loop_has_ended()
        return running

    def _now(self) -> Running:
        self._refuse_in_a_child()
        if self._running is None:
            raise refusals.closed() if self._closed else refusals.not_started(_START)
        return self._running


def _loop_when_closed(closed: bool) -> asyncio.AbstractEventLoop:
    if not closed:
        raise refusals.not_started(_START)
    loop = _running_loop()
    if loop is None:
        raise refusals.closed()
    return loop


def _left_alone(ticket: Ticket, running: Running | None) -> Ticket:
    if running is None:
        ticket.mark_settled(None)
    else:
        running.leave_alone(ticket)
    return ticket


def _lost(submission: Submission, logger: Logger) -> Ticket:
    """The ticket of an evidence that was submitted after the close."""
    error = closed_error(submission.ticket)
    notify(logger, RecordingFailed(submission.key, str(error)))
    submission.ticket.mark_lost(error)
    return submission.ticket


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
