"""A stand-in for the part of Secureframe's API that takes evidence: staging, a storage for the
bytes, attaching to users and tests, and the lists beside them.

Paths, parameters and schemas are those of Secureframe's OpenAPI document (version 2023-10-18,
developer.secureframe.com). What it does not say is decided the strict way: an unknown parameter
gets 400, as does a staged id that is spent, past its hour, or without bytes; a file's ending and
media type must be taken and agree. The list of evidence shows what is documented and no more, so no
file names (`shows_names` says otherwise).
"""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from base64 import b64encode
from collections.abc import Collection, Mapping
from datetime import UTC, date, datetime, timedelta
from types import MappingProxyType
from typing import ClassVar, Final, Unpack

from aiohttp import web
from attrs import define, field

from .bodies import BadRequestError, UploadedFile, body_of, is_of_type
from .forms import read_form
from .replies import Reply
from .server import Sandbox, SandboxOptions

DEFAULT_USERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "5b1f6a0e-3c7d-4c0a-9e55-0d6c1f2a7b10": "jane@acme.example",
        "8e2c4b7d-1f60-4a93-b2d8-6c0a9e5f3d21": "asha@acme.example",
    }
)
DEFAULT_TESTS: Final[Mapping[str, str]] = MappingProxyType(
    {"0c9b7f3e-58a1-4d2b-8f66-7e1d2c3b4a50": "Security awareness training"}
)
MAX_BYTES: Final = 32_000_000
URL_LIFE: Final = timedelta(minutes=15)
ID_LIFE: Final = timedelta(hours=1)

_OPEN_XML = "application/vnd.openxmlformats-officedocument."
_TYPES: Final[Mapping[str, str]] = {
    "pdf": "application/pdf",
    "docx": _OPEN_XML + "wordprocessingml.document",
    "xlsx": _OPEN_XML + "spreadsheetml.sheet",
    "csv": "text/csv",
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
}
_DOCUMENT_TYPES: Final = (
    "background_check_report",
    "ccpa_training_screenshot",
    "gdpr_training_screenshot",
    "handling_cui_training_screenshot",
    "hipaa_training_screenshot",
    "password_manager_screenshot",
    "password_policy_screenshot",
    "pci_secure_code_training_screenshot",
    "pci_training_screenshot",
    "security_training_screenshot",
    "security_training_new_hire_screenshot",
)
_COMPANY: Final = "11111111-2222-4333-8444-555555555555"
_LISTED: Final = frozenset({"page", "per_page", "q", "sort"})
_ATTACHED: Final = frozenset({"activity_completion", "upload_id"})
_BY_EMAIL = re.compile(r'email:"((?:[^"\\]|\\.)*)"')


@define
class _Staged:
    """A file that was staged: what was said of it, and its bytes once they have come."""

    name: str
    media_type: str
    size: int
    checksum: str
    at: datetime
    content: bytes | None = field(default=None, repr=False)
    spent: bool = False


