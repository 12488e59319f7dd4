"""What a host may hand over, and what it is told when it hands over something else."""

import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evidence_courier.domain.errors import MisuseError
from evidence_courier.domain.evidence.evidence import Document, Evidence, Outcome, sha256_of
from evidence_courier.domain.evidence.training import (
    Employee,
    Module,
    Question,
    Training,
    TrainingOutcome,
    TrainingRecord,
)

NOW = datetime(2026, 2, 21, 10, 0, tzinfo=UTC)
PDF = Document(content=b"%PDF-1.7 the file", media_type="application/pdf", filename="ev-1.pdf")
SHA256 = "0123456789abcdef" * 4


def evidence(**values: Any) -> Evidence:
    """An evidence that holds, but for the values that are given."""
    held: dict[str, Any] = {
        "tenant_id": "acme",
        "evidence_id": "ev-1",
        "session_id": "s-1",
        "subject": "emp-7",
        "outcome": "passed",
        "recorded_at": NOW,
        "document": PDF,
    }
    return Evidence(**held | values)


def document(**values: Any) -> Document:
    """A document from the values that are given, a PDF unless they say otherwise."""
    held: dict[str, Any] = {"media_type": "application/pdf"}
    return Document(**held | values)


# --- ids -----------------------------------------------------------------------------------------

IDS = ["tenant_id", "evidence_id", "session_id", "subject", "subject_email"]


@pytest.mark.parametrize("name", IDS)
@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ("", "must not be empty"),
        ("  \u3000", "must not be empty"),
        (7, "must be text, not int"),
        (b"acme", "must be text, not bytes"),
        ("a" * 513, "must have at most 512 characters, not 513"),
        ("a\x00b", "holds a control character"),
        ("a\nb", "holds a control character"),
        ("a\x1fb", "holds a control character"),
        ("a\x7fb", "holds a control character"),
        ("a\x85b", "holds a control character"),
        ("a\x9fb", "holds a control character"),
        ("a\u2028b", "a line break"),
        ("a\u2029b", "a line break"),
        ("a\ud800b", "half a character"),
        ("a\udfff, b", "half a character"),
    ],
)
def test_an_id_that_cannot_be_right_is_refused_by_name(
    name: str, value: object, complaint: str
) -> None:
    with pytest.raises(MisuseError) as caught:
        evidence(**{name: value})
    assert str(caught.value).startswith(name)
    assert complaint in str(caught.value)
    str(caught.value).encode()  # whatever was wrong with the value, the message can be written


@pytest.mark.parametrize("name", IDS[:4])
def test_an_id_that_is_none_is_refused_unless_it_is_the_address(name: str) -> None:
    with pytest.raises(MisuseError, match=f"^{name} must be text, not NoneType$"):
        evidence(**{name: None})


@pytest.mark.parametrize("name", IDS)
@pytest.mark.parametrize(
    "value",
    ["a", "a" * 512, "Ärzte/42 #7", "आशा", " a ", "a\xa0b", "\U0001f4c4", "a\ud7ff", "a\ue000"],
)
def test_any_other_text_is_an_id(name: str, value: str) -> None:
    assert getattr(evidence(**{name: value}), name) == value


# --- the outcome ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_as", "outcome"),
    [
        ("passed", Outcome.PASSED),
        ("exhausted", Outcome.EXHAUSTED),
        (Outcome.PASSED, Outcome.PASSED),
    ],
)
def test_an_outcome_is_a_word_or_a_value(given_as: object, outcome: Outcome) -> None:
    assert evidence(outcome=given_as).outcome is outcome


@pytest.mark.parametrize("value", ["abandoned", "Passed", "", None, 1, [], {}])
def test_any_other_outcome_is_refused(value: object) -> None:
    with pytest.raises(MisuseError, match="outcome must be passed or exhausted") as caught:
        evidence(outcome=value)
    assert repr(value) in str(caught.value)


# --- the moment ----------------------------------------------------------------------------------


class Nowhere(tzinfo):
    """A time zone that does not know its offset; by the rules of `datetime`, such a moment is
    naive."""

    def utcoffset(self, moment: datetime | None) -> timedelta | None:
        return None

    def dst(self, moment: datetime | None) -> timedelta | None:
        return None

    def tzname(self, moment: datetime | None) -> str | None:
        return None


@pytest.mark.parametrize(
    "value",
    [
        datetime(2026, 2, 21, 10, 0),
        datetime(2026, 2, 21, 10, 0, tzinfo=Nowhere()),
        date(2026, 2, 21),
        "2026-02-21T10:00:00Z",
        1771668000,
        None,
    ],
    ids=["naive", "zone without offset", "date", "text", "number", "none"],
)
def test_a_moment_that_does_not_know_its_time_zone_is_refused(value: object) -> None:
    with pytest.raises(
        MisuseError, match="recorded_at of evidence 'ev-1' must be a datetime with a time zone"
    ):
        evidence(recorded_at=value)


