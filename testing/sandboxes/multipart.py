"""Reads a GraphQL multipart request: how a GraphQL client sends files.

The specification (github.com/jaydenseric/graphql-multipart-request-spec) wants three things in this
order: the field `operations`, JSON in which every file is null; the field `map`, JSON that says for
each file part where in `operations` it belongs; then the files. This reader is strict where servers
differ, since a client that passes here should pass anywhere: a missing or misordered part, a place
that does not exist and a place that is not null are all refused.
"""

from __future__ import annotations

import json
from typing import Final

from aiohttp import BodyPartReader, MultipartReader
from aiohttp.http import HttpProcessingError
from attrs import field, frozen

MAX_FIELD_BYTES: Final = 1_000_000  # operations, and map: enough for any query
_CHUNK: Final = 64 * 1024


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


async def read_multipart(reader: MultipartReader, *, max_file_bytes: int) -> dict[str, object]:
    """The `operations` object with an `UploadedFile` in each mapped place; parts nobody mapped are
    ignored.

    Raises BadRequestError: 413 for a file or field that is too large, else 400.
    """
    try:
        return await _read(reader, max_file_bytes)
    except (ValueError, RuntimeError, AssertionError, HttpProcessingError) as error:
        raise BadRequestError(f"Malformed multipart body: {error}") from error


async def _read(reader: MultipartReader, max_file_bytes: int) -> dict[str, object]:
    operations: dict[str, object] | None = None
    places: dict[str, list[str]] | None = None
    arrived: set[str] = set()
    while (part := await reader.next()) is not None:
        if not isinstance(part, BodyPartReader):
            raise BadRequestError("A part of the multipart body is itself multipart.")
        name = part.name or ""
        if name == "operations":
            if operations is not None:
                raise BadRequestError("The multipart field 'operations' came twice.")
            operations = _json_object(await _bytes_of(part, name, MAX_FIELD_BYTES), name)
        elif name == "map":
            if operations is None:
                raise BadRequestError(
                    "Misordered multipart fields: 'map' should follow 'operations'."
                )
            if places is not None:
                raise BadRequestError("The multipart field 'map' came twice.")
            places = _places(
                _json_object(await _bytes_of(part, name, MAX_FIELD_BYTES), name), operations
            )
        elif part.filename is None:
            continue  # a field of no concern to this request
        elif places is None or operations is None:
            raise BadRequestError("Misordered multipart fields: files should follow 'map'.")
        elif name in places:
            content = await _bytes_of(part, name, max_file_bytes)
            if name in arrived:
                raise BadRequestError(f"The file part {name!r} came twice.")
            arrived.add(name)
            media_type = part.headers.get("Content-Type", "application/octet-stream")
            for path in places[name]:
                _put(operations, path, UploadedFile(part.filename, media_type, content))
    if operations is None:
        raise BadRequestError("Missing multipart field 'operations'.")
    if places is None:
        raise BadRequestError("Missing multipart field 'map'.")
    missing = sorted(places.keys() - arrived)
    if missing:
        raise BadRequestError(f"File missing in the request: no file part is named {missing[0]!r}.")
    return operations


async def _bytes_of(part: BodyPartReader, name: str, limit: int) -> bytes:
    content = bytearray()
    while chunk := await part.read_chunk(_CHUNK):
        content += chunk
        if len(content) > limit:
            raise BadRequestError(
                f"The multipart part {name!r} exceeds the limit of {limit} bytes.", status=413
            )
    return bytes(content)


def _json_object(text: bytes, name: str) -> dict[str, object]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadRequestError(f"Invalid JSON in the multipart field {name!r}.") from error
    if not isinstance(value, dict):
        raise BadRequestError(
            f"Invalid type for the multipart field {name!r}: it should be a JSON object."
        )
    return value


def _places(mapping: dict[str, object], operations: dict[str, object]) -> dict[str, list[str]]:
    """`map` with every place looked up: it must be there, hold null, and be named once."""
    places: dict[str, list[str]] = {}
    seen: set[str] = set()
    for part, paths in mapping.items():
        if not isinstance(paths, list):
            raise BadRequestError(
                f"Invalid type for the 'map' entry {part!r}: it should be an array."
            )
        places[part] = []
        for path in paths:
            if not isinstance(path, str):
                raise BadRequestError(
                    f"Invalid type in the 'map' entry {part!r}: a path should be a string."
                )
            if path in seen:
                raise BadRequestError(f"Two files are mapped to {path!r}.")
            if _get(operations, path) is not None:
                raise BadRequestError(
                    f"The placeholder at {path!r} in 'operations' should be null."
                )
            seen.add(path)
            places[part].append(path)
    return places


def _get(operations: dict[str, object], path: str) -> object:
    value: object = operations
    for step in path.split("."):
        try:
            value = _child(value, step)
        except (LookupError, ValueError) as error:
            raise BadRequestError(
                f"Invalid object path {path!r} in 'map': 'operations' has no such place."
            ) from error
    return value


def _child(value: object, step: str) -> object:
    if isinstance(value, dict):
        return value[step]
    if isinstance(value, list) and step.isascii() and step.isdigit():
        return value[int(step)]
    raise LookupError(step)


def _put(operations: dict[str, object], path: str, file: UploadedFile) -> None:
    *parents, last = path.split(".")
    holder = _get(operations, ".".join(parents)) if parents else operations
    if isinstance(holder, dict):
        holder[last] = file
    elif isinstance(holder, list):
        holder[int(last)] = file
