"""A platform of no real name that makes an author's life hard, and a provider for it that is
written with what the authors' page tells alone.

An upload takes six requests, each signed over the date at which it leaves; the bytes go to a
presigned address at another host; and a person decides about the document hours later.
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from hashlib import sha256 as digest_of
from typing import ClassVar
from urllib.parse import parse_qs, urlencode, urlsplit

from attrs import define, field, frozen

from evidence_courier.adapters.providers import (
    Absent,
    Deferred,
    Dialogue,
    ErrorHints,
    Failure,
    FailureKind,
    Finding,
    Found,
    Headers,
    HttpRequest,
    HttpResponse,
    Limits,
    NotJson,
    Pace,
    Parcel,
    Partly,
    Processing,
    Receipt,
    Refused,
    Rejected,
    Secret,
    TransportFailure,
    Unreadable,
    Verdict,
    bookmark,
    broken_reading,
    failure_to_read,
    fetch,
    mapping,
    mask,
    parse_json,
    refusal,
    text,
)
from evidence_courier.testing import FakeClock
from evidence_courier.testing.scripted_transport import reply

BLOBS = "https://blobs.vault.example"
ENDPOINT = "http://127.0.0.1:9"
SECRET = "a-secret-that-signs"
REVIEW = timedelta(hours=3)
WAIT = timedelta(minutes=20)
HINTS = ErrorHints(
    provider="Vault",
    unauthorized="make a new key in Vault and put it where api_key in the tenant file points",
    forbidden="ask the Vault admin to let this key add documents",
    not_found="correct endpoint in the tenant file",
)


@frozen
class VaultSettings:
    api_key: Secret
    api_secret: Secret
    endpoint: str = "https://api.vault.example"


def signature(secret: str, method: str, path: str, moment: datetime) -> Headers:
    stamp = f"{moment:%Y%m%dT%H%M%SZ}"
    day = hmac.digest(secret.encode(), stamp[:8].encode(), "sha256")
    signed = hmac.digest(day, f"{method} {path} {stamp}".encode(), "sha256")
    return (("X-Date", stamp), ("X-Signature", signed.hex()))


class VaultProvider:
    name: ClassVar[str] = "vault"
    settings_class: ClassVar[type] = VaultSettings
    schema: ClassVar[Mapping[str, object]] = {
        "api_key": {"type": "secret", "required": True},
        "api_secret": {"type": "secret", "required": True},
        "endpoint": {"type": "endpoint"},
    }
    limits: ClassVar[Limits] = Limits(25_000_000, {"application/pdf": "pdf"})
    pace: ClassVar[Pace | None] = Pace(10, timedelta(minutes=1))
    cost: ClassVar[int] = 6
    exclusive_credential: ClassVar[bool] = False
    look_up_delays = (timedelta(seconds=2), timedelta(seconds=10), timedelta(seconds=30))

    def target(self, settings: VaultSettings) -> str:
        return f"the vault at {settings.endpoint}"

    def upload(
        self, parcel: Parcel, settings: VaultSettings, progress: str | None
    ) -> Dialogue[Verdict]:
        draft = progress
        if draft is None:
            filed = yield from self.filed(parcel, settings)
            if not isinstance(filed, str):
                return filed
            yield from bookmark(draft := filed)
        asked = {"date": str(parcel.evidence_date)}
        request = self.request(settings, "POST", f"/uploads/{draft}/submit", asked)
        answer = yield from fetch(request)
        if not isinstance(answer, TransportFailure) and answer.status == 409 and progress:
            return (yield from self.upload(parcel, settings, None))
        failure = failure_to_read(answer, HINTS)
        if failure is not None:  # submitting twice changes nothing, so nothing is in doubt
            return unsent(failure)
        assert isinstance(answer, HttpResponse)
        if answer.status == 202:
            return Processing(WAIT, "Vault has it and reviews it")
        look = "Vault did not say that it reviews it: look there"
        return refusal(answer, FailureKind.UNRECOGNISED_REPLY, look)

    def filed(self, parcel: Parcel, settings: VaultSettings) -> Dialogue[str | Verdict]:
        """The first five requests, which make no copy: the draft's id, or what it came to."""
        account = yield from self.step(settings, "GET", "/whoami", None, "account")
        if not isinstance(account, str):
            return account
        path = f"/accounts/{account}/folders/{parcel.evidence_date}"
        folder = yield from self.step(settings, "PUT", path, {}, "folder")
        if not isinstance(folder, str):
            return folder
        asked = {"folder": folder, "name": parcel.file_name, "sha256": parcel.sha256}
        draft = yield from self.step(settings, "POST", "/uploads", asked, "upload")
        if not isinstance(draft, str):
            return draft
        # It is signed by its address, and leads to another host, which may not see the key.
        presigned = f"{BLOBS}/{draft}?signature={hmac.digest(draft.encode(), b'', 'sha256').hex()}"
        yield from mask(presigned)
        headers = (("Content-Type", parcel.media_type),)
        put = HttpRequest("PUT", presigned, headers, (parcel.content,), repeatable=True)
        stored = yield from fetch(put)
        failure = failure_to_read(stored, HINTS)
        if isinstance(stored, HttpResponse) and stored.status == 401:
            # It sees no key, and says nothing of one.
            return refusal(stored, FailureKind.REFUSED, "Vault's storage refused it: look there")
        if failure is not None:
            return unsent(failure)
        assert isinstance(stored, HttpResponse)
        if stored.status != 204:
            look = "Vault's storage did not say that it has the file: look there"
            return refusal(stored, FailureKind.UNRECOGNISED_REPLY, look)
        closed = yield from self.step(settings, "POST", f"/uploads/{draft}/seal", {}, "sealed")
        return draft if isinstance(closed, str) else closed

    def step(
        self,
        settings: VaultSettings,
        method: str,
        path: str,
        asked: Mapping[str, object] | None,
        wanted: str,
    ) -> Dialogue[str | Verdict]:
        """A request that makes no copy: what it is asked for, or what it came to."""
        answer = yield from fetch(self.request(settings, method, path, asked))
        failure = failure_to_read(answer, HINTS)
        if failure is not None:
            return unsent(failure)
        assert isinstance(answer, HttpResponse)
        try:
            found = text(mapping(parse_json(answer.body)).get(wanted))
        except NotJson:
            return Deferred(broken_reading(answer, HINTS, "is not JSON"))
        look = f"Vault answered without {wanted}: look there, then retry"
        return found or refusal(answer, FailureKind.UNRECOGNISED_REPLY, look)

    def request(
        self,
        settings: VaultSettings,
        method: str,
        path: str,
        asked: Mapping[str, object] | None = None,
    ) -> HttpRequest:
        def seal(moment: datetime) -> Headers:
            return signature(settings.api_secret.reveal(), method, path, moment)

        body = () if asked is None else (json.dumps(asked).encode(),)
        headers = (("Api-Key", settings.api_key.reveal()), ("Content-Type", "application/json"))
        url = f"{settings.endpoint}{path}"
        return HttpRequest(method, url, headers, body, seal=seal, repeatable=True)

    def look_up(
        self, parcel: Parcel, settings: VaultSettings, progress: str | None
    ) -> Dialogue[Finding]:
        path = f"/uploads?{urlencode({'name': parcel.file_name})}"
        answer = yield from fetch(self.request(settings, "GET", path))
        failure = failure_to_read(answer, HINTS)
        if failure is not None:
            return Unreadable(failure)
        assert isinstance(answer, HttpResponse)
        try:
            listed = mapping(parse_json(answer.body)).get("uploads")
        except NotJson:
            return Unreadable(broken_reading(answer, HINTS, "is not JSON"))
        if not isinstance(listed, list):
            return Unreadable(broken_reading(answer, HINTS, "lists no uploads"))
        for one in map(mapping, listed):
            if one.get("name") == parcel.file_name and one.get("state") != "open":
                return self.finding(one)
        return Absent()

    def finding(self, one: Mapping[str, object]) -> Finding:
        draft = text(one.get("id"))
        match one.get("state"):
            case "accepted" if draft:
                return Found(Receipt(draft, "accepted"))
            case "declined":
                message = "the reviewer in Vault declined the document: ask them, then retry"
                return Refused(Failure(FailureKind.REFUSED, message))
            case "in review":
                return Processing(WAIT, "Vault has it and reviews it")
            case "sealed" if draft:
                return Partly(draft)
            case _:
                message = "Vault does not say how the document stands"
                return Unreadable(Failure(FailureKind.BROKEN_REPLY, message))


