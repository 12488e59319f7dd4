"""One attempt of an upload, as it is recorded: appended once, when it has ended, never changed."""

from __future__ import annotations

from datetime import datetime, timedelta

from attrs import frozen

from ..integration import RetryPolicy
from .backoff import bounded, floor_of, later
from .events import AttemptEnded
from .failure import Failure
from .verdict import AttemptVerdict, Deferred, Delivered, Processing, Receipt, Withdrawn


@frozen
class Attempt:
    """What one attempt came to.

    `not_before`: the provider asked for no request before this moment, within the policy's bound.
    """

    number: int
    started_at: datetime
    ended_at: datetime
    verdict: AttemptVerdict
    request_id: str | None = None
    not_before: datetime | None = None

    @property
    def result(self) -> Receipt | Failure:
        """The receipt of a delivered attempt, what is shown of every other."""
        verdict = self.verdict
        return verdict.receipt if isinstance(verdict, Delivered) else verdict.failure

    @property
    def failure(self) -> Failure | None:
        """What went wrong; None if the provider took the document."""
        verdict = self.verdict
        return None if isinstance(verdict, Delivered | Processing) else verdict.failure


def attempt_of(
    started_at: datetime, event: AttemptEnded, retry: RetryPolicy, request_id: str | None = None
) -> Attempt:
    """The attempt that an event ends.

    A Retry-After beyond the policy's limit is kept as it came, with a note of the bound in the
    failure's detail.
    """
    verdict, not_before = event.verdict, None
    if not isinstance(verdict, Delivered | Processing):
        failure = bounded(retry, verdict.failure)
        kind = Deferred if isinstance(verdict, Withdrawn) else type(verdict)
        verdict = kind(failure)
        if failure.retry_after is not None:
            not_before = later(event.at, floor_of(retry, failure, timedelta(0)))
    return Attempt(event.attempt, started_at, event.at, verdict, request_id, not_before)
