"""Reads a GraphQL multipart request: how a GraphQL client sends files.

The specification (github.com/jaydenseric/graphql-multipart-request-spec) wants three things in this
order: the field `operations`, JSON in which every file is null; the field `map`, JSON that says for
each file part where in `operations` it belongs; then the files. This reader is strict where servers
differ, since a client that passes here should pass anywhere: a missing or misordered part, a place
that does not exist and a place that is not null are all refused.
"""

from __future__ import annotations

from typing import Final

from aiohttp import BodyPartReader, MultipartReader
from aiohttp.http import HttpProcessingError

from .bodies import BadRequestError, UploadedFile, bytes_of, file_of, json_object

MAX_FIELD_BYTES: Final = 1_000_000  # operations, and map: enough for any query


async def read_multipart(reader: MultipartReader, *, max_file_bytes: int) -> dict[str, object]:
    """The `operations` object with an `UploadedFile` in each mapped place. A part that no
    place is mapped to is ignored.

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
                raise BadRequestError("The multipart field 'operations' was sent twice.")
            operations = await _object_in(part, name)
        elif name == "map":
            if operations is None:
                raise BadRequestError(
                    "Misordered multipart fields: 'map' should follow 'operations'."
                )
            if places is not None:
                raise BadRequestError("The multipart field 'map' was sent twice.")
            places = _places(await _object_in(part, name), operations)
        elif part.filename is None:
            continue  # a field of no concern to this request
        elif places is None or operations is None:
            raise BadRequestError("Misordered multipart fields: files should follow 'map'.")
        elif name in places:
            file = await file_of(part, max_file_bytes, _too_large(name, max_file_bytes))
            if name in arrived:
                raise BadRequestError(f"The file part {name!r} was sent twice.")
            arrived.add(name)
            for path in places[name]:
                _put(operations, path, file)
    for name, value in (("operations", operations), ("map", places)):
        if value is None:
            raise BadRequestError(f"Missing multipart field {name!r}.")
    missing = sorted((places or {}).keys() - arrived)
    if missing:
        raise BadRequestError(f"File missing in the request: no file part is named {missing[0]!r}.")
    return operations or {}


def _too_large(name: str, limit: int) -> str:
    return f"The multipart part {name!r} exceeds the limit of {limit} bytes."


async def _object_in(part: BodyPartReader, name: str) -> dict[str, object]:
    return json_object(
        await bytes_of(part, MAX_FIELD_BYTES, _too_large(name, MAX_FIELD_BYTES)),
        f"Invalid JSON in the multipart field {name!r}.",
        f"Invalid type for the multipart field {name!r}: it should be a JSON object.",
    )


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
        if isinstance(value, dict) and step in value:
            value = value[step]
        elif (
            isinstance(value, list) and step.isascii() and step.isdigit() and int(step) < len(value)
        ):
            value = value[int(step)]
        else:
            raise BadRequestError(
                f"Invalid object path {path!r} in 'map': 'operations' has no such place."
            )
    return value


def _put(operations: dict[str, object], path: str, file: UploadedFile) -> None:
    *parents, last = path.split(".")
    holder = _get(operations, ".".join(parents)) if parents else operations
    if isinstance(holder, dict):
        holder[last] = file
    elif isinstance(holder, list):
        holder[int(last)] = file
