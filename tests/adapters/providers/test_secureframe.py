"""The Secureframe provider: what it sends in which steps, what guards against a copy, and its
settings."""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import attrs
import pytest
from attrs import evolve
from vanta_talk import PARCEL, PDF, Talk, json_reply

from evidence_courier.adapters.config import load_mapping
from evidence_courier.adapters.plugins import discover_providers
from evidence_courier.adapters.providers.secureframe.listing import MOST_PAGES
from evidence_courier.adapters.providers.secureframe.provider import SecureframeProvider
from evidence_courier.adapters.providers.secureframe.settings import SecureframeSettings
from evidence_courier.domain.integration import Pace
from evidence_courier.domain.secrets.secret import Secret
from evidence_courier.domain.upload.failure import FailureKind
from evidence_courier.domain.upload.verdict import (
    Absent,
    Deferred,
    Delivered,
    DryRun,
    Finding,
    Found,
    NotReady,
    Partly,
    Ready,
    Receipt,
    Rejected,
    Unclear,
    Unreadable,
    Verdict,
)
from evidence_courier.ports.dialogue import HttpResponse, TransportFailure
from evidence_courier.ports.provider import CanLookUp, Checkable, Parcel, Provider
from evidence_courier.testing.scripted_transport import RECEIVED_AT

K = FailureKind
USER = "5b1f6a0e-3c7d-4c0a-9e55-0d6c1f2a7b10"
TEST = "0c9b7f3e-58a1-4d2b-8f66-7e1d2c3b4a50"
UPLOAD = "7d0f4a8b-1111-4222-8333-444455556666"
EVIDENCE = "9a9b9c9d-1111-4222-8333-444455556666"
PERSON = SecureframeSettings(
    api_key=Secret("sf-key-0123"), api_secret=Secret("sf-secret-4567"), person="subject"
)
BY_EMAIL = evolve(PERSON, person="subject_email")
AT_TEST = evolve(PERSON, test=TEST)
DIRECT = evolve(PERSON, send="direct")
JANE = evolve(
    PARCEL,
    subject=USER,
    subject_email="jane@acme.example",
    created_at=RECEIVED_AT - timedelta(minutes=1),
)
STORAGE = "https://storage.example/bucket/file?signature=abc"
STAGED = json_reply(
    200,
    {
        "data": {
            "id": UPLOAD,
            "type": "file_upload",
            "attributes": {
                "id": UPLOAD,
                "url": STORAGE,
                "headers": {
                    "Content-Type": "application/pdf",
                    "Content-MD5": "abc=",
                    "Content-Length": "25609",
                },
            },
        }
    },
)
STORED = json_reply(200, b"")
ATTACHED = json_reply(200, {"data": {"id": EVIDENCE, "type": "evidence", "attributes": {}}})
SPENT = json_reply(400, {"message": "upload_id is not redeemable"})
KEPT = json.dumps({"upload_id": UPLOAD, "staged_at": RECEIVED_AT.isoformat()})
OLD = json.dumps(
    {"upload_id": UPLOAD, "staged_at": (RECEIVED_AT - timedelta(minutes=50)).isoformat()}
)
SPENT_BEFORE = json.dumps({"upload_id": None, "staged_at": RECEIVED_AT.isoformat(), "spent": True})
GONE = json.dumps({"upload_id": None, "staged_at": RECEIVED_AT.isoformat()})


def upload(
    *answers: HttpResponse | TransportFailure,
    settings: SecureframeSettings = PERSON,
    parcel: Parcel = JANE,
    progress: str | None = None,
) -> tuple[Verdict, Talk]:
    talk = Talk(*answers)
    return talk.hold(SecureframeProvider().upload(parcel, settings, progress)), talk


