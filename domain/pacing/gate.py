"""What a credential may do now: pace, pause and block.

- *Pace*: no stretch of one period ever holds more requests than the provider allows. A slot is
  given just in time, and counts as used *now* until its request has ended; from then on it counts
  from that end. So whatever window the provider counts in, and however long a request takes to
  arrive, the provider never sees too many.
- *Pause*: after a provider asked for patience, nothing is sent before the moment that it named.
- *Block*: after a failure that speaks of the whole integration, nothing is sent before its settings
  change or a person says so.
- *Lease*: a credential that only one courier may use is used by one at a time (see `tenure`).

All of it lives in the store, shared by every courier on it. A clock that was set back is not waited
for: what lies in the future counts as now, and a pause lasts no longer from now than it was meant
to.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol, TypeAlias

from attrs import frozen

from ..integration import Pace
from ..upload.backoff import floor_of, later
from ..upload.failure import Concern, Failure
from ..upload.transitions import Rules
from .lease import LeaseStore, claim

FAIR_UP_TO = 1_000
"""The order of a credential's line is kept at paces of up to so many requests a period; a faster
one has no line to speak of."""

YIELD = timedelta(seconds=1)
"""How long one steps aside for those who have waited much longer."""


@frozen
class Quota:
    """What one integration shows at its gate.

    `credential` names what the provider counts by; whoever shares it shares the pace. `address`
    names credential and settings together: what a block speaks of. Both are keyed fingerprints.
    `cost` is how many requests an upload takes, `patience` the longest that those may take.
    `together` is how many uploads may travel in one request, `exclusive` whether only one courier
    at a time may use the credential.
    """

    credential: str
    address: str
    pace: Pace | None = None
    cost: int = 1
    patience: timedelta = timedelta(minutes=2)
    together: int = 1
    exclusive: bool = False

    def at_most(self) -> int:
        """How many requests of one upload are charged at once: never more than a period holds."""
        return min(self.cost, self.pace.limit) if self.pace is not None else 0


@frozen
class Pause:
    """Nothing is sent before `until`; it was asked for at `since`."""

    since: datetime
    until: datetime

    def as_of(self, now: datetime) -> Pause:
        """The same; or as long a one from now on, where the clock has been set back since."""
        return self if self.since <= now else Pause(now, later(now, self.until - self.since))


@frozen
class NotBefore:
    """Not now, for the sake of pace or pause; ask again at `at`."""

    at: datetime


@frozen
class Blocked:
    """The integration does not work, for `failure`; somebody must change something."""

    failure: Failure


Refusal: TypeAlias = NotBefore | Blocked


@frozen
class GateChange:
    """What an attempt or a look-up that has ended at `at` means for its gate: its `slots` count
    from now on, perhaps a pause or a block."""

    quota: Quota
    at: datetime
    slots: tuple[int, ...] = ()
    pause_until: datetime | None = None
    block: Failure | None = None


def change_of(
    quota: Quota, at: datetime, slots: Sequence[int], failure: Failure | None, rules: Rules
) -> GateChange:
    """What an end means for the gate; `failure` is None where all went well."""
    until = block = None
    if failure is not None:
        wait = floor_of(rules.retry, failure, rules.throttle_floor)
        until = later(at, wait) if wait > timedelta(0) else None
        block = failure if failure.kind.concern is Concern.INTEGRATION else None
    return GateChange(quota, at, tuple(slots), until, block)


class GateStore(Protocol):
    """What a store keeps of its gates, as `ask` needs it."""

    def block_of(self, address: str) -> Failure | None:
        """Why an integration is blocked; None where it is not."""
        ...

    def pause_of(self, quota: Quota, now: datetime) -> Pause | None:
        """The credential's pause, as of now."""
        ...

    def free_at(self, quota: Quota, pace: Pace, cost: int, now: datetime) -> datetime:
        """When so many requests fit (see `free_at`)."""
        ...

    def holding(self, quota: Quota, now: datetime) -> LeaseStore:
        """Who has the credential, where only one may."""
        ...

    def take(self, quota: Quota, cost: int, now: datetime) -> tuple[int, ...]:
        """So many slots, used from now on; their numbers."""
        ...


def ask(
    ledger: GateStore,
    quota: Quota,
    cost: int,
    now: datetime,
    courier_id: int,
    longer_waiting: Callable[[], int] | None = None,
) -> tuple[int, ...] | Refusal:
    """The slots for so many requests of a courier's, or why not now.

    `longer_waiting` counts who stands in line before an upload that is about to begin; it is asked
    late. None for a request that begins no upload.
    """
    block = ledger.block_of(quota.address)
    if block is not None:
        return Blocked(block)
    until = paused_until(ledger.pause_of(quota, now), now)
    if until is not None:
        return NotBefore(until)
    hold: Callable[[], None] | None = None
    if quota.exclusive:
        holding = ledger.holding(quota, now)
        tenure = claim(holding, courier_id, now, begins=longer_waiting is not None)
        if tenure is None:
            return NotBefore(later(now, YIELD))
        hold = partial(holding.hold, tenure)
    pace = quota.pace
    if pace is None:
        return ()
    free = ledger.free_at(quota, pace, cost, now)
    if free > now:
        return NotBefore(free)
    # A fast pace has no line, so nobody is counted.
    if (
        longer_waiting is not None
        and pace.limit <= FAIR_UP_TO
        and must_yield(longer_waiting(), quota)
    ):
        return NotBefore(later(now, YIELD))
    if hold is not None:
        hold()
    return ledger.take(quota, cost, now)


def free_at(used: Sequence[datetime], pace: Pace, cost: int, now: datetime) -> datetime:
    """When `cost` more requests fit; not later than `now` where they fit at once.

    `used` are the moments from which the latest requests count, newest first; those before the last
    period, or beyond the latest `pace.limit`, may be left out.
    """
    room = pace.limit - cost  # so many others may be in the same stretch
    if len(used) <= room:
        return now
    return later(min(used[room], now), pace.period)


def paused_until(pause: Pause | None, now: datetime) -> datetime | None:
    """When the pause is over; None where there is none, or it is."""
    if pause is None:
        return None
    until = pause.as_of(now).until
    return until if until > now else None


def must_yield(longer_waiting: int, quota: Quota) -> bool:
    """Whether so many of the same credential who have waited longer go first: nobody overtakes
    by more than a period's worth."""
    pace = quota.pace
    return (
        pace is not None
        and pace.limit <= FAIR_UP_TO
        and longer_waiting >= pace.limit * quota.together
    )


def expected_at(
    due: datetime,
    place: int,
    used: Sequence[datetime],
    pace: Pace | None,
    pause: Pause | None,
    now: datetime,
    together: int = 1,
) -> datetime:
    """When an upload is likely to be sent that is due at `due` and has `place` others before it in
    its credential's line.

    `used` is as in `free_at`; `together` is how many go in one request. An estimate for a reader:
    nothing is decided by it.
    """
    start = max(due, paused_until(pause, now) or now)
    if pace is None:
        return due if start <= now else start
    rounds, position = divmod(place // together, pace.limit)
    free = pace.limit - len(used)
    if position < free:
        turn = later(now, pace.period * rounds)
    else:
        oldest_first = sorted(min(moment, now) for moment in used)[-pace.limit :]
        turn = later(oldest_first[position - max(free, 0)], pace.period * (rounds + 1))
    return due if turn <= now and start <= now else max(start, turn)
