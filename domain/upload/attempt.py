"""One try of an upload, as it is kept: appended once, when it has ended, and never changed."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import Enum

from attrs import frozen

from ..integration import RetryPolicy
from .backoff import bounded, floor_of, later
from .events import (
    AttemptDeferred,
    AttemptEvent,
    AttemptRecovered,
    AttemptRejected,
    AttemptUnbundled,
    AttemptUnclear,
    DeliveryConfirmed,
    Progressed,
)
from .failure import Failure
from .verdict import Deferred, Delivered, Receipt, Rejected, Unbundled, Unclear, Verdict


class VerdictWord(Enum):
    """The word in the database and on the screen for what an attempt came to."""

    DELIVERED = "delivered"
    REJECTED = "rejected"
    UNBUNDLED = "unbundled"
    DEFERRED = "deferred"
    UNCLEAR = "unclear"
    RECOVERED = "recovered"


@frozen
class Attempt:
    """What one attempt came to. `result` is the receipt of a delivered one and the failure of every
    other.

    `not_before`: the provider asked not to be asked again before, within the policy's bound.
    """

    number: int
    started_at: datetime
    ended_at: datetime
    verdict: VerdictWord
    result: Receipt | Failure
    request_id: str | None = None
    not_before: datetime | None = None


def event_of(
    verdict: Verdict | Unbundled, attempt: int, at: datetime, jitter: float
) -> AttemptEvent:
    """The event that a verdict on an attempt is for its upload."""
    match verdict:
        case Delivered(receipt=receipt):
            return DeliveryConfirmed(at, attempt, receipt)
        case Rejected(failure=failure):
            return AttemptRejected(at, attempt, failure)
        case Deferred(failure=failure):
            return AttemptDeferred(at, attempt, failure, jitter)
        case Unclear(failure=failure):
            return AttemptUnclear(at, attempt, failure, jitter)
        case Unbundled(failure=failure):
            return AttemptUnbundled(at, attempt, failure)


def attempt_of(
    started_at: datetime, event: AttemptEvent, retry: RetryPolicy, request_id: str | None = None
) -> Attempt | None:
    """The attempt that an event ends; None for one that does not end it (a bookmark on the way).

    A Retry-After beyond the policy's limit is kept as it came, with a note of the bound in the
    failure's detail.
    """
    match event:
        case Progressed():
            return None
        case DeliveryConfirmed(at=at, attempt=number, receipt=receipt):
            return Attempt(number, started_at, at, VerdictWord.DELIVERED, receipt, request_id)
        case AttemptRejected():
            word = VerdictWord.REJECTED
        case AttemptUnbundled():
            word = VerdictWord.UNBUNDLED
        case AttemptDeferred():
            word = VerdictWord.DEFERRED
        case AttemptUnclear():
            word = VerdictWord.UNCLEAR
        case AttemptRecovered():
            word = VerdictWord.RECOVERED
    failure = bounded(retry, event.failure)
    asked = failure.retry_after is not None
    return Attempt(
        event.attempt,
        started_at,
        event.at,
        word,
        failure,
        request_id,
        later(event.at, floor_of(retry, failure, timedelta(0))) if asked else None,
    )
