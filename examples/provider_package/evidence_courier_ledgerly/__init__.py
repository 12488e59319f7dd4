"""Ledgerly, a platform that is made up: a token, an upload that stays a draft, and a second request
that files it.

- ``POST /oauth/token`` with the client's id and secret gives a token.
- ``POST /v1/ledgers/{ledger}/documents``, a form with the file, gives 201 and the ``id`` of a
  draft. Sent twice, it makes two.
- ``POST /v1/documents/{id}/file`` files the draft. Sent twice, it changes nothing.
- ``GET /v1/ledgers/{ledger}/documents?name=...`` lists what has that file name; ``GET
  /v1/ledgers/{ledger}`` tells the ledger's title.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import ClassVar
from urllib.parse import urlencode

from attrs import evolve, frozen

from evidence_courier.adapters.providers import (
    Absent,
    Access,
    Deferred,
    Delivered,
    Dialogue,
    DryRun,
    ErrorHints,
    Failure,
    FailureKind,
    Finding,
    FormFile,
    Found,
    Headers,
    HttpRequest,
    HttpResponse,
    Limits,
    MintedToken,
    NotJson,
    NotReady,
    Pace,
    Parcel,
    Partly,
    Ready,
    Receipt,
    Rejected,
    Reply,
    Secret,
    TransportFailure,
    Unclear,
    Unreadable,
    Verdict,
    access,
    bookmark,
    broken_reading,
    broken_reply,
    classify,
    failure_to_read,
    fetch,
    form_data,
    mapping,
    parse_json,
    refusal,
    text,
)

HINTS = ErrorHints(
    provider="Ledgerly",
    unauthorized=(
        "ask the Ledgerly admin for a new secret and put it where client_secret in the tenant file "
        "points"
    ),
    forbidden="ask the Ledgerly admin to let this client write to the ledger",
    not_found="correct ledger or endpoint in the tenant file",
)
LOOK = "look at the ledger, then attest that the document is there, retry or release it"

Answer = Reply | Failure
"""The result of a request: a reply, how far it got, or why there was no token to send it with."""


@frozen(kw_only=True)
class LedgerlySettings:
    """A tenant's settings for Ledgerly."""

    client_id: str
    client_secret: Secret
    ledger: str
    endpoint: str = "https://api.ledgerly.example"

    @property
    def documents(self) -> str:
        """The address of the ledger's documents."""
        return f"{self.endpoint}/v1/ledgers/{self.ledger}/documents"


class LedgerlyProvider:
    """Puts documents into a ledger."""

    name: ClassVar[str] = "ledgerly"
    settings_class: ClassVar[type] = LedgerlySettings
    schema: ClassVar[Mapping[str, object]] = {
        "client_id": {"type": "string", "required": True, "empty": False},
        "client_secret": {"type": "secret", "required": True},
        "ledger": {"type": "string", "required": True, "regex": "[A-Za-z0-9-]+"},
        "endpoint": {"type": "endpoint"},
    }
    limits: ClassVar[Limits] = Limits(10_000_000, {"application/pdf": "pdf"})
    pace: ClassVar[Pace | None] = Pace(60, timedelta(minutes=1))
    cost: ClassVar[int] = 2
    exclusive_credential: ClassVar[bool] = False
    look_up_delays: ClassVar[tuple[timedelta, ...]] = (timedelta(seconds=1), timedelta(seconds=10))

    def target(self, settings: object) -> str:
        """The ledger."""
        assert isinstance(settings, LedgerlySettings)
        return f"the ledger {settings.ledger} at {settings.endpoint}"

    def upload(self, parcel: Parcel, settings: object, progress: str | None) -> Dialogue[Verdict]:
        """Upload the draft, unless a bookmark names it; then file it, which can be repeated and so
        is never unclear."""
        assert isinstance(settings, LedgerlySettings)
        draft = progress
        if draft is None:
            file = FormFile("file", parcel.file_name, parcel.media_type, parcel.content)
            content_type, body = form_data([file], parcel.sha256)
            form = HttpRequest("POST", settings.documents, (("Content-Type", content_type),), body)
            answer = yield from _send(form, settings)
            verdict = _judged(answer)
            if verdict is not None:
                return verdict
            assert isinstance(answer, HttpResponse)
            try:
                draft = _id(mapping(parse_json(answer.body)).get("id"))
            except NotJson:
                return broken_reply(answer, HINTS, "is not JSON")
            if draft is None:
                return _unrecognised(answer, "without the id of a draft")
            yield from bookmark(draft)
        filing = f"{settings.endpoint}/v1/documents/{draft}/file"
        answer = yield from _send(HttpRequest("POST", filing, repeatable=True), settings)
        verdict = _judged(answer)
        if isinstance(verdict, Unclear):
            return Deferred(verdict.failure)
        if verdict is not None:
            return verdict
        assert isinstance(answer, HttpResponse)
        try:
            state = text(mapping(parse_json(answer.body)).get("state"))
        except NotJson:
            return Deferred(broken_reading(answer, HINTS, "is not JSON"))
        if state != "filed":
            return _unrecognised(answer, f"and the document is {state!r}, not filed")
        return Delivered(Receipt(reference=draft, message="filed"))

    def look_up(self, parcel: Parcel, settings: object, progress: str | None) -> Dialogue[Finding]:
        """Look for the file name, which holds the evidence id and a digest."""
        assert isinstance(settings, LedgerlySettings)
        query = urlencode({"name": parcel.file_name})
        answer = yield from _send(HttpRequest("GET", f"{settings.documents}?{query}"), settings)
        read = _read(answer)
        if isinstance(read, Failure):
            return Unreadable(read)
        listed = read.get("documents")
        if not isinstance(listed, list):
            assert isinstance(answer, HttpResponse)
            return Unreadable(broken_reading(answer, HINTS, "lists no documents"))
        finding: Finding = Absent()
        for document in map(mapping, listed):
            known = _id(document.get("id"))
            if document.get("name") != parcel.file_name or known is None:
                continue
            if document.get("state") == "filed":
                return Found(Receipt(reference=known, message="filed"))
            finding = Partly(known)
        return finding

    def check(self, settings: object) -> Dialogue[DryRun]:
        """Ask for the ledger's title, which needs a token and the ledger."""
        assert isinstance(settings, LedgerlySettings)
        url = f"{settings.endpoint}/v1/ledgers/{settings.ledger}"
        answer = yield from _send(HttpRequest("GET", url), settings)
        read = _read(answer)
        if isinstance(read, Failure):
            return NotReady(read)
        title = text(read.get("title"))
        if title is None:
            assert isinstance(answer, HttpResponse)
            return NotReady(broken_reading(answer, HINTS, "does not tell the ledger's title"))
        return Ready(f"the ledger {title} is open to this client")


