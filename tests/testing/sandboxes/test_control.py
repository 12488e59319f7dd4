"""The control URL: a program in any language asks what the sandbox holds and says what shall go
wrong."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping

import aiohttp
import pytest

from evidence_courier.testing.sandboxes import FaultPlan, SprintoSandbox

Upload = Callable[..., Awaitable[tuple[int, Mapping[str, str], bytes]]]


async def get(url: str) -> dict[str, object]:
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        assert response.status == 200
        answer: dict[str, object] = await response.json()
        return answer


async def post(url: str, body: bytes) -> tuple[int, dict[str, str]]:
    async with aiohttp.ClientSession() as session, session.post(url, data=body) as response:
        return response.status, await response.json()


def test_health_says_what_it_is_and_is_not_counted() -> None:
    async def scene() -> None:
        async with SprintoSandbox() as sandbox:
            assert sandbox.url.startswith("http://127.0.0.1:")
            assert sandbox.url.endswith("/dev-api/graphql")
            assert await get(sandbox.control_url + "/health") == {
                "status": "ok",
                "provider": "sprinto",
                "url": sandbox.url,
            }
            assert sandbox.requests == 0

    asyncio.run(scene())


def test_received_lists_the_uploads_without_key_or_content(upload: Upload) -> None:
    async def scene() -> None:
        async with SprintoSandbox(key="k-secret", keep_content=True) as sandbox:
            headers = {"api-key": "k-secret", "apollo-require-preflight": "1"}
            for content in (b"one", b"two", b"one"):
                await upload(sandbox.url, content=content, headers=headers)
            everything = await get(sandbox.control_url + "/received")
            assert (everything["requests"], everything["count"]) == (3, 3)
            assert everything["received"] == [received.as_json() for received in sandbox.received]
            assert "k-secret" not in json.dumps(everything)
            digest = hashlib.sha256(b"one").hexdigest()
            copies = await get(sandbox.control_url + "/received?sha256=" + digest)
            assert copies["count"] == 2

    asyncio.run(scene())


def test_faults_are_replaced(upload: Upload) -> None:
    async def scene() -> None:
        async with SprintoSandbox(faults=["status:500=1"]) as sandbox:
            body = b'{"faults": ["status:503=x1"], "seed": 7}'
            assert await post(sandbox.control_url + "/faults", body) == (200, {"status": "ok"})
            assert [(await upload(sandbox.url))[0] for _ in range(2)] == [503, 200]

    asyncio.run(scene())


def test_a_script_is_taken_step_by_step(upload: Upload) -> None:
    async def scene() -> None:
        async with SprintoSandbox() as sandbox:
            body = b'{"script": ["status:503", null, "status:502"]}'
            assert (await post(sandbox.control_url + "/faults", body))[0] == 200
            assert [(await upload(sandbox.url))[0] for _ in range(4)] == [503, 200, 502, 200]

    asyncio.run(scene())


def test_the_pace_is_replaced_and_taken_away(upload: Upload) -> None:
    async def scene() -> None:
        async with SprintoSandbox(monotonic=lambda: 0.0) as sandbox:
            assert (await post(sandbox.control_url + "/pace", b'{"pace": "1/min"}'))[0] == 200
            assert [(await upload(sandbox.url))[0] for _ in range(2)] == [200, 429]
            assert (await post(sandbox.control_url + "/pace", b'{"pace": null}'))[0] == 200
            assert (await upload(sandbox.url))[0] == 200

    asyncio.run(scene())


def test_reset_forgets_everything_but_the_rate_limit(upload: Upload) -> None:
    async def scene() -> None:
        plan = FaultPlan.script([None, "status:503", "status:503"])
        async with SprintoSandbox(faults=plan, pace="2/min", monotonic=lambda: 0.0) as sandbox:
            assert [(await upload(sandbox.url))[0] for _ in range(3)] == [200, 503, 429]
            assert await post(sandbox.control_url + "/reset", b"") == (200, {"status": "ok"})
            assert (sandbox.requests, sandbox.received) == (0, ())
            assert [(await upload(sandbox.url))[0] for _ in range(3)] == [200, 200, 429]
            assert [received.number for received in sandbox.received] == [1, 2]

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("path", "body", "complaint"),
    [
        ("/faults", b"", "should be JSON"),
        ("/faults", b"[" * 100_000, "should be JSON"),
        ("/faults", b"[]", "should be a JSON object"),
        ("/faults", b"{}", "'faults' is a list"),
        ("/faults", b'{"faults": "cut=1"}', "'faults' is a list"),
        ("/faults", b'{"faults": [7]}', "'faults' is a list"),
        ("/faults", b'{"faults": ["explode=1"]}', "not a kind of fault"),
        ("/faults", b'{"faults": [], "seed": "x"}', "'seed' is a whole number"),
        ("/faults", b'{"fault": []}', "'fault' is not known here"),
        ("/faults", b'{"script": {}}', "'script' is a list"),
        ("/faults", b'{"script": [], "faults": []}', "not both"),
        ("/pace", b'{"pace": 10}', "'pace' is text"),
        ("/pace", b'{"pace": "fast"}', "is not a pace"),
    ],
)
def test_a_body_without_sense_is_explained_and_changes_nothing(
    upload: Upload, path: str, body: bytes, complaint: str
) -> None:
    async def scene() -> None:
        async with SprintoSandbox(faults=["status:503=1"]) as sandbox:
            status, answer = await post(sandbox.control_url + path, body)
            assert status == 400
            assert complaint in answer["error"]
            assert (await upload(sandbox.url))[0] == 503

    asyncio.run(scene())


def test_an_unknown_control_is_answered_as_unknown_and_not_counted() -> None:
    async def scene() -> None:
        async with SprintoSandbox() as sandbox:
            status, answer = await post(sandbox.control_url + "/explode", b"{}")
            assert (status, answer["error"]) == (404, "no such control: POST /control/explode")
            assert sandbox.requests == 0

    asyncio.run(scene())
