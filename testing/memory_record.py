"""One upload as the store in memory keeps it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from attrs import define, evolve, field

from ..domain.upload.attempt import Attempt
from ..domain.upload.status import ActionRow
from ..domain.upload.upload import UNKNOWN_PROVIDER, Sending, Upload, UploadKey
from ..ports.logger import EvidenceConflict
from ..ports.paging import Place
from ..ports.records import Change, Dossier, Entry, LookUp, NamedProvider


@define
class MemoryRecord:
    """An upload with its history. `arrival` numbers the uploads in the order they came in."""

    arrival: int
    upload: Upload
    dossier: Dossier
    content: bytes | None
    credential: str | None
    last_attempt_at: datetime | None = field(default=None, init=False)
    courier_id: int | None = field(default=None, init=False)
    budget: int | None = field(default=None, init=False)
    attempts: list[Attempt] = field(factory=list, init=False)
    credentials: list[str | None] = field(factory=list, init=False)
    look_ups: list[LookUp] = field(factory=list, init=False)
    actions: list[ActionRow] = field(factory=list, init=False)

    @property
    def place(self) -> Place:
        """Where it stands in the lists."""
        return Place(self.upload.created_at, self.arrival)

    @property
    def ids(self) -> tuple[str, str]:
        """Whose it is, and which."""
        return self.upload.key.tenant_id, self.upload.key.evidence_id

    @property
    def open_upload(self) -> Entry:
        """As a courier needs it to go on."""
        return Entry(self.upload, self.dossier, courier_id=self.courier_id)

    def name(self, key: UploadKey, named: NamedProvider) -> None:
        """Give it the key with its provider, and what the provider's integration is."""
        self.upload, self.credential = evolve(self.upload, key=key), named.credential
        self.dossier = evolve(self.dossier, settings=named.settings)

    def take(self, change: Change) -> None:
        """The change, without what it means for the gate."""
        self.upload = change.upload
        if isinstance(change.upload.state, Sending):
            self.last_attempt_at = change.upload.state.started_at
        if change.document is not None:
            stored, known = change.document.stored, self.dossier.submitted_digest
            self.dossier = evolve(
                self.dossier, document=stored, submitted_digest=known or stored.sha256
            )
            self.content = change.document.content
        if change.attempt is not None:
            self.attempts.append(change.attempt)
            self.credentials.append(self.credential)
        if change.look_up is not None:
            self.look_ups.append(change.look_up)
        if change.action is not None:
            self.actions.append(change.action)


def name_all(
    records: dict[UploadKey, MemoryRecord], named: NamedProvider
) -> Iterator[EvidenceConflict]:
    """Give the records of a tenant whose provider is not known their provider."""
    for old in [*records]:
        if (old.tenant_id, old.provider) != (named.tenant_id, UNKNOWN_PROVIDER):
            continue
        record, key = records.pop(old), evolve(old, provider=named.provider)
        submitted = record.dossier.submitted_digest
        if key not in records:
            record.name(key, named)
            records[key] = record
            continue
        known = records[key].dossier.submitted_digest
        if known and submitted and known != submitted:
            yield EvidenceConflict(key, known, submitted)
    in_order = sorted(records.items(), key=lambda item: item[1].arrival)
    records.clear()
    records.update(in_order)
