"""What a reply of Sprinto's comes to: recognised success, every error looked at, any body
survived."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from evidence_courier.adapters.providers.sprinto.reply import is_success, judge
from evidence_courier.domain.secrets.redaction import MESSAGE_LIMIT
from evidence_courier.domain.upload.failure import FailureKind
from evidence_courier.domain.upload.verdict import (
    Deferred,
    Delivered,
    Receipt,
    Rejected,
    Unclear,
    Verdict,
)
from evidence_courier.ports.dialogue import Ending, HttpResponse, TransportFailure
from evidence_courier.testing.scripted_transport import reply

K = FailureKind
CHECK = "3f1c2a9e-8a43-4a0e-9d0b-6d3f6f1b2c77"
SUCCESS: dict[str, Any] = {
    "data": {
        "uploadWorkflowCheckEvidence": {
            "message": "Evidence uploaded for this check",
            "workflowCheck": {"evidenceStatus": "UPLOAD_COMPLETE"},
        }
    }
}


def verdict_on(body: object, status: int = 200, *headers: tuple[str, str]) -> Verdict:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return judge(reply(status, raw, *headers), CHECK, ("UPLOAD_COMPLETE",))


def errors(*said: object) -> dict[str, object]:
    return {
        "errors": [{"message": word} if isinstance(word, str) else word for word in said],
        "data": None,
    }


def with_status(status: object) -> dict[str, object]:
    return {"data": {"uploadWorkflowCheckEvidence": {"workflowCheck": {"evidenceStatus": status}}}}


def test_success_is_the_status_word_and_the_message_is_only_recorded() -> None:
    assert verdict_on(SUCCESS) == Delivered(Receipt(None, "Evidence uploaded for this check"))


@pytest.mark.parametrize(
    "body",
    [
        SUCCESS | {"errors": None},
        SUCCESS | {"errors": []},
        SUCCESS | {"extensions": {"cost": 1}},
    ],
)
def test_no_errors_may_be_written_in_several_ways(body: object) -> None:
    assert isinstance(verdict_on(body), Delivered)


def test_the_media_type_of_the_reply_is_not_looked_at() -> None:
    assert isinstance(verdict_on(SUCCESS, 200, ("Content-Type", "text/html")), Delivered)


def test_a_byte_order_mark_is_read_over() -> None:
    assert isinstance(verdict_on(b"\xef\xbb\xbf" + json.dumps(SUCCESS).encode()), Delivered)


@pytest.mark.parametrize("message", [None, 7, {"text": "ok"}, ["ok"]])
def test_a_message_that_is_no_text_does_not_matter(message: object) -> None:
    body = with_status("UPLOAD_COMPLETE")
    body["data"]["uploadWorkflowCheckEvidence"]["message"] = message  # type: ignore[index]
    assert verdict_on(body) == Delivered(Receipt(None, None))


def test_the_words_of_success_are_a_setting() -> None:
    told = reply(200, json.dumps(with_status("ACCEPTED")).encode())
    assert judge(told, CHECK, ("UPLOAD_COMPLETE", "ACCEPTED")) == Delivered(Receipt(None, None))
    assert isinstance(judge(told, CHECK, ("UPLOAD_COMPLETE",)), Rejected)


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        None,
        5,
        "UPLOAD_COMPLETE",
        True,
        {"data": None},
        {"data": {}},
        {"data": []},
        {"data": "UPLOAD_COMPLETE"},
        {"data": {"uploadWorkflowCheckEvidence": None}},
        {"data": {"uploadWorkflowCheckEvidence": True}},
        {"data": {"uploadWorkflowCheckEvidence": {"message": "Evidence uploaded for this check"}}},
        {"data": {"uploadWorkflowCheckEvidence": {"workflowCheck": None}}},
        with_status("UPLOAD_FAILED"),
        with_status(["UPLOAD_COMPLETE"]),
        with_status(None),
        {"success": False},
        {"errors": {}},
        SUCCESS | {"errors": {}},
        SUCCESS | {"errors": "none"},
        SUCCESS | {"errors": False},
    ],
    ids=json.dumps,
)
def test_a_whole_reply_that_is_not_success_is_final_and_unrecognised(body: object) -> None:
    verdict = verdict_on(body)
    assert isinstance(verdict, Rejected)
    assert verdict.failure.kind is K.UNRECOGNISED_REPLY
    assert "look at the check in Sprinto" in verdict.failure.message


def test_an_unknown_status_word_is_named() -> None:
    verdict = verdict_on(with_status("UPLOAD_QUEUED"))
    assert isinstance(verdict, Rejected)
    assert "evidenceStatus is 'UPLOAD_QUEUED'" in verdict.failure.message
    assert verdict.failure.kind is K.UNKNOWN_STATUS
    assert verdict.failure.detail == "UPLOAD_QUEUED"


@pytest.mark.parametrize("status", ["upload_complete", "UPLOAD_COMPLETE ", "ACCEPTED"])
def test_a_status_that_is_no_known_success_blocks_for_a_person(status: str) -> None:
    verdict = verdict_on(with_status(status))
    assert isinstance(verdict, Rejected)
    assert verdict.failure.kind is K.UNKNOWN_STATUS
    assert is_success(status, (status,))
    assert not is_success(status, ("UPLOAD_COMPLETE",))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"   \r\n",
        b"<html><h1>Welcome</h1></html>",
        b"\xff\xfe{",
        b'{"data": NaN}',
        b'{"data": Infinity}',
        b'{"data": ' + b"1" * 10_000 + b"}",
        b'{"data":',
        b"[" * 1024 * 1024,
        b'{"a":' * 100_000,
        json.dumps(SUCCESS).encode("utf-16"),
    ],
    ids=lambda body: repr(body[:20]),
)
def test_a_2xx_that_is_no_json_is_unclear(body: bytes) -> None:
    verdict = verdict_on(body)
    assert isinstance(verdict, Unclear)
    assert verdict.failure.kind is K.BROKEN_REPLY


@pytest.mark.parametrize("ending", [Ending.CUT_SHORT, Ending.TOO_LONG])
def test_even_a_success_is_unclear_if_its_end_never_arrived(ending: Ending) -> None:
    told = reply(200, json.dumps(SUCCESS).encode(), ending=ending)
    assert isinstance(judge(told, CHECK, ("UPLOAD_COMPLETE",)), Unclear)


KNOWN = [
    ("Incorrect check ID", K.TARGET_NOT_FOUND),
    ("incorrect CHECK id.", K.TARGET_NOT_FOUND),
    ("Sorry: Incorrect check ID. (ref 77)", K.TARGET_NOT_FOUND),
    ("Check not found", K.TARGET_NOT_FOUND),
    ("Check in review", K.CHECK_IN_REVIEW),
    ("The check  in\nreview takes nothing.", K.CHECK_IN_REVIEW),
    ("Unsupported file format.", K.UNSUPPORTED_TYPE),
    ("Unauthenticated", K.UNAUTHORIZED),
    ({"message": "no", "extensions": {"code": "UNAUTHENTICATED"}}, K.UNAUTHORIZED),
    ({"extensions": {"code": "CHECK_IN_REVIEW"}}, K.CHECK_IN_REVIEW),
    ({"message": "no", "extensions": {"code": "UNSUPPORTED_FILE_FORMAT"}}, K.UNSUPPORTED_TYPE),
]
UNKNOWN: list[object] = [
    "Something new",
    "We could not generate the separate report",
    "",
    None,
    5,
    [],
    {},
    {"message": 7},
    {"message": None, "extensions": []},
    {"extensions": {"code": 429}},
    "The sampling rate is out of range",
    "Request rate is too high",
    {"message": "rate limit must be a number", "extensions": {"code": "BAD_USER_INPUT"}},
    {"message": "no", "extensions": {"code": "INTERNAL_SERVER_ERROR"}},
]
THROTTLING = [
    "Rate limit exceeded",
    "You are being throttled.",
    "Too many requests",
    "Quota exceeded for today",
    {"message": "no", "type": "RATE_LIMITED"},
    {"message": "no", "extensions": {"classification": "TooManyRequests"}},
    {"message": "no", "classification": "THROTTLED"},
    {"message": "too many requests", "extensions": {"code": "INTERNAL_SERVER_ERROR"}},
    {"message": "no", "extensions": {"code": "RATE_LIMITED"}},
    {"message": "no", "extensions": {"code": "RateLimitExceeded"}},
    {"message": "no", "extensions": {"code": "THROTTLED"}},
]


@pytest.mark.parametrize(("said", "kind"), KNOWN, ids=str)
def test_a_known_error_is_final_for_its_reason(said: object, kind: FailureKind) -> None:
    verdict = verdict_on(errors(said))
    assert isinstance(verdict, Rejected)
    assert verdict.failure.kind is kind


@pytest.mark.parametrize("said", UNKNOWN, ids=str)
def test_an_unknown_error_is_final(said: object) -> None:
    verdict = verdict_on(errors(said))
    assert isinstance(verdict, Rejected)
    assert verdict.failure.kind is K.REFUSED


@pytest.mark.parametrize("said", THROTTLING, ids=str)
def test_throttling_is_waited_for(said: object) -> None:
    verdict = verdict_on(errors(said), 200, ("Retry-After", "17"))
    assert isinstance(verdict, Deferred)
    assert verdict.failure.kind is K.RATE_LIMITED
    assert verdict.failure.retry_after == 17.0


@pytest.mark.parametrize(
    ("entry", "kind"), [("Check in review", K.CHECK_IN_REVIEW), ("Something new", K.REFUSED)]
)
def test_an_error_that_is_only_a_text_is_read_too(entry: str, kind: FailureKind) -> None:
    verdict = verdict_on({"errors": [entry], "data": None})
    assert isinstance(verdict, Rejected)
    assert verdict.failure.kind is kind
    assert f'saying "{entry}"' in verdict.failure.message


@pytest.mark.parametrize("status", ["UPLOAD_COMPLETE", "accepted", "EVIDENCE_APPROVED"])
def test_any_status_may_be_taken_for_success(status: str) -> None:
    answer = reply(200, json.dumps(with_status(status)).encode())
    assert isinstance(judge(answer, CHECK, ("any",)), Delivered)


@pytest.mark.parametrize(
    "body",
    [
        with_status("UPLOAD_FAILED"),
        with_status("rejected_by_reviewer"),
        with_status("FileError"),
        with_status(""),
        with_status(None),
        with_status("accepted") | {"errors": ["Something new"]},
        with_status("accepted") | {"errors": 7},
        {"data": None},
    ],
    ids=str,
)
def test_but_never_a_word_of_failure_an_error_or_nothing(body: object) -> None:
    answer = reply(200, json.dumps(body).encode())
    assert isinstance(judge(answer, CHECK, ("any",)), Rejected)


@pytest.mark.parametrize(("said", "kind"), KNOWN, ids=str)
@pytest.mark.parametrize(
    "others", [["Something new"], ["Rate limit exceeded"], [None, 5, {"message": 7}]]
)
def test_a_known_error_decides_wherever_it_stands(
    said: object, kind: FailureKind, others: list[object]
) -> None:
    for listing in ([said, *others], [*others, said]):
        verdict = verdict_on(errors(*listing))
        assert isinstance(verdict, Rejected)
        assert verdict.failure.kind is kind


@pytest.mark.parametrize(
    "listing", [["Rate limit exceeded", "Something new"], ["Something new", "throttled"]]
)
def test_throttling_beside_an_unknown_error_is_final(listing: list[str]) -> None:
    verdict = verdict_on(errors(*listing))
    assert isinstance(verdict, Rejected)
    assert verdict.failure.kind is K.REFUSED


def test_a_refused_key_outweighs_everything() -> None:
    listing = ["Check in review", "Incorrect check ID", "Too many requests", "unauthenticated"]
    verdict = verdict_on(errors(*listing))
    assert isinstance(verdict, Rejected)
    assert verdict.failure.kind is K.UNAUTHORIZED


@pytest.mark.parametrize(("said", "kind"), [*KNOWN, ("Something new", K.REFUSED)], ids=str)
def test_an_error_beside_a_success_is_no_success(said: object, kind: FailureKind) -> None:
    verdict = verdict_on(SUCCESS | {"errors": errors(said)["errors"]})
    assert isinstance(verdict, Rejected)
    assert verdict.failure.kind is kind


def test_throttling_beside_a_result_was_not_surely_refused() -> None:
    verdict = verdict_on(SUCCESS | {"errors": [{"message": "Rate limit exceeded"}]})
    assert isinstance(verdict, Rejected)
    assert verdict.failure.kind is K.UNRECOGNISED_REPLY


@pytest.mark.parametrize("status", [400, 403, 404, 409, 422])
@pytest.mark.parametrize(("said", "kind"), KNOWN, ids=str)
def test_known_errors_in_a_4xx_say_more_than_its_status(
    said: object, kind: FailureKind, status: int
) -> None:
    verdict = verdict_on(errors(said), status)
    assert isinstance(verdict, Rejected)
    assert verdict.failure.kind is kind
    assert verdict.failure.http_status == status


def test_throttling_in_a_4xx_is_waited_for() -> None:
    assert isinstance(verdict_on(errors("Too many requests"), 400), Deferred)


@pytest.mark.parametrize(
    ("status", "verdict", "kind"),
    [
        (401, Rejected, K.UNAUTHORIZED),
        (408, Deferred, K.TOLD_TO_WAIT),
        (425, Deferred, K.TOLD_TO_WAIT),
        (429, Deferred, K.RATE_LIMITED),
        (500, Unclear, K.SERVER_ERROR),
        (302, Rejected, K.REDIRECTED),
    ],
)
def test_these_statuses_decide_whatever_the_body_says(
    status: int, verdict: type[Rejected], kind: FailureKind
) -> None:
    for body in (SUCCESS, errors("Check in review"), b"<html>", b""):
        came_to = verdict_on(body, status)
        assert isinstance(came_to, verdict)
        assert came_to.failure.kind is kind


def test_an_unknown_error_in_a_4xx_gives_the_message_its_words() -> None:
    verdict = verdict_on(errors("Variable $x is wrong"), 400)
    assert isinstance(verdict, Rejected)
    assert verdict.failure.kind is K.BAD_REQUEST
    assert 'saying "Variable $x is wrong"' in verdict.failure.message


@pytest.mark.parametrize(
    ("body", "status", "who_does_what"),
    [
        (b"", 401, "ask the Sprinto admin for a new key under Settings > Developer API"),
        (
            errors("unauthenticated"),
            200,
            "ask the Sprinto admin for a new key under Settings > Developer API",
        ),
        (
            errors("Incorrect check ID"),
            200,
            f"correct workflow_check {CHECK} or the region in the tenant file",
        ),
        (errors("Check in review"), 200, "wait until its review is done"),
        (errors("Unsupported file format"), 200, "send a PDF"),
        (errors("Something new"), 200, "ask the Sprinto admin what it means"),
        (b"", 403, "ask the Sprinto admin"),
        (b"", 404, "correct region or endpoint in the tenant file"),
        (b"", 413, "make the document smaller"),
    ],
)
def test_a_refusal_says_who_must_do_what(body: object, status: int, who_does_what: str) -> None:
    verdict = verdict_on(body, status)
    assert isinstance(verdict, Rejected)
    assert who_does_what in verdict.failure.message


@pytest.mark.parametrize(
    ("body", "end"),
    [
        (errors(*["x" * 10_000] * 1_000), "mend it, then retry this upload"),
        (
            errors("Incorrect check ID " + "x" * 10_000),
            "ask the Sprinto admin to activate that check",
        ),
        (
            errors("unauthenticated " + "x" * 10_000),
            "put it where api_key in the tenant file points",
        ),
        (errors("Check in review", *["x" * 10_000] * 9), "retry what has failed meanwhile"),
        (with_status("x" * 10_000), "then retry this upload"),
    ],
)
def test_a_long_reply_does_not_cut_off_the_advice(body: object, end: str) -> None:
    verdict = verdict_on(body)
    assert isinstance(verdict, Rejected)
    assert verdict.failure.message.endswith(end)
    assert len(verdict.failure.message) <= MESSAGE_LIMIT


def test_of_many_errors_the_first_are_quoted_and_the_others_counted() -> None:
    verdict = verdict_on(errors("one", "two", "three", "four", "five"))
    assert isinstance(verdict, Rejected)
    assert 'saying "one; two; three; and 2 more"' in verdict.failure.message


def test_without_a_reply_the_line_decides() -> None:
    assert isinstance(judge(TransportFailure(K.NOT_SENT, "broke"), CHECK, ()), Deferred)
    assert isinstance(judge(TransportFailure(K.TIMEOUT, "silent"), CHECK, ()), Unclear)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "data",
                    "errors",
                    "message",
                    "extensions",
                    "code",
                    "workflowCheck",
                    "evidenceStatus",
                ]
            )
            | st.just("uploadWorkflowCheckEvidence")
            | st.text(max_size=5),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
bodies = st.binary(max_size=60) | json_values.map(lambda value: json.dumps(value).encode())


@given(
    bodies,
    st.integers(-1, 1_100) | st.sampled_from([200, 201]),
    st.sampled_from(Ending),
    st.text(max_size=30),
)
@example(json.dumps(SUCCESS).encode(), 200, Ending.COMPLETE, "1")
@example(json.dumps(SUCCESS).encode(), 500, Ending.COMPLETE, "1")
@example(json.dumps(SUCCESS | {"errors": [None]}).encode(), 200, Ending.COMPLETE, "1")
def test_any_reply_has_a_verdict_and_only_the_exact_success_is_delivered(
    body: bytes, status: int, ending: Ending, retry_after: str
) -> None:
    told = reply(status, body, ("Retry-After", retry_after), ending=ending)
    verdict = judge(told, CHECK, ("UPLOAD_COMPLETE",))
    assert isinstance(verdict, Delivered | Rejected | Deferred | Unclear)
    assert isinstance(verdict, Delivered) == _is_success(told)


def _is_success(told: HttpResponse) -> bool:
    """Success said again, in other words than the code's."""
    if not 200 <= told.status <= 299 or told.ending is not Ending.COMPLETE:
        return False
    try:
        value = json.loads(told.body.decode("utf-8-sig"))
        status = value["data"]["uploadWorkflowCheckEvidence"]["workflowCheck"]["evidenceStatus"]
        return bool(status == "UPLOAD_COMPLETE" and value.get("errors") in (None, []))
    except (ValueError, TypeError, LookupError, AttributeError):
        return False
