"""The table of HTTP replies, row by row."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from attrs import evolve

from evidence_courier.delivery.dialogues.http_errors import (
    DETAIL_BYTES,
    UPLOAD,
    ErrorHints,
    RequestPurpose,
    classify,
    not_json,
)
from evidence_courier.domain.upload.failure import Concern, FailureKind
from evidence_courier.domain.upload.verdict import Deferred, Delivered, Rejected, Unclear, Verdict
from evidence_courier.ports.dialogue import Ending, TransportFailure
from evidence_courier.testing.scripted_transport import reply

HINTS = ErrorHints(
    provider="Acme GRC",
    unauthorized="ask Ann for a key",
    forbidden="ask Bob for leave",
    not_found="mend the address",
    too_large="make it smaller",
    unsupported_type="send a PDF",
)
K = FailureKind


@pytest.mark.parametrize(
    ("status", "verdict", "kind", "advice"),
    [
        (100, Unclear, K.BROKEN_REPLY, "not known"),
        (300, Rejected, K.REDIRECTED, "never followed"),
        (304, Rejected, K.REDIRECTED, "never followed"),
        (308, Rejected, K.REDIRECTED, "never followed"),
        (400, Rejected, K.BAD_REQUEST, "mend what it names"),
        (401, Rejected, K.UNAUTHORIZED, "ask Ann for a key"),
        (402, Rejected, K.REFUSED, "mend what it names"),
        (403, Rejected, K.FORBIDDEN, "ask Bob for leave"),
        (404, Rejected, K.NOT_FOUND, "mend the address"),
        (408, Deferred, K.TOLD_TO_WAIT, "later"),
        (409, Rejected, K.REFUSED, "mend what it names"),
        (413, Rejected, K.TOO_LARGE, "make it smaller"),
        (415, Rejected, K.UNSUPPORTED_TYPE, "send a PDF"),
        (418, Rejected, K.REFUSED, "mend what it names"),
        (422, Rejected, K.BAD_REQUEST, "mend what it names"),
        (423, Rejected, K.ACCOUNT_LOCKED, "unlocked, then release what is held"),
        (425, Deferred, K.TOLD_TO_WAIT, "later"),
        (429, Deferred, K.RATE_LIMITED, "no more requests"),
        (499, Rejected, K.REFUSED, "mend what it names"),
        (500, Unclear, K.SERVER_ERROR, "not known"),
        (502, Unclear, K.SERVER_ERROR, "not known"),
        (503, Unclear, K.SERVER_ERROR, "not known"),
        (599, Unclear, K.SERVER_ERROR, "not known"),
        (0, Unclear, K.BROKEN_REPLY, "not known"),
        (999, Unclear, K.BROKEN_REPLY, "not known"),
    ],
)
def test_a_status_has_its_verdict(
    status: int, verdict: type[Rejected], kind: FailureKind, advice: str
) -> None:
    came_to = classify(reply(status, b"so it is"), HINTS)
    assert isinstance(came_to, verdict)
    assert came_to.failure.kind is kind
    assert came_to.failure.http_status == status
    assert came_to.failure.detail == "so it is"
    assert came_to.failure.message.startswith(("Acme GRC ", "the reply of Acme GRC "))
    assert str(status) in came_to.failure.message
    assert advice in came_to.failure.message


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_a_whole_2xx_is_left_to_the_provider(status: int) -> None:
    assert classify(reply(status, b"{}"), HINTS) is None


@pytest.mark.parametrize("ending", [Ending.CUT_SHORT, Ending.TOO_LONG])
def test_a_2xx_that_is_not_whole_is_unclear(ending: Ending) -> None:
    verdict = classify(reply(200, b'{"data": {}}', ending=ending), HINTS)
    assert isinstance(verdict, Unclear)
    assert verdict.failure.kind is K.BROKEN_REPLY
    assert ending.value in verdict.failure.message


def test_a_refusal_that_is_cut_short_is_still_a_refusal() -> None:
    verdict = classify(reply(401, b"<ht", ending=Ending.CUT_SHORT), HINTS)
    assert isinstance(verdict, Rejected)
    assert verdict.failure.kind.concern is Concern.INTEGRATION


@pytest.mark.parametrize(
    ("kind", "verdict"),
    [
        (K.NO_CONNECTION, Deferred),
        (K.NOT_SENT, Deferred),
        (K.TIMEOUT, Unclear),
        (K.CONNECTION_LOST, Unclear),
    ],
)
def test_without_a_reply_it_counts_how_far_the_request_got(
    kind: FailureKind, verdict: type[Deferred] | type[Unclear]
) -> None:
    came_to = classify(TransportFailure(kind, "the line broke"), HINTS)
    assert isinstance(came_to, verdict)
    assert came_to.failure.kind is kind
    assert came_to.failure.message == "Acme GRC: the line broke"


@pytest.mark.parametrize(
    ("status", "header", "seconds"),
    [
        (429, "120", 120.0),
        (503, "120", 120.0),
        (408, "Sat, 21 Feb 2026 10:00:30 GMT", 30.0),
        (429, "whenever", None),
        (401, "120", None),
    ],
)
def test_retry_after_is_recorded_where_a_later_attempt_follows(
    status: int, header: str, seconds: float | None
) -> None:
    at = datetime(2026, 2, 21, 10, 0, tzinfo=UTC)
    verdict = classify(reply(status, b"", ("Retry-After", header), received_at=at), HINTS)
    assert _failure_of(verdict) == seconds


def test_the_longest_retry_after_counts_and_dates_are_the_servers() -> None:
    headers = (
        ("Date", "Sat, 21 Feb 2026 10:10:00 GMT"),
        ("Retry-After", "20"),
        ("retry-after", "Sat, 21 Feb 2026 10:10:30 GMT"),
    )
    at = datetime(2026, 2, 21, 10, 0, tzinfo=UTC)
    assert _failure_of(classify(reply(429, b"", *headers, received_at=at), HINTS)) == 30.0


def _failure_of(verdict: Verdict | None) -> float | None:
    assert verdict is not None
    assert not isinstance(verdict, Delivered)
    return verdict.failure.retry_after


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("https://login.example/sso?token=abc", "to login.example "),
        ("https://user:pass@evil.example/", "to evil.example "),
        ("/login", "to another page of the same server "),
        ("http://[::1", "to an address that is none "),
        (None, "to nowhere "),
    ],
)
def test_a_redirect_says_where_to_but_only_the_host(location: str | None, words: str) -> None:
    headers = [("Location", location)] if location else []
    verdict = classify(reply(302, b"", *headers), HINTS)
    assert isinstance(verdict, Rejected)
    assert words in verdict.failure.message
    assert "token" not in verdict.failure.message
    assert "pass@" not in verdict.failure.message


def test_the_message_of_the_api_is_quoted() -> None:
    verdict = classify(reply(400, b""), HINTS, quote="no such field")
    assert isinstance(verdict, Rejected)
    assert 'saying "no such field"' in verdict.failure.message


def test_of_a_long_reply_the_beginning_is_recorded() -> None:
    verdict = classify(reply(500, b"\xff" + b"x" * 1_000_000), HINTS)
    assert isinstance(verdict, Unclear)
    assert verdict.failure.detail == "\ufffd" + "x" * (DETAIL_BYTES - 1)


def test_a_404_may_speak_of_what_the_tenant_file_names() -> None:
    came_to = classify(reply(404), evolve(HINTS, target_gone=True))
    assert isinstance(came_to, Rejected)
    assert came_to.failure.kind is K.TARGET_NOT_FOUND
    assert came_to.failure.message.endswith("mend the address")


def test_a_purpose_says_what_is_in_doubt_and_what_was_asked_for() -> None:
    purpose = RequestPurpose("the step", "; nothing is filed yet", "")
    broken, lost = (
        classify(reply(500), HINTS, None, purpose),
        classify(reply(400), HINTS, None, purpose),
    )
    assert isinstance(broken, Unclear)
    assert (
        broken.failure.message
        == "Acme GRC had an error of its own (HTTP 500); nothing is filed yet"
    )
    assert isinstance(lost, Rejected)
    assert "refused the step" in lost.failure.message
    assert not lost.failure.message.endswith(UPLOAD.mended)


@pytest.mark.parametrize(
    ("body", "seen"), [(b"<html>", "is not JSON"), (b" ", "is empty"), (b"", "is empty")]
)
def test_a_reply_that_should_be_json_and_is_not_leaves_a_doubt(body: bytes, seen: str) -> None:
    assert seen in not_json(reply(200, body), HINTS).failure.message
