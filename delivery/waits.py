"""What uploads wait for. The log is told what a lane waits for, and what blocks or parks it: once,
and not for each of its uploads."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from datetime import datetime, timedelta

from attrs import define, evolve, field

from ..domain.integration import spellings
from ..domain.pacing.gate import GateChange, NotBefore
from ..domain.pacing.waits import WaitReason, wait_in_words
from ..domain.upload.backoff import later
from ..domain.upload.find import Find, all_of
from ..domain.upload.status import wait_for_valid
from ..domain.upload.upload import Status, UploadKey
from ..ports.logger import LogEvent, UploadsWait
from ..ports.records import UploadRecords
from .accounting import news_of_gate
from .destinations import Destination
from .effects import Notify, Turn, perform
from .sender import Sender, wait_out
from .slots import Slots

LOG_AGAIN_AFTER = timedelta(minutes=10)
"""A lane that has not waited for so long since is said to wait again."""


OPEN = tuple(status for status in Status if not status.at_rest)

_READ_AT_ONCE = 1_000


def nothing_goes(store: UploadRecords, invalid: Iterable[str], now: datetime) -> bool:
    """Whether all uploads are at rest, parked, or wait for the valid file of one of these tenants,
    but for those that are known to be unreadable."""
    still_open = sum(store.counts(OPEN, without_parked=True).values())
    if still_open:
        still_open -= sum(one.is_open for one in store.unreadable().values())
    return still_open <= (still_open and waiting_for_a_file(store, invalid, now))


def waiting_for_a_file(store: UploadRecords, tenants: Iterable[str], now: datetime) -> int:
    """How many open uploads of these tenants wait for a valid tenant file, but for those that are
    parked."""
    written = {spelling for one in tenants for spelling in spellings(one)}
    return sum(_waiting_of(store, tenant_id, now) for tenant_id in written)


def _waiting_of(store: UploadRecords, tenant_id: str, now: datetime) -> int:
    find = Find(tenant_id=tenant_id, statuses=OPEN, limit=_READ_AT_ONCE)
    found = all_of(lambda after: store.find(evolve(find, after=after), now))
    return sum(one.waits_for == wait_for_valid(tenant_id) and not one.parked for one in found)


@define
class WaitLog:
    """What the log was told of the lanes of one courier, and until when each waited last; and when
    it was told that an address (see `Quota`) is blocked or parked. `wants`: whether an event would
    be logged. `unreadable` are the uploads whose records cannot be read, as it was told."""

    wants: Callable[[LogEvent], bool] = lambda event: True
    unreadable: set[UploadKey] = field(factory=set, init=False)
    _waits: dict[tuple[Hashable, WaitReason], datetime] = field(factory=dict, init=False)
    _blocks: dict[str, datetime] = field(factory=dict, init=False)

    def sender(self, destination: Destination, slots: Slots) -> Sender:
        """A sender for one turn, whose waiting is told."""
        return Sender(destination, slots, wait=self._wait)

    def _wait(self, sender: Sender, refused: NotBefore) -> Turn[bool]:
        yield from self.tell(sender.destination, refused, sender.slots.clock.now())
        return (yield from wait_out(sender, refused))

    def tell(
        self, destination: Destination, refused: NotBefore | None, now: datetime
    ) -> Turn[NotBefore | None]:
        """Log that a request of a lane may not leave now, unless that is told or lasts for a moment
        only; the refusal."""
        if refused is None or refused.reason is WaitReason.BUSY:
            return refused
        lane = (destination.lane, refused.reason)
        before, self._waits[lane] = self._waits.get(lane), max(now, refused.at)
        if before is None or now > later(before, LOG_AGAIN_AFTER):
            integration, pace = destination.integration, destination.quota.pace
            words = wait_in_words(refused.reason, integration.provider, pace, refused.at, now)
            event = UploadsWait(integration.tenant_id, integration.provider, words, refused.at)
            yield from perform(Notify(event))
        return refused

    def tell_of_gate(
        self, key: UploadKey, gate: GateChange, due: datetime | None, began: datetime
    ) -> Turn[None]:
        """Log what an attempt or a look-up that began at `began` means for its gate. What began
        before a block or a park was told says nothing new of it."""
        logged_at = self._blocks.get(gate.quota.address)
        if gate.block is not None:
            if logged_at is not None and began <= logged_at <= gate.at:
                return
            self._blocks[gate.quota.address] = gate.at
        for news in news_of_gate(key, gate, due):
            yield from perform(Notify(news))