def look_up(
    *answers: HttpResponse | TransportFailure,
    settings: SecureframeSettings = PERSON,
    parcel: Parcel = JANE,
    progress: str | None = None,
) -> tuple[Finding, Talk]:
    talk = Talk(*answers)
    return talk.hold(SecureframeProvider().look_up(parcel, settings, progress)), talk


def check(*answers: HttpResponse, settings: SecureframeSettings) -> tuple[DryRun, Talk]:
    talk = Talk(*answers)
    return talk.hold(SecureframeProvider().check(settings)), talk


def listed(*items: object, total: int | None = None) -> HttpResponse:
    return json_reply(
        200, {"data": list(items), "meta": {"total": len(items) if total is None else total}}
    )


def like(**said: object) -> dict[str, object]:
    """An evidence in the list that may be ours, unless it is said otherwise."""
    shown = {
        "activity_completion": "2026-02-21",
        "created_at": RECEIVED_AT.isoformat(),
        "evidence_type": "security_training_screenshot",
        "evidenceable_id": USER,
        "evidenceable_type": "CompanyUser",
    }
    return {"id": EVIDENCE, "type": "evidence", "attributes": shown | said}


def asked(talk: Talk) -> list[tuple[str, str, dict[str, str]]]:
    """Method, path and query of each request."""
    split = [(request.method, urlsplit(request.url)) for request in talk.requests]
    return [
        (method, url.path, dict(parse_qsl(url.query, strict_parsing=bool(url.query))))
        for method, url in split
    ]


# -- three steps


def test_a_document_is_staged_stored_and_attached_as_documented() -> None:
    verdict, talk = upload(STAGED, STORED, ATTACHED)
    assert verdict == Delivered(Receipt(EVIDENCE, None))
    digest = b64encode(hashlib.md5(PDF, usedforsecurity=False).digest()).decode()
    assert asked(talk) == [
        (
            "POST",
            "/file_uploads",
            {
                "filename": PARCEL.file_name,
                "byte_size": str(len(PDF)),
                "checksum": digest,
                "content_type": "application/pdf",
            },
        ),
        ("PUT", "/bucket/file", {"signature": "abc"}),
        (
            "POST",
            f"/users/{USER}/evidences",
            {
                "activity_completion": "2026-02-21",
                "document_type": "security_training_screenshot",
                "upload_id": UPLOAD,
            },
        ),
    ]
    staging, storing, attaching = talk.requests
    assert dict(staging.headers)["Authorization"] == "sf-key-0123 sf-secret-4567"
    assert (staging.body, attaching.body) == ((), ())
    assert storing.url == STORAGE
    assert storing.headers == (("Content-Type", "application/pdf"), ("Content-MD5", "abc="))
    assert storing.body == (PDF,)
    assert storing.body[0] is PDF


def test_the_id_is_remembered_before_it_is_attached_and_the_url_is_not() -> None:
    _, talk = upload(STAGED, STORED, ATTACHED)
    assert talk.bookmarks == [KEPT]
    assert "signature" not in "".join(talk.bookmarks)


def test_a_test_takes_evidence_without_a_type_or_a_person() -> None:
    verdict, talk = upload(STAGED, STORED, ATTACHED, settings=AT_TEST, parcel=PARCEL)
    assert isinstance(verdict, Delivered)
    assert asked(talk)[2] == (
        "POST",
        f"/tests/{TEST}/evidences",
        {"activity_completion": "2026-02-21", "upload_id": UPLOAD},
    )


def test_sent_directly_it_is_one_request_with_the_file() -> None:
    verdict, talk = upload(ATTACHED, settings=DIRECT)
    assert isinstance(verdict, Delivered)
    assert asked(talk) == [
        (
            "POST",
            f"/users/{USER}/evidences",
            {"activity_completion": "2026-02-21", "document_type": "security_training_screenshot"},
        )
    ]
    head, _, rest = b"".join(talk.requests[0].body).partition(b"\r\n\r\n")
    assert head.endswith(
        f'name="file"; filename="{PARCEL.file_name}"\r\nContent-Type: application/pdf'.encode()
    )
    assert rest.startswith(PDF)
    assert talk.bookmarks == []


