"""The gates of a `MemoryStore`: the same rules as everywhere, kept in dictionaries."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import count

from attrs import define, evolve, field, frozen

from ..domain.integration import Pace
from ..domain.pacing import gate as rules
from ..domain.pacing.backfill import credential_of, is_backfill
from ..domain.pacing.estimate import Line
from ..domain.pacing.gate import (
    Acquired,
    Block,
    Blocked,
    Cooldown,
    GateChange,
    Quota,
    Refusal,
    Turn,
)
from ..domain.pacing.lease import Lease
from ..domain.pacing.paused import Paused, Resumed, Scope, pause_of
from ..domain.upload.backoff import earlier, is_set_back, later
from ..domain.upload.upload import UploadKey
from ..ports.gates import Acquire
from ..ports.records import Start

_UNDER_WAY = datetime.max.replace(tzinfo=UTC)

LineBefore = Callable[[UploadKey, str], int]
Head = Callable[[str], tuple[datetime, UploadKey] | None]


@define
class _Slot:
    at: datetime
    until: datetime


@frozen
class _Block:
    tenant_id: str
    provider: str
    block: Block


@define
class _State:
    """What is kept of one credential."""

    quota: Quota
    cooldown: Cooldown | None = None
    lease: Lease | None = None
    head: tuple[UploadKey | None, datetime] | None = None
    backfill_at: datetime | None = field(default=None, init=False)
    slots: dict[int, _Slot] = field(factory=dict)
    turns: dict[int, Turn] = field(factory=dict)
    keys: dict[int, UploadKey | None] = field(factory=dict)


@define
class MemoryGates:
    """When requests may leave. `before` counts the uploads that stand in a line before one; `head`
    is the first of them, and when it is due."""

    before: LineBefore
    head: Head
    blocks: dict[str, _Block] = field(factory=dict)
    states: dict[str, _State] = field(factory=dict)
    numbers: count[int] = field(factory=lambda: count(1))
    pauses: list[Paused | Resumed] = field(factory=list)

    def begin(self, start: Start) -> Acquired | Refusal:
        """Let a turn begin, or say why not now."""
        at, quota, key = start.upload.updated_at, start.quota, start.upload.key
        if (paused := self._pause_of(key)) is not None:
            return paused
        gate = self.gate(quota, at, key)
        leaves, patience = start.leaves, start.patience
        return rules.begin(gate, quota, at, start.courier_id, leaves=leaves, patience=patience)

    def end(self, request: Acquire) -> None:
        """The requests before that one have ended."""
        self._end(request.quota, request.ended, request.at)

    def acquire(self, request: Acquire) -> Acquired | Refusal:
        """Let a request leave, or say why not now."""
        self.end(request)
        if request.look_up is not None and (paused := self._pause_of(request.look_up.key)):
            return paused
        gate = self.gate(request.quota, request.at, request.key)
        return rules.go_on(gate, request.quota, request.at, request.courier_id, request.turn)

    def change(self, change: GateChange, tenant_id: str, provider: str) -> None:
        """Take note of what an end means."""
        self._end(change.quota, change.slots, change.at)
        state = self._of(change.quota)
        if change.turn is not None:
            state.turns.pop(change.turn, None)
        until = change.cooldown_until
        if until is not None and (state.cooldown is None or state.cooldown.until < until):
            state.cooldown = Cooldown(change.at, until)
        address = change.quota.address
        before = self.block_of(address)
        if change.block is not None:
            after = rules.block_after(before, change.block, change.at)
            self.blocks[address] = _Block(tenant_id, provider, after)
        if change.opens and before is not None and before.until is not None:
            del self.blocks[address]

    def block_of(self, address: str) -> Block | None:
        """The block of an integration."""
        found = self.blocks.get(address)
        return None if found is None else found.block

    def unblock(self, tenant_id: str, provider: str) -> None:
        """Forget the blocks of an integration."""
        for address, block in list(self.blocks.items()):
            if (block.tenant_id, block.provider) == (tenant_id, provider):
                del self.blocks[address]

    def paused(self) -> Sequence[Paused]:
        """What people have paused and not resumed."""
        found: dict[Scope, Paused] = {}
        for one in self.pauses:
            if isinstance(one, Paused):
                found[one.scope] = one
            else:
                del found[one.scope]
        return tuple(found.values())

    def _pause_of(self, key: UploadKey) -> Blocked | None:
        paused = pause_of(self.paused(), key.tenant_id, key.provider)
        return None if paused is None else Blocked(paused.failure)

    def pause(self, one: Paused | Resumed) -> None:
        """Take note of it, unless it changes nothing."""
        is_paused = any(known.scope == one.scope for known in self.paused())
        if is_paused != isinstance(one, Paused):
            self.pauses.append(one)

    def let_go(self, courier_id: int) -> None:
        """A courier has ended: its leases and its turns are over."""
        for state in self.states.values():
            if state.lease is not None and state.lease.holder == courier_id:
                state.lease = None
            state.turns = {n: t for n, t in state.turns.items() if t.courier_id != courier_id}

    @property
    def under_way(self) -> int:
        """How many requests count as under way."""
        return sum(
            slot.at == _UNDER_WAY for state in self.states.values() for slot in state.slots.values()
        )

    def line_of(self, line: str, now: datetime) -> Line:
        """What an estimate needs to know of a line."""
        state = self.states.get(credential_of(line))
        if state is None:
            return Line()
        quota, pace, lease = state.quota, state.quota.pace, state.lease
        if pace is None:
            return Line(cooldown=state.cooldown)
        used = _used(state, pace, now)[: pace.limit]
        contended = lease is not None and lease.is_wanted(now)
        size, begins, old = (quota.cost, quota.together), state.backfill_at, is_backfill(line)
        return Line(pace, *size, used, state.cooldown, contended, begins, old)

    def asks(self, line: str, key: UploadKey) -> bool:
        """Whether an upload's turn waits for a slot."""
        state = self.states.get(credential_of(line))
        return state is not None and any(
            turn.waits and state.keys.get(number) == key for number, turn in state.turns.items()
        )

    def _of(self, quota: Quota) -> _State:
        return self.states.setdefault(quota.credential, _State(evolve(quota, pace=None)))

    def _end(self, quota: Quota, slots: Sequence[int], at: datetime) -> None:
        state = self._of(quota)
        for number in slots:
            if number in state.slots and state.slots[number].at == _UNDER_WAY:
                state.slots[number].at = at

    def gate(self, quota: Quota, now: datetime, key: UploadKey | None = None) -> MemoryGate:
        """The gate of a credential as of one moment, for an upload that asks."""
        state = self._of(quota)
        if quota.pace is not None:
            state.quota = quota
        gate = MemoryGate(self, state, quota, now, key)
        gate.tidy()
        return gate