class SecureframeSandbox(Sandbox):
    """Secureframe on the loopback interface, with its storage under `/storage`. Beside
    `SandboxOptions` it takes:

    `key` and `secret` are the two halves of the key. `users` maps the UUID of each user to their
    e-mail address, `tests` each test's to its title. `lists_evidence` False answers `GET
    /evidences` with 404, as an account without it may; `shows_names` True lists files by their
    names.
    """

    provider: ClassVar[str] = "secureframe"
    path: ClassVar[str] = ""
    whole_tree: ClassVar[bool] = True
    key_header: ClassVar[str] = "authorization"
    most_bytes: ClassVar[int] = MAX_BYTES

    def __init__(
        self,
        *,
        secret: str = "sandbox-secret",
        users: Mapping[str, str] = DEFAULT_USERS,
        tests: Mapping[str, str] = DEFAULT_TESTS,
        lists_evidence: bool = True,
        shows_names: bool = False,
        **options: Unpack[SandboxOptions],
    ) -> None:
        # The secret is kept only until the fingerprint is made.
        self._header_end = f" {secret}"
        super().__init__(**options)
        self._header_end = ""
        self._users = dict(users)
        self._tests = dict(tests)
        self._lists_evidence = lists_evidence
        self._shows_names = shows_names
        self._staged: dict[str, _Staged] = {}
        self._evidence: list[dict[str, object]] = []

    def header_value(self, key: str) -> str:
        return f"{key}{self._header_end}"

    def reset(self) -> None:
        super().reset()
        self._staged.clear()
        self._evidence.clear()

    @property
    def staged(self) -> int:
        """How many files have been staged."""
        return len(self._staged)

    async def answer(self, request: web.Request) -> Reply:
        steps = request.path.split("/")[1:]
        match [request.method, *steps]:
            case ["PUT", "storage", upload_id]:
                return await self._store(request, upload_id)
        if not self.knows_key(request):
            raise BadRequestError("Authorization failed", status=401)
        return await self._answer(request, steps)

    def refusal(self, status: int, message: str) -> Reply:
        return Reply.json(status, {"message": message})

    def restate(self, reply: Reply, word: str) -> Reply:
        """An answer of Secureframe's has no word for its success: the id is taken away instead."""
        try:
            data = json.loads(reply.body)["data"]
            del data["id"]
        except (ValueError, KeyError, TypeError):
            return reply
        return reply.with_body(json.dumps({"data": {**data, "status": word}}).encode())

    async def _answer(self, request: web.Request, steps: list[str]) -> Reply:
        match [request.method, *steps]:
            case ["POST", "file_uploads"]:
                return self._stage(request)
            case ["POST", "users", user, "evidences"]:
                self._user(user)
                return await self._attach(request, user, _ATTACHED | {"document_type"})
            case ["POST", "tests", test, "evidences"]:
                self._test(test)
                return await self._attach(request, None, _ATTACHED, test)
            case ["GET", "users"]:
                shown = [self._shown(user) for user in self._users]
                return _page(request, _matching(shown, request.query.get("q")))
            case ["GET", "users", user]:
                self._user(user)
                return Reply.json(200, {"data": self._shown(user)})
            case ["GET", "tests", test]:
                self._test(test)
                fields = {"title": self._tests[test], "enabled": True, "test_type": "upload"}
                return Reply.json(200, {"data": _resource(test, "test", fields)})
            case ["GET", "evidences"] if self._lists_evidence:
                return _page(request, self._evidence)
        raise BadRequestError("Resource not found", status=404)

    def _stage(self, request: web.Request) -> Reply:
        fields = _parameters(request, {"byte_size", "checksum", "content_type", "filename"})
        name, size = fields.get("filename", ""), fields.get("byte_size", "")
        checksum = fields.get("checksum", "")
        media_type = fields.get("content_type", _TYPES.get(name.rpartition(".")[2].lower(), ""))
        if not size.isascii() or not size.isdigit() or int(size) < 1 or not checksum:
            raise BadRequestError("byte_size, checksum and filename are required")
        if int(size) > self._max_bytes:
            raise BadRequestError("The file is too large", status=413)
        _fit(name, media_type)
        upload_id = str(uuid.uuid4())
        now = self._now().astimezone(UTC)
        self._staged[upload_id] = _Staged(name, media_type, int(size), checksum, now)
        attributes = {
            "id": upload_id,
            "url": f"{self.url}/storage/{upload_id}?signature={self._signature(upload_id)}",
            "headers": {"Content-Type": media_type, "Content-MD5": checksum},
            "url_expires_at": (now + URL_LIFE).isoformat(),
            "id_expires_at": (now + ID_LIFE).isoformat(),
            "created_at": now.isoformat(),
            "updated_at": now.isoformat(),
        }
        return Reply.json(200, {"data": _resource(upload_id, "file_upload", attributes)})

    async def _store(self, request: web.Request, upload_id: str) -> Reply:
        """As an object storage does: no key, but a signature; whatever does not fit what was
        declared is refused."""
        staged = self._staged.get(upload_id)
        if staged is None or request.query.get("signature") != self._signature(upload_id):
            return Reply(403)
        if "authorization" in request.headers:
            return Reply(400)
        try:
            content = await body_of(request, staged.size, "")
        except BadRequestError:
            return Reply(400)
        digest = b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()
        sent = (request.headers.get("Content-Type"), request.headers.get("Content-MD5"))
        if (
            sent != (staged.media_type, staged.checksum)
            or digest != staged.checksum
            or len(content) != staged.size
        ):
            return Reply(400)
        if self._now() - staged.at >= URL_LIFE:
            return Reply(403)
        staged.content = content
        return Reply(200)

    async def _attach(
        self, request: web.Request, user: str | None, known: Collection[str], test: str = ""
    ) -> Reply:
        fields = _parameters(request, known)
        kind = fields.get("document_type", "generic_evidence")
        if user is not None and kind not in _DOCUMENT_TYPES:
            raise BadRequestError("document_type is not one that is known")
        day = fields.get("activity_completion")
        try:
            date.fromisoformat(day or "2000-01-01")
        except ValueError as error:
            raise BadRequestError("activity_completion must be a date, as YYYY-MM-DD") from error
        upload_id = fields.get("upload_id")
        has_form = request.content_type == "multipart/form-data"
        if has_form == (upload_id is not None):
            raise BadRequestError("Provide exactly one of file and upload_id")
        file = await self._sent(request) if upload_id is None else self._redeemed(upload_id)
        evidence_id = str(uuid.uuid4())
        moment = self._now().astimezone(UTC).isoformat()
        attributes: dict[str, object] = {
            "id": evidence_id,
            "accepted": True,
            "activity_completion": day,
            "created_at": moment,
            "updated_at": moment,
            "evidence_type": kind,
            "evidenceable_id": user or _COMPANY,
            "evidenceable_type": "CompanyUser" if user else "Company",
        }
        if self._shows_names:
            attributes["file_name"] = file.name
        shown = _resource(evidence_id, "evidence", attributes)
        self._evidence.insert(0, shown)
        self.keep(
            request,
            file,
            target=f"user {user}" if user else f"test {test}",
            evidence_date=day or "",
        )
        return Reply.json(200, {"data": shown})

    async def _sent(self, request: web.Request) -> UploadedFile:
        form = await read_form(request, max_file_bytes=self._max_bytes)
        file = form.files.get("file")
        if file is None:
            raise BadRequestError("file is required")
        _fit(file.name, file.media_type)
        return file

    def _redeemed(self, upload_id: str) -> UploadedFile:
        staged = self._staged.get(upload_id)
        if staged is None or staged.spent or self._now() - staged.at >= ID_LIFE:
            raise BadRequestError("upload_id is not redeemable")
        if staged.content is None:
            raise BadRequestError("The file of this upload_id has not been uploaded")
        staged.spent = True
        return UploadedFile(staged.name, staged.media_type, staged.content)

    def _shown(self, user: str) -> dict[str, object]:
        return _resource(user, "user", {"email": self._users[user]})

    def _signature(self, upload_id: str) -> str:
        return self._fingerprints.of(upload_id)

    def _user(self, user: str) -> None:
        if user not in self._users:
            raise BadRequestError("Resource not found", status=404)

    def _test(self, test: str) -> None:
        if test not in self._tests:
            raise BadRequestError("Resource not found", status=404)


