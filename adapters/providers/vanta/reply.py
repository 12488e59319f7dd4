"""What Vanta's replies come to: a token, an upload's id, a submission, a page of uploads, a
document.

The statuses and schemas of success are those of Vanta's OpenAPI document (developer.vanta.com,
"Manage Vanta"). It lists no errors at all: what a refusal looks like is unknown, so its words are
looked for wherever APIs put them, and only shown.

Only the upload itself makes a copy. A token, a submission and a look change nothing that could be
there twice, so what is in doubt there is Deferred or a plain failure, never Unclear.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from attrs import evolve, field, frozen

from ....domain.secrets.secret import Secret
from ....domain.upload.failure import Failure, FailureKind
from ....domain.upload.verdict import Deferred, Delivered, Receipt, Rejected, Verdict
from ....ports.dialogue import Ending, HttpResponse, MintedToken, TransportFailure
from ..kit.http_errors import (
    ErrorHints,
    broken_reading,
    classify,
    failure_to_read,
    not_json,
    refusal,
)
from ..kit.json_reply import NotJson, mapping, parse_json, text

Reply = HttpResponse | TransportFailure

LIFE: Final = 3_600.0
"""For how many seconds a token is good: documented, and counted on where a reply does not say
it."""

_LONGEST_LIFE: Final = 86_400.0
_SAID: Final = 150  # characters of what a refusal says: its message goes on to say what to do
_UPLOADED: Final = (200, 201)  # 201 in the OpenAPI document, 200 in a guide
_SUBMITTED: Final = 204
_TOKEN: Final = re.compile(r"[!-~]{1,8192}")  # what can stand in a header
_NOTHING_TO_SUBMIT: Final = re.compile(
    r"nothing|already (?:been )?submitted|empty|\b(?:no|not|without)\b.*\b(?:draft|file|upload|evidence|change)s?\b"
)
_SAYS_NOTHING: Final = re.compile(
    r"(?:bad request|conflict|unprocessable (?:entity|content)|error)\.?"
)
_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,200}")

_DOCUMENT: Final = (
    "correct document in the tenant file (it is what stands behind documents/ in the document's address), "
    "or region or endpoint"
)
_CREDENTIALS: Final = (
    "ask the Vanta admin for a new client secret (Settings > Developer Console) "
    "and put it where client_secret in the tenant file points"
)
_LOOK: Final = (
    "look at the document in Vanta, then attest that the evidence is there or retry this upload"
)

ADVICE: Final = ErrorHints(
    provider="Vanta",
    unauthorized=_CREDENTIALS,
    forbidden="ask the Vanta admin for an application of the type Manage Vanta, with all that scope names",
    not_found=_DOCUMENT,
    too_large="make the document smaller, then submit it under a new evidence id",
    unsupported_type="send a PDF",
)
_TOKENS: Final = evolve(ADVICE, provider="Vanta's token endpoint")


def read_token(reply: Reply) -> MintedToken | Failure:
    """The token in a reply of the token endpoint, or why there is none.

    A refusal of the endpoint's own speaks of the whole integration; everything else may be tried
    again. The body of a success is kept nowhere, for it may hold a token that is good.
    """
    if (
        isinstance(reply, HttpResponse)
        and reply.status // 100 == 4
        and reply.status not in (408, 425, 429)
    ):
        return _token_refused(reply)
    failure = failure_to_read(reply, _TOKENS)
    if failure is not None:
        return evolve(failure, detail=None) if _may_hold_a_token(reply) else failure
    assert isinstance(reply, HttpResponse)
    given = _object_in(reply)
    token, life = text(given.get("access_token")), given.get("expires_in", LIFE)
    if not isinstance(life, int | float) or isinstance(life, bool):
        life = LIFE
    if token is None or not _TOKEN.fullmatch(token) or life <= 0:
        return evolve(broken_reading(reply, _TOKENS, "holds no token"), detail=None)
    return MintedToken(Secret(token), float(min(life, _LONGEST_LIFE)))


def judge_upload(reply: Reply, document: str) -> Verdict | str:
    """The id of the upload that was made, or the verdict. Total: any status with any body has
    one."""
    failure = _no_document(reply, document)
    if failure is not None:
        return Rejected(failure)
    verdict = classify(reply, ADVICE, words_of(reply))
    if verdict is not None:
        return verdict
    assert isinstance(reply, HttpResponse)
    try:
        made = parse_json(reply.body)
    except NotJson:
        return not_json(reply, ADVICE)
    upload_id = text(mapping(made).get("id"))
    if reply.status in _UPLOADED and upload_id is not None and _ID.fullmatch(upload_id):
        return upload_id
    return unrecognised(reply)


def unrecognised(reply: HttpResponse) -> Rejected:
    """For a whole reply that does not say what success says."""
    message = (
        f"Vanta answered the upload (HTTP {reply.status}), but not with the id of an upload that it made: "
        f"{_LOOK}"
    )
    return refusal(reply, FailureKind.UNRECOGNISED_REPLY, message)


def judge_submission(
    reply: Reply, document: str, upload_id: str
) -> Delivered | Deferred | Rejected:
    """The verdict for submitting the draft that the upload is in: never Unclear, for it may be
    repeated."""
    failure = _no_document(reply, document) or failure_to_read(reply, ADVICE, words_of(reply))
    if failure is None:
        assert isinstance(reply, HttpResponse)
        if reply.status == _SUBMITTED:
            return Delivered(Receipt(upload_id, "uploaded and submitted"))
        failure = broken_reading(reply, ADVICE, f"does not have the status {_SUBMITTED}")
    return not_submitted(failure, upload_id)


def not_submitted(failure: Failure, upload_id: str) -> Deferred | Rejected:
    """The verdict for an upload that is at Vanta and that nobody there sees yet."""
    said = f"the upload is at Vanta as {upload_id}, and is not known to be submitted: {failure.message}"
    return as_verdict(evolve(failure, message=said))


def perhaps_nothing_to_submit(reply: Reply) -> bool:
    """Whether a refused submission may mean that another upload's was for this one too: by its
    status, and by what it says, if it says more than the status does. Its words are unknown; these
    are a guess."""
    if not isinstance(reply, HttpResponse) or reply.status not in (400, 409, 422):
        return False
    said = (words_of(reply) or "").casefold()
    return not said or bool(_SAYS_NOTHING.fullmatch(said) or _NOTHING_TO_SUBMIT.search(said))


def answered_otherwise(reply: Reply) -> bool:
    """Whether a submission was answered with a whole success, but not with the documented one."""
    return (
        isinstance(reply, HttpResponse)
        and reply.status // 100 == 2
        and reply.status != _SUBMITTED
        and reply.ending is Ending.COMPLETE
    )


def as_verdict(failure: Failure) -> Deferred | Rejected:
    """For a failure that leaves no doubt whether there is a copy: to be tried again, or final."""
    return Deferred(failure) if failure.kind.retryable else Rejected(failure)


@frozen
class UploadedFile:
    """One entry of the list of a document's uploads. Nothing in it says whether it is submitted
    yet."""

    upload_id: str
    file_name: str | None
    description: str | None


@frozen
class Page:
    """One page of that list; `cursor` leads to the next, None on the last."""

    uploads: Sequence[UploadedFile]
    cursor: str | None


def read_page(reply: Reply, document: str) -> Page | Failure:
    """A page of the list, without what has been deleted and what has no id."""
    failure = _no_document(reply, document) or failure_to_read(reply, ADVICE, words_of(reply))
    if failure is not None:
        return failure
    assert isinstance(reply, HttpResponse)
    results = mapping(_object_in(reply).get("results"))
    listed, more = results.get("data"), mapping(results.get("pageInfo"))
    if not isinstance(listed, list):
        return broken_reading(reply, ADVICE, "does not list the document's uploads")
    entries = [mapping(entry) for entry in listed]
    return Page(
        uploads=[
            UploadedFile(upload_id, text(entry.get("fileName")), text(entry.get("description")))
            for entry in entries
            if (upload_id := text(entry.get("id"))) is not None
            and _ID.fullmatch(upload_id)
            and entry.get("deletionDate") is None
        ],
        cursor=text(more.get("endCursor")) if more.get("hasNextPage") is True else None,
    )


@frozen
class DocumentState:
    """What is looked at of a document. `status` is Vanta's word: OK, Needs document, Needs update
    or Not relevant, or one that is not known yet."""

    title: str
    status: str
    deactivated: bool
    reason: str | None = field(default=None)


def read_document(reply: Reply, document: str) -> DocumentState | Failure:
    """The document in a reply, or why it could not be read."""
    failure = _no_document(reply, document) or failure_to_read(reply, ADVICE, words_of(reply))
    if failure is not None:
        return failure
    assert isinstance(reply, HttpResponse)
    told = _object_in(reply)
    status, deactivated = text(told.get("uploadStatus")), mapping(told.get("deactivatedStatus"))
    if text(told.get("id")) is None or status is None:
        return broken_reading(reply, ADVICE, "does not describe a document")
    return DocumentState(
        title=text(told.get("title")) or document,
        status=status,
        deactivated=deactivated.get("isDeactivated") is True,
        reason=text(deactivated.get("reason")),
    )


def words_of(reply: Reply) -> str | None:
    """What a refusal says, where it says it in one of the ways in which APIs do."""
    if not isinstance(reply, HttpResponse) or reply.status // 100 != 4:
        return None
    told = _object_in(reply)
    errors = told.get("errors")
    first = errors[0] if isinstance(errors, list) and errors else None
    places = (
        told.get("message"),
        told.get("error_description"),
        mapping(told.get("error")).get("message"),
        told.get("error"),
        mapping(first).get("message"),
        first,
    )
    said = next((words for place in places if (words := text(place))), None)
    return said[:_SAID] if said else None


def _no_document(reply: Reply, document: str) -> Failure | None:
    if not isinstance(reply, HttpResponse) or reply.status != 404:
        return None
    message = f"Vanta knows no document {document} (HTTP 404): {_DOCUMENT}"
    return refusal(reply, FailureKind.TARGET_NOT_FOUND, message).failure


def _token_refused(reply: HttpResponse) -> Failure:
    said = words_of(reply)
    quoted = f', saying "{said}"' if said else ""
    if reply.status == 404:
        kind, do = FailureKind.TARGET_NOT_FOUND, "correct region or endpoint in the tenant file"
    elif "invalid_scope" in (text(_object_in(reply).get("error")), said):
        kind = FailureKind.UNAUTHORIZED
        do = "scope in the tenant file must name only what an application of the type Manage Vanta may have"
    else:
        kind, do = (
            FailureKind.UNAUTHORIZED,
            f"correct client_id in the tenant file, or {_CREDENTIALS}",
        )
    message = f"Vanta's token endpoint gave no token (HTTP {reply.status}){quoted}: {do}"
    return refusal(reply, kind, message).failure


def _may_hold_a_token(reply: Reply) -> bool:
    return isinstance(reply, HttpResponse) and reply.status // 100 == 2


def _object_in(reply: HttpResponse) -> dict[str, object]:
    try:
        return mapping(parse_json(reply.body))
    except NotJson:
        return {}
