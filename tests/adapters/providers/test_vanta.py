"""The Vanta provider: what it sends step by step, what it makes of the answers, and its
settings."""

from __future__ import annotations

import json
from datetime import date, timedelta
from typing import Any

import attrs
import pytest
from attrs import evolve
from hostile import ECHOES, leaks
from hypothesis import given
from hypothesis import strategies as st
from vanta_talk import (
    DIGEST,
    NEW,
    OLD,
    PARCEL,
    PDF,
    SECRET,
    SETTINGS,
    SUBMITTED,
    UPLOAD_ID,
    UPLOADED,
    Reply,
    Talk,
    document,
    json_reply,
    listed,
    page,
)

from evidence_courier.adapters.providers.vanta.provider import PAGES, VantaProvider
from evidence_courier.adapters.providers.vanta.settings import (
    SCOPE,
    EffectiveDate,
    VantaSettings,
)
from evidence_courier.domain.integration import Pace
from evidence_courier.domain.secrets.redaction import Redactor
from evidence_courier.domain.secrets.secret import Secret
from evidence_courier.domain.upload.failure import Failure, FailureKind
from evidence_courier.domain.upload.verdict import (
    Absent,
    Deferred,
    Delivered,
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
from evidence_courier.ports.dialogue import (
    AccessToken,
    Ending,
    HttpRequest,
    HttpResponse,
    MintedToken,
    TransportFailure,
)
from evidence_courier.ports.provider import CanLookUp, Checkable, Provider
from evidence_courier.testing.scripted_transport import reply

K = FailureKind
PROVIDER = VantaProvider()
BASE = "api.vanta.com/v1/documents/access-requests"
DELIVERED = Delivered(Receipt(UPLOAD_ID, "uploaded and submitted"))
REFUSED = json_reply(401, {"message": "Unauthorized"})


def deliver(
    talk: Talk,
    progress: str | None = None,
    settings: VantaSettings = SETTINGS,
    parcel: object = PARCEL,
) -> Verdict:
    return talk.hold(PROVIDER.upload(parcel, settings, progress))  # type: ignore[arg-type]


def look(talk: Talk, progress: str | None = None, settings: VantaSettings = SETTINGS) -> Finding:
    return talk.hold(PROVIDER.look_up(PARCEL, settings, progress))


def form_of(request: HttpRequest) -> dict[bytes, bytes]:
    """Each part's head and content, taken apart by hand."""
    content_type = dict(request.headers)["Content-Type"]
    boundary = b"--" + content_type.removeprefix("multipart/form-data; boundary=").encode()
    first, *parts, last = (b"\r\n" + b"".join(request.body)).split(b"\r\n" + boundary)
    assert (first, last) == (b"", b"--\r\n")
    heads = [part.removeprefix(b"\r\n").partition(b"\r\n\r\n") for part in parts]
    return {head: content for head, _, content in heads}


# -- what is sent


def test_an_upload_is_made_remembered_and_submitted_in_this_order() -> None:
    talk = Talk(UPLOADED, SUBMITTED)
    assert deliver(talk) == DELIVERED
    assert talk.asked() == [f"POST {BASE}/uploads", f"POST {BASE}/submit"]
    assert talk.bookmarks == [UPLOAD_ID, f"{UPLOAD_ID} submitted"]


def test_the_bookmark_is_committed_before_the_submission_is_sent() -> None:
    talk = Talk(UPLOADED)
    with pytest.raises(StopIteration):  # the script has no answer to the submission
        deliver(talk)
    assert talk.bookmarks == [UPLOAD_ID]


def test_the_file_goes_in_a_form_with_its_date_and_what_identifies_it() -> None:
    talk = Talk(UPLOADED, SUBMITTED)
    deliver(talk)
    assert form_of(talk.requests[0]) == {
        b'Content-Disposition: form-data; name="effectiveAtDate"': b"2026-02-21T00:00:00.000Z",
        b"Content-Disposition: form-data; "
        b'name="description"': f"Evidence ev-1 (sha256 {DIGEST[:12]})".encode(),
        f'Content-Disposition: form-data; name="file"; filename="{PARCEL.file_name}"\r\n'
        "Content-Type: application/pdf".encode(): PDF,
    }


@pytest.mark.parametrize(
    ("way", "written"),
    [
        ("date_time", [b"2024-02-29T00:00:00.000Z"]),
        ("date", [b"2024-02-29"]),
        ("none", []),
    ],
)
def test_how_the_date_is_written_is_a_setting(way: EffectiveDate, written: list[bytes]) -> None:
    talk = Talk(UPLOADED, SUBMITTED)
    parcel = evolve(PARCEL, evidence_date=date(2024, 2, 29))
    deliver(talk, settings=evolve(SETTINGS, effective_date=way), parcel=parcel)
    parts = form_of(talk.requests[0])
    assert [content for head, content in parts.items() if b"effectiveAtDate" in head] == written
    assert len(parts) == 2 + len(written)


def test_every_request_carries_the_token_and_a_submission_has_no_body() -> None:
    talk = Talk(UPLOADED, SUBMITTED)
    deliver(talk)
    for request in talk.requests:
        headers = dict(request.headers)
        assert headers["Authorization"] == f"Bearer {OLD.value.reveal()}"
        assert headers["Accept"] == "application/json"
        assert OLD.value.reveal() not in repr(request)
    assert talk.requests[1].body == ()
    assert "Content-Type" not in dict(talk.requests[1].headers)


def test_every_attempt_sends_the_same_bytes_and_copies_no_document() -> None:
    first, second = Talk(UPLOADED, SUBMITTED), Talk(UPLOADED, SUBMITTED)
    assert deliver(first) == deliver(second)
    assert first.requests == second.requests
    assert any(part is PDF for part in first.requests[0].body)


def test_with_the_bookmark_at_hand_it_is_only_submitted() -> None:
    talk = Talk(SUBMITTED)
    assert deliver(talk, progress=UPLOAD_ID) == DELIVERED
    assert talk.asked() == [f"POST {BASE}/submit"]
    assert talk.bookmarks == [f"{UPLOAD_ID} submitted"]


def test_what_is_special_in_a_documents_id_stays_in_its_part_of_the_path() -> None:
    talk = Talk(UPLOADED, SUBMITTED)
    deliver(talk, settings=evolve(SETTINGS, document="a/../b?c#d é"))
    assert talk.asked()[1] == "POST api.vanta.com/v1/documents/a%2F..%2Fb%3Fc%23d%20%C3%A9/submit"


# -- the token


def minted(settings: VantaSettings, *answers: Reply) -> tuple[MintedToken | Failure, Talk]:
    """What the mint in the provider's wish for a token comes to."""
    wishing = Talk(UPLOADED, SUBMITTED)
    deliver(wishing, settings=settings)
    talk = Talk(*answers)
    return talk.hold(wishing.wishes[0].mint()), talk


def test_a_token_is_asked_for_in_json_with_all_scopes() -> None:
    token, talk = minted(SETTINGS, json_reply(200, {"access_token": "vat_a", "expires_in": 3600}))
    assert token == MintedToken(Secret("vat_a"), 3_600.0)
    [request] = talk.requests
    assert (request.method, request.url) == ("POST", "https://api.vanta.com/oauth/token")
    assert dict(request.headers) == {
        "Accept": "application/json",
        "Content-Type": "application/json",
    }
    assert json.loads(b"".join(request.body)) == {
        "client_id": "vci_acme",
        "client_secret": SECRET.reveal(),
        "scope": "vanta-api.all:read vanta-api.all:write vanta-api.documents:upload",
        "grant_type": "client_credentials",
    }
    assert SECRET.reveal() not in repr(request)


def test_only_integrations_of_one_application_share_its_token() -> None:
    def key(settings: VantaSettings) -> str:
        talk = Talk(UPLOADED, SUBMITTED)
        deliver(talk, settings=settings)
        [name] = {wish.key for wish in talk.wishes}
        return name

    assert key(SETTINGS) == key(
        evolve(SETTINGS, document="another", client_secret=Secret("rotated"))
    )
    assert key(SETTINGS) == key(evolve(SETTINGS, endpoint="https://api.vanta.com/"))
    others: tuple[dict[str, Any], ...] = (
        {"client_id": "vci_other"},
        {"region": "gov"},
        {"endpoint": "http://127.0.0.1:8080"},
    )
    assert len({key(SETTINGS), *(key(evolve(SETTINGS, **one)) for one in others)}) == 4
    assert SECRET.reveal() not in key(SETTINGS)


def test_a_token_that_is_refused_is_changed_for_a_new_one_once() -> None:
    talk = Talk(REFUSED, UPLOADED, SUBMITTED, tokens=[OLD, NEW, NEW])
    assert deliver(talk) == DELIVERED
    assert [wish.refused for wish in talk.wishes] == [None, OLD, None]
    sent = [dict(request.headers)["Authorization"] for request in talk.requests]
    assert sent == [f"Bearer {token.value.reveal()}" for token in (OLD, NEW, NEW)]


@pytest.mark.parametrize(
    ("answers", "tokens"),
    [([REFUSED], [NEW]), ([REFUSED, REFUSED], [OLD, NEW]), ([REFUSED, REFUSED], [OLD, OLD])],
    ids=["minted just now", "the new one too", "one that another has put in its place too"],
)
def test_a_new_token_that_is_refused_has_been_revoked_by_somebody_else(
    answers: list[Reply], tokens: list[AccessToken]
) -> None:
    for progress in (None, UPLOAD_ID):
        talk = Talk(*answers, tokens=tokens)
        verdict = deliver(talk, progress)
        assert isinstance(verdict, Deferred)
        assert verdict.failure.kind is K.TOKEN_REVOKED
        assert "give the courier an application of its own" in verdict.failure.message
        assert len(talk.requests) == len(answers)


def test_a_token_refused_between_upload_and_submission_is_changed_too() -> None:
    talk = Talk(UPLOADED, REFUSED, SUBMITTED, tokens=[OLD, OLD, NEW])
    assert deliver(talk) == DELIVERED
    assert talk.bookmarks == [UPLOAD_ID, f"{UPLOAD_ID} submitted"]


@pytest.mark.parametrize("kind", FailureKind)
def test_without_a_token_nothing_is_sent_and_nothing_is_in_doubt(kind: FailureKind) -> None:
    failure = Failure(kind, "no token")
    for progress in (None, UPLOAD_ID):
        talk = Talk(tokens=[failure])
        verdict = deliver(talk, progress)
        assert isinstance(verdict, Deferred if kind.retryable else Rejected)
        assert not isinstance(verdict, Delivered)
        assert verdict.failure.kind is kind
        assert talk.requests == []


def test_a_refusal_of_the_token_endpoint_while_changing_a_token_decides() -> None:
    failure = Failure(K.UNAUTHORIZED, "the secret has been changed")
    assert deliver(Talk(REFUSED, tokens=[OLD, failure])) == Rejected(failure)


# -- what the upload came to


@pytest.mark.parametrize("status", [400, 403, 404, 409, 413, 415, 422])
def test_an_upload_that_is_refused_is_not_submitted(status: int) -> None:
    talk = Talk(json_reply(status, {"message": "no"}))
    verdict = deliver(talk)
    assert isinstance(verdict, Rejected)
    assert verdict.failure.http_status == status
    assert (len(talk.requests), talk.bookmarks) == (1, [])


def test_an_unknown_document_speaks_of_the_integration() -> None:
    verdict = deliver(Talk(json_reply(404, {"message": "Document not found"})))
    assert isinstance(verdict, Rejected)
    assert verdict.failure.kind is K.TARGET_NOT_FOUND
    assert "document access-requests" in verdict.failure.message


@pytest.mark.parametrize(
    "answer",
    [
        json_reply(503, b""),
        json_reply(504, b""),
        TransportFailure(K.TIMEOUT, "silent"),
        TransportFailure(K.CONNECTION_LOST, "reset"),
    ],
    ids=str,
)
def test_an_upload_that_may_have_been_taken_is_unclear(answer: Reply) -> None:
    assert isinstance(deliver(Talk(answer)), Unclear)


@pytest.mark.parametrize("echo", ECHOES)
def test_a_token_or_secret_given_as_the_id_is_not_believed(echo: str) -> None:
    for secret in (OLD.value, SECRET):
        talk = Talk(json_reply(201, {"id": ECHOES[echo](secret.reveal())}))
        verdict = deliver(talk)
        assert isinstance(verdict, Rejected)
        assert verdict.failure.kind is K.UNRECOGNISED_REPLY
        assert talk.bookmarks == []


# -- what the submission came to


@pytest.mark.parametrize(
    "answer",
    [
        json_reply(500, b""),
        json_reply(503, b""),
        json_reply(429, b""),
        reply(200, b"", ending=Ending.CUT_SHORT),
        TransportFailure(K.TIMEOUT, "silent"),
        TransportFailure(K.CONNECTION_LOST, "reset"),
    ],
    ids=str,
)
def test_a_submission_in_trouble_is_repeated_later_for_it_makes_no_copy(answer: Reply) -> None:
    for talk, progress in ((Talk(UPLOADED, answer), None), (Talk(answer), UPLOAD_ID)):
        verdict = deliver(talk, progress)
        assert isinstance(verdict, Deferred)
        assert f"the upload is at Vanta as {UPLOAD_ID}" in verdict.failure.message


@pytest.mark.parametrize(
    "answer", [json_reply(200, b""), json_reply(202, {}), json_reply(200, b"<html>")], ids=str
)
def test_a_submission_with_an_undocumented_success_is_looked_into(
    answer: HttpResponse,
) -> None:
    talk = Talk(UPLOADED, answer, page(listed()), document("OK"))
    assert deliver(talk) == DELIVERED
    assert talk.asked()[2:] == [f"GET {BASE}/uploads?pageSize=100", f"GET {BASE}"]
    for looked in (
        [page()],
        [page(listed()), document("Needs document")],
        [json_reply(503, b"")],
        [json_reply(403, b"")],
    ):
        verdict = deliver(Talk(UPLOADED, answer, *looked))
        assert isinstance(verdict, Deferred)
        assert f"the upload is at Vanta as {UPLOAD_ID}" in verdict.failure.message


@pytest.mark.parametrize(
    "said",
    [
        {"error": "no owner"},
        {"errors": [{"message": "the evidence cannot be submitted"}]},
        {"success": False},
        {"submitted": False, "message": "in review"},
    ],
    ids=str,
)
def test_a_submission_with_a_success_that_denies_itself_is_none(said: object) -> None:
    talk = Talk(UPLOADED, json_reply(200, said), page(listed()), document("OK"))
    assert isinstance(deliver(talk), Deferred)
    assert len(talk.requests) == 2


@pytest.mark.parametrize("status", [400, 409, 422])
@pytest.mark.parametrize(
    "said",
    [
        {"message": "There is nothing to submit"},
        {"error": {"message": "No draft uploads"}},
        {"message": "The document has already been submitted."},
        {"message": "This document has already been submitted for review"},
        {"message": "It was already submitted and approved"},
        {"message": "The draft is empty"},
        {"message": "No evidence to be submitted"},
    ],
    ids=str,
)
def test_a_submission_refused_as_done_has_succeeded_if_it_is_listed(
    status: int, said: object
) -> None:
    talk = Talk(UPLOADED, json_reply(status, said), page(listed()), document("OK"))
    assert deliver(talk) == Delivered(
        Receipt(UPLOAD_ID, "uploaded, and submitted together with another upload")
    )
    assert talk.asked()[2:] == [f"GET {BASE}/uploads?pageSize=100", f"GET {BASE}"]


@pytest.mark.parametrize("status", [400, 409, 422])
@pytest.mark.parametrize(
    "said",
    [
        {"error": "Bad Request"},
        {"message": "Unprocessable Entity"},
        {"message": "no owner; evidence cannot be submitted"},
        {"message": "Document does not have any files"},
        {"message": "The upload is not complete: no evidence date"},
        {"message": "There is no draft owner"},
        {"message": "The evidence has not been submitted: no pending approver"},
        {"message": "No files to submit: evidence.pdf has failed the virus scan"},
        {"message": "It was already submitted, and rejected"},
        {"message": "Nothing to submit until an owner is assigned"},
        {},
        b"<html>",
        b"",
    ],
    ids=str,
)
def test_a_submission_refused_without_saying_that_it_is_done_is_final(
    status: int, said: object
) -> None:
    """A listed file in a document with the status OK proves no submission of ours."""
    talk = Talk(UPLOADED, json_reply(status, said), page(listed()), document("OK"))
    verdict = deliver(talk)
    assert isinstance(verdict, Rejected)
    assert f"the upload is at Vanta as {UPLOAD_ID}" in verdict.failure.message
    assert len(talk.requests) == 2


def test_an_answered_submission_is_not_repeated_by_the_next_attempt() -> None:
    first = Talk(UPLOADED, SUBMITTED)
    deliver(first)
    again = Talk()
    assert deliver(again, progress=first.bookmarks[-1]) == DELIVERED
    assert look(again, progress=first.bookmarks[-1]) == Found(DELIVERED.receipt)
    assert (again.requests, again.bookmarks) == ([], [])


@pytest.mark.parametrize(
    "looked",
    [
        [page(), document("OK")],
        [page(listed("another")), document("OK")],
        [page(listed(deletionDate="2026-02-21T00:00:00.000Z")), document("OK")],
        [page(listed()), document("Needs document")],
        [page(listed()), document("ok")],
        [page(listed()), json_reply(404, b"")],
        [json_reply(403, b"")],
    ],
    ids=[
        "not listed",
        "another is",
        "deleted",
        "something is wanting",
        "another word",
        "gone",
        "forbidden",
    ],
)
def test_else_a_refused_submission_is_final(looked: list[HttpResponse]) -> None:
    talk = Talk(UPLOADED, json_reply(400, {"message": "nothing to submit"}), *looked)
    verdict = deliver(talk)
    assert isinstance(verdict, Rejected)
    assert verdict.failure.kind is K.BAD_REQUEST
    assert 'saying "nothing to submit"' in verdict.failure.message


@pytest.mark.parametrize(
    "looked", [[json_reply(503, b"")], [page(listed()), json_reply(429, b"")]], ids=str
)
def test_a_refused_submission_that_was_not_looked_into_is_repeated_later(
    looked: list[HttpResponse],
) -> None:
    refused = json_reply(409, {"message": "already submitted"})
    verdict = deliver(Talk(UPLOADED, refused, *looked))
    assert isinstance(verdict, Deferred)
    assert f"the upload is at Vanta as {UPLOAD_ID}" in verdict.failure.message


def test_where_drafts_are_not_listed_a_listed_upload_is_submitted() -> None:
    talk = Talk(UPLOADED, json_reply(400, b""), page(listed()))
    assert isinstance(deliver(talk, settings=evolve(SETTINGS, drafts_listed=False)), Delivered)


@pytest.mark.parametrize(
    "said",
    ["The document is in review", "Upload a file of the last quarter first", "Invalid request"],
)
def test_a_refused_submission_that_gives_another_reason_is_believed(said: str) -> None:
    talk = Talk(UPLOADED, json_reply(409, {"message": said}))
    verdict = deliver(talk)
    assert isinstance(verdict, Rejected)
    assert f'saying "{said}"' in verdict.failure.message
    assert len(talk.requests) == 2


@pytest.mark.parametrize("status", [302, 403, 404, 413])
def test_any_other_refusal_of_a_submission_is_final_without_a_look(status: int) -> None:
    talk = Talk(UPLOADED, json_reply(status, b""))
    assert isinstance(deliver(talk), Rejected)
    assert len(talk.requests) == 2


# -- looking it up


@pytest.mark.parametrize(
    "shown",
    [
        listed(fileName=PARCEL.file_name),
        listed(description=f"Evidence ev-1 (sha256 {DIGEST[:12]})"),
        listed(fileName=None, description=f"seen. Evidence ev-1 (sha256 {DIGEST[:12]}) - ok"),
    ],
    ids=["by its name", "by its description", "by a description that was added to"],
)
def test_a_listed_upload_is_partly_done_as_it_may_not_be_submitted(
    shown: object,
) -> None:
    talk = Talk(page(listed("another"), shown))
    assert look(talk) == Partly(UPLOAD_ID)
    assert talk.asked() == [f"GET {BASE}/uploads?pageSize=100"]


def test_where_drafts_are_not_listed_it_is_found() -> None:
    settings = evolve(SETTINGS, drafts_listed=False)
    finding = look(Talk(page(listed(fileName=PARCEL.file_name))), settings=settings)
    assert finding == Found(Receipt(UPLOAD_ID, "found among the document's uploads"))


@pytest.mark.parametrize(
    "shown",
    [
        page(),
        page(listed("another")),
        page(listed(fileName=PARCEL.file_name, deletionDate="2026-02-21T00:00:00.000Z")),
        page(listed(description=f"Evidence ev-1 (sha256 {DIGEST[1:13]})")),
        page(listed(description=f"Evidence ev-2 (sha256 {DIGEST[:12]})")),
        page(listed(fileName=["ev-1"], description=7)),
    ],
)
def test_an_upload_not_listed_is_absent_unless_drafts_are_not_listed(
    shown: HttpResponse,
) -> None:
    assert look(Talk(shown)) == Absent()
    finding = look(Talk(shown), settings=evolve(SETTINGS, drafts_listed=False))
    assert isinstance(finding, Unreadable)
    assert "it may be there as a draft" in finding.failure.message


def test_a_bookmark_says_more_than_a_list() -> None:
    talk = Talk()
    assert look(talk, progress=UPLOAD_ID) == Partly(UPLOAD_ID)
    assert talk.requests == []


def test_an_id_that_is_a_number_is_found_again() -> None:
    """By the file's name in a look-up, and by the id where a submission is looked into."""
    ours = {**listed(fileName=PARCEL.file_name), "id": 7}
    assert look(Talk(page(ours))) == Partly("7")
    done = json_reply(409, {"message": "There is nothing to submit"})
    made = json_reply(201, {"id": 7})
    verdict = deliver(Talk(made, done, page(ours), document("OK", id=8)))
    assert isinstance(verdict, Delivered)
    assert verdict.receipt.reference == "7"


def test_pages_are_turned_over_until_the_upload_is_found() -> None:
    talk = Talk(
        page(listed("a"), cursor="a+b/c=="),
        page(listed("b"), cursor="next"),
        page(listed(fileName=PARCEL.file_name), cursor="never asked for"),
    )
    assert look(talk) == Partly(UPLOAD_ID)
    assert talk.asked() == [
        f"GET {BASE}/uploads?pageSize=100",
        f"GET {BASE}/uploads?pageSize=100&pageCursor=a%2Bb%2Fc%3D%3D",
        f"GET {BASE}/uploads?pageSize=100&pageCursor=next",
    ]


def test_a_list_without_an_end_is_unreadable() -> None:
    round_and_round = Talk(page(cursor="a"), page(cursor="b"), page(cursor="a"))
    for talk in (round_and_round, Talk(*(page(cursor=str(number)) for number in range(PAGES)))):
        finding = look(talk)
        assert isinstance(finding, Unreadable)
        assert finding.failure.kind is K.BROKEN_REPLY


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (json_reply(503, b""), K.SERVER_ERROR),
        (json_reply(429, b""), K.RATE_LIMITED),
        (json_reply(403, b""), K.FORBIDDEN),
        (json_reply(404, b""), K.TARGET_NOT_FOUND),
        (json_reply(200, b"<html>"), K.BROKEN_REPLY),
        (reply(200, b"{", ending=Ending.TOO_LONG), K.BROKEN_REPLY),
        (TransportFailure(K.TIMEOUT, "silent"), K.TIMEOUT),
    ],
    ids=str,
)
def test_a_list_that_cannot_be_read_says_nothing(answer: Reply, kind: FailureKind) -> None:
    finding = look(Talk(answer))
    assert isinstance(finding, Unreadable)
    assert finding.failure.kind is kind
    assert "whether it took the upload" not in finding.failure.message


