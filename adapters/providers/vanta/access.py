"""Vanta's tokens: how one is minted, and what happens when the API refuses one.

*Documented* (developer.vanta.com, API health and authentication): client credentials are
exchanged for a token at ``POST /oauth/token``, in JSON; a token is good for an hour; **an
application has one live token**: a new one revokes the one before, and requests under way with that
one get a 401; 5 token requests a minute. *Claimed* by third parties: a form is refused.

So all who use one application share a token, and a 401 leads to one new token, not more. A token
that was minted just now and is refused was revoked by another program: coming back later is better
than revoking that program's token too.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from urllib.parse import urlsplit

from attrs import define, field

from ....domain.secrets.redaction import Redactor
from ....domain.secrets.secret import Secret
from ....domain.upload.failure import Failure, FailureKind
from ....ports import dialogue
from ....ports.dialogue import Dialogue, Headers, HttpRequest, HttpResponse, Reply, fetch
from .reply import read_token
from .settings import VantaSettings

Build = Callable[[Headers], HttpRequest]
"""Makes a request from the headers that carry the token."""


@define
class Session:
    """The requests of one dialogue. It remembers their tokens, so that no id repeats one."""

    settings: VantaSettings
    _tokens: list[Secret] = field(factory=list, init=False, repr=False)

    def call(self, build: Build) -> Dialogue[Reply | Failure]:
        """Send a request with a token.

        Returns:
            The reply, which is never a 401; or a failure, after which the request was not taken,
            and which says whether to come back later.
        """
        refused: dialogue.AccessToken | None = None
        while True:
            token = yield from dialogue.access(dialogue.Access(self._key, self._mint, refused))
            if isinstance(token, Failure):
                return token
            reply = yield from self._fetch(build, token)
            if not isinstance(reply, HttpResponse) or reply.status != 401:
                return reply
            if token.fresh or refused is not None:
                return _revoked()
            refused = token

    def is_secret_in(self, text: str) -> bool:
        """Whether a text repeats the client secret or a token that was sent."""
        return Redactor([*self._tokens, self.settings.client_secret]).text(text) != text

    @property
    def _key(self) -> str:
        """What the token is kept under: the server and the client id, which share one token."""
        parts = urlsplit(self.settings.base)
        return f"vanta {parts.scheme}://{parts.netloc.lower()} {self.settings.client_id}"

    def _mint(self) -> Dialogue[dialogue.MintedToken | Failure]:
        """A new token, which revokes the one before."""
        asked = {
            "client_id": self.settings.client_id,
            "client_secret": self.settings.client_secret.reveal(),
            "scope": self.settings.scope,
            "grant_type": "client_credentials",
        }
        url, body = f"{self.settings.base}/oauth/token", (json.dumps(asked).encode(),)
        headers = (("Accept", "application/json"), ("Content-Type", "application/json"))
        return read_token((yield from fetch(HttpRequest("POST", url, headers, body))))

    def _fetch(self, build: Build, token: dialogue.AccessToken) -> Dialogue[Reply]:
        self._tokens.append(token.value)
        bearer = ("Authorization", f"Bearer {token.value.reveal()}")
        return (yield from fetch(build((bearer, ("Accept", "application/json")))))


def _revoked() -> Failure:
    return Failure(
        FailureKind.TOKEN_REVOKED,
        "Vanta refused a token that it had given out just before (HTTP 401): another program uses "
        "the same client_id, and each new token revokes the one before, or scope in the tenant "
        "file lacks what the request needs; give the courier an application of its own in Vanta",
        http_status=401,
    )
