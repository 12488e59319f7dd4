"""What an attempt came to, as the row that is kept of it."""

from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest

from evidence_courier.domain.integration import RetryPolicy
from evidence_courier.domain.upload.attempt import Attempt, attempt_of
from evidence_courier.domain.upload.events import AttemptEnded
from evidence_courier.domain.upload.failure import Failure, FailureKind
from evidence_courier.domain.upload.verdict import (
    VERDICTS,
    Absent,
    AttemptVerdict,
    Deferred,
    Delivered,
    Finding,
    Found,
    Partly,
    Processing,
    Receipt,
    Recovered,
    Refused,
    Rejected,
    Unbundled,
    Unclear,
    Unreadable,
    Withdrawn,
    verdict_of,
    word_of,
)

START = datetime(2026, 2, 21, 10, 0, tzinfo=UTC)
END = START + timedelta(seconds=2)
FAILURE = Failure(FailureKind.SERVER_ERROR, "HTTP 503", http_status=503, retry_after=90.0)
IN_REVIEW = Failure(FailureKind.STILL_PROCESSING, "in review", retry_after=300.0)
RECEIPT = Receipt("ref-1", "taken")

WORDS: dict[AttemptVerdict, tuple[str, Receipt | Failure]] = {
    Delivered(RECEIPT): ("delivered", RECEIPT),
    Rejected(FAILURE): ("rejected", FAILURE),
    Deferred(FAILURE): ("deferred", FAILURE),
    Unclear(FAILURE): ("unclear", FAILURE),
    Unbundled(FAILURE): ("unbundled", FAILURE),
    Recovered(FAILURE): ("recovered", FAILURE),
    Processing(timedelta(minutes=5), "in review"): ("processing", IN_REVIEW),
}


def ended(verdict: AttemptVerdict) -> AttemptEnded:
    return AttemptEnded(END, 7, verdict, 0.25)


@pytest.mark.parametrize(("verdict", "row"), WORDS.items())
def test_an_event_that_ends_an_attempt_is_recorded(
    verdict: AttemptVerdict, row: tuple[str, Receipt | Failure]
) -> None:
    word, result = row
    kept = attempt_of(START, ended(verdict), RetryPolicy(), "req-9")
    assert kept == Attempt(
        number=7,
        started_at=START,
        ended_at=END,
        verdict=verdict,
        request_id="req-9",
        not_before=END + timedelta(seconds=90) if result == FAILURE else None,
    )
    assert (word_of(kept.verdict), kept.result) == (word, result)
    assert kept.failure == (FAILURE if result == FAILURE else None)


def test_a_withdrawn_attempt_is_recorded_as_deferred() -> None:
    kept = attempt_of(START, ended(Withdrawn(FAILURE)), RetryPolicy())
    assert kept.verdict == Deferred(FAILURE)


@pytest.mark.parametrize("verdict", WORDS)
def test_an_attempt_without_a_request_id_has_none(verdict: AttemptVerdict) -> None:
    assert attempt_of(START, ended(verdict), RetryPolicy()).request_id is None


@pytest.mark.parametrize(("verdict", "row"), WORDS.items())
def test_a_verdict_is_read_back_from_its_word_and_its_result(
    verdict: AttemptVerdict, row: tuple[str, Receipt | Failure]
) -> None:
    assert verdict_of(*row) == verdict


@pytest.mark.parametrize(
    ("seconds", "after"),
    [(None, timedelta(0)), (-1.0, timedelta(0)), (float("inf"), timedelta.max)],
)
def test_a_wait_for_a_decision_that_was_never_written_so_is_survived(
    seconds: float | None, after: timedelta
) -> None:
    odd = Failure(FailureKind.STILL_PROCESSING, "in review", retry_after=seconds)
    assert verdict_of("processing", odd) == Processing(after, "in review")


@pytest.mark.parametrize(
    ("word", "result"), [("lost", FAILURE), ("delivered", FAILURE), ("rejected", RECEIPT)]
)
def test_a_word_that_does_not_go_with_its_result_is_refused(
    word: str, result: Receipt | Failure
) -> None:
    with pytest.raises(ValueError, match=f"'{word}' with a {type(result).__name__} is no verdict"):
        verdict_of(word, result)


def test_the_words_of_the_findings_are_those_that_the_database_knows() -> None:
    findings: dict[Finding, str] = {
        Found(RECEIPT): "found",
        Partly("page-1"): "partly",
        Absent(): "absent",
        Unreadable(FAILURE): "unreadable",
        Refused(FAILURE): "refused",
        Processing(timedelta(minutes=5)): "processing",
    }
    assert {finding: word_of(finding) for finding in findings} == findings
    assert {type(finding) for finding in findings} == set(get_args(Finding))


def test_no_verdict_or_word_is_left_out() -> None:
    assert {type(verdict) for verdict in WORDS} == set(get_args(AttemptVerdict)) - {Withdrawn}
    assert {word for word, _ in WORDS.values()} == set(VERDICTS)


@pytest.mark.parametrize("kind", [Deferred, Unclear, Recovered])
def test_a_retry_after_beyond_the_limit_is_recorded_with_the_bound(
    kind: type[Deferred | Unclear | Recovered],
) -> None:
    kept = attempt_of(
        START, ended(kind(FAILURE)), RetryPolicy(retry_after_limit=timedelta(minutes=1))
    )
    assert kept.result == Failure(
        FailureKind.SERVER_ERROR,
        "HTTP 503",
        http_status=503,
        retry_after=90.0,
        detail="Retry-After of 90 s bounded to 60 s",
    )
    assert kept.not_before == END + timedelta(minutes=1)


def test_an_attempt_that_was_not_asked_to_wait_has_no_moment_to_wait_for() -> None:
    verdict = Deferred(Failure(FailureKind.NO_CONNECTION, "no"))
    assert attempt_of(START, ended(verdict), RetryPolicy()).not_before is None
