"""The tokens of the Vanta sandbox: one application, which has one live token at a time.

Documented by Vanta (developer.vanta.com, API health and authentication): JSON with `client_id`,
`client_secret`, `scope` and `grant_type`; a token is good for an hour; a new one revokes the one
before; 5 requests a minute; `invalid_scope` for a scope that does not fit. The form of the other
refusals is that of RFC 6749 (inferred).
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from typing import Final

from aiohttp import web
from attrs import frozen

from .bodies import body_of, json_object
from .rates import RateLimit, RateMeter
from .received import Fingerprints
from .replies import Reply

LIFE: Final = 3_600
SCOPES: Final = frozenset(
    {"vanta-api.all:read", "vanta-api.all:write", "vanta-api.documents:upload"}
)
_MOST: Final = 10_000  # bytes of a token request


@frozen
class _Live:
    fingerprint: str
    scopes: frozenset[str]
    until: float


class Tokens:
    """Gives out tokens and knows the live one, by its fingerprint only. `monotonic` measures its
    hour."""

    def __init__(
        self,
        client_id: str,
        client_secret: str,
        fingerprints: Fingerprints,
        monotonic: Callable[[], float],
        pace: RateLimit | None,
    ) -> None:
        self.minted = 0
        self._client_id = client_id
        self._secret = fingerprints.of(client_secret)
        self._fingerprints = fingerprints
        self._monotonic = monotonic
        self._meter = RateMeter(pace, monotonic) if pace is not None else None
        self._live: _Live | None = None

    async def mint(self, request: web.Request) -> Reply:
        """Answer a token request."""
        if self._meter is not None and (wait := self._meter.ask()) > 0.0:
            return self._meter.limit.refuse(wait)
        if request.method != "POST":
            return _refusal(405, "invalid_request", "The token endpoint takes POST only.")
        if request.content_type != "application/json":
            return _refusal(400, "invalid_request", "The body should be application/json.")
        too_large = f"A token request may hold {_MOST} bytes at most."
        body = await body_of(request, _MOST, too_large)
        asked = json_object(body, "The body is not JSON.", "The body should be a JSON object.")
        if self._fingerprints.of(
            str(asked.get("client_secret"))
        ) != self._secret or not hmac.compare_digest(
            str(asked.get("client_id")).encode(), self._client_id.encode()
        ):
            return _refusal(401, "invalid_client", "Client authentication failed.")
        if asked.get("grant_type") != "client_credentials":
            return _refusal(
                400, "unsupported_grant_type", "grant_type should be client_credentials."
            )
        scope = asked.get("scope")
        scopes = frozenset(scope.split()) if isinstance(scope, str) else frozenset()
        if not scopes or not scopes <= SCOPES:
            return _refusal(400, "invalid_scope", "The requested scope is invalid.")
        return Reply.json(
            200, {"access_token": self.revoke(scopes), "expires_in": LIFE, "token_type": "Bearer"}
        )

    def revoke(self, scopes: frozenset[str] = SCOPES) -> str:
        """Mint a token, as another program may that has the same credentials: the one before is
        dead now."""
        token = f"vat_{secrets.token_urlsafe(32)}"
        self.minted += 1
        self._live = _Live(
            self._fingerprints.of(f"Bearer {token}"), scopes, self._monotonic() + LIFE
        )
        return token

    def scopes_of(self, request: web.Request) -> frozenset[str] | None:
        """What the request's token allows; None if it carries none, or one that is not live."""
        live, presented = self._live, request.headers.get("authorization", "")
        if live is None or self._monotonic() >= live.until:
            return None
        known = hmac.compare_digest(self._fingerprints.of(presented), live.fingerprint)
        return live.scopes if known else None


def _refusal(status: int, error: str, words: str) -> Reply:
    return Reply.json(status, {"error": error, "error_description": words})
