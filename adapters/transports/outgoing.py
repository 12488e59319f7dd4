"""What every transport does with a request before and while it leaves, whichever library carries
it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from ...ports.dialogue import Headers, HttpRequest

KEEPALIVE: Final = 2.0
"""For so many seconds an idle connection is kept, unless told otherwise."""

STREAMED_FROM: Final = 1024 * 1024
"""A smaller body is joined and handed over at once; a bigger one is streamed."""
CHUNK: Final = 64 * 1024

BODY_TYPE: Final = "application/octet-stream"
"""What a body is said to be where the request does not say it."""

# What would end a header early and begin another one, or cannot be encoded.
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class Sent(Enum):
    """How much of a body may have left.

    It decides whether a document is delivered twice: a request that was surely not sent whole was
    surely not taken, and may be sent again without a second thought; one that was may have been
    taken, whatever happens to the line afterwards.
    """

    NOTHING = "nothing"
    PART = "part"
    ALL = "all"


def check(request: HttpRequest) -> None:
    """Refuse what could smuggle a header in, by a ValueError. The message shows no value: it may
    be a credential."""
    if _FORBIDDEN.search(request.url) or not _TOKEN.fullmatch(request.method):
        raise ValueError("a request's method or URL holds a character that does not belong there")
    for name, value in request.headers:
        if not _TOKEN.fullmatch(name):
            raise ValueError("a request's header has a name that is none")
        if _FORBIDDEN.search(value):
            raise ValueError(f"the request's header {name} holds a control character")


def chunks_of(parts: tuple[bytes, ...], length: int) -> Iterator[bytes | memoryview]:
    """The body as it is handed over: joined where it is small, in pieces where it is not. No
    piece is empty."""
    if length < STREAMED_FROM:
        yield b"".join(parts)
        return
    for part in parts:
        view = memoryview(part)
        for start in range(0, len(part), CHUNK):
            yield view[start : start + CHUNK]


def own_headers() -> Headers:
    """What a transport says besides what the request asks for: who sends it, and that a reply is
    wanted as it is."""
    return (("User-Agent", f"evidence-courier/{_version()}"), ("Accept-Encoding", "identity"))


def _version() -> str:
    try:
        return version("evidence-courier")
    except PackageNotFoundError:  # imported from a checkout that is not installed
        return "dev"
