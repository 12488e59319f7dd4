"""Sprinto's REST API: up to ten files for one check in one request.

Documented by Sprinto (developer.sprinto.com): ``POST /api/v1/uploadEvidence``, the key in the
header ``api-token``, a form with ``monitor_pk`` and ``files``, the latter up to ten times; 201 with
``success`` and ``error``, and no id; 400 for an invalid type, invalid parameters or a monitor that
is not found; 401. That ``monitor_pk`` is the pk of the workflow check is inferred, as are the hosts
of eu and india, that the pace is the same as GraphQL's, and that a refused request has taken none
of its files. How large a request may be is not known. There is no field for the evidence's date:
the day of the upload stands in its place.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

from ....domain.secrets.secret import Secret
from ....domain.upload.failure import FailureKind
from ....domain.upload.verdict import Delivered, Receipt, Rejected, Unbundled, Verdict
from ....ports.dialogue import HttpRequest, HttpResponse, TransportFailure
from ....ports.provider import Parcel
from ..kit.http_errors import classify, not_json, refusal, throttled
from ..kit.json_reply import NotJson, mapping, parse_json, text
from ..kit.multipart import FormField, FormFile, form_data
from .reply import ADVICE, BY_STATUS_ALONE, LOOK, meaning_of, remedy_of

MOST: Final = 10
"""So many files go into one request."""

# Refusals that one file may have caused, by its type, its size or its content; the others speak of
# check, key or address.
_OF_ONE_FILE: Final = (
    FailureKind.BAD_REQUEST,
    FailureKind.TOO_LARGE,
    FailureKind.UNSUPPORTED_TYPE,
    FailureKind.REFUSED,
)


def rest_request(
    url: str, api_key: Secret, workflow_check: str, parcels: Sequence[Parcel]
) -> HttpRequest:
    """The request that uploads the parcels. The same ones give the same bytes."""
    files = [
        FormFile("files", parcel.file_name, parcel.media_type, parcel.content) for parcel in parcels
    ]
    seed = hashlib.sha256("".join(parcel.sha256 for parcel in parcels).encode()).hexdigest()
    content_type, body = form_data((FormField("monitor_pk", workflow_check), *files), seed)
    headers = (
        ("api-token", api_key.reveal()),
        ("Accept", "application/json"),
        ("Content-Type", content_type),
    )
    return HttpRequest("POST", url, headers, body)


def judge_rest(reply: HttpResponse | TransportFailure, workflow_check: str) -> Verdict:
    """The verdict on a request of the REST API's. Total: any status with any body has one."""
    refused = isinstance(reply, HttpResponse) and 400 <= reply.status < 500
    if isinstance(reply, HttpResponse) and refused:
        said = _said_if_any(reply.body)
        kind = None if said is None else meaning_of(said)
        if reply.status not in BY_STATUS_ALONE and kind not in (None, FailureKind.REFUSED):
            return _by_words(reply, said or "", workflow_check)
        verdict = classify(reply, ADVICE, said)
    else:
        verdict = classify(reply, ADVICE)
    if verdict is not None:
        return verdict
    assert isinstance(reply, HttpResponse)
    try:
        answer = mapping(parse_json(reply.body))
    except NotJson:
        return not_json(reply, ADVICE)
    success, error = answer.get("success"), answer.get("error")
    if success is True and error in (None, "", [], {}):
        return Delivered(Receipt(message=text(answer.get("message"))))
    if success is False and (said := text(error)):
        return _by_words(reply, said, workflow_check)
    seen = f"success is {success!r}"[:100] + (" and an error stands beside it" if error else "")
    message = f"Sprinto answered, but not with what is known as success: {seen}; {LOOK}"
    return refusal(reply, FailureKind.UNRECOGNISED_REPLY, message)


def judge_together(
    reply: HttpResponse | TransportFailure, workflow_check: str, count: int
) -> Sequence[Verdict | Unbundled]:
    """The verdicts on `count` files that went in one request: all the same, for the API gives
    one answer for all."""
    verdict = judge_rest(reply, workflow_check)
    if isinstance(verdict, Rejected) and verdict.failure.kind in _OF_ONE_FILE:
        return (Unbundled(verdict.failure),) * count
    return (verdict,) * count


def _by_words(reply: HttpResponse, said: str, workflow_check: str) -> Verdict:
    kind = meaning_of(said)
    if kind is FailureKind.RATE_LIMITED:
        return throttled(reply, ADVICE, said[:200])
    do = remedy_of(kind, workflow_check)
    return refusal(reply, kind, f'Sprinto refused the upload, saying "{said[:200]}": {do}')


def _said_if_any(body: bytes) -> str | None:
    try:
        answer = mapping(parse_json(body))
    except NotJson:
        return None
    return text(answer.get("error")) or text(answer.get("message"))
