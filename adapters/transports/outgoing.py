"""What both transports do with a request before and while it leaves."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from enum import Enum
from functools import cache, lru_cache
from importlib.metadata import PackageNotFoundError, version
from typing import Final
from urllib.parse import SplitResult, unquote_to_bytes, urlsplit

from attrs import frozen

from ...ports.dialogue import Headers, HttpRequest

KEEPALIVE: Final = 2.0
"""How many seconds an idle connection is kept, by default."""

STREAMED_FROM: Final = 1024 * 1024
"""A smaller body is joined and handed over at once; a bigger one is streamed."""
CHUNK: Final = 64 * 1024

BODY_TYPE: Final = "application/octet-stream"
"""The type of a body if the request does not say it."""

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
    names, values = zip(*request.headers, strict=True) if request.headers else ((), ())
    if not _are_tokens(names):
        raise ValueError("a request's header has a name that is none")
    if _FORBIDDEN.search("".join(values)):
        name = next(name for name, value in request.headers if _FORBIDDEN.search(value))
        raise ValueError(f"the request's header {name} holds a control character")


@lru_cache(maxsize=256)
def _are_tokens(names: tuple[str, ...]) -> bool:
    return all(map(_TOKEN.fullmatch, names))


def lacks(request: HttpRequest, name: str) -> bool:
    """Whether a request does not have a header that is written for it."""
    return name in _missing(tuple([name for name, _ in request.headers]))


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


@frozen
class Destination:
    """Where a request goes, and through which proxy.

    The URLs come without user and password. These are sent as basic authorization, with the bytes
    that the URL spells. `host` is the name for messages.
    """

    url: str
    authorization: str | None
    proxy: str | None
    proxy_authorization: str | None
    host: str
    under_tls: bool

    @staticmethod
    @lru_cache(maxsize=64)
    def of(to: str, through: str | None) -> Destination:
        """Where a URL leads, through a proxy. ValueError if either leads nowhere."""
        url, authorization = _parted(to)
        proxy, proxy_authorization = (None, None) if through is None else _parted(through)
        address, *others = [_checked(urlsplit(each)) for each in (url, proxy) if each is not None]
        host = f"{address.hostname}" + ("" if address.port is None else f":{address.port}")
        under_tls = "https" in [each.scheme for each in (address, *others)]
        return Destination(url, authorization, proxy, proxy_authorization, host, under_tls)

    def headers(self, request: HttpRequest) -> Headers:
        """The request's headers, and ours for those that it does not have: who sends it, that the
        reply is wanted uncompressed, and how long the body is."""
        size = request.body_size
        has_body = bool(size) or request.method.upper() in ("POST", "PUT", "PATCH")
        missing = _missing(tuple([name for name, _ in request.headers]))
        own = [(name, text) for name, text in _own() if name in missing]
        if has_body and "Content-Type" in missing:
            own.append(("Content-Type", BODY_TYPE))
        if has_body and "Content-Length" in missing:
            own.append(("Content-Length", str(size)))
        if self.authorization is not None and "Authorization" in missing:
            own.append(("Authorization", self.authorization))
        return (*own, *[(name, text.strip()) for name, text in request.headers])


@lru_cache(maxsize=256)
def _missing(given: tuple[str, ...]) -> frozenset[str]:
    """Which of our headers a request with these names does not have."""
    names = {name.lower() for name in given}
    ours = (
        *[name for name, _ in _own()],
        "Content-Type",
        "Content-Length",
        "Authorization",
        "Host",
    )
    return frozenset(name for name in ours if name.lower() not in names)


@cache
def _own() -> Headers:
    # Once: to read the version parses a file, and each request names it.
    return (
        ("User-Agent", f"evidence-courier/{_version()}"),
        ("Accept", "*/*"),
        ("Accept-Encoding", "identity"),
    )


def _parted(url: str) -> tuple[str, str | None]:
    parts = urlsplit(url)
    userinfo, _, place = parts.netloc.rpartition("@")
    if not userinfo:
        return url, None
    user, _, password = userinfo.partition(":")
    credentials = unquote_to_bytes(user) + b":" + unquote_to_bytes(password)
    return parts._replace(netloc=place).geturl(), f"Basic {base64.b64encode(credentials).decode()}"


def _checked(address: SplitResult) -> SplitResult:
    if address.scheme not in ("http", "https") or not address.hostname:
        raise ValueError("no address to connect to")
    return address


def _version() -> str:
    try:
        return version("evidence-courier")
    except PackageNotFoundError:  # imported from a checkout that is not installed
        return "dev"
