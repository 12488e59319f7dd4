"""The records of uploads: what a store must offer, in the domain's own verbs.

Every verb is a plain, blocking function of one transaction. Each takes many at a time and answers
for each of them in order: what cannot be done to one never keeps another from being done. An
asynchronous caller goes through a `Writer`. Every verb may raise StoreError; then nothing of that
call was written. Verbs that write are called by one thread at a time, verbs that read by any.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol, TypeAlias

from attrs import field, frozen

from ..domain.evidence.evidence import Outcome
from ..domain.health import Count, RecordsHealth
from ..domain.pacing.gate import Acquired, Block, Blocked, GateChange, NotBefore, Quota
from ..domain.pacing.paused import Paused, Resumed
from ..domain.upload.attempt import Attempt
from ..domain.upload.failure import FailureKind
from ..domain.upload.find import Find, Page
from ..domain.upload.status import ActionRow, LookUpRow, UploadDetails, UploadStatus
from ..domain.upload.upload import Status, Upload, UploadKey
from .removal import RemovalReader

RECORD_TYPE = "application/vnd.evidence-courier.training-record+json"
"""The media type of a training record that could not be rendered yet."""


@frozen(kw_only=True)
class StoredDocument:
    """What is recorded of a document, and where its bytes are.

    The bytes are staged with the record, or in a `file` of the store's (see `Documents`), or read
    from the host's `DocumentSource` under `source`.
    If the document could not be made when its evidence was submitted, what it is made of is kept:
    the staged bytes are a training record (`media_type` is RECORD_TYPE), or they are in the file
    `path` (percent-encoded), last modified at `modified` (nanoseconds) if that is known. Of such a
    file, `sha256` is empty.
    """

    sha256: str
    size: int
    media_type: str
    filename: str | None
    source: str | None = None
    path: str | None = None
    modified: int | None = None
    file: str | None = None

    @property
    def is_made(self) -> bool:
        """Whether this is the document itself, and not what it is made of."""
        return self.path is None and self.media_type != RECORD_TYPE

    def in_words(self, status: Status, *, is_stored: bool) -> str:
        """Where the document of an upload in this status is, for a person."""
        what = ", ".join(filter(None, (self.filename, self.media_type, f"{self.size:,} bytes")))
        if self.source is not None:
            return f"{what}: in the host's own storage"
        if self.path is not None:
            return "not read yet: a file of the host's"
        if not is_stored:
            gone = "delivered, and not stored" if status is Status.SUCCEEDED else "removed"
            return f"{what}: {gone}"
        return f"{what}: stored" if self.is_made else "stored: the record that it is made of"


@frozen(kw_only=True)
class Dossier:
    """What an upload's provider needs to know besides its state. Written once; only the document
    may be made later.

    `submitted_digest` is the sha256 of what the host submitted (the document, or the canonical
    training record): another digest under the same key is a conflict. It is empty as long as the
    file was not read. `settings` is the integration without its secrets, as JSON values.
    `backfill`: it is an old record, which goes behind what is fresh.
    """

    session_id: str
    subject: str
    subject_email: str | None
    outcome: Outcome
    recorded_at: datetime
    submitted_digest: str
    document: StoredDocument
    settings: Mapping[str, object] = field(factory=dict, repr=False)
    backfill: bool = False


@frozen
class MadeDocument:
    """A document that was made after its upload was recorded, and its bytes; None if they are in a
    file of the store's."""

    stored: StoredDocument
    content: bytes | None = field(repr=False)


@frozen
class Entry:
    """An upload with its dossier.

    A new one has the bytes to stage with it, if there are any (none if its document has a
    `source`), and the `credential` whose pace it waits for (see `Quota`). One that is read from a
    store has no credential, and the staged bytes only if they were asked for; `courier_id` is then
    the courier that began its last attempt.
    """

    upload: Upload
    dossier: Dossier
    content: bytes | None = field(default=None, repr=False)
    credential: str | None = None
    courier_id: int | None = field(default=None, eq=False)


@frozen
class Added:
    """The upload was not known and is recorded now. `id` is the number of its record: by that it is
    found faster than by its key. None from a store that gives no numbers."""

    id: int | None = field(default=None, eq=False, repr=False)


@frozen
class Known:
    """The upload was known: it is unchanged, and was submitted with this digest."""

    upload: Upload
    submitted_digest: str