@pytest.mark.parametrize(
    ("answers", "verdict"),
    [
        ([json_reply(503, {})], Deferred),
        ([TransportFailure(K.TIMEOUT, "silence")], Deferred),
        ([json_reply(200, b"<html>")], Deferred),
        ([json_reply(429, {})], Deferred),
        ([json_reply(200, {"data": None})], Rejected),
        ([json_reply(400, {"message": "byte_size"})], Rejected),
        ([STAGED, json_reply(500, b"")], Deferred),
        ([STAGED, TransportFailure(K.CONNECTION_LOST, "reset")], Deferred),
        ([STAGED, json_reply(403, b"<Error/>")], Rejected),
        ([STAGED, json_reply(307, b"", ("Location", "https://elsewhere.example"))], Rejected),
    ],
)
def test_before_it_is_attached_nothing_is_in_doubt(
    answers: list[HttpResponse | TransportFailure], verdict: type[Rejected]
) -> None:
    came_to, talk = upload(*answers)
    assert isinstance(came_to, verdict)
    assert came_to.failure.kind is not K.UNRECOGNISED_REPLY
    assert "whether it took" not in came_to.failure.message
    assert talk.bookmarks == []


@pytest.mark.parametrize("status", [404, 405])
def test_an_account_that_stages_nothing_gets_the_document_directly(status: int) -> None:
    verdict, talk = upload(json_reply(status, {"message": "Not found"}), ATTACHED)
    assert isinstance(verdict, Delivered)
    assert [path for _, path, _ in asked(talk)] == ["/file_uploads", f"/users/{USER}/evidences"]
    assert any(part is PDF for part in talk.requests[1].body)
    assert talk.bookmarks == ["direct"]
    verdict, again = upload(ATTACHED, progress="direct")
    assert isinstance(verdict, Delivered)
    assert [path for _, path, _ in asked(again)] == [f"/users/{USER}/evidences"]
    finding, _ = look_up(listed(), progress="direct")
    assert finding == Absent()


@pytest.mark.parametrize("status", [401, 404])
def test_a_refusal_of_the_storages_says_nothing_of_the_key(status: int) -> None:
    came_to, _ = upload(STAGED, json_reply(status, b""))
    assert isinstance(came_to, Rejected)
    assert came_to.failure.kind is K.REFUSED
    assert "set send: direct" in came_to.failure.message


@pytest.mark.parametrize(
    "url",
    [
        None,
        7,
        "",
        "http://storage.example/x",
        "http://127.0.0.1/x",
        "ftp://storage.example/x",
        "https:///x",
        "https://name:word@storage.example/x",
        "https://storage.example:port/x",
        "https://storage.example/x\r\nHost: y",
        "//storage.example/x",
        "https://[::1/x",
    ],
)
def test_the_document_goes_to_no_address_that_is_not_https(url: object) -> None:
    data = {"id": UPLOAD, "attributes": {"url": url, "headers": {}}}
    verdict, talk = upload(json_reply(200, {"data": data}))
    assert isinstance(verdict, Rejected)
    assert verdict.failure.kind is K.REFUSED
    assert len(talk.requests) == 1


@pytest.mark.parametrize(
    "headers", [[], "x", {"a": 7}, {"a b": "c"}, {"a": "b\r\nc: d"}, {"": "x"}, None]
)
def test_headers_that_are_none_are_not_sent(headers: object) -> None:
    data = {"id": UPLOAD, "attributes": {"url": STORAGE, "headers": headers}}
    verdict, talk = upload(json_reply(200, {"data": data}))
    assert isinstance(verdict, Rejected)
    assert len(talk.requests) == 1


# -- going on from a bookmark


