"""The slots that the requests of one turn take at their gate."""

from __future__ import annotations

from collections.abc import MutableMapping

from attrs import define, evolve, field

from ..domain.pacing.gate import Acquired, Blocked, GateChange, NotBefore, Quota, Refusal
from ..domain.upload.upload import UploadKey
from ..ports.clock import Clock
from ..ports.gates import Acquire
from .effects import TakeSlot, Turn, perform


@define
class Slots:
    """One turn at its gate: each request takes its slot when it leaves.

    `key` is the upload for whose sake the gate is asked, patiently; without one it is asked once.
    `acquired` is what the turn was given last: its number, its lease, and a slot that the next
    request uses. `blocks` are the integrations that are blocked, by address, as far as the courier
    knows: a slot that was taken before is not used.
    """

    quota: Quota
    courier_id: int
    clock: Clock
    key: UploadKey | None = None
    blocks: MutableMapping[str, Blocked] = field(factory=dict)
    acquired: Acquired = field(factory=Acquired, init=False)
    _covered: bool = field(default=False, init=False)
    _under_way: int | None = field(default=None, init=False)
    _ended: list[int] = field(factory=list, init=False)

    def begun(self, acquired: Acquired) -> None:
        """The gate has let the turn begin: its first request needs no leave if it has its slot, or
        if nothing paces it."""
        self.blocks.pop(self.quota.address, None)
        self.acquired = acquired
        self._covered = acquired.slot is not None or self.quota.pace is None

    def reserve(self) -> Turn[Refusal | None]:
        """Take a slot for the next request if it has none; or why there is none now."""
        if self._covered:
            return None
        ended = tuple(self._ended)
        request = Acquire(
            self.quota, self.clock.now(), self.courier_id, self.acquired.turn, ended, self.key
        )
        answer = yield from perform(TakeSlot(request))
        del self._ended[: len(ended)]
        if not isinstance(answer, Acquired):
            if isinstance(answer, NotBefore):
                self.acquired = evolve(self.acquired, turn=answer.turn)
            return answer
        self.begun(answer)
        return None

    def leave(self) -> Turn[Refusal | None]:
        """Use a slot for a request that leaves now; or why it may not."""
        blocked = self.blocks.get(self.quota.address)
        refused = blocked if blocked is not None else (yield from self.reserve())
        if refused is None:
            self._under_way, self._covered = self.acquired.slot, False
            self.acquired = Acquired(None, self.acquired.turn, self.acquired.lease_since)
        return refused

    def returned(self) -> None:
        """The request that was under way has ended."""
        if self._under_way is not None:
            self._ended.append(self._under_way)
            self._under_way = None

    def end(self) -> GateChange:
        """The end of the turn, and of all its requests, if all went well."""
        self.returned()
        slots = (*self._ended, *([] if self.acquired.slot is None else [self.acquired.slot]))
        now, turn = self.clock.now(), self.acquired.turn
        return GateChange(self.quota, now, slots, turn=turn)
