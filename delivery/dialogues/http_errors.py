"""The verdict on an HTTP reply, or on a missing one: one table for all providers.

=========================================  =========================================================
what happened                              verdict
=========================================  =========================================================
not resolved, not connected, not sent      Deferred: the request was not taken
timeout or reset after it was sent         Unclear
2xx, complete                              None: the provider says what it recognises as success
2xx, cut short or longer than is read      Unclear
3xx                                        Rejected: never followed, so the credentials stay here
401                                        Rejected, and the integration is blocked
408, 425, 429                              Deferred
423                                        Rejected, and the integration is blocked
any other 4xx                              Rejected, with words on who must do what
5xx, or a status that HTTP does not have   Unclear: a gateway may answer 502 for a taken upload
=========================================  =========================================================

A later attempt keeps to Retry-After. What an API says beyond HTTP (a GraphQL error, a code in the
body) is judged by its provider, before or after this table.
"""

from __future__ import annotations

from typing import Final, TypeAlias

from attrs import frozen

from ...domain.hosts import host_of
from ...domain.upload.failure import Failure, FailureKind
from ...domain.upload.retry_after import retry_after
from ...domain.upload.verdict import Deferred, Rejected, Unclear
from ...ports.dialogue import Ending, HttpResponse, Reply, TransportFailure

NotDelivered: TypeAlias = Deferred | Rejected | Unclear
"""The verdicts that the table knows: each has a failure."""

DETAIL_BYTES: Final = 4_000
"""How much of a reply's body is copied into a failure's detail, before redaction shortens it."""

_NOT_TAKEN: Final = (FailureKind.NO_CONNECTION, FailureKind.NOT_SENT)


@frozen(kw_only=True)
class ErrorHints:
    """What the table cannot know about a provider, as clauses without a full stop.

    Args:
        provider: its name, as messages write it.
        unauthorized: who must do what after a 401.
        forbidden: the same after a 403.
        not_found: the same after a 404.
        too_large: the same after a 413.
        unsupported_type: the same after a 415.
        look: who must look where after a success that is not recognised.
        target_gone: whether a 404 concerns the whole integration: its target is gone.
    """

    provider: str
    unauthorized: str
    forbidden: str
    not_found: str
    too_large: str = "make the document smaller, then submit it under a new evidence id"
    unsupported_type: str = "send a PDF"
    look: str = "look for the document there, then attest that it is there, retry or release it"
    target_gone: bool = False


@frozen
class RequestPurpose:
    """How messages speak of a request.

    Args:
        what: its name, such as "the upload".
        doubt: what an unclear reply leaves unknown: "; whether ... is not known", or "".
        mended: what to do once the cause of a refusal is mended: ", then retry ...", or "".
    """

    what: str
    doubt: str
    mended: str


UPLOAD: Final = RequestPurpose(
    "the upload", "; whether it took the upload is not known", ", then retry this upload"
)
READING: Final = RequestPurpose("the request", "", "")


def classify(
    reply: Reply, hints: ErrorHints, quote: str | None = None, purpose: RequestPurpose = UPLOAD
) -> NotDelivered | None:
    """Judge a reply by the table above.

    Args:
        reply: what `fetch` returned.
        hints: the provider's name, and who must do what.
        quote: the API's own words about a refusal. The message repeats them.
        purpose: what the request was for.

    Returns:
        The verdict, or None for a complete 2xx reply, which only the provider can judge.
    """
    if isinstance(reply, TransportFailure):
        failure = Failure(reply.kind, f"{hints.provider}: {reply.message}")
        return Deferred(failure) if reply.kind in _NOT_TAKEN else Unclear(failure)
    match reply.status // 100:
        case 2 if reply.ending is Ending.COMPLETE:
            return None
        case 2:
            return broken_reply(reply, hints, f"is {reply.ending.value}", purpose)
        case 3:
            return _redirected(reply, hints)
        case 4:
            return _refused(reply, hints, quote, purpose)
        case 5:
            text = f"{hints.provider} had an error of its own (HTTP {reply.status}){purpose.doubt}"
            return Unclear(_failure(reply, FailureKind.SERVER_ERROR, text))
    what = f"has the status {reply.status}, which is none of HTTP's final ones"
    return broken_reply(reply, hints, what, purpose)


def failure_to_read(reply: Reply, hints: ErrorHints, quote: str | None = None) -> Failure | None:
    """The failure of a request that changes nothing: a look-up, a dry run, a repeatable step.

    Args: as for `classify`.

    Returns:
        The failure, or None for a complete 2xx reply.
    """
    verdict = classify(reply, hints, quote, READING)
    return None if verdict is None else verdict.failure