def test_what_was_staged_is_only_attached() -> None:
    verdict, talk = upload(ATTACHED, progress=KEPT)
    assert isinstance(verdict, Delivered)
    assert [path for _, path, _ in asked(talk)] == [f"/users/{USER}/evidences"]
    assert asked(talk)[0][2]["upload_id"] == UPLOAD


@pytest.mark.parametrize("beside", [{"errors": [{"title": "refused"}]}, {"error": "refused"}])
def test_an_error_beside_the_id_is_no_success(beside: dict[str, object]) -> None:
    verdict, _ = upload(json_reply(201, {"data": {"id": EVIDENCE}, **beside}), progress=KEPT)
    assert isinstance(verdict, Rejected)
    assert verdict.failure.kind is K.UNRECOGNISED_REPLY
    assert "an error stands beside its id" in verdict.failure.message
    verdict, _ = upload(json_reply(201, {"data": {"id": EVIDENCE}, "errors": []}), progress=KEPT)
    assert isinstance(verdict, Delivered)


def test_a_spent_id_and_one_like_it_listed_mean_that_it_was_taken() -> None:
    """It was taken from the attempt before."""
    verdict, talk = upload(SPENT, listed(like()), progress=KEPT)
    assert verdict == Delivered(
        Receipt(EVIDENCE, "attached by an attempt before, whose answer was lost")
    )
    assert asked(talk)[1] == (
        "GET",
        "/evidences",
        {"sort": "-created_at", "page": "1", "per_page": "100"},
    )


def test_a_spent_id_and_one_of_an_unknown_person_leave_a_doubt() -> None:
    """The list does not say that it is this person's."""
    verdict, _ = upload(SPENT, listed(like(evidenceable_id=None)), progress=KEPT)
    assert isinstance(verdict, Unclear)
    finding, _ = look_up(listed(like(evidenceable_id=None)), progress=SPENT_BEFORE)
    assert isinstance(finding, Unreadable)


def test_a_spent_id_and_one_like_it_at_a_test_leave_a_doubt() -> None:
    """The list does not name the test: it may be another employee's."""
    company = like(evidenceable_type="Company", evidenceable_id="acme", evidence_type="custom")
    verdict, talk = upload(SPENT, listed(company), settings=AT_TEST, progress=KEPT)
    assert isinstance(verdict, Unclear)
    assert [json.loads(kept)["spent"] for kept in talk.bookmarks] == [True]
    finding, _ = look_up(listed(company), settings=AT_TEST, progress=SPENT_BEFORE)
    assert isinstance(finding, Unreadable)


def test_where_several_are_like_it_none_of_them_is_named() -> None:
    verdict, _ = upload(SPENT, listed(like(), like()), progress=KEPT)
    assert isinstance(verdict, Delivered)
    assert verdict.receipt.reference is None


@pytest.mark.parametrize("another", ["another", 7])
@pytest.mark.parametrize("status", [400, 404, 409, 410, 422])
def test_an_old_id_and_nothing_like_it_listed_mean_staging_anew(
    status: int, another: object
) -> None:
    other = like(evidenceable_id=another)
    verdict, talk = upload(
        json_reply(status, {}), listed(other), STAGED, STORED, ATTACHED, progress=OLD
    )
    assert isinstance(verdict, Delivered)
    assert [method for method, _, _ in asked(talk)] == ["POST", "GET", "POST", "PUT", "POST"]


