"""Sprinto's REST API: what is sent, what its replies come to, and the sandbox that plays it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import get_args

import aiohttp
import pytest
from attrs import evolve
from dialogue_runner import run
from hypothesis import given
from hypothesis import strategies as st

from evidence_courier.adapters.providers.sprinto.provider import SprintoProvider
from evidence_courier.adapters.providers.sprinto.rest import judge_rest, judge_together
from evidence_courier.adapters.providers.sprinto.settings import Region, SprintoSettings
from evidence_courier.adapters.transports.aiohttp_transport import AiohttpTransport
from evidence_courier.domain.evidence.evidence import Outcome, sha256_of
from evidence_courier.domain.integration import Route
from evidence_courier.domain.secrets.secret import Secret
from evidence_courier.domain.upload.failure import FailureKind
from evidence_courier.domain.upload.verdict import (
    Deferred,
    Delivered,
    DryRun,
    NotReady,
    Ready,
    Receipt,
    Rejected,
    Unbundled,
    Unclear,
    Verdict,
)
from evidence_courier.ports.dialogue import (
    Dialogue,
    Ending,
    HttpRequest,
    HttpResponse,
    TransportFailure,
)
from evidence_courier.ports.provider import Bundle, Bundling, Parcel
from evidence_courier.testing.sandboxes import SprintoRestSandbox
from evidence_courier.testing.scripted_transport import reply

K = FailureKind
CHECK = "3f1c2a9e-8a43-4a0e-9d0b-6d3f6f1b2c77"
SETTINGS = SprintoSettings(api_key=Secret("sandbox-key"), workflow_check=CHECK, api="rest")
GOOD = b'{"success": true, "error": null}'


def parcel(number: int = 1, media_type: str = "application/pdf", suffix: str = "pdf") -> Parcel:
    content = b"%PDF-1.7 " + bytes(range(256)) * number
    return Parcel(
        tenant_id="acme",
        evidence_id=f"ev-{number}",
        session_id="s-1",
        subject="emp-7",
        subject_email=None,
        outcome=Outcome.PASSED,
        recorded_at=datetime(2026, 2, 21, 10, 0, tzinfo=UTC),
        evidence_date=date(2026, 2, 21),
        content=content,
        media_type=media_type,
        sha256=sha256_of(content),
        file_name=f"ev-{number}.{suffix}",
        created_at=datetime(2026, 2, 22, 9, 0, tzinfo=UTC),
    )


def request_of(dialogue: Dialogue[object]) -> HttpRequest:
    step = next(dialogue)
    assert isinstance(step, HttpRequest)
    return step


def test_files_of_one_request_stand_under_one_name_behind_the_monitor() -> None:
    request = request_of(SprintoProvider().upload_together([parcel(1), parcel(2)], SETTINGS))
    assert (request.method, request.url) == (
        "POST",
        "https://app.sprinto.com/api/v1/uploadEvidence",
    )
    headers = dict(request.headers)
    assert headers["api-token"] == "sandbox-key"
    assert "sandbox-key" not in repr(request)
    boundary = headers["Content-Type"].removeprefix("multipart/form-data; boundary=").encode()
    monitor, first, second = b"".join(request.body).split(b"--" + boundary)[1:-1]
    assert (
        monitor
        == f'\r\nContent-Disposition: form-data; name="monitor_pk"\r\n\r\n{CHECK}\r\n'.encode()
    )
    for part, sent in ((first, parcel(1)), (second, parcel(2))):
        head = (
            '\r\nContent-Disposition: form-data; name="files"; '
            f'filename="{sent.file_name}"\r\nContent-Type: application/pdf\r\n\r\n'
        )
        assert part == head.encode() + sent.content + b"\r\n"


def test_one_file_goes_in_the_same_form_with_the_same_bytes_each_time() -> None:
    alone = [request_of(SprintoProvider().upload(parcel(), SETTINGS, None)) for _ in range(2)]
    assert (
        alone[0] == alone[1] == request_of(SprintoProvider().upload_together([parcel()], SETTINGS))
    )


def test_each_region_has_its_address_and_an_endpoint_overrides_it() -> None:
    found = {region: evolve(SETTINGS, region=region).url for region in get_args(Region)}
    assert set(found.values()) == {
        f"https://{host}.sprinto.com/api/v1/uploadEvidence" for host in ("app", "eu", "in")
    }
    assert evolve(SETTINGS, endpoint="http://127.0.0.1:1/x").url == "http://127.0.0.1:1/x"


def test_ten_files_go_together_over_rest_and_none_over_graphql() -> None:
    provider = SprintoProvider()
    assert isinstance(provider, Bundling)
    assert provider.bundle(SETTINGS) == Bundle(10, 25_000_000)
    assert provider.bundle(evolve(SETTINGS, files_per_request=4, bytes_per_request=9)) == Bundle(
        4, 9
    )
    assert provider.bundle(evolve(SETTINGS, api="graphql")) is None


def test_the_advice_says_that_the_date_is_not_carried() -> None:
    (advice,) = SprintoProvider().advice(SETTINGS)
    assert "no field for the evidence's date" in advice
    assert SprintoProvider().advice(evolve(SETTINGS, api="graphql")) == ()


def test_errors_beside_a_success_are_no_success() -> None:
    verdict = judge_rest(reply(201, b'{"success": true, "errors": ["a.pdf was refused"]}'), CHECK)
    assert isinstance(verdict, Rejected)
    assert verdict.failure.kind is K.UNRECOGNISED_REPLY
    assert "an error stands beside it" in verdict.failure.message


def said(error: str | None, success: object = False) -> bytes:
    return json.dumps({"success": success, "error": error}).encode()


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (reply(400, said("Invalid file type: a.exe")), K.UNSUPPORTED_TYPE),
        (reply(400, said("Monitor not found")), K.TARGET_NOT_FOUND),
        (reply(400, said("Invalid parameters")), K.BAD_REQUEST),
        (reply(400, b"<html>"), K.BAD_REQUEST),
        (reply(400, said("Check in review")), K.CHECK_IN_REVIEW),
        (reply(401, said("Monitor not found")), K.UNAUTHORIZED),
        (reply(403), K.FORBIDDEN),
        (reply(404, b"{}"), K.NOT_FOUND),
        (reply(413), K.TOO_LARGE),
        (reply(302, b"", ("Location", "https://elsewhere.example/")), K.REDIRECTED),
        (reply(200, said("Invalid type")), K.UNSUPPORTED_TYPE),
        (reply(201, said("Nobody knows why")), K.REFUSED),
        (reply(201, said(None)), K.UNRECOGNISED_REPLY),
        (reply(201, said("but", success=True)), K.UNRECOGNISED_REPLY),
        (reply(201, b'{"success": "true"}'), K.UNRECOGNISED_REPLY),
        (reply(201, b'{"success": 1}'), K.UNRECOGNISED_REPLY),
        (reply(201, b"null"), K.UNRECOGNISED_REPLY),
        (reply(201, b"[]"), K.UNRECOGNISED_REPLY),
    ],
)
def test_what_a_resend_cannot_mend_is_rejected(answer: HttpResponse, kind: FailureKind) -> None:
    verdict = judge_rest(answer, CHECK)
    assert isinstance(verdict, Rejected)
    assert verdict.failure.kind is kind


@pytest.mark.parametrize(
    "answer",
    [
        reply(429, b"", ("Retry-After", "30")),
        reply(400, said("Rate limit exceeded")),
        reply(201, said("Too many requests")),
        TransportFailure(K.NO_CONNECTION, "no"),
    ],
)
def test_what_was_surely_not_taken_is_deferred(answer: HttpResponse | TransportFailure) -> None:
    assert isinstance(judge_rest(answer, CHECK), Deferred)


@pytest.mark.parametrize(
    "answer",
    [
        reply(500),
        reply(201, b""),
        reply(201, b"created"),
        reply(201, GOOD[:9], ending=Ending.CUT_SHORT),
        reply(201, GOOD, ending=Ending.TOO_LONG),
        TransportFailure(K.TIMEOUT, "no"),
    ],
)
def test_what_may_have_been_taken_is_unclear(answer: HttpResponse | TransportFailure) -> None:
    assert isinstance(judge_rest(answer, CHECK), Unclear)


def test_success_is_what_says_so() -> None:
    assert judge_rest(reply(201, GOOD), CHECK) == Delivered(Receipt())
    assert judge_rest(reply(200, b'{"success": true, "message": "Done"}'), CHECK) == Delivered(
        Receipt(message="Done")
    )


json_values: st.SearchStrategy[object] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["success", "error", "message", "x"]), inner, max_size=4)
    ),
    max_leaves=6,
)


@given(
    st.integers(0, 999),
    json_values.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=40),
)
def test_any_reply_has_a_verdict_and_only_success_is_delivered(status: int, body: bytes) -> None:
    verdict = judge_rest(reply(status, body), CHECK)
    if isinstance(verdict, Delivered):
        assert 200 <= status < 300
        assert json.loads(body)["success"] is True
    together = judge_together(reply(status, body), CHECK, 3)
    assert len(together) == 3
    assert len(set(map(repr, together))) == 1


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (reply(201, GOOD), Delivered),
        (reply(400, said("Invalid file type")), Unbundled),
        (reply(400, said("Invalid parameters")), Unbundled),
        (reply(413), Unbundled),
        (reply(415), Unbundled),
        (reply(201, said("Nobody knows why")), Unbundled),
        (reply(400, said("Monitor not found")), Rejected),
        (reply(400, said("Check in review")), Rejected),
        (reply(401), Rejected),
        (reply(404), Rejected),
        (reply(201, b"{}"), Rejected),
        (reply(503), Unclear),
        (reply(429), Deferred),
    ],
)
def test_only_a_refusal_that_one_file_may_have_caused_unbundles(
    answer: HttpResponse, verdict: type
) -> None:
    assert [type(one) for one in judge_together(answer, CHECK, 2)] == [verdict, verdict]


def send(
    sandbox: SprintoRestSandbox, parcels: Sequence[Parcel], settings: SprintoSettings = SETTINGS
) -> Sequence[Verdict | Unbundled]:
    """What uploading them together to a sandbox came to."""

    async def sent() -> Sequence[Verdict | Unbundled]:
        async with sandbox:
            transport = AiohttpTransport(now=lambda: datetime(2026, 2, 21, tzinfo=UTC))
            try:
                return await run(
                    SprintoProvider().upload_together(
                        parcels, evolve(settings, endpoint=sandbox.url)
                    ),
                    send=lambda request: transport.send(request, Route()),
                )
            finally:
                await transport.close()

    return asyncio.run(sent())


def test_ten_documents_arrive_byte_by_byte_under_their_own_names() -> None:
    sandbox = SprintoRestSandbox()
    parcels = [parcel(number) for number in range(1, 11)]
    assert list(send(sandbox, parcels)) == [Delivered(Receipt())] * 10
    assert [(taken.file_name, taken.sha256) for taken in sandbox.received] == [
        (one.file_name, one.sha256) for one in parcels
    ]
    assert sandbox.requests == 1


def kinds(verdicts: Iterable[Verdict | Unbundled]) -> set[tuple[type, FailureKind]]:
    return {(type(one), one.failure.kind) for one in verdicts if not isinstance(one, Delivered)}


def test_the_sandbox_takes_all_of_a_request_or_nothing() -> None:
    sandbox = SprintoRestSandbox()
    poisoned = [parcel(1), parcel(2, "application/pdf", "exe"), parcel(3)]
    assert kinds(send(sandbox, poisoned)) == {(Unbundled, K.UNSUPPORTED_TYPE)}
    assert sandbox.received == ()


def test_the_sandbox_refuses_what_the_api_would_refuse() -> None:
    two = [parcel(1), parcel(2)]
    eleven = [parcel(number) for number in range(1, 12)]
    wrong_key = evolve(SETTINGS, api_key=Secret("another"))
    unknown = evolve(SETTINGS, workflow_check="WC-1")
    assert kinds(send(SprintoRestSandbox(), two, wrong_key)) == {(Rejected, K.UNAUTHORIZED)}
    assert kinds(send(SprintoRestSandbox(), two, unknown)) == {(Rejected, K.TARGET_NOT_FOUND)}
    assert kinds(send(SprintoRestSandbox(), eleven)) == {(Unbundled, K.BAD_REQUEST)}
    assert kinds(send(SprintoRestSandbox(max_bytes=600), two)) == set()
    assert kinds(send(SprintoRestSandbox(max_bytes=300), two)) == {(Unbundled, K.TOO_LARGE)}
    assert kinds(send(SprintoRestSandbox(in_review=[CHECK]), two)) == {
        (Rejected, K.CHECK_IN_REVIEW)
    }


async def _asked(method: str, sandbox: SprintoRestSandbox, headers: Mapping[str, str]) -> int:
    async with (
        sandbox,
        aiohttp.ClientSession() as session,
        session.request(
            method, sandbox.url, headers=headers, data={"monitor_pk": CHECK}
        ) as response,
    ):
        return response.status


def test_the_sandbox_wants_a_post_with_a_form_with_files() -> None:
    key = {"api-token": "sandbox-key"}
    assert asyncio.run(_asked("PUT", SprintoRestSandbox(), key)) == 405
    assert asyncio.run(_asked("POST", SprintoRestSandbox(), key)) == 415
    assert asyncio.run(_asked("POST", SprintoRestSandbox(), {"api-key": "sandbox-key"})) == 401


def test_a_word_that_is_no_success_is_not_taken_for_one() -> None:
    sandbox = SprintoRestSandbox(faults=["unknown-status:UPLOAD_FAILED=1"])
    assert kinds(send(sandbox, [parcel(1), parcel(2)])) == {(Rejected, K.UNRECOGNISED_REPLY)}


def test_a_dry_run_finds_the_check_beside_the_rest_api() -> None:
    async def asked(workflow_check: str) -> DryRun:
        async with SprintoRestSandbox() as sandbox:
            transport = AiohttpTransport(now=lambda: datetime(2026, 2, 21, tzinfo=UTC))
            settings = evolve(SETTINGS, endpoint=sandbox.url, workflow_check=workflow_check)
            try:
                return await run(
                    SprintoProvider().check(settings),
                    send=lambda request: transport.send(request, Route()),
                )
            finally:
                await transport.close()

    assert isinstance(asyncio.run(asked(CHECK)), Ready)
    assert isinstance(asyncio.run(asked("another")), NotReady)
