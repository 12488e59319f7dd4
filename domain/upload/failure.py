"""What went wrong, as a value.

A `FailureKind` knows whether a later attempt may succeed, and whether it concerns one upload,
the target of the tenant's uploads or its whole integration. A `Failure` adds what was seen; its
texts are redacted before they are stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from functools import cached_property
from typing import Final

from attrs import field, frozen


class Concern(Enum):
    """What a failure concerns."""

    UPLOAD = "upload"
    TARGET = "target"
    INTEGRATION = "integration"


class FailureKind(Enum):
    """The ways in which an attempt or an upload can go wrong; the value is the word in the database
    and on the screen."""

    # Definitely not received: a later attempt is safe.
    NO_CONNECTION = "no_connection"
    NOT_SENT = "not_sent"
    RATE_LIMITED = "rate_limited"
    TOLD_TO_WAIT = "told_to_wait"
    TOKEN_REVOKED = "token_revoked"
    SOURCE_UNAVAILABLE = "source_unavailable"
    # Possibly received: a later attempt may make a second copy.
    TIMEOUT = "timeout"
    CONNECTION_LOST = "connection_lost"
    SERVER_ERROR = "server_error"
    BROKEN_REPLY = "broken_reply"
    INTERRUPTED = "interrupted"
    # Refused: resending will not help.
    UNRECOGNISED_REPLY = "unrecognised_reply"
    BAD_REQUEST = "bad_request"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    TOO_LARGE = "too_large"
    UNSUPPORTED_TYPE = "unsupported_type"
    REFUSED = "refused"
    REDIRECTED = "redirected"
    DOCUMENT_GONE = "document_gone"
    UNFIT_RENDER = "unfit_render"
    UNFIT_SIZE = "unfit_size"
    UNFIT_TYPE = "unfit_type"
    PROVIDER_BROKEN = "provider_broken"
    ABANDONED = "abandoned"
    STILL_PROCESSING = "still_processing"
    # Excluded by the tenant's settings: nothing is sent.
    OUTCOME_EXCLUDED = "outcome_excluded"
    # Refused for now: the target takes no upload at all, and will again by itself.
    CHECK_IN_REVIEW = "check_in_review"
    # Refused, and the integration's other uploads will be refused too.
    UNAUTHORIZED = "unauthorized"
    TARGET_NOT_FOUND = "target_not_found"
    ACCOUNT_LOCKED = "account_locked"
    INTEGRATION_GONE = "integration_gone"
    INTEGRATION_INVALID = "integration_invalid"
    # A person has paused it: nothing is sent until a person resumes it.
    PAUSED = "paused"
    # Possibly taken, and no other upload's reply will be understood either.
    UNKNOWN_STATUS = "unknown_status"

    @property
    def retryable(self) -> bool:
        """Whether a later attempt may succeed without anyone's help."""
        return self in _RETRYABLE

    @property
    def throttling(self) -> bool:
        """Whether the provider asked to wait; without a Retry-After, at least one period of the
        pace."""
        return self is FailureKind.RATE_LIMITED or self is FailureKind.TOLD_TO_WAIT

    @cached_property
    def concern(self) -> Concern:
        """Whether this concerns one upload, its target or the whole integration."""
        if self is FailureKind.CHECK_IN_REVIEW:
            return Concern.TARGET
        return Concern.INTEGRATION if self in _OF_THE_INTEGRATION else Concern.UPLOAD

    @property
    def resumes(self) -> bool:
        """Whether what failed for this goes again by itself once the integration may work again."""
        return self.concern is Concern.INTEGRATION and not self.doubtful

    @property
    def doubtful(self) -> bool:
        """Whether what was rejected for this may have been taken all the same."""
        return self in (FailureKind.UNRECOGNISED_REPLY, FailureKind.UNKNOWN_STATUS)


_RETRYABLE = frozenset(
    {
        FailureKind.NO_CONNECTION,
        FailureKind.NOT_SENT,
        FailureKind.RATE_LIMITED,
        FailureKind.TOLD_TO_WAIT,
        FailureKind.TOKEN_REVOKED,
        FailureKind.SOURCE_UNAVAILABLE,
        FailureKind.TIMEOUT,
        FailureKind.CONNECTION_LOST,
        FailureKind.SERVER_ERROR,
        FailureKind.BROKEN_REPLY,
        FailureKind.INTERRUPTED,
    }
)
_OF_THE_INTEGRATION = frozenset(
    {
        FailureKind.UNAUTHORIZED,
        FailureKind.TARGET_NOT_FOUND,
        FailureKind.ACCOUNT_LOCKED,
        FailureKind.INTEGRATION_GONE,
        FailureKind.INTEGRATION_INVALID,
        FailureKind.UNKNOWN_STATUS,
        FailureKind.PAUSED,
    }
)

_OF_A_BLOCK: Final = "unauthorized, target_not_found or account_locked"
OF_THE_COURIER: Final[Mapping[FailureKind, str]] = {
    FailureKind.PAUSED: _OF_A_BLOCK,
    FailureKind.INTEGRATION_GONE: _OF_A_BLOCK,
    FailureKind.INTEGRATION_INVALID: _OF_A_BLOCK,
    FailureKind.STILL_PROCESSING: "the verdict Processing",
    FailureKind.INTERRUPTED: "timeout or connection_lost",
    FailureKind.SOURCE_UNAVAILABLE: "told_to_wait",
    FailureKind.OUTCOME_EXCLUDED: "default_outcomes",
    FailureKind.PROVIDER_BROKEN: "an exception",
    FailureKind.ABANDONED: "refused",
    FailureKind.DOCUMENT_GONE: "refused",
    FailureKind.UNFIT_RENDER: "refused",
}
"""The kinds that only the courier gives, and what a provider uses instead: they tell what a person,
the host or the courier itself did, and an upload that is paused or gone waits for them."""


@frozen
class Failure:
    """What was seen to go wrong.

    `message` is a sentence that says who must do what, if someone must. `retry_after` is the wait
    in seconds that the provider asked for. `detail` is a short piece of its reply.
    """

    kind: FailureKind
    message: str
    http_status: int | None = field(default=None, kw_only=True)
    retry_after: float | None = field(default=None, kw_only=True)
    detail: str | None = field(default=None, kw_only=True)


def sentence(kind: str | None, message: str | None, http_status: int | None) -> str:
    """A failure in one line, as ``server_error (HTTP 503): Sprinto is down``. The kind or
    the status is left out if the message begins with the one or says the other, and so is 200."""
    if kind is not None and (message or "").startswith(f"{kind} "):
        kind = None
    status = f"HTTP {http_status}"
    if kind is None or http_status in (None, 200) or status in (message or ""):
        return ": ".join(filter(None, (kind, message)))
    return ": ".join(filter(None, (f"{kind} ({status})", message)))
