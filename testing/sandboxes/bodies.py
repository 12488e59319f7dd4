"""Reading what a request brings, up to a limit, and refusing what cannot be served."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Collection, Mapping

from aiohttp import BodyPartReader, web
from attrs import field, frozen

_CHUNK = 64 * 1024


class BadRequestError(Exception):
    """A request that cannot be served; `status` is the HTTP status that says so."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.message = message
        self.status = status


@frozen
class UploadedFile:
    """A file part: its name and media type as the client declared them, and its bytes."""

    name: str
    media_type: str
    content: bytes = field(repr=False)


def is_of_type(name: str, media_type: str, types: Mapping[str, str | Collection[str]]) -> bool:
    """Whether a file name's ending and the declared media type are both known, and agree."""
    _, dot, ending = name.rpartition(".")
    taken = types.get(ending.lower(), ())
    declared = media_type.partition(";")[0].strip().lower()
    return bool(dot) and declared in ((taken,) if isinstance(taken, str) else taken)


async def whole(chunks: AsyncIterator[bytes], limit: int, too_large: str) -> bytes:
    """All the bytes that come. Raises BadRequestError with those words and 413 beyond `limit`."""
    content = bytearray()
    async for chunk in chunks:
        content += chunk
        if len(content) > limit:
            raise BadRequestError(too_large, status=413)
    return bytes(content)


async def body_of(request: web.Request, limit: int, too_large: str) -> bytes:
    """The body of a request."""
    return await whole(request.content.iter_any(), limit, too_large)


async def bytes_of(part: BodyPartReader, limit: int, too_large: str) -> bytes:
    """The content of a part of a form."""

    async def chunks() -> AsyncIterator[bytes]:
        while chunk := await part.read_chunk(_CHUNK):
            yield chunk

    return await whole(chunks(), limit, too_large)


async def file_of(part: BodyPartReader, limit: int, too_large: str) -> UploadedFile:
    """The file that a part of a form is."""
    media_type = part.headers.get("Content-Type", "application/octet-stream")
    content = await bytes_of(part, limit, too_large)
    return UploadedFile(part.filename or "", media_type, content)


def json_object(text: bytes, not_json: str, no_object: str) -> dict[str, object]:
    """The object that a JSON text is. Raises BadRequestError with those words."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadRequestError(not_json) from error
    if not isinstance(value, dict):
        raise BadRequestError(no_object)
    return value
