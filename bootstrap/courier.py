"""`AsyncCourier`: the face for a host that runs on asyncio."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Self, Unpack

from ..adapters.engines.asyncio_engine import AsyncEngine, closed_error
from ..adapters.engines.notify import tell as notify
from ..adapters.engines.recorder import Submission
from ..adapters.engines.tickets import Ticket, settled_ticket
from ..delivery.actions import (
    ActionResult,
    Filter,
    chosen,
    preview_of,
)
from ..domain.errors import Problem
from ..domain.evidence.evidence import Evidence
from ..domain.integration import tenant_key
from ..domain.upload.actions import Action, Person
from ..domain.upload.status import UploadDetails, UploadStatus
from ..domain.upload.upload import StatusWord
from ..domain.upload.verdict import DryRun
from ..ports.logger import Logger, RecordingFailed
from ..ports.records import Find, Page
from . import refusals
from .face import Health, PeoplesActions, require_evidence, status_of_word
from .running import Running
from .tenants import PathText, Source, TenantMapping, Tenants, folder, mapping
from .wiring import AsyncWiring, CourierOptions

_START = "async with AsyncCourier..."


class AsyncCourier(PeoplesActions[Coroutine[Any, Any, ActionResult]]):
    """Delivers compliance evidence for a host that runs on asyncio.

    Build it with `from_config` or `from_mapping`, and use it as an async context manager: it starts
    on entry, and on exit it finishes or hands back what is under way. Only `submit` and `enabled`
    may be called from other threads.

    Before the start, after the end and in a forked child its methods raise MisuseError; those that
    use the database raise StoreError if it cannot be read or written.
    """

    def __init__(self, source: Source, wiring: AsyncWiring, options: CourierOptions) -> None:
        self._wiring = wiring
        self._tenants = Tenants(source, options, wiring.logger)
        self._running: Running | None = None
        self._pid: int | None = None
        self._closed = False
        self._closing: asyncio.Task[None] | None = None
        self._closing_engine: AsyncEngine | None = None
        self._lock = threading.Lock()
        self._reloading = asyncio.Lock()

    @classmethod
    def from_config(
        cls, path: PathText, database: PathText | None = None, **options: Unpack[CourierOptions]
    ) -> Self:
        """A courier for the tenants in a folder of YAML and JSON files.

        Args:
            path: The folder.
            database: The path of the SQLite database, created if it does not exist.
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
            database: As in `from_config`.
            options: As in `from_config`.

        Raises:
            ConfigError: With every problem of every tenant.
            MisuseError: An argument cannot be right.
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
        if self._running is not None or self._closed:
            raise refusals.started_before()
        running = await Running.open(self._wiring)
        self._tenants.use_key(running.key)
        self._put_in_force(running)
        self._running, self._pid = running, os.getpid()
        self._tenants.log()
        self._wiring.log_what_is_missing()
        running.engine.start(running.courier_id)

    async def close(self, grace: float = 10.0) -> None:
        """Record what was submitted, let what is under way finish, and close everything.

        May be called again: a later call waits for the same closing, and with a shorter `grace`
        shortens it. The next courier on the database goes on with what is not settled. In a forked
        child this does nothing: everything belongs to the parent.

        Args:
            grace: How many seconds what is under way may take; then it is interrupted.
        """
        if self._pid not in (None, os.getpid()):
            return
        with self._lock:
            running, self._running = self._running, None
            self._closed = True
        if running is not None:
            self._closing_engine = running.engine
            self._closing = asyncio.create_task(running.close(grace))
        elif self._closing_engine is not None:
            self._closing_engine.hurry(grace)
        if self._closing is not None:
            # A caller that is cancelled does not cancel the closing.
            await asyncio.shield(self._closing)

    async def drain(self) -> None:
        """Return once everything open in the database is settled or held, retries included."""
        await self._now().engine.drained()

    async def quiet(self) -> None:
        """Return once nothing is under way. For tests on a clock of their own."""
        await self._now().engine.quiet()

    async def reload(self) -> None:
        """Read the tenants anew. Uploads that have begun keep the credentials they began with.

        Raises:
            ConfigError: A tenant is invalid, and nothing changes. With ``on_invalid="skip"`` it
                keeps what it had.
        """
        async with self._reloading:
            running = self._now()
            self._tenants.put_in_force(await running.engine.read(self._tenants.read))
            self._put_in_force(running)
            running.engine.maintain_now()

    def _put_in_force(self, running: Running) -> None:
        active = running.engine.active
        active.destinations, active.broken = self._tenants.destinations, self._tenants.broken

    # --- delivering ------------------------------------------------------------------------------

    def enabled(self, tenant_id: str) -> bool:
        """Whether the tenant has an integration, so that a host need not make a document for
        nothing. May be called from any thread."""
        self._refuse_in_a_child()
        return self._tenants.destination(tenant_id) is not None

    def submit(self, evidence: Evidence) -> Ticket:
        """Have an evidence delivered; returns at once. May be called from any thread.

        Args:
            evidence: What is delivered. If its ids are known it is not sent again, and the ticket
                is one for the upload that exists.

        Returns:
            A ticket to await, or to forget. Without an integration it is settled, with None. What
            goes wrong with the delivery is in its status, and not raised here.

        Raises:
            MisuseError: The courier was never started, its event loop is closed, this is no
                Evidence, or the tenant is unknown and ``on_unknown_tenant="raise"``.
        """
        self._refuse_in_a_child()  # before the lock, which the parent may have held at the fork
        require_evidence(evidence, "submit")
        # Closing takes in what was submitted before it, and nothing after.
        with self._lock:
            running = self._running
            if running is None:
                return self._too_late(evidence)
            destination = self._tenants.submitted(evidence.tenant_id)
            if destination is None:
                return settled_ticket(evidence.tenant_id, evidence.evidence_id, running.loop)
            ticket = Ticket(evidence.tenant_id, evidence.evidence_id, running.loop)
            submission = Submission(evidence, destination, ticket)
            ticket.find = partial(running.engine.active.get, submission.key)
            if _running_loop() is running.loop:
                running.engine.submit(submission)
            else:
                try:
                    running.loop.call_soon_threadsafe(running.engine.submit, submission)
                except RuntimeError as error:
                    raise refusals.loop_is_closed(evidence) from error
            return ticket

    def _too_late(self, evidence: Evidence) -> Ticket:
        loop = _running_loop()
        if not self._closed:
            raise refusals.not_started(_START)
        if loop is None:
            raise refusals.closed()
        destination = self._tenants.submitted(evidence.tenant_id)
        if destination is None:
            return settled_ticket(evidence.tenant_id, evidence.evidence_id, loop)
        ticket = Ticket(evidence.tenant_id, evidence.evidence_id, loop)
        return _lost(Submission(evidence, destination, ticket), self._wiring.logger)

    async def _act(
        self,
        action: Action,
        tenant_id: str,
        which: str | Filter,
        by: str,
        reason: str,
        preview: bool,
    ) -> ActionResult:
        person, clock = Person(by, reason), self._wiring.clock
        running = self._now()
        store = running.store
        found = await running.engine.read(
            lambda: chosen(store, tenant_id, which, action, clock.now())
        )
        if preview:
            return await running.engine.read(lambda: preview_of(store, action, found))
        return await running.act(found, action, person, self._tenants.rules_of)

    # --- seeing ----------------------------------------------------------------------------------

    async def statuses(
        self, tenant_id: str, evidence_ids: Sequence[str]
    ) -> Mapping[str, UploadStatus]:
        """The statuses of a tenant's evidences by evidence id; unknown ones are absent."""
        running, wanted, now = self._now(), list(evidence_ids), self._wiring.clock.now()
        return await running.engine.read(lambda: running.store.statuses(tenant_id, wanted, now))

    async def find(
        self,
        *,
        tenant_id: str | None = None,
        status: StatusWord | None = None,
        since: datetime | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> Page:
        """A page of uploads, newest first, for which every filter that is given holds.

        Args:
            tenant_id: Only this tenant's.
            status: Only those in this status, a word of `UploadStatus`.
            since: Only those recorded since.
            after: The `next_page` of the page before.
            limit: At most so many.

        Raises:
            MisuseError: `status` is no such word.
        """
        running, now = self._now(), self._wiring.clock.now()
        find = Find(
            tenant_id=tenant_id,
            status=status_of_word(status),
            since=since,
            after=after,
            limit=limit,
        )
        return await running.engine.read(lambda: running.store.find(find, now))

    async def show(self, tenant_id: str, evidence_id: str) -> UploadDetails | None:
        """One upload with every attempt; None if it does not exist."""
        running, now = self._now(), self._wiring.clock.now()
        return await running.engine.read(lambda: running.store.show(tenant_id, evidence_id, now))

    async def doctor(self, tenant_id: str) -> DryRun | None:
        """Ask the provider whether the tenant's uploads would work. Uploads nothing.

        Waits up to three minutes for its turn: the pace is shared with the uploads.

        Returns:
            Ready or NotReady; None if the tenant has no integration, or its provider has no dry
            run.
        """
        running = self._now()
        destination = self._tenants.destinations.get(tenant_key(tenant_id))
        return None if destination is None else await running.dry_run(destination)

    @property
    def problems(self) -> Sequence[Problem]:
        """What is not in force of the configuration: invalid tenants, and what was passed over."""
        return self._tenants.problems

    async def health(self) -> Health:
        """The state of the courier, for a host's health page."""
        running = self._now()
        counts = await running.engine.read(running.store.counts)
        workload = running.engine.workload
        return Health(
            running=True,
            tenants=len(self._tenants.destinations),
            submitted=workload.submitted,
            planned=workload.planned,
            under_way=workload.under_way,
            counts={status.value: number for status, number in counts.items()},
            listener_failures=workload.listener_failures,
            lost_readers=workload.lost_readers,
        )

    def _refuse_in_a_child(self) -> None:
        if self._pid is not None and self._pid != os.getpid():
            raise refusals.forked(self._pid)

    def _now(self) -> Running:
        self._refuse_in_a_child()
        if self._running is None:
            raise refusals.closed() if self._closed else refusals.not_started(_START)
        return self._running


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
