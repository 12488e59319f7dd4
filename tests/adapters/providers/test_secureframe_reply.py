"""What an attach of Secureframe's comes to: recognised success, words for whoever must act, any
body survived."""

from __future__ import annotations

import json
from typing import Any

import pytest
from attrs import evolve
from hypothesis import assume, given
from hypothesis import strategies as st
from vanta_talk import PARCEL, Talk, json_reply

from evidence_courier.adapters.providers.secureframe.provider import SecureframeProvider
from evidence_courier.adapters.providers.secureframe.settings import SecureframeSettings
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
from evidence_courier.ports.dialogue import Ending, HttpResponse, TransportFailure
from evidence_courier.testing.scripted_transport import RECEIVED_AT, reply

K = FailureKind
ID = "9a9b9c9d-1111-4222-8333-444455556666"
PERSON = SecureframeSettings(
    api_key=Secret("k"), api_secret=Secret("s"), person="subject", send="direct"
)
AT_TEST = evolve(PERSON, test="0c9b7f3e-58a1-4d2b-8f66-7e1d2c3b4a50")
STAGED = evolve(PERSON, send="staged")
JANE = evolve(PARCEL, subject="5b1f6a0e-3c7d-4c0a-9e55-0d6c1f2a7b10")
SUCCESS: dict[str, Any] = {"data": {"id": ID, "type": "evidence", "attributes": {}}}


def verdict_on(
    answer: HttpResponse | TransportFailure, settings: SecureframeSettings = PERSON
) -> Verdict:
    return Talk(answer).hold(SecureframeProvider().upload(JANE, settings, None))


@pytest.mark.parametrize("status", [200, 201])
def test_a_2xx_with_an_id_is_success(status: int) -> None:
    assert verdict_on(json_reply(status, SUCCESS)) == Delivered(Receipt(ID, None))


@pytest.mark.parametrize(
    ("status", "verdict", "kind", "words"),
    [
        (400, Rejected, K.BAD_REQUEST, 'saying "told so"'),
        (401, Rejected, K.UNAUTHORIZED, "Company settings > API keys"),
        (403, Rejected, K.FORBIDDEN, "Personnel settings > Roles"),
        (404, Rejected, K.NOT_FOUND, "does not know the person"),
        (408, Deferred, K.TOLD_TO_WAIT, "later"),
        (413, Rejected, K.TOO_LARGE, "smaller than 32 MB"),
        (415, Rejected, K.UNSUPPORTED_TYPE, "send a PDF"),
        (422, Rejected, K.BAD_REQUEST, "told so"),
        (429, Deferred, K.RATE_LIMITED, "no more requests"),
        (500, Unclear, K.SERVER_ERROR, "not known"),
        (503, Unclear, K.SERVER_ERROR, "not known"),
        (301, Rejected, K.REDIRECTED, "never followed"),
    ],
)
def test_each_status_has_its_verdict_and_its_words(
    status: int, verdict: type[Rejected], kind: FailureKind, words: str
) -> None:
    came_to = verdict_on(json_reply(status, {"message": "told  so"}))
    assert isinstance(came_to, verdict)
    assert came_to.failure.kind is kind
    assert words in came_to.failure.message


def test_a_missing_test_is_a_failure_of_the_integration() -> None:
    came_to = verdict_on(json_reply(404, {"message": "Resource not found"}), AT_TEST)
    assert isinstance(came_to, Rejected)
    assert came_to.failure.kind is K.TARGET_NOT_FOUND


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        7,
        "x",
        {},
        {"data": None},
        {"data": []},
        {"data": [SUCCESS["data"]]},
        {"data": {}},
        {"data": {"id": ""}},
        {"data": {"id": 7.5}},
        {"data": {"id": True}},
        {"data": {"id": None}},
        {"id": ID},
        {"errors": [{"title": "no"}]},
        {"message": "created"},
    ],
    ids=json.dumps,
)
def test_a_whole_reply_that_is_not_success_is_final_and_leaves_a_doubt(body: object) -> None:
    came_to = verdict_on(json_reply(200, body))
    assert isinstance(came_to, Rejected)
    assert came_to.failure.kind is K.UNRECOGNISED_REPLY
    assert "in Secureframe, then attest" in came_to.failure.message


def test_an_id_may_be_a_number() -> None:
    assert verdict_on(json_reply(201, {"data": {"id": 7}})) == Delivered(Receipt("7", None))


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b'{"data": {"id": "x"', b"\xff\xfe", b'{"data": NaN}']
)
def test_a_2xx_that_is_no_json_is_unclear(body: bytes) -> None:
    assert isinstance(verdict_on(reply(200, body)), Unclear)


@pytest.mark.parametrize("ending", [Ending.CUT_SHORT, Ending.TOO_LONG])
def test_even_a_success_is_unclear_if_its_end_never_arrived(ending: Ending) -> None:
    assert isinstance(verdict_on(reply(200, json.dumps(SUCCESS).encode(), ending=ending)), Unclear)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["id", "data", "attributes", "url", "headers", "meta"]), inner
        )
    ),
    max_leaves=10,
)
BODIES = JSON.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=60)
REPLIES = st.builds(
    reply,
    st.sampled_from([200, 201, 204, 301, 400, 401, 403, 404, 413, 422, 429, 500, 503])
    | st.integers(100, 999),
    BODIES,
    ending=st.sampled_from(Ending),
)


@given(answer=REPLIES, settings=st.sampled_from([PERSON, AT_TEST]))
def test_any_reply_has_a_verdict_and_only_a_whole_2xx_with_id_delivers(
    answer: HttpResponse, settings: SecureframeSettings
) -> None:
    came_to = verdict_on(answer, settings)
    if isinstance(came_to, Delivered):
        assert (answer.status // 100, answer.ending) == (2, Ending.COMPLETE)
        assert type(json.loads(answer.body)["data"]["id"]) in (str, int)
    else:
        assert came_to.failure.message


@given(answer=REPLIES)
def test_any_answer_to_the_staging_has_a_verdict_and_no_doubt(answer: HttpResponse) -> None:
    assume(answer.status not in (404, 405))  # then it is attached directly
    came_to = Talk(answer, reply(503)).hold(SecureframeProvider().upload(JANE, STAGED, None))
    assert isinstance(came_to, Deferred | Rejected)
    assert came_to.failure.kind is not K.UNRECOGNISED_REPLY


@given(first=REPLIES, second=REPLIES)
def test_going_on_from_a_bookmark_survives_any_two_replies(
    first: HttpResponse, second: HttpResponse
) -> None:
    kept = json.dumps({"upload_id": "u", "staged_at": RECEIVED_AT.isoformat()})
    came_to = Talk(first, second, reply(503)).hold(SecureframeProvider().upload(JANE, STAGED, kept))
    if isinstance(came_to, Delivered):
        # Either the attach itself says so, or it was refused and the list shows one like it.
        shown = json.loads((first if first.status // 100 == 2 else second).body)["data"]
        assert shown
