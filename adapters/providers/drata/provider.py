"""Drata, over its public API v2: evidence goes to the documents of the person that it speaks of, or
into a workspace's evidence library.

What is known of the API, and from where.

- *Documented* by Drata (the OpenAPI document, version V2, at developers.drata.com): the three
  hosts; the bearer key; `POST /users/{userId}/documents` with the parts `type`, `file` and
  `completionDate`, where userId is "a Drata integer ID or an email address of the form
  'email:value'"; `POST /workspaces/{workspaceId}/evidence-library` with `name` (191 characters at
  most), `filedAt`, `renewalScheduleType`, `ownerId`, `controlIds` and `file`; 201 with a number
  `id`; the lists beside both, read page by page with `cursor`; `GET /company` with
  `manualUploadEnabled`; `GET /workspaces`; the file name endings that are taken. The evidence
  library's own page calls this endpoint the older one and names `POST
  /workspaces/{workspaceId}/evidence` as its successor; it needs two requests where this needs one,
  and is missing from older editions, so the older one is used as long as it is published.
- *Documented, and at odds with itself*: the schema of that userId is a plain number, which
  `email:value` is not; at `GET /users/{userId}`, described in the same words, the schema is a
  number or a text. By default the words are followed; `user_by: number` asks there for the number
  first, and names the person by it.
- *Documented* in Drata's help pages: 500 requests a minute for each source address.
- *Claimed* by third parties: a file part without a name or a type gets 400; `GET
  /users/email:value` finds the user with that address.
- *Inferred*: `controlIds` is a list of numbers, so several controls are sent as that part,
  repeated, which is OpenAPI's rule for a list in a form; a third party's client sends them so.
  Examples for Drata's older API put all numbers into one part, with commas, and some servers know a
  list in a form by brackets behind its name: `controls_as` is for these.
- *Inferred*: 25 MB is read as 25,000,000 bytes; a listed document's `name` is the file's name as it
  was sent, with or without its ending; `completionDate` is the moment of the record.
- *Unknown*: whether the `name` filter of a person's documents wants the whole name, its beginning
  or any part of it. So it is not used: a person has few documents of one type, and all of them are
  read. In a library the name is exactly what was sent, which every kind of filter finds.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, timedelta
from enum import Enum
from typing import ClassVar, Final, Literal, TypeAlias
from urllib.parse import quote, urlencode, urlsplit

from attrs import frozen

from ....domain.integration import Pace
from ....domain.secrets.secret import Secret
from ....domain.upload.failure import Failure, FailureKind
from ....domain.upload.verdict import (
    Absent,
    Deferred,
    DryRun,
    Finding,
    Found,
    NotReady,
    Ready,
    Receipt,
    Rejected,
    Unreadable,
    Verdict,
)
from ....ports.dialogue import Dialogue, Headers, HttpRequest, fetch
from ....ports.provider import Limits, Parcel
from ..kit.http_errors import ErrorHints
from ..kit.json_reply import text
from ..kit.multipart import FormField, FormFile, form_data
from .reply import Words, identity, judge, read_object, read_page, unreadable, user_number

To: TypeAlias = Literal["person", "library"]
Person: TypeAlias = Literal["subject_email", "subject"]
DocumentType: TypeAlias = Literal[
    "SEC_TRAINING", "HIPAA_TRAINING_EVIDENCE", "MFA_EVIDENCE", "OFFBOARDING_EVIDENCE"
]
Renewal: TypeAlias = Literal[
    "ONE_MONTH", "TWO_MONTHS", "THREE_MONTHS", "SIX_MONTHS", "ONE_YEAR", "NONE"
]
UserBy: TypeAlias = Literal["address", "number"]
ControlsAs: TypeAlias = Literal["repeated", "brackets", "commas"]

PAGE_SIZE: Final = 50
"""The newest edition of the documentation allows 500, an older one 50: so this is right for
both."""
MOST_PAGES: Final = 40
"""A list that goes on behind so many pages is given up."""

_OPEN_XML: Final = "application/vnd.openxmlformats-officedocument."
_OPEN_DOCUMENT: Final = "application/vnd.oasis.opendocument."
_ID = re.compile(r"[1-9][0-9]{0,18}", re.ASCII)
_ADDRESS = re.compile(r"[^\s@\x00-\x20\x7f]+@[^\s@\x00-\x20\x7f]+")

_KEY: Final = (
    "ask the Drata admin for a new key under Settings > API Keys and put it where api_key in the tenant file points; "
    "a key may be bound to some network addresses, and belongs to one region"
)


class Region(Enum):
    """Where a Drata account lives. The addresses are documented."""

    US = "us"
    EU = "eu"
    APAC = "apac"

    @property
    def endpoint(self) -> str:
        """The address of the API in this region."""
        host = "public-api" if self is Region.US else f"public-api.{self.value}"
        return f"https://{host}.drata.com/public/v2"


@frozen(kw_only=True)
class DrataSettings:
    """A tenant's settings for Drata. `endpoint` overrides the region's address, up to /public/v2.

    `to` is where evidence goes. *person*: the documents of the person; `person` says which of the
    evidence's fields names that person for Drata, the e-mail address or the subject, which must
    then be Drata's number for the user. `user_by` is how a person who is known by the e-mail
    address is named to Drata: by the *number* that Drata is asked for first, which all of its
    document allows, or by that *address*, which its words allow. *library*: the evidence library of
    `workspace`, with the user `owner` (a number) as its owner, for the controls with these numbers,
    to be renewed as `renewal` says. CUSTOM is not offered, since it would need a date for each
    document. `controls_as` is how several controls are written in the form: as the part
    ``controlIds``, *repeated*; the same with *brackets*, ``controlIds[]``; or as one part with
    *commas*.
    """

    api_key: Secret
    region: Region = Region.US
    endpoint: str | None = None
    to: To = "person"
    person: Person = "subject_email"
    document_type: DocumentType = "SEC_TRAINING"
    workspace: int | None = None
    owner: int | None = None
    controls: tuple[int, ...] = ()
    renewal: Renewal = "ONE_YEAR"
    controls_as: ControlsAs = "repeated"
    user_by: UserBy = "number"

    def __attrs_post_init__(self) -> None:
        if self.to == "library" and (self.workspace is None or self.owner is None):
            raise ValueError(
                "to: library needs workspace and owner: the numbers of the workspace, and of the Drata user who "
                "shall own the evidence"
            )
        if self.to == "person" and (
            self.workspace is not None or self.owner is not None or self.controls
        ):
            raise ValueError(
                "workspace, owner and controls are for to: library; to: person sends to the documents of the person"
            )

    @property
    def base(self) -> str:
        """What every address of the API begins with."""
        return (self.endpoint or self.region.endpoint).rstrip("/")


class DrataProvider:
    """Uploads evidence to a person's documents or to an evidence library of Drata's."""

    name: ClassVar[str] = "drata"
    settings_class: ClassVar[type] = DrataSettings
    schema: ClassVar[Mapping[str, object]] = {
        "api_key": {"type": "secret", "required": True},
        "region": {"type": "string", "allowed": [region.value for region in Region]},
        "endpoint": {"type": "endpoint"},
        "to": {"type": "string", "allowed": ["person", "library"]},
        "person": {"type": "string", "allowed": ["subject_email", "subject"]},
        "document_type": {
            "type": "string",
            "allowed": [
                "SEC_TRAINING",
                "HIPAA_TRAINING_EVIDENCE",
                "MFA_EVIDENCE",
                "OFFBOARDING_EVIDENCE",
            ],
        },
        "workspace": {"type": "integer", "min": 1},
        "owner": {"type": "integer", "min": 1},
        "controls": {"type": "list", "minlength": 1, "schema": {"type": "integer", "min": 1}},
        "renewal": {
            "type": "string",
            "allowed": [
                "ONE_MONTH",
                "TWO_MONTHS",
                "THREE_MONTHS",
                "SIX_MONTHS",
                "ONE_YEAR",
                "NONE",
            ],
        },
        "user_by": {"type": "string", "allowed": ["address", "number"]},
        "controls_as": {"type": "string", "allowed": ["repeated", "brackets", "commas"]},
    }
    # What a person's documents take; a library takes more, JSON and text among it, but one list
    # serves both.
    limits: ClassVar[Limits] = Limits(
        max_bytes=25_000_000,
        media_types={
            "application/pdf": "pdf",
            "application/msword": "doc",
            f"{_OPEN_XML}wordprocessingml.document": "docx",
            f"{_OPEN_XML}spreadsheetml.sheet": "xlsx",
            f"{_OPEN_XML}presentationml.presentation": "pptx",
            f"{_OPEN_DOCUMENT}text": "odt",
            f"{_OPEN_DOCUMENT}spreadsheet": "ods",
            f"{_OPEN_DOCUMENT}presentation": "odp",
            "image/png": "png",
            "image/jpeg": "jpg",
            "image/gif": "gif",
        },
    )
    pace: ClassVar[Pace | None] = Pace(500, timedelta(seconds=60))
    cost: ClassVar[int] = 1
    exclusive_credential: ClassVar[bool] = False
    look_up_delays: ClassVar[tuple[timedelta, ...]] = (
        timedelta(seconds=2),
        timedelta(seconds=10),
        timedelta(seconds=30),
    )

    def upload(self, parcel: Parcel, settings: object, progress: str | None) -> Dialogue[Verdict]:
        """One request, one verdict; nothing is sent where the evidence does not say whose it is."""
        assert isinstance(settings, DrataSettings)
        collection = yield from _collection(parcel, settings)
        if isinstance(collection, Failure):
            return Deferred(collection) if collection.kind.retryable else Rejected(collection)
        reply = yield from fetch(_request(collection, parcel, settings))
        return judge(reply, _words(settings))

    def look_up(self, parcel: Parcel, settings: object, progress: str | None) -> Dialogue[Finding]:
        """Look for the name that we gave the file, which carries the evidence id and the
        document's digest."""
        assert isinstance(settings, DrataSettings)
        collection = yield from _collection(parcel, settings)
        if isinstance(collection, Failure):
            return Unreadable(collection)
        names = {parcel.file_name, parcel.file_name.rpartition(".")[0]}
        wanted = (
            {"type": settings.document_type}
            if settings.to == "person"
            else {"name": parcel.file_name[:191]}
        )
        cursor: str | None = None
        for _ in range(MOST_PAGES):
            reply = yield from fetch(_get(f"{collection}?{_page_query(wanted, cursor)}", settings))
            page = read_page(reply, _words(settings))
            if isinstance(page, Failure):
                return Unreadable(page)
            for document in page.items:
                name = text(document.get("name"))
                if name is None:
                    return Unreadable(unreadable(None, "it lists something without a name"))
                if name in names:
                    return Found(Receipt(identity(document), name))
            if page.cursor is None:
                return Absent()
            cursor = page.cursor
        return Unreadable(unreadable(None, f"the list goes on behind {MOST_PAGES} pages"))

    def check(self, settings: object) -> Dialogue[DryRun]:
        """Read the company's settings, or look for the workspace: whoever the evidence will speak
        of is not known yet."""
        assert isinstance(settings, DrataSettings)
        if settings.to == "library":
            return (yield from _check_workspace(settings))
        words = _words(settings)
        company = read_object((yield from fetch(_get(f"{settings.base}/company", settings))), words)
        if isinstance(company, Failure):
            return NotReady(company)
        name = text(company.get("name")) or "the company"
        match company.get("manualUploadEnabled"):
            case True:
                training = text(company.get("securityTraining")) or "unknown"
                return Ready(
                    f"Drata knows the key; {name} takes documents for its people (security training: {training})"
                )
            case False:
                return NotReady(
                    Failure(
                        FailureKind.FORBIDDEN,
                        f"Drata takes no documents for the people of {name}: a Drata admin must allow manual uploads "
                        "of evidence in Drata's settings",
                    )
                )
        return NotReady(
            unreadable(None, "the company's settings do not say whether uploads are allowed")
        )

    def target(self, settings: object) -> str:
        """The kind of document, or the workspace, and the host it is at."""
        assert isinstance(settings, DrataSettings)
        host = urlsplit(settings.base).hostname
        if settings.to == "library":
            return f"the evidence library of workspace {settings.workspace} at {host}"
        return f"the person's {settings.document_type} documents at {host}"


