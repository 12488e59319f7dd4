"""What a reply of Drata's comes to: recognised success, words for whoever must act, any body
survived."""

from __future__ import annotations

import json
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from vanta_talk import PARCEL, Talk, json_reply

from evidence_courier.adapters.providers.drata.provider import DrataProvider
from evidence_courier.adapters.providers.drata.settings import DrataSettings
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
from evidence_courier.testing.scripted_transport import reply

K = FailureKind
PERSON = DrataSettings(api_key=Secret("k"), user_by="address")
LIBRARY = evolve(PERSON, to="library", workspace=3, owner=9)
SUCCESS: dict[str, Any] = {"id": 41, "userId": 7, "name": "x.pdf", "type": "SEC_TRAINING"}


def verdict_on(
    answer: HttpResponse | TransportFailure, settings: DrataSettings = PERSON
) -> Verdict:
    parcel = evolve(PARCEL, subject_email="jane@acme.example")
    return Talk(answer).hold(DrataProvider().upload(parcel, settings, None))


@pytest.mark.parametrize(
    ("status", "verdict", "kind", "words"),
    [
        (400, Rejected, K.BAD_REQUEST, 'saying "told so"'),
        (
            401,
            Rejected,
            K.UNAUTHORIZED,
            "ask the Drata admin for a new key under Settings > API Keys",
        ),
        (402, Rejected, K.REFUSED, "ask the Drata admin to upgrade it"),
        (403, Rejected, K.FORBIDDEN, "Users: Create User Document"),
        (404, Rejected, K.NOT_FOUND, "ask the Drata admin to add them"),
        (408, Deferred, K.TOLD_TO_WAIT, "later"),
        (409, Rejected, K.REFUSED, "told so"),
        (412, Rejected, K.REFUSED, "an admin must accept them in Drata"),
        (413, Rejected, K.TOO_LARGE, "smaller than 25 MB"),
        (415, Rejected, K.UNSUPPORTED_TYPE, "send a PDF"),
        (425, Deferred, K.TOLD_TO_WAIT, "later"),
        (429, Deferred, K.RATE_LIMITED, "no more requests for now"),
        (500, Unclear, K.SERVER_ERROR, "not known"),
        (502, Unclear, K.SERVER_ERROR, "not known"),
        (503, Unclear, K.SERVER_ERROR, "a system that Drata depends on was not available"),
        (302, Rejected, K.REDIRECTED, "never followed"),
        (304, Rejected, K.REDIRECTED, "never followed"),
        (600, Unclear, K.BROKEN_REPLY, "none of HTTP's"),
    ],
)
def test_each_status_has_its_verdict_and_its_words(
    status: int, verdict: type[Rejected], kind: FailureKind, words: str
) -> None:
    came_to = verdict_on(
        json_reply(status, {"statusCode": status, "message": "told  so", "code": 1})
    )
    assert isinstance(came_to, verdict)
    assert came_to.failure.kind is kind
    assert words in came_to.failure.message


def test_in_a_library_a_404_is_of_the_integration_and_not_of_one_person() -> None:
    came_to = verdict_on(json_reply(404, {}), LIBRARY)
    assert isinstance(came_to, Rejected)
    assert came_to.failure.kind is K.TARGET_NOT_FOUND
    assert "correct workspace, owner" in came_to.failure.message


def test_several_complaints_are_all_quoted() -> None:
    came_to = verdict_on(json_reply(400, {"message": ["type is wrong", 7, "file is missing"]}))
    assert isinstance(came_to, Rejected)
    assert 'saying "type is wrong; file is missing"' in came_to.failure.message


def test_a_throttled_upload_keeps_its_retry_after() -> None:
    came_to = verdict_on(reply(429, b"", ("Retry-After", "30")))
    assert isinstance(came_to, Deferred)
    assert came_to.failure.retry_after == 30.0


@pytest.mark.parametrize("settings", [PERSON, LIBRARY])
@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        [SUCCESS],
        7,
        "41",
        True,
        {},
        {"id": None},
        {"id": ""},
        {"id": "forty-one"},
        {"id": "41/x"},
        {"id": "\u0664\u0661"},
        {"id": True},
        {"id": 4.5},
        {"id": [41]},
        {"data": SUCCESS},
        {"message": "created"},
    ],
    ids=json.dumps,
)
def test_a_whole_reply_that_is_not_success_is_final_and_leaves_a_doubt(
    body: object, settings: DrataSettings
) -> None:
    came_to = verdict_on(json_reply(201, body), settings)
    assert isinstance(came_to, Rejected)
    assert came_to.failure.kind is K.UNRECOGNISED_REPLY
    assert "in Drata, then attest" in came_to.failure.message


@pytest.mark.parametrize("settings", [PERSON, LIBRARY])
def test_a_number_that_comes_as_text_is_an_id_as_well(settings: DrataSettings) -> None:
    came_to = verdict_on(json_reply(201, {**SUCCESS, "id": "41"}), settings)
    assert came_to == Delivered(Receipt("41", "x.pdf"))


@pytest.mark.parametrize("status", [200, 202, 204, 206])
def test_only_201_is_success(status: int) -> None:
    came_to = verdict_on(json_reply(status, SUCCESS))
    assert isinstance(came_to, Rejected)
    assert came_to.failure.kind is K.UNRECOGNISED_REPLY


@pytest.mark.parametrize(
    "body", [b"", b" ", b"<html>Sign in</html>", b'{"id": 4', b"\xff", b'{"id": NaN}']
)
def test_a_2xx_that_is_no_json_is_unclear(body: bytes) -> None:
    came_to = verdict_on(reply(201, body))
    assert isinstance(came_to, Unclear)
    assert came_to.failure.kind is K.BROKEN_REPLY


@pytest.mark.parametrize("ending", [Ending.CUT_SHORT, Ending.TOO_LONG])
def test_even_a_success_is_unclear_if_its_end_never_arrived(ending: Ending) -> None:
    assert isinstance(verdict_on(reply(201, json.dumps(SUCCESS).encode(), ending=ending)), Unclear)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "data", "x"]), inner)
    ),
    max_leaves=8,
)


@given(
    status=st.sampled_from([200, 201, 204, 301, 400, 401, 402, 404, 412, 413, 429, 500, 503])
    | st.integers(100, 999),
    body=JSON.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=60),
    ending=st.sampled_from(Ending),
    settings=st.sampled_from([PERSON, LIBRARY]),
)
def test_any_reply_has_a_verdict_and_only_a_whole_201_with_id_delivers(
    status: int, body: bytes, ending: Ending, settings: DrataSettings
) -> None:
    came_to = verdict_on(reply(status, body, ending=ending), settings)
    if isinstance(came_to, Delivered):
        assert (status, ending) == (201, Ending.COMPLETE)
        assert str(json.loads(body)["id"]).removeprefix("-").isdecimal()
    else:
        assert came_to.failure.message
