"""What people do to an upload: `act` returns the changed upload, or why the action does not apply.

Each action is idempotent: done a second time, it changes nothing.
"""

from __future__ import annotations

from datetime import datetime
from enum import Enum

from attrs import frozen

from ..errors import MisuseError
from .events import Abandoned, Attested, Requeued
from .failure import Concern, FailureKind
from .status import UploadStatus
from .transitions import Rules, advance
from .upload import Failed, Held, Sending, Status, Upload, is_parked, is_stopped

MAX_REASON_LENGTH = 2_000
"""The greatest length of `by` and of `reason`, in characters."""


class Action(Enum):
    """An action's word in the database, on the command line and on the screen."""

    RETRY = "retry"
    RELEASE = "release"
    ABANDON = "abandon"
    ATTEST = "attest"

    @property
    def concerned(self) -> tuple[Status, ...]:
        """The statuses that the action applies to."""
        return _MEANING[self][0]

    @property
    def is_for(self) -> str:
        """What it applies to, in words."""
        if self is Action.RELEASE:
            return "held, parked, or failed because the integration did not work"
        return " or ".join(status.value for status in self.concerned)

    @property
    def may_concern(self) -> tuple[Status, ...]:
        """The same, and those of what else it may apply to: parked uploads if it applies to what is
        held, and what failed because the integration did not work if it is a release."""
        parked = (Status.RETRYING,) if Status.HELD in self.concerned else ()
        failed = (Status.FAILED,) if self is Action.RELEASE else ()
        return tuple(dict.fromkeys((*self.concerned, *parked, *failed)))


_MEANING: dict[Action, tuple[tuple[Status, ...], type[Requeued | Abandoned | Attested]]] = {
    Action.RETRY: ((Status.FAILED, Status.SKIPPED), Requeued),
    Action.RELEASE: ((Status.HELD,), Requeued),
    Action.ABANDON: ((Status.PENDING, Status.RETRYING, Status.HELD), Abandoned),
    Action.ATTEST: ((Status.HELD, Status.FAILED, Status.SKIPPED), Attested),
}


@frozen
class Person:
    """Who acts, and why: both are recorded."""

    by: str
    reason: str

    def __attrs_post_init__(self) -> None:
        for name, text, meaning in (("by", self.by, "who acts"), ("reason", self.reason, "why")):
            if not isinstance(text, str) or not text.strip():
                raise MisuseError(f"{name} must say {meaning}: it is recorded")
            if len(text) > MAX_REASON_LENGTH:
                raise MisuseError(
                    f"{name} has {len(text):,} characters; {MAX_REASON_LENGTH:,} are enough"
                )


@frozen
class Inapplicable:
    """The action does not apply to the upload as it stands; nothing was changed."""

    reason: str


def act(
    upload: Upload, action: Action, person: Person, at: datetime, rules: Rules
) -> Upload | Inapplicable:
    """Apply a person's action.

    Args:
        at: The present moment.
        rules: Decide whether a requeued doubt is looked up first.

    Returns:
        The changed upload, or why the action does not apply to it.
    """
    reason = not_applicable(upload, action)
    if reason is not None:
        return Inapplicable(reason)
    _, kind = _MEANING[action]
    return advance(upload, kind(at, person.by, person.reason), rules)


def fits(action: Action, status: UploadStatus) -> bool:
    """Whether the action applies to an upload by its status. What is for held uploads is for parked
    ones too, and a release is for what failed because the integration did not work."""
    if action is Action.RELEASE:
        return status.stopped
    words = {word.value for word in action.concerned}
    return status.status in words or (status.parked and Status.HELD in action.concerned)


def not_applicable(upload: Upload, action: Action) -> str | None:
    """Why an action does not apply to an upload as it stands; None if it does."""
    if isinstance(upload.state, Sending):
        return (
            "an attempt is in flight: wait until it has ended, "
            "then see whether this is still wanted"
        )
    if action in (Action.RETRY, Action.RELEASE) and _is_paused(upload):
        return "a person has paused it: resume the tenant or the provider"
    if _concerns(action, upload):
        return None
    reason = f"it is {upload.status.value}, and {action.value} is for what is {action.is_for}"
    other = {Action.RETRY: Action.RELEASE, Action.RELEASE: Action.RETRY}.get(action)
    return f"{reason}: {other.value} it" if other and _concerns(other, upload) else reason


def _concerns(action: Action, upload: Upload) -> bool:
    if action is Action.RELEASE:
        return is_stopped(upload.state)
    parked = is_parked(upload.state) and Status.HELD in action.concerned
    return upload.status in action.concerned or parked


def _is_paused(upload: Upload) -> bool:
    return isinstance(upload.state, Held) and upload.state.cause.kind is FailureKind.PAUSED


def unblocks(upload: Upload, action: Action) -> bool:
    """Whether the action says that this upload's integration, or its target, may work again."""
    state = upload.state
    return action in (Action.RETRY, Action.RELEASE) and (
        is_parked(state)
        or (isinstance(state, Held | Failed) and state.cause.kind.concern is not Concern.UPLOAD)
    )
