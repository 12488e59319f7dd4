"""`AsyncCourier`: what a host holds in its hands."""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from types import TracebackType
from typing import Self, Unpack

from attrs import frozen

from ..adapters.dialogues import TokenKeeper
from ..adapters.engines.acting import (
    ActionResult,
    AppliedAction,
    Filter,
    Skipped,
    chosen,
    preview_of,
    result_of,
    take_action,
)
from ..adapters.engines.asyncio_engine import AsyncEngine, closed_error
from ..adapters.engines.attempt import Attempter
from ..adapters.engines.dry_run import DryRunner
from ..adapters.engines.live import Submission
from ..adapters.engines.prepare import Destination, home_of
from ..adapters.engines.slots import Slots
from ..adapters.engines.telling import tell
from ..adapters.engines.tickets import Ticket, settled_ticket
from ..adapters.stores.writer import Writer, WriterThread
from ..domain.errors import ConfigError, MisuseError, StoreError
from ..domain.evidence.evidence import Evidence
from ..domain.upload.actions import Action, Person
from ..domain.upload.status import UploadDetails, UploadStatus
from ..domain.upload.transitions import Rules
from ..domain.upload.upload import Status, UploadKey
from ..domain.upload.verdict import DryRun
from ..ports.logger import ConfigurationRefused, RecordingFailed
from ..ports.renderer import Renderer
from ..ports.store import Find, Page, UploadStore
from ..ports.transport import AsyncTransport
from . import refusals
from .tenants import PathText, TenantMapping, Tenants, tenants_in_folder, tenants_in_mapping
from .wiring import Options, RendererOnDemand, Wiring, given, rules_of_provider
from .workers import Workers

WORKER_THREADS = 8
UPLOADS_PER_CONNECTION = 3
"""So many uploads for each request at once may be between their commits, or the commits would
set the speed."""


@frozen(kw_only=True)
class Health:
    """How a courier is. `counts` are the uploads in the database by status word; the others are
    this courier's own."""

    running: bool
    tenants: int
    submitted: int
    planned: int
    under_way: int
    counts: Mapping[str, int]


@frozen
class _Running:
    loop: asyncio.AbstractEventLoop
    engine: AsyncEngine
    attempter: Attempter
    store: UploadStore
    writer: Writer
    transport: AsyncTransport
    renderer: Renderer
    threads: Workers
    host_threads: Workers


