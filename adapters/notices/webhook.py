"""Notices as requests to a URL, as Slack's incoming webhooks take them."""

from __future__ import annotations

import hashlib
import hmac
import ssl
import time
from collections.abc import Callable
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

from attrs import evolve, field, frozen

from ...domain.errors import MisuseError
from ...domain.notices import Notice

TIMEOUT = 10.0
"""How many seconds a connection, or the next piece of an answer, is waited for."""

_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class _NoRedirects(HTTPRedirectHandler):
    def redirect_request(
        self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> None:
        """A redirect is no answer: what is signed for one URL goes to no other."""


def signature_of(secret: str, timestamp: str, body: bytes) -> str:
    """The HMAC-SHA256 of the timestamp, a point and the body."""
    signed = timestamp.encode() + b"." + body
    return hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


SHORTEST_SECRET = 16


@frozen
class Webhook:
    """Posts each notice as JSON to a URL; any answer of 200 to 299 takes it.

    With a `secret` the header `Evidence-Courier-Signature` signs `Evidence-Courier-Timestamp` and
    the body. With `subjects` it is told whose uploads these are. MisuseError for a URL that is
    neither https nor on loopback, and for a secret of less than 16 characters.
    """

    url: str = field(repr=False)
    secret: str | None = field(default=None, repr=False)
    subjects: bool = False
    now: Callable[[], float] = field(default=time.time, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        parts = urlsplit(self.url)
        if not parts.hostname or not (parts.scheme == "https" or self._is_on_loopback()):
            raise MisuseError("the URL of a webhook must be https, or http on loopback")
        if self.secret is not None and len(self.secret) < SHORTEST_SECRET:
            raise MisuseError(
                f"the secret of a webhook must have at least {SHORTEST_SECRET} characters, or it "
                "is guessed from what it signs: make one with `openssl rand -hex 32`"
            )

    def _is_on_loopback(self) -> bool:
        parts = urlsplit(self.url)
        return parts.scheme == "http" and parts.hostname in _LOOPBACK

    @property
    def name(self) -> str:
        """The host, and a digest of the URL, which may have a secret in its path."""
        digest = hashlib.sha256(self.url.encode()).hexdigest()[:8]
        return f"webhook at {urlsplit(self.url).hostname} ({digest})"

    def take(self, notice: Notice) -> None:
        """Post it; NotTakenError if it is not taken."""
        # As Slack has it: a tenant called <!channel> would call everybody there.
        text = notice.text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        body, timestamp = evolve(notice, text=text).to_json().encode(), str(int(self.now()))
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "evidence-courier",
            "Evidence-Courier-Notice": notice.id,
            "Evidence-Courier-Timestamp": timestamp,
        }
        if self.secret is not None:
            signature = signature_of(self.secret, timestamp, body)
            headers["Evidence-Courier-Signature"] = f"sha256={signature}"
        request = Request(self.url, body, headers, method="POST")  # see above
        # What goes in the clear leaves the machine by no proxy of the environment either.
        direct = [ProxyHandler({})] if self._is_on_loopback() else []
        try:
            build_opener(_NoRedirects, *direct).open(request, timeout=TIMEOUT).close()
        except HTTPError as error:
            error.close()
            raise NotTakenError(f"HTTP {error.code}") from None
        except (OSError, HTTPException) as error:
            why = error.reason if isinstance(error, URLError) else error
            raise NotTakenError(unreached(why if isinstance(why, Exception) else error)) from None


def unreached(error: Exception) -> str:
    """In words, why a server has given no answer."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the server's certificate is not trusted: {error.verify_message}"
    if isinstance(error, TimeoutError):
        return f"no answer within {TIMEOUT:g} seconds"
    return f"no connection, or it was lost: {type(error).__name__}"


class NotTakenError(RuntimeError):
    """A sink has said no; the text has no secret."""
