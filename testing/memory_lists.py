"""Lists and figures of what a `MemoryStore` keeps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TypeAlias

from ..domain.health import Count, RecordsHealth, Stop, health_of, paused, stop_of
from ..domain.pacing.estimate import goes_on_when_free, outlook_of_free
from ..domain.pacing.paused import Paused, Resumed, pause_of, waits_since
from ..domain.upload.failure import Concern, FailureKind
from ..domain.upload.find import MOST_WITH_PREFIX, Find, too_many_begin_with
from ..domain.upload.status import Outlook, UploadStatus
from ..domain.upload.upload import Failed, Held, Status, cause_of, due_of, is_parked
from ..ports.records import Entry, InvalidTenants
from .memory_gates import MemoryGates
from .memory_record import MemoryRecord

Invalid: TypeAlias = Mapping[str, tuple[FailureKind, datetime]]
"""The tenants without a valid configuration: what is wrong with it, and since when."""


def found(records: Iterable[MemoryRecord], find: Find) -> list[MemoryRecord]:
    """Those for which every filter holds. MisuseError where too many begin with the prefix."""
    given = [*records]
    if find.id_prefix:
        keys = [one.upload.key for one in given if find.tenant_id in (None, one.upload.key[0])]
        if sum(key.evidence_id.startswith(find.id_prefix) for key in keys) > MOST_WITH_PREFIX:
            raise too_many_begin_with(find.id_prefix)
    return [
        one
        for one in given
        if find.holds(one.upload.key, one.upload.status, kind_of(one), one.upload.created_at)
    ]


def kind_of(record: MemoryRecord) -> str | None:
    """The kind of its error."""
    cause = cause_of(record.upload.state)
    return None if cause is None else cause.kind.value


def counts_of(records: Iterable[MemoryRecord]) -> list[Count]:
    """How many there are of each tenant, provider, status and error."""
    numbers: Counter[tuple[str, str, Status, str | None, bool]] = Counter()
    last: dict[tuple[str, str, Status, str | None, bool], datetime] = {}
    for record in records:
        upload = record.upload
        tenant_id, _, provider = upload.key
        cell = (tenant_id, provider, upload.status, kind_of(record), is_parked(upload.state))
        numbers[cell] += 1
        last[cell] = max(upload.updated_at, last.get(cell, upload.updated_at))
    return [
        Count(
            tenant_id=cell[0],
            provider=cell[1],
            status=cell[2],
            reason=cell[3],
            parked=cell[4],
            number=number,
            last_at=last[cell],
        )
        for cell, number in numbers.items()
    ]


def stops_of(gates: MemoryGates, invalid: Invalid) -> Sequence[Stop]:
    """What is blocked or parked, and the tenants without a valid configuration."""
    stops = [
        Stop(
            state="parked" if one.block.failure.kind.concern is Concern.TARGET else "blocked",
            tenant_id=one.tenant_id,
            provider=one.provider,
            since=one.block.since,
            reason=one.block.failure.kind.value,
            message=one.block.failure.message,
            until=one.block.until,
        )
        for one in gates.blocks.values()
    ]
    stops += map(stop_of, gates.paused())
    return stops + [
        Stop(state="skipped", tenant_id=tenant, provider="", since=at, reason=kind.value)
        for tenant, (kind, at) in invalid.items()
    ]


def place_of(records: Iterable[MemoryRecord], record: MemoryRecord, line: str | None) -> int:
    """How many of a line are due before this one."""
    due = due_of(record.upload.state)
    if due is None:
        return 0
    here = (due, record.arrival)
    return sum(
        other.line == line
        and (its_due := due_of(other.upload.state)) is not None
        and (its_due, other.arrival) < here
        for other in records
    )


def known_outlook(gates: MemoryGates, record: MemoryRecord) -> Outlook | None:
    """What an upload waits for that was held for what is over; None of others."""
    upload, provider = record.upload, record.upload.key.provider
    stops = [one for one in stops_of(gates, {}) if one.state != "parked"]
    is_stopped = any(one.covers(upload.key.tenant_id, provider) for one in stops)
    if is_stopped or not goes_on_when_free(upload.state):
        return None
    return outlook_of_free(upload.state, provider)


def health_in(
    oldest_first: Sequence[MemoryRecord],
    stops: Sequence[Stop],
    pauses: Sequence[Paused | Resumed],
    status_of: Callable[[MemoryRecord], UploadStatus],
    most: int | None,
) -> RecordsHealth:
    """How all of them stand."""
    late = []
    for one in oldest_first:
        pair = one.upload.key.tenant_id, one.upload.key.provider
        if counts_of([one])[0].may_be_late and not paused(stops, *pair):
            since = one.upload.tally.reopened_at or one.upload.created_at
            late.append((waits_since(since, *pair, pauses), one))
    late.sort(key=lambda pair: pair[0])
    oldest = {one.upload.key.tenant_id: since for since, one in reversed(late)}
    first = status_of(late[0][1]) if late else None
    return health_of(counts_of(oldest_first), oldest, first, stops, most)


def invalid_after(invalid: Invalid, change: InvalidTenants) -> Invalid:
    """Whose configuration is not valid, and since when, after this is told."""
    after = {one: why for one, why in invalid.items() if one not in change.valid}
    for one, cause in change.causes.items():
        if one not in after or after[one][0] is not cause:
            after[one] = (cause, change.at)
    return after


def freed_of(
    records: Iterable[MemoryRecord],
    gates: MemoryGates,
    addresses: Mapping[tuple[str, str], str],
    limit: int,
) -> Sequence[Entry]:
    """What may go on of these integrations, as in `UploadReader.freed`."""
    found: dict[tuple[str, str], list[Entry]] = {}
    blocked, paused = {None, *gates.blocks}, gates.paused()
    for record in filter(is_stuck, records):
        pair = record.upload.key.tenant_id, record.upload.key.provider
        if addresses.get(pair) not in blocked and pause_of(paused, *pair) is None:
            found.setdefault(pair, []).append(record.open_upload)
    return [held for group in found.values() for held in group[:limit]]


def is_stuck(record: MemoryRecord) -> bool:
    """Whether it waits until its integration or its target works."""
    state = record.upload.state
    if isinstance(state, Held | Failed):
        return state.cause.kind.concern is Concern.INTEGRATION
    return is_parked(state)