class AsyncCourier:
    """Delivers compliance evidence for a host that runs on asyncio.

    Build it with `from_config` or `from_mapping`, and use it as an async context manager: it starts
    on entry, and on exit it finishes or hands back what is under way. `submit`, `enabled` and
    nothing else may be called from other threads.
    """

    def __init__(self, tenants: Tenants, wiring: Wiring) -> None:
        self._tenants = tenants
        self._wiring = wiring
        self._loaded = tenants.read()
        # Until the store's key is known, their fingerprints are for nobody.
        self._destinations: Mapping[str, Destination] = tenants.destinations(
            self._loaded, secrets.token_bytes(32)
        )
        self._key = b""
        self._owner = 0
        self._running: _Running | None = None
        self._pid: int | None = None
        self._closed = False
        self._closing: asyncio.Task[None] | None = None
        self._engine_closing: AsyncEngine | None = None
        self._door = threading.Lock()
        self._reloading = asyncio.Lock()

    @classmethod
    def from_config(
        cls, path: PathText, database: PathText | None = None, **options: Unpack[Options]
    ) -> Self:
        """A courier for the tenants in a folder of YAML and JSON files.

        `database` is the path of the SQLite database, created where it is missing; `options` are
        those of `Options`. Raises ConfigError with every problem of every file, and MisuseError for
        arguments that cannot be right.
        """
        return cls(tenants_in_folder(path, options), Wiring(**given(database, options)))

    @classmethod
    def from_mapping(
        cls,
        tenants: TenantMapping | Callable[[], TenantMapping],
        database: PathText | None = None,
        **options: Unpack[Options],
    ) -> Self:
        """A courier for tenants that the host keeps itself: each tenant id with what its file would
        hold.

        Give a function instead of a mapping to have it asked again at each `reload`. All else is as
        in `from_config`.
        """
        return cls(tenants_in_mapping(tenants, options), Wiring(**given(database, options)))

    # --- lifecycle -------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def start(self) -> None:
        """Open the database and begin to work. StoreError where the database cannot be opened."""
        self._refuse_in_a_child()
        if self._running is not None or self._closed:
            raise refusals.started_before()
        wiring, clock, logger = self._wiring, self._wiring.clock, self._wiring.logger
        loop = asyncio.get_running_loop()
        threads = Workers(WORKER_THREADS, "evidence-courier")
        # What the host brings (its files, its document source, a renderer) may hang, and must hang
        # nobody else.
        host_threads = Workers(WORKER_THREADS, "evidence-courier-host")
        try:
            store = wiring.store
            if store is None:
                store = await loop.run_in_executor(threads, wiring.open_database)
        except BaseException:
            threads.shutdown()
            host_threads.shutdown()
            raise
        writer = WriterThread(store)
        transport = wiring.transport or _aiohttp_transport(wiring)
        renderer = wiring.renderer or RendererOnDemand(wiring.fonts)
        attempter = Attempter(
            transport=transport,
            slots=Slots(wiring.concurrency),
            keeper=TokenKeeper(clock.monotonic),
            source=wiring.source,
            threads=host_threads,
        )
        engine = AsyncEngine(
            store=store,
            writer=writer,
            attempter=attempter,
            clock=clock,
            logger=logger,
            renderer=renderer,
            jitter=random.random,
            capacity=UPLOADS_PER_CONNECTION * wiring.concurrency,
            in_flight_bytes=wiring.in_flight_bytes,
            on_settled=wiring.on_settled,
            threads=threads,
            host_threads=host_threads,
        )
        running = _Running(
            loop, engine, attempter, store, writer, transport, renderer, threads, host_threads
        )
        try:
            self._key = await loop.run_in_executor(threads, store.fingerprint_key)
            owner = await writer.run(lambda: store.register(clock.now()))
        except BaseException:
            await self._let_go(running)
            raise
        self._destinations = self._tenants.destinations(self._loaded, self._key)
        engine.destinations, engine.broken = self._destinations, self._loaded.broken
        self._running, self._owner, self._pid = running, owner, os.getpid()
        self._tenants.tell(self._wiring.logger, self._loaded)
        engine.start(owner)

    async def close(self, grace: float = 10.0) -> None:
        """Record what was submitted, give what is under way `grace` seconds to finish, and hand the
        rest back to the database.

        Safe to call twice: a later call waits for the same closing, and with a shorter `grace`
        shortens it. What is not settled is gone on with by the next courier on the same database.
        In a forked child this does nothing: all that there is belongs to the parent.
        """
        if self._forked:
            return
        with self._door:
            running, self._running = self._running, None
            self._closed = True
        if running is not None:
            self._engine_closing = running.engine
            self._closing = asyncio.create_task(self._close(running, grace))
        elif self._engine_closing is not None:
            self._engine_closing.hurry(grace)
        if self._closing is not None:
            # Whoever stops waiting does not stop the closing; whoever calls again waits for the
            # same one.
            await asyncio.shield(self._closing)

    async def _close(self, running: _Running, grace: float) -> None:
        # what other threads submitted just before is on its way to the engine
        await asyncio.sleep(0)
        await running.engine.close(grace)
        with suppress(StoreError):  # then whoever comes next finds out that it is gone
            await running.writer.run(lambda: running.store.unregister(self._owner))
        await self._let_go(running)

    async def _let_go(self, running: _Running) -> None:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(running.threads, running.writer.close)
        if self._wiring.transport is None:
            await running.transport.close()
        if self._wiring.renderer is None:
            await loop.run_in_executor(running.threads, running.renderer.close)
        if self._wiring.store is None:
            await loop.run_in_executor(running.threads, running.store.close)
        running.host_threads.shutdown(wait=False, cancel_futures=True)
        await asyncio.to_thread(running.threads.shutdown)

    async def drain(self) -> None:
        """Return once everything open in the database has succeeded, failed or is held, retries
        included."""
        await self._now().engine.drained()

    async def quiet(self) -> None:
        """Return once nothing is under way: whatever is open waits for a moment that has not
        come. For tests on a clock of their own."""
        await self._now().engine.quiet()

    async def reload(self) -> None:
        """Read the tenants anew. Uploads that have begun keep the credentials they began with.

        Raises ConfigError where a file is broken, and then nothing changes; with
        ``on_invalid="skip"``, a broken tenant keeps what it had.
        """
        async with self._reloading:
            await self._reload(self._now())

    async def _reload(self, running: _Running) -> None:
        try:
            loaded = await running.engine.read(self._tenants.read)
        except ConfigError as error:
            tell(self._wiring.logger, ConfigurationRefused(tuple(map(str, error.problems))))
            raise
        destinations = self._tenants.destinations(loaded, self._key, self._destinations)
        self._loaded, self._destinations = loaded, destinations
        running.engine.destinations, running.engine.broken = destinations, loaded.broken
        self._tenants.tell(self._wiring.logger, loaded)
        running.engine.look_round()

    # --- delivering ------------------------------------------------------------------------------

    def enabled(self, tenant_id: str) -> bool:
        """Whether the tenant has an integration; lets a host skip building a document. May be
        called from any thread."""
        self._refuse_in_a_child()
        return tenant_id in self._destinations

    def submit(self, evidence: Evidence) -> Ticket:
        """Have an evidence delivered; returns at once and never raises for a delivery's sake. May
        be called from any thread.

        For a tenant without an integration nothing happens. An evidence that is known is not sent
        again: its ticket is one for the upload that exists, whatever became of that. MisuseError
        where the courier was never started, in a forked child, or where this is no Evidence.
        """
        # before the lock, which may have been held when the child was forked
        self._refuse_in_a_child()
        if not isinstance(evidence, Evidence):
            raise MisuseError(f"submit takes an Evidence, not {type(evidence).__name__}")
        # so that closing lets in what was handed over before it, and nothing after
        with self._door:
            running = self._running
            if running is None:
                return self._too_late(evidence)
            destination = self._destinations.get(evidence.tenant_id)
            if destination is None:
                return settled_ticket(evidence.tenant_id, evidence.evidence_id, running.loop)
            ticket = Ticket(evidence.tenant_id, evidence.evidence_id, running.loop)
            submission = Submission(evidence, destination, ticket)
            if _running_loop() is running.loop:
                running.engine.submit(submission)
            else:
                running.loop.call_soon_threadsafe(running.engine.submit, submission)
            return ticket

    # --- people's actions ------------------------------------------------------------------------

    async def retry(
        self,
        tenant_id: str,
        evidence_id: str | None = None,
        *,
        by: str,
        reason: str,
        where: Filter | None = None,
        preview: bool = False,
    ) -> ActionResult:
        """Have what has failed tried again, with a fresh budget and its history kept.

        Give one evidence id, or a filter: `where` names some of the tenant's failed uploads,
        ``Filter()`` all of them. With `preview` nothing is done, and `done` holds what it would be
        done to. What it does not apply to is left alone, and the answer says why; doing it twice
        changes nothing. Who and why are kept with the record. Where the failure spoke of the whole
        integration, that counts as working again. MisuseError where there is no such upload, or who
        or why is empty.
        """
        return await self._act(
            Action.RETRY, tenant_id, evidence_id, where, Person(by, reason), preview
        )

    async def release(
        self,
        tenant_id: str,
        evidence_id: str | None = None,
        *,
        by: str,
        reason: str,
        where: Filter | None = None,
        preview: bool = False,
    ) -> ActionResult:
        """Have what is held tried again. Where it is held for its integration, that counts as
        working again. Otherwise as `retry`."""
        return await self._act(
            Action.RELEASE, tenant_id, evidence_id, where, Person(by, reason), preview
        )

    async def abandon(
        self,
        tenant_id: str,
        evidence_id: str | None = None,
        *,
        by: str,
        reason: str,
        where: Filter | None = None,
        preview: bool = False,
    ) -> ActionResult:
        """Give up what is not settled: nothing more is sent. An attempt in flight is not called
        back. Otherwise as `retry`."""
        return await self._act(
            Action.ABANDON, tenant_id, evidence_id, where, Person(by, reason), preview
        )

    async def attest(
        self,
        tenant_id: str,
        evidence_id: str | None = None,
        *,
        by: str,
        reason: str,
        where: Filter | None = None,
        preview: bool = False,
    ) -> ActionResult:
        """Say of what is held or failed that it is there: a person has seen it at the provider.
        Otherwise as `retry`."""
        return await self._act(
            Action.ATTEST, tenant_id, evidence_id, where, Person(by, reason), preview
        )

    async def _act(
        self,
        action: Action,
        tenant_id: str,
        evidence_id: str | None,
        where: Filter | None,
        person: Person,
        preview: bool,
    ) -> ActionResult:
        running, clock = self._now(), self._wiring.clock
        store, engine = running.store, running.engine
        if (evidence_id is None) == (where is None):
            raise MisuseError(
                f"{action.value} is for one evidence id or for `where`: give one of them"
            )
        which = evidence_id if evidence_id is not None else where
        assert which is not None
        found = await engine.read(lambda: chosen(store, tenant_id, which, action, clock.now()))
        if preview:
            return preview_of(action, found)
        outcomes: list[AppliedAction | Skipped] = []
        for status in found:
            outcome = await running.writer.run(partial(self._take, store, status, action, person))
            if isinstance(outcome, AppliedAction):
                engine.acted(outcome, status.last_attempt_at)
            outcomes.append(outcome)
        return result_of(found, outcomes)

    def _take(
        self, store: UploadStore, status: UploadStatus, action: Action, person: Person
    ) -> AppliedAction | Skipped:
        """In the writer's turn."""
        now = self._wiring.clock.now()
        return take_action(
            store, status.tenant_id, status.evidence_id, action, person, self._rules_of, now
        )

    def _rules_of(self, key: UploadKey) -> Rules:
        destination = home_of(self._destinations, key)
        if destination is not None:
            return destination.rules
        return rules_of_provider(self._tenants.providers.get(key.provider), key)

    # --- seeing ----------------------------------------------------------------------------------

    async def statuses(
        self, tenant_id: str, evidence_ids: Sequence[str]
    ) -> Mapping[str, UploadStatus]:
        """The statuses of a tenant's evidences by evidence id, in one query; those without an
        upload are absent."""
        running = self._now()
        wanted = list(evidence_ids)
        return await running.engine.read(
            lambda: running.store.statuses(tenant_id, wanted, self._wiring.clock.now())
        )

    async def find(
        self,
        *,
        tenant_id: str | None = None,
        status: str | None = None,
        since: datetime | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> Page:
        """A page of statuses, newest first, where every filter that is given holds. `after` is
        the page before's `next_page`."""
        running = self._now()
        find = Find(
            tenant_id=tenant_id, status=status_word(status), since=since, after=after, limit=limit
        )
        return await running.engine.read(lambda: running.store.find(find, self._wiring.clock.now()))

    async def show(self, tenant_id: str, evidence_id: str) -> UploadDetails | None:
        """One upload with every attempt; None where there is none."""
        running = self._now()
        return await running.engine.read(
            lambda: running.store.show(tenant_id, evidence_id, self._wiring.clock.now())
        )

    async def check(self, tenant_id: str) -> DryRun | None:
        """Whether the tenant's uploads would work: Ready or NotReady, from a dry run at the
        provider that uploads nothing.

        None where the tenant has no integration, or its provider cannot be asked. Waits up to three
        minutes for its turn at the provider; the pace is shared with the uploads.
        """
        running = self._now()
        destination = self._destinations.get(tenant_id)
        if destination is None:
            return None
        dry_runner = DryRunner(
            transport=running.transport,
            slots=running.attempter.slots,
            keeper=running.attempter.keeper,
            clock=self._wiring.clock,
            store=running.store,
            writer=running.writer,
            owner=self._owner,
        )
        return await dry_runner.check(destination)

    async def health(self) -> Health:
        """How the courier is, for a host's health page."""
        running = self._now()
        counts = await running.engine.read(running.store.counts)
        workload = running.engine.workload
        return Health(
            running=True,
            tenants=len(self._destinations),
            submitted=workload.submitted,
            planned=workload.planned,
            under_way=workload.under_way,
            counts={status.value: number for status, number in counts.items()},
        )

    # ---------------------------------------------------------------------------------------------

    @property
    def _forked(self) -> bool:
        return self._pid is not None and self._pid != os.getpid()

    def _refuse_in_a_child(self) -> None:
        if self._pid is not None and self._pid != os.getpid():
            raise refusals.forked(self._pid)

    def _now(self) -> _Running:
        self._refuse_in_a_child()
        if self._running is None:
            raise (
                refusals.closed()
                if self._closed
                else refusals.not_started("async with AsyncCourier...")
            )
        return self._running

    def _too_late(self, evidence: Evidence) -> Ticket:
        if not self._closed:
            raise refusals.not_started("async with AsyncCourier...")
        loop = _running_loop()
        if loop is None:
            raise refusals.closed()
        destination = self._destinations.get(evidence.tenant_id)
        if destination is None:
            return settled_ticket(evidence.tenant_id, evidence.evidence_id, loop)
        ticket = Ticket(evidence.tenant_id, evidence.evidence_id, loop)
        error = closed_error(ticket)
        tell(
            self._wiring.logger,
            RecordingFailed(Submission(evidence, destination, ticket).key, str(error)),
        )
        ticket.mark_lost(error)
        return ticket


def _aiohttp_transport(wiring: Wiring) -> AsyncTransport:
    # Here, so that a host of task queues, which builds no such courier, need not load it.
    from ..adapters.transports.aiohttp_transport import AiohttpTransport

    return AiohttpTransport(limit=wiring.concurrency, now=wiring.clock.now)


def status_word(word: str | None) -> Status | None:
    """The status that a word names; MisuseError for a word that names none."""
    if word is None:
        return None
    try:
        return Status(word)
    except ValueError:
        words = ", ".join(status.value for status in Status)
        raise MisuseError(f"{word!r} is no status; the statuses are {words}") from None


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
