"""A stand-in for Sprinto's REST API: evidence for one check, up to ten files in one request.

Documented by Sprinto: the address, the header `api-token`, the fields `monitor_pk` and `files`, at
most ten files a request, 201 with `success` and `error`, 400 for an invalid type, invalid
parameters or a monitor that is not found, 401. Inferred: that a request is taken whole or not at
all, the words of the refusals, and the bounds that GraphQL's sandbox has too.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC
from typing import ClassVar, Final, Unpack

from aiohttp import web

from .bodies import BadRequestError
from .forms import read_form
from .replies import Reply
from .server import Sandbox, SandboxOptions
from .sprinto import DEFAULT_CHECKS, MAX_BYTES, SprintoSandbox
from .sprinto_checks import CheckRefusedError, WorkflowChecks

MOST_FILES: Final = 10

_WORDS: Final[Mapping[str, str]] = {
    "Incorrect check ID": "Monitor not found",
    "Unsupported file format": "Invalid file type",
}


class SprintoRestSandbox(Sandbox):
    """Sprinto's REST API on the loopback interface. Takes what `SprintoSandbox` takes, but for
    `uuids`.

    Beside it stands the GraphQL API, as at Sprinto: a dry run asks there for the checks.
    """

    provider: ClassVar[str] = "sprinto"
    path: ClassVar[str] = "/api/v1/uploadEvidence"
    key_header: ClassVar[str] = "api-token"
    beside: ClassVar[tuple[str, ...]] = (SprintoSandbox.path,)
    most_bytes: ClassVar[int] = MAX_BYTES

    def __init__(
        self,
        *,
        checks: Mapping[str, str] = DEFAULT_CHECKS,
        in_review: Collection[str] = (),
        **options: Unpack[SandboxOptions],
    ) -> None:
        self._checks = WorkflowChecks(checks, in_review)
        self._graphql = SprintoSandbox(checks=checks, in_review=in_review, **options)
        super().__init__(**options)

    async def answer(self, request: web.Request) -> Reply:
        """Take every file of a request, or none."""
        if request.path == SprintoSandbox.path:
            return await self._graphql.take(request)
        if request.method != "POST":
            return self.refusal(405, "Method not allowed").with_header("Allow", "POST")
        if not self.knows_key(request):
            raise BadRequestError("Unauthorized", status=401)
        form = await read_form(request, max_file_bytes=self._max_bytes, repeated="files")
        monitor = form.fields.get("monitor_pk")
        if monitor is None or set(form.files) != {"files"} or len(form.in_order) > MOST_FILES:
            raise BadRequestError(
                f"Invalid parameters: monitor_pk and 1 to {MOST_FILES} files are expected"
            )
        today = self._now().astimezone(UTC).date()
        try:
            for file in form.in_order:
                self._checks.admit(monitor, today, file, today=today)
        except CheckRefusedError as refused:
            raise BadRequestError(_WORDS.get(str(refused), str(refused))) from refused
        for file in form.in_order:
            self.keep(request, file, target=monitor, evidence_date="")
        return Reply.json(201, {"success": True, "error": None})

    def refusal(self, status: int, message: str) -> Reply:
        return Reply.json(status, {"success": False, "error": message})

    def restate(self, reply: Reply, word: str) -> Reply:
        """The reply with `word` where it says whether it was a success."""
        return Reply.json(reply.status, {"success": word, "error": None})