def unsent(failure: Failure) -> Verdict:
    return Deferred(failure) if failure.kind.retryable else Rejected(failure)


@define
class Draft:
    name: str
    sha256: str = ""
    state: str = "open"
    decided_at: datetime | None = None


@define
class Vault:
    """The platform's side: it takes at most ten requests a minute, and no signature whose date is
    not the moment at which the request comes. `declines`: the evidence that its reviewer refuses.
    So often it is `busy` after it has taken what is submitted. `clock`: None for a conversation
    without time."""

    clock: FakeClock | None = None
    busy: int = 0
    declines: str = "no one"
    drafts: dict[str, Draft] = field(factory=dict)
    complaints: list[str] = field(factory=list)
    came: list[tuple[datetime, str, str]] = field(factory=list)

    def answer(self, request: HttpRequest) -> HttpResponse:
        parts = urlsplit(request.url)
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        now = None if self.clock is None else self.clock.now()
        if now is not None:
            self.came.append((now, request.method, re.sub(r"[ud]-[0-9]+", "#", parts.path)))
            self.check(request, path, now)
        if request.url.startswith(BLOBS):
            return self.stores(parts.path[1:], b"".join(request.body))
        return self.does(request.method, path, b"".join(request.body), now)

    def check(self, request: HttpRequest, path: str, now: datetime) -> None:
        headers = dict(request.headers)
        recent = [at for at, _, _ in self.came if now - at < timedelta(minutes=1)]
        if len(recent) > 10:
            self.complaints.append(f"{len(recent)} requests within a minute")
        if request.url.startswith(BLOBS):
            if headers.keys() & {"Api-Key", "X-Date", "X-Signature"}:
                self.complaints.append("the storage was shown a credential")
            return
        wanted = signature(SECRET, request.method, path, now.astimezone(UTC))
        if not set(wanted) <= set(request.headers):
            self.complaints.append(f"{headers.get('X-Date')} is no good signature at {now}")

    def stores(self, draft: str, content: bytes) -> HttpResponse:
        self.drafts[draft].sha256 = digest_of(content).hexdigest()
        return reply(204)

    def does(self, method: str, path: str, body: bytes, now: datetime | None) -> HttpResponse:
        if path == "/whoami":
            return json_reply(200, account="a-1")
        if "/folders/" in path:
            return json_reply(200, folder=path[-10:])
        if path.startswith("/uploads?"):
            (name,) = parse_qs(path.partition("?")[2])["name"]
            listed = [self.listed(one, now) for one, it in self.drafts.items() if it.name == name]
            return json_reply(200, uploads=listed)
        if path == "/uploads":
            made = f"u-{len(self.drafts) + 1}"
            self.drafts[made] = Draft(json.loads(body)["name"])
            return json_reply(201, upload=made)
        draft = self.drafts[path.split("/")[2]]
        if path.endswith("/seal"):
            draft.state = "sealed"
            return json_reply(200, sealed="yes")
        if draft.state == "sealed":
            draft.state, draft.decided_at = "in review", None if now is None else now + REVIEW
        if self.busy:
            self.busy -= 1
            return reply(503)
        return reply(202)

    def listed(self, draft: str, now: datetime | None) -> Mapping[str, object]:
        it = self.drafts[draft]
        over = now is None or it.decided_at is None or now >= it.decided_at
        if it.state == "in review" and over:
            it.state = "declined" if self.declines in it.name else "accepted"
        return {"id": draft, "name": it.name, "state": it.state}

    def copies(self, sha256: str) -> int:
        taken = ("in review", "accepted", "declined")
        return sum(it.sha256 == sha256 and it.state in taken for it in self.drafts.values())


def json_reply(status: int, **words: object) -> HttpResponse:
    return reply(status, json.dumps(words).encode())
