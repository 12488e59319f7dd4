"""Writing a ``multipart/form-data`` body (RFC 7578) without copying the files in it.

The body is a tuple of parts, and the bytes of a file are one of them. The boundary is derived from
a seed, so the same upload gives the same body at every attempt.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import count
from typing import NamedTuple

from attrs import field, frozen

from ...ports.dialogue import Headers, HttpRequest
from ...ports.provider import Parcel

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class FormField(NamedTuple):
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
    """Write a form.

    Args:
        parts: its fields and files, in order.
        seed: what the boundary is derived from: the sha256 of the file will do.

    Returns:
        The value of the header Content-Type, and the body.

    Raises:
        ValueError: a media type holds a control character, which would end its line.
    """
    fields = tuple([part for part in parts if isinstance(part, FormField)])
    contents = [part.content for part in parts if isinstance(part, FormFile)]
    opening, values = _opening(fields)
    boundary = boundary_for(seed, [*values, *contents])
    body: list[bytes] = []
    # What stands between two files. A line break goes before every delimiter but the first.
    start = ""
    if tuple(parts[: len(fields)]) == fields:  # as usual, and then it is the same for each upload
        start, parts = boundary.join(opening), parts[len(fields) :]
    for part in parts:
        start += f"--{boundary}\r\n{_head(part)}\r\n\r\n"
        if isinstance(part, FormFile):
            body += [start.encode(), part.content]
            start = "\r\n"
        else:
            start += f"{part.value}\r\n"
    body.append(f"{start}--{boundary}--\r\n".encode())
    return f"multipart/form-data; boundary={boundary}", tuple(body)


def form_request(
    url: str,
    headers: Headers,
    parts: Sequence[FormField | FormFile],
    seed: str,
    *,
    repeatable: bool = False,
) -> HttpRequest:
    """The request that posts a form; `parts` and `seed` as for `form_data`."""
    content_type, body = form_data(parts, seed)
    headers = (*headers, ("Content-Type", content_type))
    return HttpRequest("POST", url, headers, body, repeatable=repeatable)


def file_request(
    url: str, headers: Headers, parcel: Parcel, *fields: FormField, repeatable: bool = False
) -> HttpRequest:
    """The request that posts a form with these fields, and then the document as ``file``."""
    file = FormFile("file", parcel.file_name, parcel.media_type, parcel.content)
    return form_request(url, headers, (*fields, file), parcel.sha256, repeatable=repeatable)


def boundary_for(seed: str, contents: Sequence[bytes]) -> str:
    """The first boundary derived from `seed` that none of the contents holds."""
    for number in count():
        boundary = hashlib.sha256(f"{seed} {number}".encode()).hexdigest()[:32]
        sought = boundary.encode()
        if not [content for content in contents if sought in content]:
            return boundary
    raise AssertionError("there is always another number")


@lru_cache(maxsize=256)
def _opening(fields: tuple[FormField, ...]) -> tuple[tuple[str, ...], tuple[bytes, ...]]:
    """What stands between the boundaries of a form that begins with these fields, and the bytes
    of their values."""
    pieces = [f"\r\n{_head(one)}\r\n\r\n{one.value}\r\n" for one in fields]
    opening = ("--", *[f"{piece}--" for piece in pieces[:-1]], *pieces[-1:]) if pieces else ()
    return opening, tuple(one.value.encode() for one in fields)


def _head(part: FormField | FormFile) -> str:
    disposition = f'Content-Disposition: form-data; name="{_quoted(part.name)}"'
    if isinstance(part, FormField):
        return disposition
    if _CONTROL.search(part.media_type):
        raise ValueError("a media type must not hold control characters")
    return f'{disposition}; filename="{_quoted(part.file_name)}"\r\nContent-Type: {part.media_type}'


@lru_cache(maxsize=64)
def _quoted(name: str) -> str:
    """Quoted as browsers do it, so that nothing can end the quotation."""
    return _CONTROL.sub(lambda control: f"%{ord(control[0]):02X}", name.replace('"', "%22"))
