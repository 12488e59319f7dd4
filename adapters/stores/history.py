"""An upload's details, from what a store keeps of it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from attrs import fields

from ...domain.attempt import Attempt
from ...domain.failure import Failure
from ...domain.status import ActionRow, AttemptRow, UploadDetails, UploadStatus, status_of_upload
from ...domain.upload import Upload


def details_of(
    upload: Upload,
    last_attempt_at: datetime | None,
    attempts: Iterable[Attempt],
    actions: Iterable[ActionRow],
) -> UploadDetails:
    """How an upload stands and how it came to; attempts and actions in the order in which they were recorded."""
    status = status_of_upload(upload, last_attempt_at)
    return UploadDetails(
        **{field.name: getattr(status, field.name) for field in fields(UploadStatus)},
        history=tuple(map(_attempt_row, attempts)),
        actions=tuple(actions),
    )


def _attempt_row(attempt: Attempt) -> AttemptRow:
    failure = attempt.result if isinstance(attempt.result, Failure) else None
    return AttemptRow(
        number=attempt.number,
        started_at=attempt.started_at,
        ended_at=attempt.ended_at,
        verdict=attempt.verdict.value,
        kind=None if failure is None else failure.kind.value,
        message=attempt.result.message,
        http_status=None if failure is None else failure.http_status,
        retry_after=None if failure is None else failure.retry_after,
        request_id=attempt.request_id,
    )
