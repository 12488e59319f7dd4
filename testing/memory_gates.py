"""The gates of a `MemoryStore`: the same rules as everywhere, kept in dictionaries."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count

from attrs import define, field, frozen

from ..domain.backoff import later
from ..domain.failure import Failure
from ..domain.gate import (
    COURTESY,
    ORDERED,
    GateChange,
    NotBefore,
    Passage,
    Pause,
    Refusal,
    Shut,
    expected_at,
    free_at,
    must_step_aside,
    paused_until,
)
from ..domain.integration import Pace

_UNDER_WAY = datetime.max.replace(tzinfo=UTC)


@define
class _Slot:
    at: datetime
    until: datetime


@frozen
class _Block:
    tenant_id: str
    provider: str
    failure: Failure


@define
class MemoryGates:
    """Who may pass, and when."""

    _slots: dict[str, dict[int, _Slot]] = field(factory=dict)
    _paces: dict[str, Pace | None] = field(factory=dict)
    _pauses: dict[str, Pause] = field(factory=dict)
    _blocks: dict[str, _Block] = field(factory=dict)
    _numbers: count[int] = field(factory=lambda: count(1))

    @property
    def blocked(self) -> set[str]:
        """The addresses that are blocked."""
        return set(self._blocks)

    def unblock(self, tenant_id: str, provider: str) -> None:
        """See the port of the store."""
        for address, block in list(self._blocks.items()):
            if (block.tenant_id, block.provider) == (tenant_id, provider):
                del self._blocks[address]

    def ask(
        self, passage: Passage, cost: int, at: datetime, longer_waiting: Callable[[], int] | None
    ) -> tuple[int, ...] | Refusal:
        """The slots of so many requests, or why not now."""
        if (block := self._blocks.get(passage.address)) is not None:
            return Shut(block.failure)
        self._paces[passage.credential] = pace = passage.pace
        pause = self._pauses.get(passage.credential)
        if pause is not None and pause.since > at:  # the clock was set back
            self._pauses[passage.credential] = Pause(at, later(at, pause.until - pause.since))
        if (until := paused_until(self._pauses.get(passage.credential), at)) is not None:
            return NotBefore(until)
        if pace is None:
            return ()
        slots = self._slots.setdefault(passage.credential, {})
        for number, slot in list(slots.items()):
            if slot.at <= _before(at, 2 * pace.period):
                del slots[number]
            elif at < slot.at < _UNDER_WAY:  # the clock was set back
                slot.at = at
            elif slot.at == _UNDER_WAY:
                slot.until = min(slot.until, later(at, passage.patience))
        used = self._used(passage.credential, pace, at)
        if len(used) + cost > pace.limit:
            for slot in slots.values():
                if slot.at == _UNDER_WAY and slot.until <= at:
                    slot.at = slot.until
            free = free_at(self._used(passage.credential, pace, at)[: pace.limit], pace, cost, at)
            if free > at:
                return NotBefore(free)
        if longer_waiting is not None and pace.limit <= ORDERED and must_step_aside(longer_waiting(), pace):
            return NotBefore(later(at, COURTESY))
        taken = tuple(next(self._numbers) for _ in range(cost))
        for number in taken:
            slots[number] = _Slot(_UNDER_WAY, later(at, passage.patience))
        return taken

    def change(self, change: GateChange, tenant_id: str, provider: str) -> None:
        """Take note of what an end means."""
        slots = self._slots.get(change.passage.credential, {})
        for number in change.slots:
            if number in slots and slots[number].at == _UNDER_WAY:
                slots[number].at = change.at
        known = self._pauses.get(change.passage.credential)
        if change.pause_until is not None and (known is None or known.until < change.pause_until):
            self._pauses[change.passage.credential] = Pause(change.at, change.pause_until)
        if change.block is not None:
            self._blocks[change.passage.address] = _Block(tenant_id, provider, change.block)

    def expected(self, credential: str | None, due: datetime, place: int, now: datetime) -> datetime | None:
        """When somebody in a credential's line is likely to pass."""
        if credential is None:
            return None
        pace = self._paces.get(credential)
        used = [] if pace is None else self._used(credential, pace, now)[: pace.limit]
        return expected_at(due, place, used, pace, self._pauses.get(credential), now)

    def _used(self, credential: str, pace: Pace, now: datetime) -> list[datetime]:
        since = _before(now, pace.period)
        slots = self._slots.get(credential, {}).values()
        return sorted((slot.at for slot in slots if slot.at > since), reverse=True)


def _before(at: datetime, span: timedelta) -> datetime:
    try:
        return at - span
    except OverflowError:
        return datetime.min.replace(tzinfo=UTC)
