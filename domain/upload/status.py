"""What an administrator sees of an upload: plain values, named as in every list, page and JSON."""

from __future__ import annotations

from datetime import date, datetime

from attrs import frozen

from ..pacing.waits import time_of_day
from .failure import Concern, Failure, FailureKind
from .upload import (
    Failed,
    FailedReason,
    Held,
    LookingUp,
    State,
    Status,
    Succeeded,
    Undecided,
    Upload,
    Waiting,
    cause_of,
    due_of,
    is_parked,
    status_of,
)
from .verdict import Receipt


@frozen
class StatusError:
    """What went wrong last, or why it was skipped: the kind as a word, a sentence, and the HTTP
    status if there was one."""

    kind: str
    message: str
    http_status: int | None

    @classmethod
    def of(cls, failure: Failure) -> StatusError:
        """The error that shows this failure."""
        return cls(failure.kind.value, failure.message, failure.http_status)


@frozen(kw_only=True, slots=False)  # made by the hundred: in half the time without slots
class UploadStatus:
    """How one upload stands.

    `status` is pending, retrying, held, succeeded, failed or skipped. Moments are aware and in UTC;
    `last_attempt_at` is the start of the latest attempt, and `next_attempt_at` is None if no moment
    is known, or nothing is done any more. `waits_for` says what must come before something is done
    next; None if a request is under way or waits for a connection, or if nothing is done any more.
    `digest` is the document's SHA-256. `erased_at` is when what named a person was removed,
    `pruned_at` when the attempts and look-ups were. `out_of_time`: it has failed because
    `give_up_after` was over before its attempts were used up.
    """

    tenant_id: str
    evidence_id: str
    provider: str
    status: str
    attempts: int
    possible_duplicate: bool
    waits_for: str | None = None
    error: StatusError | None
    last_attempt_at: datetime | None
    next_attempt_at: datetime | None
    receipt: Receipt | None
    digest: str
    evidence_date: date
    created_at: datetime
    updated_at: datetime
    erased_at: datetime | None = None
    pruned_at: datetime | None = None
    out_of_time: bool = False

    @property
    def parked(self) -> bool:
        """Whether it waits for a target that takes nothing now."""
        kind = None if self.error is None else FailureKind(self.error.kind)
        waits = self.status == Status.RETRYING.value and self.next_attempt_at is not None
        return waits and kind is not None and kind.concern is Concern.TARGET

    @property
    def at_rest(self) -> bool:
        """Whether nothing more is done about it, or not before its target opens."""
        return self.parked or Status(self.status).at_rest

    @property
    def stopped(self) -> bool:
        """Whether a release is for it: it is held or parked, or has failed because its integration
        did not work."""
        resumes = self.error is not None and FailureKind(self.error.kind).resumes
        failed_so = self.status == Status.FAILED.value and resumes
        return failed_so or self.status == Status.HELD.value or self.parked


@frozen(kw_only=True)
class AttemptRow:
    """One attempt of an upload's history.

    `verdict` is delivered, rejected, deferred, unclear, processing, unbundled or recovered.
    `detail` is a piece of the provider's reply.
    """

    number: int
    started_at: datetime
    ended_at: datetime
    verdict: str
    kind: str | None
    message: str | None
    http_status: int | None
    retry_after: float | None
    request_id: str | None
    detail: str | None = None


@frozen(kw_only=True)
class ActionRow:
    """What a person did to an upload: `action` is retry, release, abandon or attest; or to its
    tenant or provider: pause or resume. Or what the courier did after a person had mended the
    integration: requeue or attest. Or who removed something of it: erase or prune."""

    at: datetime
    action: str
    by: str
    reason: str


@frozen(kw_only=True)
class LookUpRow:
    """One look-up of an upload at the provider; `finding` is found, partly, absent, unreadable,
    processing or refused."""

    number: int
    at: datetime
    finding: str
    message: str | None = None


@frozen(kw_only=True)
class RunningAttempt:
    """An attempt that is under way. `courier_id` is the courier that makes it, `courier` its host
    and process; None if it is registered no more, and the attempt will be recovered. `waits_for` is
    None while a request is under way, or waits for a connection."""

    number: int
    started_at: datetime
    courier_id: int | None
    courier: str | None = None
    waits_for: str | None = None


@frozen(kw_only=True)
class UploadDetails(UploadStatus):
    """How one upload stands, and its history; the attempt that is `running`, if there is one.
    `document` says in words where the document is."""

    document: str
    running: RunningAttempt | None = None
    history: tuple[AttemptRow, ...]
    actions: tuple[ActionRow, ...]
    look_ups: tuple[LookUpRow, ...]


@frozen
class Outlook:
    """An estimate of an upload's next attempt, and what it waits for, as far as these do not follow
    from its state."""

    next_attempt_at: datetime | None = None
    waits_for: str | None = None


