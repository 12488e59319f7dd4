"""What an `AsyncCourier` holds open between its start and its end."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Sequence, Set
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from ..adapters.engines.adding import Submission
from ..adapters.engines.asyncio_driver import AsyncioDriver, Outside, interruption_of
from ..adapters.engines.asyncio_engine import AsyncEngine, ended_within
from ..adapters.engines.connection_limit import ConnectionLimit
from ..adapters.engines.notify import HookNotifier, LoggerAside
from ..adapters.engines.preparing import Preparer
from ..adapters.engines.readers import READERS, SLOW_READERS, Readers
from ..adapters.engines.tickets import Ticket
from ..adapters.engines.token_cache import TokenCache
from ..adapters.engines.watchdog import Watchdog, about
from ..adapters.stores.hosts import (
    AsyncConnection,
    Connection,
    Insertion,
    is_awaited,
    write,
    write_async,
)
from ..adapters.stores.writer import WriterThread
from ..adapters.transports.on_demand import TransportOnDemand
from ..delivery.actions import (
    ActionResult,
    AppliedAction,
    RulesOf,
    Skipped,
    result_of,
    take_action,
)
from ..delivery.active import unsettled_error
from ..delivery.destinations import Destination
from ..delivery.dry_run import OnWait, dry_run
from ..delivery.turn_context import TurnContext
from ..domain.errors import StoreError
from ..domain.evidence.evidence import Evidence
from ..domain.integration import tenant_key
from ..domain.upload.actions import Action, Person
from ..domain.upload.find import Find
from ..domain.upload.status import UploadStatus
from ..domain.upload.upload import UploadKey
from ..domain.upload.verdict import DryRun
from ..ports.documents import documents_of
from ..ports.store import UploadStore
from ..ports.transport import AsyncTransport
from . import refusals
from .host_clock import HostClock
from .host_transactions import insertion_aside, insertion_for
from .host_transport import HostTransport
from .wiring import AsyncWiring
from .workers import Workers

T = TypeVar("T")

WORKER_THREADS = 8
UPLOADS_PER_CONNECTION = 4
"""How many uploads for each request at once may be between their commits, or the commits would
set the speed."""

LOOK_EVERY = 1.0
"""How often, in seconds, the database is asked whether another courier has settled an upload."""


class Running:
    """The store, the transport, the threads and the engine of one courier that has been started."""

    @classmethod
    async def open(
        cls,
        wiring: AsyncWiring,
        without: Set[str] = frozenset(),
        use_key: Callable[[bytes], object] = bool,
    ) -> Running:
        """Open the database and register the courier. `without`: the tenants without an
        integration. `use_key` is given the database's key, in a thread.

        Raises StoreError if the database cannot be opened; then nothing is left open.
        """
        threads = Workers(WORKER_THREADS, "evidence-courier")
        loop = asyncio.get_running_loop()
        transport = wiring.transport or TransportOnDemand(
            lambda: loop.run_in_executor(threads, wiring.open_transport)
        )
        try:
            store = await loop.run_in_executor(threads, wiring.open_store)
        except BaseException:
            threads.shutdown()
            raise
        # What `send` gives is awaited at once, so it need not be a coroutine function.
        running = cls(wiring, threads, store, transport)  # pyright: ignore[reportArgumentType]
        try:
            running.key = await loop.run_in_executor(threads, store.fingerprint_key)
            await loop.run_in_executor(threads, use_key, running.key)
            running.courier_id = await running.writer.run(
                lambda: store.heartbeat(None, running.clock.now())
            )
            running.untouched = await running.untouched_of(without)
            for step in running.engine.duties.start():
                await running._driver.run(step)
        except BaseException:
            await running.release()
            raise
        if isinstance(transport, TransportOnDemand):
            loop.call_soon(transport.begin)
        return running

    def __init__(
        self, wiring: AsyncWiring, threads: Workers, store: UploadStore, transport: AsyncTransport
    ) -> None:
        self._wiring = wiring
        self._threads = threads
        # What the host brings (its files, a renderer, its document source) may hang, and must not
        # stop anything else.
        self._host_threads = Workers(READERS + SLOW_READERS, "evidence-courier-host")
        # Each thread that has read some files would hold on to the memory of a large one.
        self._file_thread = Workers(1, "evidence-courier-files")
        self.loop = asyncio.get_running_loop()
        self.store = store
        self.writer = WriterThread(store)
        self.key = b""
        self.courier_id = 0
        self.untouched: Set[str] = frozenset()
        self._renderer = wiring.open_renderer()
        documents = documents_of(store)
        self.preparer = Preparer(self._renderer, lambda error: False, documents)
        self.clock = clock = wiring.clock
        own = clock if isinstance(clock, HostClock) else None
        watchdog = Watchdog(clock.monotonic) if own is None else own.watchdog
        self._transport = transport
        if wiring.transport is not None:
            self._transport = HostTransport(transport, watchdog)
        self._notifier = notifier = HookNotifier(
            wiring.logger, watchdog=watchdog, on_settled=wiring.on_settled
        )
        if own is not None:
            own.notifier = notifier
        outside = Outside(
            self._transport,
            ConnectionLimit(wiring.concurrency),
            TokenCache(clock.monotonic),
            Readers(self._host_threads, notifier.log, wiring.source),
            self.preparer,
            Readers(self._file_thread, notifier.log, documents),
        )
        self._driver = driver = AsyncioDriver(outside, store, self.writer, threads, clock, notifier)
        capacity = UPLOADS_PER_CONNECTION * wiring.concurrency
        self.engine = AsyncEngine(
            driver, random.random, capacity, wiring.in_flight_bytes, wiring.duties
        )
        self._ended = asyncio.Event()
        self._looking: set[asyncio.Future[None]] = set()
        self.writer.on_idle = lambda: watchdog.watch(notifier.log)

    def submit_from_a_thread(self, submission: Submission) -> None:
        """Submit in another thread than the loop's. MisuseError: the loop is closed."""
        submission.ticket.promise()
        try:
            self.loop.call_soon_threadsafe(self.engine.submit, submission)
        except RuntimeError as error:
            raise refusals.loop_is_closed(submission.evidence) from error

    async def act(
        self, found: Sequence[UploadStatus], action: Action, person: Person, rules_of: RulesOf
    ) -> ActionResult:
        """Do what a person asks for to uploads that were found, each in the writer's turn."""

        def take(status: UploadStatus) -> AppliedAction | Skipped:
            key, now = (status.tenant_id, status.evidence_id), self.clock.now()
            return take_action(self.store, *key, action, person, rules_of, now)

        outcomes: list[AppliedAction | Skipped] = []
        for status in found:
            outcome = await self.writer.run(partial(take, status))
            if isinstance(outcome, AppliedAction):
                self.engine.acted(outcome, status.last_attempt_at)
            outcomes.append(outcome)
        return result_of(found, outcomes)

    def submit_within(
        self,
        evidence: Evidence,
        to: Destination | None,
        ticket: Ticket,
        connection: Connection | AsyncConnection,
    ) -> Ticket | Coroutine[Any, Any, Ticket]:
        """Record an evidence in a transaction of the host's; its ticket, to be awaited if the
        connection is."""
        insertion: Callable[[Preparer], Insertion] | None = None
        if to is None:
            self.leave_alone(ticket)
        else:
            key = Submission(evidence, to, ticket).key
            ticket.is_elsewhere(partial(self.settled, key), partial(self.recorded, key))
            insertion = partial(insertion_for, self.store, self.clock, evidence, to)
        if not is_awaited(connection):
            if insertion is not None:
                write(connection, insertion(self.preparer))
            return ticket

        async def submit() -> Ticket:
            if insertion is not None and to is not None:
                aside = insertion_aside(self._driver, insertion, evidence.document, to)
                await write_async(connection, await aside)
            return ticket

        return submit()

    def leave_alone(self, ticket: Ticket) -> None:
        """Record nothing of a tenant without an integration. If it had one before, its ticket is
        for what was recorded then."""
        ticket.is_left_alone(partial(self._ended_of, ticket.tenant_id, ticket.evidence_id))

    async def untouched_of(self, tenants: Set[str]) -> Set[str]:
        """Those of some tenants, by `tenant_key`, that have no record; none of them if that cannot
        be read."""
        if not tenants:
            return tenants
        try:
            read = partial(self.store.counted, Find())
            counts = await self.loop.run_in_executor(self._threads, read)
        except StoreError:
            return frozenset()
        return tenants - {tenant_key(one.tenant_id) for one in counts}

    async def write(self, verb: Callable[[UploadStore], T]) -> T:
        """Call a writing verb of the store, in the writer's turn; maintenance sees to the rest."""
        answer = await self.writer.run(partial(verb, self.store))
        self.engine.maintain_now()
        return answer

    async def recorded(self, key: UploadKey) -> UploadStatus:
        """How an upload is recorded that another courier, or its host, may write."""
        return _existing(key, await self._status_of(key.tenant_id, key.evidence_id))

    async def settled(self, key: UploadKey) -> UploadStatus:
        """How such an upload ended. MisuseError if it had not when the courier was closed."""
        return _existing(key, await self._ended_of(key.tenant_id, key.evidence_id))

    async def _status_of(self, tenant_id: str, evidence_id: str) -> UploadStatus | None:
        read = partial(self.store.statuses, tenant_id, [evidence_id], self.clock.now())
        return (await self.engine.read(read)).get(evidence_id)

    async def _ended_of(self, tenant_id: str, evidence_id: str) -> UploadStatus | None:
        looking = self.loop.create_future()
        self._looking.add(looking)
        try:
            while (status := await self._status_of(tenant_id, evidence_id)) is not None:
                if status.at_rest:
                    break
                if self._ended.is_set():
                    raise unsettled_error(tenant_id, evidence_id)
                await ended_within(self.clock, self._ended.wait(), LOOK_EVERY)
            return status
        finally:
            self._looking.discard(looking)
            looking.cancel()

    async def dry_run(
        self, destination: Destination, on_wait: OnWait = lambda until: None
    ) -> DryRun | None:
        """Ask a provider whether uploads would work, beside the uploads and under their limits."""
        clock = self.clock
        context = TurnContext(self.courier_id, clock, random.random, interruption_of)
        watched = about(destination.integration, "a dialogue for a dry run")
        return await self._driver.run(dry_run(context, destination, on_wait), watched)

    async def close(self, grace: float) -> None:
        """Give what is under way `grace` seconds, unregister and close everything."""
        # What other threads submitted just before is on its way to the engine.
        await asyncio.sleep(0)
        try:
            await self.engine.close(grace)
            self._ended.set()
            if self._looking:  # once more
                await asyncio.wait(self._looking)
        finally:
            await self.release()

    async def release(self) -> None:
        """Unregister, and close everything that is not the host's."""
        wiring = self._wiring
        run = self.loop.run_in_executor
        if self.courier_id:
            with suppress(StoreError):  # then another courier finds out that this one is gone
                await self.writer.run(lambda: self.store.unregister(self.courier_id))
        await run(self._threads, self.writer.close)
        if wiring.transport is None:
            await self._transport.close()
        if wiring.renderer is None:
            await run(self._threads, self._renderer.close)
        if wiring.store is None:
            await run(self._threads, self.store.close)
        if isinstance(wiring.logger, LoggerAside):
            await wiring.logger.emptied()
        self._file_thread.shutdown(wait=False)
        self._host_threads.shutdown(wait=False, cancel_futures=True)
        await asyncio.to_thread(self._threads.shutdown)


def _existing(key: UploadKey, found: UploadStatus | None) -> UploadStatus:
    if found is None:
        raise StoreError(
            f"{key} is not recorded: the transaction in which it was submitted has not been "
            "committed, or was rolled back"
        )
    return found
