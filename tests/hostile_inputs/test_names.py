"""Ids and names that are chosen to break out: of a header, of a form, of a folder, of a line of
a log."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import re
from email.message import Message
from email.parser import BytesParser
from pathlib import Path
from typing import Any

import pytest
from attrs import define, field
from store_fixtures import RECORDED_AT, Keys

from evidence_courier import AsyncCourier, Document, Evidence, MisuseError
from evidence_courier.adapters.loggers.standard import JsonFormatter, StandardLogger
from evidence_courier.domain.integration import Route
from evidence_courier.ports.dialogue import HttpRequest, HttpResponse
from evidence_courier.testing import FakeClock, until_settled

KEY = "the-key-of-these-tests"
CHECK = "3f1c2a9e-8a43-4a0e-9d0b-6d3f6f1b2c77"
CONTENT = b'%PDF-1.7\r\n--boundary\r\nContent-Disposition: form-data; name="map"\r\n\r\n{}\r\n'
SUCCESS = json.dumps(
    {
        "data": {
            "uploadWorkflowCheckEvidence": {"workflowCheck": {"evidenceStatus": "UPLOAD_COMPLETE"}}
        }
    }
).encode()

# Each is a legal id, and none of it may mean anything to whoever reads the request, the disk or the
# log.
ODD_IDS = (
    "../../../etc/cron.d/evil",
    "..\\..\\windows\\system32\\evil",
    "/etc/passwd",
    "C:\\evil.exe",
    "\\\\server\\share\\evil",
    "file:///etc/passwd",
    "CON",
    "nul.pdf",
    "COM1.",
    "aux",
    "evil.pdf.exe",
    "\u202efdp.exe",
    "a\u2066b\u2069c",
    "\ufeffbom",
    "zero\u200bwidth",
    ".htaccess",
    "-rf",
    "~root",
    "a;rm -rf $HOME",
    "$(reboot)",
    "`reboot`",
    "%0d%0aX-Evil: 1",
    "%00.php",
    "%2e%2e%2f",
    'x"; filename="evil.exe',
    "x\"; name='map",
    "--boundary--",
    "{{7*7}} ${KEY} ${jndi:ldap://evil.test/}",
    "%s%s%s%n {0} {evidence_id}",
    "'; DROP TABLE uploads; --",
    "<script>alert(1)</script>",
    "=cmd|' /C calc'!A0",
    "ｆｕｌｌ／ｗｉｄｔｈ",
    "प्रमाण",
    "e" * 512,
    "💥" * 512,
)
NO_IDS = (
    "a\r\nX-Evil: 1",
    "a\nb",
    "a\x00b",
    "a\x1b[31mb",
    "a\x85b",
    "a\u2028b",
    "\ud800",
    "",
    " ",
    "e" * 10_000,
)


@define
class Listening:
    """A server that takes everything, and keeps each request."""

    clock: FakeClock
    requests: list[HttpRequest] = field(factory=list)

    async def send(self, request: HttpRequest, route: Route) -> HttpResponse:
        self.requests.append(request)
        return HttpResponse(200, (), SUCCESS, self.clock.now())

    async def close(self) -> None:
        pass


def named(evidence_id: str = "ev-1", **names: Any) -> Evidence:
    """An evidence with these names."""
    given = {
        "tenant_id": "acme",
        "session_id": "s-1",
        "subject": "emp-7",
        "filename": "ev-1.pdf",
    } | names
    document = Document(
        content=CONTENT, media_type="application/pdf", filename=given.pop("filename")
    )
    return Evidence(
        evidence_id=evidence_id,
        outcome="passed",
        recorded_at=RECORDED_AT,
        document=document,
        **given,
    )


def delivered(
    folder: Path, *evidences: Evidence, tenant_name: str = "ACME"
) -> tuple[list[HttpRequest], str]:
    """The requests that delivering these makes, and the log of it, a line for each entry."""
    lines = io.StringIO()
    handler = logging.StreamHandler(lines)
    handler.setFormatter(JsonFormatter())
    logger = logging.getLogger(f"names-{id(lines)}")
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    logger.addHandler(handler)
    clock = FakeClock()
    server = Listening(clock)
    settings = {
        "provider": "sprinto",
        "api_key": "${KEY}",
        "workflow_check": CHECK,
        "pace": "1000/s",
    }
    mapping = {"name": tenant_name, "integrations": {"compliance": settings}}

    async def story() -> None:
        async with AsyncCourier.from_mapping(
            {evidence.tenant_id: mapping for evidence in evidences},
            folder / "courier.db",
            transport=server,
            secrets=Keys({"KEY": KEY}),
            clock=clock,
            logger=StandardLogger(logger),
        ) as courier:
            settled = await until_settled(courier, clock, *map(courier.submit, evidences))
            assert [status and status.status for status in settled] == ["succeeded"] * len(
                evidences
            )

    asyncio.run(story())
    return server.requests, lines.getvalue()


def parts_of(request: HttpRequest) -> dict[str, Message]:
    """The parts of the form by their names, as a reader sees them that is not ours."""
    content_type = next(value for name, value in request.headers if name == "Content-Type")
    head = f"MIME-Version: 1.0\r\nContent-Type: {content_type}\r\n\r\n".encode()
    parsed = BytesParser().parsebytes(head + b"".join(request.body))
    parts = [part for part in parsed.walk() if not part.is_multipart()]
    named = {str(part.get_param("name", header="content-disposition")): part for part in parts}
    assert len(named) == len(parts)
    return named


def json_in(part: Message) -> object:
    """What stands in a part as JSON."""
    content = part.get_payload()
    assert isinstance(content, str)
    return json.loads(content)


def test_no_id_gets_out_of_its_place_in_the_request_or_on_the_disk(tmp_path: Path) -> None:
    requests, _ = delivered(tmp_path, *map(named, ODD_IDS))
    assert len(requests) == len(ODD_IDS)
    for request in requests:
        headers = dict(request.headers)
        assert headers.keys() == {"api-key", "Accept", "Apollo-Require-Preflight", "Content-Type"}
        assert re.fullmatch(r"multipart/form-data; boundary=[0-9a-f]{32}", headers["Content-Type"])
        parts = parts_of(request)
        assert parts.keys() == {"operations", "map", "0"}
        operations = json_in(parts["operations"])
        assert isinstance(operations, dict)
        assert operations["variables"] == {
            "workflowCheckPk": CHECK,
            "evidenceRecordDate": "2026-02-20",
            "evidenceFile": None,
        }
        assert json_in(parts["map"]) == {"0": ["variables.evidenceFile"]}
        assert parts["0"].get_content_type() == "application/pdf"
        assert parts["0"].get_payload(decode=True) == CONTENT
    sent = [str(parts_of(request)["0"].get_filename()) for request in requests]
    assert len(set(sent)) == len(ODD_IDS)
    for name in sent:
        assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,144}\.pdf", name), name
        assert not re.match(r"(?i)(con|prn|aux|nul|com\d|lpt\d)\.", name), name
    assert {file.name for file in tmp_path.iterdir()} == {"courier.db"}


def test_what_sprinto_does_not_ask_for_is_not_in_the_request(tmp_path: Path) -> None:
    mark = "x\u202e../\"; filename='private-mark"
    evidence = named(
        session_id=mark, subject=mark, subject_email=mark, filename=mark + "\r\n\0" * 4_000
    )
    requests, _ = delivered(tmp_path, evidence, tenant_name=mark)
    (request,) = requests
    said = request.url.encode() + repr(request.headers).encode() + b"".join(request.body)
    assert b"private-mark" not in said
    assert b"ev-1-" in said


def test_a_tenant_may_be_called_anything_and_makes_no_file_of_its_own(tmp_path: Path) -> None:
    folder = tmp_path / "inner"
    folder.mkdir()
    requests, _ = delivered(
        folder, *(named(tenant_id=tenant) for tenant in ODD_IDS if "${" not in tenant)
    )
    assert {json.dumps(dict(request.headers)["api-key"]) for request in requests} == {
        json.dumps(KEY)
    }
    assert [str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*")] == [
        "inner",
        "inner/courier.db",
    ]


def test_an_id_forges_no_line_of_the_log_and_no_fact_in_it(tmp_path: Path) -> None:
    _, log = delivered(tmp_path, *map(named, ODD_IDS))
    entries = [json.loads(line) for line in log.splitlines()]
    told = {
        entry["facts"]["evidence_id"]
        for entry in entries
        if "evidence_id" in entry.get("facts", {})
    }
    assert told == set(ODD_IDS)
    assert log.isascii()
    assert KEY not in log


@pytest.mark.parametrize(
    "name", ["tenant_id", "evidence_id", "session_id", "subject", "subject_email"]
)
@pytest.mark.parametrize("value", NO_IDS, ids=lambda value: repr(value)[:20])
def test_an_id_that_could_end_a_line_or_hide_is_refused_at_once(name: str, value: str) -> None:
    with pytest.raises(MisuseError, match=name) as caught:
        named(**{name: value})
    assert len(str(caught.value)) < 700
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "media_type",
    [
        "application/pdf\r\nX-Evil: 1",
        "a/b; charset=x\r\nX-Evil: 1",
        'a/b; charset="',
        'a/b"',
        "a/b\x00",
        "pdf",
        "a/" + "b" * 10_000,
        "../../x/y",
    ],
    ids=lambda value: repr(value)[:20],
)
def test_a_media_type_that_could_break_out_of_its_line_is_refused(media_type: str) -> None:
    with pytest.raises(MisuseError, match="media_type"):
        Document(content=CONTENT, media_type=media_type)
