"""Sending a file with a GraphQL operation, as a GraphQL multipart request.

Specified at github.com/jaydenseric/graphql-multipart-request-spec: a form with the field
``operations`` (the query and its variables, in which the file is null), the field ``map`` (which
file belongs where), and the file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from ...ports.dialogue import Headers, HttpRequest
from .multipart import FormField, FormFile, form_request

FILE_PART: Final = "0"
GRAPHQL_ACCEPT: Final = ("Accept", "application/json, application/graphql-response+json;q=0.9")
"""A server that knows both forms then answers in the older one: HTTP 200 around a GraphQL error.
Both forms are understood."""
HEADERS: Headers = (
    GRAPHQL_ACCEPT,
    # Apollo and others refuse a multipart request without a header that needs a preflight.
    ("Apollo-Require-Preflight", "true"),
)


def graphql_upload(
    url: str,
    credentials: Headers,
    *,
    query: str,
    variables: Mapping[str, object],
    file_variable: str,
    file_name: str,
    media_type: str,
    content: bytes,
    seed: str,
) -> HttpRequest:
    """The request that runs `query` with a file. The same arguments give the same bytes.

    Args:
        url: the GraphQL endpoint.
        credentials: headers that are sent first.
        query: the operation.
        variables: its other variables.
        file_variable: the variable that is the file, by its path: ``evidenceFile``,
            ``input.file``, ``input.files.0``. Objects on the path are made where they are missing.
        file_name: the name of the file.
        media_type: its media type.
        content: its bytes.
        seed: as for `form_data`.

    Raises:
        ValueError: `file_variable` leads through a value that is neither an object nor a list.
    """
    if set(map(type, variables.values())) <= {str}:
        fields = _fields_of_texts(query, tuple(variables.items()), file_variable)
    else:
        fields = _fields(query, variables, file_variable)
    parts = (*fields, FormFile(FILE_PART, file_name, media_type, content))
    return form_request(url, (*credentials, *HEADERS), parts, seed)


def _fields(
    query: str, variables: Mapping[str, object], file_variable: str
) -> tuple[FormField, FormField]:
    given = {"query": query, "variables": _with_null(variables, file_variable.split("."))}
    place = {FILE_PART: [f"variables.{file_variable}"]}
    return FormField("operations", json.dumps(given)), FormField("map", json.dumps(place))


@lru_cache(maxsize=256)
def _fields_of_texts(
    query: str, variables: tuple[tuple[str, object], ...], file_variable: str
) -> tuple[FormField, FormField]:
    """An integration sends the same with each upload of a day. Texts only, since 1 and true would
    be the same here."""
    return _fields(query, dict(variables), file_variable)


def _with_null(value: object, path: list[str]) -> object:
    """A copy of `value` with null at the end of `path`."""
    if not path:
        return None
    first, *rest = path
    if isinstance(value, list | tuple) and first.isdecimal() and int(first) <= len(value):
        at = int(first)
        inner = value[at] if at < len(value) else {}
        return [*value[:at], _with_null(inner, rest), *value[at + 1 :]]
    if not isinstance(value, Mapping):
        raise ValueError(f"the path of the file's variable leads through {value!r} to {first!r}")
    return {**value, first: _with_null(value.get(first, {}), rest)}