@pytest.mark.parametrize(
    ("progress", "answer"),
    [
        (OLD, listed(like())),
        (OLD, json_reply(200, {})),
        (KEPT, listed()),
        (KEPT, json_reply(404, {})),
        (KEPT, json_reply(500, {})),
    ],
)
def test_a_dead_id_without_explanation_leaves_a_doubt_and_guards_no_more(
    progress: str, answer: HttpResponse
) -> None:
    verdict, talk = upload(SPENT, answer, progress=progress)
    assert isinstance(verdict, Unclear)
    [left] = talk.bookmarks
    assert json.loads(left)["upload_id"] is None
    assert json.loads(left).get("spent", False) is (progress == KEPT)
    after, again = upload(STAGED, STORED, ATTACHED, progress=left)
    assert isinstance(after, Delivered)
    assert len(again.requests) == 3


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (json_reply(503, {}), Unclear),
        (TransportFailure(K.TIMEOUT, "silence"), Unclear),
        (json_reply(429, {}), Deferred),
        (json_reply(401, {}), Rejected),
        (json_reply(403, {}), Rejected),
    ],
)
def test_whatever_else_an_attach_comes_to_is_judged_as_at_the_first_time(
    answer: HttpResponse | TransportFailure, verdict: type[Verdict]
) -> None:
    assert isinstance(upload(answer, progress=KEPT)[0], verdict)
    assert isinstance(upload(STAGED, STORED, answer)[0], verdict)


@pytest.mark.parametrize(
    "progress",
    [
        "",
        "nonsense",
        "[]",
        "{}",
        '{"upload_id": "x"}',
        '{"upload_id": "x", "staged_at": "soon"}',
        '{"upload_id": "x", "staged_at": "2026-02-21T10:00:00"}',
        '{"upload_id": 7, "staged_at": "2026-02-21T10:00:00+00:00"}',
    ],
)
def test_a_bookmark_that_cannot_be_read_is_as_none(progress: str) -> None:
    verdict, talk = upload(STAGED, STORED, ATTACHED, progress=progress)
    assert isinstance(verdict, Delivered)
    assert len(talk.requests) == 3


# -- the look-up


def test_nothing_like_it_in_the_list_is_absent() -> None:
    others = [
        like(evidenceable_id="another"),
        like(activity_completion="2026-02-20"),
        like(evidence_type="hipaa_training_screenshot"),
    ]
    for progress in (None, OLD, GONE, SPENT_BEFORE):
        assert look_up(listed(*others), progress=progress)[0] == Absent()
    assert look_up(listed())[0] == Absent()


def test_an_id_that_guards_against_a_copy_is_attached_again() -> None:
    """What the list shows does not matter then."""
    for answer in (listed(), listed(like()), json_reply(404, {}), json_reply(500, {})):
        assert look_up(answer, progress=KEPT)[0] == Partly(KEPT)


def test_a_spent_id_and_one_like_it_that_is_listed_later_is_found() -> None:
    receipt = Receipt(EVIDENCE, "attached by an attempt before, whose answer was lost")
    assert look_up(listed(like()), progress=SPENT_BEFORE)[0] == Found(receipt)


def test_without_a_guard_one_like_it_is_for_a_person_to_settle() -> None:
    for progress in (None, OLD, GONE):
        finding, _ = look_up(listed(like()), progress=progress)
        assert isinstance(finding, Unreadable)
        assert "lists 1 evidence like this one" in finding.failure.message


@pytest.mark.parametrize(
    "said", [{"evidenceable_id": None}, {"evidence_type": None}, {"activity_completion": 7}]
)
def test_what_the_list_does_not_say_counts_as_like_it(said: dict[str, object]) -> None:
    assert isinstance(look_up(listed(like(**said)))[0], Unreadable)


@pytest.mark.parametrize(
    "where",
    [
        {"file_name": PARCEL.file_name},
        {"links": {"file": f"https://files.example/{PARCEL.file_name}?x=1"}},
        {"files": [{"name": PARCEL.file_name}]},
    ],
)
def test_should_the_list_name_files_after_all_the_name_decides(where: dict[str, object]) -> None:
    assert look_up(listed(like(**where)))[0] == Found(Receipt(EVIDENCE, None))
    assert upload(SPENT, listed(like(**where)), progress=OLD)[0] == Delivered(
        Receipt(EVIDENCE, None)
    )


