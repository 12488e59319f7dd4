"""Vanta, over its Manage Vanta API: evidence goes to one document of the tenant's, and is submitted
there.

What is known, and from where:

- Documented, in Vanta's OpenAPI document and API reference (developer.vanta.com, "Manage Vanta"):
  the two hosts; the paths, parameters and schemas; 201 with an id for an upload, 204 for a
  submission; pages of 1 to 100; 50 requests a minute, 5 at the token endpoint; the scopes; `file`,
  and beside it the optional `effectiveAtDate` and `description`. A guide shows 200 for an upload,
  which a third party saw at an account of theirs. An upload stays in the document's draft until it
  is submitted. A 503 or 504 may have been received all the same.
- Documented, and to be kept in mind: it is the document's draft that is submitted, whole. What
  others have put there and not submitted goes with it.
- Inferred: that an upload in the draft is listed (`drafts_listed`); that `effectiveAtDate`, a text
  of no documented form, is written as the API itself writes dates (`effective_date`): a third party
  that sent the day alone was shown that day's midnight in UTC, which is what we send; that a draft
  may be submitted twice; that what can be downloaded as a type of its own may be uploaded as it.
- Unknown: how large a file may be; what a refusal looks like; how the list is ordered; what is said
  when there is nothing to submit.

Two steps, so the first is bookmarked: whoever comes back with the bookmark only submits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, timedelta
from enum import Enum
from typing import ClassVar, Final
from urllib.parse import quote, urlsplit

from attrs import Attribute, field, frozen

from ....domain.integration import Pace
from ....domain.secrets.secret import Secret
from ....domain.upload.failure import Failure, FailureKind
from ....domain.upload.verdict import (
    Absent,
    Deferred,
    Delivered,
    DryRun,
    Finding,
    Found,
    NotReady,
    Partly,
    Ready,
    Receipt,
    Unreadable,
    Verdict,
)
from ....ports.dialogue import Dialogue, Headers, HttpRequest, HttpResponse, bookmark
from ....ports.provider import Limits, Parcel
from ..kit.multipart import FormField, FormFile, form_data
from .access import Application, Session
from .reply import (
    DocumentState,
    UploadedFile,
    answered_otherwise,
    as_verdict,
    judge_submission,
    judge_upload,
    not_submitted,
    perhaps_nothing_to_submit,
    read_document,
    read_page,
    unrecognised,
)

SCOPE: Final = "vanta-api.all:read vanta-api.all:write vanta-api.documents:upload"
A_PAGE: Final = 100
"""So many uploads are asked for at once, the most that Vanta gives."""
PAGES: Final = 50
"""So many pages are turned over, a minute's worth of Vanta's pace."""

_OPEN_XML = "application/vnd.openxmlformats-officedocument."


class Region(Enum):
    """Which Vanta the account is at. An application of one is unknown to the other."""

    COMMERCIAL = "commercial"
    GOV = "gov"

    @property
    def base(self) -> str:
        """The API's address."""
        return {"commercial": "https://api.vanta.com", "gov": "https://api.vanta-gov.com"}[
            self.value
        ]


class EffectiveDate(Enum):
    """How the evidence date is written for Vanta: as the API itself writes dates, as a day, or
    not at all."""

    DATE_TIME = "date_time"
    DATE = "date"
    NONE = "none"

    def fields(self, day: date) -> tuple[FormField, ...]:
        """The part of the form that carries it, if any does."""
        match self:
            case EffectiveDate.DATE_TIME:
                return (FormField("effectiveAtDate", f"{day.isoformat()}T00:00:00.000Z"),)
            case EffectiveDate.DATE:
                return (FormField("effectiveAtDate", day.isoformat()),)
            case EffectiveDate.NONE:
                return ()


def _one_line(settings: VantaSettings, attribute: Attribute[str], value: str) -> None:
    if not value.strip() or value != value.strip() or not value.isprintable():
        raise ValueError(f"{attribute.name} must be one line of text without spaces around it")