def _check_workspace(settings: DrataSettings) -> Dialogue[DryRun]:
    words, cursor = _words(settings), None
    for _ in range(MOST_PAGES):
        url = f"{settings.base}/workspaces?{_page_query({}, cursor)}"
        page = read_page((yield from fetch(_get(url, settings))), words)
        if isinstance(page, Failure):
            return NotReady(page)
        for workspace in page.items:
            if identity(workspace) == str(settings.workspace):
                name = text(workspace.get("name")) or "without a name"
                return Ready(f"Drata knows the key and workspace {settings.workspace} ({name})")
        if page.cursor is None:
            return NotReady(
                Failure(
                    FailureKind.TARGET_NOT_FOUND,
                    f"Drata shows no workspace {settings.workspace} to this key: correct workspace in the tenant file",
                )
            )
        cursor = page.cursor
    return NotReady(unreadable(None, f"the list of workspaces goes on behind {MOST_PAGES} pages"))


def _collection(parcel: Parcel, settings: DrataSettings) -> Dialogue[str | Failure]:
    """The address that the evidence is posted to, and listed at; a failure where it does not say
    whose it is, or where Drata does not say the person's number."""
    if settings.to == "library":
        return f"{settings.base}/workspaces/{settings.workspace}/evidence-library"
    user = _user(parcel, settings)
    if isinstance(user, Failure):
        return user
    if settings.person == "subject_email" and settings.user_by == "number":
        reply = yield from fetch(_get(f"{settings.base}/users/{user}", settings))
        user = user_number(reply, _words(settings, permission="Users: Get User"))
    return user if isinstance(user, Failure) else f"{settings.base}/users/{user}/documents"


