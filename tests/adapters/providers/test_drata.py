"""The Drata provider: what it sends, what it looks up, what it asks before anything is sent, and
its settings."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import attrs
import pytest
from attrs import evolve
from vanta_talk import PARCEL, PDF, Talk, json_reply

from evidence_courier.adapters.config import load_mapping
from evidence_courier.adapters.plugins import discover_providers
from evidence_courier.adapters.providers.drata.provider import MOST_PAGES, DrataProvider
from evidence_courier.adapters.providers.drata.settings import ControlsAs, DrataSettings, Region
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
    Ready,
    Receipt,
    Rejected,
    Unreadable,
    Verdict,
)
from evidence_courier.ports.dialogue import HttpResponse, TransportFailure
from evidence_courier.ports.provider import CanLookUp, Checkable, Parcel, Provider

K = FailureKind
BASE = "https://public-api.drata.com/public/v2"
PERSON = DrataSettings(api_key=Secret("drata-key-0123456789"), user_by="address")
LIBRARY = evolve(PERSON, to="library", workspace=3, owner=9, controls=(11, 12))
JANE = evolve(PARCEL, subject_email="jane+test@acme.example")
CREATED = json_reply(201, {"id": 41, "userId": 7, "name": PARCEL.file_name, "type": "SEC_TRAINING"})


def test_a_person_is_named_by_number_by_default() -> None:
    assert DrataSettings(api_key=Secret("drata-key-0123456789")).user_by == "number"


def upload(
    settings: DrataSettings = PERSON, parcel: Parcel = JANE, answer: HttpResponse = CREATED
) -> tuple[Verdict, Talk]:
    talk = Talk(answer)
    return talk.hold(DrataProvider().upload(parcel, settings, None)), talk


def look_up(
    *answers: HttpResponse | TransportFailure,
    settings: DrataSettings = PERSON,
    parcel: Parcel = JANE,
) -> tuple[Finding, Talk]:
    talk = Talk(*answers)
    return talk.hold(DrataProvider().look_up(parcel, settings, None)), talk


def check(*answers: HttpResponse, settings: DrataSettings = PERSON) -> tuple[DryRun, Talk]:
    talk = Talk(*answers)
    return talk.hold(DrataProvider().check(settings)), talk


def page(*names: object, cursor: object = None) -> HttpResponse:
    items = [{"id": number, "name": name} for number, name in enumerate(names, start=1)]
    return json_reply(200, {"data": items, "pagination": {"cursor": cursor}})


def parts_of(talk: Talk) -> list[tuple[bytes, bytes]]:
    """Name and content of each part of the one request's form; the file's head instead of its
    name."""
    [request] = talk.requests
    boundary = b"--" + dict(request.headers)["Content-Type"].partition("boundary=")[2].encode()
    first, *parts, last = (b"\r\n" + b"".join(request.body)).split(b"\r\n" + boundary)
    assert (first, last) == (b"", b"--\r\n")
    split = [part.removeprefix(b"\r\n").partition(b"\r\n\r\n") for part in parts]
    plain = b'Content-Disposition: form-data; name="'
    return [(head.removeprefix(plain).removesuffix(b'"'), content) for head, _, content in split]


FILE_HEAD = (
    f'file"; filename="{PARCEL.file_name}"\r\nContent-Type: application/pdf'.encode()
)  # name and media type: without either Drata answers 400


def test_a_persons_document_is_posted_under_their_address_as_documented() -> None:
    verdict, talk = upload()
    assert verdict == Delivered(Receipt("41", PARCEL.file_name))
    assert talk.asked() == [
        "POST public-api.drata.com/public/v2/users/email:jane%2Btest@acme.example/documents"
    ]
    assert parts_of(talk) == [
        (b"type", b"SEC_TRAINING"),
        (b"completionDate", b"2026-02-21T10:00:00.000Z"),
        (FILE_HEAD, PDF),
    ]
    assert dict(talk.requests[0].headers)["Authorization"] == "Bearer drata-key-0123456789"


def test_the_moment_of_completion_is_sent_in_utc() -> None:
    there = datetime(2026, 2, 22, 4, 30, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    _, talk = upload(parcel=evolve(JANE, recorded_at=there))
    assert (b"completionDate", b"2026-02-21T23:00:00.000Z") in parts_of(talk)
    assert there.astimezone(UTC) == datetime(2026, 2, 21, 23, tzinfo=UTC)


def test_a_person_may_be_named_by_the_subject() -> None:
    _, talk = upload(evolve(PERSON, person="subject"), evolve(PARCEL, subject="4711"))
    assert talk.asked() == ["POST public-api.drata.com/public/v2/users/4711/documents"]


LOOKED_UP = evolve(PERSON, user_by="number")
USER = json_reply(200, {"id": 4711, "email": "jane+test@acme.example"})


@pytest.mark.parametrize("user", [USER, json_reply(200, {"id": "4711"})])
def test_a_person_known_by_address_may_be_named_by_dratas_number(user: HttpResponse) -> None:
    talk = Talk(user, CREATED)
    assert talk.hold(DrataProvider().upload(JANE, LOOKED_UP, None)) == Delivered(
        Receipt("41", PARCEL.file_name)
    )
    users = "public-api.drata.com/public/v2/users"
    assert talk.asked() == [
        f"GET {users}/email:jane%2Btest@acme.example",
        f"POST {users}/4711/documents",
    ]
    finding, looked = look_up(user, page(PARCEL.file_name), settings=LOOKED_UP)
    assert isinstance(finding, Found)
    assert looked.asked()[1].startswith(f"GET {users}/4711/documents?")


@pytest.mark.parametrize(
    ("settings", "parcel"),
    [
        (evolve(LOOKED_UP, person="subject"), evolve(PARCEL, subject="7")),
        (evolve(LIBRARY, user_by="number"), JANE),
    ],
)
def test_no_person_is_looked_up_if_the_number_is_known_or_not_needed(
    settings: DrataSettings, parcel: Parcel
) -> None:
    assert len(upload(settings, parcel)[1].requests) == 1


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (
            json_reply(404, {"message": "User not found"}),
            K.NOT_FOUND,
            "Drata does not know the person",
        ),
        (json_reply(403, {"message": "no"}), K.FORBIDDEN, "Users: Get User"),
        (json_reply(401, {}), K.UNAUTHORIZED, "new key"),
        (json_reply(503, {}), K.SERVER_ERROR, "was not available"),
        (json_reply(429, {}), K.RATE_LIMITED, "no more requests"),
        (json_reply(200, b"{"), K.BROKEN_REPLY, "is not JSON"),
        (json_reply(200, []), K.REFUSED, "has no id"),
        (json_reply(200, {"id": "7/x"}), K.REFUSED, "has no id"),
    ],
)
def test_who_cannot_be_looked_up_is_sent_nothing_and_leaves_no_doubt(
    answer: HttpResponse, kind: FailureKind, words: str
) -> None:
    verdict, talk = upload(LOOKED_UP, answer=answer)
    assert isinstance(verdict, Deferred if kind.retryable else Rejected)
    assert verdict.failure.kind is kind
    assert words in verdict.failure.message
    assert "nothing was sent" in verdict.failure.message
    assert "whether" not in verdict.failure.message
    assert len(talk.requests) == 1
    finding, _ = look_up(answer, settings=LOOKED_UP)
    assert isinstance(finding, Unreadable)


def test_the_type_of_document_is_a_setting() -> None:
    _, talk = upload(evolve(PERSON, document_type="HIPAA_TRAINING_EVIDENCE"))
    assert parts_of(talk)[0] == (b"type", b"HIPAA_TRAINING_EVIDENCE")


@pytest.mark.parametrize(
    "address", [None, "", "jane", "jane@", "@acme", "ja ne@acme.example", "a@b\n"]
)
def test_without_an_address_nothing_is_sent_and_the_record_says_what_to_do(
    address: str | None,
) -> None:
    parcel = evolve(PARCEL, subject_email=address)
    verdict, talk = upload(parcel=parcel)
    assert isinstance(verdict, Rejected)
    assert verdict.failure.kind is K.BAD_REQUEST
    assert "evidence 'ev-1' has no" in verdict.failure.message
    assert "set person: subject in the tenant file" in verdict.failure.message
    assert talk.requests == []
    finding, looked = look_up(parcel=parcel)
    assert isinstance(finding, Unreadable)
    assert looked.requests == []


@pytest.mark.parametrize(
    "subject", ["emp-7", "0", "007", "-7", "7.5", "٧", "9" * 20, "7/documents"]
)
def test_a_subject_that_is_no_number_of_dratas_is_not_sent(subject: str) -> None:
    verdict, talk = upload(evolve(PERSON, person="subject"), evolve(JANE, subject=subject))
    assert isinstance(verdict, Rejected)
    assert verdict.failure.kind is K.BAD_REQUEST
    assert "nothing was sent" in verdict.failure.message
    assert talk.requests == []


def test_a_library_item_is_posted_as_documented_and_needs_no_person() -> None:
    verdict, talk = upload(LIBRARY, PARCEL)
    assert isinstance(verdict, Delivered)
    assert talk.asked() == ["POST public-api.drata.com/public/v2/workspaces/3/evidence-library"]
    assert parts_of(talk) == [
        (b"name", PARCEL.file_name.encode()),
        (b"filedAt", b"2026-02-21"),
        (b"renewalScheduleType", b"ONE_YEAR"),
        (b"ownerId", b"9"),
        (b"controlIds", b"11"),
        (b"controlIds", b"12"),
        (FILE_HEAD, PDF),
    ]


@pytest.mark.parametrize(
    ("controls_as", "controls", "parts"),
    [
        ("repeated", (11, 12), [(b"controlIds", b"11"), (b"controlIds", b"12")]),
        ("brackets", (11, 12), [(b"controlIds[]", b"11"), (b"controlIds[]", b"12")]),
        ("commas", (11, 12), [(b"controlIds", b"11,12")]),
        ("repeated", (11,), [(b"controlIds", b"11")]),
        ("brackets", (11,), [(b"controlIds[]", b"11")]),
        ("commas", (11,), [(b"controlIds", b"11")]),
        ("repeated", (), []),
        ("brackets", (), []),
        ("commas", (), []),
    ],
)
def test_how_the_controls_are_written_is_a_setting(
    controls_as: ControlsAs, controls: tuple[int, ...], parts: list[tuple[bytes, bytes]]
) -> None:
    _, talk = upload(evolve(LIBRARY, controls=controls, controls_as=controls_as), PARCEL)
    sent = parts_of(talk)
    assert sent[4:-1] == parts
    assert (sent[3], sent[-1]) == ((b"ownerId", b"9"), (FILE_HEAD, PDF))


NEWER = evolve(LIBRARY, library_api="evidence")
FILED = json_reply(
    201, {"fileKey": "7/evidence-library/x/ev-1.pdf", "originalFilename": "ev-1.pdf"}
)
MADE = json_reply(
    201, {"id": 41, "name": PARCEL.file_name, "artifactsRequested": 1, "artifactsCreated": 1}
)


def newer(
    *answers: HttpResponse | TransportFailure, progress: str | None = None
) -> tuple[Verdict, Talk]:
    talk = Talk(*answers)
    return talk.hold(DrataProvider().upload(PARCEL, NEWER, progress)), talk


def test_the_newer_endpoint_takes_a_file_and_then_evidence_that_names_it() -> None:
    verdict, talk = newer(FILED, MADE)
    assert verdict == Delivered(Receipt("41", PARCEL.file_name))
    workspace = "public-api.drata.com/public/v2/workspaces/3"
    assert talk.asked() == [f"POST {workspace}/evidence-files", f"POST {workspace}/evidence"]
    assert any(part is PDF for part in talk.requests[0].body)
    assert json.loads(b"".join(talk.requests[1].body)) == {
        "name": PARCEL.file_name,
        "artifacts": [
            {
                "type": "S3_FILE",
                "artifactName": PARCEL.file_name,
                "fileKey": "7/evidence-library/x/ev-1.pdf",
                "filedAt": "2026-02-21",
            }
        ],
        "ownerId": 9,
        "controlIds": [11, 12],
        "renewalScheduleType": "ONE_YEAR",
    }
    assert talk.bookmarks == ["7/evidence-library/x/ev-1.pdf"]
    again, later = newer(MADE, progress=talk.bookmarks[0])
    assert isinstance(again, Delivered)
    assert later.requests == talk.requests[1:]


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (json_reply(503, {}), Deferred),
        (TransportFailure(K.TIMEOUT, "silence"), Deferred),
        (json_reply(201, b"<html>"), Deferred),
        (json_reply(201, {}), Rejected),
        (json_reply(201, {"fileKey": "half a \ud800 character"}), Rejected),
        (json_reply(201, {"fileKey": "a \0 within"}), Rejected),
        (json_reply(403, {}), Rejected),
    ],
)
def test_before_the_evidence_is_made_nothing_is_in_doubt(
    answer: HttpResponse | TransportFailure, verdict: type[Verdict]
) -> None:
    came_to, talk = newer(answer)
    assert isinstance(came_to, verdict)
    assert not isinstance(came_to, Delivered)
    assert came_to.failure.kind is not K.UNRECOGNISED_REPLY
    assert "whether it took" not in came_to.failure.message
    assert (len(talk.requests), talk.bookmarks) == (1, [])


def test_a_file_that_drata_has_forgotten_is_stored_again() -> None:
    verdict, talk = newer(json_reply(400, {"message": "fileKey"}), FILED, MADE, progress="old")
    assert isinstance(verdict, Delivered)
    assert len(talk.requests) == 3
    refused, talk = newer(FILED, json_reply(400, {"message": "name"}))
    assert isinstance(refused, Rejected)
    assert len(talk.requests) == 2


@pytest.mark.parametrize("created", [0, None, "1", 2])
def test_evidence_without_its_file_is_not_success(created: object) -> None:
    verdict, _ = newer(FILED, json_reply(201, {"id": 41, "artifactsCreated": created}))
    assert isinstance(verdict, Rejected)
    assert verdict.failure.kind is K.UNRECOGNISED_REPLY
    assert "evidence 41 was made without its file" in verdict.failure.message


@pytest.mark.parametrize(
    ("beside", "seen"),
    [
        ({"status": "NEEDS_ARTIFACT"}, "evidence 41 was made without its file"),
        ({"errors": [{"message": "the file was refused"}]}, "an error stands beside its id"),
        ({"error": "quarantined"}, "an error stands beside its id"),
    ],
)
def test_what_a_success_says_beside_its_id_counts(beside: dict[str, object], seen: str) -> None:
    for verdict in (
        newer(FILED, json_reply(201, {"id": 41, **beside}))[0],
        upload(LIBRARY, PARCEL, json_reply(201, {"id": 41, **beside}))[0],
    ):
        assert isinstance(verdict, Rejected)
        assert verdict.failure.kind is K.UNRECOGNISED_REPLY
        assert seen in verdict.failure.message


@pytest.mark.parametrize("beside", [{"errors": []}, {"error": None}, {"status": "READY"}])
def test_what_says_nothing_bad_beside_an_id_is_a_success(beside: dict[str, object]) -> None:
    assert isinstance(newer(FILED, json_reply(201, {"id": 41, **beside}))[0], Delivered)


def test_the_newer_list_is_searched_for_the_name() -> None:
    finding, talk = look_up(page(PARCEL.file_name), settings=NEWER, parcel=PARCEL)
    assert isinstance(finding, Found)
    assert urlsplit(talk.requests[0].url).path.endswith("/workspaces/3/evidence")
    bare = {"id": 1, "name": PARCEL.file_name, "status": "NEEDS_ARTIFACT"}
    answer = json_reply(200, {"data": [bare], "pagination": {"cursor": None}})
    finding, _ = look_up(answer, settings=NEWER, parcel=PARCEL)
    assert isinstance(finding, Unreadable)
    assert "without its file" in finding.failure.message


def test_every_attempt_sends_the_same_bytes_made_anew_and_none_is_copied() -> None:
    assert upload()[1].requests == upload()[1].requests
    assert any(part is PDF for part in upload()[1].requests[0].body)


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("us", "public-api.drata.com"),
        ("eu", "public-api.eu.drata.com"),
        ("apac", "public-api.apac.drata.com"),
    ],
)
def test_each_region_has_its_address(region: Region, host: str) -> None:
    settings = evolve(PERSON, region=region)
    [request] = upload(settings)[1].requests
    assert request.url.startswith(f"https://{host}/public/v2/users/")
    place = f"{host}/public/v2"
    assert DrataProvider().target(settings) == f"the person's SEC_TRAINING documents at {place}"


def test_an_endpoint_takes_the_place_of_the_regions_address() -> None:
    settings = evolve(LIBRARY, endpoint="http://127.0.0.1:8080/public/v2/")
    [request] = upload(settings)[1].requests
    assert request.url == "http://127.0.0.1:8080/public/v2/workspaces/3/evidence-library"
    assert DrataProvider().target(settings) == (
        "the evidence library of workspace 3 at 127.0.0.1:8080/public/v2"
    )


# -- the look-up


def query_of(talk: Talk, nth: int = 0) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(talk.requests[nth].url).query))


@pytest.mark.parametrize("name", [PARCEL.file_name, PARCEL.file_name.removesuffix(".pdf")])
def test_a_document_is_found_by_its_name_with_or_without_its_ending(name: str) -> None:
    finding, talk = look_up(page("another.pdf", name))
    assert finding == Found(Receipt("2", name))
    assert query_of(talk) == {
        "type": "SEC_TRAINING",
        "size": "50",
        "sort": "createdAt",
        "sortDir": "DESC",
    }
    assert urlsplit(talk.requests[0].url).path.endswith("/documents")


def test_a_library_is_searched_for_the_name() -> None:
    finding, talk = look_up(page(PARCEL.file_name), settings=LIBRARY, parcel=PARCEL)
    assert isinstance(finding, Found)
    assert query_of(talk)["name"] == PARCEL.file_name
    assert "type" not in query_of(talk)


def test_a_list_is_followed_to_its_end() -> None:
    finding, talk = look_up(page("a", cursor="next/1"), page("b", cursor="2"), page("c"))
    assert finding == Absent()
    assert [query_of(talk, nth).get("cursor") for nth in range(3)] == [None, "next/1", "2"]


@pytest.mark.parametrize("near", ["x-" + PARCEL.file_name, PARCEL.file_name + ".pdf", "ev-1.pdf"])
def test_a_name_that_is_only_similar_is_another_upload(near: str) -> None:
    assert look_up(page(near))[0] == Absent()


@pytest.mark.parametrize(
    "answer",
    [
        json_reply(200, b""),
        json_reply(200, b"<html>"),
        json_reply(200, None),
        json_reply(200, []),
        json_reply(200, 7),
        json_reply(200, {}),
        json_reply(200, {"data": []}),
        json_reply(200, {"data": None, "pagination": {"cursor": None}}),
        json_reply(200, {"data": [], "pagination": {}}),
        json_reply(200, {"data": [7], "pagination": {"cursor": None}}),
        page(cursor=7),
        page(None),
        json_reply(401, {"message": "no"}),
        json_reply(403, {}),
        json_reply(404, {}),
        json_reply(429, {}),
        json_reply(503, {}),
        json_reply(302, {}),
        TransportFailure(K.TIMEOUT, "silence"),
    ],
    ids=repr,
)
def test_what_cannot_be_read_is_never_called_absent(
    answer: HttpResponse | TransportFailure,
) -> None:
    assert isinstance(look_up(answer)[0], Unreadable)


def test_a_list_without_end_is_given_up() -> None:
    finding, talk = look_up(*(page("a", cursor=f"to {number}") for number in range(MOST_PAGES + 1)))
    assert isinstance(finding, Unreadable)
    assert len(talk.requests) == MOST_PAGES


# -- the dry run


def test_the_dry_run_reads_whether_the_company_takes_uploads() -> None:
    company = {"name": "Acme", "manualUploadEnabled": True, "securityTraining": "MANUAL"}
    ready, talk = check(json_reply(200, company))
    assert ready == Ready(
        "Drata knows the key; Acme takes documents for its people (security training: MANUAL)"
    )
    assert talk.asked() == ["GET public-api.drata.com/public/v2/company"]
    refused, _ = check(json_reply(200, company | {"manualUploadEnabled": False}))
    assert isinstance(refused, NotReady)
    assert "a Drata admin must allow manual uploads" in refused.failure.message


@pytest.mark.parametrize(
    "how", ["DRATA_PROVIDED", "STACKONE_WORKDAY", "KNOWBE4", "NOT_REQUIRED", "SOMETHING_NEW"]
)
def test_the_dry_run_warns_of_a_training_that_is_not_manual(how: str) -> None:
    company = {"name": "Acme", "manualUploadEnabled": True, "securityTraining": how}
    ready, _ = check(json_reply(200, company))
    assert isinstance(ready, Ready)
    assert f"security training: {how}, which is not manual" in ready.message
    assert "SEC_TRAINING document of ours may not count" in ready.message


def test_the_dry_run_looks_at_the_training_that_the_documents_are_of() -> None:
    company = {
        "name": "Acme",
        "manualUploadEnabled": True,
        "securityTraining": "DRATA_PROVIDED",
        "hipaaTraining": "MANUAL_EVIDENCE_FIRST",
    }
    hipaa = evolve(PERSON, document_type="HIPAA_TRAINING_EVIDENCE")
    assert check(json_reply(200, company), settings=hipaa)[0] == Ready(
        "Drata knows the key; Acme takes documents for its people "
        "(HIPAA training: MANUAL_EVIDENCE_FIRST)"
    )
    answer = json_reply(200, company | {"hipaaTraining": "NOT_REQUIRED"})
    required = check(answer, settings=hipaa)[0]
    assert isinstance(required, Ready) and "not manual" in required.message
    other = evolve(PERSON, document_type="MFA_EVIDENCE")
    assert check(json_reply(200, company), settings=other)[0] == Ready(
        "Drata knows the key; Acme takes documents for its people"
    )


def test_the_dry_run_of_a_library_looks_for_the_workspace() -> None:
    pages = [
        json_reply(200, {"data": [{"id": 1, "name": "one"}], "pagination": {"cursor": "x"}}),
        json_reply(200, {"data": [{"id": "3", "name": "three"}], "pagination": {"cursor": None}}),
    ]
    ready, talk = check(*pages, settings=LIBRARY)
    assert ready == Ready(
        "Drata knows the key and workspace 3 (three); it was not asked for owner 9 and the controls"
    )
    assert urlsplit(talk.requests[0].url).path == "/public/v2/workspaces"
    absent, _ = check(*pages, settings=evolve(LIBRARY, workspace=4))
    assert isinstance(absent, NotReady)
    assert absent.failure.kind is K.TARGET_NOT_FOUND


@pytest.mark.parametrize("settings", [PERSON, LIBRARY], ids=["person", "library"])
@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (json_reply(401, {"message": "Unauthorized"}), K.UNAUTHORIZED),
        (json_reply(403, {}), K.FORBIDDEN),
        (json_reply(412, {}), K.REFUSED),
        (json_reply(200, {}), K.UNRECOGNISED_REPLY),
        (json_reply(200, b"<html>"), K.BROKEN_REPLY),
        (json_reply(500, {}), K.SERVER_ERROR),
    ],
)
def test_the_dry_run_says_why_it_found_nothing(
    settings: DrataSettings, answer: HttpResponse, kind: FailureKind
) -> None:
    dry_run, _ = check(answer, settings=settings)
    assert isinstance(dry_run, NotReady)
    assert dry_run.failure.kind is kind


# -- settings


def test_it_is_a_provider_that_can_be_read_and_tried() -> None:
    provider = DrataProvider()
    assert isinstance(provider, Provider)
    assert isinstance(provider, CanLookUp)
    assert isinstance(provider, Checkable)
    assert provider.pace == Pace(500, timedelta(minutes=1))
    assert (provider.name, provider.cost, provider.exclusive_credential) == ("drata", 2, False)
    assert (provider.limits.max_bytes, "application/json" in provider.limits.media_types) == (
        25_000_000,
        False,
    )
    assert set(provider.schema) == {attribute.name for attribute in attrs.fields(DrataSettings)}


class Keys:
    def resolve(self, name: str) -> Secret | None:
        return Secret("drata-key-0123456789")


@pytest.mark.parametrize(
    ("block", "complaint"),
    [
        ({"to": "library"}, "to: library needs workspace and owner"),
        ({"to": "library", "workspace": 3}, "to: library needs workspace and owner"),
        ({"workspace": 3, "owner": 9}, "workspace, owner and controls are for to: library"),
        ({"controls": [1]}, "workspace, owner and controls are for to: library"),
        ({"document_type": "SEC_TRAINNG"}, "did you mean"),
        ({"renewal": "CUSTOM"}, "must be"),
        ({"workspace": "3"}, "without quotes"),
        ({"controls_as": "semicolons"}, "must be"),
        ({"user_by": "name"}, "must be"),
        ({"region": "india"}, "must be us, eu or apac"),
    ],
)
def test_settings_that_make_no_sense_are_refused_with_words(
    block: dict[str, Any], complaint: str
) -> None:
    tenant = {"integrations": {"compliance": {"provider": "drata", "api_key": "${KEY}"} | block}}
    loaded = load_mapping({"acme": tenant}, providers=discover_providers(), secrets=Keys())
    assert any(complaint in str(problem) for problem in loaded.problems), loaded.problems


def test_settings_of_both_kinds_are_read_from_a_tenant_file() -> None:
    kinds: list[dict[str, Any]] = [
        {"user_by": "address"},
        {"user_by": "address", "to": "library", "workspace": 3, "owner": 9, "controls": [11, 12]},
    ]
    for block, settings in zip(kinds, (PERSON, LIBRARY), strict=True):
        tenant = {
            "integrations": {"compliance": {"provider": "drata", "api_key": "${KEY}"} | block}
        }
        loaded = load_mapping({"acme": tenant}, providers=discover_providers(), secrets=Keys())
        assert loaded.problems == ()
        assert loaded.integrations["acme"].settings == settings


def test_no_request_and_no_settings_show_the_key() -> None:
    assert "drata-key" not in repr(upload()[1].requests) + repr(PERSON)