def _part_of_a_path(settings: VantaSettings, attribute: Attribute[str], value: str) -> None:
    _one_line(settings, attribute, value)
    if value in (".", ".."):
        raise ValueError(f"{attribute.name} must be the id of a document")


def _base(settings: VantaSettings, attribute: Attribute[str | None], value: str | None) -> None:
    if value is not None and ("?" in value or value.rstrip("/").endswith(("/v1", "/oauth/token"))):
        raise ValueError(
            f"{attribute.name} must end before /v1 and /oauth, as in https://api.vanta.com"
        )


@frozen(kw_only=True)
class VantaSettings:
    """A tenant's settings for Vanta. `document` is the document's id; `endpoint` overrides the
    region's address, that before ``/v1`` and ``/oauth/token``.

    `scope` is what tokens are asked for. `drafts_listed`: whether Vanta lists an upload before it
    is submitted. `effective_date`: how the evidence date is written.
    """

    client_id: str = field(validator=_one_line)
    client_secret: Secret
    document: str = field(validator=_part_of_a_path)
    region: Region = Region.COMMERCIAL
    endpoint: str | None = field(default=None, validator=_base)
    scope: str = field(default=SCOPE, validator=_one_line)
    drafts_listed: bool = True
    effective_date: EffectiveDate = EffectiveDate.DATE_TIME

    @property
    def base(self) -> str:
        """What stands before the path of every request."""
        return (self.endpoint or self.region.base).rstrip("/")

    @property
    def application(self) -> Application:
        """Whose token the requests carry."""
        return Application(
            base=self.base,
            client_id=self.client_id,
            client_secret=self.client_secret,
            scope=self.scope,
        )

    @property
    def url(self) -> str:
        """The document's address in the API."""
        return f"{self.base}/v1/documents/{quote(self.document, safe='')}"


