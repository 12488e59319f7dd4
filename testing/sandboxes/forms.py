"""Reads a plain form with files, ``multipart/form-data`` as RFC 7578 has it: how a client sends a
file to a REST API.

Strict where servers differ: a part without a name, a part that comes twice, a file without a name
and a field that is no text are all refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from aiohttp import BodyPartReader, web
from aiohttp.http import HttpProcessingError
from attrs import frozen

from .bodies import BadRequestError, UploadedFile, bytes_of, file_of

MAX_FIELD_BYTES: Final = 100_000


@frozen
class Form:
    """The parts of a form by their names: the texts, and the files. `in_order` holds all files as
    they came, `repeated` all texts of the part that may come several times."""

    fields: Mapping[str, str]
    files: Mapping[str, UploadedFile]
    in_order: Sequence[UploadedFile]
    repeated: Sequence[str]


async def read_form(
    request: web.Request, *, max_file_bytes: int, repeated: str | None = None
) -> Form:
    """The form in the request's body; the part that is called `repeated` may come several times.

    Raises BadRequestError: 415 if the body is no form, 413 for a part that is too large, else 400.
    """
    if request.content_type != "multipart/form-data":
        raise BadRequestError("The body should be multipart/form-data.", status=415)
    try:
        return await _read(request, max_file_bytes, repeated)
    except (ValueError, RuntimeError, AssertionError, HttpProcessingError) as error:
        raise BadRequestError(f"Malformed multipart body: {error}") from error


async def _read(request: web.Request, max_file_bytes: int, repeated: str | None) -> Form:
    fields: dict[str, str] = {}
    files: dict[str, UploadedFile] = {}
    in_order: list[UploadedFile] = []
    texts: list[str] = []
    reader = await request.multipart()
    while (part := await reader.next()) is not None:
        if not isinstance(part, BodyPartReader) or not part.name:
            raise BadRequestError("A part of the form has no name.")
        name = part.name
        if name in fields or (name in files and name != repeated):
            raise BadRequestError(f"The part {name!r} was sent twice.")
        limit = MAX_FIELD_BYTES if part.filename is None else max_file_bytes
        too_large = f"The part {name!r} exceeds the limit of {limit} bytes."
        # A browser's file has a name; without one a part is a text, whatever it calls its type.
        if part.filename is None:
            text = (await bytes_of(part, limit, too_large)).decode("utf-8")
            if name == repeated:
                texts.append(text)
            else:
                fields[name] = text
        elif part.filename:
            files[name] = await file_of(part, limit, too_large)
            in_order.append(files[name])
        else:
            raise BadRequestError(f"The file {name!r} has no name.")
    return Form(fields, files, in_order, texts)
