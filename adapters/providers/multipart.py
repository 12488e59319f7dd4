"""Writing a ``multipart/form-data`` body (RFC 7578) from bytes that are ready, without copying them.

The body is a tuple of parts, and a file's own bytes are one of them. The boundary is derived from a seed, so the same upload gives the same
body at every attempt; it is checked against everything that it separates.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from itertools import count

from attrs import field, frozen

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@frozen
class FormField:
    """A plain field of a form."""

    name: str
    value: str


@frozen
class FormFile:
    """A file in a form, under a field's name."""

    name: str
    file_name: str
    media_type: str
    content: bytes = field(repr=lambda content: f"<{len(content)} bytes>")


def form_data(parts: Iterable[FormField | FormFile], seed: str) -> tuple[str, tuple[bytes, ...]]:
    """The Content-Type and the body of a form with these parts, in this order.

    Raises ValueError for a media type that holds control characters: it would break out of its line.
    """
    pieces = [(_head(part), part.content if isinstance(part, FormFile) else part.value.encode()) for part in parts]
    boundary = boundary_for(seed, [piece for pair in pieces for piece in pair])
    body: list[bytes] = []
    lead = b"--" + boundary + b"\r\n"
    for head, content in pieces:
        body += [lead + head, content]
        lead = b"\r\n--" + boundary + b"\r\n"
    body.append(b"\r\n--" + boundary + b"--\r\n")
    return f"multipart/form-data; boundary={boundary.decode()}", tuple(body)


def boundary_for(seed: str, pieces: Iterable[bytes]) -> bytes:
    """The first boundary derived from `seed` that stands in none of the pieces."""
    pieces = tuple(pieces)
    candidates = (hashlib.sha256(f"{seed} {number}".encode()).hexdigest()[:32].encode() for number in count())
    return next(boundary for boundary in candidates if not any(boundary in piece for piece in pieces))


def _head(part: FormField | FormFile) -> bytes:
    lines = f'Content-Disposition: form-data; name="{_quoted(part.name)}"'
    if isinstance(part, FormFile):
        if _CONTROL.search(part.media_type):
            raise ValueError("a media type must not hold control characters")
        lines += f'; filename="{_quoted(part.file_name)}"\r\nContent-Type: {part.media_type}'
    return f"{lines}\r\n\r\n".encode()


def _quoted(name: str) -> str:
    """As browsers quote it: nothing can leave the quotation marks."""
    return _CONTROL.sub(lambda control: f"%{ord(control[0]):02X}", name.replace('"', "%22"))