class VantaProvider:
    """Uploads evidence to a document of Vanta's, and submits it."""

    name: ClassVar[str] = "vanta"
    settings_class: ClassVar[type] = VantaSettings
    schema: ClassVar[Mapping[str, object]] = {
        "client_id": {"type": "string", "required": True, "empty": False, "maxlength": 200},
        "client_secret": {"type": "secret", "required": True},
        "document": {"type": "string", "required": True, "empty": False, "maxlength": 200},
        "region": {"type": "string", "allowed": [region.value for region in Region]},
        "endpoint": {"type": "endpoint"},
        "scope": {"type": "string", "empty": False, "maxlength": 1_000},
        "drafts_listed": {"type": "boolean"},
        "effective_date": {"type": "string", "allowed": [way.value for way in EffectiveDate]},
    }
    limits: ClassVar[Limits] = Limits(
        max_bytes=None,
        media_types={
            "application/pdf": "pdf",
            "application/msword": "doc",
            f"{_OPEN_XML}wordprocessingml.document": "docx",
            "application/vnd.ms-excel": "xls",
            f"{_OPEN_XML}spreadsheetml.sheet": "xlsx",
            "application/vnd.ms-powerpoint": "ppt",
            f"{_OPEN_XML}presentationml.presentation": "pptx",
            "text/csv": "csv",
            "text/plain": "txt",
            "text/markdown": "md",
            "application/json": "json",
            "image/png": "png",
            "image/jpeg": "jpg",
            "image/webp": "webp",
        },
    )
    pace: ClassVar[Pace | None] = Pace(50, timedelta(minutes=1))
    cost: ClassVar[int] = 2  # the upload, and its submission
    exclusive_credential: ClassVar[bool] = True
    look_up_delays: ClassVar[tuple[timedelta, ...]] = (
        timedelta(seconds=2),
        timedelta(seconds=10),
        timedelta(seconds=30),
    )

    def upload(self, parcel: Parcel, settings: object, progress: str | None) -> Dialogue[Verdict]:
        """Upload, remember the id, submit; with the id at hand only the last."""
        assert isinstance(settings, VantaSettings)
        session = Session(settings.application)
        verdict = yield from _deliver(session, parcel, settings, progress)
        return session.redactor().verdict(verdict)

    def look_up(self, parcel: Parcel, settings: object, progress: str | None) -> Dialogue[Finding]:
        """Look for the file among the document's uploads.

        A bookmark says more than any list: the upload was made, and only its submission is in
        doubt, which may be repeated. The list does not say what is submitted; so what it shows is
        Partly there, and the next attempt submits it, unless drafts are known not to be listed.
        Then it is Found where it is listed, and where it is not, it may be in the draft: that is
        Unreadable, not Absent.
        """
        assert isinstance(settings, VantaSettings)
        if progress is not None:
            return Partly(progress)
        session = Session(settings.application)
        found = yield from _find(session, settings, lambda upload: _is_of(parcel, upload))
        if isinstance(found, Failure):
            return Unreadable(session.redactor().failure(found))
        if found is None:
            return Absent() if settings.drafts_listed else Unreadable(_perhaps_a_draft(settings))
        if settings.drafts_listed:
            return Partly(found.upload_id)
        return Found(Receipt(found.upload_id, "found among the document's uploads"))

    def check(self, settings: object) -> Dialogue[DryRun]:
        """Ask for a token with all its scopes, and for the document."""
        assert isinstance(settings, VantaSettings)
        session = Session(settings.application)
        document = yield from _document(session, settings)
        if isinstance(document, Failure):
            return NotReady(session.redactor().failure(document))
        if document.deactivated:
            because = f" ({document.reason})" if document.reason else ""
            message = (
                f"Vanta: the document {document.title!r} is deactivated{because}: ask the Vanta admin to "
                "activate it, or correct document in the tenant file"
            )
            return NotReady(session.redactor().failure(Failure(FailureKind.REFUSED, message)))
        told = f"the document {document.title!r} is there, with the status {document.status!r}"
        return Ready(session.redactor().text(told))

    def target(self, settings: object) -> str:
        """The document and the host it is at."""
        assert isinstance(settings, VantaSettings)
        return f"document {settings.document} at {urlsplit(settings.base).hostname}"

    def advice(self, settings: object) -> tuple[str, ...]:
        """What looks odd in settings that are accepted, one sentence each."""
        assert isinstance(settings, VantaSettings)
        odd = []
        if "/" in settings.document:
            odd.append(
                f"document {settings.document!r} looks like an address: give only what stands behind documents/ in it"
            )
        missing = [scope for scope in SCOPE.split() if scope not in settings.scope.split()]
        if missing:
            odd.append(f"scope lacks {' and '.join(missing)}, without which an upload is refused")
        return tuple(odd)


def _deliver(
    session: Session, parcel: Parcel, settings: VantaSettings, progress: str | None
) -> Dialogue[Verdict]:
    if progress is not None:
        return (yield from _submit(session, settings, progress))
    reply = yield from session.call(lambda token: _upload_request(parcel, settings, token))
    if isinstance(reply, Failure):
        return as_verdict(reply)
    made = judge_upload(reply, settings.document)
    if not isinstance(made, str):
        return made
    # The id is put into the record, where a token that a server gives as one has no place.
    if session.redactor(settings.client_secret).text(made) != made:
        assert isinstance(reply, HttpResponse)
        return unrecognised(reply)
    yield from bookmark(made)
    return (yield from _submit(session, settings, made))


