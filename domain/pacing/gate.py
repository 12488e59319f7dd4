"""When a request of a credential may leave: pace, cool-down and block.

- *Pace*: no stretch of one period holds more requests than the provider allows. A request takes
  one slot when it leaves. The slot counts as used *now* until the request has ended, and from then
  on it counts from that end. So the provider never sees too many, whatever window it counts in and
  however long a request takes to arrive.
- *Turn*: an attempt or a look-up under way. What has begun goes first: a turn's next request leaves
  as soon as a slot is free, oldest turn first. A new upload begins only if the slots that are free
  are more than the open turns are owed. A turn that is owed nothing is not recorded until it waits.
- *Cool-down*: after a provider asked for patience, nothing leaves before the moment that it named.
- *Block*: after a failure of the whole integration, nothing leaves before its settings change or a
  person says so. If only its target takes nothing now, what has begun goes on, and nothing begins
  but one upload from time to time, which probes the target.
- *Backfill*: an old record begins after what is fresh, and leaves room for it (see `backfill`).
- *Lease*: a credential that only one courier may use is used by one at a time (see `lease`).

All of it is kept in the store, shared by every courier on it. A clock that was set back is not
waited for, but for at most `LATE`: what lies further in the future counts as now, and a cool-down
lasts no longer from now than it was meant to.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol, TypeAlias

from attrs import evolve, field, frozen

from ..integration import Pace
from ..upload.backoff import (
    LONGEST_PARK,
    PARK,
    earlier,
    floor_of,
    is_set_back,
    later,
    parked_until,
)
from ..upload.failure import Concern, Failure
from ..upload.transitions import Rules
from . import backfill
from .backfill import BEHIND
from .lease import Lease, LeaseStore, acquire
from .waits import WaitReason

FAIR_UP_TO = 1_000
"""The most requests a period at which the order of a credential's line is kept."""

YIELD = timedelta(seconds=1)
"""How long an upload yields to those that have waited much longer; less at a shorter period."""

CLAIMS_FROM = timedelta(seconds=10)
"""At a shorter period than this, a turn is owed a slot only while it waits for one."""

UNRECORDED = 0
"""The number of a turn that has begun and has not had to be recorded."""

MIN_PATIENCE = timedelta(seconds=60)
"""A caller that cannot wait for long waits at least so long for an upload's slots."""

STALLED = timedelta(seconds=30)
"""A head of the line that could have begun, and did not for a period and so long, is not waited
for: no running courier serves it. One that asks and finds no slot is waited for."""


@frozen
class Quota:
    """The identity and limits under which one integration asks for requests.

    `credential` names what the provider counts by; integrations that share it share the pace.
    `address` names credential and settings together: what a block is about. Both are keyed
    fingerprints. `cost` is how many requests an upload is expected to take, `timeout` the longest
    that one request may take, `together` how many uploads may travel in one request, and
    `exclusive` whether only one courier at a time may use the credential. `backfill`: it asks for
    old records, which go behind what is fresh.
    """

    credential: str
    address: str
    pace: Pace | None = None
    cost: int = 1
    timeout: timedelta = timedelta(minutes=2)
    together: int = 1
    exclusive: bool = False
    backfill: bool = False

    @property
    def line(self) -> str:
        """The line in which what asks stands in the store."""
        return f"{self.credential}{BEHIND}" if self.backfill else self.credential


@frozen
class Turn:
    """An attempt or a look-up under way.

    It is owed the requests that it is expected to make and has not sent. `until` is when its
    latest request must have ended; its claim is over a period later.
    """

    id: int
    courier_id: int
    owed: int
    waits: bool
    until: datetime

    def waiting(self, now: datetime, timeout: timedelta) -> Turn:
        """The same while it waits for a slot; the very same if that was noted lately."""
        if self.waits and self.until > later(now, timeout / 2):
            return self
        return evolve(self, waits=True, until=later(now, timeout))

    def sending(self, now: datetime, timeout: timedelta) -> Turn:
        """The same after a request of it has left."""
        return evolve(self, owed=max(0, self.owed - 1), waits=False, until=later(now, timeout))


def claims_of(turns: Sequence[Turn], pace: Pace) -> int:
    """How many slots new uploads must leave to the open turns."""
    # Asked for each upload, of each open turn: a list is summed at half the cost of a generator.
    if pace.period < CLAIMS_FROM:
        return sum([turn.waits for turn in turns])
    return sum([max(turn.owed, turn.waits) for turn in turns])


