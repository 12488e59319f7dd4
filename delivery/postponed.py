"""What waits for more than a minute: of each such upload a courier keeps its evidence's id, when it
is due, and the destination that it began with, credentials included. Shortly before it is due it
is read from the store again, with others.

Tickets that a caller still holds are found by it; it does not keep them.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Protocol, TypeAlias

from attrs import define, field, frozen

from ..domain.integration import spellings
from ..domain.upload.backoff import later
from ..domain.upload.status import UploadStatus
from ..domain.upload.upload import UploadKey
from .destinations import Destination

FAR = timedelta(minutes=1)
"""What waits longer is postponed."""

AHEAD = timedelta(seconds=30)
"""So long before it is due it is read again."""

SPAN = 30
"""What is due within this number of seconds is read together."""


class Waiter(Protocol):
    """One who waits for an upload, as a ticket does."""

    def mark_settled(self, status: UploadStatus | None) -> None:
        """The upload is at rest."""
        ...

    def mark_lost(self, error: Exception) -> None:
        """There is nothing to wait for any more."""
        ...

    def loosely(self, dropped: Callable[[], object]) -> Callable[[], Waiter | None]:
        """Itself, as long as something else keeps it; `dropped` is called when nothing does."""
        ...


_Loose: TypeAlias = dict[int, Callable[[], Waiter | None]]


@frozen(eq=False)
class _Group:
    """The postponed uploads of a tenant to a provider that began with one destination: when each is
    due, in seconds since 1970, by the id of its evidence."""

    tenant_id: str
    provider: str
    destination: Destination
    due: dict[str, float] = field(factory=dict, init=False)

    def key(self, evidence_id: str) -> UploadKey:
        """The key of one of them."""
        return UploadKey(self.tenant_id, evidence_id, self.provider)


_Entry: TypeAlias = tuple[_Group, str]


@define(eq=False)
class _Span:
    """What is due within one span of time: `first` the first of it, `left` how many of those that
    were put here are still postponed. Two lists, since an object for each would take half as much
    again."""

    number: int
    first: float
    left: int = field(default=0, init=False)
    _groups: list[_Group] = field(factory=list, init=False)
    _ids: list[str] = field(factory=list, init=False)

    def add(self, group: _Group, evidence_id: str, due: float) -> None:
        """One is postponed."""
        group.due[evidence_id] = due
        self.first = min(self.first, due)
        self._groups.append(group)
        self._ids.append(evidence_id)
        self.left += 1

    def one_left(self) -> None:
        """One is postponed no more. Those are kept no longer than there are as many others."""
        self.left -= 1
        if len(self._ids) > 2 * self.left:
            entries = self.entries()
            self._groups = [group for group, _ in entries]
            self._ids = [evidence_id for _, evidence_id in entries]

    def entries(self) -> Sequence[_Entry]:
        """Those that are still postponed, once each."""
        # Some were put here again, or elsewhere.
        both = dict.fromkeys(zip(self._groups, self._ids, strict=True))
        return [(group, one) for group, one in both if self._holds(group.due.get(one))]

    def _holds(self, due: float | None) -> bool:
        return due is not None and due // SPAN == self.number


class Postponed:
    """The postponed uploads of one courier, and those who wait for them."""

    def __init__(self) -> None:
        self._groups: dict[tuple[str, str], list[_Group]] = {}
        self._spans: dict[int, _Span] = {}
        self._named: set[_Entry] = set()
        self._order: list[int] = []
        self._waiters: dict[UploadKey, _Loose] = {}
        self._number = 0

    def __len__(self) -> int:
        return self._number

    def __contains__(self, key: UploadKey) -> bool:
        return self._group_of(key) is not None

    def put(
        self, key: UploadKey, destination: Destination, due: datetime, waiters: Iterable[Waiter]
    ) -> None:
        """Postpone an upload that is not postponed."""
        groups = self._groups.setdefault((key.tenant_id, key.provider), [])
        group = next((one for one in groups if one.destination is destination), None)
        if group is None:
            group = _Group(key.tenant_id, key.provider, destination)
            groups.append(group)
        seconds = due.timestamp()
        number = int(seconds // SPAN)
        span = self._spans.get(number)
        if span is None:
            span = self._spans[number] = _Span(number, seconds)
            heapq.heappush(self._order, number)
        span.add(group, key.evidence_id, seconds)
        self._number += 1
        self._watch(key, waiters)

    def take_back(self, key: UploadKey) -> Sequence[Waiter]:
        """Have an upload postponed no more, if it is; those who wait for it."""
        group = self._group_of(key)
        if group is None:
            return ()
        entry, due = (group, key.evidence_id), group.due.pop(key.evidence_id)
        if entry in self._named:
            self._named.remove(entry)
        else:
            self._spans[int(due // SPAN)].one_left()
        self._number -= 1
        if not group.due:
            groups = self._groups[key.tenant_id, key.provider]
            groups.remove(group)
            if not groups:
                del self._groups[key.tenant_id, key.provider]
        return _alive(self._waiters.pop(key, {}))

    def destination_of(self, key: UploadKey) -> Destination | None:
        """What a postponed upload began with."""
        group = self._group_of(key)
        return None if group is None else group.destination

    def due_of(self, key: UploadKey) -> datetime | None:
        """When a postponed upload is due."""
        group = self._group_of(key)
        return None if group is None else _moment(group.due[key.evidence_id])

    def next_due(self) -> datetime | None:
        """When the next is due that is to be read again."""
        while self._order and not self._spans[self._order[0]].left:
            del self._spans[heapq.heappop(self._order)]
        return _moment(self._spans[self._order[0]].first) if self._order else None

    def wanting(self, now: datetime) -> bool:
        """Whether some is to be read again now."""
        due = self.next_due()
        return due is not None and due <= later(now, AHEAD)

    def soon(self, until: datetime) -> Iterator[UploadKey]:
        """What is due until a moment, once: what is not taken back then is found in the store when
        it is overdue."""
        while (first := self.next_due()) is not None and first <= until:
            entries = self._spans.pop(heapq.heappop(self._order)).entries()
            self._named.update(entries)
            for group, evidence_id in entries:
                if evidence_id in group.due:
                    yield group.key(evidence_id)

    def __iter__(self) -> Iterator[UploadKey]:
        """All that are postponed, by tenant."""
        yield from _keys([group for groups in self._groups.values() for group in groups])

    def at(self, destination: Destination) -> Iterator[UploadKey]:
        """What began with the same credentials and settings. No other tenant is looked at."""
        integration, address = destination.integration, destination.quota.address
        homes = [(tenant, integration.provider) for tenant in spellings(integration.tenant_id)]
        groups = [group for home in homes for group in self._groups.get(home, ())]
        yield from _keys([one for one in groups if one.destination.quota.address == address])

    def waiters(self) -> Iterator[tuple[UploadKey, Waiter]]:
        """Those who wait, each with the upload."""
        for key, found in [*self._waiters.items()]:
            for waiter in _alive(found):
                yield key, waiter

    def _group_of(self, key: UploadKey) -> _Group | None:
        groups = self._groups.get((key.tenant_id, key.provider), ())
        return next((group for group in groups if key.evidence_id in group.due), None)

    def _watch(self, key: UploadKey, waiters: Iterable[Waiter]) -> None:
        found: _Loose = {}
        for number, waiter in enumerate(waiters):
            found[number] = waiter.loosely(partial(self._dropped, key, found, number))
        if found:
            self._waiters[key] = found

    def _dropped(self, key: UploadKey, found: _Loose, number: int) -> None:
        found.pop(number, None)
        if not found and self._waiters.get(key) is found:
            self._waiters.pop(key, None)


def _keys(groups: Iterable[_Group]) -> Iterator[UploadKey]:
    for group in groups:
        for evidence_id in [*group.due]:
            if evidence_id in group.due:
                yield group.key(evidence_id)


def _alive(found: _Loose) -> Sequence[Waiter]:
    return [waiter for each in [*found.values()] if (waiter := each()) is not None]


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