@pytest.mark.parametrize("near", ["x-" + PARCEL.file_name, PARCEL.file_name + ".pdf"])
def test_a_name_that_is_only_similar_is_another_upload(near: str) -> None:
    assert isinstance(look_up(listed(like(file_name=near)))[0], Unreadable)


def test_what_is_older_than_the_upload_is_not_it_and_ends_the_search() -> None:
    old = (JANE.created_at - timedelta(minutes=16)).isoformat()
    new = (JANE.created_at - timedelta(minutes=14)).isoformat()
    finding, talk = look_up(listed(like(created_at=old), total=1_000))
    assert (finding, len(talk.requests)) == (Absent(), 1)
    assert isinstance(look_up(listed(like(created_at=new)))[0], Unreadable)


def test_the_list_is_read_to_its_end() -> None:
    other = like(evidenceable_id="another", created_at=JANE.created_at.isoformat())
    finding, talk = look_up(listed(other, total=3), listed(other, total=3), listed(other, total=3))
    assert finding == Absent()
    assert [query["page"] for _, _, query in asked(talk)] == ["1", "2", "3"]


def test_a_page_that_is_not_full_is_the_last_of_a_list_without_a_length() -> None:
    other = like(evidenceable_id="another", created_at=JANE.created_at.isoformat())
    finding, talk = look_up(json_reply(200, {"data": [other]}))
    assert (finding, len(talk.requests)) == (Absent(), 1)
    finding, talk = look_up(
        json_reply(200, {"data": [other] * 100}), json_reply(200, {"data": [other]})
    )
    assert (finding, len(talk.requests)) == (Absent(), 2)


def test_a_list_without_end_or_order_cannot_be_read() -> None:
    other = like(evidenceable_id="another", created_at=JANE.created_at.isoformat())
    finding, talk = look_up(*[listed(other, total=10_000)] * (MOST_PAGES + 1))
    assert isinstance(finding, Unreadable)
    assert len(talk.requests) == MOST_PAGES
    later = like(
        evidenceable_id="another", created_at=(JANE.created_at + timedelta(days=1)).isoformat()
    )
    assert isinstance(look_up(listed(other, later))[0], Unreadable)


@pytest.mark.parametrize(
    "answer",
    [
        json_reply(404, {}),
        json_reply(401, {}),
        json_reply(403, {}),
        json_reply(429, {}),
        json_reply(500, {}),
        json_reply(200, b""),
        json_reply(200, None),
        json_reply(200, []),
        json_reply(200, {"data": {}}),
        json_reply(200, {"data": [7]}),
        json_reply(200, {"data": [{"attributes": {}}]}),
        TransportFailure(K.TIMEOUT, "silence"),
    ],
    ids=repr,
)
def test_what_cannot_be_read_is_never_called_absent(
    answer: HttpResponse | TransportFailure,
) -> None:
    assert isinstance(look_up(answer)[0], Unreadable)
    assert isinstance(look_up(answer, progress=OLD)[0], Unreadable)
    guarded, _ = look_up(answer, progress=KEPT)
    assert isinstance(guarded, Unreadable if isinstance(answer, TransportFailure) else Partly)


def test_a_tests_evidence_is_not_mistaken_for_a_persons_or_another_days() -> None:
    company = like(evidenceable_type="Company", evidenceable_id="acme", evidence_type="custom")
    assert look_up(listed(company), settings=AT_TEST, progress=KEPT)[0] == Partly(KEPT)
    assert look_up(listed(like()), settings=AT_TEST)[0] == Absent()


# -- the person


def users(*pairs: tuple[str, object], total: int | None = None) -> HttpResponse:
    shown = [
        {"id": number, "type": "user", "attributes": {"email": email}} for number, email in pairs
    ]
    return json_reply(
        200, {"data": shown, "meta": {"total": len(shown) if total is None else total}}
    )


