"""The slots that the requests of one turn take at their gate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from attrs import define, evolve, field

from ..domain.pacing.gate import Acquired, Blocked, GateChange, NotBefore, Quota, Refusal
from ..domain.upload.failure import Failure
from ..domain.upload.upload import Upload, UploadKey
from ..ports.clock import Clock
from ..ports.gates import Acquire
from ..ports.records import Conflict
from .effects import TakeSlot, Turn, perform


@define
class Blocks:
    """The integrations that are blocked, by address, as far as one courier knows.

    A block counts from the moment when a reply has told of it: until it is written, the gate does
    not know it, and what it allows does not lift it.
    """

    _known: dict[str, Blocked] = field(factory=dict, init=False)
    _unwritten: Counter[str] = field(factory=Counter, init=False)

    def get(self, address: str) -> Blocked | None:
        """The block of an integration; None: it has none."""
        return self._known.get(address)

    def put(self, address: str, blocked: Blocked) -> None:
        """Note a block that is written."""
        self._known[address] = blocked

    @contextmanager
    def while_written(self, *addresses: tuple[str, Failure]) -> Iterator[None]:
        """Note blocks that are written meanwhile."""
        for address, failure in addresses:
            self._known[address] = Blocked(failure)
            self._unwritten[address] += 1
        try:
            yield
        finally:
            for address, _ in addresses:
                self._unwritten[address] -= 1
            self._unwritten += Counter()  # without those that are at zero

    def allowed(self, address: str) -> None:
        """The gate allows a request."""
        if address not in self._unwritten:
            self._known.pop(address, None)


@define
class Slots:
    """One turn at its gate: each request takes its slot when it leaves.

    `key` is the upload for whose sake the gate is asked, patiently; without one it is asked once.
    `acquired` is what the turn was given last: its number, its lease, and a slot that the next
    request uses. `blocks`: while its integration is blocked, a slot that was taken before is
    not used.
    """

    quota: Quota
    courier_id: int
    clock: Clock
    key: UploadKey | None = None
    blocks: Blocks = field(factory=Blocks)
    acquired: Acquired = field(default=Acquired(), init=False)
    _covered: bool = field(default=False, init=False)
    _under_way: int | None = field(default=None, init=False)
    _ended: tuple[int, ...] = field(default=(), init=False)

    def begun(self, acquired: Acquired) -> None:
        """The gate has let the turn begin: its first request needs no leave if it has its slot, or
        if nothing paces it."""
        self.blocks.allowed(self.quota.address)
        self.acquired = acquired
        self._covered = acquired.slot is not None or self.quota.pace is None

    def reserve(self) -> Turn[Refusal | None]:
        """Take a slot for the next request if it has none; or why none is free now."""
        if self._covered:
            return None
        refused = yield from self.ask(None)
        assert not isinstance(refused, Conflict)
        return refused

    def ask(self, look_up: Upload | None) -> Turn[Refusal | Conflict | None]:
        """Ask the gate for a slot, and if a look-up begins with it, have the upload written as it
        is meanwhile; or why none is free, or why that may not begin."""
        ended, now, turn = self._ended, self.clock.now(), self.acquired.turn
        request = Acquire(self.quota, now, self.courier_id, turn, ended, self.key, look_up)
        answer = yield from perform(TakeSlot(request))
        self._ended = self._ended[len(ended) :]
        if not isinstance(answer, Acquired):
            if isinstance(answer, NotBefore):
                self.acquired = evolve(self.acquired, turn=answer.turn)
            return answer
        self.begun(answer)
        return None

    def leave(self) -> Turn[Refusal | None]:
        """Use a slot for a request that leaves now; or why it may not."""
        blocked = self.blocks.get(self.quota.address)
        refused: Refusal | None = blocked
        if blocked is None and not self._covered:
            refused = yield from self.reserve()
        if refused is None:
            self._under_way, self._covered = self.acquired.slot, False
            self.acquired = Acquired(None, self.acquired.turn, self.acquired.lease_since)
        return refused

    def returned(self) -> None:
        """The request that was under way has ended."""
        if self._under_way is not None:
            self._ended += (self._under_way,)
            self._under_way = None

    def end(self, *, opens: bool = False) -> GateChange:
        """The end of the turn, and of all its requests, if all went well; see `GateChange`."""
        self.returned()
        slot = self.acquired.slot
        slots = self._ended if slot is None else (*self._ended, slot)
        now, turn = self.clock.now(), self.acquired.turn
        return GateChange(self.quota, now, slots, turn=turn, opens=opens)
