"""Drata, over its public API v2: evidence goes to the documents of the person that it speaks of, or
into the evidence library of a workspace.

- *Documented* (the OpenAPI document, version V2, at developers.drata.com): the hosts; the bearer
  key; `POST /users/{userId}/documents` with `type`, `file` and `completionDate`; `POST
  /workspaces/{workspaceId}/evidence-library` with `name` (191 characters at most), `filedAt`,
  `renewalScheduleType`, `ownerId`, `controlIds` and `file`; its successor `POST
  /workspaces/{workspaceId}/evidence`, in JSON, with the `fileKey` that `POST
  /workspaces/{workspaceId}/evidence-files` gave; 201 with a number `id`; the lists beside them;
  `GET /company`; `GET /workspaces`; the file name extensions. 500 requests a minute for each source
  address (help pages).
- *Documented, and at odds with itself*: userId is "a Drata integer ID or an email address of the
  form 'email:value'", but its schema is a number; at `GET /users/{userId}` it is a number or a
  text. So by default that is asked for the number first (`user_by`).
- *Claimed* by third parties: a file part without a name or a type gets 400; `GET
  /users/email:value` finds the user with that address.
- *Inferred*: several `controlIds` are that part, repeated, as OpenAPI and a third party's client
  write a list in a form (`controls_as`); 25 MB is 25,000,000 bytes; a listed document's `name` is
  the file's name with or without its extension; `completionDate` is the moment of the record; where
  a training is not manual, a document of ours may not count.
- *Unknown*: whether the `name` filter of a person's documents wants the whole name. So all
  documents of the type are read. In a library the name is exactly what was sent. An `id` of digits
  as text is tolerated.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, timedelta
from typing import ClassVar, Final, TypeVar
from urllib.parse import quote, urlencode

from attrs import evolve

from ....delivery.dialogues.http_errors import ErrorHints, without_doubt
from ....delivery.dialogues.json_reply import text
from ....delivery.dialogues.lists import Page, search
from ....delivery.dialogues.multipart import FormField, file_request
from ....delivery.dialogues.person import person_of
from ....delivery.dialogues.settings import LOOK_UP_DELAYS, address, media_types, schema_of
from ....domain.evidence.evidence import Outcome
from ....domain.integration import Pace
from ....domain.upload import verdict as verdicts
from ....domain.upload.failure import Failure, FailureKind
from ....domain.upload.verdict import DryRun, Finding, Receipt, Verdict
from ....ports.dialogue import Dialogue, Headers, HttpRequest, HttpResponse, Reply, bookmark, fetch
from ....ports.provider import Limits, Parcel
from .reply import (
    NEEDS_ARTIFACT,
    Json,
    identity,
    judge,
    read_object,
    read_page,
    unreadable,
    user_number,
)
from .settings import DrataSettings

R = TypeVar("R")

PAGE_SIZE: Final = 50
"""The newest edition of the documentation allows 500, an older one 50."""
MOST_PAGES: Final = 40
_LONGEST_NAME: Final = 191
_NUMBER: Final = re.compile(r"[1-9][0-9]{0,18}", re.ASCII)
_MANUAL: Final = ("MANUAL", "MANUAL_EVIDENCE_FIRST", "LINK_PROVIDED")
_TRAININGS: Final = {
    "SEC_TRAINING": ("securityTraining", "security training"),
    "HIPAA_TRAINING_EVIDENCE": ("hipaaTraining", "HIPAA training"),
}
"""Where the company's settings say how a training is done, and its name."""