def _user(parcel: Parcel, settings: DrataSettings) -> str | Failure:
    """What names the person in an address; a failure where the evidence does not."""
    if settings.person == "subject":
        if not _ID.fullmatch(parcel.subject):
            return Failure(
                FailureKind.BAD_REQUEST,
                f"the subject {parcel.subject!r} of evidence {parcel.evidence_id!r} is not Drata's number for a user, as "
                "person: subject wants it; nothing was sent: submit it under a new evidence id with that number as its "
                "subject, or set person: subject_email in the tenant file",
            )
        return parcel.subject
    if parcel.subject_email is None or not _ADDRESS.fullmatch(parcel.subject_email):
        what = "no e-mail address" if parcel.subject_email is None else "no valid e-mail address"
        return Failure(
            FailureKind.BAD_REQUEST,
            f"evidence {parcel.evidence_id!r} says {what} for {parcel.subject!r}, and person: subject_email needs one; "
            "nothing was sent: submit it under a new evidence id with the address that Drata knows the person by, or "
            "set person: subject in the tenant file",
        )
    return f"email:{quote(parcel.subject_email, safe='@')}"


def _request(collection: str, parcel: Parcel, settings: DrataSettings) -> HttpRequest:
    file = FormFile("file", parcel.file_name, parcel.media_type, parcel.content)
    fields: list[FormField]
    if settings.to == "library":
        fields = [
            FormField("name", parcel.file_name[:191]),
            FormField("filedAt", parcel.evidence_date.isoformat()),
            FormField("renewalScheduleType", settings.renewal),
            FormField("ownerId", str(settings.owner)),
            *_control_fields(settings),
        ]
    else:
        moment = (
            parcel.recorded_at.astimezone(UTC)
            .replace(tzinfo=None)
            .isoformat(timespec="milliseconds")
        )
        fields = [
            FormField("type", settings.document_type),
            FormField("completionDate", f"{moment}Z"),
        ]
    content_type, body = form_data([*fields, file], parcel.sha256)
    return HttpRequest(
        "POST", collection, (*_headers(settings), ("Content-Type", content_type)), body
    )


