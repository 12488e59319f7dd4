"""Sprinto's REST API: up to ten files for one check in one request.

- *Documented* by Sprinto (developer.sprinto.com): ``POST /api/v1/uploadEvidence``; the key in the
  header ``api-token``; a form with ``monitor_pk`` and up to ten ``files``; 201 with ``success`` and
  ``error``, and no id; 400 for an invalid type, invalid parameters or an unknown monitor; 401.
- *Inferred*: ``monitor_pk`` is the pk of the workflow check; the hosts of eu and india; the pace is
  that of GraphQL; a refused request has taken none of its files.
- *Unknown*: how large a request may be.

There is no field for the evidence's date: the day of the upload stands in its place.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Final

from ....delivery.dialogues.graphql_reply import GraphQLError
from ....delivery.dialogues.http_errors import unrecognised
from ....delivery.dialogues.json_reply import names_error, quote_of, success_body, text
from ....delivery.dialogues.multipart import FormField, FormFile, form_request
from ....domain.upload.failure import FailureKind
from ....domain.upload.verdict import Delivered, Receipt, Rejected, Unbundled, Verdict
from ....ports.dialogue import HttpRequest, HttpResponse, Reply
from ....ports.provider import Parcel
from .reply import HINTS, meaning_of, refused, remedy_of, words_decide
from .settings import SprintoSettings

_OF_ONE_FILE: Final = (
    FailureKind.BAD_REQUEST,
    FailureKind.TOO_LARGE,
    FailureKind.UNSUPPORTED_TYPE,
    FailureKind.REFUSED,
)
"""Refusals that the type, the size or the content of one file may have caused."""


def rest_request(parcels: Sequence[Parcel], settings: SprintoSettings) -> HttpRequest:
    """The request that uploads the parcels. The same ones give the same bytes."""
    parts: list[FormField | FormFile] = [FormField("monitor_pk", settings.workflow_check)]
    parts += (FormFile("files", one.file_name, one.media_type, one.content) for one in parcels)
    seed = hashlib.sha256("".join(one.sha256 for one in parcels).encode()).hexdigest()
    headers = (("api-token", settings.api_key.reveal()), ("Accept", "application/json"))
    return form_request(settings.url, headers, parts, seed)


def judge_rest(reply: Reply, workflow_check: str) -> Verdict:
    """The verdict on a request of the REST API's: any status with any body has one."""
    quote = quote_of(reply)
    if isinstance(reply, HttpResponse) and quote is not None:
        kind = meaning_of(GraphQLError(quote))
        if words_decide(reply, kind):
            return refused(reply, kind, quote, remedy_of(kind, workflow_check))
    body = success_body(reply, HINTS)
    if not isinstance(body, Mapping):
        return body
    assert isinstance(reply, HttpResponse)
    success, error, has_error = body.get("success"), body.get("error"), names_error(body)
    if success is True and not has_error:
        return Delivered(Receipt(message=text(body.get("message"))))
    if success is False and (quote := text(error)):
        kind = meaning_of(GraphQLError(quote))
        return refused(reply, kind, quote[:200], remedy_of(kind, workflow_check))
    seen = f"success is {success!r}"[:100] + (" and an error stands beside it" if has_error else "")
    return unrecognised(reply, HINTS, seen)


def judge_together(reply: Reply, workflow_check: str, count: int) -> Sequence[Verdict | Unbundled]:
    """The verdicts on `count` files that went in one request: the reply holds for all of them."""
    verdict = judge_rest(reply, workflow_check)
    if isinstance(verdict, Rejected) and verdict.failure.kind in _OF_ONE_FILE:
        return (Unbundled(verdict.failure),) * count
    return (verdict,) * count
