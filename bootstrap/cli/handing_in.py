"""The records of an import go to a courier: each tenant's oldest first, and a few at a time."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Protocol, TypeAlias

from attrs import define, field

from ...adapters.engines.tickets import Ticket
from ...delivery.backfill import Estimate, Rate, time_for
from ...delivery.destinations import Destination
from ...domain.errors import CourierError, RecordError, StoreError
from ...domain.evidence.evidence import Evidence
from ...domain.upload.failure import Concern, FailureKind, sentence
from ...domain.upload.status import UploadStatus
from ...domain.upload.upload import StatusWord
from .old_records import OldRecord
from .outage import Outage, is_by_outage
from .undelivered import Places, Undelivered

KNOWN_AT_ONCE = 500
"""How many records are looked for in the database at once, before they are handed in."""

OPEN_AT_ONCE = 32
"""The most records of a tenant that are handed in and not at rest."""

COUNTED = 100
"""Of how many credentials what is fresh is counted."""

LOOK_AGAIN = 1.0
_UNTRIED: Sequence[StatusWord] = ("pending", "skipped")
GOES_ON: Sequence[StatusWord] = ("pending", "retrying")
"""What any courier goes on with."""


def _lists() -> defaultdict[str, list[UploadStatus]]:
    return defaultdict(list)


class Deliverer(Protocol):
    """What an import needs of a courier."""

    def submit(self, evidence: Evidence) -> Ticket: ...

    async def statuses(
        self, tenant_id: str, evidence_ids: Sequence[str]
    ) -> Mapping[str, UploadStatus]: ...


_Going: TypeAlias = "dict[str, asyncio.Future[UploadStatus | None]]"
"""What is handed in and waited for, by its evidence's id."""

_TO_DO: Mapping[Concern, str] = {
    Concern.INTEGRATION: "mend that",
    Concern.TARGET: "open it at the provider",
}


