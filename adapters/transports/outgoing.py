"""What both transports do with a request before and while it leaves."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from enum import Enum
from importlib.metadata import PackageNotFoundError, version
from typing import Final
from urllib.parse import SplitResult, unquote_to_bytes, urlsplit

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

    It decides whether a document is delivered twice. A request that was not sent whole was surely
    not taken and may be sent again. A request that was sent whole may have been taken, whatever
    happens to the connection afterwards.
    """

    NOTHING = "before the request was sent"
    PART = "before the whole document was sent"
    ALL = "after the request was sent"


class Late(Enum):
    """Which time of a request ran out."""

    CONNECT = "connect"
    IDLE = "idle"
    TOTAL = "total"


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


def without_userinfo(url: str) -> tuple[str, str | None]:
    """The URL without its user and password, and these as basic authorization: the bytes that the
    URL spells. ValueError if it is no URL."""
    parts = urlsplit(url)
    userinfo, _, place = parts.netloc.rpartition("@")
    if not userinfo:
        return url, None
    user, _, password = userinfo.partition(":")
    credentials = unquote_to_bytes(user) + b":" + unquote_to_bytes(password)
    return parts._replace(netloc=place).geturl(), f"Basic {base64.b64encode(credentials).decode()}"


def host_of(address: SplitResult) -> str:
    """The host as messages name it. ValueError if the address leads nowhere."""
    if address.scheme not in ("http", "https") or not address.hostname:
        raise ValueError("no address to connect to")
    return f"{address.hostname}" if address.port is None else f"{address.hostname}:{address.port}"


def own_headers() -> Headers:
    """Who sends the request, and that the reply is wanted uncompressed."""
    return (("User-Agent", f"evidence-courier/{_version()}"), ("Accept-Encoding", "identity"))


def _version() -> str:
    try:
        return version("evidence-courier")
    except PackageNotFoundError:  # imported from a checkout that is not installed
        return "dev"
