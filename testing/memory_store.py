"""A whole store in dictionaries: what every other one must behave like, and what tests use in its place.

Its faults are data: `fail_next("save", times=2)` makes the next two calls of `save` raise a StoreError and write nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from threading import RLock
from typing import Literal, TypeAlias

from attrs import define, field

from ..adapters.stores.history import details_of
from ..adapters.stores.paging import Place, place_after, token_of
from ..domain.attempt import Attempt
from ..domain.errors import StoreError
from ..domain.status import UploadDetails, UploadStatus, status_of_upload
from ..domain.upload import Sending, Status, Succeeded, Upload, UploadKey, due_of
from ..ports.store import (
    AddAnswer,
    Added,
    BeginAnswer,
    Begun,
    Change,
    Conflict,
    Dossier,
    Entry,
    Find,
    Known,
    OpenUpload,
    Page,
    SaveAnswer,
    Saved,
)

Verb: TypeAlias = Literal[
    "add", "begin", "save", "get", "due", "count_open", "counts", "statuses", "find", "show"
]


@define
class _Record:
    arrival: int
    upload: Upload
    dossier: Dossier
    content: bytes | None
    last_attempt_at: datetime | None = None
    attempts: list[Attempt] = field(factory=list)

    @property
    def place(self) -> Place:
        return Place(self.upload.created_at, self.arrival)

    @property
    def status(self) -> UploadStatus:
        return status_of_upload(self.upload, self.last_attempt_at)

    @property
    def open_upload(self) -> OpenUpload:
        return OpenUpload(self.upload, self.dossier)


class MemoryStore:
    """An `UploadStore` that forgets everything at its end. May be used from any thread."""

    def __init__(self, *, keep_documents: bool = False) -> None:
        self._keep_documents = keep_documents
        self._records: dict[UploadKey, _Record] = {}
        self._faults: Counter[Verb] = Counter()
        self._lock = RLock()
        self._closed = False

    def fail_next(self, verb: Verb, times: int = 1) -> None:
        """Have the next calls of a method of the port raise StoreError and do nothing."""
        with self._lock:
            self._faults[verb] += times

    def add(self, entries: Sequence[Entry]) -> Sequence[AddAnswer]:
        """See the port."""
        with self._lock:
            self._go_on("add")
            return [self._add(entry) for entry in entries]

    def begin(self, changes: Sequence[Change]) -> Sequence[BeginAnswer]:
        """See the port."""
        with self._lock:
            self._go_on("begin")
            return [
                self._write(change) or Begun(self._records[change.upload.key].content) for change in changes
            ]

    def save(self, changes: Sequence[Change]) -> Sequence[SaveAnswer]:
        """See the port."""
        with self._lock:
            self._go_on("save")
            return [self._write(change) or Saved() for change in changes]

    def get(self, keys: Sequence[UploadKey]) -> Mapping[UploadKey, OpenUpload]:
        """See the port."""
        with self._lock:
            self._go_on("get")
            return {key: self._records[key].open_upload for key in keys if key in self._records}

    def due(self, before: datetime, limit: int) -> Sequence[OpenUpload]:
        """See the port."""
        with self._lock:
            self._go_on("due")
            dues = [(due_of(record.upload.state), record) for record in self._records.values()]
            found = [
                (due, record.arrival, record) for due, record in dues if due is not None and due <= before
            ]
            return [record.open_upload for _, _, record in sorted(found, key=lambda item: item[:2])][:limit]

    def count_open(self) -> int:
        """See the port."""
        with self._lock:
            self._go_on("count_open")
            return sum(not record.upload.status.at_rest for record in self._records.values())

    def counts(self) -> Mapping[Status, int]:
        """See the port; every status is there, with 0 where no upload has it."""
        with self._lock:
            self._go_on("counts")
            found = Counter(record.upload.status for record in self._records.values())
            return {status: found[status] for status in Status}

    def statuses(self, tenant_id: str, evidence_ids: Sequence[str]) -> Mapping[str, UploadStatus]:
        """See the port."""
        with self._lock:
            self._go_on("statuses")
            wanted = set(evidence_ids)
            return {
                record.upload.key.evidence_id: record.status
                for record in self._oldest_first()
                if record.upload.key.tenant_id == tenant_id and record.upload.key.evidence_id in wanted
            }

    def find(self, find: Find) -> Page:
        """See the port."""
        with self._lock:
            self._go_on("find")
            after = place_after(find)
            found = [
                record
                for record in reversed(self._oldest_first())
                if (find.tenant_id is None or record.upload.key.tenant_id == find.tenant_id)
                and (find.status is None or record.upload.status is find.status)
                and (find.since is None or record.upload.created_at >= find.since)
                and (after is None or record.place < after)
            ]
            page = found[: find.limit]
            return Page(
                uploads=tuple(record.status for record in page),
                next_page=token_of(page[-1].place) if len(found) > len(page) else None,
            )

    def show(self, tenant_id: str, evidence_id: str) -> UploadDetails | None:
        """See the port."""
        with self._lock:
            self._go_on("show")
            found = [
                record
                for record in self._oldest_first()
                if (record.upload.key.tenant_id, record.upload.key.evidence_id) == (tenant_id, evidence_id)
            ]
            if not found:
                return None
            newest = found[-1]
            return details_of(newest.upload, newest.last_attempt_at, newest.attempts, actions=())

    def close(self) -> None:
        """See the port."""
        with self._lock:
            self._closed = True

    def _go_on(self, verb: Verb) -> None:
        if self._closed:
            raise StoreError(f"memory: {verb} was not done: the store is closed")
        if self._faults[verb] > 0:
            self._faults[verb] -= 1
            raise StoreError(f"memory: {verb} was not done: a fault was asked for")

    def _add(self, entry: Entry) -> AddAnswer:
        key = entry.upload.key
        there = self._records.get(key)
        if there is not None:
            return Known(there.upload, there.dossier.submitted_digest)
        self._records[key] = _Record(len(self._records) + 1, entry.upload, entry.dossier, entry.content)
        return Added()

    def _write(self, change: Change) -> Conflict | None:
        upload = change.upload
        record = self._records.get(upload.key)
        if record is None:
            return Conflict(None)
        if record.upload.version != upload.version - 1:
            return Conflict(record.upload)
        record.upload = upload
        if isinstance(upload.state, Sending):
            record.last_attempt_at = upload.state.started_at
        if change.attempt is not None:
            record.attempts.append(change.attempt)
        if isinstance(upload.state, Succeeded) and not self._keep_documents:
            record.content = None
        return None

    def _oldest_first(self) -> list[_Record]:
        return sorted(self._records.values(), key=lambda record: record.place)
