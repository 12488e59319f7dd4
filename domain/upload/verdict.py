"""What an attempt, a look-up and a dry run came to.

Between "it arrived" and "it failed" lie the cases that decide whether a document is delivered
twice, once or never: `Deferred` was definitely not received, `Unclear` may have been, `Processing`
was received and is not decided yet.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TypeAlias, get_args

from attrs import frozen

from .backoff import wait_of
from .failure import Failure, FailureKind


@frozen
class Receipt:
    """What the provider returned for a document that it took: its id for it, if it has one, and
    its words."""

    reference: str | None = None
    message: str | None = None


@frozen
class Delivered:
    """The provider has confirmed that it took the document."""

    receipt: Receipt


@frozen
class Rejected:
    """The provider has refused it, and resending will not help."""

    failure: Failure


@frozen
class Deferred:
    """Definitely not received: no connection, the request was not sent completely, or the provider
    asked to come back later."""

    failure: Failure


@frozen
class Unclear:
    """It may have been received: the request was sent and no answer that one can trust came."""

    failure: Failure


@frozen
class Processing:
    """The provider has taken it and decides later; it is looked up again after `after`.

    As a finding: it is there, and still not decided.
    """

    after: timedelta
    message: str = "the provider has taken it and decides later"

    @property
    def failure(self) -> Failure:
        """What is shown while nothing is decided."""
        seconds = self.after.total_seconds()
        return Failure(FailureKind.STILL_PROCESSING, self.message, retry_after=seconds)


@frozen
class Unbundled:
    """It was sent together with others, and all were refused because of one of them: each is sent
    again alone."""

    failure: Failure


@frozen
class Recovered:
    """The courier that sent it died without a word: it may have been received."""

    failure: Failure


@frozen
class Withdrawn:
    """The courier closed before it was sent, or gave up waiting for the pace: it costs no attempt
    of the budget, and is recorded as `Deferred`. It is sent again at `until`, or at once."""

    failure: Failure
    until: datetime | None = None


Verdict: TypeAlias = Delivered | Rejected | Deferred | Unclear | Processing
AttemptVerdict: TypeAlias = Verdict | Unbundled | Recovered | Withdrawn


@frozen
class Found:
    """The look-up has found it."""

    receipt: Receipt


@frozen
class Partly:
    """The look-up has found a first step of it; the next attempt goes on from `progress`."""

    progress: str


@frozen
class Absent:
    """The provider was asked, and does not have it (yet)."""


@frozen
class Unreadable:
    """The look-up could not be made."""

    failure: Failure


@frozen
class Refused:
    """The provider has decided against what it had taken, and resending will not help."""

    failure: Failure


Finding: TypeAlias = Found | Partly | Absent | Unreadable | Processing | Refused


@frozen
class Ready:
    """The credentials work, and what they are to upload to exists; `message` says what was seen,
    in words for a person."""

    message: str


@frozen
class NotReady:
    """Uploads would fail, or the dry run could not find out; the failure says which, and who must
    do what."""

    failure: Failure


DryRun: TypeAlias = Ready | NotReady

VERDICTS: dict[str, type[AttemptVerdict]] = {
    kind.__name__.lower(): kind for kind in get_args(AttemptVerdict) if kind is not Withdrawn
}
"""Each verdict that is recorded by its word in the database, in logs and on the screen."""


def word_of(value: AttemptVerdict | Finding) -> str:
    """The word for a verdict or a finding in the database, in logs and on the screen."""
    return type(value).__name__.lower()


def verdict_of(word: str, result: Receipt | Failure) -> AttemptVerdict:
    """The verdict with this word and this receipt, or this failure.

    Raises:
        ValueError: No verdict has this word, or it goes with the other kind of result.
    """
    kind = VERDICTS.get(word)
    if kind is None or (kind is Delivered) is not isinstance(result, Receipt):
        raise ValueError(f"{word!r} with a {type(result).__name__} is no verdict")
    if kind is Processing and isinstance(result, Failure):
        return Processing(wait_of(result.retry_after or 0.0), result.message)
    return kind(result)  # type: ignore[arg-type]
