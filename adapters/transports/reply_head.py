"""The head of a reply, read before the HTTP library reads it.

Servers and gateways write heads that the libraries' parsers refuse (a space before a colon,
``http/1.1``, a line that is no header, a Content-Length said twice), or send interim replies that
were not asked for (100 to 103). The document has arrived all the same, and sending it again
makes a copy. So both transports put a `ReplyHead` between the connection and the parser. It leaves
interim replies out and writes the head anew in the form that every parser reads.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple, TypeAlias

from ...ports.dialogue import Headers
from .reply_chunks import Chunks

HEAD_LIMIT: Final = 256 * 1024
"""A head of more bytes is handed on unread, and the parser refuses it."""

# A head that every parser reads as it stands: its body ends at one length or with chunks.
_OTHERS = (
    rb"(?:(?!content-length:|transfer-encoding:)"
    rb"[!#$%&'*+.^_`|~0-9a-z-]++:[\t -~\x80-\xff]*+\r\n)*+"
)
_CLEAN = re.compile(
    rb"(?-i:HTTP)/1\.1 (?!204|304)[2-5]\d\d [ -~]*+\r\n"
    + _OTHERS
    + rb"(?:content-length: ?(\d{1,9})|transfer-encoding: ?chunked)\r\n"
    + _OTHERS
    + rb"\r\n",
    re.IGNORECASE,
)
_STATUS_LINE = re.compile(rb"(HTTP)/(\d(?:\.\d)?)[ \t]+(\d{3})(?:[ \t][^\r\n]*)?\r?\n", re.I)
_BLANK_LINE = re.compile(rb"\n\r?\n")
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+)([ \t]*):(.*)", re.DOTALL)
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_LENGTH, _CODING = b"content-length", b"transfer-encoding"

_Pairs: TypeAlias = list[tuple[bytes, bytes]]


class Whole(NamedTuple):
    """A reply that came at once."""

    code: int
    headers: Headers
    body: bytes


class ReplyHead:
    """The head of the reply to one request on a connection.

    `is_whole` once it was handed on; `is_unreadable` where what came is no head, or `is_endless`;
    `has_surplus` where more came than the reply's length, so that the connection is spoiled;
    `is_broken` where what came of its body is none, so that the rest is not to be waited for.
    """

    is_whole = is_unreadable = is_endless = has_surplus = is_broken = _is_clean = False
    _searched = 0
    _body_left: int | None = None
    _chunks: Chunks | None = None

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, data: bytes) -> bytes:
        """Take what came from the connection and return what the parser is to read: nothing until
        the head of the final reply is whole, then that head, then all that follows as it comes."""
        if self.is_whole:
            return self._of_the_body(data)
        if self.is_unreadable:
            return data
        if not self._held and (clean := _CLEAN.match(data)):  # as a rule
            self._held += data[: clean.end() - len(b"\n\r\n")]
            self._is_clean = True
            self._is_handed_on(clean[1], in_chunks=clean[1] is None)
            return self._of_the_body(data, clean.end())
        self._held += data if self._held else data.lstrip(b"\r\n")
        has_line = b"\n" in self._held
        while (line := _STATUS_LINE.match(self._held) if has_line else None) and (
            end := _BLANK_LINE.search(self._held, max(line.end() - 1, self._searched))
        ):
            if end.end() > HEAD_LIMIT:  # in whatever pieces it came
                break
            self._searched = 0
            rest = bytes(self._held[end.end() :])
            if not 100 <= int(line[3]) < 200:
                del self._held[end.start() :]
                head, length, in_chunks = _written_anew(self._held)
                self._is_handed_on(length, in_chunks)
                return head + self._of_the_body(rest)
            self._held[:] = rest.lstrip(b"\r\n")
        self.is_endless = len(self._held) > HEAD_LIMIT
        if self.is_endless or not (line or _may_become_a_reply(self._held)):
            self.is_unreadable = True
            return bytes(self._held)
        # A blank line may have begun in the last two bytes.
        self._searched = max(len(self._held) - 2, 0)
        return b""

    @property
    def may_hold_more(self) -> bool:
        """Whether something may have come behind the reply, or belongs to it and is to come."""
        chunks = self._chunks
        is_over = self._body_left is not None or (chunks is not None and chunks.is_over)
        return self.has_surplus or not is_over

    def _is_handed_on(self, length: bytes | None, in_chunks: bool) -> None:
        self.is_whole = True
        self._body_left = int(length) if length else None
        self._chunks = Chunks() if in_chunks else None

    def _of_the_body(self, data: bytes, start: int = 0) -> bytes:
        """What the parser is to read of it, where the body goes on from `start`."""
        if self._body_left is not None:
            size = len(data) - start
            self.has_surplus |= size > self._body_left
            data = data[: start + self._body_left]
            self._body_left = max(self._body_left - size, 0)
        elif self._chunks is not None:
            data = self._chunks.feed(data, start)
            self.has_surplus |= self._chunks.has_surplus
            self.is_broken = self._chunks.is_broken
        return data

    def reply_in(self, data: bytes) -> Whole | None:
        """The reply, if all of it is in `data`, in a form that every parser reads, and the
        connection stays open behind it."""
        if not self._is_clean or self._body_left != 0 or self.has_surplus:
            return None
        end = len(self._held) - len(b"\r")
        line, *lines = data[:end].decode("utf-8", "surrogateescape").split("\r\n")
        pairs = [one.split(":", 1) for one in lines]
        headers = tuple((name, text.strip(" \t")) for name, text in pairs)
        for name, text in headers:
            if name.lower() == "connection" and text.lower() != "keep-alive":
                return None
        return Whole(int(line[9:12]), headers, data[end + len(b"\r\n\r\n") :])

    @property
    def status(self) -> int | None:
        """The status, once its line has come."""
        line = _STATUS_LINE.match(self._held + b"\n")
        return None if line is None else int(line[3])

    def refusal(self) -> tuple[int, Headers] | None:
        """The status and the headers of a reply that is not 2xx, as far as they have come. Such a
        reply decides by its status, even if the rest of it is damaged."""
        if self.status is None or self.status < 300:
            return None
        pairs, _ = _headers(self._held)
        return self.status, tuple((name.decode(), text.decode("latin-1")) for name, text in pairs)


def _may_become_a_reply(held: bytearray) -> bool:
    return b"\n" not in held and b"HTTP/".startswith(held[:5].upper())


def _written_anew(head: bytearray) -> tuple[bytes, bytes | None, bool]:
    """The head in the form that every parser reads, the length of the body if it is said, and
    whether it comes in chunks. If something was mended, the head asks for the connection to be
    closed."""
    if clean := _CLEAN.fullmatch(head + b"\n\r\n"):
        return clean[0], clean[1], clean[1] is None
    line = _STATUS_LINE.match(head + b"\n")
    assert line is not None
    pairs, mended = _headers(head)
    framing = _framing(pairs)
    plain = [pair for pair in pairs if pair[0].lower() not in (_LENGTH, _CODING)]
    if mended or len(plain) + len(framing) != len(pairs) or line[1] != b"HTTP":
        plain = [pair for pair in plain if pair[0].lower() != b"connection"]
        plain.append((b"Connection", b"close"))
    version = line[2] if line[2] == b"1.0" else b"1.1"
    lines = [b"HTTP/%b %b " % (version, line[3]), *(b"%b: %b" % pair for pair in plain + framing)]
    head_again = b"\r\n".join([*lines, b"", b""])
    if line[3] in (b"204", b"304"):
        return head_again, b"0", False
    name, text = framing[0] if len(framing) == 1 else (b"", b"")
    length = text if name.lower() == _LENGTH and text.isdigit() else None
    return head_again, length, name.lower() == _CODING


def _framing(pairs: _Pairs) -> _Pairs:
    """The headers that say where the body ends. A length that is said twice is said once; an
    empty one, and a coding that does not end in chunks, is left out; two different lengths stay,
    for the parser to refuse."""
    codings = [pair for pair in pairs if pair[0].lower() == _CODING]
    lengths = [pair for pair in pairs if pair[0].lower() == _LENGTH]
    numbers = {text.strip(b' \t+;"') for _, texts in lengths for text in texts.split(b",")} - {b""}
    if codings and codings[-1][1].lower().endswith(b"chunked"):
        return [(codings[0][0], b"chunked")]
    if not numbers:
        return []
    return [(lengths[0][0], numbers.pop())] if len(numbers) == 1 else lengths


def _headers(head: bytearray) -> tuple[_Pairs, bool]:
    """The headers, and whether a line had to be mended or left out."""
    pairs: _Pairs = []
    mended = False
    for line in bytes(head).split(b"\n")[1:]:
        header = _HEADER.fullmatch(line)
        if header is not None:
            pairs.append((header[1], _value(header[3])))
        elif line[:1] in (b" ", b"\t") and pairs:
            pairs[-1] = (pairs[-1][0], pairs[-1][1] + b" " + _value(line))
        mended |= header is None or bool(header[2])
    return pairs, mended


def _value(text: bytes) -> bytes:
    return _CONTROL.sub(b" ", text).strip()
