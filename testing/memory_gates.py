"""The gates of a `MemoryStore`: the same rules as everywhere, kept in dictionaries."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import count

from attrs import define, field, frozen

from ..domain.integration import Pace
from ..domain.pacing.gate import GateChange, Pause, Quota, expected_at, free_at
from ..domain.pacing.lease import Lease
from ..domain.upload.backoff import earlier, later
from ..domain.upload.failure import Failure

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
    _together: dict[str, int] = field(factory=dict)
    _tenures: dict[str, Lease] = field(factory=dict)
    _pauses: dict[str, Pause] = field(factory=dict)
    _blocks: dict[str, _Block] = field(factory=dict)
    _numbers: count[int] = field(factory=lambda: count(1))

    @property
    def blocked(self) -> set[str]:
        """The addresses that are blocked."""
        return set(self._blocks)

    def unblock(self, tenant_id: str, provider: str) -> None:
        for address, block in list(self._blocks.items()):
            if (block.tenant_id, block.provider) == (tenant_id, provider):
                del self._blocks[address]

    def block_of(self, address: str) -> Failure | None:
        block = self._blocks.get(address)
        return None if block is None else block.failure

    def pause_of(self, quota: Quota, now: datetime) -> Pause | None:
        self._paces[quota.credential] = quota.pace
        self._together[quota.credential] = quota.together
        pause = self._pauses.get(quota.credential)
        if pause is not None:
            pause = self._pauses[quota.credential] = pause.as_of(now)
        return pause

    def free_at(self, quota: Quota, pace: Pace, cost: int, now: datetime) -> datetime:
        slots = self._slots.setdefault(quota.credential, {})
        for number, slot in list(slots.items()):
            if slot.at <= earlier(now, 2 * pace.period):
                del slots[number]
            elif now < slot.at < _UNDER_WAY:  # the clock was set back
                slot.at = now
            elif slot.at == _UNDER_WAY:
                slot.until = min(slot.until, later(now, quota.patience))
        if len(self._used(quota.credential, pace, now)) + cost <= pace.limit:
            return now
        for slot in slots.values():
            if slot.at == _UNDER_WAY and slot.until <= now:
                slot.at = slot.until
        return free_at(self._used(quota.credential, pace, now)[: pace.limit], pace, cost, now)

    def holding(self, quota: Quota, now: datetime) -> _Holding:
        return _Holding(self, quota.credential, now)

    def tenure_of(self, credential: str) -> Lease | None:
        """Who has a credential that only one may use."""
        return self._tenures.get(credential)

    def hold(self, credential: str, tenure: Lease) -> None:
        """Somebody has it from now on, or wants it."""
        self._tenures[credential] = tenure

    def in_use(self, credential: str, now: datetime) -> bool:
        """Whether a request with it is under way."""
        slots = self._slots.get(credential, {}).values()
        return any(slot.at == _UNDER_WAY and slot.until > now for slot in slots)

    def let_go(self, courier_id: int) -> None:
        """A courier has ended: what it held is free, and what it left unfinished is over."""
        for credential, tenure in list(self._tenures.items()):
            if tenure.holder == courier_id:
                del self._tenures[credential]
                for slot in self._slots.get(credential, {}).values():
                    if slot.at == _UNDER_WAY:
                        slot.at = slot.until

    @property
    def under_way(self) -> int:
        """How many requests count as under way."""
        return sum(
            slot.at == _UNDER_WAY for slots in self._slots.values() for slot in slots.values()
        )

    def take(self, quota: Quota, cost: int, now: datetime) -> tuple[int, ...]:
        taken = tuple(next(self._numbers) for _ in range(cost))
        for number in taken:
            self._slots[quota.credential][number] = _Slot(_UNDER_WAY, later(now, quota.patience))
        return taken

    def change(self, change: GateChange, tenant_id: str, provider: str) -> None:
        """Take note of what an end means."""
        slots = self._slots.get(change.quota.credential, {})
        for number in change.slots:
            if number in slots and slots[number].at == _UNDER_WAY:
                slots[number].at = change.at
        known = self._pauses.get(change.quota.credential)
        if change.pause_until is not None and (known is None or known.until < change.pause_until):
            self._pauses[change.quota.credential] = Pause(change.at, change.pause_until)
        if change.block is not None:
            self._blocks[change.quota.address] = _Block(tenant_id, provider, change.block)

    def expected(
        self, credential: str | None, due: datetime, place: int, now: datetime
    ) -> datetime | None:
        """When somebody in a credential's line is likely to pass."""
        if credential is None:
            return None
        pace = self._paces.get(credential)
        used = [] if pace is None else self._used(credential, pace, now)[: pace.limit]
        together = self._together.get(credential, 1)
        return expected_at(due, place, used, pace, self._pauses.get(credential), now, together)

    def _used(self, credential: str, pace: Pace, now: datetime) -> list[datetime]:
        since = earlier(now, pace.period)
        slots = self._slots.get(credential, {}).values()
        return sorted((slot.at for slot in slots if slot.at > since), reverse=True)


@frozen
class _Holding:
    """See `tenure.LeaseStore`."""

    gates: MemoryGates
    credential: str
    now: datetime

    def tenure(self) -> Lease | None:
        return self.gates.tenure_of(self.credential)

    def in_use(self) -> bool:
        return self.gates.in_use(self.credential, self.now)

    def hold(self, tenure: Lease) -> None:
        self.gates.hold(self.credential, tenure)
