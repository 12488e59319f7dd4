"""The rules of the GraphQL multipart request specification, one broken at a time."""

from __future__ import annotations

import asyncio
import http.client
import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import closing
from urllib.parse import urlsplit

import aiohttp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evidence_courier.testing.sandboxes import SprintoSandbox, sandbox_in_thread

Answer = tuple[int, Mapping[str, str], bytes]
Send = Callable[..., Awaitable[Answer]]
Part = tuple[str, str | bytes, str | None, str | None]

QUERY = """mutation ($file: Upload!) {
  uploadWorkflowCheckEvidence(
    workflowCheckPk: "3f1c2a9e-8a43-4a0e-9d0b-6d3f6f1b2c77"
    evidenceRecordDate: "2026-02-21"
    evidenceFile: $file
  ) { message }
}"""
OPERATIONS: Part = (
    "operations",
    json.dumps({"query": QUERY, "variables": {"file": None}}),
    None,
    None,
)
MAP: Part = ("map", '{"0": ["variables.file"]}', None, None)
FILE: Part = ("0", b"%PDF-1.7", "ev-1.pdf", "application/pdf")


def operations(value: object) -> Part:
    return ("operations", json.dumps(value), None, None)


def mapping(value: object) -> Part:
    return ("map", json.dumps(value), None, None)


def refusal(answer: Answer) -> tuple[int, str]:
    return answer[0], json.loads(answer[2])["errors"][0]["message"]


def test_a_single_file_in_the_order_of_the_specification_is_taken(send_parts: Send) -> None:
    async def scene() -> None:
        async with SprintoSandbox() as sandbox:
            status, _, body = await send_parts(sandbox.url, [OPERATIONS, MAP, FILE])
            assert status == 200
            assert json.loads(body) == {
                "data": {
                    "uploadWorkflowCheckEvidence": {"message": "Evidence uploaded for this check"}
                }
            }
            [received] = sandbox.received
            assert (received.file_name, received.media_type, received.size) == (
                "ev-1.pdf",
                "application/pdf",
                8,
            )

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("parts", "status", "complaint"),
    [
        ([], 400, "Missing multipart field 'operations'"),
        ([MAP, OPERATIONS, FILE], 400, "'map' should follow 'operations'"),
        ([FILE, OPERATIONS, MAP], 400, "files should follow 'map'"),
        ([OPERATIONS, FILE, MAP], 400, "files should follow 'map'"),
        ([OPERATIONS], 400, "Missing multipart field 'map'"),
        ([OPERATIONS, FILE], 400, "files should follow 'map'"),
        ([("other", "x", None, None)], 400, "Missing multipart field 'operations'"),
        ([OPERATIONS, MAP], 400, "no file part is named '0'"),
        (
            [OPERATIONS, MAP, ("1", b"x", "a.pdf", "application/pdf")],
            400,
            "no file part is named '0'",
        ),
        (
            [OPERATIONS, MAP, ("0", "no file name, so no file", None, None)],
            400,
            "no file part is named '0'",
        ),
        ([OPERATIONS, OPERATIONS, MAP, FILE], 400, "'operations' was sent twice"),
        ([OPERATIONS, MAP, MAP, FILE], 400, "'map' was sent twice"),
        ([OPERATIONS, MAP, FILE, FILE], 400, "'0' was sent twice"),
        (
            [("operations", "{", None, None)],
            400,
            "Invalid JSON in the multipart field 'operations'",
        ),
        (
            [("operations", "[" * 100_000, None, None)],
            400,
            "Invalid JSON in the multipart field 'operations'",
        ),
        ([operations([])], 400, "Invalid type for the multipart field 'operations'"),
        (
            [OPERATIONS, ("map", "nope", None, None)],
            400,
            "Invalid JSON in the multipart field 'map'",
        ),
        (
            [OPERATIONS, mapping([["variables.file"]])],
            400,
            "Invalid type for the multipart field 'map'",
        ),
        (
            [OPERATIONS, mapping({"0": "variables.file"})],
            400,
            "'map' entry '0': it should be an array",
        ),
        ([OPERATIONS, mapping({"0": [7]})], 400, "a path should be a string"),
        ([OPERATIONS, mapping({"0": ["variables.other"]}), FILE], 400, "has no such place"),
        ([OPERATIONS, mapping({"0": ["variables.file.0"]}), FILE], 400, "has no such place"),
        (
            [OPERATIONS, mapping({"0": ["query"]}), FILE],
            400,
            "'query' in 'operations' should be null",
        ),
        (
            [operations({"query": QUERY, "variables": {"file": "0"}}), MAP, FILE],
            400,
            "'variables.file' in 'operations' should be null",
        ),
        ([OPERATIONS, mapping({"0": ["variables.file"] * 2}), FILE], 400, "Two files are mapped"),
        ([("operations", " " * 1_000_001, None, None)], 413, "exceeds the limit of 1000000 bytes"),
    ],
)
def test_a_broken_rule_is_refused_by_name(
    send_parts: Send, parts: list[Part], status: int, complaint: str
) -> None:
    async def scene() -> None:
        async with SprintoSandbox() as sandbox:
            found, message = refusal(await send_parts(sandbox.url, parts))
            assert found == status
            assert complaint in message
            assert sandbox.received == ()

    asyncio.run(scene())


def test_parts_that_the_map_does_not_name_are_passed_over(send_parts: Send) -> None:
    async def scene() -> None:
        extra: Part = ("9", b"x" * 100_000, "other.pdf", "application/pdf")
        async with SprintoSandbox() as sandbox:
            assert (await send_parts(sandbox.url, [OPERATIONS, MAP, extra, FILE]))[0] == 200
            assert [upload.file_name for upload in sandbox.received] == ["ev-1.pdf"]

    asyncio.run(scene())