@frozen
class Cooldown:
    """Nothing leaves before `until`; this was asked for at `since`."""

    since: datetime
    until: datetime

    def as_of(self, now: datetime) -> Cooldown:
        """The same; or as long a cool-down from now on, if the clock has been set back since."""
        if not is_set_back(now, self.since):
            return self
        return Cooldown(now, later(now, self.until - self.since))


@frozen
class Acquired:
    """A request may leave, or an upload begin.

    `slot` is the request's slot, if something paces it and it leaves at once. Further requests
    belong to the `turn`; None: no further request is expected. `lease_since` is when the courier's
    lease of an exclusive credential began: a token from before it is dead.
    """

    slot: int | None = None
    turn: int | None = None
    lease_since: datetime | None = None


@frozen
class NotBefore:
    """Not now, because of pace, cool-down or lease (`reason`); ask again at `at`, as `turn` if one
    waits for a slot from now on."""

    at: datetime
    reason: WaitReason = field(default=WaitReason.PACE, eq=False)
    turn: int | None = field(default=None, eq=False)


@frozen
class Blocked:
    """The integration does not work, because of `failure`; a person must change something. Or its
    target takes nothing `until` a moment, at which one upload probes it."""

    failure: Failure
    until: datetime | None = None


@frozen
class Block:
    """What is kept of a block: its reason, since when it has been there, and for a target until
    when it is parked."""

    failure: Failure
    since: datetime
    until: datetime | None = None

    def parked(self, now: datetime) -> Block:
        """The same from now on, while one upload probes its target."""
        return evolve(self, until=later(now, PARK))

    def answer(self, now: datetime, *, begins: bool) -> Blocked | None:
        """What it means for an upload that begins, or for a request of one that has begun; None: it
        may go on."""
        if self.until is None:
            return Blocked(self.failure)
        until = min(self.until, later(now, LONGEST_PARK))  # the clock may have been set back
        return Blocked(self.failure, until) if begins and now < until else None


def block_after(block: Block | None, failure: Failure, at: datetime) -> Block:
    """The block after a failure at `at` that concerns a target or the whole integration."""
    if block is not None and block.until is None:
        return block
    if failure.kind.concern is Concern.INTEGRATION:
        return Block(failure, at)
    since = at if block is None else block.since
    return Block(failure, since, parked_until(since, at))


Refusal: TypeAlias = NotBefore | Blocked


@frozen
class GateChange:
    """What the end of requests at `at` means for their gate: their `slots` count from now on, the
    `turn` is over if one is named, and there may be a cool-down or a block. `opens`: the target
    takes uploads again."""

    quota: Quota
    at: datetime
    slots: tuple[int, ...] = ()
    cooldown_until: datetime | None = None
    block: Failure | None = None
    turn: int | None = None
    opens: bool = False

    @property
    def says_nothing(self) -> bool:
        """Whether all went well, as far as others are concerned."""
        return self.cooldown_until is None and self.block is None


def change_of(end: GateChange, failure: Failure | None, rules: Rules) -> GateChange:
    """What an end means for the gate that came with `failure`; None if all went well."""
    if failure is None:
        return end
    wait = floor_of(rules.retry, failure, rules.throttle_floor)
    until = later(end.at, wait) if wait > timedelta(0) else None
    concern = failure.kind.concern
    parks = concern is Concern.TARGET and rules.park_limit > timedelta(0)
    block = failure if parks or concern is Concern.INTEGRATION else None
    return evolve(end, cooldown_until=until, block=block, opens=False)


