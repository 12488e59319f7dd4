"""Each way of misbehaving, as a client sees it on its end of the line, and whether the upload
was taken."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import aiohttp
import pytest
from attrs import fields

from evidence_courier.testing.sandboxes import FaultPlan, SprintoSandbox
from evidence_courier.testing.sandboxes.faults import KINDS

Upload = Callable[..., Awaitable[tuple[int, Mapping[str, str], bytes]]]


@pytest.mark.parametrize(
    ("fault", "status", "body", "taken"),
    [
        ("status:503", 503, b'{"error": "503 Service Unavailable"}', 0),
        ("status:599", 599, b'{"error": "599 Unnamed Status"}', 0),
        ("status:204", 204, b"", 0),
        ("status-after", 504, b'{"error": "504 Gateway Timeout"}', 1),
        ("graphql:Odd", 200, b'{"errors": [{"message": "Odd"}], "data": null}', 0),
        (
            "graphql:Odd:code=FORBIDDEN",
            200,
            b'{"errors": [{"message": "Odd", "extensions": {"code": "FORBIDDEN"}}], "data": null}',
            0,
        ),
        ("empty", 200, b"", 0),
        ("null", 200, b'{"data": null}', 0),
        ("redirect", 302, b"", 0),
    ],
)
def test_a_fault_that_answers_in_full(
    upload: Upload, fault: str, status: int, body: bytes, taken: int
) -> None:
    async def scene() -> None:
        async with SprintoSandbox(faults=FaultPlan.script([fault])) as sandbox:
            answer = await upload(sandbox.url)
            assert (answer[0], answer[2]) == (status, body)
            assert len(sandbox.received) == taken
            assert (await upload(sandbox.url))[0] == 200  # only the request of the script was hit
            assert len(sandbox.received) == taken + 1

    asyncio.run(scene())


def test_retry_after_comes_as_it_was_written(upload: Upload) -> None:
    async def scene() -> None:
        moment = "Sat, 21 Feb 2026 10:00:00 GMT"
        script = ["status:429:retry-after=7", f"status:503:retry-after={moment}", "status:503"]
        async with SprintoSandbox(faults=FaultPlan.script(script)) as sandbox:
            seen = [(await upload(sandbox.url))[1].get("Retry-After") for _ in script]
            assert seen == ["7", moment, None]

    asyncio.run(scene())


def test_rate_limited_graphql_is_a_graphql_error_with_http_200(upload: Upload) -> None:
    async def scene() -> None:
        async with SprintoSandbox(faults=["rate-limited-graphql:30=1"]) as sandbox:
            status, _, body = await upload(sandbox.url)
            [error] = json.loads(body)["errors"]
            assert (status, error["extensions"]["code"]) == (200, "RATE_LIMITED")
            assert "30 seconds" in error["message"]
            assert sandbox.received == ()

    asyncio.run(scene())


def test_html_is_a_web_page_with_http_200(upload: Upload) -> None:
    async def scene() -> None:
        async with SprintoSandbox(faults=["html=1"]) as sandbox:
            status, headers, body = await upload(sandbox.url)
            assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
            assert body.startswith(b"<!doctype html>")
            assert sandbox.received == ()

    asyncio.run(scene())


def test_not_json_calls_itself_json(upload: Upload) -> None:
    async def scene() -> None:
        async with SprintoSandbox(faults=["not-json=1"]) as sandbox:
            status, headers, body = await upload(sandbox.url)
            assert (status, headers["Content-Type"]) == (200, "application/json; charset=utf-8")
            with pytest.raises(json.JSONDecodeError):
                json.loads(body)
            assert sandbox.received == ()

    asyncio.run(scene())


def test_huge_is_a_good_reply_behind_more_than_a_mebibyte(upload: Upload) -> None:
    async def scene() -> None:
        async with SprintoSandbox(faults=["huge=1"]) as sandbox:
            status, _, body = await upload(sandbox.url)
            assert status == 200
            assert body[: 1024 * 1024].strip() == b""
            assert "UPLOAD_COMPLETE" in body.decode()
            assert len(sandbox.received) == 1

    asyncio.run(scene())


def test_unknown_status_is_a_success_under_another_word(upload: Upload) -> None:
    async def scene() -> None:
        script = ["unknown-status", "unknown-status:IN_PROGRESS"]
        async with SprintoSandbox(faults=FaultPlan.script(script)) as sandbox:
            words = []
            for _ in script:
                status, _, body = await upload(sandbox.url)
                payload = json.loads(body)["data"]["uploadWorkflowCheckEvidence"]
                assert (status, payload["message"]) == (200, "Evidence uploaded for this check")
                words.append(payload["workflowCheck"]["evidenceStatus"])
            assert words == ["UPLOAD_FAILED", "IN_PROGRESS"]
            assert len(sandbox.received) == 2

    asyncio.run(scene())


def test_redirect_points_to_another_origin(upload: Upload) -> None:
    async def scene() -> None:
        script = ["redirect", "redirect:http://127.0.0.1:9/steal:code=307"]
        async with SprintoSandbox(faults=FaultPlan.script(script)) as sandbox:
            seen = [await upload(sandbox.url) for _ in script]
            assert [(status, headers["Location"]) for status, headers, _ in seen] == [
                (302, "https://elsewhere.invalid/dev-api/graphql"),
                (307, "http://127.0.0.1:9/steal"),
            ]
            assert sandbox.received == ()

    asyncio.run(scene())


def test_echo_gives_the_key_back_in_its_error(upload: Upload) -> None:
    async def scene() -> None:
        async with SprintoSandbox(key="k-12345", faults=["echo=1"]) as sandbox:
            status, _, body = await upload(sandbox.url, headers={"api-key": "k-12345"})
            assert status == 400
            assert "api-key: k-12345" in json.loads(body)["errors"][0]["message"]
            assert sandbox.received == ()

    asyncio.run(scene())


@pytest.mark.parametrize(("fault", "taken"), [("reset-before", 0), ("reset-after", 1)])
def test_a_reset_drops_the_line_without_an_answer(upload: Upload, fault: str, taken: int) -> None:
    async def scene() -> None:
        async with SprintoSandbox(faults=FaultPlan.script([fault])) as sandbox:
            with pytest.raises(aiohttp.ClientOSError, match="reset"):
                await upload(sandbox.url)
            assert len(sandbox.received) == taken
            assert (await upload(sandbox.url))[0] == 200

    asyncio.run(scene())


def test_cut_promises_more_than_it_sends(upload: Upload) -> None:
    async def scene() -> None:
        async with SprintoSandbox(faults=["cut=1"]) as sandbox:
            with pytest.raises(aiohttp.ClientPayloadError):
                await upload(sandbox.url)
            assert len(sandbox.received) == 1

    asyncio.run(scene())


def test_slow_comes_byte_by_byte_and_in_full(upload: Upload) -> None:
    async def scene() -> None:
        async with SprintoSandbox(faults=["slow:0=1"]) as sandbox:
            status, _, body = await upload(sandbox.url)
            assert status == 200
            assert json.loads(body)["data"]["uploadWorkflowCheckEvidence"]["workflowCheck"]
            assert len(sandbox.received) == 1

    asyncio.run(scene())


def test_slow_outlasts_a_client_that_counts_the_whole_time(upload: Upload) -> None:
    async def scene() -> None:
        async with SprintoSandbox(faults=["slow:0.05=1"]) as sandbox:
            with pytest.raises(asyncio.TimeoutError):
                await upload(sandbox.url, timeout=0.2)
            assert len(sandbox.received) == 1

    asyncio.run(scene())


@pytest.mark.parametrize(("fault", "taken"), [("silence", 0), ("silence-after", 1)])
def test_silence_lasts_until_the_client_gives_up(upload: Upload, fault: str, taken: int) -> None:
    async def scene() -> None:
        async with SprintoSandbox(faults=FaultPlan.script([fault])) as sandbox:
            waiting = asyncio.ensure_future(upload(sandbox.url))
            await sandbox.silences(1)
            assert not waiting.done()
            assert len(sandbox.received) == taken
            waiting.cancel()
            await asyncio.wait([waiting])
            assert (await upload(sandbox.url))[0] == 200

    asyncio.run(scene())


def test_a_client_that_hangs_up_ends_its_silence(upload: Upload) -> None:
    async def scene() -> None:
        async with SprintoSandbox(faults=["silence=1"]) as sandbox:
            before = len(asyncio.all_tasks())
            waiting = asyncio.ensure_future(upload(sandbox.url))
            await sandbox.silences(1)
            waiting.cancel()
            async with asyncio.timeout(2.0):
                while len(asyncio.all_tasks()) > before:
                    await asyncio.sleep(0)

    asyncio.run(scene())


@pytest.mark.parametrize("fault", ["silence", "silence-after", "slow:3600"])
def test_a_sandbox_that_stops_lets_go_of_every_line(upload: Upload, fault: str) -> None:
    async def scene() -> None:
        loop = asyncio.get_running_loop()
        async with SprintoSandbox(faults=FaultPlan.script([fault])) as sandbox:
            waiting = asyncio.ensure_future(upload(sandbox.url))
            if fault.startswith("silence"):
                await sandbox.silences(1)
            else:
                while not sandbox.received:
                    await asyncio.sleep(0)
            stopped = loop.time()
        assert loop.time() - stopped < 1.0
        with pytest.raises(aiohttp.ClientError):
            await waiting
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(scene())


def test_the_page_lists_each_kind_of_fault_and_how_it_is_written() -> None:
    page = (Path(__file__).parents[3] / "docs" / "command-line.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `([a-z-]+)(:[A-Z]+)?` \| (?:yes|no) \|", page, re.MULTILINE)
    assert [kind for kind, _ in listed] == list(KINDS)
    for kind, value in listed:
        assert bool(value) == bool(fields(KINDS[kind])), kind  # type: ignore[arg-type]
        for option in fields(KINDS[kind])[1:]:  # type: ignore[arg-type]
            assert f"`{option.name.replace('_', '-')}=" in page, (kind, option.name)


def test_the_page_says_which_faults_take_the_upload() -> None:
    page = (Path(__file__).parents[3] / "docs" / "command-line.md").read_text(encoding="utf-8")
    for kind, taken in re.findall(r"^\| `([a-z-]+)[:`A-Z]*` ?\| (yes|no) \|", page, re.MULTILINE):
        assert (taken == "yes") == (KINDS[kind].__doc__ or "").startswith("Taken"), kind


@pytest.mark.parametrize("kind", list(KINDS))
def test_no_fault_makes_the_server_complain(
    upload: Upload, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    example = {"status": "status:503", "graphql": "graphql:Odd", "slow": "slow:0"}.get(kind, kind)

    async def scene() -> None:
        async with SprintoSandbox(faults=FaultPlan.script([example])) as sandbox:
            first = asyncio.ensure_future(upload(sandbox.url))
            if "silence" in kind:
                await sandbox.silences(1)
                first.cancel()
            await asyncio.wait([first])
            if not first.cancelled():
                first.exception()  # whatever the client made of it
            assert (await upload(sandbox.url))[0] == 200

    asyncio.run(scene())
    assert [
        record.message for record in caplog.records if record.levelname in ("WARNING", "ERROR")
    ] == []
