"""What Vanta's replies mean: a token, an upload's id, a submission, a page of uploads, a document.

The statuses and schemas of success are those of Vanta's OpenAPI document (developer.vanta.com,
"Manage Vanta"). It lists no errors, so the words of a refusal are unknown: they are looked for
where APIs put them, and repeated. A number in the place of an id is unknown too, and tolerated.

Only the upload makes a copy. A token, a submission and a look-up can be repeated without a second
copy, so their failures are Deferred or Rejected, never Unclear.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from attrs import evolve, frozen

from ....delivery.dialogues.http_errors import (
    ErrorHints,
    broken_reading,
    failure_to_read,
    refusal,
    unrecognised,
    without_doubt,
)
from ....delivery.dialogues.json_reply import (
    identity,
    json_object,
    mapping,
    names_error,
    quote_of,
    read_body,
    success_body,
    text,
)
from ....delivery.dialogues.lists import Page
from ....domain.secrets.secret import Secret
from ....domain.upload.failure import Failure, FailureKind
from ....domain.upload.verdict import Deferred, Delivered, Receipt, Rejected, Verdict
from ....ports.dialogue import Ending, HttpResponse, MintedToken, Reply

Json = Mapping[str, object]

TOKEN_LIFE: Final = 3_600.0
"""The life of a token in seconds: documented, and assumed where a reply does not say it."""

_LONGEST_LIFE: Final = 86_400.0
_UPLOADED: Final = (200, 201, 202)  # 201 in the OpenAPI document, 200 in a guide
_SUBMITTED: Final = 204
_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,200}")
_TOKEN: Final = re.compile(r"[!-~]{1,8192}")  # what can stand in a header

# What a refusal may say if the draft was submitted before. Vanta's own words are not known.
_DRAFT_IS_EMPTY: Final = re.compile(
    r"\bnothing (?:left )?to (?:be )?(?:submit|complete)|\balready (?:been )?(?:submit|complete)"
    r"|\bdraft is empty\b|\bempty draft\b"
    r"|\b(?:no|without)(?: any)? (?:draft|unsubmitted|pending)\b"
    r"|\bno (?:evidence|files?|uploads?|changes?) to (?:be )?submit"
)
# What it says beside such words if they are not the whole of it, as in "no draft owner".
_ANOTHER_REASON: Final = re.compile(
    r"\b(?:owner|reject|require|requiring|permi|expire|deactivat|invalid|fail|virus|malware)"
    r"|\b(?<!for )(?<!and )(?:approv|review)"
    r"|\bnot (?:yet )?(?:already )?been\b|\buntil\b|\bmust\b"
)
_SAYS_NOTHING: Final = re.compile(
    r"(?:bad request|conflict|unprocessable (?:entity|content)|error)?\.?"
)

_CREDENTIALS: Final = (
    "ask the Vanta admin for a new client secret (Settings > Developer Console) "
    "and put it where client_secret in the tenant file points"
)

HINTS: Final = ErrorHints(
    provider="Vanta",
    unauthorized=_CREDENTIALS,
    forbidden=(
        "ask the Vanta admin for an application of the type Manage Vanta, with all that scope names"
    ),
    not_found="correct region or endpoint in the tenant file",
    look=(
        "look at the document in Vanta, then attest that the evidence is there, retry or release it"
    ),
)
_TOKEN_HINTS: Final = evolve(HINTS, provider="Vanta's token endpoint")


def _hints(document: str) -> ErrorHints:
    """For requests to the document."""
    missing = (
        f"correct document {document} in the tenant file (it is what stands behind documents/ in "
        "the document's address), or region or endpoint"
    )
    return evolve(HINTS, not_found=missing, target_gone=True)


def read_token(reply: Reply) -> MintedToken | Failure:
    """The token in a reply of the token endpoint, or why it has none.

    A refusal concerns the whole integration; everything else may be tried again. A failure does not
    hold the body of a 2xx reply, which may be a valid token.
    """
    again_later = (408, 425, 429)
    if (
        isinstance(reply, HttpResponse)
        and reply.status // 100 == 4
        and reply.status not in again_later
    ):
        return _token_refused(reply)
    body = read_body(reply, _TOKEN_HINTS)
    if isinstance(body, Failure):
        is_2xx = isinstance(reply, HttpResponse) and reply.status // 100 == 2
        return evolve(body, detail=None) if is_2xx else body
    assert isinstance(reply, HttpResponse)
    token, life = text(body.get("access_token")), body.get("expires_in", TOKEN_LIFE)
    if not isinstance(life, int | float) or isinstance(life, bool):
        life = TOKEN_LIFE
    if token is None or not _TOKEN.fullmatch(token) or life <= 0:
        return evolve(broken_reading(reply, _TOKEN_HINTS, "holds no token"), detail=None)
    return MintedToken(Secret(token), float(min(life, _LONGEST_LIFE)))


def _token_refused(reply: HttpResponse) -> Failure:
    quote = quote_of(reply)
    kind, do = FailureKind.UNAUTHORIZED, f"correct client_id in the tenant file, or {_CREDENTIALS}"
    if reply.status == 404:
        kind, do = FailureKind.TARGET_NOT_FOUND, "correct region or endpoint in the tenant file"
    elif "invalid_scope" in (text(json_object(reply.body).get("error")), quote):
        do = (
            "scope in the tenant file must name only what an application of the type Manage Vanta "
            "may have"
        )
    detail = f', saying "{quote}"' if quote else ""
    message = f"Vanta's token endpoint gave no token (HTTP {reply.status}){detail}: {do}"
    return refusal(reply, kind, message).failure


def judge_upload(reply: Reply, document: str) -> Verdict | str:
    """The id of the new upload, or the verdict: any status with any body has one."""
    body = success_body(reply, _hints(document))
    if not isinstance(body, Mapping):
        return body
    assert isinstance(reply, HttpResponse)
    upload_id = identity(body.get("id"))
    if reply.status in _UPLOADED and upload_id is not None and _ID.fullmatch(upload_id):
        return upload_id
    return not_made(reply)


def not_made(reply: HttpResponse) -> Rejected:
    """For a complete reply that does not say what success says."""
    seen = f"its reply (HTTP {reply.status}) has no id of an upload that it made"
    return unrecognised(reply, HINTS, seen)


def judge_submission(
    reply: Reply, document: str, upload_id: str
) -> Delivered | Deferred | Rejected:
    """The verdict on a submission, by the reply alone. A submission may be repeated."""
    failure = failure_to_read(reply, _hints(document), quote_of(reply))
    if failure is None:
        assert isinstance(reply, HttpResponse)
        if reply.status == _SUBMITTED:
            return Delivered(Receipt(upload_id, "uploaded and submitted"))
        failure = broken_reading(reply, HINTS, f"does not have the status {_SUBMITTED}")
    return not_submitted(failure, upload_id)


def not_submitted(failure: Failure, upload_id: str) -> Deferred | Rejected:
    """The verdict on an upload that is at Vanta, and is not known to be submitted."""
    where = f"the upload is at Vanta as {upload_id}, and is not known to be submitted"
    return without_doubt(evolve(failure, message=f"{where}: {failure.message}"))


def may_be_submitted(reply: Reply, *, drafts_listed: bool) -> bool:
    """Whether the document must be looked at to judge a submission.

    That is so if it was answered with a success that is not documented and names no error; if it
    was refused with words that say that nothing is left to submit, and no more; or if it was
    refused without a reason, and only submitted uploads are listed. Any other refusal is believed.
    """
    if not isinstance(reply, HttpResponse):
        return False
    if reply.status // 100 == 2:
        is_whole = reply.status != _SUBMITTED and reply.ending is Ending.COMPLETE
        return is_whole and not _denies_itself(json_object(reply.body))
    words = (quote_of(reply) or "").casefold()
    if _ANOTHER_REASON.search(words):
        return False
    empty = _DRAFT_IS_EMPTY.search(words) or (not drafts_listed and _SAYS_NOTHING.fullmatch(words))
    return reply.status in (400, 409, 422) and bool(empty)


def _denies_itself(body: Json) -> bool:
    """Whether a success says in its body that it is none."""
    says_no = any(body.get(name) is False for name in ("success", "ok", "submitted"))
    return says_no or names_error(body)


def read_page(reply: Reply, document: str) -> Page[Json] | Failure:
    """A page of the document's uploads, without deleted entries and entries without an id. It does
    not say what is submitted."""
    body = read_body(reply, _hints(document))
    if isinstance(body, Failure):
        return body
    assert isinstance(reply, HttpResponse)
    results = mapping(body.get("results"))
    listed, more = results.get("data"), mapping(results.get("pageInfo"))
    if not isinstance(listed, list):
        return broken_reading(reply, HINTS, "does not list the document's uploads")
    return Page(
        [
            entry
            for entry in map(mapping, listed)
            if _ID.fullmatch(identity(entry.get("id")) or "") and entry.get("deletionDate") is None
        ],
        text(more.get("endCursor")) if more.get("hasNextPage") is True else None,
    )


@frozen
class DocumentState:
    """A document as far as it is looked at.

    `status` is Vanta's word: OK (it holds a file that has not expired), Needs document, Needs
    update, Not relevant, Upcoming, or one that is not known yet.
    """

    title: str
    status: str
    deactivated: bool
    reason: str | None = None


def read_document(reply: Reply, document: str) -> DocumentState | Failure:
    """The document in a reply, or why it could not be read.

    Its status is `uploadStatus` in the OpenAPI document of February 2026 and `overallStatus` in a
    guide of 2026: either is taken.
    """
    body = read_body(reply, _hints(document))
    if isinstance(body, Failure):
        return body
    assert isinstance(reply, HttpResponse)
    status = text(body.get("uploadStatus")) or text(body.get("overallStatus"))
    deactivated = mapping(body.get("deactivatedStatus"))
    if identity(body.get("id")) is None or status is None:
        return broken_reading(reply, HINTS, "does not describe a document")
    return DocumentState(
        title=text(body.get("title")) or document,
        status=status,
        deactivated=deactivated.get("isDeactivated") is True,
        reason=text(deactivated.get("reason")),
    )
