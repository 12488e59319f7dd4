"""Which courier may use a credential that only one courier at a time may use.

Some providers let one token of a credential live: a new token ends the one before it, and the
requests that are under way with that. So one courier leases such a credential, and the lease goes
to another courier only when the holder has no open turn. The new holder starts without tokens; a
hand-over costs one, and tokens are scarce, so a lease lasts for a while.
"""

from __future__ import annotations

from collections.abc import Container
from datetime import datetime, timedelta
from typing import Protocol

from attrs import evolve, frozen

from ..upload.backoff import is_set_back, later

MIN_LEASE = timedelta(seconds=15)
"""A lease lasts at least so long: four hand-overs a minute, where a provider mints five tokens."""

YIELD_FOR = timedelta(seconds=30)
"""After its lease, a holder that others wait for starts nothing new. If its turns do not end within
a period and so long, it keeps the lease."""

REQUEST_TTL = timedelta(seconds=5)
"""A request for a lease counts for so long; a courier that still waits repeats it."""


@frozen
class Lease:
    """Courier `holder` has had the credential since `since`; another courier asked for it at
    `wanted_at` last."""

    holder: int
    since: datetime
    wanted_at: datetime | None = None

    def is_over(self, now: datetime) -> bool:
        """Whether it may be handed over. A clock that was set back ends it too."""
        return now >= later(self.since, MIN_LEASE) or is_set_back(now, self.since)

    def is_wanted(self, now: datetime) -> bool:
        """Whether another courier waits for it."""
        asked = self.wanted_at
        return asked is not None and asked <= now < later(asked, REQUEST_TTL)


class LeaseStore(Protocol):
    """What a store keeps of a credential that only one courier may use."""

    def lease(self) -> Lease | None:
        """The present lease."""
        ...

    def hold(self, lease: Lease) -> None:
        """Record a lease, or that it is wanted."""
        ...


def acquire(
    store: LeaseStore,
    period: timedelta,
    courier_id: int,
    now: datetime,
    in_use_by: Container[int],
    begins: bool,
) -> Lease | None:
    """The lease under which a courier may send now, for the caller to record; None if it must wait,
    and then its wish is recorded.

    Args:
        store: Where the lease is kept.
        period: The period of the credential's pace.
        courier_id: The courier that asks.
        now: The present moment.
        in_use_by: The couriers that have open turns.
        begins: Whether it is about to begin an upload: a turn that has begun may always go on.
    """
    held = store.lease()
    if held is not None and held.holder == courier_id:
        if not (begins and held.is_over(now) and held.is_wanted(now)):
            return held
        stuck = now >= later(held.since, MIN_LEASE + period + YIELD_FOR)
        if not (stuck and courier_id in in_use_by):
            return None
    elif held is not None and (not held.is_over(now) or held.holder in in_use_by):
        store.hold(evolve(held, wanted_at=now))
        return None
    return Lease(courier_id, now)
