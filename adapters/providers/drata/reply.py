"""What a reply of Drata's comes to: success is recognised, never assumed.

Documented (the OpenAPI document of the API, version V2, at developers.drata.com): an upload answers
201 with the new document, whose `id` is a number; an error is `{"statusCode", "message", "code"}`;
a list is `{"data": [...], "pagination": {"cursor": text or null}}`, where null says that there is
no more. 402, 403, 412, 413 and 503 have a meaning of their own there, which is why each gets words
of its own here. 402 stands in an older edition of that document and is missing from the newest.
"""

from __future__ import annotations

from typing import Final

from attrs import evolve, frozen

from ....domain.upload.failure import Failure, FailureKind
from ....domain.upload.verdict import Delivered, Receipt, Unclear, Verdict
from ....ports.dialogue import HttpResponse, TransportFailure
from ..kit.http_errors import UPLOAD, ErrorHints, RequestPurpose, classify, not_json, refusal
from ..kit.json_reply import NotJson, mapping, parse_json, text

CREATED: Final = 201
_WORDS = 300  # characters of what Drata says that go into a message

_ASKING: Final = {
    402: (
        "the company's plan does not include this: ask the Drata admin to upgrade it, then retry this upload"
    ),
    412: (
        "the company has not accepted Drata's terms and conditions for the API: an admin must accept them in Drata, "
        "then retry this upload"
    ),
}
"""Who must do what, where only a person at the tenant's can help."""


_BEFORE: Final = RequestPurpose(UPLOAD.what, "", UPLOAD.mended)
"""What is asked before anything is sent."""


@frozen
class Page:
    """One page of a list, and the cursor of the next; None where this is the last."""

    items: tuple[dict[str, object], ...]
    cursor: str | None


@frozen
class Words:
    """What is said of a refusal, and of a reply that nobody recognises."""

    advice: ErrorHints
    look: str


def judge(reply: HttpResponse | TransportFailure, words: Words) -> Verdict:
    """The verdict for an upload. Total: any status with any body has one."""
    verdict = _no_success(reply, words)
    if verdict is not None:
        return verdict
    assert isinstance(reply, HttpResponse)
    try:
        document = mapping(parse_json(reply.body))
    except NotJson:
        return not_json(reply, words.advice)
    reference = identity(document)
    if reply.status == CREATED and reference is not None:
        return Delivered(Receipt(reference, text(document.get("name"))))
    seen = (
        "its reply has no id" if reply.status == CREATED else f"HTTP {reply.status} instead of 201"
    )
    return refusal(
        reply,
        FailureKind.UNRECOGNISED_REPLY,
        f"Drata answered, but not with what is known as success: {seen}; {words.look}",
    )


def read_object(
    reply: HttpResponse | TransportFailure, words: Words, errand: RequestPurpose = UPLOAD
) -> dict[str, object] | Failure:
    """The JSON object that a reading request was answered with, or why there is none."""
    verdict = _no_success(reply, words, errand)
    if verdict is None:
        assert isinstance(reply, HttpResponse)
        try:
            value = parse_json(reply.body)
        except NotJson:
            return not_json(reply, words.advice, errand).failure
        if isinstance(value, dict):
            return value
        return unreadable(reply, "its reply is not a JSON object")
    assert not isinstance(verdict, Delivered)
    return verdict.failure


def read_page(reply: HttpResponse | TransportFailure, words: Words) -> Page | Failure:
    """A page of a list, or why it cannot be read. A list of whose end nothing is known cannot be
    read: what is not on it may be behind it."""
    value = read_object(reply, words)
    if isinstance(value, Failure):
        return value
    assert isinstance(reply, HttpResponse)
    items, pagination = value.get("data"), value.get("pagination")
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        return unreadable(reply, "its reply is not a list of documents")
    if not isinstance(pagination, dict) or "cursor" not in pagination:
        return unreadable(reply, "its reply does not say whether the list goes on")
    cursor = pagination["cursor"]
    if cursor is not None and not isinstance(cursor, str):
        return unreadable(reply, "its reply says in no known way how the list goes on")
    return Page(tuple(items), cursor or None)


def user_number(reply: HttpResponse | TransportFailure, words: Words) -> str | Failure:
    """The number of the user that a request for one was answered with, or why there is none.
    Nothing was sent before it, so no failure leaves a doubt."""
    user = read_object(reply, words, _BEFORE)
    if isinstance(user, Failure):
        kind = FailureKind.REFUSED if user.kind is FailureKind.UNRECOGNISED_REPLY else user.kind
        return evolve(
            user,
            kind=kind,
            message=f"the person could not be looked up, and nothing was sent: {user.message}",
        )
    number = identity(user)
    if number is not None:
        return number
    assert isinstance(reply, HttpResponse)
    return evolve(
        unreadable(
            reply, "its reply about the person has no id; nothing was sent: set user_by: address"
        ),
        kind=FailureKind.REFUSED,
    )


def unreadable(reply: HttpResponse | None, seen: str) -> Failure:
    """A list or an object that is not what the documentation says."""
    return Failure(
        FailureKind.UNRECOGNISED_REPLY,
        f"Drata could not be read: {seen}",
        http_status=None if reply is None else reply.status,
    )


def identity(document: dict[str, object]) -> str | None:
    """The number that Drata gave a document, as text; None where there is none."""
    number = document.get("id")
    return str(number) if isinstance(number, int) and not isinstance(number, bool) else None


def _no_success(
    reply: HttpResponse | TransportFailure, words: Words, errand: RequestPurpose = UPLOAD
) -> Verdict | None:
    """The verdict wherever HTTP alone decides; None for a whole 2xx reply."""
    said = _said(reply)
    verdict = classify(reply, words.advice, said, errand)
    if not isinstance(reply, HttpResponse):
        return verdict
    quoted = f', saying "{said}"' if said else ""
    if reply.status in _ASKING:
        message = f"Drata refused the upload (HTTP {reply.status}){quoted}: {_ASKING[reply.status]}"
        return refusal(reply, FailureKind.REFUSED, message)
    if reply.status == 503 and isinstance(verdict, Unclear):
        message = f"a system that Drata depends on was not available (HTTP 503){quoted}"
        doubt = "; whether Drata took the upload is not known" if errand.doubt else ""
        return Unclear(evolve(verdict.failure, message=message + doubt))
    return verdict


def _said(reply: HttpResponse | TransportFailure) -> str | None:
    """The `message` of a refusal: text, or a list of texts where several fields are wrong (the
    latter is inferred)."""
    if not isinstance(reply, HttpResponse) or reply.status < 400:
        return None
    try:
        told = mapping(parse_json(reply.body)).get("message")
    except NotJson:
        return None
    parts = [part for part in told if isinstance(part, str)] if isinstance(told, list) else [told]
    said = "; ".join(part for part in parts if isinstance(part, str))
    return " ".join(said.split())[:_WORDS] or None
