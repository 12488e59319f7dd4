"""Ledgerly itself, as far as one can know it: what it holds, and what it answers. It needs no
network, and can be served on one."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from hashlib import sha256
from urllib.parse import parse_qs, urlsplit

from attrs import define, field

from evidence_courier.adapters.providers import HttpRequest, HttpResponse

SECRET = "the-secret-of-the-client"
RECEIVED_AT = datetime(2026, 2, 21, 10, 0, tzinfo=UTC)


@define
class Document:
    """One document of the ledger's."""

    name: str
    digest: str
    state: str = "draft"


@define
class Ledgerly:
    """The platform. `revoke` ends the tokens that it has given."""

    documents: dict[str, Document] = field(factory=dict)
    tokens: list[str] = field(factory=list)
    minted: int = 0

    def revoke(self) -> None:
        """No token is good any more."""
        self.tokens.clear()

    def copies(self, digest: str) -> int:
        """How many documents with this sha256 it holds."""
        return sum(document.digest == digest for document in self.documents.values())

    def answer(self, request: HttpRequest) -> HttpResponse:
        """The reply to a request."""
        status, said = self._answer(request)
        return HttpResponse(status, (), json.dumps(said).encode(), RECEIVED_AT)

    def _answer(self, request: HttpRequest) -> tuple[int, dict[str, object]]:
        path, body = urlsplit(request.url).path, b"".join(request.body)
        headers = {name.lower(): value for name, value in request.headers}
        if path == "/oauth/token":
            if json.loads(body)["client_secret"] != SECRET:
                return 401, {"error": "invalid_client"}
            self.minted += 1
            self.tokens.append(f"token-{self.minted}")
            return 200, {"access_token": self.tokens[-1], "expires_in": 3600}
        if headers.get("authorization", "").removeprefix("Bearer ") not in self.tokens:
            return 401, {"error": "invalid_token"}
        match request.method, path.split("/")[2:]:
            case "GET", ["ledgers", "security-training"]:
                return 200, {"title": "Security training"}
            case "GET", ["ledgers", "security-training", "documents"]:
                [name] = parse_qs(urlsplit(request.url).query)["name"]
                found = [(key, kept) for key, kept in self.documents.items() if kept.name == name]
                return 200, {
                    "documents": [
                        {"id": key, "name": kept.name, "state": kept.state} for key, kept in found
                    ]
                }
            case "POST", ["ledgers", "security-training", "documents"]:
                document = f"doc-{len(self.documents) + 1}"
                self.documents[document] = _uploaded(body)
                return 201, {"id": document}
            case "POST", ["documents", document, "file"] if document in self.documents:
                self.documents[document].state = "filed"
                return 200, {"state": "filed"}
        return 404, {"error": "not_found"}


def _uploaded(form: bytes) -> Document:
    found = re.fullmatch(rb'.*?filename="([^"]+)".*?\r\n\r\n(.*)\r\n--\w+--\r\n', form, re.DOTALL)
    assert found is not None
    return Document(found[1].decode(), sha256(found[2]).hexdigest())
