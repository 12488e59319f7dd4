"""What a test may do to a store in memory, and see of it, beside the port."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Literal, TypeAlias

from ..domain.errors import StoreError
from ..domain.pacing.backfill import credential_of, is_backfill
from ..domain.upload.invariants import Record
from ..domain.upload.upload import Upload, UploadKey, due_of, is_parked
from .memory_gates import MemoryGates
from .memory_record import MemoryRecord

Verb: TypeAlias = Literal[
    "add",
    "begin",
    "acquire",
    "save",
    "get",
    "due",
    "counts",
    "statuses",
    "find",
    "counted",
    "health",
    "show",
    "fingerprint_key",
    "heartbeat",
    "unregister",
    "dead",
    "freed",
    "blocks_of",
    "paused",
    "acted_on",
    "settled",
    "of_person",
    "naming",
    "removals",
    "remove",
    "standing",
    "looked",
    "note",
    "claim",
    "notices_taken",
    "put_back",
]


class MemoryInspection:
    """What a test may do and see beside the port."""

    _records: dict[UploadKey, MemoryRecord]
    _faults: Counter[Verb]
    _gates: MemoryGates
    _couriers: set[int]
    _lock: AbstractContextManager[object]
    _closed: bool

    def fail_next(self, verb: Verb, times: int = 1) -> None:
        """Have the next calls of a method of the port raise StoreError and do nothing."""
        with self._lock:
            self._faults[verb] += times

    def records(self, living: Container[int]) -> list[Record]:
        """Everything that is kept of every upload, for `domain.invariants`; `living` are the
        couriers that are alive."""
        with self._lock:
            return [record.whole(living) for record in self._records.values()]

    def parked(self) -> int:
        """How many uploads are parked."""
        with self._lock:
            return sum(is_parked(record.upload.state) for record in self._records.values())

    def next_parked(self) -> datetime | None:
        """When the next parked upload is due."""
        with self._lock:
            states = (record.upload.state for record in self._records.values())
            return min((state.due for state in states if is_parked(state)), default=None)

    def unsettled(self) -> list[tuple[Upload, int | None]]:
        """What is not at rest, with the courier that had it in flight last."""
        with self._lock:
            return [
                (record.upload, record.courier_id)
                for record in self._records.values()
                if not record.upload.at_rest
            ]

    def requests_under_way(self) -> int:
        """How many requests the gates count as under way."""
        with self._lock:
            return self._gates.under_way

    def actions_of(self, key: UploadKey) -> list[str]:
        """What people did to an upload."""
        with self._lock:
            return [row.action for row in self._records[key].actions]

    def kill(self, courier_id: int) -> None:
        """Have a courier count as dead from now on."""
        with self._lock:
            self._couriers.discard(courier_id)

    def _go_on(self, verb: Verb) -> None:
        if self._closed:
            raise StoreError(f"memory: {verb} was not done: the store is closed")
        if self._faults[verb] > 0:
            self._faults[verb] -= 1
            raise StoreError(f"memory: {verb} was not done: a fault was asked for")

    def _ahead(self, line: str, now: datetime) -> int:
        """How much that is fresh and due goes before a line of old records."""
        if not is_backfill(line):
            return 0
        fresh = (one for one in self._records.values() if one.line == credential_of(line))
        return sum((due := due_of(one.upload.state)) is not None and due <= now for one in fresh)
