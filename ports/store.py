"""Keeping the records: what a store must offer, in the domain's own verbs.

Every verb is a plain, blocking function of one transaction. Each takes many at a time and answers
for each of them in order: what cannot be done to one never keeps another from being done. An
asynchronous caller goes through a writer thread.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from datetime import datetime
from typing import Protocol, TypeAlias

from attrs import field, frozen

from ..domain.evidence.evidence import Outcome
from ..domain.pacing.gate import GateChange, NotBefore, Quota, Shut
from ..domain.upload.attempt import Attempt
from ..domain.upload.status import ActionRow, UploadDetails, UploadStatus
from ..domain.upload.upload import Status, Upload, UploadKey


@frozen(kw_only=True)
class StoredDocument:
    """What is kept of a document: what it is, and where its bytes are.

    Its bytes are staged with the record (`staged`), or read from the host's `DocumentSource` under
    `source`; neither, where the upload was unfit from the start.
    """

    sha256: str
    size: int
    media_type: str
    filename: str | None
    source: str | None = None


@frozen(kw_only=True)
class Dossier:
    """What an upload's provider needs to know besides its state: written once, never changed.

    `submitted_digest` is the sha256 of what the host handed over (the document, or the canonical
    training record): another one under the same key is a conflict. `settings` is the integration
    without its secrets, as JSON values.
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
    """A new upload with its dossier, and the bytes to stage with it (None: there are none to
    stage).

    `credential` is the one in whose line it stands (see `Quota`).
    """

    upload: Upload
    dossier: Dossier
    content: bytes | None = field(default=None, repr=False)
    credential: str | None = None


@frozen
class Added:
    """It was not known and is recorded now."""


@frozen
class Known:
    """There is an upload of that key already: this one, unchanged, with the digest that it was
    submitted with."""

    upload: Upload
    submitted_digest: str


@frozen
class Start:
    """An attempt that is about to be made: `upload` is Sending. Written only if the stored version
    is still `upload.version - 1` and the gate lets it through.

    `owner` is the courier that makes it; `budget` how many attempts the policy allows, kept so that
    the record can be checked.
    """

    upload: Upload
    quota: Quota
    owner: int
    budget: int


@frozen
class LookUp:
    """What asking the provider for an upload came to: `finding` is found, partly, absent or
    unreadable."""

    number: int
    at: datetime
    finding: str
    message: str | None = None


@frozen
class Change:
    """An upload's next state. Written only if the stored version is still `upload.version - 1`.

    With it is written what led to it: the attempt that it ends, the look-up that was made, what a
    person did, and what the end of an attempt or a look-up means for the gate.
    """

    upload: Upload
    attempt: Attempt | None = None
    look_up: LookUp | None = None
    action: ActionRow | None = None
    gate: GateChange | None = None


@frozen
class Begun:
    """The attempt is on disk; here is what to send (None: not staged, ask the source), and the
    slots that it was given."""

    content: bytes | None = field(repr=False)
    slots: tuple[int, ...] = ()


@frozen
class Charged:
    """One request more may be made, in this slot (None where nothing paces it)."""

    slot: int | None


@frozen
class Saved:
    """The change is on disk."""


@frozen
class Conflict:
    """Somebody else was faster: nothing was written. This is what is there now; None where
    nothing is."""

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


@frozen
class ActedOn:
    """The uploads that people did something to, and the mark to ask from next time."""

    keys: Sequence[UploadKey]
    mark: int


AddAnswer: TypeAlias = Added | Known
BeginAnswer: TypeAlias = Begun | Conflict | NotBefore | Shut
ChargeAnswer: TypeAlias = Charged | NotBefore | Shut
SaveAnswer: TypeAlias = Saved | Conflict


