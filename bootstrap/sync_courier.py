"""`Courier`: the face for a host that does not run on asyncio.

It is an `AsyncCourier` on an event loop in a thread of its own, and the same methods without
``await``; see `portal` for the rules.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Self, TypeVar, Unpack

from ..adapters.engines.tickets import SyncTicket
from ..adapters.stores.hosts import Connection
from ..delivery.due_delivery import DueDelivery
from ..domain.arguments import number_of_seconds
from ..domain.errors import Problem
from ..domain.evidence.evidence import Evidence
from . import refusals
from .courier import AsyncCourier
from .face import BlockingFace, without_await
from .host_transactions import refuse_awaited
from .portal import Portal
from .tenants import PathText, TenantMapping
from .wiring import CourierOptions

T = TypeVar("T")

_THREAD = "evidence-courier-loop"


class Courier(BlockingFace):
    """Delivers compliance evidence for a host that does not run on asyncio.

    Build it with `from_config` or `from_mapping`, and use it as a context manager: it starts on
    entry, and on exit it finishes or hands back what is under way. Everything may be called from
    any thread, but not from the courier's own, in which an `on_settled` that is a coroutine
    function is called: there only `submit` and `enabled` work. In a forked child nothing works:
    build a new courier there. A courier that is not closed closes itself when the main thread ends.

    Before the start and after the end its methods raise MisuseError; those that use the database
    raise StoreError if it cannot be read or written.
    """

    def __init__(self, courier: AsyncCourier) -> None:
        self._courier = courier
        self._portal: Portal | None = None
        self._closed = False
        self._lock, self._starting = threading.Lock(), threading.Lock()

    @classmethod
    def from_config(
        cls, path: PathText, database: PathText | None = None, **options: Unpack[CourierOptions]
    ) -> Self:
        """A courier for the tenants in a folder of YAML and JSON files. See
        `AsyncCourier.from_config`."""
        return cls(AsyncCourier.from_config(path, database, **options))

    @classmethod
    def from_mapping(
        cls,
        tenants: TenantMapping | Callable[[], TenantMapping],
        database: PathText | None = None,
        **options: Unpack[CourierOptions],
    ) -> Self:
        """A courier for tenants that the host keeps itself. See `AsyncCourier.from_mapping`."""
        return cls(AsyncCourier.from_mapping(tenants, database, **options))

    # --- lifecycle -------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def start(self) -> None:
        """Open the database and begin to work.

        Raises:
            StoreError: The database cannot be opened; then nothing is left running.
            MisuseError: It has been started before.
        """
        self._refuse_in_a_child()
        with self._lock:
            if self._portal is not None or self._closed:
                raise refusals.started_before()
            portal = self._portal = Portal(self._courier, _THREAD)
        try:
            portal.enter()
        except BaseException:
            self._portal = None
            raise

    def close(self, grace: float = 10.0) -> None:
        """Record what was submitted, let what is under way finish, and close everything.

        May be called again: a later call waits for the same closing, and with a shorter `grace`
        shortens it. The next courier on the database goes on with what is not settled. A call that
        is interrupted (by a Ctrl-C) waits no longer, and what is under way is cut off and recorded
        as such. In a forked child this does nothing: everything belongs to the parent.

        Args:
            grace: How many seconds what is under way may take; then it is interrupted.

        Raises:
            MisuseError: `grace` is no number.
        """
        number_of_seconds("grace", grace)
        portal = self._portal
        if portal is None or portal.forked:
            self._closed = True
            return
        portal.check()
        try:
            self._closed = True
            portal.leave(partial(self._courier.close, grace))
        except BaseException:
            portal.tell_to_leave(partial(self._courier.close, 0.0))
            raise

    def deliver_due(self, until: float = 20.0) -> DueDelivery:
        """Deliver what is due in the database, by whichever courier it was recorded, until nothing
        is due or the time is over. See `AsyncCourier.deliver_due`."""
        number_of_seconds("until", until, at_least_0=True)  # before it is started
        self._refuse_in_a_child()
        with self._starting:
            if self._portal is None and not self._closed:
                self.start()
        done: DueDelivery = self._call(lambda courier: courier.deliver_due(until))
        return done

    drain = without_await(AsyncCourier.drain)
    quiet = without_await(AsyncCourier.quiet)
    reload = without_await(AsyncCourier.reload)

    # --- delivering ------------------------------------------------------------------------------

    def enabled(self, tenant_id: str) -> bool:
        """Whether the tenant has an integration, so that a host need not make a document for
        nothing. Never waits."""
        return self._courier.enabled(tenant_id)

    def submit(self, evidence: Evidence, *, connection: Connection | None = None) -> SyncTicket:
        """Have an evidence delivered; returns at once.

        Args:
            evidence: What is delivered. If its ids are known it is not sent again, and the ticket
                is one for the upload that exists.
            connection: As in `AsyncCourier.submit`; one that is awaited is for an AsyncCourier.

        Returns:
            A ticket to wait with, or to forget; see `AsyncCourier.submit`. What goes wrong with the
            delivery is in its status, and not raised here.

        Raises:
            MisuseError: The courier was never started, is closed, this is no Evidence, the tenant
                is unknown and ``on_unknown_tenant="raise"``, or the connection cannot be used.
            StoreError: As `AsyncCourier.submit`.
        """
        portal = self._now()
        if connection is not None:
            refuse_awaited(connection)
            return self._courier.submit(evidence, connection=connection).for_threads(portal)
        return self._courier.submit(evidence).for_threads(portal)

    @property
    def problems(self) -> Sequence[Problem]:
        """What is not in force of the configuration: invalid tenants, and what was passed over."""
        return self._courier.problems

    # ---------------------------------------------------------------------------------------------

    def _call(self, method: Callable[[Any], Coroutine[Any, Any, T]]) -> T:
        return self._now().call(partial(method, self._courier))

    def _now(self) -> Portal:
        self._refuse_in_a_child()
        portal = self._portal
        if self._closed:
            raise refusals.closed()
        if portal is None:
            raise refusals.not_started("with Courier...")
        return portal

    def _refuse_in_a_child(self) -> None:
        if self._portal is not None and self._portal.forked:
            raise refusals.forked(self._portal.pid)
