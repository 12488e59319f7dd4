"""The body of a reply that comes in chunks, before the HTTP library reads it.

Servers end their chunks twice, or the lines between them with a line feed alone; the libraries'
parsers refuse that, each in its own way, and the document has arrived all the same.
"""

from __future__ import annotations

import re
from typing import Final

_SIZE = re.compile(rb"[ \t]*([0-9a-f]{1,16})[ \t]*(?:;.*)?", re.IGNORECASE | re.DOTALL)
_PLAIN = re.compile(rb"[0-9a-f]{1,8}", re.IGNORECASE)
_END: Final = b"0\r\n\r\n"
_LINE_LIMIT: Final = 64 * 1024


class Chunks:
    """Writes them anew in the form that every parser reads, without trailers.

    `is_over` once their end has come; what comes behind it is left out, and is a `has_surplus`.
    `is_broken` once something has come that is no chunk: from there on nothing is read.
    """

    is_over = has_surplus = is_broken = False
    _is_behind_data = _is_last = False
    _left = 0
    _held = b""

    def feed(self, data: bytes, start: int = 0) -> bytes:
        """Take what came, from `start` on, and return it all with what the parser is to read."""
        if not self._held and not self._left and self._is_all_of(data, start):
            self.is_over = True
            return data
        out = [data[:start]]
        data, at = self._held + data[start:], 0
        while at < len(data) and not self.is_broken and not self.is_over:
            if self._left:
                piece = data[at : at + self._left]
                self._left -= len(piece)
                at += len(piece)
                out.append(piece)
                continue
            end = data.find(b"\n", at) + 1
            if not end:
                self.is_broken = len(data) - at > _LINE_LIMIT
                break
            written = self._written(data[at : end - 1].removesuffix(b"\r"))
            self.is_broken = written is None
            if written is not None:
                out.append(written)
                at = end
        self._held = b"" if self.is_broken or self.is_over else data[at:]
        self.has_surplus |= self.is_over and at < len(data)
        return b"".join(out)

    def _is_all_of(self, data: bytes, start: int) -> bool:
        """Whether that is one chunk and the end, in the form that every parser reads, as a rule."""
        if self._is_behind_data or self._is_last or self.is_broken or self.is_over:
            return False
        line = data.find(b"\r\n", start, start + 16)
        size = _PLAIN.fullmatch(data, start, line) if line > 0 else None
        length = 0 if size is None else int(size[0], 16)
        is_followed_by_the_end = line + 2 + length + 2 + len(_END) == len(data)
        return length > 0 and is_followed_by_the_end and data.endswith(b"\r\n" + _END)

    def _written(self, line: bytes) -> bytes | None:
        """What a line between the bytes of the body comes to; None: it does not belong there."""
        if self._is_behind_data:
            self._is_behind_data = False
            return None if line else b"\r\n"
        if self._is_last:  # a trailer, or the end of them
            self.is_over = not line
            return b"" if line else _END
        size = _SIZE.fullmatch(line)
        if size is None:
            return None
        self._left = int(size[1], 16)
        self._is_behind_data, self._is_last = self._left > 0, self._left == 0
        return b"%x\r\n" % self._left if self._left else b""
