"""The body of a reply as its headers say it is to be read: uncompressed, and text as UTF-8."""

from __future__ import annotations

import codecs
import json
import re
import zlib
from contextlib import suppress
from email.message import Message
from functools import lru_cache
from typing import Final

from attrs import evolve

from ...ports.dialogue import REPLY_LIMIT, Ending, HttpResponse

_TEXT = re.compile(r"text/.*|application/(.*\+)?(json|xml)")
# Python has other codecs that are no charsets, and some that take their time.
_CHARSET = re.compile(r"ascii|utf-(8|16|32).*|iso8859-.*|cp\d+|koi8.*|gb.*|big5.*|shift.*|euc.*")
_GZIP: Final = b"\x1f\x8b"
_WINDOWS: Final = {"gzip": (47,), "x-gzip": (47,), "deflate": (47, -15)}
"""What zlib is to expect: it knows gzip and deflate apart; of deflate, servers send two forms."""


def read_as_it_says(reply: HttpResponse) -> HttpResponse:
    """The reply with its body uncompressed (gzip, deflate) and, where it is text, in UTF-8.

    At most `REPLY_LIMIT` bytes come out of it. A body that cannot be read as its headers say
    (another coding, an unknown charset, bytes that do not fit) stays as it came.
    """
    codings = [text for name, text in reply.headers if name.lower() == "content-encoding"]
    for written in reversed(",".join(codings).lower().split(",") if codings else ()):
        coding = written.partition(";")[0].strip()
        if coding in _WINDOWS:
            reply = _inflated(reply, _WINDOWS[coding])
    if reply.body.startswith(_GZIP):  # no text begins so
        reply = _inflated(reply, _WINDOWS["gzip"])
    body = _as_utf8(reply.body, reply.header("content-type"))
    if body is reply.body:
        return reply
    if len(body) > REPLY_LIMIT:
        return evolve(reply, body=body[:REPLY_LIMIT], ending=Ending.TOO_LONG)
    return evolve(reply, body=body)


def _inflated(reply: HttpResponse, windows: tuple[int, ...]) -> HttpResponse:
    for window in windows:
        with suppress(zlib.error):
            body, ending = _members(reply.body, window)
            # What is packed says itself where it ends, if the length is that of the unpacked body.
            says = Ending.COMPLETE in (ending, reply.ending)
            return evolve(reply, body=body, ending=ending if says else reply.ending)
    return reply


def _members(packed: bytes, window: int) -> tuple[bytes, Ending]:
    """What comes out, as far as it is read. zlib.error if nothing does."""
    body = bytearray()
    while packed:
        member = zlib.decompressobj(window)
        try:
            body += member.decompress(packed, REPLY_LIMIT + 1 - len(body))
        except zlib.error:
            if not body:
                raise
            return bytes(body), Ending.CUT_SHORT
        if len(body) > REPLY_LIMIT:
            return bytes(body[:REPLY_LIMIT]), Ending.TOO_LONG
        if not member.eof:
            return bytes(body), Ending.CUT_SHORT
        # Anything else behind it, zeros for instance, is no part of the body.
        packed = member.unused_data if member.unused_data.startswith(_GZIP) else b""
    return bytes(body), Ending.COMPLETE


def _as_utf8(body: bytes, content_type: str | None) -> bytes:
    # A byte order mark, or the zeros of UTF-16, say more than the header.
    seen, named = json.detect_encoding(body), _charset_of(content_type or "text/plain")
    is_wide = named is not None and named.startswith(("utf-16", "utf-32"))  # it has no zeros
    charset = named if (seen == "utf-8" and not is_wide) or named is None else seen
    if charset is None or charset == "utf-8":
        return body
    with suppress(LookupError, ValueError):
        if _CHARSET.fullmatch(codecs.lookup(charset).name):
            return body.decode(charset).removeprefix("\ufeff").encode()
    return body


@lru_cache(maxsize=16)
def _charset_of(content_type: str) -> str | None:
    """The charset of a type; None if it is no text."""
    message = Message()
    message["Content-Type"] = content_type
    is_text = _TEXT.fullmatch(message.get_content_type())
    return message.get_content_charset("utf-8") if is_text else None