class DrataProvider:
    """Uploads evidence to a person's documents or to an evidence library of Drata's."""

    name: ClassVar[str] = "drata"
    settings_class: ClassVar[type] = DrataSettings
    schema: ClassVar[Mapping[str, object]] = schema_of(DrataSettings)
    # What a person's documents take. A library takes more, JSON and text among it.
    limits: ClassVar[Limits] = Limits(
        max_bytes=25_000_000,
        media_types=media_types(
            *("pdf", "doc", "docx", "xlsx", "pptx", "odt", "ods", "odp", "png", "jpg", "gif")
        ),
    )
    pace: ClassVar[Pace | None] = Pace(500, timedelta(seconds=60))
    cost: ClassVar[int] = 2  # the number of the person, or the stored file, comes first
    exclusive_credential: ClassVar[bool] = False
    look_up_delays: ClassVar[tuple[timedelta, ...]] = LOOK_UP_DELAYS

    def upload(
        self, parcel: Parcel, settings: DrataSettings, progress: str | None
    ) -> Dialogue[Verdict]:
        url = yield from _collection(parcel, settings)
        if isinstance(url, Failure):
            return without_doubt(url)
        if settings.to == "library" and settings.library_api == "evidence":
            reply = yield from _make_evidence(url, progress, parcel, settings)
            if isinstance(reply, Failure):
                return without_doubt(reply)
        else:
            reply = yield from fetch(_form_request(url, parcel, settings))
        return judge(reply, _hints(settings))

    def look_up(
        self, parcel: Parcel, settings: DrataSettings, progress: str | None
    ) -> Dialogue[Finding]:
        """Look for our name of the file, which holds the evidence id and the document's digest."""
        url = yield from _collection(parcel, settings)
        if isinstance(url, Failure):
            return verdicts.Unreadable(url)
        names = {parcel.file_name, parcel.file_name.rpartition(".")[0]}

        def finding(document: Json) -> Finding | None:
            name = text(document.get("name"))
            if name is None:
                return verdicts.Unreadable(unreadable("it lists something without a name"))
            if name not in names:
                return None
            if document.get("status") == NEEDS_ARTIFACT:
                return verdicts.Unreadable(unreadable(f"it lists {name} without its file"))
            return verdicts.Found(Receipt(identity(document), name))

        wanted = {"name": parcel.file_name[:_LONGEST_NAME]}
        if settings.to == "person":
            wanted = {"type": settings.document_type}
        found = yield from _find(url, wanted, finding, settings)
        if isinstance(found, Failure):
            return verdicts.Unreadable(found)
        return verdicts.Absent() if found is None else found

    def check(self, settings: DrataSettings) -> Dialogue[DryRun]:
        """Read the company's settings, or look for the workspace. The person is not known yet."""
        if settings.to == "library":
            return (yield from _check_workspace(settings))
        reply = yield from fetch(_get(f"{settings.base}/company", settings))
        company = read_object(reply, _hints(settings))
        if isinstance(company, Failure):
            return verdicts.NotReady(company)
        return _readiness(company, settings)

    def default_outcomes(self, settings: DrataSettings) -> tuple[Outcome, ...]:
        """A person's document says that the person has done the training."""
        return (Outcome.PASSED,) if settings.to == "person" else tuple(Outcome)

    def target(self, settings: DrataSettings) -> str:
        host = address(settings.base)
        if settings.to == "library":
            return f"the evidence library of workspace {settings.workspace} at {host}"
        return f"the person's {settings.document_type} documents at {host}"


def _readiness(company: Json, settings: DrataSettings) -> DryRun:
    name = text(company.get("name")) or "the company"
    match company.get("manualUploadEnabled"):
        case True:
            ready = f"Drata knows the key; {name} takes documents for its people"
            return verdicts.Ready(ready + _training(company, settings))
        case False:
            message = (
                f"Drata takes no documents for the people of {name}: a Drata admin must allow "
                "manual uploads of evidence in Drata's settings"
            )
            return verdicts.NotReady(Failure(FailureKind.FORBIDDEN, message))
    unknown = unreadable("the company's settings do not say whether uploads are allowed")
    return verdicts.NotReady(unknown)


def _training(company: Json, settings: DrataSettings) -> str:
    """How the training is done, and a warning if that is not manual."""
    if settings.document_type not in _TRAININGS:
        return ""
    key, name = _TRAININGS[settings.document_type]
    how = text(company.get(key)) or "unknown"
    warning = f", which is not manual: a {settings.document_type} document of ours may not count"
    return f" ({name}: {how}{'' if how in (*_MANUAL, 'unknown') else warning})"


def _check_workspace(settings: DrataSettings) -> Dialogue[DryRun]:
    """A key need not be allowed to read users and controls, so these are not asked for."""
    unasked = f"owner {settings.owner}{' and the controls' if settings.controls else ''}"

    def readiness(workspace: Json) -> verdicts.Ready | None:
        if identity(workspace) != str(settings.workspace):
            return None
        name = text(workspace.get("name")) or "without a name"
        known = f"Drata knows the key and workspace {settings.workspace} ({name})"
        return verdicts.Ready(f"{known}; it was not asked for {unasked}")

    found = yield from _find(f"{settings.base}/workspaces", {}, readiness, settings)
    if isinstance(found, verdicts.Ready):
        return found
    absent = Failure(
        FailureKind.TARGET_NOT_FOUND,
        f"Drata shows no workspace {settings.workspace} to this key: correct workspace in the "
        "tenant file",
    )
    return verdicts.NotReady(found or absent)


def _collection(parcel: Parcel, settings: DrataSettings) -> Dialogue[str | Failure]:
    """The address that the evidence is posted to and listed at, or why it is not known."""
    if settings.to == "library":
        return f"{settings.workspace_url}/{settings.library_api}"
    person = person_of(parcel, settings.person, "Drata", id_name="number", id_form=_NUMBER)
    if isinstance(person, Failure) or settings.person == "subject":
        user = person
    else:
        user = f"email:{quote(person, safe='@')}"
        if settings.user_by == "number":
            reply = yield from fetch(_get(f"{settings.base}/users/{user}", settings))
            user = user_number(reply, _hints(settings, permission="Users: Get User"))
    return user if isinstance(user, Failure) else f"{settings.base}/users/{user}/documents"


