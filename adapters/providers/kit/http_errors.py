"""What an HTTP reply, or the lack of one, comes to: one table for all providers.

=====================================  ==============================================================
what happened                          verdict =====================================
============================================================== not resolved, connected or sent whole
Deferred: it was surely not taken timeout or reset after it was sent     Unclear 2xx, whole
none here: the provider says what it recognises 2xx, cut short or longer than is read  Unclear 3xx
Rejected: never followed, the credentials stay here 401                                    Rejected,
and speaks of the whole integration 408, 425, 429                          Deferred every other 4xx
Rejected, with words on who must do what 5xx, and what is no status at all      Unclear: a gateway
may answer 502 for an upload that arrived =====================================
==============================================================

Retry-After is kept wherever a later attempt follows. What a provider's API says beyond HTTP (a
GraphQL error, a code in the body) is the provider's own business; it judges a 4xx itself first if
its words say more than the status, and comes here for the rest.

`classify` judges an upload. For a request that only reads, in a look-up or a dry run,
`failure_to_read` gives the failure alone: nothing was to be taken, so nothing is said of whether it
was.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from attrs import frozen

from ....domain.upload.failure import Failure, FailureKind
from ....domain.upload.retry_after import retry_after
from ....domain.upload.verdict import Deferred, Delivered, Rejected, Unclear, Verdict
from ....ports.dialogue import Ending, HttpResponse, TransportFailure

PIECE: Final = 4_000
"""So many bytes of a reply go into a failure's detail, before redaction cuts it further."""

_SURELY_NOT_TAKEN: Final = (FailureKind.NO_CONNECTION, FailureKind.NOT_SENT)


@frozen(kw_only=True)
class ErrorHints:
    """What the table cannot know: the provider's name, and who must do what when it refuses. Whole
    clauses, without a full stop.

    `target_gone`: a 404 speaks of what the tenant file names, so of all that the integration sends.
    """

    provider: str
    unauthorized: str
    forbidden: str
    not_found: str
    too_large: str
    unsupported_type: str
    target_gone: bool = False


@frozen
class RequestPurpose:
    """What a request was sent for, as the messages say it: what it was, what is in doubt after it,
    and what to do once it is mended."""

    what: str
    doubt: str
    mended: str


UPLOAD: Final = RequestPurpose(
    "the upload", "; whether it took the upload is not known", ", then retry this upload"
)
READING: Final = RequestPurpose("the request", "", "")


def classify(
    reply: HttpResponse | TransportFailure,
    advice: ErrorHints,
    said: str | None = None,
    errand: RequestPurpose = UPLOAD,
) -> Verdict | None:
    """The verdict that the table above gives; None for a whole 2xx reply, which the provider itself
    must judge.

    `said` is what the API said in words about a refusal, where it could be read; it is put into the
    message.
    """
    if isinstance(reply, TransportFailure):
        failure = Failure(reply.kind, f"{advice.provider}: {reply.message}")
        return Deferred(failure) if reply.kind in _SURELY_NOT_TAKEN else Unclear(failure)
    match reply.status // 100:
        case 2:
            return (
                None
                if reply.ending is Ending.COMPLETE
                else Unclear(_broken(reply, advice, f"is {reply.ending.value}", errand))
            )
        case 3:
            return _redirected(reply, advice)
        case 4:
            return _refused(reply, advice, said, errand)
        case 5:
            message = (
                f"{advice.provider} had an error of its own (HTTP {reply.status}){errand.doubt}"
            )
            return Unclear(_failure(reply, FailureKind.SERVER_ERROR, message))
        case _:
            what = f"has the status {reply.status}, which is none of HTTP's final ones"
            return Unclear(_broken(reply, advice, what, errand))


def failure_to_read(
    reply: HttpResponse | TransportFailure, advice: ErrorHints, said: str | None = None
) -> Failure | None:
    """The failure of a request that only reads; None for a whole 2xx reply. `said` is as for
    `classify`."""
    verdict = classify(reply, advice, said, READING)
    assert not isinstance(verdict, Delivered)  # the table never says so
    return None if verdict is None else verdict.failure


def broken_reply(
    reply: HttpResponse, advice: ErrorHints, what: str, errand: RequestPurpose = UPLOAD
) -> Unclear:
    """Unclear, for a reply of which nobody can say what it means; `what` completes "the reply
    ..."."""
    return Unclear(_broken(reply, advice, what, errand))


