"""A stand-in for the part of Vanta's API that takes evidence: tokens, documents, their uploads,
submissions.

Paths, parameters, schemas and statuses of success are those of Vanta's OpenAPI document
(developer.vanta.com, "Manage Vanta"). What it does not say is decided the strict way: a token that
is revoked while a request is under way refuses it (documented), a document that is deactivated
takes nothing (inferred), a draft without any upload cannot be submitted (inferred;
`nothing_to_submit` says otherwise). How a refusal looks is unknown: here it is `{"message": ...}`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import ClassVar, Final, Literal, Unpack

from aiohttp import web

from .bodies import BadRequestError
from .forms import read_form
from .rates import RateLimit, parse_pace
from .replies import Reply
from .server import KEY, Sandbox, SandboxOptions
from .vanta_documents import Documents, HeldDocument
from .vanta_tokens import Tokens

DEFAULT_DOCUMENTS: Final[Mapping[str, str]] = MappingProxyType(
    {"security-awareness-training": "Security awareness training records"}
)
MAX_BYTES: Final = 100_000_000  # unknown; anything must end somewhere

READ: Final = "vanta-api.all:read"
WRITE: Final = "vanta-api.all:write"
UPLOAD: Final = "vanta-api.documents:upload"
_NEEDED: Final[Mapping[str, frozenset[str]]] = {
    "document": frozenset({READ}),
    "list": frozenset({READ}),
    "upload": frozenset({WRITE, UPLOAD}),
    "submit": frozenset({WRITE}),
}
_ROUTES: Final = (
    ("document", "GET", re.compile(r"/v1/documents/([^/]+)")),
    ("list", "GET", re.compile(r"/v1/documents/([^/]+)/uploads")),
    ("upload", "POST", re.compile(r"/v1/documents/([^/]+)/uploads")),
    ("submit", "POST", re.compile(r"/v1/documents/([^/]+)/submit")),
)


class VantaSandbox(Sandbox):
    """Vanta on the loopback interface; its `url` is the base of both the API and the token
    endpoint. Beside what `Sandbox` takes:

    `key` is the client secret of the one application, `client_id` its id. `token_pace` limits the
    token endpoint alone, `pace` all requests. `documents` maps the id of each document to its
    title; `deactivated` names those that are. `lists_drafts`: whether an upload is listed before it
    is submitted.
    """

    provider: ClassVar[str] = "vanta"
    path: ClassVar[str] = ""
    whole_tree: ClassVar[bool] = True
    key_header: ClassVar[str] = "authorization"
    most_bytes: ClassVar[int] = MAX_BYTES

    def __init__(
        self,
        *,
        client_id: str = "sandbox-client",
        documents: Mapping[str, str] = DEFAULT_DOCUMENTS,
        deactivated: Collection[str] = (),
        lists_drafts: bool = True,
        nothing_to_submit: Literal[204, 400, 409, 422] = 400,
        token_pace: RateLimit | str | None = "5/min",
        **options: Unpack[SandboxOptions],
    ) -> None:
        self._documents = Documents(documents, deactivated)
        super().__init__(**options)
        limit = parse_pace(token_pace) if isinstance(token_pace, str) else token_pace
        self._tokens = Tokens(
            client_id, options.get("key", KEY), self._fingerprints, self._monotonic, limit
        )
        self._lists_drafts = lists_drafts
        self._nothing_to_submit = nothing_to_submit

    @property
    def tokens_minted(self) -> int:
        """How many tokens have been given out."""
        return self._tokens.minted

    def revoke_token(self) -> None:
        """Mint a token for the same application, as another program may: the live one is dead."""
        self._tokens.revoke()

    def submitted(self, sha256: str) -> int:
        """How many uploads with this content have been submitted."""
        return self._documents.submitted(sha256)

    def reset(self) -> None:
        super().reset()
        self._documents.forget()

    async def answer(self, request: web.Request) -> Reply:
        if request.path == "/oauth/token":
            return await self._tokens.mint(request)
        return await self._answer(request)

    def refusal(self, status: int, message: str) -> Reply:
        return Reply.json(status, {"message": message})

    def restate(self, reply: Reply, word: str) -> Reply:
        try:
            shown = json.loads(reply.body)
        except ValueError:
            return reply
        if not isinstance(shown, dict) or "uploadStatus" not in shown:
            return reply
        return reply.with_body(json.dumps(shown | {"uploadStatus": word}).encode())

    async def _answer(self, request: web.Request) -> Reply:
        matches = [(verb, method, path.fullmatch(request.path)) for verb, method, path in _ROUTES]
        here = {method: (verb, match[1]) for verb, method, match in matches if match}
        if not here:
            raise BadRequestError("Not found", status=404)
        if request.method not in here:
            raise BadRequestError("Method not allowed", status=405)
        verb, document_id = here[request.method]
        self._admit(request, verb)
        document = self._documents.get(document_id)
        if document is None:
            raise BadRequestError("Document not found", status=404)
        match verb:
            case "document":
                return Reply.json(200, document.as_json())
            case "list":
                return self._list(request, document)
            case "upload":
                return await self._upload(request, document)
            case _:
                return self._submit(document)

    def _admit(self, request: web.Request, verb: str) -> None:
        scopes = self._tokens.scopes_of(request)
        if scopes is None:
            raise BadRequestError("Unauthorized", status=401)
        if not _NEEDED[verb] <= scopes:
            raise BadRequestError("Insufficient scope", status=403)

    def _list(self, request: web.Request, document: HeldDocument) -> Reply:
        size, cursor = request.query.get("pageSize", "10"), request.query.get("pageCursor")
        if not size.isascii() or not size.isdigit() or not 1 <= int(size) <= 100:
            raise BadRequestError("pageSize should be a whole number from 1 to 100")
        listed = [one for one in document.uploads if self._lists_drafts or one.submitted]
        ids = [one.upload_id for one in listed]
        if cursor is not None and cursor not in ids:
            raise BadRequestError("Invalid pageCursor")
        start = 0 if cursor is None else ids.index(cursor) + 1
        page = listed[start : start + int(size)]
        info = {
            "hasNextPage": start + int(size) < len(listed),
            "hasPreviousPage": start > 0,
            "startCursor": page[0].upload_id if page else None,
            "endCursor": page[-1].upload_id if page else None,
        }
        return Reply.json(200, {"results": {"data": [one.shown for one in page], "pageInfo": info}})

    async def _upload(self, request: web.Request, document: HeldDocument) -> Reply:
        form = await read_form(request, max_file_bytes=self._max_bytes)
        self._admit(request, "upload")  # it may have been revoked while the file was under way
        file = form.files.get("file")
        if file is None:
            raise BadRequestError("file is required")
        _must_be_active(document)
        written = form.fields.get("effectiveAtDate")
        held = self._documents.take(
            document,
            file,
            description=form.fields.get("description"),
            effective=None if written is None else _moment(written),
            now=self._now().astimezone(UTC),
        )
        self.keep(request, file, target=document.document_id, evidence_date=written or "")
        return Reply.json(201, held.shown)

    def _submit(self, document: HeldDocument) -> Reply:
        _must_be_active(document)
        if document.submit() == 0 and self._nothing_to_submit != 204:
            raise BadRequestError("There is nothing to submit", status=self._nothing_to_submit)
        return Reply(204)


def _must_be_active(document: HeldDocument) -> None:
    if document.deactivated:
        raise BadRequestError("The document is deactivated", status=409)


def _moment(text: str) -> datetime:
    """A date or a moment in ISO 8601, in UTC where it does not say."""
    try:
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise BadRequestError("effectiveAtDate should be a date in ISO 8601") from error
