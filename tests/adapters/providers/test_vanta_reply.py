"""What a reply of Vanta's comes to: recognised success, any body survived, and no doubt where
there is no copy."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from vanta_talk import UPLOAD_ID, document, json_reply, listed, page

from evidence_courier.adapters.providers.vanta.reply import (
    DocumentState,
    judge_submission,
    judge_upload,
    read_document,
    read_page,
    read_token,
)
from evidence_courier.delivery.dialogues.json_reply import quote_of
from evidence_courier.delivery.dialogues.lists import Page
from evidence_courier.domain.secrets.redaction import MESSAGE_LIMIT
from evidence_courier.domain.secrets.secret import Secret
from evidence_courier.domain.upload.failure import Failure, FailureKind
from evidence_courier.domain.upload.verdict import Deferred, Delivered, Receipt, Rejected, Unclear
from evidence_courier.ports.dialogue import Ending, MintedToken, TransportFailure
from evidence_courier.testing.scripted_transport import reply

K = FailureKind
DOCUMENT = "access-requests"

NO_JSON = [
    b"",
    b" \r\n",
    b"<html><h1>Sign in</h1></html>",
    b'{"id": "66993',
    b"\xff\xfe{",
    b'{"id": NaN}',
    b"[" * 100_000,
]
NO_SUCCESS: list[object] = [
    {},
    [],
    None,
    5,
    UPLOAD_ID,
    True,
    {"id": None},
    {"id": 7.5},
    {"id": True},
    {"id": ""},
    {"id": "two words"},
    {"id": "a\nb"},
    {"id": "x" * 201},
    {"data": {"id": UPLOAD_ID}},
]
UNREACHED = (K.NO_CONNECTION, K.NOT_SENT, K.TIMEOUT, K.CONNECTION_LOST)


# -- the upload


@pytest.mark.parametrize("status", [200, 201, 202])
def test_an_upload_that_was_made_has_an_id(status: int) -> None:
    assert (
        judge_upload(json_reply(status, {"id": UPLOAD_ID, "fileName": None}), DOCUMENT) == UPLOAD_ID
    )


def test_an_id_may_be_a_number() -> None:
    assert judge_upload(json_reply(201, {"id": 7}), DOCUMENT) == "7"


@pytest.mark.parametrize("body", NO_SUCCESS, ids=str)
def test_a_whole_reply_without_an_id_is_final_and_unrecognised(body: object) -> None:
    verdict = judge_upload(json_reply(201, body), DOCUMENT)
    assert isinstance(verdict, Rejected)
    assert verdict.failure.kind is K.UNRECOGNISED_REPLY
    assert "look at the document in Vanta" in verdict.failure.message


@pytest.mark.parametrize("status", [203, 206, 299])
def test_another_2xx_is_not_known_as_success_whatever_it_holds(status: int) -> None:
    verdict = judge_upload(json_reply(status, {"id": UPLOAD_ID}), DOCUMENT)
    assert isinstance(verdict, Rejected)
    assert verdict.failure.kind is K.UNRECOGNISED_REPLY


@pytest.mark.parametrize("body", NO_JSON, ids=lambda body: repr(body[:12]))
def test_a_2xx_that_is_no_json_is_unclear(body: bytes) -> None:
    verdict = judge_upload(json_reply(201, body), DOCUMENT)
    assert isinstance(verdict, Unclear)
    assert verdict.failure.kind is K.BROKEN_REPLY


@pytest.mark.parametrize("ending", [Ending.CUT_SHORT, Ending.TOO_LONG])
def test_even_an_id_is_unclear_if_the_end_never_arrived(ending: Ending) -> None:
    verdict = judge_upload(
        reply(201, json.dumps({"id": UPLOAD_ID}).encode(), ending=ending), DOCUMENT
    )
    assert isinstance(verdict, Unclear)


@pytest.mark.parametrize(
    ("status", "verdict", "kind"),
    [
        (302, Rejected, K.REDIRECTED),
        (400, Rejected, K.BAD_REQUEST),
        (403, Rejected, K.FORBIDDEN),
        (404, Rejected, K.TARGET_NOT_FOUND),
        (408, Deferred, K.TOLD_TO_WAIT),
        (409, Rejected, K.REFUSED),
        (413, Rejected, K.TOO_LARGE),
        (415, Rejected, K.UNSUPPORTED_TYPE),
        (422, Rejected, K.BAD_REQUEST),
        (425, Deferred, K.TOLD_TO_WAIT),
        (429, Deferred, K.RATE_LIMITED),
        (500, Unclear, K.SERVER_ERROR),
        (502, Unclear, K.SERVER_ERROR),
        (503, Unclear, K.SERVER_ERROR),
        (504, Unclear, K.SERVER_ERROR),
        (600, Unclear, K.BROKEN_REPLY),
    ],
)
def test_every_other_status_has_its_verdict_whatever_the_body_says(
    status: int, verdict: type[Rejected], kind: FailureKind
) -> None:
    for body in ({"id": UPLOAD_ID}, {"message": "no"}, b"<html>", b"", [None], 5):
        came_to = judge_upload(json_reply(status, body, ("Retry-After", "17")), DOCUMENT)
        assert isinstance(came_to, verdict)
        assert came_to.failure.kind is kind
        assert came_to.failure.http_status == status
        assert came_to.failure.retry_after == (17.0 if kind.retryable else None)


@pytest.mark.parametrize(
    ("kind", "verdict"), list(zip(UNREACHED, (Deferred, Deferred, Unclear, Unclear), strict=True))
)
def test_without_a_reply_the_line_decides(kind: FailureKind, verdict: type[Unclear]) -> None:
    assert isinstance(judge_upload(TransportFailure(kind, "the line"), DOCUMENT), verdict)


# -- the submission


def test_a_submission_is_recognised_by_its_status() -> None:
    verdict = judge_submission(reply(204), DOCUMENT, UPLOAD_ID)
    assert verdict == Delivered(Receipt(UPLOAD_ID, "uploaded and submitted"))


@pytest.mark.parametrize("status", [200, 201, 202, 205, 299])
@pytest.mark.parametrize("body", [{}, {"id": UPLOAD_ID}, b"", b"<html>"], ids=str)
def test_any_other_2xx_is_tried_again_for_a_submission_makes_no_copy(
    status: int, body: object
) -> None:
    verdict = judge_submission(json_reply(status, body), DOCUMENT, UPLOAD_ID)
    assert isinstance(verdict, Deferred)
    assert verdict.failure.kind is K.BROKEN_REPLY
    assert f"the upload is at Vanta as {UPLOAD_ID}" in verdict.failure.message


@pytest.mark.parametrize("kind", UNREACHED)
def test_a_submission_without_a_reply_is_never_unclear(kind: FailureKind) -> None:
    verdict = judge_submission(TransportFailure(kind, "the line"), DOCUMENT, UPLOAD_ID)
    assert isinstance(verdict, Deferred)
    assert verdict.failure.kind is kind


@pytest.mark.parametrize(
    ("status", "verdict", "kind"),
    [
        (302, Rejected, K.REDIRECTED),
        (403, Rejected, K.FORBIDDEN),
        (404, Rejected, K.TARGET_NOT_FOUND),
        (409, Rejected, K.REFUSED),
        (429, Deferred, K.RATE_LIMITED),
        (503, Deferred, K.SERVER_ERROR),
        (600, Deferred, K.BROKEN_REPLY),
    ],
)
def test_a_submission_that_is_refused_says_where_the_upload_is(
    status: int, verdict: type[Rejected], kind: FailureKind
) -> None:
    came_to = judge_submission(json_reply(status, {"message": "no"}), DOCUMENT, UPLOAD_ID)
    assert isinstance(came_to, verdict)
    assert came_to.failure.kind is kind
    assert came_to.failure.message.startswith(f"the upload is at Vanta as {UPLOAD_ID}")
    assert "whether it took the upload" not in came_to.failure.message


# -- the token


def test_a_token_is_good_for_as_long_as_it_says_or_an_hour() -> None:
    token = Secret("vat_a")
    assert read_token(json_reply(200, {"access_token": "vat_a", "expires_in": 60})) == MintedToken(
        token, 60.0
    )
    for said in ({}, {"expires_in": None}, {"expires_in": "60"}, {"expires_in": True}):
        assert read_token(json_reply(200, {"access_token": "vat_a", **said})) == MintedToken(
            token, 3_600.0
        )
    long = read_token(json_reply(200, {"access_token": "vat_a", "expires_in": 10**400}))
    assert long == MintedToken(token, 86_400.0)


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        None,
        {"access_token": None},
        {"access_token": ""},
        {"access_token": "two words"},
        {"access_token": "line\nbreak"},
        {"access_token": "x" * 8_193},
        {"access_token": "vat_a", "expires_in": 0},
        {"access_token": "vat_a", "expires_in": -1},
        *NO_JSON,
    ],
    ids=lambda body: str(body)[:20],
)
def test_a_reply_without_a_token_is_tried_again_and_not_shown(body: object) -> None:
    failure = read_token(json_reply(200, body))
    assert isinstance(failure, Failure)
    assert failure.kind is K.BROKEN_REPLY
    assert failure.detail is None


def test_a_token_in_a_reply_that_was_cut_short_is_shown_nowhere() -> None:
    body = b'{"access_token": "vat_good-for-an-hour", "expires'
    failure = read_token(reply(200, body, ending=Ending.CUT_SHORT))
    assert isinstance(failure, Failure)
    assert failure.kind is K.BROKEN_REPLY
    assert "vat_good" not in repr(failure)


@pytest.mark.parametrize(
    ("status", "body", "kind", "who_does_what"),
    [
        (
            401,
            {"error": "invalid_client"},
            K.UNAUTHORIZED,
            "ask the Vanta admin for a new client secret",
        ),
        (
            400,
            {"error": "invalid_scope"},
            K.UNAUTHORIZED,
            "scope in the tenant file must name only",
        ),
        (
            400,
            {"message": "invalid_scope"},
            K.UNAUTHORIZED,
            "scope in the tenant file must name only",
        ),
        (403, b"", K.UNAUTHORIZED, "correct client_id in the tenant file"),
        (422, [], K.UNAUTHORIZED, "correct client_id in the tenant file"),
        (404, b"<html>", K.TARGET_NOT_FOUND, "correct region or endpoint in the tenant file"),
    ],
)
def test_the_endpoints_own_refusal_speaks_of_the_integration(
    status: int, body: object, kind: FailureKind, who_does_what: str
) -> None:
    failure = read_token(json_reply(status, body))
    assert isinstance(failure, Failure)
    assert failure.kind is kind
    assert not kind.retryable
    assert who_does_what in failure.message


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (408, K.TOLD_TO_WAIT),
        (425, K.TOLD_TO_WAIT),
        (429, K.RATE_LIMITED),
        (500, K.SERVER_ERROR),
        (503, K.SERVER_ERROR),
        (600, K.BROKEN_REPLY),
    ],
)
def test_a_token_endpoint_in_trouble_is_asked_again(status: int, kind: FailureKind) -> None:
    failure = read_token(json_reply(status, b"<html>", ("Retry-After", "9")))
    assert isinstance(failure, Failure)
    assert (failure.kind, failure.retry_after) == (kind, 9.0)
    assert "whether it took the upload" not in failure.message


@pytest.mark.parametrize("kind", UNREACHED)
def test_a_token_endpoint_that_is_not_reached_is_asked_again(kind: FailureKind) -> None:
    failure = read_token(TransportFailure(kind, "the line"))
    assert isinstance(failure, Failure)
    assert failure.kind is kind
    assert kind.retryable


# -- looking


def test_a_page_leaves_out_what_was_deleted_and_what_has_no_id() -> None:
    first = listed("a", fileName="one.pdf", description="words")
    shown = page(
        first,
        listed("b", deletionDate="2024-03-17T00:00:00.000Z"),
        listed("two words"),
        {"fileName": "three.pdf"},
        None,
        7,
        cursor="next",
    )
    assert read_page(shown, DOCUMENT) == Page([first], "next")


@pytest.mark.parametrize(
    "info",
    [None, {}, {"hasNextPage": False, "endCursor": "x"}, {"hasNextPage": True}, {"hasNextPage": 1}],
)
def test_a_page_without_a_way_on_is_the_last(info: object) -> None:
    shown = read_page(json_reply(200, {"results": {"data": [], "pageInfo": info}}), DOCUMENT)
    assert shown == Page([], None)


@pytest.mark.parametrize(
    "body",
    [{}, [], None, {"results": None}, {"results": {"data": {}}}, {"data": []}, *NO_JSON],
    ids=lambda body: repr(body)[:20],
)
def test_what_is_no_list_of_uploads_says_nothing(body: object) -> None:
    failure = read_page(json_reply(200, body), DOCUMENT)
    assert isinstance(failure, Failure)
    assert failure.kind is K.BROKEN_REPLY


def test_a_document_is_described_by_title_status_and_deactivation() -> None:
    assert read_document(document("Needs document"), DOCUMENT) == DocumentState(
        "Access requests", "Needs document", False
    )
    status = {"isDeactivated": True, "reason": "not in scope"}
    state = read_document(document(deactivatedStatus=status), DOCUMENT)
    assert state == DocumentState("Access requests", "OK", True, "not in scope")


@pytest.mark.parametrize("status", ["OK", "Upcoming", "Not relevant"])
def test_a_documents_status_has_one_of_two_names(status: str) -> None:
    shown = json_reply(200, {"id": "a", "title": "Access requests", "overallStatus": status})
    assert read_document(shown, DOCUMENT) == DocumentState("Access requests", status, False)


@pytest.mark.parametrize(
    "body",
    [{}, [], None, {"id": "a"}, {"uploadStatus": "OK"}, *NO_JSON],
    ids=lambda body: repr(body)[:20],
)
def test_what_is_no_document_says_nothing(body: object) -> None:
    failure = read_document(json_reply(200, body), DOCUMENT)
    assert isinstance(failure, Failure)
    assert failure.kind is K.BROKEN_REPLY


@pytest.mark.parametrize(
    "body",
    [
        {"message": "said"},
        {"error": "said"},
        {"error": {"message": "said"}},
        {"error": "no", "error_description": "said"},
        {"errors": [{"message": "said"}]},
        {"errors": ["said", "more"]},
    ],
    ids=json.dumps,
)
def test_the_words_of_a_refusal_are_found_where_apis_put_them(body: object) -> None:
    assert quote_of(json_reply(400, body)) == "said"


@pytest.mark.parametrize(
    "body", [None, 5, [], {}, {"message": 7}, {"errors": {}}, {"errors": [None]}, b"<"]
)
def test_a_refusal_without_words_has_none(body: object) -> None:
    assert quote_of(json_reply(400, body)) is None


def test_a_long_reply_does_not_cut_off_the_advice() -> None:
    long = {"message": "x" * 10_000, "error": "invalid_client"}
    for status in (400, 401, 403, 404, 413, 422):
        refused = judge_upload(json_reply(status, long), DOCUMENT)
        assert isinstance(refused, Rejected)
        submitted = judge_submission(json_reply(status, long), DOCUMENT, UPLOAD_ID)
        assert isinstance(submitted, Rejected)
        token = read_token(json_reply(status, long))
        assert isinstance(token, Failure)
        for failure in (refused.failure, submitted.failure, token):
            assert len(failure.message) <= MESSAGE_LIMIT, failure.message


# -- anything at all

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.just(UPLOAD_ID),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["id", "results", "data", "pageInfo", "hasNextPage", "endCursor", "fileName"]
            )
            | st.sampled_from(
                ["deletionDate", "uploadStatus", "deactivatedStatus", "isDeactivated", "title"]
            )
            | st.sampled_from(["access_token", "expires_in", "error", "errors", "message"])
            | st.text(max_size=5),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
bodies = st.binary(max_size=60) | json_values.map(lambda value: json.dumps(value).encode())
statuses = st.integers(-1, 1_100) | st.sampled_from([200, 201, 204, 404, 429])


@given(bodies, statuses, st.sampled_from(Ending), st.text(max_size=30))
@example(json.dumps({"id": UPLOAD_ID}).encode(), 201, Ending.COMPLETE, "1")
@example(b"", 204, Ending.COMPLETE, "")
def test_any_reply_is_survived_and_only_the_exact_success_is_one(
    body: bytes, status: int, ending: Ending, retry_after: str
) -> None:
    any_reply = reply(status, body, ("Retry-After", retry_after), ending=ending)
    made = judge_upload(any_reply, DOCUMENT)
    assert isinstance(made, str | Rejected | Deferred | Unclear)
    assert isinstance(made, str) == _names_an_upload(body, status, ending)
    submitted = judge_submission(any_reply, DOCUMENT, UPLOAD_ID)
    assert isinstance(submitted, Delivered) == (status == 204 and ending is Ending.COMPLETE)
    assert isinstance(read_token(any_reply), MintedToken | Failure)
    assert isinstance(read_page(any_reply, DOCUMENT), Page | Failure)
    assert isinstance(read_document(any_reply, DOCUMENT), DocumentState | Failure)


def _names_an_upload(body: bytes, status: int, ending: Ending) -> bool:
    """Success said again, in other words than the code's."""
    if status not in (200, 201, 202) or ending is not Ending.COMPLETE:
        return False
    try:
        upload_id = json.loads(body.decode("utf-8-sig"))["id"]
    except (ValueError, TypeError, LookupError, RecursionError):
        return False
    upload_id = str(upload_id) if type(upload_id) is int else upload_id
    return isinstance(upload_id, str) and 0 < len(upload_id) <= 200 and not set(upload_id) - _PLAIN


_PLAIN = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:-")