@pytest.mark.parametrize(
    "value",
    [
        datetime.min.replace(tzinfo=timezone(timedelta(hours=14))),
        datetime.max.replace(tzinfo=timezone(timedelta(hours=-12))),
    ],
)
def test_a_moment_without_a_date_in_utc_is_refused(value: datetime) -> None:
    with pytest.raises(MisuseError, match="recorded_at of evidence 'ev-1' has no date in UTC"):
        evidence(recorded_at=value)


def test_the_evidence_date_is_the_date_in_utc() -> None:
    kolkata = timezone(timedelta(hours=5, minutes=30))
    assert evidence(recorded_at=datetime(2026, 2, 21, 4, 0, tzinfo=kolkata)).evidence_date == date(
        2026, 2, 20
    )
    assert evidence(recorded_at=datetime(2026, 2, 21, 6, 0, tzinfo=kolkata)).evidence_date == date(
        2026, 2, 21
    )


@pytest.fixture(params=["Pacific/Auckland", "America/New_York"])
def elsewhere(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine that stands far from Greenwich."""
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize(
    "moment", [NOW, datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)]
)
def test_the_evidence_date_is_the_same_wherever_the_machine_stands(moment: datetime) -> None:
    assert evidence(recorded_at=moment).evidence_date == moment.date()


@given(st.datetimes(timezones=st.timezones()))
def test_an_evidence_that_exists_has_a_date(moment: datetime) -> None:
    try:
        made = evidence(recorded_at=moment)
    except MisuseError:
        return
    assert abs(made.evidence_date - moment.date()) <= timedelta(days=1)


# --- the document --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({}, "none of them"),
        ({"content": b"x", "path": "a.pdf"}, "content and path"),
        ({"content": b"x", "source": "key"}, "content and source"),
        ({"path": "a.pdf", "source": "key"}, "path and source"),
        ({"content": b"", "path": "", "source": ""}, "content and path and source"),
    ],
)
def test_a_document_comes_from_exactly_one_place(values: dict[str, Any], named: str) -> None:
    with pytest.raises(
        MisuseError, match=f"takes exactly one of content, path and source, not {named}$"
    ):
        document(**values)


@pytest.mark.parametrize(
    "values",
    [
        {"content": b"x"},
        {"content": b""},
        {"path": "/srv/ev-1.pdf"},
        {"path": "folder with\ttab/\udcff.pdf"},
        {"source": "key", "sha256": SHA256, "size": 0},
        {"content": b"x", "filename": "any name\n\udcff at all"},
    ],
)
def test_a_document_keeps_what_it_was_given(values: dict[str, Any]) -> None:
    made = document(**values)
    assert {name: getattr(made, name) for name in values} == values


@pytest.mark.parametrize(
    "media_type",
    [
        "application/pdf",
        "image/svg+xml",
        "text/csv",
        "application/vnd.ms-excel",
        "a/b",
        "a" * 127 + "/" + "b" * 127,
    ],
)
def test_a_media_type_is_a_type_and_a_subtype(media_type: str) -> None:
    assert document(content=b"x", media_type=media_type).media_type == media_type


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("application/pdf; charset=binary", "application/pdf"),
        ('text/csv;charset="utf-8; really" ; header=present', "text/csv"),
        ("text/plain;", "text/plain"),
        ("Application/PDF", "application/pdf"),
        ("image/jpg", "image/jpeg"),
        ("IMAGE/JPG; q=1", "image/jpeg"),
        ("application/x-zip-compressed", "application/zip"),
        ("text/x-csv", "text/csv"),
        ("image/tif", "image/tiff"),
        ("application/acrobat", "application/pdf"),
        ("application/x-msexcel", "application/vnd.ms-excel"),
        ("text/json", "application/json"),
    ],
)
def test_a_media_type_is_read_without_parameters_by_its_registered_name(
    written: str, read: str
) -> None:
    assert document(content=b"x", media_type=written).media_type == read


@pytest.mark.parametrize(
    "media_type",
    [
        "",
        "pdf",
        "application/pdf; charset",
        "application/pdf, text/csv",
        "application/pdf; x=1\r\nX-Evil: 1",
        "application/",
        "/pdf",
        "application/pdf\r\nX-Evil: 1",
        "application/pdf\n",
        "a/b/c",
        "ä/b",
        "a" * 128 + "/b",
        "a/" + "b" * 128,
        None,
        7,
        b"application/pdf",
    ],
)
def test_any_other_media_type_is_refused(media_type: object) -> None:
    with pytest.raises(MisuseError, match="is not a media type such as application/pdf"):
        document(content=b"x", media_type=media_type)


@pytest.mark.parametrize("content", ["text", bytearray(b"x"), memoryview(b"x"), 7])
def test_content_is_bytes(content: object) -> None:
    with pytest.raises(MisuseError, match=f"content must be bytes, not {type(content).__name__}$"):
        document(content=content)


@pytest.mark.parametrize("path", [Path("a.pdf"), b"a.pdf", 7])
def test_a_path_is_text(path: object) -> None:
    with pytest.raises(
        MisuseError, match=f"^a Document's path must be text, not {type(path).__name__}$"
    ):
        document(path=path)


@pytest.mark.parametrize("path", ["", "a\0b", "a\ud800.pdf"])
def test_a_path_that_no_file_can_have_is_refused(path: str) -> None:
    with pytest.raises(MisuseError, match="is not the path of a file"):
        document(path=path)


@pytest.mark.parametrize("filename", [Path("a.pdf"), b"a.pdf", 7])
def test_a_file_name_is_text(filename: object) -> None:
    with pytest.raises(
        MisuseError, match=f"^a Document's filename must be text, not {type(filename).__name__}$"
    ):
        document(content=b"x", filename=filename)


@pytest.mark.parametrize("source", ["", " ", "a\nb", "a\ud800", "a" * 513, 7, b"key"])
def test_a_source_is_named_by_a_key_like_an_id(source: object) -> None:
    with pytest.raises(MisuseError, match="^a Document's source "):
        document(source=source, sha256=SHA256, size=1)


@pytest.mark.parametrize(
    "sha256", [None, "", SHA256.upper(), SHA256[1:], SHA256 + "0", SHA256 + "\n", 7, bytes(32)]
)
def test_a_source_needs_the_sha256_of_what_it_will_read(sha256: object) -> None:
    with pytest.raises(
        MisuseError,
        match="^a Document with a source needs its sha256, as 64 lower-case hexadecimal digits$",
    ):
        document(source="key", sha256=sha256, size=1)


@pytest.mark.parametrize("size", [None, -1, 1.0, "1", True])
def test_a_source_needs_the_size_of_what_it_will_read(size: object) -> None:
    with pytest.raises(
        MisuseError, match="a Document with a source needs its size, as a number of bytes$"
    ):
        document(source="key", sha256=SHA256, size=size)


@pytest.mark.parametrize("place", [{"content": b"x"}, {"path": "a.pdf"}])
@pytest.mark.parametrize("claim", [{"sha256": SHA256}, {"size": 1}, {"sha256": SHA256, "size": 1}])
def test_what_can_be_computed_is_not_claimed(place: dict[str, Any], claim: dict[str, Any]) -> None:
    with pytest.raises(
        MisuseError,
        match="^sha256 and size are given with a source only; "
        "those of content and path are computed$",
    ):
        document(**place, **claim)


def test_a_documents_content_is_in_no_repr() -> None:
    assert repr(PDF) == (
        "Document(content=<17 bytes>, path=None, source=None, sha256=None, size=None, "
        "media_type='application/pdf', filename='ev-1.pdf')"
    )
    assert "content=None" in repr(document(path="a.pdf"))
    assert "the file" not in repr(evidence())


@pytest.mark.parametrize("value", [None, b"%PDF-1.7", "a.pdf", Path("a.pdf")])
def test_an_evidence_needs_a_document_or_a_record(value: object) -> None:
    with pytest.raises(
        MisuseError, match=f"must be a Document or a TrainingRecord, not {type(value).__name__}$"
    ):
        evidence(document=value)


def test_the_sha256_of_bytes_is_written_in_lower_case_digits() -> None:
    assert sha256_of(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


# --- from a training record ----------------------------------------------------------------------


def record(email: str | None) -> TrainingRecord:
    return TrainingRecord(
        tenant_id="acme",
        evidence_id="ev-1",
        session_id="s-1",
        employee=Employee(id="emp-7", name="Asha Patel", email=email),
        training=Training(title="Security attestation", type="annual", attempt=3, max_attempts=3),
        outcome=TrainingOutcome(status="exhausted", score=0.4, pass_threshold=0.7),
        started_at=NOW - timedelta(hours=2),
        completed_at=NOW - timedelta(hours=1),
        generated_at=NOW,
        modules=(
            Module(
                title="Phishing", score=0.4, questions=(Question(text="?", answer="!", score=0.4),)
            ),
        ),
    )


@pytest.mark.parametrize("email", ["asha@acme.example", None])
def test_a_training_record_states_an_evidence(email: str | None) -> None:
    stated = record(email)
    assert Evidence.from_record(stated) == Evidence(
        tenant_id="acme",
        evidence_id="ev-1",
        session_id="s-1",
        subject="emp-7",
        subject_email=email,
        outcome=Outcome.EXHAUSTED,
        recorded_at=NOW,
        document=stated,
    )
