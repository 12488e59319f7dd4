"""What an administrator sees of an upload: plain values, named as in every list, page and JSON."""

from __future__ import annotations

from datetime import date, datetime

from attrs import frozen

from .failure import Failure
from .upload import Succeeded, Upload, cause_of, due_of
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


@frozen(kw_only=True)
class UploadStatus:
    """How one upload stands.

    `status` is pending, retrying, held, succeeded, failed or skipped. Moments are aware and in UTC;
    `last_attempt_at` is the start of the latest attempt. `digest` is the document's SHA-256.
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
    """What a person did to an upload: `action` is retry, release, abandon or attest."""

    at: datetime
    action: str
    by: str
    reason: str


@frozen(kw_only=True)
class LookUpRow:
    """One look-up of an upload at the provider; `finding` is found, partly, absent, unreadable,
    processing or refused."""

    at: datetime
    finding: str
    message: str | None


@frozen(kw_only=True)
class UploadDetails(UploadStatus):
    """How one upload stands, and its history."""

    history: tuple[AttemptRow, ...]
    actions: tuple[ActionRow, ...]
    look_ups: tuple[LookUpRow, ...]


def status_of_upload(
    upload: Upload, last_attempt_at: datetime | None, next_attempt_at: datetime | None = None
) -> UploadStatus:
    """How an upload stands.

    Args:
        last_attempt_at: When its latest attempt started.
        next_attempt_at: An estimate of the next attempt; without one, the upload's due time.
    """
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
