"""The life of one evidence's delivery to one provider.

An upload is always in exactly one state, and each state holds only what is true in it. What to do
next follows from the state alone, so a courier that reads a record from the database knows as much
as the courier that wrote it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from enum import Enum
from typing import Literal, NamedTuple, TypeAlias, TypeGuard

from attrs import evolve, field, frozen

from .backoff import later
from .failure import Concern, Failure
from .verdict import Receipt


class UploadKey(NamedTuple):
    """What identifies an upload: one evidence of one tenant, to one provider."""

    tenant_id: str
    evidence_id: str
    provider: str

    @property
    def evidence(self) -> tuple[str, str]:
        """Whose evidence it is, and which."""
        return self.tenant_id, self.evidence_id

    def __str__(self) -> str:
        return f"{self.tenant_id}/{self.evidence_id} to {self.provider}"


UNKNOWN_PROVIDER = "?"
"""The provider in the key of an upload whose tenant's configuration was invalid when its evidence
was submitted. The key gets its provider when the configuration is mended."""


@frozen
class Queued:
    """Nothing has been tried yet in this budget; the first attempt is due at `due`."""

    due: datetime


@frozen
class Sending:
    """Attempt number `attempt` is in flight since `started_at`.

    `cause` is the failure of the attempt before it in this budget; None for the first.
    """

    attempt: int
    started_at: datetime
    cause: Failure | None = None


@frozen
class Waiting:
    """An attempt failed with `cause`; the next is due at `due`.

    If the cause concerns the target, the upload is *parked*: it is at rest until then.
    """

    due: datetime
    cause: Failure


@frozen
class LookingUp:
    """An attempt may have been received; look-up number `look_up` is due at `due`.

    If the last look-up finds nothing, the upload is sent again, not before `resend_at`.
    """

    look_up: int
    due: datetime
    resend_at: datetime
    cause: Failure


@frozen
class Undecided:
    """The provider has taken it at `since` and decides later; look-up number `look_up` is due at
    `due`."""

    look_up: int
    due: datetime
    since: datetime
    cause: Failure


@frozen
class Held:
    """A person must decide about a doubt, or about an integration that does not work."""

    cause: Failure


@frozen
class Succeeded:
    """The provider has it."""

    receipt: Receipt


class FailedReason(Enum):
    """Why an upload has failed."""

    REJECTED = "rejected"
    EXHAUSTED = "exhausted"
    ABANDONED = "abandoned"


@frozen
class Failed:
    """Nothing more is tried, unless a person requeues it; a person may also attest that it is
    there."""

    reason: FailedReason
    cause: Failure


@frozen
class Skipped:
    """The tenant's settings exclude it, so that nothing is sent; submitted again under settings
    that include it, or retried by a person, it is queued."""

    cause: Failure


State: TypeAlias = (
    Queued | Sending | Waiting | LookingUp | Undecided | Held | Succeeded | Failed | Skipped
)


StatusWord = Literal["pending", "retrying", "held", "succeeded", "failed", "skipped"]
"""The words of `Status`."""


class Status(Enum):
    """The word that a person reads for a state."""

    PENDING = "pending"
    RETRYING = "retrying"
    HELD = "held"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"

    __hash__ = object.__hash__  # that of an Enum takes ten times as long

    @property
    def at_rest(self) -> bool:
        """Whether nothing more happens without a person."""
        return self not in (Status.PENDING, Status.RETRYING)

    @property
    def settled(self) -> bool:
        """Whether it is over: no one must decide about it."""
        return self in (Status.SUCCEEDED, Status.FAILED, Status.SKIPPED)


@frozen
class Tally:
    """What has been counted and noted along the way.

    - `attempts`: all attempts ever started; never decreases.
    - `spent`: the attempts that count against the present budget.
    - `doubt`: an attempt was unclear, and nothing has resolved that yet.
    - `possible_duplicate`: it was sent again out of a doubt; never taken back.
    - `progress`: the provider's bookmark for a half-done upload.
    - `alone`: it must not be sent together with others.
    - `parked_at`: since when its target has taken nothing, in this budget.
    - `tried_since`: when the first attempt of this budget began, if its time is limited.
    - `reopened_at`: when it last went on after it had failed, was skipped or was parked.
    """

    attempts: int = 0
    spent: int = 0
    doubt: bool = False
    possible_duplicate: bool = False
    progress: str | None = None
    alone: bool = False
    parked_at: datetime | None = None
    tried_since: datetime | None = None
    reopened_at: datetime | None = None


COUNTED_BELOW = 10_000_000
"""No number that an upload counts up, such as its version or its attempts, becomes as large."""

_UNTRIED = Tally()
_AT_REST = (Held, Succeeded, Failed, Skipped)
_NOT_DUE = (Succeeded, Sending, Held, Failed, Skipped)


@frozen
class Upload:
    """One upload as it stands. `version` grows by one with every change and keeps stale writers
    out. `id` is the number of its record, if the store has given it one."""

    key: UploadKey
    digest: str
    evidence_date: date
    created_at: datetime
    updated_at: datetime
    version: int
    tally: Tally
    state: State
    id: int | None = field(default=None, eq=False)

    @property
    def status(self) -> Status:
        """The status word of this upload's state."""
        return status_of(self.state)

    @property
    def at_rest(self) -> bool:
        """Whether nothing more happens without a person, or before its target is asked again."""
        return isinstance(self.state, _AT_REST) or is_parked(self.state)


