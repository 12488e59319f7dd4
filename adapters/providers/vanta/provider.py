"""Vanta, over its Manage Vanta API: evidence goes to one document, and is submitted there.

- *Documented* in Vanta's OpenAPI document and API reference (developer.vanta.com, "Manage Vanta"):
  the hosts, paths, parameters and schemas; 201 with an id for an upload, 204 for a submission;
  pages of 1 to 100; 50 requests a minute, 5 at the token endpoint; the scopes; `file`, and the
  optional `effectiveAtDate` and `description`. A guide shows 200 for an upload, which a third party
  saw at an account of theirs. An upload stays in the document's draft until that is submitted. A
  503 or 504 may have been received.
- *Documented*, and to be kept in mind: the whole draft is submitted. What others have put there and
  not submitted goes with it. The status OK means that the document holds a file that has not
  expired: it proves no submission of ours.
- *Inferred*: an upload in the draft is listed (`drafts_listed`); `effectiveAtDate`, a text of no
  documented form, is written as the API writes dates (`effective_date`): a third party that sent
  the day was shown that day's midnight in UTC, which is what we send; a draft may be submitted
  twice; what can be downloaded as a type of its own may be uploaded as it.
- *Unknown*: how large a file may be; what a refusal looks like; how the list is ordered; what is
  said if there is nothing to submit.

An upload takes two steps. The first is bookmarked, so a later attempt only submits; so is the 204
of the second, which a later attempt only reports.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import ClassVar, Final
from urllib.parse import quote

from ....delivery.dialogues.http_errors import without_doubt
from ....delivery.dialogues.json_reply import identity, text
from ....delivery.dialogues.lists import Page, search
from ....delivery.dialogues.multipart import FormField, file_request
from ....delivery.dialogues.settings import LOOK_UP_DELAYS, address, media_types, schema_of
from ....domain.integration import Pace
from ....domain.upload import verdict as verdicts
from ....domain.upload.failure import Failure, FailureKind
from ....domain.upload.verdict import DryRun, Finding, Receipt, Verdict
from ....ports.dialogue import Dialogue, Headers, HttpRequest, HttpResponse, bookmark
from ....ports.provider import Limits, Parcel
from . import reply as replies
from .access import Session
from .reply import DocumentState, Json
from .settings import SCOPE, VantaSettings

PAGE_SIZE: Final = 100
PAGES: Final = 50
"""How many pages are read at most: a minute's worth of Vanta's pace."""
_SUBMITTED: Final = " submitted"
"""Behind an id in a bookmark: our submission of it was answered with success."""


class VantaProvider:
    """Uploads evidence to a document of Vanta's, and submits it."""

    name: ClassVar[str] = "vanta"
    settings_class: ClassVar[type] = VantaSettings
    schema: ClassVar[Mapping[str, object]] = schema_of(
        VantaSettings,
        client_id={"maxlength": 200},
        document={"maxlength": 200},
        scope={"maxlength": 1_000},
    )
    limits: ClassVar[Limits] = Limits(
        max_bytes=None,
        media_types=media_types(
            *("pdf", "doc", "docx", "xls", "xlsx", "ppt", "pptx", "csv", "txt", "md", "json"),
            *("png", "jpg", "webp"),
        ),
    )
    pace: ClassVar[Pace | None] = Pace(50, timedelta(minutes=1))
    cost: ClassVar[int] = 2  # the upload and its submission
    exclusive_credential: ClassVar[bool] = True
    look_up_delays: ClassVar[tuple[timedelta, ...]] = LOOK_UP_DELAYS

    def upload(
        self, parcel: Parcel, settings: VantaSettings, progress: str | None
    ) -> Dialogue[Verdict]:
        session = Session(settings)
        if progress is not None:
            upload_id = progress.removesuffix(_SUBMITTED)
            if upload_id != progress:
                return verdicts.Delivered(_submitted(upload_id))
            return (yield from _submit(session, settings, upload_id))
        reply = yield from session.call(lambda token: _upload_request(parcel, settings, token))
        if isinstance(reply, Failure):
            return without_doubt(reply)
        made = replies.judge_upload(reply, settings.document)
        if not isinstance(made, str):
            return made
        # The id goes into the record, so it must not be a token that a server repeats.
        if session.is_secret_in(made):
            assert isinstance(reply, HttpResponse)
            return replies.not_made(reply)
        yield from bookmark(made)
        return (yield from _submit(session, settings, made))

    def look_up(
        self, parcel: Parcel, settings: VantaSettings, progress: str | None
    ) -> Dialogue[Finding]:
        """Look for the file among the document's uploads.

        With a bookmark, only the submission can be in doubt, which may be repeated. The list does
        not say what is submitted: what it shows is Partly there, and the next attempt submits it.
        If drafts are not listed, a listed file is Found, and another may be in the draft.
        """
        if progress is not None:
            upload_id = progress.removesuffix(_SUBMITTED)
            if upload_id == progress:
                return verdicts.Partly(progress)
            return verdicts.Found(_submitted(upload_id))
        session = Session(settings)
        found = yield from _find(session, settings, lambda upload: _is_of(parcel, upload))
        if isinstance(found, Failure):
            return verdicts.Unreadable(found)
        if found is None:
            if settings.drafts_listed:
                return verdicts.Absent()
            return verdicts.Unreadable(_perhaps_a_draft(settings))
        if settings.drafts_listed:
            return verdicts.Partly(found)
        return verdicts.Found(Receipt(found, "found among the document's uploads"))

    def check(self, settings: VantaSettings) -> Dialogue[DryRun]:
        """Ask for a token with all its scopes, and for the document."""
        document = yield from _document(Session(settings), settings)
        if isinstance(document, Failure):
            return verdicts.NotReady(document)
        if document.deactivated:
            because = f" ({document.reason})" if document.reason else ""
            message = (
                f"Vanta: the document {document.title!r} is deactivated{because}: ask the Vanta "
                "admin to activate it, or correct document in the tenant file"
            )
            return verdicts.NotReady(Failure(FailureKind.REFUSED, message))
        seen = f"the document {document.title!r} is there, with the status {document.status!r}"
        return verdicts.Ready(seen)

    def target(self, settings: VantaSettings) -> str:
        return f"document {settings.document} at {address(settings.base)}"

    def advice(self, settings: VantaSettings) -> tuple[str, ...]:
        odd = []
        if "/" in settings.document:
            odd.append(
                f"document {settings.document!r} looks like an address: give only what stands "
                "behind documents/ in it"
            )
        missing = [scope for scope in SCOPE.split() if scope not in settings.scope.split()]
        if missing:
            odd.append(f"scope lacks {' and '.join(missing)}, without which an upload is refused")
        return tuple(odd)


