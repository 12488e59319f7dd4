"""What an administrator is told about an upload: plain values with the names that every list,
page and JSON uses."""

from __future__ import annotations

from datetime import date, datetime

from attrs import frozen

from .failure import Failure
from .upload import Succeeded, Upload, cause_of, due_of
from .verdict import Receipt


@frozen
class StatusError:
    """What went wrong last: the kind of failure as a word, the sentence, and the HTTP status
    where there was one."""

    kind: str
    message: str
    http_status: int | None

    @classmethod
    def of(cls, failure: Failure) -> StatusError:
        """The error that a failure is for its reader."""
        return cls(
            kind=failure.kind.value, message=failure.message, http_status=failure.http_status
        )


@frozen(kw_only=True)
class UploadStatus:
    """How one upload stands.

    `status` is pending, retrying, held, succeeded or failed. Moments are aware and in UTC;
    `last_attempt_at` is when the latest attempt started. `digest` is the sha256 of the document.
    """

    tenant_id: str
    evidence_id: str
    provider: str
    status: str
    attempts: int
    possible_duplicate: bool
    error: StatusError | None
    last_attempt_at: datetime | None
    next_attempt_at: datetime | None
    receipt: Receipt | None
    digest: str
    evidence_date: date
    created_at: datetime
    updated_at: datetime


@frozen(kw_only=True)
class AttemptRow:
    """One attempt of an upload's history; `verdict` is delivered, rejected, unbundled, deferred,
    unclear or recovered.

    `detail` is a piece of the provider's reply, where there was one.
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
    """What a person did to an upload: `action` is retry, release, abandon or attest."""

    at: datetime
    action: str
    by: str
    reason: str


@frozen(kw_only=True)
class LookUpRow:
    """One time that the provider was asked whether it has the upload; `finding` is found,
    partly, absent or unreadable."""

    at: datetime
    finding: str
    message: str | None


@frozen(kw_only=True)
class UploadDetails(UploadStatus):
    """How one upload stands, and how it came to."""

    history: tuple[AttemptRow, ...]
    actions: tuple[ActionRow, ...]
    look_ups: tuple[LookUpRow, ...]


def status_of_upload(
    upload: Upload, last_attempt_at: datetime | None, next_attempt_at: datetime | None = None
) -> UploadStatus:
    """How an upload stands; `last_attempt_at` is when its latest attempt started, `next_attempt_at`
    an estimate of the next, where it is not simply when it is due."""
    state = upload.state
    cause = cause_of(state)
    return UploadStatus(
        tenant_id=upload.key.tenant_id,
        evidence_id=upload.key.evidence_id,
        provider=upload.key.provider,
        status=upload.status.value,
        attempts=upload.tally.attempts,
        possible_duplicate=upload.tally.possible_duplicate,
        error=StatusError.of(cause) if cause is not None else None,
        last_attempt_at=last_attempt_at,
        next_attempt_at=next_attempt_at if next_attempt_at is not None else due_of(state),
        receipt=state.receipt if isinstance(state, Succeeded) else None,
        digest=upload.digest,
        evidence_date=upload.evidence_date,
        created_at=upload.created_at,
        updated_at=upload.updated_at,
    )