def broken_reply(
    reply: HttpResponse, hints: ErrorHints, what: str, purpose: RequestPurpose = UPLOAD
) -> Unclear:
    """Unclear, for a reply that cannot be understood; `what` completes "the reply ..."."""
    message = f"the reply of {hints.provider} (HTTP {reply.status}) {what}{purpose.doubt}"
    return Unclear(_failure(reply, FailureKind.BROKEN_REPLY, message))


def not_json(reply: HttpResponse, hints: ErrorHints, purpose: RequestPurpose = UPLOAD) -> Unclear:
    """Unclear, for a complete reply that should be JSON and is not."""
    what = "is not JSON" if reply.body.strip() else "is empty"
    return broken_reply(reply, hints, what, purpose)


def broken_reading(reply: HttpResponse, hints: ErrorHints, what: str) -> Failure:
    """The failure in `broken_reply`, for a request that changes nothing."""
    return broken_reply(reply, hints, what, READING).failure


def throttled(reply: HttpResponse, hints: ErrorHints, quote: str | None = None) -> Deferred:
    """Deferred, for a provider that says in its own words: too many requests."""
    message = f"{hints.provider} takes no more requests for now (HTTP {reply.status}){_say(quote)}"
    return Deferred(_failure(reply, FailureKind.RATE_LIMITED, message))


def refusal(reply: HttpResponse, kind: FailureKind, message: str) -> Rejected:
    """Rejected, with the beginning of the reply's body as the failure's detail."""
    return Rejected(_failure(reply, kind, message))


def unrecognised(reply: HttpResponse, hints: ErrorHints, seen: str) -> Rejected:
    """Rejected, for a complete reply that does not say what success says: `seen` instead."""
    what = f"{hints.provider} answered, but not with what is known as success"
    return refusal(reply, FailureKind.UNRECOGNISED_REPLY, f"{what}: {seen}; {hints.look}")


def without_doubt(failure: Failure) -> Deferred | Rejected:
    """The verdict on a failure after which no copy can be there: try again, or do not."""
    return Deferred(failure) if failure.kind.retryable else Rejected(failure)


def _refused(
    reply: HttpResponse, hints: ErrorHints, quote: str | None, purpose: RequestPurpose
) -> NotDelivered:
    match reply.status:
        case 401:
            kind, what, do = FailureKind.UNAUTHORIZED, "refused the credentials", hints.unauthorized
        case 403:
            kind, what, do = FailureKind.FORBIDDEN, f"forbids {purpose.what}", hints.forbidden
        case 404:
            kind = FailureKind.TARGET_NOT_FOUND if hints.target_gone else FailureKind.NOT_FOUND
            what, do = "found nothing at this address", hints.not_found
        case 408 | 425:
            what = f"{hints.provider} asked to be sent {purpose.what} again later"
            message = f"{what} (HTTP {reply.status}){_say(quote)}"
            return Deferred(_failure(reply, FailureKind.TOLD_TO_WAIT, message))
        case 413:
            kind, what, do = FailureKind.TOO_LARGE, "finds the document too large", hints.too_large
        case 415:
            kind, what = FailureKind.UNSUPPORTED_TYPE, "does not take this type of document"
            do = hints.unsupported_type
        case 423:
            kind, what = FailureKind.ACCOUNT_LOCKED, "has locked the account"
            do = f"ask the {hints.provider} admin to have it unlocked, then release what is held"
        case 429:
            return throttled(reply, hints, quote)
        case status:
            kind = FailureKind.BAD_REQUEST if status in (400, 422) else FailureKind.REFUSED
            what = f"refused {purpose.what}"
            do = f"see the detail for its reply and mend what it names{purpose.mended}"
    return refusal(reply, kind, f"{hints.provider} {what} (HTTP {reply.status}){_say(quote)}: {do}")


def _redirected(reply: HttpResponse, hints: ErrorHints) -> Rejected:
    message = (
        f"{hints.provider} answered with a redirect to {_host(reply.header('location'))} "
        f"(HTTP {reply.status}), which is never followed: the credentials and the document stay "
        "here; correct the region or the endpoint in the tenant file"
    )
    return refusal(reply, FailureKind.REDIRECTED, message)


def _host(location: str | None) -> str:
    if not location:
        return "nowhere"
    host = host_of(location)
    return "an address that is none" if host is None else host or "another page of the same server"


def _say(quote: str | None) -> str:
    return f', saying "{quote}"' if quote else ""


def _failure(reply: HttpResponse, kind: FailureKind, message: str) -> Failure:
    asked = [value for name, value in reply.headers if name.lower() == "retry-after"]
    wait = retry_after(asked, reply.header("date"), reply.received_at)
    return Failure(
        kind,
        message,
        http_status=reply.status,
        retry_after=wait if kind.retryable else None,
        detail=reply.body[:DETAIL_BYTES].decode("utf-8", "replace") or None,
    )