def _submit(session: Session, settings: VantaSettings, upload_id: str) -> Dialogue[Verdict]:
    """Submit the document's draft, which the upload is in.

    Several uploads to one document share a draft, and whoever submits first submits for all. What
    Vanta says to the others is unknown; so where it refuses as an API does that has nothing to do,
    and gives no other reason, the document is asked how it stands. So it is where Vanta answers
    with a success that is not the documented one, as it has been seen to do for an upload.
    """
    reply = yield from session.call(
        lambda token: HttpRequest("POST", f"{settings.url}/submit", token)
    )
    if isinstance(reply, Failure):
        return not_submitted(reply, upload_id)
    verdict = judge_submission(reply, settings.document, upload_id)
    otherwise = isinstance(verdict, Deferred) and answered_otherwise(reply)
    if not otherwise and not perhaps_nothing_to_submit(reply):
        return verdict
    submitted = yield from _stands_submitted(session, settings, upload_id)
    if submitted is True:
        how = (
            "uploaded and submitted"
            if otherwise
            else "uploaded, and submitted together with another upload"
        )
        return Delivered(Receipt(upload_id, how))
    if isinstance(submitted, Failure) and submitted.kind.retryable:
        return Deferred(not_submitted(submitted, upload_id).failure)
    assert not isinstance(verdict, Delivered)
    return verdict


def _stands_submitted(
    session: Session, settings: VantaSettings, upload_id: str
) -> Dialogue[bool | Failure]:
    """Whether the upload is listed and the document's status says that nothing is wanting."""
    found = yield from _find(session, settings, lambda upload: upload.upload_id == upload_id)
    if found is None or isinstance(found, Failure):
        return found if isinstance(found, Failure) else False
    if not settings.drafts_listed:
        return True
    document = yield from _document(session, settings)
    return document if isinstance(document, Failure) else document.status == "OK"


def _find(
    session: Session, settings: VantaSettings, wanted: Callable[[UploadedFile], bool]
) -> Dialogue[UploadedFile | Failure | None]:
    """The first upload of the document's that is wanted; None if the whole list has none."""
    cursor: str | None = None
    seen: set[str] = set()
    for _ in range(PAGES):
        url = f"{settings.url}/uploads?pageSize={A_PAGE}"
        url += f"&pageCursor={quote(cursor, safe='')}" if cursor else ""
        reply = yield from session.call(lambda token, url=url: HttpRequest("GET", url, token))  # type: ignore[misc]
        page = reply if isinstance(reply, Failure) else read_page(reply, settings.document)
        if isinstance(page, Failure):
            return page
        found = next(filter(wanted, page.uploads), None)
        if found is not None or page.cursor is None:
            return found
        if page.cursor in seen:
            return _endless("comes back to where it was")
        seen.add(page.cursor)
        cursor = page.cursor
    return _endless(f"has more than {PAGES} pages")


def _document(session: Session, settings: VantaSettings) -> Dialogue[DocumentState | Failure]:
    reply = yield from session.call(lambda token: HttpRequest("GET", settings.url, token))
    return reply if isinstance(reply, Failure) else read_document(reply, settings.document)


def _upload_request(parcel: Parcel, settings: VantaSettings, token: Headers) -> HttpRequest:
    content_type, body = form_data(
        (
            *settings.effective_date.fields(parcel.evidence_date),
            FormField("description", _marker(parcel)),
            FormFile("file", parcel.file_name, parcel.media_type, parcel.content),
        ),
        parcel.sha256,
    )
    return HttpRequest(
        "POST", f"{settings.url}/uploads", (*token, ("Content-Type", content_type)), body
    )


def _marker(parcel: Parcel) -> str:
    """What identifies the upload, in the description that a person reads in Vanta."""
    return f"Evidence {parcel.evidence_id} (sha256 {parcel.sha256[:12]})"


def _is_of(parcel: Parcel, upload: UploadedFile) -> bool:
    """By its name, or by its description where Vanta or a person has given the file another
    name."""
    return upload.file_name == parcel.file_name or _marker(parcel) in (upload.description or "")


def _endless(what: str) -> Failure:
    return Failure(FailureKind.BROKEN_REPLY, f"Vanta's list of the document's uploads {what}")


def _perhaps_a_draft(settings: VantaSettings) -> Failure:
    return Failure(
        FailureKind.NOT_FOUND,
        f"Vanta does not list the upload among those of document {settings.document}; it may be there as a draft, which is not "
        "listed (drafts_listed: false in the tenant file)",
    )