@define
class MemoryGate:
    """One credential's gate as of one moment: a `GateStore`."""

    gates: MemoryGates
    state: _State
    quota: Quota
    now: datetime
    key: UploadKey | None = None

    @property
    def _pace(self) -> Pace:
        assert self.quota.pace is not None
        return self.quota.pace

    def tidy(self) -> None:
        """What is over by now ends, and what lies far in the future is now."""
        if self.quota.pace is None:
            return
        state, now, period = self.state, self.now, self._pace.period
        latest, forgotten = later(now, self.quota.timeout), earlier(now, 2 * period)
        over = earlier(now, period)
        for number, slot in list(state.slots.items()):
            if slot.at == _UNDER_WAY and slot.until <= now:
                slot.at = slot.until
            if slot.at == _UNDER_WAY:
                slot.until = latest if is_set_back(latest, slot.until) else slot.until
            elif is_set_back(now, slot.at):
                slot.at = now
            if slot.at <= forgotten:
                del state.slots[number]
        state.turns = {
            number: evolve(turn, until=latest) if is_set_back(latest, turn.until) else turn
            for number, turn in state.turns.items()
            if turn.until > over
        }

    def block(self) -> Block | None:
        return self.gates.block_of(self.quota.address)

    def put_block(self, block: Block) -> None:
        blocks, address = self.gates.blocks, self.quota.address
        blocks[address] = evolve(blocks[address], block=block)

    def cooldown(self) -> Cooldown | None:
        if self.state.cooldown is not None:
            self.state.cooldown = self.state.cooldown.as_of(self.now)
        return self.state.cooldown

    def free(self) -> int:
        return self._pace.limit - len(_used(self.state, self._pace, self.now))

    def free_at(self, slots: int) -> datetime:
        used = _used(self.state, self._pace, self.now)[: self._pace.limit]
        return rules.free_at(used, self._pace, slots, self.now)

    def turns(self) -> Sequence[Turn]:
        return tuple(self.state.turns.values())

    def ahead(self, most: int) -> int:
        assert self.key is not None
        return self.gates.before(self.key, self.quota.line)

    def fresh_waits(self) -> bool:
        head = self.gates.head(self.quota.credential)
        return head is not None and head[0] <= self.now

    def backfill_at(self) -> datetime | None:
        return self.state.backfill_at

    def note_backfill(self, at: datetime) -> None:
        self.state.backfill_at = at

    def head_since(self) -> datetime:
        first = self.gates.head(self.quota.credential)
        head = None if first is None else first[1]
        if (
            self.state.head is None
            or self.state.head[0] != head
            or is_set_back(self.now, self.state.head[1])
        ):
            self.state.head = (head, self.now)
        return self.state.head[1]

    def head_asks(self, noted_before: datetime) -> None:
        head = self.state.head
        if head is not None and head[0] == self.key and head[1] < noted_before:
            self.state.head = (self.key, self.now)

    def lease(self) -> Lease | None:
        return self.state.lease

    def hold(self, lease: Lease) -> None:
        self.state.lease = lease

    def take(self) -> int:
        number = next(self.gates.numbers)
        self.state.slots[number] = _Slot(_UNDER_WAY, later(self.now, self.quota.timeout))
        return number

    def open(self, courier_id: int, owed: int) -> int:
        number = next(self.gates.numbers)
        until = later(self.now, self.quota.timeout)
        self.state.turns[number] = Turn(number, courier_id, owed, False, until)
        self.state.keys[number] = self.key
        return number

    def put(self, turn: Turn) -> None:
        self.state.turns[turn.id] = turn


def _used(state: _State, pace: Pace, now: datetime) -> list[datetime]:
    since = earlier(now, pace.period)
    return sorted((slot.at for slot in state.slots.values() if slot.at > since), reverse=True)