def _submit(session: Session, settings: VantaSettings, upload_id: str) -> Dialogue[Verdict]:
    """Submit the document's draft, which the upload is in.

    Several uploads to one document share a draft, and the first submission is for all of them. If
    Vanta says of another that there is nothing left to submit, or answers with a success that is
    not documented, the document is looked at too. A refusal without a reason proves nothing, unless
    a listed upload is known to be submitted (`drafts_listed`).
    """
    submit = f"{settings.url}/submit"
    reply = yield from session.call(
        lambda token: HttpRequest("POST", submit, token, repeatable=True)
    )
    if isinstance(reply, Failure):
        return replies.not_submitted(reply, upload_id)
    verdict = replies.judge_submission(reply, settings.document, upload_id)
    if isinstance(verdict, verdicts.Delivered):
        yield from bookmark(upload_id + _SUBMITTED)
        return verdict
    if not replies.may_be_submitted(reply, drafts_listed=settings.drafts_listed):
        return verdict
    submitted = yield from _stands_submitted(session, settings, upload_id)
    if submitted is True:
        together = Receipt(upload_id, "uploaded, and submitted together with another upload")
        refused = isinstance(verdict, verdicts.Rejected)
        return verdicts.Delivered(together if refused else _submitted(upload_id))
    if isinstance(submitted, Failure) and submitted.kind.retryable:
        return verdicts.Deferred(replies.not_submitted(submitted, upload_id).failure)
    return verdict


def _stands_submitted(
    session: Session, settings: VantaSettings, upload_id: str
) -> Dialogue[bool | Failure]:
    """Whether the upload is listed, and the document's status does not contradict a submission."""
    found = yield from _find(
        session, settings, lambda upload: identity(upload.get("id")) == upload_id
    )
    if isinstance(found, Failure):
        return found
    if found is None or not settings.drafts_listed:
        return found is not None
    document = yield from _document(session, settings)
    return document if isinstance(document, Failure) else document.status == "OK"


def _find(
    session: Session, settings: VantaSettings, wanted: Callable[[Json], bool]
) -> Dialogue[str | Failure | None]:
    """The id of the first wanted upload of the document; None if its whole list has none."""

    def read(cursor: str | None) -> Dialogue[Page[Json] | Failure]:
        more = f"&pageCursor={quote(cursor, safe='')}" if cursor else ""
        url = f"{settings.url}/uploads?pageSize={PAGE_SIZE}{more}"
        reply = yield from session.call(lambda token: HttpRequest("GET", url, token))
        return reply if isinstance(reply, Failure) else replies.read_page(reply, settings.document)

    return (
        yield from search(
            read,
            lambda upload: identity(upload.get("id")) if wanted(upload) else None,
            most_pages=PAGES,
            endless=lambda what: Failure(
                FailureKind.BROKEN_REPLY, f"Vanta's list of the document's uploads {what}"
            ),
        )
    )


def _document(session: Session, settings: VantaSettings) -> Dialogue[DocumentState | Failure]:
    reply = yield from session.call(lambda token: HttpRequest("GET", settings.url, token))
    return reply if isinstance(reply, Failure) else replies.read_document(reply, settings.document)


def _upload_request(parcel: Parcel, settings: VantaSettings, token: Headers) -> HttpRequest:
    day = parcel.evidence_date.isoformat()
    time = "T00:00:00.000Z" if settings.effective_date == "date_time" else ""
    dated = [FormField("effectiveAtDate", day + time)] if settings.effective_date != "none" else []
    fields = (*dated, FormField("description", _marker(parcel)))
    return file_request(f"{settings.url}/uploads", token, parcel, *fields)


def _marker(parcel: Parcel) -> str:
    """What identifies the upload in the description that a person reads in Vanta."""
    return f"Evidence {parcel.evidence_id} (sha256 {parcel.sha256[:12]})"


def _is_of(parcel: Parcel, upload: Json) -> bool:
    """By its name, or by its description if Vanta or a person has changed the name."""
    description = text(upload.get("description")) or ""
    return upload.get("fileName") == parcel.file_name or _marker(parcel) in description


def _submitted(upload_id: str) -> Receipt:
    return Receipt(upload_id, "uploaded and submitted")


def _perhaps_a_draft(settings: VantaSettings) -> Failure:
    return Failure(
        FailureKind.NOT_FOUND,
        f"Vanta does not list the upload among those of document {settings.document}; it may be "
        "there as a draft, which is not listed (drafts_listed: false in the tenant file)",
    )