class GateStore(LeaseStore, Protocol):
    """One credential's gate as a store keeps it, within one transaction and as of one moment."""

    def block(self) -> Block | None:
        """The integration's block."""
        ...

    def put_block(self, block: Block) -> None:
        """Record what has become of it."""
        ...

    def cooldown(self) -> Cooldown | None:
        """The credential's cool-down, as of now."""
        ...

    def free(self) -> int:
        """How many slots are free."""
        ...

    def free_at(self, slots: int) -> datetime:
        """When this number of slots is free (see `free_at`)."""
        ...

    def turns(self) -> Sequence[Turn]:
        """The open turns."""
        ...

    def ahead(self, most: int) -> int:
        """How many uploads stand in the fresh line before the one that asks, of that line; counted
        up to `most`."""
        ...

    def head_since(self) -> datetime:
        """Since when the upload at the head of the fresh line has been there and has not asked, as
        far as is noted; it is noted now if that is new."""
        ...

    def head_asks(self, noted_before: datetime) -> None:
        """If the upload that asks was noted as the head of the line before a moment, note it
        now."""
        ...

    def fresh_waits(self) -> bool:
        """Whether an upload that is no old record is due, and has not begun."""
        ...

    def backfill_at(self) -> datetime | None:
        """What was noted when the last old record began."""
        ...

    def note_backfill(self, at: datetime) -> None:
        """An old record begins: note when the next one may."""
        ...

    def take(self) -> int:
        """A slot that is used from now on."""
        ...

    def open(self, courier_id: int, owed: int) -> int:
        """Another turn."""
        ...

    def put(self, turn: Turn) -> None:
        """Record what has become of a turn."""
        ...


def begin(
    gate: GateStore,
    quota: Quota,
    now: datetime,
    courier_id: int,
    *,
    leaves: bool = True,
    patience: timedelta | None = None,
) -> Acquired | Refusal:
    """Let an upload begin, or say why not now.

    It begins if one slot is free beyond what the open turns are owed, and if not too many uploads
    stand before it. With `leaves` its first request takes its slot at once. A caller that cannot
    wait for long says its `patience`: it begins when the last request that it is expected to make
    can leave within half of that, and is told to come back when it can surely begin.
    """
    held = _lease(gate, quota, now, courier_id, begins=True)
    pace = quota.pace
    if isinstance(held, Refusal):
        return held
    block = gate.block()  # of a target that is to be probed
    if pace is None:
        _note_begin(gate, quota, block, now)
        return Acquired()
    moment = min(YIELD, pace.period / 4)
    turns = gate.turns()
    owed = claims_of(turns, pace)
    if quota.backfill and (refused := _behind(gate, quota, pace, owed, now)) is not None:
        return refused
    if gate.free() < owed + 1:
        gate.head_asks(earlier(now, STALLED / 2))
        # The turns that do not wait may end with fewer requests than they are expected to make.
        before = sum(turn.waits for turn in turns) if patience is None else owed
        return NotBefore(max(gate.free_at(before + 1), later(now, moment)))
    if patience is not None and quota.cost <= pace.limit:
        last = gate.free_at(owed + quota.cost)
        if last > later(now, patience / 2):
            gate.head_asks(earlier(now, STALLED / 2))
            return NotBefore(last - patience / 2)
    most = None if quota.backfill else may_overtake(quota)
    if most is not None and gate.ahead(most) >= most and not _is_stalled(gate, pace, now):
        return NotBefore(later(now, moment))
    since = _hold(gate, held)
    slot = gate.take() if leaves else None
    own = quota.cost - (slot is not None)
    turn = UNRECORDED if own else None
    if held or (own and pace.period >= CLAIMS_FROM):
        turn = gate.open(courier_id, own)
    _note_begin(gate, quota, block, now)
    return Acquired(slot, turn, since)


def _behind(
    gate: GateStore, quota: Quota, pace: Pace, owed: int, now: datetime
) -> NotBefore | None:
    """Until when an old record leaves room for what is fresh; None: it may begin."""
    at = backfill.begins_at(gate.backfill_at(), pace, quota.cost, now)
    needed = owed + backfill.room_of(pace, quota.cost)
    soon = later(now, min(YIELD, pace.period / 4))
    if gate.free() < needed:
        at = max(at, gate.free_at(needed), soon)
    elif may_overtake(quota) is not None and gate.fresh_waits():
        at = at if _is_stalled(gate, pace, now) else max(at, soon)
    return None if at <= now else NotBefore(max(at, soon))


def _note_begin(gate: GateStore, quota: Quota, block: Block | None, now: datetime) -> None:
    """The upload that begins probes its target, if that is parked; the others wait for it. An old
    record is noted."""
    if quota.backfill and quota.pace is not None:
        at = backfill.note_of(gate.backfill_at(), quota.pace, quota.cost, now)
        gate.note_backfill(at)
    if block is not None:
        gate.put_block(block.parked(now))