def _parameters(request: web.Request, known: Collection[str]) -> dict[str, str]:
    strange = sorted(set(request.query) - set(known))
    if strange:
        raise BadRequestError(f"{strange[0]} is not a parameter here")
    return dict(request.query)


def _page(request: web.Request, items: list[dict[str, object]]) -> Reply:
    fields = _parameters(request, _LISTED)
    page, size = fields.get("page", "1"), fields.get("per_page", "100")
    if not all(
        number.isascii() and number.isdigit() and int(number) >= 1 for number in (page, size)
    ):
        raise BadRequestError("page and per_page must be whole numbers")
    if fields.get("sort", "-created_at") != "-created_at":
        raise BadRequestError("sort is served for -created_at only")
    start = (int(page) - 1) * int(size)
    return Reply.json(
        200, {"data": items[start : start + int(size)], "meta": {"total": len(items)}}
    )


def _matching(users: list[dict[str, object]], query: str | None) -> list[dict[str, object]]:
    """The users that the search finds. Like a search by words it finds too many: every address at
    the same host."""
    if query is None:
        return users
    match = _BY_EMAIL.fullmatch(query)
    if match is None:
        raise BadRequestError("q is served for email only")
    host = match[1].rpartition("@")[2].casefold()
    return [user for user in users if host in json.dumps(user).casefold()]


def _fit(name: str, media_type: str) -> None:
    if not is_of_type(name, media_type, _TYPES):
        raise BadRequestError("The type of the file is not supported")


def _resource(number: str, kind: str, attributes: Mapping[str, object]) -> dict[str, object]:
    return {"id": number, "type": kind, "attributes": dict(attributes)}
