"""Uploads that a courier has in hand, without a courier."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast

from attrs import evolve

from evidence_courier.delivery.active import ActiveUpload, ActiveUploads
from evidence_courier.delivery.destinations import Destination
from evidence_courier.domain.evidence.evidence import Outcome
from evidence_courier.domain.integration import Integration
from evidence_courier.domain.pacing.gate import Quota
from evidence_courier.domain.upload.failure import Failure, FailureKind
from evidence_courier.domain.upload.status import UploadStatus
from evidence_courier.domain.upload.transitions import Rules
from evidence_courier.domain.upload.upload import UploadKey, Waiting, new_upload
from evidence_courier.ports.logger import LogEvent
from evidence_courier.ports.records import Dossier, StoredDocument
from evidence_courier.testing import FakeClock

NOW = datetime(2026, 2, 21, 10, tzinfo=UTC)


class Listener:
    """Hears nothing."""

    def log(self, event: LogEvent) -> None: ...

    def settled(self, status: UploadStatus, *, elsewhere: bool = False) -> None: ...


def home(credential: str = "credential") -> Destination:
    """A destination that no request can be sent to."""
    quota = Quota(credential, f"the address of {credential}")
    return Destination(Integration("acme", "paper", None), cast(Any, None), Rules(), quota)


def in_hand(clock: FakeClock) -> ActiveUploads:
    return ActiveUploads(clock, Listener(), 1_000, 10_000_000)


def waiting(
    name: str,
    destination: Destination,
    due: datetime,
    written_at: datetime = NOW,
    kind: FailureKind = FailureKind.SERVER_ERROR,
) -> ActiveUpload:
    """An upload that has failed once."""
    document = StoredDocument(sha256="", size=0, media_type="text/plain", filename=None)
    dossier = Dossier(
        session_id="session",
        subject="someone",
        subject_email=None,
        outcome=Outcome.PASSED,
        recorded_at=written_at,
        submitted_digest="",
        document=document,
    )
    new = new_upload(UploadKey("acme", name, "paper"), "digest", written_at.date(), written_at)
    upload = evolve(new, state=Waiting(due, Failure(kind, kind.value)))
    return ActiveUpload(upload, dossier, destination)
