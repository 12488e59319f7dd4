"""What a reply of Secureframe's comes to: success is recognised, never assumed.

Documented (the OpenAPI document of the API, version 2023-10-18, at developer.secureframe.com):
answers are shaped like JSON:API, so what was made has its id at `data.id`; lists have `data` and
the count `meta.total`; 400, 401, 403, 404, 429 and 500 may come, the latter two in prose only. That
an error's body is `{"message": ...}` was seen by a third party. Whether a success is 200 or 201 is
not documented: any 2xx with an id is one.
"""

from __future__ import annotations

from typing import Final

from attrs import evolve, frozen

from ....domain.upload.failure import Failure, FailureKind
from ....domain.upload.verdict import Deferred, Delivered, Receipt, Rejected, Unclear, Verdict
from ....ports.dialogue import HttpResponse, TransportFailure
from ..kit.http_errors import UPLOAD, ErrorHints, RequestPurpose, classify, not_json, refusal
from ..kit.json_reply import NotJson, mapping, parse_json, text

_WORDS = 300  # characters of what Secureframe says that go into a message

STORAGE_ADVICE: Final = ErrorHints(
    provider="the storage that Secureframe named",
    unauthorized="retry this upload; if it happens again, set send: direct in the tenant file",
    forbidden="retry this upload; if it happens again, set send: direct in the tenant file",
    not_found="retry this upload; if it happens again, set send: direct in the tenant file",
    too_large="make the document smaller, then submit it under a new evidence id",
    unsupported_type="send a PDF",
)


_STEP: Final = RequestPurpose(UPLOAD.what, "; nothing was attached yet", UPLOAD.mended)
"""A request that makes no evidence, whatever becomes of it."""


@frozen
class Words:
    """What is said of a refusal, and of a reply that nobody recognises."""

    advice: ErrorHints
    look: str


@frozen
class Resource:
    """One resource of a reply: `whole` is all that was said of it."""

    id: str
    attributes: dict[str, object]
    whole: dict[str, object]


@frozen
class Page:
    """One page of a list, and how many there are on all pages; None where that is not said."""

    items: tuple[Resource, ...]
    total: int | None


def judge(reply: HttpResponse | TransportFailure, words: Words) -> Verdict:
    """The verdict for an attach, which is where an upload becomes evidence. Total: any reply has
    one."""
    verdict = classify(reply, words.advice, _said(reply))
    if verdict is not None:
        return verdict
    assert isinstance(reply, HttpResponse)
    try:
        made = resource(mapping(parse_json(reply.body)).get("data"))
    except NotJson:
        return not_json(reply, words.advice)
    if made is not None:
        return Delivered(Receipt(made.id, None))
    return refusal(
        reply,
        FailureKind.UNRECOGNISED_REPLY,
        f"Secureframe answered, but not with what is known as success: its reply has no data.id; {words.look}",
    )


def read_one(reply: HttpResponse | TransportFailure, words: Words) -> Resource | Verdict:
    """The resource that a request was answered with which makes no evidence, or what is the matter:
    what is not known may safely be asked again, so it is Deferred."""
    value = _read(reply, words)
    if not isinstance(value, dict):
        return value
    assert isinstance(reply, HttpResponse)
    found = resource(value.get("data"))
    return found if found is not None else _strange(reply, "its reply has no data.id")


def read_page(reply: HttpResponse | TransportFailure, words: Words) -> Page | Verdict:
    """A page of a list; otherwise as `read_one`."""
    value = _read(reply, words)
    if not isinstance(value, dict):
        return value
    assert isinstance(reply, HttpResponse)
    data, total = value.get("data"), mapping(value.get("meta")).get("total")
    if not isinstance(data, list):
        return _strange(reply, "its reply is not a list")
    items = [resource(item) for item in data]
    known = [item for item in items if item is not None]
    if len(known) < len(items):
        return _strange(reply, "it lists something without an id")
    return Page(
        tuple(known), total if isinstance(total, int) and not isinstance(total, bool) else None
    )


def stored(reply: HttpResponse | TransportFailure) -> Verdict | None:
    """None where the storage took the bytes. Nothing becomes evidence by that alone, so what is not
    known may safely be repeated. Its refusals say nothing of Secureframe's key."""
    if isinstance(reply, HttpResponse) and 200 <= reply.status < 300:
        return None  # what its body says, and whether it came whole, does not matter
    verdict = _harmless(reply, classify(reply, STORAGE_ADVICE, errand=_STEP))
    if isinstance(verdict, Rejected) and verdict.failure.kind in (
        FailureKind.UNAUTHORIZED,
        FailureKind.NOT_FOUND,
    ):
        return Rejected(evolve(verdict.failure, kind=FailureKind.REFUSED))
    return verdict


def _harmless(reply: HttpResponse | TransportFailure, verdict: Verdict | None) -> Verdict | None:
    """The verdict for a step that makes no copy when it is repeated."""
    if not isinstance(verdict, Unclear):
        return verdict
    failure = verdict.failure
    # Where no reply came, the table says nothing of what is left.
    left = _STEP.doubt if isinstance(reply, TransportFailure) else ""
    return Deferred(evolve(failure, message=failure.message + left))


def failure_in(verdict: Verdict) -> Failure:
    """Why a reading request gave nothing."""
    assert not isinstance(verdict, Delivered)
    return verdict.failure


def resource(value: object) -> Resource | None:
    """A JSON:API resource, if it is one: an object with an id."""
    whole = mapping(value)
    name = text(whole.get("id"))
    return Resource(name, mapping(whole.get("attributes")), whole) if name else None


def _read(reply: HttpResponse | TransportFailure, words: Words) -> dict[str, object] | Verdict:
    verdict = _harmless(reply, classify(reply, words.advice, _said(reply), _STEP))
    if verdict is not None:
        return verdict
    assert isinstance(reply, HttpResponse)
    try:
        value = parse_json(reply.body)
    except NotJson:
        return Deferred(not_json(reply, words.advice, _STEP).failure)
    return value if isinstance(value, dict) else _strange(reply, "its reply is not a JSON object")


def _strange(reply: HttpResponse, seen: str) -> Rejected:
    """A whole reply that is not what the documentation says. Nothing was attached, so it leaves no
    doubt: the kind is REFUSED, not UNRECOGNISED_REPLY."""
    return refusal(
        reply,
        FailureKind.REFUSED,
        f"Secureframe answered otherwise than documented ({seen}, HTTP {reply.status}): make sure that region and "
        "endpoint in the tenant file lead to its API, then retry this upload",
    )


def _said(reply: HttpResponse | TransportFailure) -> str | None:
    if not isinstance(reply, HttpResponse) or reply.status < 400:
        return None
    try:
        said = text(mapping(parse_json(reply.body)).get("message"))
    except NotJson:
        return None
    return " ".join(said.split())[:_WORDS] or None if said else None
