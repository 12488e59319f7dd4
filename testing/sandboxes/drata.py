"""A stand-in for the part of Drata's public API v2 that takes evidence: a person's documents, the
evidence library of a workspace by its older endpoint and its newer ones, and what is read beside
them.

Paths, parameters, schemas and statuses are those of Drata's OpenAPI document (version V2,
developers.drata.com). What it does not say is decided the strict way: a file without an ending or a
media type that is taken gets 400 (that a file without a name or type does is a third-party claim),
as does a list that is asked for with a parameter that it does not have; the `name` filter wants the
whole name; and the controls are taken in one form only, by default as the part `controlIds`,
repeated.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from types import MappingProxyType
from typing import ClassVar, Final, Literal, TypeAlias, Unpack
from urllib.parse import unquote

from aiohttp import web
from attrs import frozen

from .bodies import BadRequestError, UploadedFile, is_of_type
from .forms import Form, read_form
from .replies import Reply
from .server import Sandbox, SandboxOptions

ControlsAs: TypeAlias = Literal["repeated", "brackets", "commas"]

DEFAULT_USERS: Final[Mapping[int, str]] = MappingProxyType(
    {7: "jane@acme.example", 8: "asha@acme.example"}
)
DEFAULT_WORKSPACES: Final[Mapping[int, str]] = MappingProxyType({1: "Acme"})
TRAININGS: Final[Mapping[str, str]] = MappingProxyType(
    {"securityTraining": "MANUAL", "hipaaTraining": "NOT_REQUIRED"}
)
MAX_BYTES: Final = 25_000_000
FOUNDED: Final = "2025-07-01T16:45:55.246Z"
"""When the company, its people and its workspaces came to Drata."""

_OPEN_XML = "application/vnd.openxmlformats-officedocument."
_OPEN_DOCUMENT = "application/vnd.oasis.opendocument."
_PERSONS_TYPES: Final[Mapping[str, str]] = {
    "pdf": "application/pdf",
    "doc": "application/msword",
    "docx": _OPEN_XML + "wordprocessingml.document",
    "xlsx": _OPEN_XML + "spreadsheetml.sheet",
    "pptx": _OPEN_XML + "presentationml.presentation",
    "odt": _OPEN_DOCUMENT + "text",
    "ods": _OPEN_DOCUMENT + "spreadsheet",
    "odp": _OPEN_DOCUMENT + "presentation",
    "gif": "image/gif",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "png": "image/png",
}
_LIBRARY_TYPES: Final[Mapping[str, str]] = {
    **_PERSONS_TYPES,
    "json": "application/json",
    "csv": "text/csv",
    "md": "text/markdown",
    "txt": "text/plain",
    "html": "text/html",
    "zip": "application/zip",
}
_DOCUMENT_TYPES: Final = (
    "MFA_EVIDENCE",
    "SEC_TRAINING",
    "HIPAA_TRAINING_EVIDENCE",
    "OFFBOARDING_EVIDENCE",
)
_RENEWALS: Final = ("ONE_MONTH", "TWO_MONTHS", "THREE_MONTHS", "SIX_MONTHS", "ONE_YEAR", "NONE")
_PAGING: Final = frozenset({"cursor", "size", "sort", "sortDir", "includeTotalCount", "expand[]"})
_NUMBER = re.compile(r"[1-9][0-9]{0,18}", re.ASCII)


@frozen
class _Item:
    """A document or a library item: where it lies, and what is shown of it."""

    home: str
    shown: Mapping[str, object]


class DrataSandbox(Sandbox):
    """Drata on the loopback interface. Beside `SandboxOptions` it takes:

    `users` maps the number of each user to their e-mail address, `workspaces` each workspace's to
    its name, `controls` are the numbers of the controls, `controls_as` says in which form it takes
    them: as the part ``controlIds``, repeated; the same with brackets, ``controlIds[]``; or as one
    part with commas. `manual_uploads` and `trainings` are what the company's settings say of
    uploads and of how trainings are done.
    """

    provider: ClassVar[str] = "drata"
    path: ClassVar[str] = "/public/v2"
    whole_tree: ClassVar[bool] = True
    key_header: ClassVar[str] = "authorization"
    most_bytes: ClassVar[int] = MAX_BYTES

    def __init__(
        self,
        *,
        users: Mapping[int, str] = DEFAULT_USERS,
        workspaces: Mapping[int, str] = DEFAULT_WORKSPACES,
        controls: Iterable[int] = (1, 2, 3),
        controls_as: ControlsAs = "repeated",
        manual_uploads: bool = True,
        trainings: Mapping[str, str] = TRAININGS,
        **options: Unpack[SandboxOptions],
    ) -> None:
        super().__init__(**options)
        self._users = dict(users)
        self._workspaces = dict(workspaces)
        self._controls = frozenset(controls)
        self._controls_as = controls_as
        self._manual_uploads = manual_uploads
        self._trainings = dict(trainings)
        self._items: list[_Item] = []
        self._files: dict[str, UploadedFile] = {}

    def header_value(self, key: str) -> str:
        return f"Bearer {key}"

    def reset(self) -> None:
        super().reset()
        self._items.clear()
        self._files.clear()

    def refusal(self, status: int, message: str) -> Reply:
        error = {"name": "Exception", "statusCode": status, "message": message}
        return Reply.json(status, {**error, "code": status * 100})

    def restate(self, reply: Reply, word: str) -> Reply:
        """An answer of Drata's has no word for its success: the id is taken away instead."""
        try:
            shown = json.loads(reply.body)
            del shown["id"]
        except (ValueError, KeyError, TypeError):
            return reply
        return reply.with_body(json.dumps({**shown, "status": word}).encode())

    async def answer(self, request: web.Request) -> Reply:
        if not self.knows_key(request):
            raise BadRequestError("Unauthorized", status=401)
        match [request.method, *request.path.removeprefix(self.path).split("/")[1:]]:
            case ["GET", "company"]:
                return Reply.json(200, self._company())
            case ["GET", "workspaces"]:
                shown = [self._shown(number) for number in self._workspaces]
                return _page(request, shown, frozenset())
            case ["GET", "users", user]:
                return Reply.json(200, self._person(self._user(user)))
            case ["POST", "users", user, "documents"]:
                return await self._take_document(request, self._user(user))
            case ["GET", "users", user, "documents"]:
                home = f"user {self._user(user)}"
                return _page(request, self._at(home), frozenset({"name", "type"}))
            case ["POST", "workspaces", number, "evidence-library"]:
                return await self._take_item(request, self._workspace(number))
            case ["GET", "workspaces", number, "evidence-library"]:
                home = f"workspace {self._workspace(number)}"
                return _page(request, self._at(home), frozenset({"name", "statuses[]"}))
            case ["POST", "workspaces", number, "evidence-files"]:
                return await self._take_file(request, self._workspace(number))
            case ["POST", "workspaces", number, "evidence"]:
                return await self._take_evidence(request, self._workspace(number))
            case ["GET", "workspaces", number, "evidence"]:
                name = request.query.get("name", "")
                home = f"workspace {self._workspace(number)}"
                items = [one for one in self._at(home) if str(one["name"]).startswith(name)]
                return _page(request, items, frozenset(), ignored=frozenset({"name"}))
        raise BadRequestError("Cannot find what was asked for", status=404)

    async def _take_document(self, request: web.Request, user: int) -> Reply:
        form = await read_form(request, max_file_bytes=self._max_bytes)
        file = _fit(form.files.get("file"), _PERSONS_TYPES)
        kind = form.fields.get("type")
        if kind not in _DOCUMENT_TYPES:
            raise BadRequestError(f"type must be one of {', '.join(_DOCUMENT_TYPES)}")
        completed = form.fields.get("completionDate", "")
        _moment("completionDate", completed)
        fields = {"userId": user, "name": file.name, "type": kind}
        shown = self._add(f"user {user}", {**fields, "fileUrl": None, "renewalDate": "2027-01-01"})
        self.keep(request, file, target=f"user {user}", evidence_date=completed)
        return Reply.json(201, shown)

    async def _take_item(self, request: web.Request, workspace: int) -> Reply:
        form = await read_form(
            request, max_file_bytes=self._max_bytes, repeated=self._list_of_controls
        )
        file = _fit(form.files.get("file"), _LIBRARY_TYPES)
        name, filed = form.fields.get("name", ""), form.fields.get("filedAt", "")
        if not 1 <= len(name) <= 191:
            raise BadRequestError("name must have 1 to 191 characters")
        if form.fields.get("renewalScheduleType") not in _RENEWALS:
            raise BadRequestError(f"renewalScheduleType must be one of {', '.join(_RENEWALS)}")
        try:
            date.fromisoformat(filed)
        except ValueError as error:
            raise BadRequestError("filedAt must be a date") from error
        if _number(form.fields.get("ownerId", "")) not in self._users:
            raise BadRequestError("ownerId: no such user", status=404)
        if not self._controls_in(form) <= self._controls:
            raise BadRequestError("controlIds: no such control", status=404)
        unsaid = ("description", "implementationGuidance", "evidenceTemplateCode")
        shown = self._add(f"workspace {workspace}", {"name": name, **dict.fromkeys(unsaid)})
        self.keep(request, file, target=f"workspace {workspace}", evidence_date=filed)
        return Reply.json(201, shown)

    async def _take_file(self, request: web.Request, workspace: int) -> Reply:
        """Store a file, which is no evidence yet."""
        form = await read_form(request, max_file_bytes=self._max_bytes)
        file = _fit(form.files.get("file"), _LIBRARY_TYPES)
        key = f"{workspace}/evidence-library/{len(self._files) + 1}/{file.name}"
        self._files[key] = file
        shown = {
            "fileKey": key,
            "originalFilename": file.name,
            "mimeType": file.media_type,
            "fileSize": len(file.content),
        }
        return Reply.json(201, shown)

    async def _take_evidence(self, request: web.Request, workspace: int) -> Reply:
        try:
            asked = json.loads(await request.read())
            [artifact] = asked["artifacts"]
            name, filed, key = asked["name"], artifact["filedAt"], artifact["fileKey"]
            date.fromisoformat(filed)
            fit = artifact["type"] == "S3_FILE" and 1 <= len(name) <= 191
        except (ValueError, LookupError, TypeError) as error:
            raise BadRequestError("name, and one artifact with its date, are required") from error
        if not fit or asked.get("renewalScheduleType") not in _RENEWALS or key not in self._files:
            raise BadRequestError("name, fileKey, type or renewalScheduleType is not accepted")
        if asked.get("ownerId") not in self._users:
            raise BadRequestError("ownerId: no such user", status=404)
        if not set(asked.get("controlIds") or ()) <= self._controls:
            raise BadRequestError("controlIds: no such control", status=404)
        counts = {"artifactsRequested": 1, "artifactsCreated": 1}
        shown = self._add(f"workspace {workspace}", {"name": name, "status": "READY", **counts})
        self.keep(request, self._files[key], target=f"workspace {workspace}", evidence_date=filed)
        return Reply.json(201, shown)

    @property
    def _list_of_controls(self) -> str | None:
        """The part that may come several times."""
        return {"repeated": "controlIds", "brackets": "controlIds[]"}.get(self._controls_as)

    def _controls_in(self, form: Form) -> set[int]:
        values: Sequence[str] = form.repeated
        if self._controls_as == "commas" and "controlIds" in form.fields:
            values = form.fields["controlIds"].split(",")
        elif {"controlIds", "controlIds[]"} & set(form.fields):
            raise BadRequestError("controlIds must be an array")
        numbers = [_number(one) for one in values]
        if None in numbers:
            raise BadRequestError("each value in controlIds must be a number")
        return {number for number in numbers if number is not None}

    def _add(self, home: str, fields: Mapping[str, object]) -> Mapping[str, object]:
        now = self._now().astimezone(UTC)
        moment = now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        shown = {"id": len(self._items) + 1, **fields, "createdAt": moment, "updatedAt": moment}
        self._items.append(_Item(home, shown))
        return shown

    def _at(self, home: str) -> list[Mapping[str, object]]:
        return [item.shown for item in self._items if item.home == home]

    def _user(self, written: str) -> int:
        """The number of the user that a path names, by number or as email:address."""
        address = unquote(written).removeprefix("email:")
        if address != unquote(written):
            known = {email.casefold(): number for number, email in self._users.items()}
            number = known.get(address.casefold())
        else:
            number = _number(written)
        if number is None or number not in self._users:
            raise BadRequestError("User not found", status=404)
        return number

    def _person(self, number: int) -> dict[str, object]:
        shown = {"firstName": None, "lastName": None, "createdAt": FOUNDED, "updatedAt": FOUNDED}
        return {"id": number, "email": self._users[number], **shown}

    def _workspace(self, written: str) -> int:
        number = _number(written)
        if number is None or number not in self._workspaces:
            raise BadRequestError("Workspace not found", status=404)
        return number

    def _shown(self, workspace: int) -> dict[str, object]:
        return {
            "id": workspace,
            "primary": workspace == min(self._workspaces),
            "name": self._workspaces[workspace],
            **dict.fromkeys(("description", "howItWorks", "url", "logo")),
            "createdAt": FOUNDED,
            "updatedAt": FOUNDED,
        }

    def _company(self) -> dict[str, object]:
        return {
            "accountId": "aaaaaaaa-bbbb-0000-cccc-dddddddddddd",
            "domain": "acme.example",
            "name": "Acme",
            **dict.fromkeys(("legalName", "description", "logoUrl")),
            **self._trainings,
            "backgroundCheck": "MANUAL",
            "createdAt": FOUNDED,
            "updatedAt": FOUNDED,
            "agentEnabled": False,
            "manualUploadEnabled": self._manual_uploads,
            "entitlements": [],
            "language": "ENGLISH_US",
        }