_NO_OUTLOOK = Outlook()


def status_of_upload(
    upload: Upload, last_attempt_at: datetime | None, outlook: Outlook | None = None
) -> UploadStatus:
    """How an upload stands; `last_attempt_at` is when its latest attempt started."""
    return status_of_state(
        upload.state,
        outlook,
        tenant_id=upload.key.tenant_id,
        evidence_id=upload.key.evidence_id,
        provider=upload.key.provider,
        attempts=upload.tally.attempts,
        possible_duplicate=upload.tally.possible_duplicate,
        last_attempt_at=last_attempt_at,
        digest=upload.digest,
        evidence_date=upload.evidence_date,
        created_at=upload.created_at,
        updated_at=upload.updated_at,
    )


def status_of_state(
    state: State,
    outlook: Outlook | None,
    *,
    tenant_id: str,
    evidence_id: str,
    provider: str,
    attempts: int,
    possible_duplicate: bool,
    last_attempt_at: datetime | None,
    digest: str,
    evidence_date: date,
    created_at: datetime,
    updated_at: datetime,
    erased_at: datetime | None = None,
    pruned_at: datetime | None = None,
    out_of_time: bool = False,
) -> UploadStatus:
    """How an upload stands that is in this state; the rest is as it is recorded."""
    outlook, cause = outlook or _NO_OUTLOOK, cause_of(state)
    next_attempt_at = outlook.next_attempt_at
    endless = outlook.waits_for is not None and outlook.waits_for in (
        wait_for_valid(tenant_id),
        wait_for_integration(tenant_id, provider),
    )
    if next_attempt_at is None and (not endless or is_parked(state)):
        next_attempt_at = due_of(state)
    # The constructor, which sets one field at a time, takes twice as long.
    made = object.__new__(UploadStatus)
    vars(made).update(
        tenant_id=tenant_id,
        evidence_id=evidence_id,
        provider=provider,
        status=status_of(state).value,
        attempts=attempts,
        possible_duplicate=possible_duplicate,
        waits_for=outlook.waits_for or _wait_of(state, tenant_id, provider, updated_at),
        error=StatusError.of(cause) if cause is not None else None,
        last_attempt_at=last_attempt_at,
        next_attempt_at=next_attempt_at,
        receipt=state.receipt if isinstance(state, Succeeded) else None,
        digest=digest,
        evidence_date=evidence_date,
        created_at=created_at,
        updated_at=updated_at,
        erased_at=erased_at,
        pruned_at=pruned_at,
        out_of_time=out_of_time,
    )
    return made


def is_out_of_time(state: State, spent: int, budget: int | None, limited: bool) -> bool:
    """Whether the time of a budget has ended an upload, and not the number of its attempts.

    Args:
        budget: How many attempts there were to spend.
        limited: Whether the budget's time was limited.
    """
    if not isinstance(state, Failed) or state.reason is not FailedReason.EXHAUSTED or not limited:
        return False
    waited = state.cause.kind is FailureKind.STILL_PROCESSING
    return budget is not None and spent < budget and not waited


def wait_for_valid(tenant_id: str) -> str:
    """What the uploads of a tenant wait for whose configuration is invalid and not in force."""
    return f"a valid tenant file: what it says of {tenant_id} is invalid, mend it"


def wait_for_integration(tenant_id: str, provider: str) -> str:
    """What the uploads of a tenant wait for that has no such integration any more."""
    return (
        f"an integration of {tenant_id} with {provider}: no tenant file names one, and without it "
        "this is held ten minutes after its time"
    )


def _wait_of(state: State, tenant_id: str, provider: str, since: datetime) -> str | None:
    """What follows from the state alone."""
    match state:
        case Waiting(due, cause) if is_parked(state):
            at = time_of_day(due, since)
            return f"target of {provider}, closed by {cause.kind.value}; asked again about {at}"
        case Waiting(due, cause):
            return f"back-off after {cause.kind.value}, until {time_of_day(due, since)}"
        case LookingUp(number, due):
            return f"look-up {number} at {provider}, at {time_of_day(due, since)}"
        case Undecided(_, due):
            return f"decision of {provider}; looked up next at {time_of_day(due, since)}"
        case Held(cause) if cause.kind is FailureKind.INTEGRATION_INVALID:
            return wait_for_valid(tenant_id)
        case Held(cause) if cause.kind is FailureKind.PAUSED:
            return f"a person, who resumes it: {cause.message}"
        case Held(cause) if cause.kind.concern is Concern.INTEGRATION:
            return f"other settings or a release: {provider} is blocked by {cause.kind.value}"
        case Held():
            return "a person, who releases, abandons or attests it"
        case _:
            return None
