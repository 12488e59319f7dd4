"""The Sprinto sandbox as a client meets it: what it takes, what it refuses, and the pages of its
checks."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from urllib.parse import urlsplit

import aiohttp
import pytest

from evidence_courier.testing.sandboxes import SprintoSandbox

Answer = tuple[int, Mapping[str, str], bytes]
Send = Callable[..., Awaitable[Answer]]

CHECK = "3f1c2a9e-8a43-4a0e-9d0b-6d3f6f1b2c77"
NOON = datetime(2026, 2, 21, 12, 0, tzinfo=UTC)
PAGES = """
query Checks($first: Int, $after: String) {
  workflowChecksPaginated(first: $first, after: $after) {
    totalCount
    edges { cursor node { pk title } }
    pageInfo { hasNextPage endCursor }
  }
}
"""


def errors(answer: Answer) -> list[str]:
    return [error["message"] for error in json.loads(answer[2]).get("errors", [])]


def test_an_upload_is_taken_answered_and_recorded(upload: Send) -> None:
    async def scene() -> None:
        async with SprintoSandbox(now=lambda: NOON) as sandbox:
            content = b"%PDF-1.7 some evidence"
            status, _, body = await upload(sandbox.url, content=content, filename="Prüfung 1.pdf")
            assert status == 200
            assert json.loads(body) == {
                "data": {
                    "uploadWorkflowCheckEvidence": {
                        "message": "Evidence uploaded for this check",
                        "workflowCheck": {
                            "pk": CHECK,
                            "title": "Security awareness training is completed",
                            "evidenceStatus": "UPLOAD_COMPLETE",
                        },
                    }
                }
            }
            [received] = sandbox.received
            assert received.number == 1
            assert received.target == CHECK
            assert received.evidence_date == "2026-02-21"
            assert received.file_name == "Prüfung 1.pdf"
            assert received.media_type == "application/pdf"
            assert received.size == len(content)
            assert received.sha256 == hashlib.sha256(content).hexdigest()
            assert received.received_at == NOON
            assert received.headers["apollo-require-preflight"] == "true"
            assert received.content is None

    asyncio.run(scene())


def test_content_is_recorded_on_request(upload: Send) -> None:
    async def scene() -> None:
        async with SprintoSandbox(keep_content=True) as sandbox:
            await upload(sandbox.url, content=b"%PDF")
            assert [received.content for received in sandbox.received] == [b"%PDF"]

    asyncio.run(scene())


def test_copies_of_the_same_content_are_counted(upload: Send) -> None:
    async def scene() -> None:
        async with SprintoSandbox() as sandbox:
            for content in (b"one", b"two", b"one"):
                await upload(sandbox.url, content=content)
            assert sandbox.copies(hashlib.sha256(b"one").hexdigest()) == 2
            assert sandbox.copies(hashlib.sha256(b"two").hexdigest()) == 1
            assert sandbox.copies(hashlib.sha256(b"three").hexdigest()) == 0
            assert [received.number for received in sandbox.received] == [1, 2, 3]

    asyncio.run(scene())


@pytest.mark.parametrize(
    "headers", [{}, {"api-key": ""}, {"api-key": "wrong"}, {"api-key": "k\xe9y"}]
)
def test_a_missing_or_wrong_key_gets_401(upload: Send, headers: dict[str, str]) -> None:
    async def scene() -> None:
        async with SprintoSandbox(key="right") as sandbox:
            answer = await upload(
                sandbox.url, headers={**headers, "apollo-require-preflight": "true"}
            )
            assert answer[0] == 401
            assert json.loads(answer[2])["errors"][0]["extensions"] == {"code": "UNAUTHENTICATED"}
            assert (sandbox.requests, sandbox.received) == (1, ())

    asyncio.run(scene())


def test_no_answer_comes_before_the_whole_request() -> None:
    async def scene() -> None:
        async with SprintoSandbox() as sandbox, aiohttp.ClientSession() as session:
            address = urlsplit(sandbox.url)
            reader, writer = await asyncio.open_connection(address.hostname, address.port)
            writer.write(
                f"POST {address.path} HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nab".encode()
            )
            answer = asyncio.ensure_future(reader.readline())
            async with asyncio.timeout(2.0):
                while sandbox.requests == 0:
                    await asyncio.sleep(0)
                async with session.get(sandbox.control_url + "/health"):
                    assert not answer.done()  # the key is missing, but the body is not complete yet
                writer.write(b"cd")
                assert await answer == b"HTTP/1.1 401 Unauthorized\r\n"
            writer.close()
            await writer.wait_closed()

    asyncio.run(scene())


def test_the_key_is_in_nothing_that_is_recorded(upload: Send) -> None:
    async def scene() -> None:
        key = "sk-very-secret"
        headers = {
            "API-Key": key,
            "Authorization": f"Bearer {key}",
            "apollo-require-preflight": "true",
            "X-Trace": "t-1",
        }
        async with SprintoSandbox(key=key, keep_content=True) as sandbox:
            await upload(sandbox.url, headers=headers)
            await upload(sandbox.url, headers=headers)
            first, second = sandbox.received
            assert key not in repr(sandbox.received) + json.dumps(first.as_json()) + repr(
                vars(sandbox)
            )
            assert first.headers["x-trace"] == "t-1"
            assert first.key_fingerprint == second.key_fingerprint != ""

    asyncio.run(scene())


def test_a_check_that_does_not_exist_is_a_graphql_error_with_http_200(upload: Send) -> None:
    async def scene() -> None:
        async with SprintoSandbox() as sandbox:
            answer = await upload(sandbox.url, pk="00000000-0000-4000-8000-000000000000")
            assert answer[0] == 200
            assert errors(answer) == ["Incorrect check ID"]
            assert json.loads(answer[2])["data"] == {"uploadWorkflowCheckEvidence": None}
            assert sandbox.received == ()

    asyncio.run(scene())


def test_a_check_in_review_takes_nothing(upload: Send) -> None:
    async def scene() -> None:
        async with SprintoSandbox(checks={"a": "A", "b": "B"}, in_review={"b"}) as sandbox:
            assert errors(await upload(sandbox.url, pk="b")) == ["Check in review"]
            assert errors(await upload(sandbox.url, pk="a")) == []
            assert [received.target for received in sandbox.received] == ["a"]

    asyncio.run(scene())


def test_a_check_in_review_exists_without_being_named_twice(upload: Send) -> None:
    async def scene() -> None:
        async with SprintoSandbox(checks={"a": "A"}, in_review=["c"]) as sandbox:
            assert errors(await upload(sandbox.url, pk="c")) == ["Check in review"]
            assert errors(await upload(sandbox.url, pk="b")) == ["Incorrect check ID"]

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("filename", "media_type"),
    [
        ("a.pdf", "application/pdf"),
        ("A.PDF", "application/PDF"),
        ("a.b.docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
        ("a.csv", "text/csv; charset=utf-8"),
        ("a.csv", "application/vnd.ms-excel"),
        ("a.png", "image/png"),
        ("a.jpeg", "image/jpeg"),
        ("a.jpg", "image/jpeg"),
    ],
)
def test_a_supported_file_is_taken(upload: Send, filename: str, media_type: str) -> None:
    async def scene() -> None:
        async with SprintoSandbox() as sandbox:
            assert errors(await upload(sandbox.url, filename=filename, media_type=media_type)) == []
            assert len(sandbox.received) == 1

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("filename", "media_type"),
    [
        ("a.json", "application/json"),
        ("a.pdf", "application/json"),
        ("a.json", "application/pdf"),
        ("a.pdf", "image/png"),
        ("a", "application/pdf"),
        ("pdf", "application/pdf"),
        ("a.pdf", "application/octet-stream"),
    ],
)
def test_a_file_whose_name_or_type_does_not_fit_is_refused(
    upload: Send, filename: str, media_type: str
) -> None:
    async def scene() -> None:
        async with SprintoSandbox() as sandbox:
            answer = await upload(sandbox.url, filename=filename, media_type=media_type)
            assert (answer[0], errors(answer)) == (200, ["Unsupported file format"])
            assert sandbox.received == ()

    asyncio.run(scene())


@pytest.mark.parametrize(
    "date",
    [
        "2026-02-21",
        "2026-02-22",
        "1999-12-31",
        "2026-02-21T10:00:00Z",
        "2026-02-22T23:59:59.123+00:00",
    ],
)
def test_a_date_is_taken_as_it_was_written(upload: Send, date: str) -> None:
    async def scene() -> None:
        async with SprintoSandbox(now=lambda: NOON) as sandbox:
            assert errors(await upload(sandbox.url, date=date)) == []
            assert [received.evidence_date for received in sandbox.received] == [date]

    asyncio.run(scene())


@pytest.mark.parametrize("date", ["2026-02-23", "9999-12-31", "2026-02-22T23:00:00-05:00"])
def test_a_date_in_the_future_is_refused(upload: Send, date: str) -> None:
    async def scene() -> None:
        async with SprintoSandbox(now=lambda: NOON) as sandbox:
            answer = await upload(sandbox.url, date=date)
            assert (answer[0], errors(answer)) == (200, ["Evidence record date is in the future"])
            assert sandbox.received == ()

    asyncio.run(scene())


@pytest.mark.parametrize(
    "date",
    [
        "",
        "21.02.2026",
        "20260221",
        "2026-2-1",
        "2026-02-30",
        "2026-02-21T10:00:00",
        "0001-01-01T00:00:00+14:00",
        7,
    ],
)
def test_a_date_without_sense_is_a_graphql_error(upload: Send, date: object) -> None:
    async def scene() -> None:
        async with SprintoSandbox() as sandbox:
            answer = await upload(sandbox.url, date=date)
            [message] = errors(answer)
            assert answer[0] == 200
            assert "DateTime should be" in message
            assert sandbox.received == ()

    asyncio.run(scene())


@pytest.mark.parametrize("pk", ["", "  ", 7])
def test_a_pk_is_text_that_is_not_empty(upload: Send, pk: object) -> None:
    async def scene() -> None:
        async with SprintoSandbox() as sandbox:
            [message] = errors(await upload(sandbox.url, pk=pk))
            assert "UUID cannot represent" in message

    asyncio.run(scene())


def test_a_pk_need_not_look_like_a_uuid_unless_the_sandbox_is_strict(upload: Send) -> None:
    async def scene() -> None:
        checks = {"check-17": "Odd", CHECK: "Even"}
        async with SprintoSandbox(checks=checks) as sandbox:
            assert errors(await upload(sandbox.url, pk="check-17")) == []
        async with SprintoSandbox(checks=checks, uuids="strict") as sandbox:
            assert "is not a UUID" in errors(await upload(sandbox.url, pk="check-17"))[0]
            assert errors(await upload(sandbox.url, pk=CHECK)) == []

    asyncio.run(scene())


def test_an_upload_must_be_a_file(send_json: Send) -> None:
    async def scene() -> None:
        query = (
            "mutation ($f: Upload!) { uploadWorkflowCheckEvidence("
            f'workflowCheckPk: "{CHECK}", evidenceRecordDate: "2026-02-21", evidenceFile: $f) '
            "{ message } }"
        )
        async with SprintoSandbox() as sandbox:
            [message] = errors(
                await send_json(sandbox.url, {"query": query, "variables": {"f": "a.pdf"}})
            )
            assert "Upload should be a file" in message
            assert errors(await send_json(sandbox.url, {"query": query.replace("$f)", '"x")')}))
            assert sandbox.received == ()

    asyncio.run(scene())


def test_the_checks_are_read_page_by_page(send_json: Send) -> None:
    async def scene() -> None:
        checks = {f"pk-{number}": f"Check {number}" for number in range(5)}
        async with SprintoSandbox(checks=checks) as sandbox:
            found: list[tuple[str, str]] = []
            after = None
            more = []
            while True:
                variables = {"first": 2, "after": after}
                _, _, body = await send_json(sandbox.url, {"query": PAGES, "variables": variables})
                page = json.loads(body)["data"]["workflowChecksPaginated"]
                assert page["totalCount"] == 5
                found += [(edge["node"]["pk"], edge["node"]["title"]) for edge in page["edges"]]
                assert page["pageInfo"]["endCursor"] == page["edges"][-1]["cursor"]
                more.append(page["pageInfo"]["hasNextPage"])
                if not more[-1]:
                    break
                after = page["pageInfo"]["endCursor"]
            assert found == list(checks.items())
            assert more == [True, True, False]
            assert sandbox.requests == 3

    asyncio.run(scene())


def test_a_page_may_be_empty_and_the_size_left_out(send_json: Send) -> None:
    async def scene() -> None:
        async with SprintoSandbox(checks={}) as sandbox:
            _, _, body = await send_json(sandbox.url, {"query": PAGES})
            assert json.loads(body)["data"]["workflowChecksPaginated"] == {
                "totalCount": 0,
                "edges": [],
                "pageInfo": {"hasNextPage": False, "endCursor": None},
            }

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("variables", "complaint"),
    [
        ({"first": 0}, "'first' should be at least 1"),
        ({"first": 1, "after": "nonsense"}, "Invalid cursor"),
    ],
)
def test_a_page_without_sense_is_a_graphql_error(
    send_json: Send, variables: dict[str, object], complaint: str
) -> None:
    async def scene() -> None:
        async with SprintoSandbox() as sandbox:
            answer = await send_json(sandbox.url, {"query": PAGES, "variables": variables})
            assert (answer[0], errors(answer)) == (200, [complaint])

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ({"query": "mutation {"}, "Syntax Error"),
        ({"query": "{ nothing }"}, "Cannot query field 'nothing'"),
        ({"query": "{ a " + "{ a " * 20_000 + "}" * 20_001}, ""),
        ({"query": "  "}, "needs a 'query'"),
        ({}, "needs a 'query'"),
        ({"query": PAGES, "variables": []}, "'variables'"),
        ({"query": PAGES, "operationName": 7}, "'operationName'"),
        ([{"query": PAGES}], "one GraphQL request"),
    ],
)
def test_what_is_no_request_for_this_schema_gets_400(
    send_json: Send, body: object, complaint: str
) -> None:
    async def scene() -> None:
        async with SprintoSandbox() as sandbox:
            answer = await send_json(sandbox.url, body)
            assert answer[0] == 400
            assert complaint in errors(answer)[0]

    asyncio.run(scene())


def test_other_methods_media_types_and_paths_are_refused() -> None:
    async def scene() -> None:
        headers = {"api-key": "sandbox-key"}
        async with SprintoSandbox() as sandbox, aiohttp.ClientSession(headers=headers) as session:
            async with session.get(sandbox.url) as response:
                assert (response.status, response.headers["Allow"]) == (405, "POST")
            async with session.post(sandbox.url, data="text") as response:
                assert response.status == 415
            async with session.post(
                sandbox.url, data="{", headers={"Content-Type": "application/json"}
            ) as response:
                assert response.status == 400
            async with session.post(sandbox.url.replace("graphql", "rest"), json={}) as response:
                assert response.status == 404
            assert sandbox.requests == 4  # whoever was led here by a redirect is counted

    asyncio.run(scene())


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "localhost", "192.168.1.5", "example.com", ""])
def test_a_sandbox_serves_this_machine_only(host: str) -> None:
    with pytest.raises(ValueError, match="this machine only"):
        SprintoSandbox(host=host)


def test_a_sandbox_has_no_address_before_it_is_started() -> None:
    with pytest.raises(RuntimeError, match="before it is started"):
        _ = SprintoSandbox().url


def test_a_port_that_is_taken_is_an_os_error() -> None:
    async def scene() -> None:
        async with SprintoSandbox() as first:
            port = urlsplit(first.url).port
            assert port is not None
            with pytest.raises(OSError, match="address already in use"):
                await SprintoSandbox(port=port).start()

    asyncio.run(scene())


def test_the_same_faults_and_seed_meet_the_same_uploads_again(upload: Send) -> None:
    async def statuses(seed: int) -> list[int]:
        async with SprintoSandbox(faults=["status:503=0.4"], seed=seed) as sandbox:
            return [(await upload(sandbox.url))[0] for _ in range(12)]

    async def scene() -> None:
        assert await statuses(3) == await statuses(3)

    asyncio.run(scene())