def test_without_a_token_nothing_can_be_looked_up() -> None:
    failure = Failure(K.UNAUTHORIZED, "no token")
    assert look(Talk(tokens=[failure])) == Unreadable(failure)


# -- the dry run


def test_a_document_that_takes_uploads_is_ready() -> None:
    talk = Talk(document("Needs document"))
    told_of = talk.hold(PROVIDER.check(SETTINGS))
    assert told_of == Ready(
        "the document 'Access requests' is there, with the status 'Needs document'"
    )
    assert talk.asked() == [f"GET {BASE}"]


def test_a_deactivated_document_is_not_ready() -> None:
    state = {
        "isDeactivated": True,
        "reason": "not in scope",
        "expiration": None,
        "creationDate": None,
    }
    not_ready = Talk(document(deactivatedStatus=state)).hold(PROVIDER.check(SETTINGS))
    assert isinstance(not_ready, NotReady)
    assert "'Access requests' is deactivated (not in scope)" in not_ready.failure.message


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (json_reply(404, b""), K.TARGET_NOT_FOUND),
        (json_reply(403, b""), K.FORBIDDEN),
        (json_reply(500, b""), K.SERVER_ERROR),
        (json_reply(200, []), K.BROKEN_REPLY),
        (TransportFailure(K.NO_CONNECTION, "no route"), K.NO_CONNECTION),
    ],
    ids=str,
)
def test_a_document_that_cannot_be_seen_is_not_ready(answer: Reply, kind: FailureKind) -> None:
    not_ready = Talk(answer).hold(PROVIDER.check(SETTINGS))
    assert isinstance(not_ready, NotReady)
    assert not_ready.failure.kind is kind


