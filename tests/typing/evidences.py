"""What a host hands over."""

from datetime import UTC, datetime
from typing import assert_type

from evidence_courier import Document, Evidence, TrainingRecord, load_record

AT = datetime(2026, 2, 21, 10, 0, tzinfo=UTC)

ready = Document(content=b"%PDF", media_type="application/pdf", filename="ev-1.pdf")
on_disk = Document(path="/srv/ev-1.pdf", media_type="application/pdf")
elsewhere = Document(
    source="a key of the host's", sha256="0" * 64, size=4, media_type="application/pdf"
)
assert_type(ready, Document)
assert_type(ready.content, bytes | None)

evidence = Evidence(
    tenant_id="acme",
    evidence_id="ev-1",
    session_id="s-1",
    subject="emp-7",
    outcome="passed",
    recorded_at=AT,
    document=ready,
)
assert_type(evidence, Evidence)
assert_type(evidence.subject_email, str | None)

record = load_record(b"{}")
assert_type(record, TrainingRecord)
assert_type(Evidence.from_record(record), Evidence)


def mistakes() -> None:
    Document(b"%PDF", media_type="application/pdf")  # type: ignore[call-arg]
    Document(content="%PDF", media_type="application/pdf")  # type: ignore[arg-type]
    Document(content=b"%PDF")  # type: ignore[call-arg]
    ready.content = b"another"  # type: ignore[misc]
    Evidence(tenant_id="acme", evidence_id="ev-1")  # type: ignore[call-arg]
    Evidence.from_record({"tenant_id": "acme"})  # type: ignore[arg-type]
