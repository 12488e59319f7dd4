"""Writing a ``multipart/form-data`` body (RFC 7578) from bytes that are ready, without copying
them.

The body is a tuple of parts, and a file's own bytes are one of them. The boundary is derived from a
seed, so the same upload gives the same body at every attempt; it is checked against everything that
it separates.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
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


def form_data(parts: Sequence[FormField | FormFile], seed: str) -> tuple[str, tuple[bytes, ...]]:
    """The Content-Type and the body of a form with these parts, in this order.

    Raises ValueError for a media type that holds control characters: it would break out of its
    line.
    """
    boundary = boundary_for(seed, [_content(part) for part in parts])
    body: list[bytes] = []
    # what stands between two files; a line break goes before every delimiter but the first
    text = ""
    for part in parts:
        text += f"--{boundary}\r\n{_head(part)}\r\n\r\n"
        if isinstance(part, FormFile):
            body += [text.encode(), part.content]
            text = "\r\n"
        else:
            text += f"{part.value}\r\n"
    body.append(f"{text}--{boundary}--\r\n".encode())
    return f"multipart/form-data; boundary={boundary}", tuple(body)


def boundary_for(seed: str, contents: Sequence[bytes]) -> str:
    """The first boundary derived from `seed` that stands in none of the contents."""
    for number in count():
        boundary = hashlib.sha256(f"{seed} {number}".encode()).hexdigest()[:32]
        if not any(boundary.encode() in content for content in contents):
            return boundary
    raise AssertionError("there is always another number")


def _content(part: FormField | FormFile) -> bytes:
    return part.content if isinstance(part, FormFile) else part.value.encode()


def _head(part: FormField | FormFile) -> str:
    disposition = f'Content-Disposition: form-data; name="{_quoted(part.name)}"'
    if isinstance(part, FormField):
        return disposition
    if _CONTROL.search(part.media_type):
        raise ValueError("a media type must not hold control characters")
    return f'{disposition}; filename="{_quoted(part.file_name)}"\r\nContent-Type: {part.media_type}'


def _quoted(name: str) -> str:
    """As browsers quote it: nothing can leave the quotation marks."""
    return _CONTROL.sub(lambda control: f"%{ord(control[0]):02X}", name.replace('"', "%22"))
