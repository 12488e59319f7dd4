"""A stand-in for Sprinto's GraphQL API: uploads of evidence to workflow checks, and the list of the
checks.

It asks of a request what is documented, claimed or likely to be asked by the real one: the key in
the header `api-key` (third-party claim), the GraphQL multipart request (claim), a preflight header
as Apollo Server wants it (inferred), a check that exists and is not in review, a file type that the
Sprinto app accepts and 25 MB at most (both documented for the app; unknown for the API), a date
that is not in the future (inferred). The refusals' words "Incorrect check ID", "Check in review"
and "Unsupported file format" are third-party claims.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from datetime import UTC, date
from types import MappingProxyType
from typing import ClassVar, Final, Literal, Unpack

from aiohttp import web
from attrs import frozen

from .bodies import BadRequestError, UploadedFile, body_of, json_object
from .multipart import MAX_FIELD_BYTES, read_multipart
from .replies import Reply, graphql_error
from .server import Sandbox, SandboxOptions
from .sprinto_checks import WorkflowChecks
from .sprinto_schema import (
    CheckPage,
    EvidenceDate,
    any_uuid_text,
    build_sprinto_schema,
    execute,
    strict_uuid,
)

DEFAULT_CHECKS: Final[Mapping[str, str]] = MappingProxyType(
    {"3f1c2a9e-8a43-4a0e-9d0b-6d3f6f1b2c77": "Security awareness training is completed"}
)
MAX_BYTES: Final = 25_000_000  # "25 MB", read the strict way


class SprintoSandbox(Sandbox):
    """Sprinto on the loopback interface. Beside `SandboxOptions` it takes:

    `checks` maps the pk of each workflow check to its title; `in_review` names those that are in
    review, whether they are in `checks` or not. `uuids` "strict" refuses a pk that is not a UUID.
    """

    provider: ClassVar[str] = "sprinto"
    path: ClassVar[str] = "/dev-api/graphql"
    key_header: ClassVar[str] = "api-key"
    most_bytes: ClassVar[int] = MAX_BYTES

    def __init__(
        self,
        *,
        checks: Mapping[str, str] = DEFAULT_CHECKS,
        in_review: Collection[str] = (),
        uuids: Literal["lenient", "strict"] = "lenient",
        **options: Unpack[SandboxOptions],
    ) -> None:
        self._checks = WorkflowChecks(checks, in_review)
        super().__init__(**options)
        self._schema = build_sprinto_schema(strict_uuid if uuids == "strict" else any_uuid_text)

    async def answer(self, request: web.Request) -> Reply:
        if request.method != "POST":
            refused = graphql_error("GraphQL is served to POST only.", status=405)
            return refused.with_header("Allow", "POST")
        if not self.knows_key(request):
            message = (
                f"Unauthorised: the header {self.key_header!r} is missing "
                "or does not hold a valid key."
            )
            return graphql_error(message, code="UNAUTHENTICATED", status=401)
        operations = await self._operations(request)
        today = self._now().astimezone(UTC).date()
        return execute(self._schema, operations, _Desk(self._checks, self, request, today))

    def refusal(self, status: int, message: str) -> Reply:
        return graphql_error(message, code="BAD_REQUEST", status=status)

    def restate(self, reply: Reply, word: str) -> Reply:
        return reply.with_body(json.dumps(_with_status(json.loads(reply.body), word)).encode())

    async def _operations(self, request: web.Request) -> Mapping[str, object]:
        if request.content_type == "multipart/form-data":
            if not any(
                request.headers.get(name)
                for name in ("apollo-require-preflight", "x-apollo-operation-name")
            ):
                raise BadRequestError(
                    "Blocked as a possible cross-site request forgery: a multipart/form-data "
                    "request "
                    "needs a non-empty header 'apollo-require-preflight' or "
                    "'x-apollo-operation-name'."
                )
            try:
                reader = await request.multipart()
            except ValueError as error:
                raise BadRequestError(f"Malformed multipart body: {error}") from error
            return await read_multipart(reader, max_file_bytes=self._max_bytes)
        if request.content_type == "application/json":
            return json_object(
                await body_of(
                    request,
                    MAX_FIELD_BYTES,
                    f"A JSON body may hold {MAX_FIELD_BYTES} bytes at most.",
                ),
                "The body is not JSON.",
                "The body should be one GraphQL request, a JSON object.",
            )
        raise BadRequestError(
            "GraphQL is served as application/json or multipart/form-data.", status=415
        )


@frozen
class _Desk:
    """The checks, as one GraphQL request meets them."""

    _checks: WorkflowChecks
    _sandbox: Sandbox
    _request: web.Request
    _today: date

    def upload(
        self, pk: str, evidence_date: EvidenceDate, file: UploadedFile
    ) -> Mapping[str, object]:
        self._checks.admit(pk, evidence_date.day, file, today=self._today)
        self._sandbox.keep(self._request, file, target=pk, evidence_date=evidence_date.text)
        return self._checks.node(pk, self._uploaded())

    def page(self, first: int | None, after: str | None) -> CheckPage:
        return self._checks.page(first, after, self._uploaded())

    def _uploaded(self) -> set[str]:
        return {upload.target for upload in self._sandbox.received}


def _with_status(value: object, word: str) -> object:
    if isinstance(value, dict):
        return {
            name: word if name == "evidenceStatus" else _with_status(inner, word)
            for name, inner in value.items()
        }
    return [_with_status(inner, word) for inner in value] if isinstance(value, list) else value