def go_on(
    gate: GateStore, quota: Quota, now: datetime, courier_id: int, turn: int | None
) -> Acquired | Refusal:
    """Let the next request of a turn leave, or say why not now; None begins a turn.

    It leaves if a slot is free that no older turn waits for.
    """
    turns = gate.turns()
    held = _lease(gate, quota, now, courier_id, begins=False)
    if quota.pace is None:
        return held if isinstance(held, Refusal) else Acquired()
    if not isinstance(held, Refusal):
        older = sum([one.waits and (not turn or one.id < turn) for one in turns])
        if gate.free() < older + 1:
            soon = later(now, quota.pace.period / 100)
            held = NotBefore(max(gate.free_at(older + 1), soon))
    if isinstance(held, Refusal):
        if turn is None or isinstance(held, Blocked):
            return held
        turn = turn or gate.open(courier_id, 0)
        gate.put(_own(gate, turn, courier_id, now).waiting(now, quota.timeout))
        return evolve(held, turn=turn)
    since = _hold(gate, held)
    if turn:
        gate.put(_own(gate, turn, courier_id, now).sending(now, quota.timeout))
    else:
        turn = gate.open(courier_id, 0) if held else UNRECORDED
    return Acquired(gate.take(), turn, since)


def _own(gate: GateStore, turn: int, courier_id: int, now: datetime) -> Turn:
    """The turn as it is recorded, or anew if it is no more."""
    new = Turn(turn, courier_id, 0, False, now)
    return next((one for one in gate.turns() if one.id == turn), new)


def _lease(
    gate: GateStore, quota: Quota, now: datetime, courier_id: int, *, begins: bool
) -> Lease | Refusal | None:
    """Block, cool-down and lease: an exclusive credential's lease, or why nothing may leave."""
    block = gate.block()
    blocked = None if block is None else block.answer(now, begins=begins)
    if blocked is not None:
        return blocked
    until = cooling_until(gate.cooldown(), now)
    if until is not None:
        return NotBefore(until, WaitReason.COOLDOWN)
    if not quota.exclusive or quota.pace is None:
        return None
    in_use_by = {turn.courier_id for turn in gate.turns()}
    held = acquire(gate, quota.pace.period, courier_id, now, in_use_by, begins=begins)
    return held or NotBefore(later(now, YIELD), WaitReason.LEASE)


def _is_stalled(gate: GateStore, pace: Pace, now: datetime) -> bool:
    """Whether the head of the line could have begun for long; in a cool-down it could not."""
    since, cooldown = gate.head_since(), gate.cooldown()
    if cooldown is not None:
        since = max(since, cooldown.until)
    return now >= later(since, pace.period + STALLED)


def _hold(gate: GateStore, held: Lease | None) -> datetime | None:
    if held is None:
        return None
    if gate.lease() != held:
        gate.hold(held)
    return held.since


def patience_of(quota: Quota) -> timedelta:
    """How long a caller that cannot wait for long waits for an upload's slots, in all."""
    if quota.pace is None:
        return MIN_PATIENCE
    periods = -(-quota.cost // quota.pace.limit) + 1
    return max(MIN_PATIENCE, periods * quota.pace.period)


def look_up_time(quota: Quota) -> timedelta:
    """How long a courier has for a look-up before another may make it: a request's time, and the
    periods that as many requests as an upload takes must wait for."""
    if quota.pace is None:
        return quota.timeout
    return quota.timeout + (quota.cost - 1) // quota.pace.limit * quota.pace.period


def uploads_a_period(limit: int, cost: int, together: int) -> int:
    """How many uploads a period's requests are enough for; at least 1."""
    return max(1, limit * together // cost)


def may_overtake(quota: Quota) -> int | None:
    """How many uploads may begin before one that has waited longer; None: a pace without a line."""
    pace = quota.pace
    if pace is None or pace.limit > FAIR_UP_TO:
        return None
    return uploads_a_period(pace.limit, quota.cost, quota.together)


def free_at(used: Sequence[datetime], pace: Pace, slots: int, now: datetime) -> datetime:
    """When this number of slots is free, at most all of them; `now` if they are.

    `used` are the moments from which the latest requests count, newest first; those before the last
    period, or beyond the latest `pace.limit`, may be left out.
    """
    room = max(pace.limit - slots, 0)  # how many others may be in the same stretch
    if len(used) <= room:
        return now
    return later(min(used[room], now), pace.period)


def cooling_until(cooldown: Cooldown | None, now: datetime) -> datetime | None:
    """When the cool-down is over; None if there is no cool-down, or it is over."""
    if cooldown is None:
        return None
    until = cooldown.as_of(now).until
    return until if until > now else None
