"""A platform of no real name with everything that a platform may have, and an honest provider for
it.

A document is posted, its id bookmarked, and then submitted; a token is minted; what is there can be
listed; a shelf can be looked at; several documents may go together.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from urllib.parse import parse_qs, quote, urlsplit

from attrs import define, evolve, field, frozen

from evidence_courier.delivery.dialogues.http_errors import (
    ErrorHints,
    broken_reply,
    classify,
    refusal,
)
from evidence_courier.delivery.dialogues.json_reply import NotJson, mapping, parse_json, text
from evidence_courier.delivery.dialogues.multipart import FormFile, form_data
from evidence_courier.domain.evidence.evidence import sha256_of
from evidence_courier.domain.integration import Pace
from evidence_courier.domain.secrets.secret import Secret
from evidence_courier.domain.upload.failure import Failure, FailureKind
from evidence_courier.domain.upload.verdict import (
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
    Rejected,
    Unbundled,
    Unclear,
    Unreadable,
    Verdict,
)
from evidence_courier.ports.dialogue import (
    Access,
    AccessToken,
    Dialogue,
    HttpRequest,
    HttpResponse,
    MintedToken,
    TransportFailure,
    access,
    bookmark,
    fetch,
)
from evidence_courier.ports.provider import Bundle, Limits, Parcel
from evidence_courier.testing.contracts import ProviderHarness

HINTS = ErrorHints(
    provider="the archive",
    unauthorized="ask for another secret",
    forbidden="ask for the right to upload",
    not_found="correct the endpoint",
    too_large="make it smaller",
    unsupported_type="send a PDF",
)
Reply = HttpResponse | TransportFailure
ENDPOINT = "http://127.0.0.1:9/api"
AT = datetime(2026, 2, 21, 10, 0, tzinfo=UTC)


@frozen(kw_only=True)
class ArchiveSettings:
    secret: Secret
    shelf: str = "A"
    endpoint: str = ENDPOINT


class UnreadableArchiveProvider:
    """Honest in everything. Its steps are methods of their own, so that a broken one differs in
    one of them."""

    name: ClassVar[str] = "archive"
    settings_class: ClassVar[type] = ArchiveSettings
    schema: ClassVar[Mapping[str, object]] = {
        "secret": {"type": "secret", "required": True},
        "shelf": {"type": "string"},
        "endpoint": {"type": "endpoint"},
    }
    limits: ClassVar[Limits] = Limits(25_000_000, {"application/pdf": "pdf"})
    pace: ClassVar[Pace | None] = Pace(50, timedelta(minutes=1))
    cost: ClassVar[int] = 2
    exclusive_credential: ClassVar[bool] = False

    # --- uploading

    def upload(self, parcel: Parcel, settings: Any, progress: str | None) -> Dialogue[Verdict]:
        if progress is None:
            reply = yield from self.with_token(self.document_request(parcel, settings), settings)
            verdict = self.judge_document(reply)
            if not isinstance(verdict, str):
                return verdict
            progress = verdict
            yield from self.remember(progress)
        submit = self.request("POST", f"/documents/{quote(progress, safe='')}/submit", settings)
        reply = yield from self.with_token(submit, settings)
        return self.judge_submit(reply, progress)

    def remember(self, progress: str) -> Dialogue[None]:
        yield from bookmark(progress)

    def with_token(self, request: HttpRequest, settings: Any) -> Dialogue[Reply | Failure]:
        wish = Access("archive", lambda: self.mint(settings))
        token = yield from access(wish)
        if isinstance(token, Failure):
            return token
        reply = yield from fetch(self.bearing(request, token))
        if isinstance(reply, HttpResponse) and reply.status == 401 and not token.fresh:
            token = yield from access(evolve(wish, refused=token))
            if isinstance(token, Failure):
                return token
            reply = yield from fetch(self.bearing(request, token))
        if isinstance(reply, HttpResponse) and reply.status == 401 and token.fresh:
            return self.revoked(reply)
        return reply

    def revoked(self, reply: HttpResponse) -> Failure:
        return Failure(
            FailureKind.TOKEN_REVOKED, "somebody else has minted a token", http_status=401
        )

    def mint(self, settings: Any) -> Dialogue[MintedToken | Failure]:
        body = json.dumps({"secret": settings.secret.reveal()}).encode()
        reply = yield from fetch(HttpRequest("POST", f"{settings.endpoint}/token", (), (body,)))
        return self.judge_mint(reply)

    def judge_mint(self, reply: Reply) -> MintedToken | Failure:
        verdict = self.classify(reply)
        if verdict is not None:
            assert not isinstance(verdict, Delivered)
            return verdict.failure
        try:
            fields = mapping(parse_json(reply.body))  # type: ignore[union-attr]
        except NotJson:
            fields = {}
        token = text(fields.get("token"))
        if not token or len(fields) != 1:
            return Failure(FailureKind.TOLD_TO_WAIT, "the archive gave no token")
        return MintedToken(Secret(token), 3600.0)

    def bearing(self, request: HttpRequest, token: AccessToken) -> HttpRequest:
        return evolve(
            request, headers=(*request.headers, ("Authorization", f"Bearer {token.value.reveal()}"))
        )

    def request(
        self, method: str, path: str, settings: Any, body: tuple[bytes, ...] = ()
    ) -> HttpRequest:
        return HttpRequest(
            method, f"{settings.endpoint}{path}", (("Accept", "application/json"),), body
        )

    def document_request(self, parcel: Parcel, settings: Any) -> HttpRequest:
        kind, body = form_data([self.file(parcel)], parcel.sha256)
        request = self.request(
            "POST", f"/documents?shelf={quote(settings.shelf, safe='')}", settings, body
        )
        return evolve(request, headers=(*request.headers, ("Content-Type", kind)))

    def file(self, parcel: Parcel) -> FormFile:
        return FormFile("file", parcel.file_name, parcel.media_type, parcel.content)

    def classify(self, reply: Reply) -> Verdict | None:
        return classify(reply, HINTS)

    def judge_document(self, reply: Reply | Failure) -> Verdict | str:
        """The id, or what it came to."""
        if isinstance(reply, Failure):
            return self.without_token(reply)
        verdict = self.classify(reply)
        if verdict is not None:
            return verdict
        assert isinstance(reply, HttpResponse)
        try:
            value = parse_json(reply.body)
        except NotJson:
            return broken_reply(reply, HINTS, "is not JSON")
        return self.id_in(value) or refusal(
            reply, FailureKind.UNRECOGNISED_REPLY, "what does it mean?"
        )

    def id_in(self, value: object) -> str | None:
        found = text(mapping(value).get("id"))
        return found if found and found.startswith("d-") else None

    def without_token(self, failure: Failure) -> Verdict:
        return Deferred(failure) if failure.kind.retryable else Rejected(failure)

    def judge_submit(self, reply: Reply | Failure, progress: str) -> Verdict:
        if isinstance(reply, Failure):
            return self.without_token(reply)
        if (
            isinstance(reply, HttpResponse)
            and reply.status == 204
            and reply.ending.value == "complete"
        ):
            return Delivered(Receipt(progress))
        verdict = self.classify(reply)
        if isinstance(verdict, Unclear):
            return Deferred(verdict.failure)  # to submit it again makes no copy
        assert isinstance(reply, HttpResponse) or verdict is not None
        return verdict or refusal(reply, FailureKind.UNRECOGNISED_REPLY, "was it submitted?")  # type: ignore[arg-type]

    def target(self, settings: Any) -> str:
        return f"shelf {settings.shelf} of the archive"

    # --- looking

    def check(self, settings: Any) -> Dialogue[DryRun]:
        reply = yield from self.with_token(self.request("GET", "/shelf", settings), settings)
        return self.judge_shelf(reply)

    def judge_shelf(self, reply: Reply | Failure) -> DryRun:
        if isinstance(reply, Failure):
            return NotReady(reply)
        verdict = self.classify(reply)
        if verdict is not None:
            assert not isinstance(verdict, Delivered)
            return NotReady(verdict.failure)
        assert isinstance(reply, HttpResponse)
        try:
            is_open = mapping(parse_json(reply.body)).get("open")
        except NotJson:
            is_open = None
        if is_open is not True:
            return NotReady(Failure(FailureKind.UNRECOGNISED_REPLY, "the shelf is not open"))
        return Ready("the shelf is open")

    # --- several together

    def bundle(self, settings: Any) -> Bundle | None:
        return Bundle(10)

    def upload_together(
        self, parcels: Sequence[Parcel], settings: Any
    ) -> Dialogue[Sequence[Verdict | Unbundled]]:
        reply = yield from self.with_token(self.bundle_request(parcels, settings), settings)
        return self.judge_bundle(parcels, reply)

    def bundle_request(self, parcels: Sequence[Parcel], settings: Any) -> HttpRequest:
        kind, body = form_data([self.file(parcel) for parcel in parcels], parcels[0].sha256)
        request = self.request("POST", "/bundles", settings, body)
        return evolve(request, headers=(*request.headers, ("Content-Type", kind)))

    def judge_bundle(
        self, parcels: Sequence[Parcel], reply: Reply | Failure
    ) -> Sequence[Verdict | Unbundled]:
        if isinstance(reply, Failure):
            return self.for_each(parcels, self.without_token(reply))
        verdict = self.classify(reply)
        if isinstance(verdict, Rejected) and verdict.failure.kind is not FailureKind.REDIRECTED:
            return self.for_each(parcels, Unbundled(verdict.failure))
        if verdict is not None:
            return self.for_each(parcels, verdict)
        assert isinstance(reply, HttpResponse)
        if reply.body != b'{"taken": "all"}':
            return self.for_each(
                parcels, refusal(reply, FailureKind.UNRECOGNISED_REPLY, "what does it mean?")
            )
        return self.for_each(parcels, Delivered(Receipt()))

    def for_each(
        self, parcels: Sequence[Parcel], verdict: Verdict | Unbundled
    ) -> Sequence[Verdict | Unbundled]:
        return [verdict for _ in parcels]


class ArchiveProvider(UnreadableArchiveProvider):
    """The same, and it can be asked what it has."""

    look_up_delays: ClassVar[tuple[timedelta, ...]] = (timedelta(seconds=2),)

    def look_up(self, parcel: Parcel, settings: Any, progress: str | None) -> Dialogue[Finding]:
        name = quote(parcel.file_name, safe="")
        reply = yield from self.with_token(
            self.request("GET", f"/documents?name={name}", settings), settings
        )
        return self.judge_listing(reply)

    def judge_listing(self, reply: Reply | Failure) -> Finding:
        if isinstance(reply, Failure):
            return Unreadable(reply)
        verdict = self.classify(reply)
        if verdict is not None:
            assert not isinstance(verdict, Delivered)
            return Unreadable(verdict.failure)
        assert isinstance(reply, HttpResponse)
        try:
            listed = mapping(parse_json(reply.body)).get("documents")
        except NotJson:
            listed = None
        if not isinstance(listed, list):
            return Unreadable(Failure(FailureKind.BROKEN_REPLY, "the archive gave no list"))
        for document in map(mapping, listed):
            found = text(document.get("id"))
            if found:
                return Found(Receipt(found)) if document.get("submitted") is True else Partly(found)
        return Absent()


@define
class Archive:
    """The platform's side: what it holds, by id, as (file name, sha256, whether it was
    submitted)."""

    documents: dict[str, tuple[str, str, bool]] = field(factory=dict)

    def answer(self, request: HttpRequest) -> HttpResponse:
        parts = urlsplit(request.url)
        path, name = parts.path.removeprefix("/api"), parse_qs(parts.query).get("name", [""])[0]
        if path == "/token":
            return json_reply(200, {"token": "a-token-of-the-archive"})
        if path == "/shelf":
            return json_reply(200, {"open": True})
        if path == "/bundles":
            return json_reply(201, {"taken": "all"})
        if request.method == "GET":
            there = [
                {"id": one, "submitted": submitted}
                for one, (known, _, submitted) in self.documents.items()
                if known == name
            ]
            return json_reply(200, {"documents": there})
        if path.endswith("/submit"):
            one = path.split("/")[2]
            known, sha256, _ = self.documents.get(one, ("?", "?", False))
            self.documents[one] = (known, sha256, True)
            return json_reply(204)
        return self.taken(b"".join(request.body))

    def taken(self, body: bytes) -> HttpResponse:
        head, _, rest = body.partition(b"\r\n\r\n")
        content = rest.rpartition(b"\r\n--")[0]
        name = head.partition(b'filename="')[2].partition(b'"')[0].decode()
        one = f"d-{len(self.documents) + 1}"
        self.documents[one] = (name, sha256_of(content), False)
        return json_reply(201, {"id": one})

    def copies(self, sha256: str) -> int:
        return sum(known == sha256 for _, known, _ in self.documents.values())


def json_reply(status: int, body: object = None) -> HttpResponse:
    return HttpResponse(status, (), b"" if body is None else json.dumps(body).encode(), AT)


def harness_of(provider: UnreadableArchiveProvider, **settings: object) -> ProviderHarness:
    archive = Archive()
    return ProviderHarness(
        provider=provider,
        settings={"secret": "${ARCHIVE_SECRET}", "endpoint": ENDPOINT, **settings},
        answer=archive.answer,
        repeatable=lambda request: urlsplit(request.url).path.endswith(("/submit", "/token")),
        copies=archive.copies,
    )
