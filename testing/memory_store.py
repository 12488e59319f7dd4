"""A whole store in dictionaries: what every other one must behave like, and what tests use in its
place.

Its faults are data: `fail_next("save", times=2)` makes the next two calls of `save` raise a
StoreError and write nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from itertools import count
from threading import RLock

from attrs import evolve

from ..domain.health import MOST_LISTED, Count, RecordsHealth
from ..domain.integration import tenant_key
from ..domain.pacing.backfill import line_of
from ..domain.pacing.estimate import outlook_alone, outlook_of, outlook_without
from ..domain.pacing.gate import Acquired, Block, GateChange, Refusal
from ..domain.pacing.paused import Paused, Resumed
from ..domain.upload.find import Find, Page, place_after, token_of
from ..domain.upload.status import (
    Outlook,
    UploadDetails,
    UploadStatus,
    status_of_upload,
)
from ..domain.upload.upload import (
    UNKNOWN_PROVIDER,
    Sending,
    Status,
    Succeeded,
    UploadKey,
    due_of,
    is_parked,
)
from ..ports.couriers import NO_TENANTS
from ..ports.gates import Acquire, AcquireAnswer
from ..ports.records import (
    ActedOn,
    AddAnswer,
    Added,
    AnyChange,
    BeginAnswer,
    Begun,
    Change,
    Conflict,
    Entry,
    InvalidTenants,
    Known,
    NamedProvider,
    SaveAnswer,
    Saved,
    Start,
    Unreadable,
)
from ..ports.removal import RemovalRow
from . import memory_lists as lists
from .memory_chain import MemoryChain
from .memory_gates import MemoryGates
from .memory_inspection import MemoryInspection, Verb
from .memory_notices import MemoryNotices
from .memory_record import MemoryRecord
from .memory_removal import MemoryRemovals


class _Couriers(MemoryInspection):
    """Who sends."""

    _registered: int

    def fingerprint_key(self) -> bytes:
        """As in `Gates`. Always the same: nothing that is kept here outlives the process."""
        with self._lock:
            self._go_on("fingerprint_key")
            return b"the key of a store in memory"

    def heartbeat(self, courier_id: int | None, now: datetime) -> int:
        with self._lock:
            self._go_on("heartbeat")
            if courier_id is None:
                courier_id = self._registered = self._registered + 1
                self._couriers.add(courier_id)
            return courier_id

    def unregister(self, courier_id: int) -> None:
        with self._lock:
            self._go_on("unregister")
            self._couriers.discard(courier_id)
            self._gates.let_go(courier_id)

    def dead(
        self, caller: int, limit: int, without: Mapping[int, Collection[str]] = NO_TENANTS
    ) -> Mapping[int, Sequence[Entry]]:
        """As in `Couriers`: who has something in flight and is not registered."""
        with self._lock:
            self._go_on("dead")
            found: dict[int, list[Entry]] = {}
            for record in self._records.values():
                sender = record.courier_id
                known = sender is None or sender == caller or sender in self._couriers
                if isinstance(record.upload.state, Sending) and not known:
                    left = found.setdefault(sender or 0, [])
                    left_out = record.upload.key.tenant_id in without.get(sender or 0, ())
                    if not left_out and len(left) < limit:
                        left.append(record.open_upload)
            return dict(sorted(found.items()))


class _Stops(MemoryInspection):
    """What stops uploads: the blocks of addresses, and what people have paused."""

    def blocks_of(self, addresses: Iterable[str]) -> Mapping[str, Block]:
        with self._lock:
            self._go_on("blocks_of")
            found = {one: self._gates.block_of(one) for one in addresses}
            return {one: block for one, block in found.items() if block is not None}

    def unreadable(self) -> Mapping[UploadKey, Unreadable]:
        """As in `UploadReader`. No other hands write here."""
        return {}

    def paused(self) -> Sequence[Paused]:
        with self._lock:
            self._go_on("paused")
            return self._gates.paused()

    def freed(self, addresses: Mapping[tuple[str, str], str], limit: int) -> Sequence[Entry]:
        with self._lock:
            self._go_on("freed")
            return lists.freed_of(self._records.values(), self._gates, addresses, limit)


class MemoryStore(_Couriers, _Stops, MemoryNotices, MemoryChain, MemoryRemovals):
    """An `UploadStore` that forgets everything at its end. May be used from any thread."""

    def __init__(self, *, keep_documents: bool = False) -> None:
        super().__init__()
        self._keep_documents = keep_documents
        self._records: dict[UploadKey, MemoryRecord] = {}
        self._invalid: lists.Invalid = {}
        self._arrivals = count(1)
        self._faults: Counter[Verb] = Counter()
        self._gates = MemoryGates(self._before, self._head)
        self._acted: list[UploadKey] = []
        self._couriers: set[int] = set()
        self._registered = 0
        self._removed: list[RemovalRow] = []
        self._lock = RLock()
        self._closed = False

    def add(self, entries: Sequence[Entry]) -> Sequence[AddAnswer]:
        with self._lock:
            self._go_on("add")
            return [self._add(entry) for entry in entries]

    def begin(self, turns: Sequence[Sequence[Start]]) -> Sequence[Sequence[BeginAnswer]]:
        with self._lock:
            self._go_on("begin")
            return [self._begin(turn) for turn in turns]

    def acquire(self, requests: Sequence[Acquire]) -> Sequence[AcquireAnswer]:
        with self._lock:
            self._go_on("acquire")
            return [self._acquire(request) for request in requests]

    def save(self, changes: Sequence[AnyChange]) -> Sequence[SaveAnswer]:
        with self._lock:
            self._go_on("save")
            return [self._save(change) for change in changes]

    def get(self, keys: Sequence[UploadKey], *, staged: bool = False) -> Mapping[UploadKey, Entry]:
        with self._lock:
            self._go_on("get")
            found = {key: self._records[key] for key in keys if key in self._records}
            return {
                key: evolve(record.open_upload, content=record.content if staged else None)
                for key, record in found.items()
            }

    def due(
        self,
        before: datetime,
        limit: int,
        *,
        lines: Mapping[str | None, Collection[str]] | None = None,
        written_after: datetime | None = None,
    ) -> Mapping[str | None, Sequence[UploadKey]]:
        with self._lock:
            self._go_on("due")
            overdue = [
                (due, record)
                for record in self._records.values()
                if (due := due_of(record.upload.state)) is not None and due <= before
            ]
            if lines is None:
                lines = {record.line: () for _, record in overdue}
            found: dict[str | None, list[UploadKey]] = {one: [] for one in lines}
            for _, record in sorted(overdue, key=lambda one: one[0]):
                upload, line = record.upload, record.line
                if (
                    line in lines
                    and len(found[line]) < limit
                    and upload.key.tenant_id not in lines[line]
                    and (written_after is None or upload.updated_at > written_after)
                ):
                    found[line].append(upload.key)
            return found

    def counts(
        self, statuses: Collection[Status] = tuple(Status), *, without_parked: bool = False
    ) -> Mapping[Status, int]:
        with self._lock:
            self._go_on("counts")
            uploads = [record.upload for record in self._records.values()]
            found = Counter(
                upload.status
                for upload in uploads
                if not (without_parked and is_parked(upload.state))
            )
            return {status: found[status] for status in statuses}

    def statuses(
        self, tenant_id: str, evidence_ids: Sequence[str], now: datetime
    ) -> Mapping[str, UploadStatus]:
        with self._lock:
            self._go_on("statuses")
            wanted = set(evidence_ids)
            found = {
                record.upload.key.evidence_id: self._status(record, now)
                for record in self._oldest_first()
                if record.upload.key.tenant_id == tenant_id
                and record.upload.key.evidence_id in wanted
            }
            return found | {
                one: self._status(record, now)
                for one in wanted - found.keys()
                if (record := self._erased(tenant_id, one)) is not None
            }

    def find(self, find: Find, now: datetime) -> Page:
        with self._lock:
            self._go_on("find")
            after = place_after(find)
            fitting = lists.found(reversed(self._oldest_first()), find)
            found = [record for record in fitting if after is None or record.place < after]
            page = found[: find.limit]
            return Page(
                uploads=tuple(self._status(record, now) for record in page),
                next_page=token_of(page[-1].place) if len(found) > len(page) else None,
            )

    def counted(self, find: Find) -> Sequence[Count]:
        with self._lock:
            self._go_on("counted")
            return lists.counts_of(lists.found(self._records.values(), find))

    def health(self, now: datetime) -> RecordsHealth:
        with self._lock:
            self._go_on("health")
            figures, number = self._health(now, MOST_LISTED), len(self._couriers)
            return evolve(figures, notices=self._sinks(), couriers=number)

    def _health(self, now: datetime, most: int | None) -> RecordsHealth:
        stops, pauses = lists.stops_of(self._gates, self._invalid), self._gates.pauses
        status_of = partial(self._status, now=now)
        return lists.health_in(self._oldest_first(), stops, pauses, status_of, most)

    def show(self, tenant_id: str, evidence_id: str, now: datetime) -> UploadDetails | None:
        with self._lock:
            self._go_on("show")
            newest = self._newest(tenant_id, evidence_id)
            newest = newest or self._erased(tenant_id, evidence_id)
            if newest is None:
                return None
            return newest.details(self._status(newest, now), self._gates.pauses, self._removed)

    # --- what people do ---

    def acted_on(self, after: int | None) -> ActedOn:
        with self._lock:
            self._go_on("acted_on")
            mark = len(self._acted)
            return ActedOn(() if after is None else tuple(dict.fromkeys(self._acted[after:])), mark)

    def close(self) -> None:
        with self._lock:
            self._closed = True

    def _add(self, entry: Entry) -> AddAnswer:
        key = entry.upload.key
        if key.provider == UNKNOWN_PROVIDER:
            known = self._newest(key.tenant_id, key.evidence_id)
        else:
            self._name(key, entry.credential, entry.dossier.settings)
            known = self._records.get(key)
        known = known or self._erased(*key)
        if known is not None:
            return Known(known.upload, known.dossier.submitted_digest)
        line = line_of(entry.credential, entry.dossier.backfill)
        self._records[key] = MemoryRecord(
            next(self._arrivals), entry.upload, entry.dossier, entry.content, line
        )
        return Added()

    def _begin(self, turn: Sequence[Start]) -> Sequence[BeginAnswer]:
        answers: list[BeginAnswer] = []
        begun: Acquired | Refusal | None = None
        for start in turn:
            lost = self._outdated(start)
            if lost is not None:
                answers.append(lost)
                continue
            if begun is None:
                begun = self._gates.begin(start)
            if isinstance(begun, Acquired):
                answers.append(self._send(start, begun))
                begun = Acquired()  # the others travel with the first
            else:
                answers.append(begun)
        return answers

    def _acquire(self, request: Acquire) -> AcquireAnswer:
        look_up = None if request.look_up is None else Change(request.look_up)
        if look_up is not None and (lost := self._outdated(look_up)) is not None:
            self._gates.end(request)
            return lost
        answer = self._gates.acquire(request)
        if look_up is not None and isinstance(answer, Acquired):
            self._write(look_up)
        return answer

    def _outdated(self, change: Start | Change) -> Conflict | None:
        record = self._records.get(change.upload.key)
        if record is None or record.upload.version != change.upload.version - 1:
            return Conflict(None if record is None else record.upload)
        return None

    def _send(self, start: Start, begun: Acquired) -> Begun:
        record = self._records[start.upload.key]
        self._write(Change(start.upload))
        record.courier_id, record.budget = start.courier_id, start.budget
        record.line = start.quota.line
        # The line says what it is.
        record.dossier = evolve(record.dossier, backfill=start.quota.backfill)
        return Begun(record.content, begun)

    def _before(self, key: UploadKey, line: str) -> int:
        return lists.place_of(self._records.values(), self._records[key], line)

    def _head(self, line: str) -> tuple[datetime, UploadKey] | None:
        waiting = [
            (due, record.arrival, key)
            for key, record in self._records.items()
            if record.line == line and (due := due_of(record.upload.state)) is not None
        ]
        due, _, key = min(waiting, default=(None, 0, None))
        return None if due is None or key is None else (due, key)

    def _status(self, record: MemoryRecord, now: datetime) -> UploadStatus:
        upload, name, outlook = record.upload, record.line, Outlook()
        if name is not None and not upload.status.at_rest:
            line, place = (
                self._gates.line_of(name, now),
                lists.place_of(self._records.values(), record, name),
            )
            line = evolve(line, ahead=self._ahead(name, now))
            asks = self._gates.asks(name, upload.key)
            state, provider = upload.state, upload.key.provider
            outlook = outlook_of(state, provider, line, place, now, asks=asks)
        tenant_id = upload.key.tenant_id
        free = lists.known_outlook(self._gates, record)
        outlook, goes_on = free or outlook, free is not None or due_of(upload.state) is not None
        if not self._couriers:
            outlook = outlook_alone(outlook)
        invalid = self._invalid.get(tenant_key(tenant_id))
        if invalid is not None and goes_on:
            outlook = outlook_without(invalid[0], tenant_id, upload.key.provider, outlook)
        return record.with_removals(status_of_upload(upload, record.last_attempt_at, outlook))

    def _newest(self, tenant_id: str, evidence_id: str) -> MemoryRecord | None:
        keys = (key for key in self._records if key.evidence == (tenant_id, evidence_id))
        return max(map(self._records.__getitem__, keys), key=lambda one: one.place, default=None)

    def _name(self, key: UploadKey, credential: str | None, settings: Mapping[str, object]) -> None:
        """Give an evidence's upload whose provider was not known its key."""
        unnamed = key._replace(provider=UNKNOWN_PROVIDER)
        if unnamed in self._records and key not in self._records:
            self._records[unnamed].name(key, credential, settings)
            # In the place that it had: the order is that of arrival.
            self._records = {one.upload.key: one for one in self._records.values()}

    def _save(self, change: AnyChange) -> SaveAnswer:
        match change:
            case Change():
                return self._write(change) or Saved()
            case NamedProvider():
                for old in [*self._records]:
                    if old.tenant_id == change.tenant_id:
                        key = old._replace(provider=change.provider)
                        self._name(key, change.credential, change.settings)
            case InvalidTenants():
                self._invalid = lists.invalid_after(self._invalid, change)
            case Paused() | Resumed():
                self._gates.pause(change)
            case GateChange():
                self._gates.change(evolve(change, block=None), "", "")
        return Saved()

    def _write(self, change: Change) -> Conflict | None:
        lost = self._outdated(change)
        if lost is not None:
            return lost
        upload = change.upload
        record = self._records[upload.key]
        record.take(change)
        if change.action is not None:
            self._acted.append(upload.key)
        if change.unblocks:
            self._gates.unblock(upload.key.tenant_id, upload.key.provider)
        if change.gate is not None:
            self._gates.change(change.gate, upload.key.tenant_id, upload.key.provider)
        if isinstance(upload.state, Succeeded) and not self._keep_documents:
            record.content = None
        return None

    def _oldest_first(self) -> list[MemoryRecord]:
        return sorted(self._records.values(), key=lambda record: record.place)
