"""A GraphQL multipart request: where the file's variable may be."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from evidence_courier.adapters.providers import graphql_upload


def sent(variables: Mapping[str, object], file_variable: str) -> tuple[object, object]:
    """The variables and the map of the form."""
    request = graphql_upload(
        "https://api.example/graphql",
        (),
        query="mutation ($input: I!) { upload(input: $input) { id } }",
        variables=variables,
        file_variable=file_variable,
        file_name="ev-1.pdf",
        media_type="application/pdf",
        content=b"%PDF-1.7",
        seed="seed",
    )
    boundary = dict(request.headers)["Content-Type"].partition("boundary=")[2]
    operations, places = b"".join(request.body).split(f"--{boundary}\r\n".encode())[1:3]
    read = [json.loads(part.partition(b"\r\n\r\n")[2]) for part in (operations, places)]
    return read[0]["variables"], read[1]


@pytest.mark.parametrize(
    ("variables", "path", "expected"),
    [
        ({"check": "c"}, "file", {"check": "c", "file": None}),
        ({"input": {"check": "c"}}, "input.file", {"input": {"check": "c", "file": None}}),
        ({}, "input.evidence.file", {"input": {"evidence": {"file": None}}}),
        ({"files": []}, "files.0", {"files": [None]}),
        ({"files": [None, None]}, "files.1", {"files": [None, None]}),
        ({"files": [{"name": "x"}]}, "files.0.file", {"files": [{"name": "x", "file": None}]}),
    ],
)
def test_the_file_may_be_a_nested_variable(
    variables: Mapping[str, object], path: str, expected: object
) -> None:
    before = json.dumps(variables)
    assert sent(variables, path) == (expected, {"0": [f"variables.{path}"]})
    assert json.dumps(variables) == before


@pytest.mark.parametrize(
    ("variables", "path"),
    [({"input": "text"}, "input.file"), ({"files": []}, "files.1"), ({"files": []}, "files.x")],
)
def test_a_path_that_leads_nowhere_is_refused(variables: Mapping[str, object], path: str) -> None:
    with pytest.raises(ValueError, match="the path of the file's variable"):
        sent(variables, path)