@define
class Import:
    """Hands in the records of each tenant, its oldest first, and a few at a time: what is recorded
    goes behind what is fresh, and what is tried again keeps others from being tried in vain.

    Args:
        seconds: A monotonic clock.
        tell: Is called with a sentence if the import of a tenant pauses, and if it goes on.
    """

    courier: Deliverer
    lanes: Mapping[str, tuple[Destination, Sequence[OldRecord]]]
    seconds: Callable[[], float]
    tell: Callable[[str], None]
    known: int = field(default=0, init=False)
    by_status: Counter[str] = field(factory=Counter, init=False)
    stopped: dict[str, str] = field(factory=dict, init=False)
    to_do: dict[str, str] = field(factory=dict, init=False)
    fresh: Mapping[str, int] = field(factory=dict, init=False)
    errors: list[Exception] = field(factory=list, init=False)
    under_way: dict[str, Sequence[str]] = field(factory=dict, init=False)
    known_going: dict[str, list[str]] = field(factory=dict, init=False)
    known_open: Counter[str] = field(factory=Counter, init=False)
    outages: dict[str, Outage] = field(factory=dict, init=False)
    undelivered: Counter[Undelivered] = field(factory=Counter, init=False)
    places: Places = field(factory=Places, init=False)
    _left: Counter[str] = field(factory=Counter, init=False)
    _going: dict[str, _Going] = field(factory=dict, init=False)
    _held: defaultdict[str, list[UploadStatus]] = field(factory=_lists, init=False)
    _rates: dict[str, Rate] = field(factory=dict, init=False)
    _busy: set[str] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._busy = {*self.lanes}
        self._left.update({one: len(records) for one, (_, records) in self.lanes.items()})

    @property
    def total(self) -> int:
        """How many records there are."""
        return sum(len(records) for _, records in self.lanes.values())

    @property
    def left(self) -> int:
        """How many are not handed in yet."""
        return self._left.total()

    def time_left(self) -> Estimate | None:
        """How long the rest takes, with what is handed in and waits, and behind what is fresh."""
        waiting = {
            one: number + len(self._going.get(one, ())) for one, number in self._left.items()
        }
        uploads = ((self.lanes[one][0].quota, number) for one, number in waiting.items())
        each = {one: rate.seconds_each(self.seconds()) for one, rate in self._rates.items()}
        observed = {one: known for one, known in each.items() if known is not None}
        return time_for(uploads, self.fresh, observed)

    @property
    def longest(self) -> Sequence[str]:
        """The credentials with the most that is left."""
        lanes = (self.lanes[one][0].quota.credential for one, _ in self._left.most_common())
        return [*islice(dict.fromkeys(lanes), COUNTED)]

    async def hand_in(self, tenant_id: str) -> None:
        """All of one tenant's records."""
        _, records = self.lanes[tenant_id]
        going: _Going = {}
        self._going[tenant_id] = going
        try:
            for start in range(0, len(records), KNOWN_AT_ONCE):
                if await self._ends(tenant_id):
                    break
                await self._hand_in(tenant_id, records[start : start + KNOWN_AT_ONCE], going)
            while going or (tenant_id in self.stopped and not await self._ends(tenant_id)):
                await self._wait(tenant_id, going, until_tried=True)
        finally:
            self._busy.discard(tenant_id)
            for task in going.values():
                task.cancel()
            if going:
                self.under_way[tenant_id] = [*going]

    @property
    def _is_refused(self) -> bool:
        """Whether the database refuses. What is wrong with one record ends no other."""
        return any(isinstance(error, StoreError) for error in self.errors)

    async def _ends(self, tenant_id: str) -> bool:
        """Whether no more of a tenant is handed in. What has stopped it is looked at again as long
        as other tenants go on: a person may have resumed or mended it."""
        while tenant_id in self.stopped and self._busy - self.stopped.keys():
            await asyncio.sleep(LOOK_AGAIN)
            held = [one.evidence_id for one in self._held[tenant_id]]
            found = await self.courier.statuses(tenant_id, held)
            if not any(one.stopped or is_by_outage(one) for one in found.values()):
                self._go_on(tenant_id)
        return self._is_refused or tenant_id in self.stopped

    def _go_on(self, tenant_id: str) -> None:
        """It is stopped no more: what is held for it goes on by itself, and is waited for."""
        del self.stopped[tenant_id]
        for status in self._held.pop(tenant_id):
            self.by_status[status.status] -= 1
            self._count_undelivered(status, -1)
            again = asyncio.get_running_loop().create_future()
            self._going[tenant_id][status.evidence_id] = again

    async def _hand_in(
        self,
        tenant_id: str,
        some: Sequence[OldRecord],
        going: _Going,
    ) -> None:
        found = await self.courier.statuses(tenant_id, [one.evidence_id for one in some])
        # What an earlier run has recorded and not tried is waited for, as if it were new: also what
        # was held, as by a pause that is over. What the settings excluded is handed in again:
        # perhaps they include it now.
        known = {one for one, status in found.items() if _was_tried(status)}
        for one in some:
            if one.evidence_id in known:
                self._count_known(one, found[one.evidence_id])
        self.known += len(known)
        self._left[tenant_id] -= len(known)
        for one in some:
            if one.evidence_id in known:
                continue
            while not self._has_room(tenant_id, going) and not await self._ends(tenant_id):
                await self._wait(tenant_id, going)
            if await self._ends(tenant_id):
                return
            self._submit(tenant_id, one, going)

    def _has_room(self, tenant_id: str, going: _Going) -> bool:
        """Whether one more may be handed in. While the platform is out that is one at a time."""
        outage = self.outages.get(tenant_id)
        if outage is None or going:
            return outage is None and len(going) < OPEN_AT_ONCE
        if not outage.announced:
            outage.announced = True
            self.tell(
                f"the import of tenant {tenant_id!r} pauses, as what was handed in has failed: "
                f"{outage.why}; one record at a time is tried until one is delivered"
            )
        return outage.may_try(self.seconds())

    def note_rest(
        self, statuses: Callable[[str, Sequence[str]], Mapping[str, UploadStatus]]
    ) -> None:
        """Note what became of those that were under way when a signal ended it."""
        for tenant_id, ids in self.under_way.items():
            found = statuses(tenant_id, ids)
            self._left[tenant_id] += len(ids) - len(found)
            for status in found.values():
                self._note(tenant_id, status)

    def _count_known(self, record: OldRecord, status: UploadStatus) -> None:
        """Count one that an earlier run has handed in; not yet if it is open, or its integration
        has stopped it: once that works it goes on by itself."""
        self.places.keep(record)
        kind = None if status.error is None else FailureKind(status.error.kind)
        is_stopped = kind is not None and kind.concern is Concern.INTEGRATION
        if is_stopped or status.status in GOES_ON:
            self.known_going.setdefault(status.tenant_id, []).append(status.evidence_id)
        else:
            self._count_undelivered(status)
            self.places.forget(status)

    def count_known_going(
        self, statuses: Callable[[str, Sequence[str]], Mapping[str, UploadStatus]]
    ) -> None:
        """Count these, as they are at the end."""
        for tenant_id, ids in self.known_going.items():
            for status in statuses(tenant_id, ids).values():
                self.known_open[status.status] += status.status in GOES_ON
                self._count_undelivered(status)

    def _submit(
        self,
        tenant_id: str,
        record: OldRecord,
        going: _Going,
    ) -> None:
        self._left[tenant_id] -= 1
        self._rates.setdefault(self._credential(tenant_id), Rate(self.seconds()))
        if (outage := self.outages.get(tenant_id)) is not None:
            outage.tried = record.evidence_id
        try:
            evidence = record.read()
        except RecordError as error:
            self.errors.append(error)
            return
        except OSError as error:
            why = record.problem(f"cannot be read again: {error.strerror or error}")
            self.errors.append(RecordError((why,)))
            return
        self.places.keep(record)
        settled = self.courier.submit(evidence).settled()
        going[record.evidence_id] = asyncio.ensure_future(settled)

    async def _wait(
        self,
        tenant_id: str,
        going: _Going,
        *,
        until_tried: bool = False,
    ) -> None:
        """Wait until one is settled, or for a moment; forget what is at rest, or `until_tried`
        also what is tried again later."""
        if not going:
            await asyncio.sleep(LOOK_AGAIN)
            return
        await asyncio.wait(going.values(), timeout=LOOK_AGAIN, return_when=asyncio.FIRST_COMPLETED)
        done = {one: task for one, task in going.items() if task.done()}
        for evidence_id, task in done.items():
            del going[evidence_id]
            try:
                status = task.result()
            except CourierError as error:
                self.errors.append(error)
            else:
                self._note(tenant_id, status)
        if going and not done:
            found = await self.courier.statuses(tenant_id, [*going])
            for evidence_id, status in found.items():
                # What was held before it was handed in again may be so still: its ticket tells.
                has_ticket = isinstance(going[evidence_id], asyncio.Task)
                tried = _was_tried(status) or (status.status == "held" and not has_ticket)
                if tried and (until_tried or status.at_rest):
                    going.pop(evidence_id).cancel()
                    self._note(tenant_id, status)

    def _credential(self, tenant_id: str) -> str:
        return self.lanes[tenant_id][0].quota.credential

    def _note(self, tenant_id: str, status: UploadStatus | None) -> None:
        if status is None:
            return
        self.by_status[status.status] += 1
        self._count_undelivered(status)
        if status.status != "held":  # that may go on
            self.places.forget(status)
        if (rate := self._rates.get(self._credential(tenant_id))) is not None:
            rate.note(self.seconds())
        if status.status == "succeeded":
            self._note_delivered(tenant_id)
        elif is_by_outage(status):
            self._note_outage(tenant_id, status)
        elif status.error is not None and status.stopped:
            kind = FailureKind(status.error.kind)
            if (to_do := _TO_DO.get(kind.concern)) is not None:
                self._stop(tenant_id, status, "resume it" if kind is FailureKind.PAUSED else to_do)

    def _count_undelivered(self, status: UploadStatus, number: int = 1) -> None:
        """Count what nothing more is done about without a person, by what it has failed for."""
        if (undelivered := Undelivered.of(status)) is not None:
            self.undelivered[undelivered] += number
            self.places.note(undelivered, status, number)

    def _note_delivered(self, tenant_id: str) -> None:
        outage = self.outages.pop(tenant_id, None)
        if outage is not None and outage.announced:
            self.tell(f"the import of tenant {tenant_id!r} goes on: one is delivered")

    def _note_outage(self, tenant_id: str, status: UploadStatus) -> None:
        outage = self.outages.setdefault(tenant_id, Outage())
        outage.note(status, self.seconds())
        if outage.is_too_long:
            del self.outages[tenant_id]
            self._stop(tenant_id, status, "see that the provider answers")

    def _stop(self, tenant_id: str, status: UploadStatus, to_do: str) -> None:
        """No more of the tenant is handed in, for what has ended this one."""
        assert status.error is not None
        self.to_do[tenant_id] = to_do
        self.stopped[tenant_id] = sentence(status.error.kind, status.error.message, None)
        self._held[tenant_id].append(status)


def _was_tried(status: UploadStatus) -> bool:
    is_held = status.status == "held" and not status.attempts
    return status.status not in _UNTRIED and not is_held