def status_of(state: State) -> Status:
    """The status word of a state: `pending` becomes `retrying` with the first wait or look-up of a
    budget."""
    if isinstance(state, Sending):
        return Status.PENDING if state.cause is None else Status.RETRYING
    return _STATUSES[type(state)]


_STATUSES: Mapping[type[State], Status] = {
    Succeeded: Status.SUCCEEDED,
    Queued: Status.PENDING,
    Waiting: Status.RETRYING,
    LookingUp: Status.RETRYING,
    Undecided: Status.RETRYING,
    Held: Status.HELD,
    Failed: Status.FAILED,
    Skipped: Status.SKIPPED,
}


def due_of(state: State) -> datetime | None:
    """When the courier must act on this state; None if it must not, or is doing so."""
    return None if isinstance(state, _NOT_DUE) else state.due


def is_parked(state: State) -> TypeGuard[Waiting]:
    """Whether it waits for a target that takes nothing now."""
    return isinstance(state, Waiting) and state.cause.kind.concern is Concern.TARGET


def is_stopped(state: State) -> bool:
    """Whether a release is for it: it is held or parked, or has failed because its integration did
    not work."""
    failed_so = isinstance(state, Failed) and state.cause.kind.resumes
    return failed_so or isinstance(state, Held) or is_parked(state)


def cause_of(state: State) -> Failure | None:
    """The failure that a state holds, if any."""
    return None if isinstance(state, (Succeeded, Queued)) else state.cause


def new_upload(key: UploadKey, digest: str, evidence_date: date, at: datetime) -> Upload:
    """A new upload: queued, due at once."""
    return Upload(
        key=key,
        digest=digest,
        evidence_date=evidence_date,
        created_at=at,
        updated_at=at,
        version=1,
        tally=_UNTRIED,
        state=Queued(due=at),
    )


def numbered(upload: Upload, number: int | None) -> Upload:
    """The upload with the number of its record."""
    # The constructor is five times as fast as `evolve`.
    return Upload(
        key=upload.key,
        digest=upload.digest,
        evidence_date=upload.evidence_date,
        created_at=upload.created_at,
        updated_at=upload.updated_at,
        version=upload.version,
        tally=upload.tally,
        state=upload.state,
        id=number,
    )


def with_digest(upload: Upload, digest: str, at: datetime) -> Upload:
    """The upload with the digest of its document, which was made after it was recorded."""
    return evolve(upload, digest=digest, updated_at=at, version=upload.version + 1)


def with_look_up_due(upload: Upload, due: datetime, at: datetime) -> Upload:
    """The upload whose look-up is due at `due`: while a courier makes it, when another may."""
    assert isinstance(upload.state, LookingUp | Undecided)
    state = evolve(upload.state, due=due)
    return evolve(upload, state=state, updated_at=at, version=upload.version + 1)


def due_at(upload: Upload, now: datetime) -> datetime | None:
    """`due_of`; if the clock was set back since the upload was written, the wait counts from
    `now`."""
    due = due_of(upload.state)
    if due is None or upload.updated_at <= now:
        return due
    return min(due, later(now, due - upload.updated_at))
