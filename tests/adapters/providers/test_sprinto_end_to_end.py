"""Provider, runner, transport and redaction together, against the Sprinto sandbox and all that
it does wrong."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta

import pytest
from dialogue_runner import run

from evidence_courier.adapters.providers.sprinto.provider import SprintoProvider
from evidence_courier.adapters.providers.sprinto.settings import SprintoSettings
from evidence_courier.adapters.transports.aiohttp_transport import AiohttpTransport
from evidence_courier.domain.evidence.evidence import Outcome, sha256_of
from evidence_courier.domain.evidence.file_name import file_name_for
from evidence_courier.domain.integration import Route, Timeouts
from evidence_courier.domain.secrets.redaction import Redactor
from evidence_courier.domain.secrets.secret import Secret
from evidence_courier.domain.upload.failure import FailureKind
from evidence_courier.domain.upload.verdict import (
    Deferred,
    Delivered,
    Receipt,
    Rejected,
    Unclear,
    Verdict,
)
from evidence_courier.ports.provider import Parcel
from evidence_courier.testing.sandboxes import Fault, SprintoSandbox

K = FailureKind
KEY = "sandbox-key/4eC39HqL+yjWDarjt"
CHECK = "3f1c2a9e-8a43-4a0e-9d0b-6d3f6f1b2c77"
SMALL = b"%PDF-1.7 " + bytes(range(256)) * 100
BIG = b"%PDF-1.7 " + bytes(range(256)) * 16_384
QUICK = Route(Timeouts(timedelta(seconds=5), timedelta(seconds=0.2), timedelta(seconds=5)))


def parcel(content: bytes) -> Parcel:
    digest = sha256_of(content)
    return Parcel(
        tenant_id="acme",
        evidence_id="प्रमाण/1",
        session_id="s-1",
        subject="emp-7",
        subject_email=None,
        outcome=Outcome.PASSED,
        recorded_at=datetime(2026, 2, 21, 23, 30, tzinfo=UTC),
        evidence_date=date(2026, 2, 21),
        content=content,
        media_type="application/pdf",
        sha256=digest,
        file_name=file_name_for("प्रमाण/1", digest, "pdf"),
        created_at=datetime(2026, 2, 22, tzinfo=UTC),
    )


async def deliver(
    sandbox: SprintoSandbox,
    content: bytes = SMALL,
    *,
    key: str = KEY,
    check: str = CHECK,
    route: Route = QUICK,
) -> Verdict:
    """One attempt, as an engine makes it."""
    settings = SprintoSettings(api_key=Secret(key), workflow_check=check, endpoint=sandbox.url)
    transport = AiohttpTransport(now=lambda: datetime.now(UTC))
    try:
        verdict = await run(
            SprintoProvider().upload(parcel(content), settings, None),
            send=lambda request: transport.send(request, route),
        )
        return Redactor([settings.api_key]).verdict(verdict)
    finally:
        await transport.close()


async def delivered_with(fault: Fault | str, content: bytes = SMALL) -> tuple[Verdict, int]:
    """What an attempt under that fault came to, and how many copies the sandbox holds."""
    async with SprintoSandbox(key=KEY, faults=[fault]) as sandbox:
        verdict = await deliver(sandbox, content)
        return verdict, sandbox.copies(sha256_of(content))


@pytest.mark.parametrize("content", [SMALL, BIG], ids=["small", "big"])
def test_a_document_arrives_byte_by_byte_under_its_own_name_and_date(content: bytes) -> None:
    async def story() -> None:
        async with SprintoSandbox(key=KEY, uuids="strict") as sandbox:
            assert await deliver(sandbox, content) == Delivered(
                Receipt(None, "Evidence uploaded for this check")
            )
            (upload,) = sandbox.received
        assert upload.sha256 == sha256_of(content)
        assert upload.file_name == parcel(content).file_name
        assert (upload.target, upload.media_type) == (CHECK, "application/pdf")
        assert upload.evidence_date == "2026-02-21"
        assert upload.headers["apollo-require-preflight"] == "true"

    asyncio.run(story())


@pytest.mark.parametrize(
    ("fault", "verdict", "kind", "copies"),
    [
        ("status:429", Deferred, K.RATE_LIMITED, 0),
        ("status:408", Deferred, K.TOLD_TO_WAIT, 0),
        ("status:503", Unclear, K.SERVER_ERROR, 0),
        ("status-after:504", Unclear, K.SERVER_ERROR, 1),
        ("status:401", Rejected, K.UNAUTHORIZED, 0),
        ("status:403", Rejected, K.FORBIDDEN, 0),
        ("graphql:Check in review", Rejected, K.CHECK_IN_REVIEW, 0),
        ("graphql:Internal server error", Rejected, K.REFUSED, 0),
        ("rate-limited-graphql:30", Deferred, K.RATE_LIMITED, 0),
        ("silence", Unclear, K.TIMEOUT, 0),
        ("silence-after", Unclear, K.TIMEOUT, 1),
        ("reset-after", Unclear, K.CONNECTION_LOST, 1),
        ("cut", Unclear, K.BROKEN_REPLY, 1),
        ("huge", Unclear, K.BROKEN_REPLY, 1),
        ("unknown-status", Rejected, K.UNRECOGNISED_REPLY, 1),
        ("html", Unclear, K.BROKEN_REPLY, 0),
        ("empty", Unclear, K.BROKEN_REPLY, 0),
        ("null", Rejected, K.UNRECOGNISED_REPLY, 0),
        ("not-json", Unclear, K.BROKEN_REPLY, 0),
        ("redirect", Rejected, K.REDIRECTED, 0),
        ("echo", Rejected, K.BAD_REQUEST, 0),
        ("echo:200", Rejected, K.REFUSED, 0),
        ("echo:500", Unclear, K.SERVER_ERROR, 0),
    ],
)
def test_whatever_goes_wrong_has_its_verdict_and_shows_no_key(
    fault: str, verdict: type[Rejected], kind: FailureKind, copies: int
) -> None:
    came_to, held = asyncio.run(delivered_with(f"{fault}=1"))
    assert isinstance(came_to, verdict)
    assert came_to.failure.kind is kind
    assert held == copies
    assert not any(KEY[at : at + 8] in repr(came_to) for at in range(len(KEY) - 7))


def test_a_reset_before_the_whole_document_was_sent_was_surely_not_taken() -> None:
    # More than the buffers between the two hold, however late the server comes to its turn.
    verdict, held = asyncio.run(delivered_with("reset-before=1", BIG * 10))
    assert isinstance(verdict, Deferred)
    assert verdict.failure.kind is K.NOT_SENT
    assert held == 0


def test_throttling_keeps_its_retry_after() -> None:
    verdict, _ = asyncio.run(delivered_with("status:429:retry-after=30=1"))
    assert isinstance(verdict, Deferred)
    assert verdict.failure.retry_after == 30.0


@pytest.mark.parametrize(
    ("key", "check", "kind"),
    [
        ("another-key", CHECK, K.UNAUTHORIZED),
        (KEY, "00000000-0000-0000-0000-000000000000", K.TARGET_NOT_FOUND),
        (KEY, "review", K.CHECK_IN_REVIEW),
    ],
)
def test_the_sandboxs_own_refusals_are_understood(key: str, check: str, kind: FailureKind) -> None:
    async def story() -> None:
        async with SprintoSandbox(
            key=KEY, checks={CHECK: "one", "review": "another"}, in_review=["review"]
        ) as sandbox:
            verdict = await deliver(sandbox, key=key, check=check)
            assert isinstance(verdict, Rejected)
            assert verdict.failure.kind is kind
            assert sandbox.received == ()

    asyncio.run(story())


def test_a_document_that_the_sandbox_finds_too_large_is_refused_for_that() -> None:
    async def story() -> None:
        async with SprintoSandbox(key=KEY, max_bytes=1_000_000) as sandbox:
            verdict = await deliver(sandbox, BIG)
            assert isinstance(verdict, Rejected)
            assert verdict.failure.kind is K.TOO_LARGE

    asyncio.run(story())


def test_a_slow_reply_is_waited_for_as_long_as_it_moves() -> None:
    verdict, held = asyncio.run(delivered_with("slow:0.0001=1"))
    assert (verdict, held) == (Delivered(Receipt(None, "Evidence uploaded for this check")), 1)
