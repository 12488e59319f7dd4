"""Keeping the records: what a store must offer, in the domain's own verbs.

Every verb is a plain, blocking function of one transaction. Each takes many at a time and answers for each of them in order: what
cannot be done to one never keeps another from being done. An asynchronous caller goes through a writer thread.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol, TypeAlias

from attrs import field, frozen

from ..domain.attempt import Attempt
from ..domain.evidence import Outcome
from ..domain.status import UploadDetails, UploadStatus
from ..domain.upload import Status, Upload, UploadKey


@frozen(kw_only=True)
class StoredDocument:
    """What is kept of a document: what it is, and where its bytes are.

    Its bytes are staged with the record (`staged`), or read from the host's `DocumentSource` under `source`; neither, where the
    upload was unfit from the start.
    """

    sha256: str
    size: int
    media_type: str
    filename: str | None
    source: str | None = None


@frozen(kw_only=True)
class Dossier:
    """What an upload's provider needs to know besides its state: written once, never changed.

    `submitted_digest` is the sha256 of what the host handed over (the document, or the canonical training record): another one under the
    same key is a conflict. `settings` is the integration without its secrets, as JSON values.
    """

    session_id: str
    subject: str
    subject_email: str | None
    outcome: Outcome
    recorded_at: datetime
    submitted_digest: str
    document: StoredDocument
    settings: Mapping[str, object] = field(factory=dict, repr=False)


@frozen
class Entry:
    """A new upload with its dossier, and the bytes to stage with it (None: there are none to stage)."""

    upload: Upload
    dossier: Dossier
    content: bytes | None = field(default=None, repr=False)


@frozen
class Added:
    """It was not known and is recorded now."""


@frozen
class Known:
    """There is an upload of that key already: this one, unchanged, with the digest that it was submitted with."""

    upload: Upload
    submitted_digest: str


@frozen
class Change:
    """An upload's next state. Written only if the stored version is still `upload.version - 1`.

    `attempt` is the attempt that this change ends.
    """

    upload: Upload
    attempt: Attempt | None = None


@frozen
class Begun:
    """The attempt is on disk; here is what to send (None: not staged, ask the source)."""

    content: bytes | None = field(repr=False)


@frozen
class Saved:
    """The change is on disk."""


@frozen
class Conflict:
    """Somebody else was faster: nothing was written. This is what is there now; None where nothing is."""

    current: Upload | None


@frozen
class OpenUpload:
    """An upload that is not at rest, with its dossier, as a courier needs it to go on."""

    upload: Upload
    dossier: Dossier


@frozen(kw_only=True)
class Find:
    """What to list: every filter that is given must hold; newest first.

    `since` is compared with created_at. `after` is the `next_page` of the page before.
    """

    tenant_id: str | None = None
    status: Status | None = None
    since: datetime | None = None
    after: str | None = None
    limit: int = 100


@frozen
class Page:
    """Some statuses, and the token that leads to the next ones; None at the end."""

    uploads: tuple[UploadStatus, ...]
    next_page: str | None


AddAnswer: TypeAlias = Added | Known
BeginAnswer: TypeAlias = Begun | Conflict
SaveAnswer: TypeAlias = Saved | Conflict


class UploadStore(Protocol):
    """The records. Every method may raise StoreError: then nothing of that call was written.

    The methods that write are called by one thread at a time; those that read, by any.
    """

    def add(self, entries: Sequence[Entry]) -> Sequence[AddAnswer]:
        """Record new uploads. The key decides a race: exactly one caller in the world is told `Added`."""
        ...

    def begin(self, changes: Sequence[Change]) -> Sequence[BeginAnswer]:
        """Write `Sending` before the first byte leaves, and read what is to be sent."""
        ...

    def save(self, changes: Sequence[Change]) -> Sequence[SaveAnswer]:
        """Write what came of it. A staged document is removed with the success of its upload, unless documents are kept."""
        ...

    def get(self, keys: Sequence[UploadKey]) -> Mapping[UploadKey, OpenUpload]:
        """Uploads as they stand, at rest or not; those not recorded are absent."""
        ...

    def due(self, before: datetime, limit: int) -> Sequence[OpenUpload]:
        """What is queued, waiting or confirming and due before a moment, the longest due first."""
        ...

    def count_open(self) -> int:
        """How many uploads are neither held, succeeded nor failed."""
        ...

    def counts(self) -> Mapping[Status, int]:
        """How many uploads have each status."""
        ...

    def statuses(self, tenant_id: str, evidence_ids: Sequence[str]) -> Mapping[str, UploadStatus]:
        """The statuses of a tenant's evidences, by evidence id, in one query; those without an upload are absent.

        An evidence that was uploaded to more than one provider in its life shows the newest.
        """
        ...

    def find(self, find: Find) -> Page:
        """A page of statuses."""
        ...

    def show(self, tenant_id: str, evidence_id: str) -> UploadDetails | None:
        """One upload with its history; None where there is none."""
        ...

    def close(self) -> None:
        """Close the database. Safe to call twice."""
        ...