def test_one_file_may_fill_several_places(send_parts: Send) -> None:
    async def scene() -> None:
        upload = (
            "uploadWorkflowCheckEvidence(workflowCheckPk: $pk, evidenceRecordDate: $day, "
            "evidenceFile:"
        )
        query = f"""mutation ($pk: UUID!, $day: DateTime!, $a: Upload!, $b: Upload!) {{
          one: {upload} $a) {{ message }}
          two: {upload} $b) {{ message }}
        }}"""
        pk = "3f1c2a9e-8a43-4a0e-9d0b-6d3f6f1b2c77"
        variables = {"pk": pk, "day": "2026-02-21", "a": None, "b": None}
        parts = [
            operations({"query": query, "variables": variables}),
            mapping({"0": ["variables.a", "variables.b"]}),
            FILE,
        ]
        async with SprintoSandbox() as sandbox:
            assert (await send_parts(sandbox.url, parts))[0] == 200
            assert [upload.file_name for upload in sandbox.received] == ["ev-1.pdf", "ev-1.pdf"]

    asyncio.run(scene())


def test_a_place_in_a_list_is_named_by_its_position(send_parts: Send) -> None:
    async def scene() -> None:
        variables = {"files": [None, None]}
        parts = [
            operations(
                {"query": "query ($files: [Upload!]!) { __typename }", "variables": variables}
            ),
            mapping({"a": ["variables.files.1"], "b": ["variables.files.0"]}),
            ("b", b"B", "b.pdf", "application/pdf"),
            ("a", b"A", "a.pdf", "application/pdf"),
        ]
        async with SprintoSandbox() as sandbox:
            # the places were found and filled, in whatever order the files came; the query alone is
            # at fault
            assert refusal(await send_parts(sandbox.url, parts)) == (
                400,
                "Variable '$files' is never used.",
            )
            outside = [parts[0], mapping({"a": ["variables.files.2"]}), *parts[2:]]
            assert "no such place" in refusal(await send_parts(sandbox.url, outside))[1]

    asyncio.run(scene())


def test_a_file_as_large_as_allowed_is_taken_and_one_byte_more_is_not(send_parts: Send) -> None:
    async def scene() -> None:
        async with SprintoSandbox(max_bytes=300_000) as sandbox:
            full: Part = ("0", b"x" * 300_000, "ev.pdf", "application/pdf")
            over: Part = ("0", b"x" * 300_001, "ev.pdf", "application/pdf")
            assert (await send_parts(sandbox.url, [OPERATIONS, MAP, full]))[0] == 200
            status, message = refusal(await send_parts(sandbox.url, [OPERATIONS, MAP, over]))
            assert (status, message) == (
                413,
                "The multipart part '0' exceeds the limit of 300000 bytes.",
            )
            assert [upload.size for upload in sandbox.received] == [300_000]

    asyncio.run(scene())


@pytest.mark.parametrize("header", ["apollo-require-preflight", "x-apollo-operation-name"])
def test_multipart_needs_a_preflight_header(send_parts: Send, header: str) -> None:
    async def scene() -> None:
        parts = [OPERATIONS, MAP, FILE]
        async with SprintoSandbox() as sandbox:
            status, message = refusal(
                await send_parts(sandbox.url, parts, headers={"api-key": "sandbox-key"})
            )
            assert status == 400
            assert "cross-site request forgery" in message
            assert sandbox.received == ()
            headers = {"api-key": "sandbox-key", header: "yes"}
            assert (await send_parts(sandbox.url, parts, headers=headers))[0] == 200

    asyncio.run(scene())


def test_a_multipart_body_without_a_boundary_is_refused() -> None:
    async def scene() -> None:
        headers = {
            "api-key": "sandbox-key",
            "apollo-require-preflight": "1",
            "Content-Type": "multipart/form-data",
        }
        async with (
            SprintoSandbox() as sandbox,
            aiohttp.ClientSession() as session,
            session.post(sandbox.url, data=b"--x", headers=headers) as response,
        ):
            assert response.status == 400

    asyncio.run(scene())


BLOCKS = st.lists(
    st.sampled_from(
        [
            b"--x\r\n",
            b"--x--\r\n",
            b"\r\n",
            b'Content-Disposition: form-data; name="operations"\r\n\r\n',
            b'Content-Disposition: form-data; name="map"\r\n\r\n',
            b'Content-Disposition: form-data; name="0"; filename="a.pdf"\r\n\r\n',
            b"Content-Type: multipart/mixed; boundary=y\r\n\r\n",
            b'{"variables": {"f": null}}',
            b'{"0": ["variables.f"]}',
            b"\xff\x00",
        ]
    )
).map(b"".join)


def test_no_bytes_upset_the_sandbox(caplog: pytest.LogCaptureFixture) -> None:
    with sandbox_in_thread(SprintoSandbox()) as sandbox:
        address = urlsplit(sandbox.url)
        line = http.client.HTTPConnection(address.netloc)

        @given(body=BLOCKS | st.binary())
        @settings(max_examples=200, deadline=None)
        def post(body: bytes) -> None:
            headers = {
                "api-key": "sandbox-key",
                "apollo-require-preflight": "true",
                "Content-Type": "multipart/form-data; boundary=x",
            }
            line.request("POST", address.path, body, headers)
            with line.getresponse() as response:
                assert response.status == 400  # no order of these blocks makes a query
                assert json.loads(response.read())["errors"]

        with closing(line):
            post()
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == []
