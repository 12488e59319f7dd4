"""How a provider talks to its API without doing any I/O: a generator that reads top to bottom.

A dialogue yields what it wants done and is sent the result:

=================  ==============================================================================
it yields          it is sent
=================  ==============================================================================
`HttpRequest`      an `HttpResponse`, or a `TransportFailure` if no reply came
`Bookmark`         None, once the bookmark is committed; the next attempt gets it as `progress`
`Access`           an `AccessToken`, or the `Failure` of minting one
`Now`              the time of day of the courier's clock, in UTC
`Mask`             None; from now on the text is masked in all that is recorded and logged
=================  ==============================================================================

Its own result is a verdict, a finding or a dry run. Write ``reply = yield from fetch(request)``
(and `bookmark`, `access`, `now`, `mask`): the helpers give each answer its type. One runner for
asyncio and one for blocking code drive the same dialogue, so a provider is written once. A dialogue
never catches an exception of the runner's and keeps no state between attempts.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from datetime import datetime
from enum import Enum
from typing import Any, TypeAlias, TypeVar

from attrs import evolve, field, frozen

from ..domain.secrets.secret import Secret
from ..domain.upload.failure import Failure, FailureKind

REPLY_LIMIT = 1024 * 1024
"""How many bytes of a reply's body are read at most."""

Headers: TypeAlias = tuple[tuple[str, str], ...]
"""Names and values, in the order in which they are sent."""


@frozen
class HttpRequest:
    """One request. It does not show its headers, which may hold a credential.

    Args:
        method: such as ``POST``.
        url: the whole address, percent-encoded.
        headers: what is sent beside Host and Content-Length.
        body: the parts of the body in order; they are sent with a Content-Length.
        seal: gives further headers, such as a signature over the date, when the request leaves. It
            is called with the time of day of the courier's clock, and its values are masked as
            secrets are. Two requests that differ in it alone are equal.
        repeatable: whether it makes no copy, however often it is sent. Its interruption then leaves
            no doubt. GET and HEAD are repeatable without saying so.

    Raises:
        TypeError: an argument is of another type. Nothing was sent then.
    """

    method: str
    url: str
    headers: Headers = field(default=(), repr=False)
    body: tuple[bytes, ...] = field(default=(), repr=False)
    seal: Callable[[datetime], Headers] | None = field(default=None, repr=False, eq=False)
    repeatable: bool = False

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.method, str) or not isinstance(self.url, str):
            raise TypeError("the method and the url of an HttpRequest are text")
        if not _are_headers(self.headers):
            raise TypeError(
                "the headers of an HttpRequest are a tuple of pairs of text: ((name, value), ...)"
            )
        if not isinstance(self.body, tuple) or [
            part for part in self.body if not isinstance(part, bytes)
        ]:
            raise TypeError("the body of an HttpRequest is a tuple of bytes: (content,)")
        if self.seal is not None and not callable(self.seal):
            raise TypeError("the seal of an HttpRequest is a function of the time of day")

    def sealed(self, now: datetime) -> HttpRequest:
        """The request as it leaves at `now`.

        Raises:
            TypeError: the seal gave no headers.
        """
        if self.seal is None:
            return self
        added = self.seal(now)
        if not isinstance(added, tuple):
            raise TypeError("the seal of an HttpRequest gives headers: ((name, value), ...)")
        return evolve(self, headers=(*self.headers, *added), seal=None)

    @property
    def body_size(self) -> int:
        """The Content-Length, in bytes."""
        return sum(map(len, self.body))


def _are_headers(headers: object) -> bool:
    if not isinstance(headers, tuple):
        return False
    for header in headers:
        match header:
            case (str(), str()):
                pass
            case _:
                return False
    return True


class Ending(Enum):
    """How the body of a reply ended."""

    COMPLETE = "complete"
    CUT_SHORT = "cut short"
    TOO_LONG = "longer than 1 MiB"


@frozen
class HttpResponse:
    """A reply.

    Args:
        status: the HTTP status.
        headers: its headers.
        body: at most `REPLY_LIMIT` bytes of its body.
        received_at: when it came, by the courier's clock; it has a time zone.
        ending: whether `body` is the whole body.
    """

    status: int
    headers: Headers = field(repr=False)
    body: bytes = field(repr=False)
    received_at: datetime
    ending: Ending = Ending.COMPLETE

    def header(self, name: str) -> str | None:
        """The first header of that name, in any case; None if there is no such header."""
        wanted = name.lower()
        for key, value in self.headers:
            if key.lower() == wanted:
                return value
        return None


@frozen
class TransportFailure:
    """No reply came.

    Args:
        kind: how far the request got. NO_CONNECTION (not resolved, connected, or secured by TLS)
            and NOT_SENT (not sent whole): it was not taken. TIMEOUT and CONNECTION_LOST (after it
            was sent): it may have been taken.
        message: what happened, in words.
    """

    kind: FailureKind
    message: str


Reply: TypeAlias = HttpResponse | TransportFailure
"""What comes of a request."""


@frozen
class Bookmark:
    """A step is done; `progress` is what the next attempt needs to go on. It holds no secret."""

    progress: str


@frozen
class AccessToken:
    """A token. `fresh`: it was minted for this wish, so its refusal says something else than that
    of an older one."""

    value: Secret
    fresh: bool


@frozen
class Access:
    """A wish for a token. The runner keeps tokens, and mints one for all who ask at the same time.

    Args:
        key: what the token is kept under; the same for all that share it.
        mint: starts the dialogue that gets a new token. It must not ask for its own key.
        refused: a token that the API has just refused. It is thrown away first.
    """

    key: str
    mint: Callable[[], Dialogue[MintedToken | Failure]] = field(repr=False)
    refused: AccessToken | None = None


@frozen
class MintedToken:
    """What the token endpoint gave. `expires_in`: for how many seconds the token is good."""

    value: Secret
    expires_in: float


@frozen
class Now:
    """A wish for the time of day."""


@frozen
class Mask:
    """Text that must not be recorded, such as a presigned URL or a derived key."""

    secret: Secret


Step: TypeAlias = HttpRequest | Bookmark | Access | Now | Mask
T = TypeVar("T")
# What is sent in depends on what was yielded, which Generator cannot say; `fetch` and its like
# narrow it.
Dialogue: TypeAlias = Generator[Step, Any, T]


def fetch(request: HttpRequest) -> Dialogue[Reply]:
    """Send a request: ``reply = yield from fetch(request)``.

    Returns:
        The reply, or how far the request got. Redirects are not followed.
    """
    reply = yield request
    assert isinstance(reply, HttpResponse | TransportFailure)
    return reply


def bookmark(progress: str) -> Dialogue[None]:
    """Commit a half-done state before the dialogue goes on. A later bookmark replaces it."""
    yield Bookmark(progress)


def access(wish: Access) -> Dialogue[AccessToken | Failure]:
    """Ask for a token.

    Returns:
        A token, or the failure of minting it.
    """
    answer = yield wish
    assert isinstance(answer, AccessToken | Failure)
    return answer


def now() -> Dialogue[datetime]:
    """Ask for the time of day.

    Returns:
        The time of the courier's clock, in UTC. The same parcel must give the same body at every
        attempt, so it belongs into headers and addresses only; what must be exact when a request
        leaves is given by its `seal`.
    """
    moment = yield Now()
    assert isinstance(moment, datetime)
    return moment


def mask(text: str | Secret) -> Dialogue[None]:
    """Have a text masked in all that is recorded and logged of this upload from now on."""
    yield Mask(text if isinstance(text, Secret) else Secret(text))