def test_a_person_is_looked_up_by_address_and_the_hit_is_checked() -> None:
    answer = users(("other", "john@acme.example"), (USER, "Jane@Acme.Example"))
    verdict, talk = upload(answer, STAGED, STORED, ATTACHED, settings=BY_EMAIL)
    assert isinstance(verdict, Delivered)
    assert asked(talk)[0] == (
        "GET",
        "/users",
        {"q": 'email:"jane@acme.example"', "page": "1", "per_page": "100"},
    )
    assert asked(talk)[3][1] == f"/users/{USER}/evidences"


def test_an_address_is_searched_in_small_letters_too() -> None:
    jane = evolve(JANE, subject_email="Jane@Acme.Example")
    hit = users((USER, "jane@acme.example"))
    verdict, talk = upload(users(), hit, STAGED, STORED, ATTACHED, settings=BY_EMAIL, parcel=jane)
    assert isinstance(verdict, Delivered)
    assert [query["q"] for _, _, query in asked(talk)[:2]] == [
        'email:"Jane@Acme.Example"',
        'email:"jane@acme.example"',
    ]


def test_an_address_cannot_leave_its_quotes() -> None:
    _, talk = upload(
        users(), settings=BY_EMAIL, parcel=evolve(JANE, subject_email='a"\\b@acme.example')
    )
    assert asked(talk)[0][2]["q"] == 'email:"a\\"\\\\b@acme.example"'


@pytest.mark.parametrize(
    ("answers", "kind", "words"),
    [
        ([users()], K.NOT_FOUND, "ask the Secureframe admin to add them"),
        ([users(("other", "john@acme.example"))], K.NOT_FOUND, "nothing was sent"),
        ([users((USER, None))], K.NOT_FOUND, "nothing was sent"),
        (
            [users(("a", "jane@acme.example"), ("b", "jane@acme.example"))],
            K.BAD_REQUEST,
            "has 2 users",
        ),
        ([json_reply(401, {})], K.UNAUTHORIZED, "api_key and api_secret"),
        ([json_reply(403, {})], K.FORBIDDEN, "Personnel settings > Roles"),
        ([json_reply(200, {"data": 7})], K.REFUSED, "otherwise than documented"),
    ],
)
def test_a_person_who_cannot_be_identified_gets_nothing(
    answers: list[HttpResponse], kind: FailureKind, words: str
) -> None:
    verdict, talk = upload(*answers, settings=BY_EMAIL)
    assert isinstance(verdict, Rejected)
    assert verdict.failure.kind is kind
    assert words in verdict.failure.message
    assert len(talk.requests) == 1


def test_a_search_that_fails_for_now_leaves_no_doubt() -> None:
    assert isinstance(upload(json_reply(503, {}), settings=BY_EMAIL)[0], Deferred)
    assert isinstance(look_up(json_reply(503, {}), settings=BY_EMAIL)[0], Unreadable)


def test_without_an_address_or_an_id_as_subject_nothing_is_sent() -> None:
    for settings, parcel in (
        (BY_EMAIL, evolve(JANE, subject_email=None)),
        (BY_EMAIL, evolve(JANE, subject_email="jane")),
        (PERSON, evolve(JANE, subject="emp-7")),
        (PERSON, evolve(JANE, subject=USER + "/x")),
    ):
        verdict, talk = upload(settings=settings, parcel=parcel)
        assert isinstance(verdict, Rejected)
        assert verdict.failure.kind is K.BAD_REQUEST
        assert "nothing was sent" in verdict.failure.message
        assert "'ev-1'" in verdict.failure.message
        assert talk.requests == []


# -- the dry run


