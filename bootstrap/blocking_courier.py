"""`BlockingCourier`: the face for a worker of a task queue."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Self, TypeVar, Unpack

from attrs import frozen

from ..adapters.engines.blocking_driver import BlockingOutside
from ..adapters.engines.blocking_engine import BlockingEngine, Delivery, left_alone
from ..adapters.engines.interruptions import workers_own
from ..adapters.engines.preparing import Preparer
from ..adapters.engines.token_cache import BlockingTokenCache
from ..adapters.stores.hosts import Connection, write
from ..delivery.actions import ActionResult
from ..delivery.destinations import Destination
from ..delivery.due_delivery import DueDelivery
from ..domain.arguments import number_of_seconds
from ..domain.errors import MisuseError
from ..domain.evidence.evidence import Evidence
from ..domain.integration import tenant_key
from ..domain.upload.actions import Action, Person
from ..domain.upload.status import UploadStatus
from ..domain.upload.verdict import DryRun
from ..ports.documents import documents_of
from ..ports.records import UploadReader
from ..ports.renderer import Renderer
from ..ports.store import UploadStore
from ..ports.transport import BlockingTransport
from . import refusals
from .duties import duties_of
from .face import Basis, BlockingFace, at_once, require_evidence
from .host_transactions import insertion_for, refuse_awaited
from .per_process import PerProcess
from .tenants import PathText, Source, TenantMapping, Tenants, folder, mapping
from .wiring import BlockingOptions, BlockingWiring

T = TypeVar("T")


@frozen(eq=False)
class _Opened:
    """What one process has open."""

    store: UploadStore
    transport: BlockingTransport
    renderer: Renderer
    preparer: Preparer
    engine: BlockingEngine


class BlockingCourier(BlockingFace, Basis):
    """Delivers compliance evidence for workers of a task queue, one step a call, in the caller's
    thread.

    Build it with `from_config` or `from_mapping`, once: it opens nothing before it is used, and
    each process that it is forked into opens its own. Several threads may use it at once, and it is
    a context manager. A child that is forked while another thread is delivering is refused by
    MisuseError: SQLite's connections do not outlast a fork.

    Once it is closed its methods raise MisuseError; those that use the database raise StoreError if
    it cannot be read or written.
    """

    def __init__(self, source: Source, wiring: BlockingWiring, options: BlockingOptions) -> None:
        self._wiring = wiring
        self._clock = wiring.clock
        self._tenants = Tenants(source, options, wiring.logger)
        self._reloading = threading.Lock()
        self._opened = PerProcess(self._open, self._close)
        self._tenants.log()
        wiring.log_what_is_missing()

    @classmethod
    def from_config(
        cls, path: PathText, database: PathText | None = None, **options: Unpack[BlockingOptions]
    ) -> Self:
        """A courier for the tenants in a folder of YAML and JSON files. As
        `AsyncCourier.from_config`, with `BlockingOptions`; MisuseError also if the extra ``sync``
        is missing."""
        return cls(folder(path), BlockingWiring(database, options), options)

    @classmethod
    def from_mapping(
        cls,
        tenants: TenantMapping | Callable[[], TenantMapping],
        database: PathText | None = None,
        **options: Unpack[BlockingOptions],
    ) -> Self:
        """A courier for tenants that the host keeps itself. As `AsyncCourier.from_mapping`, with
        `BlockingOptions`; MisuseError also if the extra ``sync`` is missing."""
        return cls(mapping(tenants), BlockingWiring(database, options), options)

    # --- lifecycle -------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the database and all connections of this process. May be called again.

        Whichever courier delivers next goes on with what is not settled.
        """
        self._opened.close()

    def reload(self) -> None:
        """Read the tenants anew.

        Raises:
            ConfigError: A tenant is invalid, or no tenant is left, and nothing changes. With
                ``on_invalid="skip"`` an invalid one keeps what it had, and the others change.
        """
        with self._opened.used(), self._reloading:
            self._tenants.put_in_force(self._tenants.read())
            self._tenants.log()

    # --- delivering ------------------------------------------------------------------------------

    def enabled(self, tenant_id: str) -> bool:
        """Whether the tenant has an integration, so that a host need not make a document for
        nothing."""
        return self._tenants.destination(tenant_id) is not None

    def submit(self, evidence: Evidence, *, connection: Connection) -> None:
        """Record an evidence in a transaction of the host's, and send nothing: `deliver_due`
        delivers it, of this courier or of another.

        Args:
            evidence: What is delivered. If its ids are known, nothing changes.
            connection: A connection of the host to the courier's database, with a transaction: the
                evidence is recorded by its commit, or not at all.

        Raises:
            MisuseError: This is no Evidence, the tenant is unknown and
                ``on_unknown_tenant="raise"``, or the connection is in autocommit, is awaited, or
                leads to another kind of database.
            StoreError: The evidence could not be written; the host's transaction is as it was.
        """
        require_evidence(evidence, "submit")
        refuse_awaited(connection)
        if self._opened.closed:
            raise refusals.closed()
        if self._tenants.submitted(evidence.tenant_id) is None:
            return  # and open nothing
        with self._opened.used() as opened:
            destination = self._tenants.submitted(evidence.tenant_id)
            if destination is not None:
                store, preparer = opened.store, opened.preparer
                write(
                    connection, insertion_for(store, self._clock, evidence, destination, preparer)
                )

    def deliver(self, evidence: Evidence) -> Delivery:
        """Take an evidence one step further: record it, attempt it, look it up, if that is due.

        Call it again with the same evidence at `again_at`, or at any other time: what is not due is
        left alone, and what is known is not sent again.

        Args:
            evidence: What is delivered.

        Returns:
            The status, and when to call again. Without an integration both are None, unless the
            tenant had one before. What the provider does is in the status.

        Raises:
            MisuseError: This is no Evidence, or the tenant is unknown and
                ``on_unknown_tenant="raise"``.
            StoreError: The record could not be read or written.
            BaseException: What interrupts it (a task's time limit, KeyboardInterrupt), once it is
                recorded how far the attempt got.
        """
        require_evidence(evidence, "deliver")
        return self._deliver([evidence])[0]

    def deliver_many(self, evidences: Sequence[Evidence]) -> Sequence[Delivery]:
        """Take several evidences one step further.

        Those that go to the same place go in one request, if the provider takes several at once,
        and each of the others in one of its own, one after the other: so a call may take as long as
        that many calls of `deliver`.

        Args:
            evidences: What is delivered. No two may have the same ids.

        Returns:
            What `deliver` returns for each, in their order.

        Raises:
            MisuseError: Two evidences have the same ids, or one is no Evidence.
            StoreError: As `deliver`; what was done for the other evidences stays done.
            BaseException: As `deliver`.
        """
        for evidence in evidences:
            require_evidence(evidence, "deliver_many")
        ids = Counter((evidence.tenant_id, evidence.evidence_id) for evidence in evidences)
        for (tenant_id, evidence_id), number in ids.items():
            if number > 1:
                raise MisuseError(
                    f"evidence {evidence_id!r} of tenant {tenant_id!r} is given {number} times"
                )
        return self._deliver(evidences)

    def _deliver(self, evidences: Sequence[Evidence]) -> Sequence[Delivery]:
        if self._opened.closed:
            raise refusals.closed()
        is_left_alone = all(self._tenants.submitted(one.tenant_id) is None for one in evidences)
        if is_left_alone and not self._wiring.has_store:
            return [Delivery(None, None)] * len(evidences)  # and open nothing
        with self._opened.used() as opened:
            found = [(one, self._tenants.submitted(one.tenant_id)) for one in evidences]
            sent = [(one, destination) for one, destination in found if destination is not None]
            deliveries, now = iter(opened.engine.deliver(sent)), self._clock.now()
            return [
                left_alone(opened.store, one, now) if destination is None else next(deliveries)
                for one, destination in found
            ]

    def deliver_due(self, until: float = 20.0) -> DueDelivery:
        """Deliver what is due in the database, by whichever courier it was recorded, until nothing
        is due, and old records in their time, or the time is over.

        For a scheduler that calls this again and again, in any number of threads, processes and
        machines. Requests go one after the other; what has begun is finished, so it may take as
        much longer as one request takes.

        Args:
            until: After this number of seconds nothing more begins.

        Returns:
            How much was done.

        Raises:
            MisuseError: `until` is no number of seconds, or negative.
            StoreError: As `deliver`.
            BaseException: As `deliver`.
        """
        number_of_seconds("until", until, at_least_0=True)
        with self._opened.used() as opened:
            tenants = self._tenants
            return opened.engine.deliver_due(tenants.destinations, tenants.broken, until)

    def recover(self) -> Sequence[UploadStatus]:
        """Record that what dead workers were sending may have been received, and the tenants whose
        configuration is not in force or names nothing any more.

        `deliver` does so for its own evidence. Call this now and then if no `AsyncCourier` or
        `Courier` runs on the database and the queue may lose tasks with their workers.

        Returns:
            Those uploads as they are now: retrying ones are to be delivered again, held ones wait
            for a person. One whose tenant has no integration any more is left for ten minutes.

        Raises:
            StoreError: The database could not be read or written.
        """
        with self._opened.used() as opened:
            return opened.engine.recover(self._tenants.destinations, self._tenants.broken)

    # --- the basis of what all couriers share ----------------------------------------------------

    def _call(self, method: Callable[[Any], Coroutine[Any, Any, T]]) -> T:
        return at_once(method(self))

    async def _read(self, read: Callable[[UploadReader], T]) -> T:
        with self._opened.used() as opened:
            return read(opened.store)

    async def _act_on(
        self, found: Sequence[UploadStatus], action: Action, person: Person
    ) -> ActionResult:
        with self._opened.used() as opened:
            return opened.engine.act(found, action, person, self._tenants.rules_of)

    async def _write(self, write: Callable[[UploadStore], T]) -> T:
        with self._opened.used() as opened:
            return opened.engine.write(write)

    async def _dry_run(self, destination: Destination) -> DryRun | None:
        with self._opened.used() as opened:
            # Opening the database gives each destination the quota that its gate knows.
            tenant_id = tenant_key(destination.integration.tenant_id)
            return opened.engine.dry_run(self._tenants.destinations.get(tenant_id, destination))

    async def _workload(self) -> Mapping[str, int]:
        with self._opened.used() as opened:
            none = dict.fromkeys(("submitted", "planned"), 0)
            return {**none, **opened.engine.failures, "under_way": self._opened.users - 1}

    # --- what each process opens -----------------------------------------------------------------

    def _open(self) -> _Opened:
        wiring, clock = self._wiring, self._clock
        transport, store = wiring.open_transport(), wiring.open_store()
        renderer = wiring.open_renderer()
        preparer = Preparer(renderer, workers_own, documents_of(store))
        engine = BlockingEngine(
            store=store,
            outside=BlockingOutside(
                transport,
                BlockingTokenCache(clock.monotonic),
                wiring.source,
                preparer,
            ),
            clock=clock,
            logger=wiring.logger,
            jitter=random.random,
            sleep=wiring.sleep,
            duties=duties_of(wiring, self._tenants),
        )
        opened = _Opened(store, transport, renderer, preparer, engine)
        try:
            self._tenants.use_key(store.fingerprint_key())
            engine.start()
        except BaseException:
            self._close(opened)
            raise
        return opened

    def _close(self, opened: _Opened) -> None:
        opened.engine.close()
        if self._wiring.transport is None:
            opened.transport.close()
        if self._wiring.renderer is None:
            opened.renderer.close()
        if self._wiring.store is None:
            opened.store.close()
