"""The provider whose verdicts are data, with a real courier around it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from itertools import repeat

import pytest

from evidence_courier import AsyncCourier, Document, Evidence, UploadStatus
from evidence_courier.domain.evidence.evidence import sha256_of
from evidence_courier.domain.upload.failure import Failure, FailureKind
from evidence_courier.domain.upload.verdict import (
    Absent,
    Deferred,
    Delivered,
    Finding,
    Found,
    Receipt,
    Rejected,
    Unclear,
    Verdict,
)
from evidence_courier.testing import (
    Fakes,
    ReadableScriptedProvider,
    ScriptedProvider,
    ScriptedTransport,
    tenant,
    until_settled,
)
from evidence_courier.testing.scripted_transport import reply

PDF = b"%PDF a certificate"
LATER = Deferred(Failure(FailureKind.RATE_LIMITED, "later"))
SILENT = Unclear(Failure(FailureKind.TIMEOUT, "no reply"))
REFUSED = Rejected(Failure(FailureKind.BAD_REQUEST, "no"))


def settled(
    fakes: Fakes, number: int = 1, transport: ScriptedTransport | None = None
) -> list[UploadStatus]:
    """What becomes of so many evidences, one after another."""

    async def story() -> list[UploadStatus]:
        found = []
        tenants = {"acme": tenant()}
        async with AsyncCourier.from_mapping(
            tenants, transport=transport, **fakes.ports()
        ) as courier:
            for one in range(number):
                evidence = Evidence(
                    tenant_id="acme",
                    evidence_id=f"ev-{one}",
                    session_id="s-1",
                    subject="emp-7",
                    outcome="passed",
                    recorded_at=datetime(2026, 2, 21, 10, 0, tzinfo=UTC),
                    document=Document(content=PDF, media_type="application/pdf"),
                )
                [status] = await until_settled(courier, fakes.clock, courier.submit(evidence))
                assert status is not None
                found.append(status)
        return found

    return asyncio.run(story())


def test_without_a_script_everything_is_delivered() -> None:
    fakes = Fakes()
    assert [status.status for status in settled(fakes, 3)] == ["succeeded"] * 3
    assert fakes.provider.attempts == 3
    assert fakes.provider.copies(sha256_of(PDF)) == 3


def test_verdicts_come_in_order_and_beyond_the_end_everything_is_delivered() -> None:
    fakes = Fakes(provider=ScriptedProvider([LATER, Delivered(Receipt("r-9")), REFUSED]))
    first, second, third = settled(fakes, 3)
    assert (first.status, first.attempts, first.receipt) == ("succeeded", 2, Receipt("r-9"))
    assert (second.status, second.attempts) == ("failed", 1)
    assert (third.status, third.attempts) == ("succeeded", 1)
    assert [parcel.evidence_id for parcel in fakes.provider.uploads] == [
        "ev-0",
        "ev-0",
        "ev-1",
        "ev-2",
    ]
    assert [parcel.evidence_id for parcel in fakes.provider.delivered] == ["ev-0", "ev-2"]


def test_a_script_may_never_end() -> None:
    [status] = settled(Fakes(provider=ScriptedProvider(repeat(LATER))))
    assert (status.status, status.attempts) == ("failed", 5)


@pytest.mark.parametrize(
    ("findings", "attempts"), [([Absent(), Found(Receipt("r-1"))], 1), ([Absent()] * 3, 2)]
)
def test_a_readable_one_is_looked_up_before_it_is_sent_again(
    findings: list[Finding], attempts: int
) -> None:
    script: list[Verdict] = [SILENT]
    provider = ReadableScriptedProvider(script, findings)
    [status] = settled(Fakes(provider=provider))
    assert (status.status, status.attempts) == ("succeeded", attempts)
    assert len(provider.look_ups) == len(findings)


def test_beyond_the_findings_an_upload_is_found_where_it_was_delivered() -> None:
    provider = ReadableScriptedProvider([SILENT])
    [status] = settled(Fakes(provider=provider))
    assert (status.status, status.attempts, len(provider.look_ups)) == ("succeeded", 2, 3)


def test_with_a_url_one_request_is_made_whose_failure_spends_no_verdict() -> None:
    transport = ScriptedTransport([reply(503), reply(200)])
    provider = ScriptedProvider([Delivered(Receipt("r-1"))], url="http://127.0.0.1:9/here")
    [status] = settled(Fakes(provider=provider), transport=transport)
    assert (status.status, status.attempts, status.receipt) == ("succeeded", 2, Receipt("r-1"))
    assert [(request.method, request.url) for request in transport.requests] == [
        ("PUT", "http://127.0.0.1:9/here")
    ] * 2