def _form_request(url: str, parcel: Parcel, settings: DrataSettings) -> HttpRequest:
    """A person's document, or evidence for the older library endpoint."""
    if settings.to == "library":
        fields = [
            FormField("name", parcel.file_name[:_LONGEST_NAME]),
            FormField("filedAt", parcel.evidence_date.isoformat()),
            FormField("renewalScheduleType", settings.renewal),
            FormField("ownerId", str(settings.owner)),
            *_control_fields(settings),
        ]
    else:
        moment = parcel.recorded_at.astimezone(UTC).replace(tzinfo=None)
        fields = [
            FormField("type", settings.document_type),
            FormField("completionDate", f"{moment.isoformat(timespec='milliseconds')}Z"),
        ]
    return file_request(url, _headers(settings), parcel, *fields)


def _control_fields(settings: DrataSettings) -> list[FormField]:
    numbers = [str(control) for control in settings.controls]
    if settings.controls_as == "commas":
        numbers = [",".join(numbers)] if numbers else []
    name = "controlIds[]" if settings.controls_as == "brackets" else "controlIds"
    return [FormField(name, number) for number in numbers]


def _make_evidence(
    url: str, file_key: str | None, parcel: Parcel, settings: DrataSettings
) -> Dialogue[Reply | Failure]:
    """The reply to the second step of the newer endpoint, or why its first gave no file key.

    Storing the file makes no evidence, so it may be repeated; it is, if an older key is refused.
    """
    older = file_key is not None
    if file_key is None:
        files = f"{settings.workspace_url}/evidence-files"
        storing = file_request(files, _headers(settings), parcel, repeatable=True)
        reply = yield from fetch(storing)
        stored = read_object(reply, _hints(settings))
        if isinstance(stored, Failure):
            return stored
        file_key = text(stored.get("fileKey"))
        if not file_key or not file_key.isprintable():  # it could not be kept
            missing = unreadable("its reply to the file has no fileKey, so no evidence was made")
            return evolve(missing, kind=FailureKind.REFUSED)
        yield from bookmark(file_key)
    reply = yield from fetch(_evidence_request(url, file_key, parcel, settings))
    if older and isinstance(reply, HttpResponse) and reply.status in (400, 404, 422):
        return (yield from _make_evidence(url, None, parcel, settings))
    return reply


def _evidence_request(
    url: str, file_key: str, parcel: Parcel, settings: DrataSettings
) -> HttpRequest:
    name = parcel.file_name[:_LONGEST_NAME]
    filed_at = parcel.evidence_date.isoformat()
    file = {"type": "S3_FILE", "artifactName": name, "fileKey": file_key, "filedAt": filed_at}
    evidence = {
        "name": name,
        "artifacts": [file],
        "ownerId": settings.owner,
        "controlIds": list(settings.controls),
        "renewalScheduleType": settings.renewal,
    }
    headers = (*_headers(settings), ("Content-Type", "application/json"))
    return HttpRequest("POST", url, headers, (json.dumps(evidence).encode(),))


def _find(
    url: str, wanted: Mapping[str, str], look: Callable[[Json], R], settings: DrataSettings
) -> Dialogue[R | Failure | None]:
    """Search a list, the newest first: what is looked for was sent a moment ago."""

    def read(cursor: str | None) -> Dialogue[Page[Json] | Failure]:
        query = {**wanted, "size": str(PAGE_SIZE), "sort": "createdAt", "sortDir": "DESC"}
        query |= {} if cursor is None else {"cursor": cursor}
        reply = yield from fetch(_get(f"{url}?{urlencode(query, quote_via=quote)}", settings))
        return read_page(reply, _hints(settings))

    def endless(what: str) -> Failure:
        return unreadable(f"the list {what}")

    return (yield from search(read, look, most_pages=MOST_PAGES, endless=endless))


def _get(url: str, settings: DrataSettings) -> HttpRequest:
    return HttpRequest("GET", url, _headers(settings))


def _headers(settings: DrataSettings) -> Headers:
    bearer = f"Bearer {settings.api_key.reveal()}"
    return (("Authorization", bearer), ("Accept", "application/json"))


def _hints(settings: DrataSettings, *, permission: str | None = None) -> ErrorHints:
    """`permission` is what the key needs, if that is not for the evidence itself."""
    library = settings.to == "library"
    if library:
        where = f"the evidence library of workspace {settings.workspace}"
        needed = "Evidence Library: Create Evidence, and List Evidence to look it up"
        missing = (
            "Drata does not know one of them: correct workspace, owner, controls, region or "
            "endpoint in the tenant file"
        )
    else:
        where = "the person's documents"
        needed = "Users: Create User Document, and List User Documents to look it up"
        missing = (
            "Drata does not know the person: ask the Drata admin to add them, or correct person, "
            "region or endpoint in the tenant file, then retry this upload"
        )
    return ErrorHints(
        provider="Drata",
        unauthorized=(
            "ask the Drata admin for a new key under Settings > API Keys and put it where api_key "
            "in the tenant file points; a key may be bound to some network addresses, and belongs "
            "to one region"
        ),
        forbidden=(
            "ask the Drata admin to give the API key the permission it lacks "
            f"({permission or needed})"
        ),
        not_found=missing,
        too_large="make the document smaller than 25 MB, then submit it under a new evidence id",
        look=f"look at {where} in Drata, then attest that it is there, retry or release it",
        target_gone=library,
    )
