"""What can happen to an upload.

Each event carries the moment (`at`) and whatever chance it needs (`jitter`, uniform in [0, 1)), so
that `advance` needs neither a clock nor dice. Events that speak of an attempt or of a look-up carry
its number: what speaks of another one than the current is stale.
"""

from __future__ import annotations

from datetime import datetime
from typing import TypeAlias

from attrs import frozen

from .failure import Failure
from .verdict import Receipt

# --- of an attempt -------------------------------------------------------------------------------


@frozen
class Started:
    """An attempt begins. Stored before the first byte leaves."""

    at: datetime


@frozen
class Progressed:
    """Attempt `attempt` got half of the way; the next attempt goes on from `progress`."""

    at: datetime
    attempt: int
    progress: str


@frozen
class DeliveryConfirmed:
    """Attempt `attempt` was delivered. True whenever it is heard, however late."""

    at: datetime
    attempt: int
    receipt: Receipt


@frozen
class AttemptRejected:
    """Attempt `attempt` was refused for good."""

    at: datetime
    attempt: int
    failure: Failure


@frozen
class AttemptUnbundled:
    """Attempt `attempt` was sent together with others, and one of them was refused; each is sent
    again alone."""

    at: datetime
    attempt: int
    failure: Failure


@frozen
class AttemptDeferred:
    """Attempt `attempt` was surely not taken."""

    at: datetime
    attempt: int
    failure: Failure
    jitter: float


@frozen
class AttemptUnclear:
    """Attempt `attempt` may have been taken."""

    at: datetime
    attempt: int
    failure: Failure
    jitter: float


@frozen
class AttemptRecovered:
    """Whoever ran attempt `attempt` is gone without a word; it may have been taken."""

    at: datetime
    attempt: int
    failure: Failure
    jitter: float


# --- of a look-up --------------------------------------------------------------------------------


@frozen
class ReadFound:
    """A look-up found it. True whenever it is heard, however late."""

    at: datetime
    receipt: Receipt


@frozen
class ReadPartly:
    """Look-up `read` found a first step of it; the next attempt goes on from `progress`."""

    at: datetime
    read: int
    progress: str


@frozen
class ReadAbsent:
    """Look-up `read` did not find it."""

    at: datetime
    read: int


@frozen
class ReadFailed:
    """Look-up `read` could not be made."""

    at: datetime
    read: int
    failure: Failure


# --- of the document and the integration ---------------------------------------------------------


@frozen
class FoundUnfit:
    """The document cannot be sent: it cannot be rendered, is too large or of a type that the
    provider does not take."""

    at: datetime
    failure: Failure


@frozen
class Blocked:
    """The integration does not work: at their turn, its other uploads wait for a person."""

    at: datetime
    failure: Failure


@frozen
class Unblocked:
    """The integration may work again."""

    at: datetime


# --- of a person ---------------------------------------------------------------------------------


@frozen
class Requeued:
    """A person has it tried again, with a fresh budget."""

    at: datetime
    by: str
    reason: str


@frozen
class Abandoned:
    """A person gives it up."""

    at: datetime
    by: str
    reason: str


@frozen
class Attested:
    """A person has seen it at the provider."""

    at: datetime
    by: str
    reason: str


AttemptEvent: TypeAlias = (
    Progressed
    | DeliveryConfirmed
    | AttemptRejected
    | AttemptUnbundled
    | AttemptDeferred
    | AttemptUnclear
    | AttemptRecovered
)
ReadEvent: TypeAlias = ReadFound | ReadPartly | ReadAbsent | ReadFailed
PersonEvent: TypeAlias = Requeued | Abandoned | Attested
Event: TypeAlias = (
    Started | AttemptEvent | ReadEvent | FoundUnfit | Blocked | Unblocked | PersonEvent
)
