"""The Sprinto provider: what it sends, and its settings."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, date, datetime, timedelta
from typing import Literal

import attrs
import graphql
import pytest
from attrs import evolve
from dialogue_runner import run

from evidence_courier.adapters.config import load_mapping
from evidence_courier.adapters.plugins import discover_providers
from evidence_courier.adapters.providers.sprinto.provider import MUTATION, SprintoProvider
from evidence_courier.adapters.providers.sprinto.settings import Region, SprintoSettings
from evidence_courier.domain.evidence.evidence import Outcome, sha256_of
from evidence_courier.domain.integration import Pace, Route
from evidence_courier.domain.secrets.secret import Secret
from evidence_courier.domain.upload.verdict import Delivered, Receipt, Verdict
from evidence_courier.ports.dialogue import HttpRequest, HttpResponse
from evidence_courier.ports.provider import CanLookUp, Parcel, Provider
from evidence_courier.testing.scripted_transport import ScriptedTransport, reply

PDF = b"%PDF-1.7 " + bytes(range(256)) * 100
CHECK = "3f1c2a9e-8a43-4a0e-9d0b-6d3f6f1b2c77"
SETTINGS = SprintoSettings(api_key=Secret("sk-acme-0123456789"), workflow_check=CHECK)
PARCEL = Parcel(
    tenant_id="acme",
    evidence_id="ev-1",
    session_id="s-1",
    subject="emp-7",
    subject_email=None,
    outcome=Outcome.PASSED,
    recorded_at=datetime(2026, 2, 21, 10, 0, tzinfo=UTC),
    evidence_date=date(2026, 2, 21),
    content=PDF,
    media_type="application/pdf",
    sha256=sha256_of(PDF),
    file_name="ev-1-0123456789ab.pdf",
    created_at=datetime(2026, 2, 22, 9, 0, tzinfo=UTC),
)
SUCCESS = reply(
    200,
    json.dumps(
        {
            "data": {
                "uploadWorkflowCheckEvidence": {
                    "message": "Evidence uploaded for this check",
                    "workflowCheck": {"evidenceStatus": "UPLOAD_COMPLETE"},
                }
            }
        }
    ).encode(),
)


def upload(
    settings: SprintoSettings = SETTINGS, parcel: Parcel = PARCEL
) -> tuple[Verdict, HttpRequest]:
    """What an upload came to, and the one request that it made."""

    async def delivered() -> tuple[Verdict, HttpRequest]:
        transport = ScriptedTransport([SUCCESS])

        verdict = await run(
            SprintoProvider().upload(parcel, settings, None),
            send=lambda request: transport.send(request, Route()),
        )
        (request,) = transport.requests
        return verdict, request

    return asyncio.run(delivered())


def form_of(request: HttpRequest) -> list[tuple[bytes, bytes]]:
    """Head and content of each part, taken apart by hand."""
    content_type = dict(request.headers)["Content-Type"]
    boundary = b"--" + content_type.removeprefix("multipart/form-data; boundary=").encode()
    first, *parts, last = (b"\r\n" + b"".join(request.body)).split(b"\r\n" + boundary)
    assert (first, last) == (b"", b"--\r\n")
    heads = [part.removeprefix(b"\r\n").partition(b"\r\n\r\n") for part in parts]
    return [(head, content) for head, _, content in heads]


def test_a_success_is_a_receipt_without_a_reference() -> None:
    verdict, _ = upload()
    assert verdict == Delivered(Receipt(None, "Evidence uploaded for this check"))


def test_sends_the_multipart_request_in_the_order_of_its_specification() -> None:
    _, request = upload()
    (operations_head, operations), (map_head, places), (file_head, file) = form_of(request)
    assert operations_head == b'Content-Disposition: form-data; name="operations"'
    assert json.loads(operations) == {
        "query": MUTATION,
        "variables": {
            "workflowCheckPk": CHECK,
            "evidenceRecordDate": "2026-02-21",
            "evidenceFile": None,
        },
    }
    assert map_head == b'Content-Disposition: form-data; name="map"'
    assert json.loads(places) == {"0": ["variables.evidenceFile"]}
    assert file_head == (
        b'Content-Disposition: form-data; name="0"; filename="ev-1-0123456789ab.pdf"\r\n'
        b"Content-Type: application/pdf"
    )
    assert file == PDF


def test_sends_the_key_and_the_preflight_header() -> None:
    _, request = upload()
    headers = {name.lower(): value for name, value in request.headers}
    assert headers["api-key"] == "sk-acme-0123456789"
    assert headers["apollo-require-preflight"] == "true"
    assert headers["accept"].startswith("application/json")
    assert request.method == "POST"


def test_every_attempt_sends_the_same_bytes_made_anew() -> None:
    assert upload()[1] == upload()[1]


def test_the_documents_bytes_are_not_copied() -> None:
    assert any(part is PDF for part in upload()[1].body)


def test_a_request_does_not_show_the_key() -> None:
    assert "sk-acme" not in repr(upload()[1])
    assert "sk-acme" not in repr(SETTINGS)


def test_the_date_sent_is_the_evidences_own() -> None:
    _, request = upload(parcel=evolve(PARCEL, evidence_date=date(2024, 2, 29)))
    assert json.loads(form_of(request)[0][1])["variables"]["evidenceRecordDate"] == "2024-02-29"


def test_the_mutation_is_valid_graphql_for_the_documented_arguments() -> None:
    schema = graphql.build_schema("""
        scalar UUID scalar DateTime scalar Upload
        enum EvidenceStatus { UPLOAD_COMPLETE }
        type WorkflowCheck { evidenceStatus: EvidenceStatus }
        type Uploaded { message: String, workflowCheck: WorkflowCheck }
        type Query { nothing: String }
        type Mutation {
          uploadWorkflowCheckEvidence(
            workflowCheckPk: UUID!, evidenceRecordDate: DateTime!, evidenceFile: Upload!
          ): Uploaded
        }
    """)
    assert graphql.validate(schema, graphql.parse(MUTATION)) == []


@pytest.mark.parametrize(
    ("region", "url"),
    [
        ("us", "https://app.sprinto.com/dev-api/graphql"),
        ("eu", "https://eu.sprinto.com/dev-api/graphql"),
        ("india", "https://in.sprinto.com/dev-api/graphql"),
    ],
)
def test_each_region_has_its_address(region: Region, url: str) -> None:
    assert upload(evolve(SETTINGS, region=region))[1].url == url


def test_an_endpoint_takes_the_place_of_the_regions_address() -> None:
    url = "http://127.0.0.1:8080/dev-api/graphql"
    settings = evolve(SETTINGS, endpoint=url)
    assert upload(settings)[1].url == url
    assert SprintoProvider().target(settings) == f"workflow check {CHECK} at {url[7:]}"


def test_the_target_names_check_and_host() -> None:
    assert (
        SprintoProvider().target(SETTINGS)
        == f"workflow check {CHECK} at app.sprinto.com/dev-api/graphql"
    )


def test_an_odd_pk_is_accepted_with_advice() -> None:
    provider = SprintoProvider()
    assert provider.advice(SETTINGS) == ()
    (advice,) = provider.advice(evolve(SETTINGS, workflow_check="WC-1042"))
    assert "'WC-1042'" in advice
    assert upload(evolve(SETTINGS, workflow_check="WC-1042"))[0] == upload()[0]


@pytest.mark.parametrize("check", ["", "  ", f" {CHECK}", f"{CHECK}\n", "a\x00b"])
def test_a_check_that_is_not_one_line_of_text_is_refused(check: str) -> None:
    with pytest.raises(ValueError, match="workflow_check must be one line"):
        SprintoSettings(api_key=Secret("k"), workflow_check=check)


def test_it_is_a_provider_that_cannot_be_read() -> None:
    provider = SprintoProvider()
    assert isinstance(provider, Provider)
    assert not isinstance(provider, CanLookUp)
    assert provider.pace == Pace(10, timedelta(minutes=1))
    assert (provider.name, provider.cost, provider.exclusive_credential) == ("sprinto", 1, False)


def test_its_schema_knows_every_setting() -> None:
    assert set(SprintoProvider.schema) == {
        attribute.name for attribute in attrs.fields(SprintoSettings)
    }


def test_it_takes_pdf_and_office_and_images_and_no_json() -> None:
    limits = SprintoProvider.limits
    assert limits.max_bytes == 25_000_000
    assert limits.media_types["application/pdf"] == "pdf"
    assert set(limits.media_types.values()) == {
        "pdf", "doc", "docx", "xls", "xlsx", "ppt", "pptx", "csv", "png", "jpg", "zip",
    }  # fmt: skip
    assert "application/json" not in limits.media_types


@pytest.mark.parametrize("api", ["graphql", "rest"])
def test_sprinto_takes_a_zip_as_well(api: Literal["graphql", "rest"]) -> None:
    settings = SprintoSettings(api_key=Secret("the-key-of-acme"), workflow_check=CHECK, api=api)
    provider = SprintoProvider()
    assert provider.limits.media_types["application/zip"] == "zip"
    content = b"PK\x05\x06" + bytes(18)
    document = evolve(PARCEL, content=content, media_type="application/zip", file_name="ev-1.zip")
    sent: list[HttpRequest] = []

    async def send(request: HttpRequest) -> HttpResponse:
        sent.append(request)
        return reply(503)

    asyncio.run(run(provider.upload(document, settings, None), send=send))
    body = b"".join(sent[0].body)
    assert b'filename="ev-1.zip"' in body
    assert b"application/zip" in body and document.content in body


class Keys:
    def resolve(self, name: str) -> Secret | None:
        return Secret("the-key-of-acme")


@pytest.mark.parametrize(
    ("written", "read"),
    [("any", ("any",)), (["DONE"], ("DONE",)), (["DONE", "OK"], ("DONE", "OK"))],
)
def test_success_statuses_are_a_list_of_words_or_any(written: object, read: object) -> None:
    block = {"provider": "sprinto", "api_key": "${KEY}", "workflow_check": CHECK}
    tenant = {"integrations": {"compliance": block | {"success_statuses": written}}}
    loaded = load_mapping({"acme": tenant}, providers=discover_providers(), secrets=Keys())
    assert loaded.problems == ()
    settings = loaded.integrations["acme"].settings
    assert isinstance(settings, SprintoSettings)
    assert settings.success_statuses == read