def _send(request: HttpRequest, settings: LedgerlySettings) -> Dialogue[Answer]:
    """Send a request with a token. A refused one may be old, and is replaced once; a refused new
    one may work later."""
    wish = Access(f"ledgerly {settings.endpoint} {settings.client_id}", lambda: _mint(settings))
    for _ in range(2):
        token = yield from access(wish)
        if isinstance(token, Failure):
            return token
        bearer: Headers = (("Authorization", f"Bearer {token.value.reveal()}"),)
        reply = yield from fetch(evolve(request, headers=(*request.headers, *bearer)))
        if isinstance(reply, TransportFailure):
            return reply
        if reply.status != 401:
            return reply
        if token.fresh:
            break
        wish = evolve(wish, refused=token)
    return Failure(
        FailureKind.TOKEN_REVOKED,
        "Ledgerly refused a token that it had just given",
        http_status=401,
    )


def _mint(settings: LedgerlySettings) -> Dialogue[MintedToken | Failure]:
    asked = {"client_id": settings.client_id, "client_secret": settings.client_secret.reveal()}
    headers = (("Content-Type", "application/json"),)
    body = (json.dumps(asked).encode(),)
    reply = yield from fetch(HttpRequest("POST", f"{settings.endpoint}/oauth/token", headers, body))
    said = _read(reply)
    if isinstance(said, Failure):
        return said
    token, life = text(said.get("access_token")), said.get("expires_in")
    if not token or not token.isascii() or not token.isprintable():
        assert isinstance(reply, HttpResponse)
        return broken_reading(reply, HINTS, "holds no token")
    return MintedToken(Secret(token), life if isinstance(life, int | float) else 300)


def _judged(answer: Answer) -> Verdict | None:
    """The verdict on an upload's request; None for a complete 2xx reply."""
    if isinstance(answer, Failure):  # without a token, nothing was sent
        return Deferred(answer) if answer.kind.retryable else Rejected(answer)
    return classify(answer, HINTS)


def _read(answer: Answer) -> Mapping[str, object] | Failure:
    """The JSON object in a reply, or why there is none."""
    failure = answer if isinstance(answer, Failure) else failure_to_read(answer, HINTS)
    if failure is not None:
        return failure
    assert isinstance(answer, HttpResponse)
    try:
        return mapping(parse_json(answer.body))
    except NotJson:
        return broken_reading(answer, HINTS, "is not JSON")


def _id(value: object) -> str | None:
    """A document's id, if it is one: it becomes a part of URLs."""
    return value if isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9-]{1,64}", value) else None


def _unrecognised(reply: HttpResponse, what: str) -> Rejected:
    return refusal(reply, FailureKind.UNRECOGNISED_REPLY, f"Ledgerly answered {what}: {LOOK}")
