"""What Drata's replies mean: success is recognised, never assumed.

Documented (the OpenAPI document of the API, version V2, at developers.drata.com): an upload is
answered with 201 and what was made, whose `id` is a number (digits as text are unknown, and
tolerated); an error is `{"statusCode", "message",
"code"}`; a list is `{"data": [...], "pagination": {"cursor": text or null}}`, and null says that it
ends. 402 (in an older edition), 403, 412, 413 and 503 have a meaning of their own. An evidence says
in `artifactsCreated` how many of its files were stored: with fewer than `artifactsRequested` it
exists without them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from attrs import evolve

from ....delivery.dialogues import json_reply
from ....delivery.dialogues.http_errors import (
    READING,
    UPLOAD,
    ErrorHints,
    NotDelivered,
    RequestPurpose,
    refusal,
    unrecognised,
)
from ....delivery.dialogues.json_reply import names_error, quote_of, success_body, text
from ....delivery.dialogues.lists import Page
from ....domain.upload.failure import Failure, FailureKind
from ....domain.upload.verdict import Delivered, Receipt, Unclear, Verdict
from ....ports.dialogue import HttpResponse, Reply

CREATED: Final = 201
_NUMBER: Final = re.compile(r"-?[0-9]+", re.ASCII)
NEEDS_ARTIFACT: Final = "NEEDS_ARTIFACT"
"""The status of an evidence without a file."""

Json = Mapping[str, object]

_DO: Final = {
    402: (
        "the company's plan does not include this: ask the Drata admin to upgrade it, then retry "
        "this upload"
    ),
    412: (
        "the company has not accepted Drata's terms and conditions for the API: an admin must "
        "accept them in Drata, then retry this upload"
    ),
}
"""Who must do what, if only a person of the tenant's can help."""


def judge(reply: Reply, hints: ErrorHints) -> Verdict:
    """The verdict on an upload: any status with any body has one."""
    body = _body(reply, hints, UPLOAD)
    if not isinstance(body, Mapping):
        return body
    assert isinstance(reply, HttpResponse)
    reference, stored = identity(body), body.get("artifactsCreated", 1)
    if reply.status != CREATED:
        seen = f"HTTP {reply.status} instead of 201"
    elif reference is None:
        seen = "its reply has no id"
    elif names_error(body):
        seen = "an error stands beside its id"
    elif body.get("status") == NEEDS_ARTIFACT:
        seen = f"evidence {reference} was made without its file ({NEEDS_ARTIFACT})"
    elif stored != 1:
        seen = f"evidence {reference} was made without its file (artifactsCreated: {stored!r})"
    else:
        return Delivered(Receipt(reference, text(body.get("name"))))
    return unrecognised(reply, hints, seen)


def read_object(reply: Reply, hints: ErrorHints) -> Json | Failure:
    """The JSON object in the reply to a request that makes no evidence, or why it has none."""
    body = _body(reply, hints, READING)
    return body if isinstance(body, Mapping) else body.failure


def read_page(reply: Reply, hints: ErrorHints) -> Page[Json] | Failure:
    """A page of a list, or why it cannot be read. A list that does not say whether it goes on
    cannot be read: an entry may follow."""
    body = read_object(reply, hints)
    if isinstance(body, Failure):
        return body
    items, pagination = body.get("data"), body.get("pagination")
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        return unreadable("its reply is not a list of documents", reply)
    cursor = pagination.get("cursor", 0) if isinstance(pagination, dict) else 0
    if cursor is not None and not isinstance(cursor, str):
        return unreadable("its reply does not say whether the list goes on", reply)
    return Page(items, cursor or None)


def user_number(reply: Reply, hints: ErrorHints) -> str | Failure:
    """The number in the reply to a request for a user, or why it has none. No evidence was sent
    before it, so no failure leaves a doubt."""
    user = read_object(reply, hints)
    if isinstance(user, Failure):
        message = f"the person could not be looked up, and nothing was sent: {user.message}"
        return evolve(user, message=message)
    missing = "its reply about the person has no id; nothing was sent: set user_by: address"
    return identity(user) or evolve(unreadable(missing, reply), kind=FailureKind.REFUSED)


def unreadable(seen: str, reply: Reply | None = None) -> Failure:
    """A list or an object that is not what the documentation says."""
    return Failure(
        FailureKind.UNRECOGNISED_REPLY,
        f"Drata could not be read: {seen}",
        http_status=reply.status if isinstance(reply, HttpResponse) else None,
    )


def identity(value: Json) -> str | None:
    """The number that Drata gave to a thing, as text; None if there is no number. One that comes as
    text is unknown, tolerated."""
    number = json_reply.identity(value.get("id"))
    return number if number and _NUMBER.fullmatch(number) else None


def _body(reply: Reply, hints: ErrorHints, purpose: RequestPurpose) -> Json | NotDelivered:
    body = success_body(reply, hints, purpose)
    if isinstance(body, Mapping) or not isinstance(reply, HttpResponse):
        return body
    quote = quote_of(reply)
    detail = f"(HTTP {reply.status})" + (f', saying "{quote}"' if quote else "")
    if reply.status in _DO:
        message = f"Drata refused the upload {detail}: {_DO[reply.status]}"
        return refusal(reply, FailureKind.REFUSED, message)
    if reply.status == 503 and isinstance(body, Unclear):
        doubt = "; whether Drata took the upload is not known" if purpose.doubt else ""
        message = f"a system that Drata depends on was not available {detail}{doubt}"
        return Unclear(evolve(body.failure, message=message))
    return body
