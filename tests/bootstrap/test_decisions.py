"""A platform that takes a document and decides about it later."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from store_fixtures import evidence

from evidence_courier import AsyncCourier, BlockingCourier, UploadStatus
from evidence_courier.domain.upload.failure import Failure, FailureKind
from evidence_courier.domain.upload.verdict import (
    Absent,
    Finding,
    Found,
    Processing,
    Receipt,
    Refused,
    Unclear,
    Unreadable,
)
from evidence_courier.ports.logger import AttemptEnded, LookUpEnded
from evidence_courier.testing import (
    FakeClock,
    ReadableScriptedProvider,
    RecordingLogger,
    ScriptedProvider,
    until_settled,
)

MINUTE = timedelta(minutes=1)
IN_REVIEW = Processing(5 * MINUTE, "in review")
DECLINED = Refused(Failure(FailureKind.REFUSED, "the reviewer declined it"))
TENANTS: dict[str, Any] = {"acme": {"integrations": {"compliance": {"provider": "scripted"}}}}


def delivered(
    folder: Path, provider: ScriptedProvider, clock: FakeClock, logger: RecordingLogger
) -> tuple[UploadStatus, list[tuple[str, str | None]], list[str]]:
    """How an upload ends, its attempts, and its look-ups."""

    async def story() -> tuple[UploadStatus, list[tuple[str, str | None]], list[str]]:
        async with AsyncCourier.from_mapping(
            TENANTS,
            folder / "courier.db",
            providers={"scripted": provider},
            clock=clock,
            logger=logger,
        ) as courier:
            [status] = await until_settled(courier, clock, courier.submit(evidence()))
            details = await courier.show("acme", "ev-1")
            assert status is not None and details is not None
            history = [(row.verdict, row.kind) for row in details.history]
            return status, history, [row.finding for row in details.look_ups]

    return asyncio.run(story())


def test_it_is_asked_again_until_it_has_decided_without_another_attempt(tmp_path: Path) -> None:
    down = Unreadable(Failure(FailureKind.SERVER_ERROR, "HTTP 503"))
    findings: list[Finding] = [IN_REVIEW, Absent(), down, Found(Receipt("ref-1"))]
    provider = ReadableScriptedProvider([IN_REVIEW], findings)
    clock, logger = FakeClock(), RecordingLogger()
    began = clock.now()
    status, history, look_ups = delivered(tmp_path, provider, clock, logger)
    assert (status.status, status.attempts, status.receipt) == ("succeeded", 1, Receipt("ref-1"))
    assert not status.possible_duplicate
    assert history == [("processing", None)]
    assert look_ups == ["processing", "absent", "unreadable", "found"]
    # After 5 and again 5 minutes, as the platform said; then as long as all before, and again.
    waits = [(event.next_at or began) - began for event in logger.of(LookUpEnded)]
    assert [round(wait / MINUTE) for wait in waits] == [10, 20, 40, 0]
    [ended] = logger.of(AttemptEnded)
    assert (ended.verdict, ended.failure) == ("processing", None)


@pytest.mark.parametrize("findings", [[DECLINED], [IN_REVIEW, DECLINED]])
def test_what_it_decides_against_is_rejected(tmp_path: Path, findings: list[Finding]) -> None:
    provider = ReadableScriptedProvider([IN_REVIEW], findings)
    status, _, look_ups = delivered(tmp_path, provider, FakeClock(), RecordingLogger())
    assert status.error is not None
    assert (status.status, status.attempts, status.error.kind) == ("failed", 1, "refused")
    assert status.error.message == "the reviewer declined it"
    assert look_ups[-1] == "refused"


def test_after_a_day_without_a_decision_it_has_failed(tmp_path: Path) -> None:
    def undecided() -> Iterable[Finding]:
        while True:
            yield Processing(60 * MINUTE, "in review")

    provider, clock = ReadableScriptedProvider([IN_REVIEW], undecided()), FakeClock()
    began = clock.now()
    status, _, _ = delivered(tmp_path, provider, clock, RecordingLogger())
    assert status.error is not None
    assert (status.status, status.attempts) == ("failed", 1)
    assert (status.error.kind, status.error.message) == ("still_processing", "in review")
    assert timedelta(days=1) <= clock.now() - began <= timedelta(days=1, minutes=1)


def test_a_doubt_is_resolved_by_a_look_up_that_shows_it_in_review(tmp_path: Path) -> None:
    lost = Unclear(Failure(FailureKind.TIMEOUT, "no reply"))
    provider = ReadableScriptedProvider([lost], [IN_REVIEW, Found(Receipt("ref-1"))])
    status, history, look_ups = delivered(tmp_path, provider, FakeClock(), RecordingLogger())
    assert (status.status, status.possible_duplicate) == ("succeeded", False)
    assert (history, look_ups) == ([("unclear", "timeout")], ["processing", "found"])


def test_a_platform_that_cannot_be_asked_leaves_it_to_a_person(tmp_path: Path) -> None:
    status, _, _ = delivered(
        tmp_path, ScriptedProvider([IN_REVIEW]), FakeClock(), RecordingLogger()
    )
    assert status.error is not None
    assert (status.status, status.error.kind) == ("held", "still_processing")


def test_another_courier_goes_on_with_what_one_left_undecided(tmp_path: Path) -> None:
    clock, database = FakeClock(), tmp_path / "courier.db"

    async def first() -> None:
        provider = ReadableScriptedProvider([IN_REVIEW])
        async with AsyncCourier.from_mapping(
            TENANTS, database, providers={"scripted": provider}, clock=clock
        ) as courier:
            courier.submit(evidence())
            while not provider.uploads:
                await asyncio.sleep(0)

    asyncio.run(first())
    with BlockingCourier.from_mapping(
        TENANTS,
        database=str(database),
        providers={"scripted": ReadableScriptedProvider([], [Found(Receipt("ref-1"))])},
        clock=clock,
    ) as courier:
        waiting = courier.deliver(evidence())
        assert waiting.status is not None
        assert (waiting.status.status, waiting.status.attempts) == ("retrying", 1)
        assert waiting.again_at is not None
        clock.advance((waiting.again_at - clock.now()).total_seconds())
        after = courier.deliver(evidence())
    assert after.status is not None
    assert (after.status.status, after.status.attempts) == ("succeeded", 1)
    assert not after.status.possible_duplicate


@pytest.mark.parametrize(
    ("verdict", "said"),
    [
        (Processing("soon"), "the after of its Processing is str"),  # type: ignore[arg-type]
        (Processing(MINUTE, None), "the message of its Processing is NoneType"),  # type: ignore[arg-type]
    ],
)
def test_a_wrong_answer_of_a_plug_in_is_named(
    tmp_path: Path, verdict: Processing, said: str
) -> None:
    provider = ReadableScriptedProvider([verdict])
    status, _, _ = delivered(tmp_path, provider, FakeClock(), RecordingLogger())
    assert status.error is not None
    assert status.status == "failed" and said in status.error.message
