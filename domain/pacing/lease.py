"""Who may use a credential that only one courier at a time may use.

Some providers let one token of a credential live: a new one ends the one before it, and whatever is
under way with that. So one courier holds such a credential for a while, and hands it over only when
nothing of its own is under way and another wants it. A hand-over costs a token, and tokens are
scarce: hence a while.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Protocol

from attrs import evolve, frozen

from ..upload.backoff import later

MIN_LEASE = timedelta(seconds=15)
"""For so long a courier keeps a credential at least, whoever else wants it: four hand-overs a
minute, where a provider mints five tokens."""

YIELD_FOR = timedelta(seconds=30)
"""A holder that is wanted begins nothing new for so long, while its own requests come to their
ends; then it goes on for another while."""

REQUEST_TTL = timedelta(seconds=5)
"""A wish counts for so long; who still has it says so again and again."""


@frozen
class Lease:
    """Courier `holder` has had the credential since `since`; at `wanted_at` another one asked
    for it last."""

    holder: int
    since: datetime
    wanted_at: datetime | None = None

    def is_over(self, now: datetime) -> bool:
        """Whether it may be handed over. A clock that was set back ends it too."""
        return not self.since <= now < later(self.since, MIN_LEASE)

    def is_wanted(self, now: datetime) -> bool:
        """Whether somebody else waits for it."""
        return self.wanted_at is not None and self.wanted_at <= now < later(
            self.wanted_at, REQUEST_TTL
        )


class LeaseStore(Protocol):
    """What a store keeps of a credential that only one may use."""

    def tenure(self) -> Lease | None:
        """Who has it; None where nobody does."""
        ...

    def in_use(self) -> bool:
        """Whether a request of the holder's is under way."""
        ...

    def hold(self, tenure: Lease) -> None:
        """Write down who has it from now on, or that it is wanted."""
        ...


def claim(holding: LeaseStore, courier_id: int, now: datetime, begins: bool) -> Lease | None:
    """The lease under which `courier_id` may send now; None where it must wait, and then its wish
    is written down.

    `begins`: whether it is about to begin an upload. A holder that is wanted elsewhere begins
    nothing new when its time is over, and ends what it has begun; but where that takes too long,
    everybody would wait for nothing.
    """
    tenure = holding.tenure()
    if tenure is None:
        return Lease(courier_id, now)
    if tenure.holder == courier_id:
        if not (begins and tenure.is_over(now) and tenure.is_wanted(now)):
            return tenure
        too_long = now >= later(tenure.since, MIN_LEASE + YIELD_FOR) and holding.in_use()
        return Lease(courier_id, now) if too_long else None
    if tenure.is_over(now) and not holding.in_use():
        return Lease(courier_id, now)
    holding.hold(evolve(tenure, wanted_at=now))
    return None
