"""What an attempt came to, as an event for its upload and as a row that is kept."""

from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest

from evidence_courier.domain.integration import RetryPolicy
from evidence_courier.domain.upload.attempt import Attempt, VerdictWord, attempt_of, event_of
from evidence_courier.domain.upload.events import (
    AttemptDeferred,
    AttemptEvent,
    AttemptRecovered,
    AttemptRejected,
    AttemptUnbundled,
    AttemptUnclear,
    DeliveryConfirmed,
    Progressed,
)
from evidence_courier.domain.upload.failure import Failure, FailureKind
from evidence_courier.domain.upload.verdict import (
    Deferred,
    Delivered,
    Receipt,
    Rejected,
    Unbundled,
    Unclear,
    Verdict,
)

START = datetime(2026, 2, 21, 10, 0, tzinfo=UTC)
END = START + timedelta(seconds=2)
FAILURE = Failure(FailureKind.SERVER_ERROR, "HTTP 503", http_status=503, retry_after=90.0)
RECEIPT = Receipt("ref-1", "taken")

VERDICTS: dict[Verdict | Unbundled, AttemptEvent] = {
    Delivered(RECEIPT): DeliveryConfirmed(END, 7, RECEIPT),
    Rejected(FAILURE): AttemptRejected(END, 7, FAILURE),
    Deferred(FAILURE): AttemptDeferred(END, 7, FAILURE, 0.25),
    Unclear(FAILURE): AttemptUnclear(END, 7, FAILURE, 0.25),
    Unbundled(FAILURE): AttemptUnbundled(END, 7, FAILURE),
}
WORDS: dict[AttemptEvent, tuple[str, Receipt | Failure]] = {
    DeliveryConfirmed(END, 7, RECEIPT): ("delivered", RECEIPT),
    AttemptRejected(END, 7, FAILURE): ("rejected", FAILURE),
    AttemptUnbundled(END, 7, FAILURE): ("unbundled", FAILURE),
    AttemptDeferred(END, 7, FAILURE, 0.25): ("deferred", FAILURE),
    AttemptUnclear(END, 7, FAILURE, 0.25): ("unclear", FAILURE),
    AttemptRecovered(END, 7, FAILURE, 0.25): ("recovered", FAILURE),
}


@pytest.mark.parametrize(("verdict", "event"), VERDICTS.items())
def test_a_verdict_is_an_event_for_the_upload(
    verdict: Verdict | Unbundled, event: AttemptEvent
) -> None:
    assert event_of(verdict, 7, END, 0.25) == event


@pytest.mark.parametrize(("event", "row"), WORDS.items())
def test_an_event_that_ends_an_attempt_is_kept(
    event: AttemptEvent, row: tuple[str, Receipt | Failure]
) -> None:
    word, result = row
    assert attempt_of(START, event, RetryPolicy(), "req-9") == Attempt(
        number=7,
        started_at=START,
        ended_at=END,
        verdict=VerdictWord(word),
        result=result,
        request_id="req-9",
        not_before=END + timedelta(seconds=90) if result == FAILURE else None,
    )


@pytest.mark.parametrize("event", WORDS)
def test_an_attempt_without_a_request_id_has_none(event: AttemptEvent) -> None:
    kept = attempt_of(START, event, RetryPolicy())
    assert kept is not None
    assert kept.request_id is None


def test_a_bookmark_on_the_way_ends_nothing() -> None:
    assert attempt_of(START, Progressed(END, 7, "page-1"), RetryPolicy(), "req-9") is None


def test_no_verdict_event_or_word_is_left_out() -> None:
    assert {type(verdict) for verdict in VERDICTS} == {*get_args(Verdict), Unbundled}
    assert {type(event) for event in WORDS} == set(get_args(AttemptEvent)) - {Progressed}
    assert [word for word, _ in WORDS.values()] == [word.value for word in VerdictWord]


@pytest.mark.parametrize(
    "event",
    [
        AttemptDeferred(END, 7, FAILURE, 0.25),
        AttemptUnclear(END, 7, FAILURE, 0.25),
        AttemptRecovered(END, 7, FAILURE, 0.25),
    ],
)
def test_a_retry_after_beyond_the_limit_is_kept_as_it_came_with_a_note_of_the_bound(
    event: AttemptEvent,
) -> None:
    kept = attempt_of(START, event, RetryPolicy(retry_after_limit=timedelta(minutes=1)))
    assert kept is not None
    assert kept.result == Failure(
        FailureKind.SERVER_ERROR,
        "HTTP 503",
        http_status=503,
        retry_after=90.0,
        detail="Retry-After of 90 s bounded to 60 s",
    )
    assert kept.not_before == END + timedelta(minutes=1)


def test_an_attempt_that_was_not_asked_to_wait_has_no_moment_to_wait_for() -> None:
    kept = attempt_of(
        START,
        AttemptDeferred(END, 7, Failure(FailureKind.NO_CONNECTION, "no"), 0.25),
        RetryPolicy(),
    )
    assert kept is not None
    assert kept.not_before is None