def test_the_dry_run_reads_the_test() -> None:
    shown = {
        "id": TEST,
        "attributes": {"title": "Training", "test_type": "upload", "enabled": False},
    }
    ready, talk = check(json_reply(200, {"data": shown}), settings=AT_TEST)
    assert ready == Ready(
        "Secureframe knows the key and the test 'Training' (upload), but it is disabled"
    )
    assert asked(talk) == [("GET", f"/tests/{TEST}", {})]
    gone, _ = check(json_reply(404, {"message": "Resource not found"}), settings=AT_TEST)
    assert isinstance(gone, NotReady)
    assert gone.failure.kind is K.TARGET_NOT_FOUND


def test_the_dry_run_for_people_reads_the_list_of_users() -> None:
    ready, talk = check(users((USER, "jane@acme.example"), total=12), settings=BY_EMAIL)
    assert ready == Ready("Secureframe knows the key, and shows it 12 users")
    assert asked(talk) == [("GET", "/users", {"page": "1", "per_page": "1"})]
    refused, _ = check(json_reply(401, {}), settings=BY_EMAIL)
    assert isinstance(refused, NotReady)
    assert refused.failure.kind is K.UNAUTHORIZED


# -- settings


def test_it_is_a_provider_that_can_be_read_and_tried() -> None:
    provider = SecureframeProvider()
    assert isinstance(provider, Provider)
    assert isinstance(provider, CanLookUp)
    assert isinstance(provider, Checkable)
    assert provider.pace == Pace(500, timedelta(minutes=1))
    assert (provider.name, provider.cost, provider.limits.max_bytes) == (
        "secureframe",
        3,
        32_000_000,
    )
    assert set(provider.limits.media_types.values()) == {"pdf", "docx", "xlsx", "csv", "png", "jpg"}
    assert set(provider.schema) == {
        attribute.name for attribute in attrs.fields(SecureframeSettings)
    }


@pytest.mark.parametrize(
    ("settings", "target"),
    [
        (PERSON, "the person's evidence (security_training_screenshot) at api.secureframe.com"),
        (evolve(AT_TEST, region="uk"), f"test {TEST} at api-uk.secureframe.com"),
        (evolve(AT_TEST, endpoint="http://127.0.0.1:1/"), f"test {TEST} at 127.0.0.1:1"),
    ],
)
def test_the_target_is_named_in_words(settings: SecureframeSettings, target: str) -> None:
    assert SecureframeProvider().target(settings) == target


class Keys:
    def resolve(self, name: str) -> Secret | None:
        return Secret(f"{name}-0123456789")


def load(**block: Any) -> Any:
    keys = {"provider": "secureframe", "api_key": "${KEY}", "api_secret": "${SECRET}"}
    tenant = {"integrations": {"compliance": keys | block}}
    return load_mapping({"acme": tenant}, providers=discover_providers(), secrets=Keys())


@pytest.mark.parametrize(
    ("block", "complaint"),
    [
        ({"test": "training"}, "must be the UUID"),
        ({"test": TEST, "person": "subject"}, "cannot stand beside"),
        ({"test": TEST, "document_type": "pci_training_screenshot"}, "cannot stand beside"),
        ({"document_type": "certificate"}, "must be"),
        ({"send": "by post"}, "must be staged or direct"),
        ({"api_secret": None}, ""),
    ],
)
def test_settings_that_make_no_sense_are_refused_with_words(
    block: dict[str, Any], complaint: str
) -> None:
    problems = load(**block).problems
    assert any(complaint in str(problem) for problem in problems), problems


def test_settings_are_read_from_a_tenant_file() -> None:
    loaded = load(test=TEST, region="uk")
    assert loaded.problems == ()
    settings = loaded.integrations["acme"].settings
    assert (settings.test, settings.base, settings.send) == (
        TEST,
        "https://api-uk.secureframe.com",
        "staged",
    )
    assert "0123456789" not in repr(settings)


def test_the_moment_of_staging_is_our_own_clocks() -> None:
    [progress] = upload(STAGED, STORED, ATTACHED)[1].bookmarks
    assert datetime.fromisoformat(json.loads(progress)["staged_at"]) == RECEIVED_AT
