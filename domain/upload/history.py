"""An upload's details, from what a store keeps of it."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import fields

from .attempt import Attempt
from .status import (
    ActionRow,
    AttemptRow,
    LookUpRow,
    RunningAttempt,
    UploadDetails,
    UploadStatus,
)
from .upload import Sending, State
from .verdict import word_of


def details_of(
    status: UploadStatus,
    document: str,
    attempts: Iterable[Attempt],
    actions: Iterable[ActionRow],
    look_ups: Iterable[LookUpRow],
    running: RunningAttempt | None = None,
) -> UploadDetails:
    """How an upload stands and how it came to; attempts, actions and look-ups in the order in
    which they were recorded."""
    return UploadDetails(
        **{field.name: getattr(status, field.name) for field in fields(UploadStatus)},
        document=document,
        history=tuple(map(_attempt_row, attempts)),
        actions=tuple(actions),
        look_ups=tuple(look_ups),
        running=running,
    )


def _attempt_row(attempt: Attempt) -> AttemptRow:
    failure = attempt.failure
    return AttemptRow(
        number=attempt.number,
        started_at=attempt.started_at,
        ended_at=attempt.ended_at,
        verdict=word_of(attempt.verdict),
        kind=None if failure is None else failure.kind.value,
        message=attempt.result.message,
        http_status=None if failure is None else failure.http_status,
        retry_after=None if failure is None else failure.retry_after,
        request_id=attempt.request_id,
        detail=None if failure is None else failure.detail,
    )


def running_attempt(
    state: State, status: UploadStatus, courier_id: int | None, courier: str | None = None
) -> RunningAttempt | None:
    """The attempt that is under way in this state; None if none is."""
    if not isinstance(state, Sending):
        return None
    return RunningAttempt(
        number=state.attempt,
        started_at=state.started_at,
        courier_id=courier_id,
        courier=courier,
        waits_for=status.waits_for,
    )
