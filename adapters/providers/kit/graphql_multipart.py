"""Sending a file with a GraphQL operation: the GraphQL multipart request.

Specified at github.com/jaydenseric/graphql-multipart-request-spec: a form with the field
``operations`` (the query and its variables, the file being null there), the field ``map`` (which
file belongs where), and then the file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from ....ports.dialogue import Headers, HttpRequest
from .multipart import FormField, FormFile, form_data

FILE_PART = "0"

HEADERS: Headers = (
    # Named first, so that a server that knows both forms answers in the older one, with HTTP 200
    # around a GraphQL error; either is understood.
    ("Accept", "application/json, application/graphql-response+json;q=0.9"),
    # Some servers (Apollo) refuse a multipart request without a header that browsers send only
    # after asking.
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
    """The request that runs `query` with `content` as its variable `file_variable`. The same
    arguments give the same bytes.

    `seed` goes into the boundary between the parts: the sha256 of the content will do.
    """
    operations = {"query": query, "variables": {**variables, file_variable: None}}
    content_type, body = form_data(
        (
            FormField("operations", json.dumps(operations)),
            FormField("map", f'{{"{FILE_PART}": ["variables.{file_variable}"]}}'),
            FormFile(FILE_PART, file_name, media_type, content),
        ),
        seed,
    )
    return HttpRequest("POST", url, (*credentials, *HEADERS, ("Content-Type", content_type)), body)