@frozen
class Start:
    """An attempt that is about to be made: `upload` is Sending. It is written only if the stored
    version is `upload.version - 1` and the gate lets it through.

    `courier_id` is the courier that makes it. `budget` is how many attempts the policy allows; it
    is recorded so that the record can be checked. `leaves`: its first request leaves as soon as
    it has begun, so it is given its slot. `patience` is that of a caller that cannot wait for long
    (see `gate.begin`).
    """

    upload: Upload
    quota: Quota
    courier_id: int
    budget: int
    leaves: bool = True
    patience: timedelta | None = None


@frozen
class Change:
    """An upload's next state. It is written only if the stored version is `upload.version - 1`.

    With it is written what led to it: the attempt that it ends, the look-up that was made, what a
    person did, what the end of an attempt or a look-up means for the gate, and the document that
    was made: it replaces what it was made of. With `unblocks`, the blocks of its integration are
    forgotten: a person says that it may work again.
    """

    upload: Upload
    attempt: Attempt | None = None
    look_up: LookUpRow | None = None
    action: ActionRow | None = None
    gate: GateChange | None = None
    document: MadeDocument | None = None
    unblocks: bool = False


@frozen
class NamedProvider:
    """Where the uploads of a tenant go whose provider is UNKNOWN_PROVIDER, with its settings as in
    `Dossier` and its credential as in `Entry`."""

    tenant_id: str
    provider: str
    credential: str
    settings: Mapping[str, object] = field(factory=dict, repr=False)


@frozen
class InvalidTenants:
    """What open uploads wait for: of the tenants in `invalid` (see `tenant_key`) the configuration
    is invalid and not in force, and those in `gone` have no integration. Those in `valid` are so no
    more."""

    invalid: Collection[str]
    valid: Collection[str]
    at: datetime
    gone: Collection[str] = ()

    @property
    def causes(self) -> Mapping[str, FailureKind]:
        """What is wrong with each, by tenant."""
        invalid = dict.fromkeys(self.invalid, FailureKind.INTEGRATION_INVALID)
        return invalid | dict.fromkeys(self.gone, FailureKind.INTEGRATION_GONE)


@frozen
class Begun:
    """The attempt is recorded. `content` is the staged document; None: it is in a file of the
    store's, or the source is asked."""

    content: bytes | None = field(repr=False)
    acquired: Acquired = Acquired()


@frozen
class Saved:
    """The change is recorded."""


@frozen
class Conflict:
    """Another courier or a person was faster, and nothing was written. `current` is the upload as
    it is recorded; None if it is not recorded."""

    current: Upload | None


@frozen
class ActedOn:
    """The uploads that people did something to, and the mark to ask from next time."""

    keys: Sequence[UploadKey]
    mark: int


@frozen
class Unreadable:
    """A record that cannot be read, since other hands wrote it. `reason` says what is wrong with
    it, and quotes nothing of it. `is_open`: it is counted among those that go on."""

    reason: str
    is_open: bool


AddAnswer: TypeAlias = Added | Known
BeginAnswer: TypeAlias = Begun | Conflict | NotBefore | Blocked
SaveAnswer: TypeAlias = Saved | Conflict
AnyChange: TypeAlias = Change | GateChange | NamedProvider | InvalidTenants | Paused | Resumed


