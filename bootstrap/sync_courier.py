"""`Courier`: what a host that does not run on asyncio holds in its hands.

It is an `AsyncCourier` on an event loop in a thread of its own, and the same verbs without
``await``; see `portal` for the rules.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from types import TracebackType
from typing import Self, Unpack

from ..adapters.engines.acting import ActionResult, Filter
from ..adapters.engines.tickets import SyncTicket
from ..domain.evidence.evidence import Evidence
from ..domain.upload.actions import Action
from ..domain.upload.status import UploadDetails, UploadStatus
from ..domain.upload.verdict import DryRun
from ..ports.records import Page
from . import refusals
from .courier import AsyncCourier
from .face import Health, PeoplesActions
from .portal import Portal
from .tenants import PathText, TenantMapping
from .wiring import Options

_THREAD = "evidence-courier-loop"


class Courier(PeoplesActions[ActionResult]):
    """Delivers compliance evidence for a host that does not run on asyncio.

    Build it with `from_config` or `from_mapping`, and use it as a context manager: it starts on
    entry, and on exit it finishes or hands back what is under way. Everything may be called from
    any thread, but not from the courier's own, in which `on_settled` is called: there only `submit`
    and `enabled` work. In a forked child nothing works: build a new courier there. A courier that
    nobody has closed is closed when the main thread ends.
    """

    def __init__(self, courier: AsyncCourier) -> None:
        self._courier = courier
        self._portal: Portal | None = None
        self._closed = False
        self._lock = threading.Lock()

    @classmethod
    def from_config(
        cls, path: PathText, database: PathText | None = None, **options: Unpack[Options]
    ) -> Self:
        """A courier for the tenants in a folder of YAML and JSON files. See
        `AsyncCourier.from_config`."""
        return cls(AsyncCourier.from_config(path, database, **options))

    @classmethod
    def from_mapping(
        cls,
        tenants: TenantMapping | Callable[[], TenantMapping],
        database: PathText | None = None,
        **options: Unpack[Options],
    ) -> Self:
        """A courier for tenants that the host keeps itself. See `AsyncCourier.from_mapping`."""
        return cls(AsyncCourier.from_mapping(tenants, database, **options))

    # --- lifecycle -------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def start(self) -> None:
        """Open the database and begin to work. StoreError where the database cannot be opened;
        then nothing is left running."""
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
        """Record what was submitted, give what is under way `grace` seconds to finish, and hand the
        rest back to the database.

        Safe to call twice: a later call waits for the same closing, and with a shorter `grace`
        shortens it. What is not settled is gone on with by the next courier on the same database.
        Whoever is interrupted here (by a Ctrl-C) waits no longer, and what is under way is cut off
        and recorded as such. In a forked child this does nothing: all that there is belongs to the
        parent.
        """
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

    def drain(self) -> None:
        """Return once everything open in the database has succeeded, failed or is held, retries
        included."""
        self._now().call(self._courier.drain)

    def quiet(self) -> None:
        """Return once nothing is under way: whatever is open waits for a moment that has not
        come. For tests on a clock of their own."""
        self._now().call(self._courier.quiet)

    def reload(self) -> None:
        """Read the tenants anew. Uploads that have begun keep the credentials they began with.

        Raises ConfigError where a file is broken, and then nothing changes; with
        ``on_invalid="skip"``, a broken tenant keeps what it had.
        """
        self._now().call(self._courier.reload)

    # --- delivering ------------------------------------------------------------------------------

    def enabled(self, tenant_id: str) -> bool:
        """Whether the tenant has an integration; lets a host skip building a document. Never
        waits."""
        return self._courier.enabled(tenant_id)

    def submit(self, evidence: Evidence) -> SyncTicket:
        """Have an evidence delivered; returns at once and never raises for a delivery's sake.

        For a tenant without an integration nothing happens. An evidence that is known is not sent
        again: its ticket is one for the upload that exists, whatever became of that. MisuseError
        where the courier was never started, is closed, in a forked child, or where this is no
        Evidence.
        """
        portal = self._now()
        return self._courier.submit(evidence).for_threads(portal)

    def _act(
        self,
        action: Action,
        tenant_id: str,
        which: str | Filter,
        by: str,
        reason: str,
        preview: bool,
    ) -> ActionResult:
        act = self._courier._act
        return self._now().call(partial(act, action, tenant_id, which, by, reason, preview))

    # --- seeing ----------------------------------------------------------------------------------

    def statuses(self, tenant_id: str, evidence_ids: Sequence[str]) -> Mapping[str, UploadStatus]:
        """The statuses of a tenant's evidences by evidence id, in one query; those without an
        upload are absent."""
        return self._now().call(partial(self._courier.statuses, tenant_id, evidence_ids))

    def find(
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
        return self._now().call(
            partial(
                self._courier.find,
                tenant_id=tenant_id,
                status=status,
                since=since,
                after=after,
                limit=limit,
            )
        )

    def show(self, tenant_id: str, evidence_id: str) -> UploadDetails | None:
        """One upload with every attempt; None where there is none."""
        return self._now().call(partial(self._courier.show, tenant_id, evidence_id))

    def doctor(self, tenant_id: str) -> DryRun | None:
        """Whether the tenant's uploads would work: Ready or NotReady, from a dry run at the
        provider that uploads nothing.

        None where the tenant has no integration, or its provider cannot be asked. Waits up to three
        minutes for its turn at the provider; the pace is shared with the uploads.
        """
        return self._now().call(partial(self._courier.doctor, tenant_id))

    def health(self) -> Health:
        """How the courier is, for a host's health page."""
        return self._now().call(self._courier.health)

    # ---------------------------------------------------------------------------------------------

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
