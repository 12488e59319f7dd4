"""What Secureframe's replies mean: success is recognised, never assumed.

- *Documented* (the OpenAPI document of the API, version 2023-10-18, at developer.secureframe.com):
  replies are shaped like JSON:API, so what was made has its id at `data.id`; lists have `data` and
  the count `meta.total`; 400, 401, 403, 404, 429 and 500 may come, the last two in prose only.
- *Seen* by third parties: an error's body is `{"message": ...}`; a list without `meta`.
- *Unknown*: whether success is 200 or 201. Any 2xx with an id is one; a number as id is tolerated.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from attrs import evolve, frozen

from ....delivery.dialogues.http_errors import (
    UPLOAD,
    ErrorHints,
    RequestPurpose,
    classify,
    refusal,
    unrecognised,
)
from ....delivery.dialogues.json_reply import (
    identity,
    mapping,
    names_error,
    read_body,
    success_body,
)
from ....domain.upload.failure import Failure, FailureKind
from ....domain.upload.verdict import Delivered, Receipt, Verdict
from ....ports.dialogue import HttpResponse, Reply

Json = Mapping[str, object]

STEP: Final = RequestPurpose(UPLOAD.what, "; nothing was attached yet", UPLOAD.mended)
"""A request that makes no evidence: it may be repeated."""

_AGAIN: Final = "retry this upload; if it happens again, set send: direct in the tenant file"
_STORAGE_HINTS: Final = ErrorHints(
    provider="the storage that Secureframe named",
    unauthorized=_AGAIN,
    forbidden=_AGAIN,
    not_found=_AGAIN,
)


@frozen
class Resource:
    """One resource of a reply; `whole` is all that the reply says of it."""

    id: str
    attributes: Json
    whole: Json


def judge(reply: Reply, hints: ErrorHints) -> Verdict:
    """The verdict on an attach, by which an upload becomes evidence: any reply has one."""
    body = success_body(reply, hints)
    if not isinstance(body, Mapping):
        return body
    assert isinstance(reply, HttpResponse)
    made = _resource(body.get("data"))
    if made is None:
        return unrecognised(reply, hints, "its reply has no data.id")
    if names_error(body):
        return unrecognised(reply, hints, "an error stands beside its id")
    return Delivered(Receipt(made.id, None))


def read_one(reply: Reply, hints: ErrorHints) -> Resource | Failure:
    """The resource in the reply to a request that makes no evidence, or why it has none."""
    body = _read(reply, hints)
    if isinstance(body, Failure):
        return body
    return _resource(body.get("data")) or _strange(reply, "its reply has no data.id")


def read_list(reply: Reply, hints: ErrorHints) -> tuple[list[Resource], int | None] | Failure:
    """The entries on one page of a list, and how many are on all pages, if that is said."""
    body = _read(reply, hints)
    if isinstance(body, Failure):
        return body
    data, total = body.get("data"), mapping(body.get("meta")).get("total")
    if not isinstance(data, list):
        return _strange(reply, "its reply is not a list")
    items = [item for item in map(_resource, data) if item is not None]
    if len(items) < len(data):
        return _strange(reply, "it lists something without an id")
    return items, total if isinstance(total, int) and not isinstance(total, bool) else None


def failure_to_store(reply: Reply) -> Failure | None:
    """Why the storage did not take the bytes; None if it did. Nothing is evidence yet, and a
    refusal says nothing of Secureframe's key."""
    if isinstance(reply, HttpResponse) and reply.status // 100 == 2:
        return None  # whatever its body says, complete or not
    verdict = classify(reply, _STORAGE_HINTS, purpose=STEP)
    assert verdict is not None
    failure = _with_doubt(reply, verdict.failure)
    if failure.kind in (FailureKind.UNAUTHORIZED, FailureKind.NOT_FOUND):
        return evolve(failure, kind=FailureKind.REFUSED)
    return failure


def _read(reply: Reply, hints: ErrorHints) -> Json | Failure:
    body = read_body(reply, hints, STEP)
    return _with_doubt(reply, body) if isinstance(body, Failure) else body


def _with_doubt(reply: Reply, failure: Failure) -> Failure:
    """The shared table does not say what is in doubt if no reply came."""
    if isinstance(reply, HttpResponse):
        return failure
    return evolve(failure, message=failure.message + STEP.doubt)


def _resource(value: object) -> Resource | None:
    """A JSON:API resource: an object with an id."""
    whole = mapping(value)
    name = identity(whole.get("id"))
    return Resource(name, mapping(whole.get("attributes")), whole) if name else None


def _strange(reply: Reply, seen: str) -> Failure:
    """A complete reply that is not what the documentation says. Nothing was attached, so the kind
    is REFUSED, not UNRECOGNISED_REPLY, which would leave a doubt."""
    assert isinstance(reply, HttpResponse)
    message = (
        f"Secureframe answered otherwise than documented ({seen}, HTTP {reply.status}): make sure "
        "that region and endpoint in the tenant file lead to its API, then retry this upload"
    )
    return refusal(reply, FailureKind.REFUSED, message).failure
