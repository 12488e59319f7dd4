"""What can happen to an upload.

Each event carries its moment (`at`), so that `advance` needs no clock; the end of an attempt also
carries its chance (`jitter`), so that `advance` needs no dice. Events of an attempt or of a look-up
carry its number: an event with another number than the current one is stale.
"""

from __future__ import annotations

from datetime import datetime
from typing import TypeAlias

from attrs import frozen

from .failure import Failure
from .verdict import AttemptVerdict, Finding


@frozen
class Started:
    """An attempt begins. This is stored before the first byte is sent."""

    at: datetime


@frozen
class Progressed:
    """Attempt `attempt` has done a first step; the next attempt goes on from `progress`."""

    at: datetime
    attempt: int
    progress: str


@frozen
class AttemptEnded:
    """Attempt `attempt` came to `verdict`. `jitter`, uniform in [0, 1), spreads the wait after it.

    Delivered is true in every state, however late the event comes.
    """

    at: datetime
    attempt: int
    verdict: AttemptVerdict
    jitter: float


@frozen
class LookedUp:
    """Look-up `look_up` came to `finding`. Found is true in every state, however late it comes."""

    at: datetime
    look_up: int
    finding: Finding


@frozen
class Unfit:
    """It is not to be sent: the document cannot be rendered, is too large or has a type that the
    provider does not take, or the settings exclude its outcome."""

    at: datetime
    failure: Failure


@frozen
class Blocked:
    """The integration does not work, and its uploads wait for a person; or its target takes nothing
    now, and they wait `until` it is asked again."""

    at: datetime
    failure: Failure
    until: datetime | None = None


@frozen
class Unblocked:
    """The integration may work again, no longer excludes the upload, or its target takes uploads
    again."""

    at: datetime


@frozen
class PersonEvent:
    """A person did something: who, and why."""

    at: datetime
    by: str
    reason: str


@frozen
class Requeued(PersonEvent):
    """A person wants it tried again, with a fresh budget."""


@frozen
class Abandoned(PersonEvent):
    """A person gives it up."""


@frozen
class Attested(PersonEvent):
    """A person has seen it at the provider."""


Event: TypeAlias = (
    Started
    | Progressed
    | AttemptEnded
    | LookedUp
    | Unfit
    | Blocked
    | Unblocked
    | Requeued
    | Abandoned
    | Attested
)
