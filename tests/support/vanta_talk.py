"""Vanta's provider driven by hand: a dialogue is answered from a script, step by step."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime
from typing import TypeVar

from evidence_courier.adapters.providers.vanta.settings import VantaSettings
from evidence_courier.domain.evidence.evidence import Outcome, sha256_of
from evidence_courier.domain.evidence.file_name import file_name_for
from evidence_courier.domain.secrets.secret import Secret
from evidence_courier.domain.upload.failure import Failure
from evidence_courier.ports.dialogue import (
    Access,
    AccessToken,
    Bookmark,
    Dialogue,
    HttpRequest,
    HttpResponse,
    TransportFailure,
)
from evidence_courier.ports.provider import Parcel
from evidence_courier.testing.scripted_transport import reply

Reply = HttpResponse | TransportFailure
T = TypeVar("T")

PDF = b"%PDF-1.7 " + bytes(range(256)) * 100
DIGEST = sha256_of(PDF)
UPLOAD_ID = "66993da0cf4ba2ad40599ba7"
SECRET = Secret("vcs_the-secret-of-the-client")
SETTINGS = VantaSettings(client_id="vci_acme", client_secret=SECRET, document="access-requests")
PARCEL = Parcel(
    tenant_id="acme",
    evidence_id="ev-1",
    session_id="s-1",
    subject="emp-7",
    subject_email=None,
    outcome=Outcome.PASSED,
    recorded_at=datetime(2026, 2, 21, 10, 0, tzinfo=UTC),
    evidence_date=date(2026, 2, 21),
    content=PDF,
    media_type="application/pdf",
    sha256=DIGEST,
    file_name=file_name_for("ev-1", DIGEST, "pdf"),
    created_at=datetime(2026, 2, 22, 9, 0, tzinfo=UTC),
)
OLD, NEW = (
    AccessToken(Secret(f"vat_{word}-token-of-this-hour"), fresh=word == "new")
    for word in ("old", "new")
)
UPLOADED = reply(201, json.dumps({"id": UPLOAD_ID, "fileName": PARCEL.file_name}).encode())
SUBMITTED = reply(204)


class Talk:
    """Answers one dialogue: requests from `answers`, wishes for a token from `tokens`, one each."""

    def __init__(self, *answers: Reply, tokens: Iterable[AccessToken | Failure] = ()) -> None:
        self._answers = iter(answers)
        self._tokens: Iterator[AccessToken | Failure] = iter(tokens)
        self.requests: list[HttpRequest] = []
        self.wishes: list[Access] = []
        self.bookmarks: list[str] = []

    def hold(self, dialogue: Dialogue[T]) -> T:
        """What the dialogue comes to."""
        answer: object = None
        while True:
            try:
                step = dialogue.send(answer)
            except StopIteration as end:
                result: T = end.value
                return result
            match step:
                case HttpRequest():
                    self.requests.append(step)
                    answer = next(self._answers)
                case Access():
                    self.wishes.append(step)
                    answer = next(self._tokens, OLD)
                case Bookmark(progress=progress):
                    self.bookmarks.append(progress)
                    answer = None

    def asked(self) -> list[str]:
        """The requests, as method and path."""
        return [f"{request.method} {request.url.partition('://')[2]}" for request in self.requests]


def json_reply(status: int, value: object, *headers: tuple[str, str]) -> HttpResponse:
    """A reply with a JSON body, or with bytes as they are."""
    return reply(
        status, value if isinstance(value, bytes) else json.dumps(value).encode(), *headers
    )


def page(*uploads: object, cursor: str | None = None) -> HttpResponse:
    """A page of a document's uploads; `cursor` leads to the next one."""
    info = {"endCursor": cursor, "hasNextPage": cursor is not None, "hasPreviousPage": False}
    return json_reply(
        200, {"results": {"data": list(uploads), "pageInfo": info | {"startCursor": None}}}
    )


def listed(upload_id: str = UPLOAD_ID, **fields: object) -> dict[str, object]:
    """An upload in that list: another's, unless it is said otherwise."""
    shown = {"id": upload_id, "fileName": "another.pdf", "description": None, "deletionDate": None}
    return shown | fields


def document(status: str = "OK", **fields: object) -> HttpResponse:
    """The document as Vanta shows it."""
    shown = {"id": "access-requests", "title": "Access requests", "uploadStatus": status}
    working = {"isDeactivated": False, "reason": None, "expiration": None, "creationDate": None}
    return json_reply(200, shown | {"deactivatedStatus": working} | fields)
