"""What people do to an upload: `act` says what comes of it, or why it does not apply.

Each action is idempotent: done once more, it finds nothing left to do and changes nothing.
"""

from __future__ import annotations

from datetime import datetime
from enum import Enum

from attrs import frozen

from ..errors import MisuseError
from .events import Abandoned, Attested, PersonEvent, Requeued
from .failure import Concern
from .transitions import Rules, advance
from .upload import Failed, Held, Sending, Status, Upload, cause_of

LONGEST = 2_000


class Action(Enum):
    """The word in the database, on the command line and on the screen."""

    RETRY = "retry"
    RELEASE = "release"
    ABANDON = "abandon"
    ATTEST = "attest"

    @property
    def concerned(self) -> tuple[Status, ...]:
        """The statuses that it applies to."""
        return _CONCERNED[self]


_CONCERNED = {
    Action.RETRY: (Status.FAILED,),
    Action.RELEASE: (Status.HELD,),
    Action.ABANDON: (Status.PENDING, Status.RETRYING, Status.HELD),
    Action.ATTEST: (Status.HELD, Status.FAILED),
}


@frozen
class Person:
    """Who does something, and why: both are kept with the record."""

    by: str
    reason: str

    def __attrs_post_init__(self) -> None:
        for name, text in (("who", self.by), ("why", self.reason)):
            if not isinstance(text, str) or not text.strip():
                raise MisuseError(f"say {name}: it is kept with the record of what was done")
            if len(text) > LONGEST:
                raise MisuseError(f"{name} has {len(text):,} characters; {LONGEST:,} are enough")


@frozen
class Inapplicable:
    """The action does not apply to the upload as it is, for `reason`; nothing was changed."""

    reason: str


def act(
    upload: Upload, action: Action, person: Person, at: datetime, rules: Rules
) -> Upload | Inapplicable:
    """The upload after the action."""
    if upload.status not in action.concerned or isinstance(upload.state, Sending):
        return Inapplicable(_reason(upload, action))
    return advance(upload, _event_of(action, person, at), rules)


def not_for(action: Action, status: str) -> str:
    """That an action is for other statuses than this one."""
    fits = " or ".join(concerned.value for concerned in action.concerned)
    return f"it is {status}, and {action.value} is for what is {fits}"


def unblocks(upload: Upload, action: Action) -> bool:
    """Whether the action says that the upload's whole integration may work again."""
    cause = cause_of(upload.state)
    return (
        action in (Action.RETRY, Action.RELEASE)
        and isinstance(upload.state, Held | Failed)
        and cause is not None
        and cause.kind.concern is Concern.INTEGRATION
    )


def _event_of(action: Action, person: Person, at: datetime) -> PersonEvent:
    match action:
        case Action.RETRY | Action.RELEASE:
            return Requeued(at, person.by, person.reason)
        case Action.ABANDON:
            return Abandoned(at, person.by, person.reason)
        case Action.ATTEST:
            return Attested(at, person.by, person.reason)


def _reason(upload: Upload, action: Action) -> str:
    if isinstance(upload.state, Sending):
        return "an attempt is in flight: wait until it has ended, then see whether this is still wanted"
    return not_for(action, upload.status.value)