class UploadStore(Protocol):
    """The records. Every method may raise StoreError: then nothing of that call was written.

    The methods that write are called by one thread at a time; those that read, by any.
    """

    def add(self, entries: Sequence[Entry]) -> Sequence[AddAnswer]:
        """Record new uploads. The key decides a race: exactly one caller in the world is told
        `Added`."""
        ...

    def begin(self, starts: Sequence[Start]) -> Sequence[BeginAnswer]:
        """Write `Sending` before the first byte leaves, and read what is to be sent.

        Compares the version first, so that a lost race costs no slot; then asks the gate. NotBefore
        and Shut: nothing was written.
        """
        ...

    def begin_together(self, starts: Sequence[Start]) -> Sequence[BeginAnswer]:
        """As `begin`, in one transaction, for different uploads of one integration that travel in
        one request: the gate is asked once for all of them.

        The slots are the first one's that begins. No upload comes twice.
        """
        ...

    def charge(self, quota: Quota, at: datetime, owner: int) -> ChargeAnswer:
        """Ask the gate for one request of a courier's that is no upload's first: a look-up, a
        token, a second step."""
        ...

    def settle(self, change: GateChange) -> None:
        """Requests that were charged, and belong to no upload, have ended: what that means for
        the gate. A block among it is not written."""
        ...

    def save(self, changes: Sequence[Change]) -> Sequence[SaveAnswer]:
        """Write what came of it. A staged document is removed with the success of its upload,
        unless documents are kept."""
        ...

    def get(self, keys: Sequence[UploadKey]) -> Mapping[UploadKey, OpenUpload]:
        """Uploads as they stand, at rest or not; those not recorded are absent."""
        ...

    def due(
        self, before: datetime, limit: int, after: UploadKey | None = None
    ) -> Sequence[UploadKey]:
        """What is queued, waiting or confirming and due before a moment, in the order of arrival.

        `after` is where the page before ended, so that nobody is overlooked, whatever has changed
        meanwhile.
        """
        ...

    def ahead_of(self, now: datetime, limit: int) -> Sequence[OpenUpload]:
        """What is queued, waiting or confirming since a moment that is still to come: the clock
        has been set back since."""
        ...

    def count_open(self) -> int:
        """How many uploads are neither held, succeeded nor failed."""
        ...

    def counts(self) -> Mapping[Status, int]:
        """How many uploads have each status."""
        ...

    def statuses(
        self, tenant_id: str, evidence_ids: Sequence[str], now: datetime
    ) -> Mapping[str, UploadStatus]:
        """The statuses of a tenant's evidences, by evidence id; those without an upload are absent.

        An evidence that was uploaded to more than one provider in its life shows the newest.
        `next_attempt_at` is estimated as of `now`, from the place in the credential's line and its
        pace.
        """
        ...

    def find(self, find: Find, now: datetime) -> Page:
        """A page of statuses, estimated as in `statuses`."""
        ...

    def show(self, tenant_id: str, evidence_id: str, now: datetime) -> UploadDetails | None:
        """One upload with its history; None where there is none. Estimated as in `statuses`."""
        ...

    # --- who sends ---

    def fingerprint_key(self) -> bytes:
        """The key under which credentials are fingerprinted on this store: made with it, and
        never changed."""
        ...

    def register(self, now: datetime) -> int:
        """A new courier works on this store; its number, under which it owns what it has in
        flight."""
        ...

    def heartbeat(self, owner: int, now: datetime) -> None:
        """The courier is still alive."""
        ...

    def unregister(self, owner: int) -> None:
        """The courier ends. What it has in flight all the same (there should be nothing) is then
        a dead courier's."""
        ...

    def dead(self, besides: int) -> Sequence[int]:
        """The couriers that are gone without a word, as far as one can know; `besides` is who
        asks."""
        ...

    def in_flight(self, owner: int) -> Sequence[OpenUpload]:
        """What a courier is sending."""
        ...

    # --- blocks, and what people do ---

    def stuck(self) -> Sequence[tuple[str, str]]:
        """The tenants, each with a provider, of which something is held because the integration
        does not work, or is gone."""
        ...

    def held_for_integration(
        self, tenant_id: str, provider: str, limit: int
    ) -> Sequence[OpenUpload]:
        """What of a tenant is held for that reason, in the order of arrival."""
        ...

    def blocked(self) -> Container[str]:
        """The addresses of the integrations that are known not to work."""
        ...

    def unblock(self, tenant_id: str, provider: str) -> None:
        """A tenant's integration may work again."""
        ...

    def last_of(self, tenant_id: str, evidence_id: str) -> OpenUpload | None:
        """An evidence's newest upload, at rest or not."""
        ...

    def acted_on(self, after: int | None) -> ActedOn:
        """Whose uploads people did something to, behind the mark `after`; with None, only the
        mark."""
        ...

    def close(self) -> None:
        """Close the database. Safe to call twice."""
        ...