def not_json(reply: HttpResponse, advice: ErrorHints, errand: RequestPurpose = UPLOAD) -> Unclear:
    """The same for a whole reply that should be JSON."""
    return broken_reply(reply, advice, "is not JSON" if reply.body.strip() else "is empty", errand)


def broken_reading(reply: HttpResponse, advice: ErrorHints, what: str) -> Failure:
    """The same for a request that only reads."""
    return _broken(reply, advice, what, READING)


def _broken(reply: HttpResponse, advice: ErrorHints, what: str, errand: RequestPurpose) -> Failure:
    message = f"the reply of {advice.provider} (HTTP {reply.status}) {what}{errand.doubt}"
    return _failure(reply, FailureKind.BROKEN_REPLY, message)


def throttled(reply: HttpResponse, advice: ErrorHints, said: str | None = None) -> Deferred:
    """Deferred, for a provider that says: too many requests."""
    message = (
        f"{advice.provider} takes no more requests for now (HTTP {reply.status}){_quoted(said)}"
    )
    return Deferred(_failure(reply, FailureKind.RATE_LIMITED, message))


def refusal(reply: HttpResponse, kind: FailureKind, message: str) -> Rejected:
    """Rejected, with a piece of the reply kept as detail."""
    return Rejected(_failure(reply, kind, message))


def _refused(
    reply: HttpResponse, advice: ErrorHints, said: str | None, errand: RequestPurpose
) -> Verdict:
    provider, status, words = advice.provider, reply.status, _quoted(said)
    match status:
        case 401:
            message = f"{provider} refused the credentials (HTTP 401){words}: {advice.unauthorized}"
            return refusal(reply, FailureKind.UNAUTHORIZED, message)
        case 403:
            message = f"{provider} forbids {errand.what} (HTTP 403){words}: {advice.forbidden}"
            return refusal(reply, FailureKind.FORBIDDEN, message)
        case 404:
            message = (
                f"{provider} found nothing at this address (HTTP 404){words}: {advice.not_found}"
            )
            kind = FailureKind.TARGET_NOT_FOUND if advice.target_gone else FailureKind.NOT_FOUND
            return refusal(reply, kind, message)
        case 408 | 425:
            message = (
                f"{provider} asked to be sent {errand.what} again later (HTTP {status}){words}"
            )
            return Deferred(_failure(reply, FailureKind.TOLD_TO_WAIT, message))
        case 413:
            message = (
                f"{provider} finds the document too large (HTTP 413){words}: {advice.too_large}"
            )
            return refusal(reply, FailureKind.TOO_LARGE, message)
        case 415:
            message = f"{provider} does not take this type of document (HTTP 415){words}: {advice.unsupported_type}"
            return refusal(reply, FailureKind.UNSUPPORTED_TYPE, message)
        case 429:
            return throttled(reply, advice, said)
        case 400 | 422:
            kind = FailureKind.BAD_REQUEST
        case _:
            kind = FailureKind.REFUSED
    do = f"see the detail for its reply and mend what it names{errand.mended}"
    return refusal(reply, kind, f"{provider} refused {errand.what} (HTTP {status}){words}: {do}")


def _redirected(reply: HttpResponse, advice: ErrorHints) -> Rejected:
    message = (
        f"{advice.provider} answered with a redirect to {_host(reply.header('location'))} "
        f"(HTTP {reply.status}), which is never followed: the credentials and the document stay here; "
        "correct the region or the endpoint in the tenant file"
    )
    return refusal(reply, FailureKind.REDIRECTED, message)


def _host(location: str | None) -> str:
    if not location:
        return "nowhere"
    try:
        return urlsplit(location).hostname or "another page of the same server"
    except ValueError:
        return "an address that is none"


def _quoted(said: str | None) -> str:
    return f', saying "{said}"' if said else ""


def _failure(reply: HttpResponse, kind: FailureKind, message: str) -> Failure:
    asked = [value for name, value in reply.headers if name.lower() == "retry-after"]
    wait = retry_after(asked, reply.header("date"), reply.received_at)
    return Failure(
        kind,
        message,
        http_status=reply.status,
        retry_after=wait if kind.retryable else None,
        detail=reply.body[:PIECE].decode("utf-8", "replace") or None,
    )
