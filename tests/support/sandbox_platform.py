"""A sandbox as the platform of a contract kit: what a dialogue asks for is really sent to it, by
hand, one request after another."""

from __future__ import annotations

import http.client
from datetime import UTC, datetime
from urllib.parse import urlsplit

from attrs import define, field

from evidence_courier.ports.dialogue import HttpRequest, HttpResponse
from evidence_courier.testing.sandboxes import Sandbox

# The kit's second tenant has the sandbox's key with this behind it.
_OTHER = b"other"


@define
class SandboxPlatform:
    """Answers as the sandbox does, and takes the key of the kit's second tenant too."""

    sandbox: Sandbox
    key: str = "sandbox-key"
    _connection: http.client.HTTPConnection | None = field(default=None, init=False)

    def answer(self, request: HttpRequest) -> HttpResponse:
        """What the sandbox says."""
        parts = urlsplit(request.url)
        if self._connection is None:
            self._connection = http.client.HTTPConnection(parts.netloc, timeout=10)
        known, other = self.key.encode(), self.key.encode() + _OTHER
        headers = {name: value.replace(other.decode(), self.key) for name, value in request.headers}
        body = b"".join(request.body).replace(other, known)
        path = f"{parts.path}?{parts.query}" if parts.query else parts.path
        self._connection.request(request.method, path, body or None, headers)
        reply = self._connection.getresponse()
        content = reply.read()
        return HttpResponse(reply.status, tuple(reply.getheaders()), content, datetime.now(UTC))

    def close(self) -> None:
        """Hang up."""
        if self._connection is not None:
            self._connection.close()