def _control_fields(settings: DrataSettings) -> list[FormField]:
    numbers = [str(control) for control in settings.controls]
    match settings.controls_as:
        case "repeated":
            return [FormField("controlIds", number) for number in numbers]
        case "brackets":
            return [FormField("controlIds[]", number) for number in numbers]
        case "commas":
            return [FormField("controlIds", ",".join(numbers))] if numbers else []


def _get(url: str, settings: DrataSettings) -> HttpRequest:
    return HttpRequest("GET", url, _headers(settings))


def _headers(settings: DrataSettings) -> Headers:
    return (
        ("Authorization", f"Bearer {settings.api_key.reveal()}"),
        ("Accept", "application/json"),
    )


def _page_query(wanted: Mapping[str, str], cursor: str | None) -> str:
    """The newest first: what is looked for was sent a moment ago."""
    query = {**wanted, "size": str(PAGE_SIZE), "sort": "createdAt", "sortDir": "DESC"}
    return urlencode(query if cursor is None else {**query, "cursor": cursor}, quote_via=quote)


def _words(settings: DrataSettings, *, permission: str | None = None) -> Words:
    """`permission` is what the key needs, where that is not for the evidence itself."""
    library = settings.to == "library"
    if library:
        where = f"the evidence library of workspace {settings.workspace}"
        needed = "Evidence Library: Create Evidence, and List Evidence to look it up"
        missing = "Drata does not know one of them: correct workspace, owner, controls, region or endpoint in the tenant file"
    else:
        where = "the person's documents"
        needed = "Users: Create User Document, and List User Documents to look it up"
        missing = (
            "Drata does not know the person: ask the Drata admin to add them, or correct person, region or endpoint in "
            "the tenant file, then retry this upload"
        )
    advice = ErrorHints(
        provider="Drata",
        unauthorized=_KEY,
        forbidden=f"ask the Drata admin to give the API key the permission it lacks ({permission or needed})",
        not_found=missing,
        too_large="make the document smaller than 25 MB, then submit it under a new evidence id",
        unsupported_type="send a PDF",
        target_gone=library,
    )
    look = f"look at {where} in Drata, then attest that the evidence is there or retry this upload"
    return Words(advice, look)
