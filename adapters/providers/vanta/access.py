"""Vanta's tokens: how one is minted, and what to do when the API refuses one.

Documented (developer.vanta.com, API overview and authentication): client credentials are exchanged
for a token at ``POST /oauth/token``, in JSON; the token is good for an hour; **an application has
one live token**: a new one revokes the one before at once, and requests under way with that one get
a 401. The endpoint takes 5 requests a minute. Third parties say that it refuses a form instead of
JSON. Hence: one token for all who use the same application, and on a 401 one new token, not more. A
token that was minted just now and is refused all the same has been revoked by somebody else's: then
it is better to come back later than to take it away from them again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

from attrs import define, field, frozen

from ....domain.secrets.redaction import Redactor
from ....domain.secrets.secret import Secret
from ....domain.upload.failure import Failure, FailureKind
from ....ports.dialogue import (
    Access,
    AccessToken,
    Dialogue,
    Headers,
    HttpRequest,
    HttpResponse,
    MintedToken,
    TransportFailure,
    access,
    fetch,
)
from .reply import Reply, read_token

Build = Callable[[Headers], HttpRequest]
"""A request, made from the headers that carry the token."""


@frozen(kw_only=True)
class Application:
    """The OAuth application that the tenant's admin has made in Vanta. `base` is the API's address,
    without a slash at its end."""

    base: str
    client_id: str
    client_secret: Secret
    scope: str

    @property
    def key(self) -> str:
        """Under what name its token is kept: the server and the client id, for so far one token
        reaches."""
        parts = urlsplit(self.base)
        return f"vanta {parts.scheme}://{parts.netloc.lower()} {self.client_id}"

    def mint(self) -> Dialogue[MintedToken | Failure]:
        """A new token; it revokes the one before."""
        asked = {
            "client_id": self.client_id,
            "client_secret": self.client_secret.reveal(),
            "scope": self.scope,
            "grant_type": "client_credentials",
        }
        headers = (("Accept", "application/json"), ("Content-Type", "application/json"))
        request = HttpRequest(
            "POST", f"{self.base}/oauth/token", headers, (json.dumps(asked).encode(),)
        )
        return read_token((yield from fetch(request)))


@define
class Session:
    """The requests of one dialogue. It remembers the tokens that they carried, so that nothing of
    what came back repeats one."""

    application: Application
    _carried: list[Secret] = field(factory=list, init=False, repr=False)

    def call(self, build: Build) -> Dialogue[Reply | Failure]:
        """The reply to a request with a token, never a 401; or the failure to have it answered with
        any.

        The failure says of itself whether to come back later: whatever it is, the request was not
        taken.
        """
        token = yield from self._token(None)
        if isinstance(token, Failure):
            return token
        reply = yield from self._fetch(build, token)
        if _is_refused(reply) and not token.fresh:
            token = yield from self._token(token)
            if isinstance(token, Failure):
                return token
            reply = yield from self._fetch(build, token)
        return _revoked() if _is_refused(reply) else reply

    def redactor(self, *more: Secret) -> Redactor:
        """Masks the tokens that were carried, and `more`."""
        return Redactor(_unlike([*self._carried, *more]))

    def _token(self, refused: AccessToken | None) -> Dialogue[AccessToken | Failure]:
        wish = Access(self.application.key, self.application.mint, refused)
        return (yield from access(wish))

    def _fetch(self, build: Build, token: AccessToken) -> Dialogue[HttpResponse | TransportFailure]:
        self._carried.append(token.value)
        headers = (
            ("Authorization", f"Bearer {token.value.reveal()}"),
            ("Accept", "application/json"),
        )
        return (yield from fetch(build(headers)))


def _is_refused(reply: Reply) -> bool:
    return isinstance(reply, HttpResponse) and reply.status == 401


def _unlike(secrets: Iterable[Secret]) -> Iterable[Secret]:
    return dict.fromkeys(secrets)


def _revoked() -> Failure:
    return Failure(
        FailureKind.TOKEN_REVOKED,
        "Vanta refused a token that it had given out just before (HTTP 401): another program uses the same client_id, and each "
        "new token revokes the one before, or scope in the tenant file lacks what the request needs; give the courier an "
        "application of its own in Vanta",
        http_status=401,
    )