def test_without_a_token_nothing_is_ready() -> None:
    failure = Failure(K.UNAUTHORIZED, "no token")
    assert Talk(tokens=[failure]).hold(PROVIDER.check(SETTINGS)) == NotReady(failure)


# -- the token is shown nowhere

# What the engine masks: the tokens that the dialogue was given.
MASKS = Redactor([OLD.value])


@pytest.mark.parametrize("status", [200, 201, 204, 302, 400, 403, 404, 409, 429, 500, 503])
@pytest.mark.parametrize("echo", ECHOES)
def test_a_token_that_a_reply_repeats_is_masked_everywhere(echo: str, status: int) -> None:
    said = ECHOES[echo](OLD.value.reveal())
    bodies = (
        {"message": said},
        {"id": UPLOAD_ID, "uploadStatus": said, "title": said},
        {
            "id": UPLOAD_ID,
            "uploadStatus": "OK",
            "title": said,
            "deactivatedStatus": {"reason": said},
        },
        said.encode("utf-8", "replace"),
    )
    for body in bodies:
        answer = json_reply(status, body, ("Location", f"https://{said}/"), ("Retry-After", said))
        ready = Talk(answer).hold(PROVIDER.check(SETTINGS))
        came_to = (
            MASKS.verdict(deliver(Talk(answer, answer, answer))),
            MASKS.verdict(deliver(Talk(answer, answer), progress=UPLOAD_ID)),
            MASKS.finding(look(Talk(answer))),
            MASKS.failure(ready.failure)
            if isinstance(ready, NotReady)
            else MASKS.text(repr(ready)),
        )
        for outcome in came_to:
            assert not leaks(repr(outcome), OLD.value.reveal()), outcome


