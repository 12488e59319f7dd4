"""What went wrong, as a value.

A `FailureKind` knows two things about itself: whether a later attempt may mend it, and what it
speaks of: this one upload, or the tenant's whole integration. A `Failure` adds what was seen. Its
texts are redacted before it is made to last.
"""

from __future__ import annotations

from enum import Enum

from attrs import field, frozen


class Concern(Enum):
    """What a failure speaks of."""

    UPLOAD = "upload"
    INTEGRATION = "integration"


class FailureKind(Enum):
    """Every way in which an attempt, or an upload, can go wrong; the value is the word in the
    database and on the screen."""

    # Surely not taken: a later attempt is safe.
    NO_CONNECTION = "no_connection"
    NOT_SENT = "not_sent"
    RATE_LIMITED = "rate_limited"
    TOLD_TO_WAIT = "told_to_wait"
    TOKEN_REVOKED = "token_revoked"
    SOURCE_UNAVAILABLE = "source_unavailable"
    # Perhaps taken: a later attempt may make a second copy.
    TIMEOUT = "timeout"
    CONNECTION_LOST = "connection_lost"
    SERVER_ERROR = "server_error"
    BROKEN_REPLY = "broken_reply"
    INTERRUPTED = "interrupted"
    # Refused: a resend cannot mend it.
    UNRECOGNISED_REPLY = "unrecognised_reply"
    BAD_REQUEST = "bad_request"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    TOO_LARGE = "too_large"
    UNSUPPORTED_TYPE = "unsupported_type"
    CHECK_IN_REVIEW = "check_in_review"
    REFUSED = "refused"
    REDIRECTED = "redirected"
    DOCUMENT_GONE = "document_gone"
    UNFIT_RENDER = "unfit_render"
    UNFIT_SIZE = "unfit_size"
    UNFIT_TYPE = "unfit_type"
    PROVIDER_BROKEN = "provider_broken"
    ABANDONED = "abandoned"
    # Refused, and so will be everything else that this integration sends.
    UNAUTHORIZED = "unauthorized"
    TARGET_NOT_FOUND = "target_not_found"
    INTEGRATION_GONE = "integration_gone"

    @property
    def retryable(self) -> bool:
        """Whether a later attempt of the same upload may succeed without anybody's help."""
        return self in _RETRYABLE

    @property
    def throttling(self) -> bool:
        """Whether the provider asked for patience: without a Retry-After, one period of the pace
        is waited at least."""
        return self is FailureKind.RATE_LIMITED or self is FailureKind.TOLD_TO_WAIT

    @property
    def concern(self) -> Concern:
        """Whether this speaks of one upload or of all that the integration sends."""
        return Concern.INTEGRATION if self in _OF_THE_INTEGRATION else Concern.UPLOAD


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
    {FailureKind.UNAUTHORIZED, FailureKind.TARGET_NOT_FOUND, FailureKind.INTEGRATION_GONE}
)


@frozen
class Failure:
    """What was seen to go wrong.

    `message` says it in a sentence that names who must do what where somebody must. `retry_after`
    is in seconds, as the provider asked for it. `detail` is more of what was seen (a piece of a
    reply), redacted and short.
    """

    kind: FailureKind
    message: str
    http_status: int | None = field(default=None, kw_only=True)
    retry_after: float | None = field(default=None, kw_only=True)
    detail: str | None = field(default=None, kw_only=True)