class UploadReader(RemovalReader, Protocol):
    """The verbs that read the uploads, their attempts and their staged documents."""

    def get(self, keys: Sequence[UploadKey], *, staged: bool = False) -> Mapping[UploadKey, Entry]:
        """Uploads as they are recorded, settled or not, with the bytes that are `staged` if they
        are asked for. Unknown ones are absent, and so are those that cannot be read."""
        ...

    def unreadable(self) -> Mapping[UploadKey, Unreadable]:
        """The uploads that an answer of this store has left out, here or in `freed` or `dead`, as
        they cannot be read, and that still cannot be."""
        ...

    def due(
        self,
        before: datetime,
        limit: int,
        *,
        lines: Mapping[str | None, Collection[str]] | None = None,
        written_after: datetime | None = None,
    ) -> Mapping[str | None, Sequence[UploadKey]]:
        """What is queued, waiting or to be looked up, and due, the longest due first.

        Args:
            before: Only what is due at this moment or earlier.
            limit: The most uploads of each line; 0: only the lines.
            lines: Only these, each without the uploads of some tenants. None: each that has
                something due.
            written_after: Only what was last written after this moment. What was written in the
                future waits for a clock that has been set back.

        Returns:
            For each line its uploads: a credential's, or its old records' (`line` of `Quota`). None
            stands for uploads that were recorded without one.
        """
        ...

    def counts(
        self, statuses: Collection[Status] = tuple(Status), *, without_parked: bool = False
    ) -> Mapping[Status, int]:
        """How many uploads have each of these statuses; 0 included. Those that are parked count as
        retrying, or not at all `without_parked`: they are at rest."""
        ...

    def statuses(
        self, tenant_id: str, evidence_ids: Sequence[str], now: datetime
    ) -> Mapping[str, UploadStatus]:
        """The statuses of a tenant's evidences, by evidence id; those without an upload are absent.

        An evidence that was uploaded to more than one provider shows its newest upload.
        `next_attempt_at` is estimated as of `now`, from the upload's place in its credential's line
        and from the pace. A place far back in a long line may be estimated, too.
        """
        ...

    def find(self, find: Find, now: datetime) -> Page:
        """A page of statuses, estimated as in `statuses`.

        Raises:
            MisuseError: `find.after` came from no page, `find.limit` is less than 1, or too many
                evidence ids begin with `find.id_prefix`.
        """
        ...

    def counted(self, find: Find) -> Sequence[Count]:
        """How many uploads there are for which every filter holds, whatever the page, by tenant,
        provider, status and error.

        Raises:
            MisuseError: As in `find`.
        """
        ...

    def health(self, now: datetime) -> RecordsHealth:
        """How all uploads stand; the oldest open one estimated as in `statuses`."""
        ...

    def show(self, tenant_id: str, evidence_id: str, now: datetime) -> UploadDetails | None:
        """An evidence's newest upload with its history, estimated as in `statuses`; None if there
        is no such upload."""
        ...

    def freed(self, addresses: Mapping[tuple[str, str], str], limit: int) -> Sequence[Entry]:
        """What is held or has failed because its integration did not work, or is parked because
        its target took nothing, and may go on.

        Args:
            addresses: The integrations to look at: tenant and provider, with the address (see
                `Quota`). One whose address is blocked, or that is paused, is passed over.
            limit: The most uploads of each integration, in the order of arrival.
        """
        ...

    def blocks_of(self, addresses: Iterable[str]) -> Mapping[str, Block]:
        """What stops the uploads of integrations at present, by their addresses (see `Quota`)."""
        ...

    def paused(self) -> Sequence[Paused]:
        """What people have paused and not resumed, the oldest first."""
        ...

    def acted_on(self, after: int | None) -> ActedOn:
        """Which uploads people did something to since the mark `after`; None: only the mark."""
        ...

    def close(self) -> None:
        """Close the store. It is safe to call this twice."""
        ...


class UploadRecords(UploadReader, Protocol):
    """The uploads, their attempts, and their staged documents."""

    def add(self, entries: Sequence[Entry]) -> Sequence[AddAnswer]:
        """Record new uploads. The key decides a race: exactly one caller is answered `Added`.

        One under UNKNOWN_PROVIDER is known if its evidence is recorded under any provider. One
        under a provider whose evidence is recorded under UNKNOWN_PROVIDER is known, too: what is
        recorded gets the entry's provider, settings and credential first.
        """
        ...

    def begin(self, turns: Sequence[Sequence[Start]]) -> Sequence[Sequence[BeginAnswer]]:
        """Record attempts before their first byte leaves, and read what they send.

        Args:
            turns: Each turn is one upload, or several of one integration that travel in one
                request. No turn holds an upload twice. All begin at about one moment.

        Returns:
            For each turn, an answer for each of its starts. Versions are compared first, so that a
            lost race costs no slot. Then the gate is asked once a turn; what that acquired stands
            in the answer to its first start that begins. NotBefore and Blocked: nothing of the turn
            was written.
        """
        ...

    def save(self, changes: Sequence[AnyChange]) -> Sequence[SaveAnswer]:
        """Record changes. A staged document is removed when its upload succeeds, unless documents
        are kept.

        A GateChange by itself is the end of requests that belong to no upload. Its block is not
        written. It is always Saved, and so is a NamedProvider, which stands in no call with changes
        of its uploads. InvalidTenants are Saved, too: `waits_for` says it of their open uploads.
        Paused and Resumed are Saved even if they change nothing: what is paused already stays
        paused by whom it was. From then on `begin` answers Blocked to the starts that the pause
        covers, and `freed` passes their integrations over.
        """
        ...