# -- anything at all

replies = st.builds(
    lambda status, body, ending: reply(status, body, ending=ending),
    st.integers(100, 600) | st.sampled_from([200, 201, 204, 400, 401, 409]),
    st.binary(max_size=20) | st.sampled_from([UPLOADED.body, page(listed()).body, document().body]),
    st.sampled_from(Ending),
)
lines = st.sampled_from([K.NO_CONNECTION, K.NOT_SENT, K.TIMEOUT, K.CONNECTION_LOST])
answers = replies | lines.map(lambda kind: TransportFailure(kind, "the line"))
tokens = st.sampled_from([OLD, NEW]) | st.sampled_from(FailureKind).map(
    lambda kind: Failure(kind, "none")
)


@given(
    st.lists(answers, min_size=12, max_size=12),
    st.lists(tokens, max_size=8),
    st.none() | st.just(UPLOAD_ID),
)
def test_whatever_is_answered_it_has_a_verdict_and_success_is_recognised(
    script: list[Reply], given_tokens: list[AccessToken | Failure], progress: str | None
) -> None:
    talk = Talk(*script, tokens=given_tokens)
    verdict = deliver(talk, progress)
    assert isinstance(verdict, Delivered | Rejected | Deferred | Unclear)
    answered = script[: len(talk.requests)]
    if isinstance(verdict, Delivered):
        assert verdict.receipt.reference == UPLOAD_ID
        assert isinstance(last := answered[-1], HttpResponse)
        assert last.status == 204 or (last.status // 100 == 2 and b'"OK"' in last.body)
        assert last.ending is Ending.COMPLETE
    if isinstance(verdict, Unclear):
        assert progress is None  # only the upload itself can leave a doubt
        assert talk.bookmarks == []
    finding = look(Talk(*script, tokens=given_tokens), progress)
    assert isinstance(finding, Partly | Absent | Unreadable)
    assert isinstance(
        Talk(*script, tokens=given_tokens).hold(PROVIDER.check(SETTINGS)), Ready | NotReady
    )


# -- settings


@pytest.mark.parametrize(
    ("settings", "base"),
    [
        (SETTINGS, "https://api.vanta.com"),
        (evolve(SETTINGS, region="gov"), "https://api.vanta-gov.com"),
        (evolve(SETTINGS, endpoint="http://127.0.0.1:8080"), "http://127.0.0.1:8080"),
        (evolve(SETTINGS, endpoint="https://proxy.test/vanta/"), "https://proxy.test/vanta"),
    ],
)
def test_api_and_token_endpoint_share_a_base(settings: VantaSettings, base: str) -> None:
    talk = Talk(UPLOADED, SUBMITTED)
    deliver(talk, settings=settings)
    assert talk.requests[0].url == f"{base}/v1/documents/access-requests/uploads"
    _, minting = minted(settings, json_reply(200, {"access_token": "vat_a"}))
    assert minting.requests[0].url == f"{base}/oauth/token"


@pytest.mark.parametrize(
    "endpoint",
    ["https://api.vanta.com/v1", "https://api.vanta.com/oauth/token", "https://a.test/?b=c"],
)
def test_an_endpoint_that_goes_too_far_is_refused(endpoint: str) -> None:
    with pytest.raises(ValueError, match="endpoint must end before /v1 and /oauth"):
        evolve(SETTINGS, endpoint=endpoint)


@pytest.mark.parametrize("text", ["", "  ", " a", "a\n", "a\x00b"])
@pytest.mark.parametrize("key", ["client_id", "document", "scope"])
def test_a_setting_that_is_not_one_line_of_text_is_refused(key: str, text: str) -> None:
    changed: dict[str, Any] = {key: text}
    with pytest.raises(ValueError, match=f"{key} must be one line"):
        evolve(SETTINGS, **changed)


@pytest.mark.parametrize("document_id", [".", ".."])
def test_a_documents_id_that_leads_elsewhere_is_refused(document_id: str) -> None:
    with pytest.raises(ValueError, match="document must be the id of a document"):
        evolve(SETTINGS, document=document_id)


def test_the_target_names_document_and_host() -> None:
    assert PROVIDER.target(SETTINGS) == "document access-requests at api.vanta.com"


def test_odd_settings_are_accepted_with_advice() -> None:
    assert PROVIDER.advice(SETTINGS) == ()
    [address] = PROVIDER.advice(
        evolve(SETTINGS, document="https://app.vanta.com/documents/access-requests")
    )
    assert "give only what stands behind documents/" in address
    [scope] = PROVIDER.advice(evolve(SETTINGS, scope="vanta-api.all:read vanta-api.all:write"))
    assert "lacks vanta-api.documents:upload" in scope
    assert PROVIDER.advice(evolve(SETTINGS, scope=f"{SCOPE} self:read-document")) == ()


def test_it_is_a_provider_that_can_be_read_and_tried() -> None:
    assert isinstance(PROVIDER, Provider)
    assert isinstance(PROVIDER, CanLookUp)
    assert isinstance(PROVIDER, Checkable)
    assert PROVIDER.pace == Pace(50, timedelta(minutes=1))
    assert (PROVIDER.name, PROVIDER.cost, PROVIDER.exclusive_credential) == ("vanta", 2, True)


def test_its_schema_knows_every_setting() -> None:
    assert set(VantaProvider.schema) == {
        attribute.name for attribute in attrs.fields(VantaSettings)
    }
    assert SECRET.reveal() not in repr(SETTINGS)


def test_each_media_type_has_an_extension_of_its_own() -> None:
    extensions = list(VantaProvider.limits.media_types.values())
    assert len(set(extensions)) == len(extensions)
    assert VantaProvider.limits.max_bytes is None