def _page(
    request: web.Request,
    items: Sequence[Mapping[str, object]],
    filters: frozenset[str],
    ignored: frozenset[str] = frozenset(),
) -> Reply:
    """One page of a list, filtered and sorted as the query says; the cursor is the position of
    the next."""
    query = request.query
    strange = sorted(set(query) - _PAGING - filters - ignored)
    if strange:
        raise BadRequestError(f"{strange[0]} is not a parameter of this list")
    size = query.get("size", "20")
    # the bound of the older edition, which is the stricter one
    if _number(size) is None or int(size) > 50:
        raise BadRequestError("size must be a whole number from 1 to 50")
    sort, direction = query.get("sort", "createdAt"), query.get("sortDir", "ASC")
    if sort not in ("createdAt", "updatedAt") or direction not in ("ASC", "DESC"):
        raise BadRequestError("sort must be createdAt or updatedAt, sortDir ASC or DESC")
    found = [
        item
        for item in items
        if all(query.get(name, item.get(name)) == item.get(name) for name in filters)
    ]
    found = sorted(found, key=lambda item: str(item.get(sort)))
    if direction == "DESC":
        found.reverse()
    cursor = query.get("cursor", "0")
    if not cursor.isascii() or not cursor.isdigit():
        raise BadRequestError("cursor is not one that was given")
    end = int(cursor) + int(size)
    more = str(end) if end < len(found) else None
    return Reply.json(200, {"data": found[int(cursor) : end], "pagination": {"cursor": more}})


def _fit(file: UploadedFile | None, types: Mapping[str, str]) -> UploadedFile:
    if file is None:
        raise BadRequestError("file is required")
    if not is_of_type(file.name, file.media_type, types):
        raise BadRequestError("The type of the file is not accepted")
    return file


def _number(written: str) -> int | None:
    return int(written) if _NUMBER.fullmatch(written) else None


def _moment(name: str, written: str) -> None:
    try:
        known = datetime.fromisoformat(written).utcoffset() is not None
    except ValueError:
        known = False
    if not known:
        raise BadRequestError(f"{name} must be a date-time in ISO 8601")
