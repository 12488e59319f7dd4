"""How a provider talks to its API without doing any I/O: a generator that reads from top to bottom.

A dialogue yields what it wants done and is sent what came of it:

=====================  ===========================================================================================
it yields              it is sent =====================
===========================================================================================
`HttpRequest`          an `HttpResponse`, or a `TransportFailure` where no reply came `Bookmark`
None, once the bookmark is committed; it is handed to the next attempt as `progress` `Access`
an `AccessToken`, or the `Failure` that minting one came to =====================
===========================================================================================

and returns its result. Write ``reply = yield from fetch(request)`` (and `bookmark`, `access`): the
helpers give each answer its type. A runner for asyncio and one for blocking code drive the same
dialogue, so a provider is written once. A dialogue never catches an exception of the runner's and
never keeps state between attempts.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from datetime import datetime
from enum import Enum
from typing import Any, TypeAlias, TypeVar

from attrs import field, frozen

from ..domain.secrets.secret import Secret
from ..domain.upload.failure import Failure, FailureKind

REPLY_LIMIT = 1024 * 1024
"""At most this many bytes of a reply's body are read."""

Headers: TypeAlias = tuple[tuple[str, str], ...]


@frozen
class HttpRequest:
    """One request. `body` is the parts in order; they are built anew for each attempt and sent with
    a Content-Length.

    Headers may hold a credential, so a request does not show them. Raises TypeError for a part that
    is of another type than it should be: before anything is sent, so that nobody has to wonder
    whether it was.
    """

    method: str
    url: str
    headers: Headers = field(default=(), repr=False)
    body: tuple[bytes, ...] = field(default=(), repr=False)

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.method, str) or not isinstance(self.url, str):
            raise TypeError("the method and the url of an HttpRequest are text")
        if not isinstance(self.headers, tuple) or not all(map(_is_header, self.headers)):
            raise TypeError(
                "the headers of an HttpRequest are a tuple of pairs of text: ((name, value), ...)"
            )
        if not isinstance(self.body, tuple) or not all(
            isinstance(part, bytes) for part in self.body
        ):
            raise TypeError("the body of an HttpRequest is a tuple of bytes: (content,)")

    @property
    def body_size(self) -> int:
        """The Content-Length, in bytes."""
        return sum(map(len, self.body))


def _is_header(header: object) -> bool:
    match header:
        case (str(), str()):
            return True
        case _:
            return False


class Ending(Enum):
    """How the body of a reply ended."""

    COMPLETE = "complete"
    CUT_SHORT = "cut short"
    TOO_LONG = "longer than 1 MiB"


@frozen
class HttpResponse:
    """A reply, with at most `REPLY_LIMIT` bytes of its body; `ending` says whether that is all
    of it."""

    status: int
    headers: Headers = field(repr=False)
    body: bytes = field(repr=False)
    received_at: datetime
    ending: Ending = Ending.COMPLETE

    def header(self, name: str) -> str | None:
        """The first header of that name, whatever its case; None where there is none."""
        wanted = name.lower()
        return next((value for key, value in self.headers if key.lower() == wanted), None)


@frozen
class TransportFailure:
    """No reply came.

    `kind` says how far it got: NO_CONNECTION (could not resolve, connect or finish TLS) and
    NOT_SENT (the request was not sent whole) were surely not taken; TIMEOUT and CONNECTION_LOST
    (after it was sent) may have been.
    """

    kind: FailureKind
    message: str


@frozen
class Bookmark:
    """A first step is done; `progress` is what the next attempt needs to go on from here."""

    progress: str


@frozen
class AccessToken:
    """A token and whether it was minted just now: a fresh one that is refused says something
    else than an old one."""

    value: Secret
    fresh: bool


@frozen
class Access:
    """A wish for a token under `key`. The runner keeps tokens; `mint` is run once for all who ask
    at the same time.

    `refused` is a token that the API has just refused: it is thrown away first.
    """

    key: str
    mint: Callable[[], Dialogue[MintedToken | Failure]] = field(repr=False)
    refused: AccessToken | None = None


@frozen
class MintedToken:
    """What the token endpoint gave: the token, and for how many seconds it is good."""

    value: Secret
    expires_in: float


Step: TypeAlias = HttpRequest | Bookmark | Access
T = TypeVar("T")
# What is sent in depends on what was yielded, which Generator cannot say; `fetch`, `bookmark` and
# `access` narrow it.
Dialogue: TypeAlias = Generator[Step, Any, T]


def fetch(request: HttpRequest) -> Dialogue[HttpResponse | TransportFailure]:
    """Send a request: ``reply = yield from fetch(request)``."""
    reply = yield request
    assert isinstance(reply, HttpResponse | TransportFailure)
    return reply


def bookmark(progress: str) -> Dialogue[None]:
    """Have a half-done state committed before the dialogue goes on."""
    yield Bookmark(progress)


def access(wish: Access) -> Dialogue[AccessToken | Failure]:
    """Ask for a token."""
    answer = yield wish
    assert isinstance(answer, AccessToken | Failure)
    return answer
