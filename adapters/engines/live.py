"""What an engine holds in memory of one upload that is not at rest: no document, and no task."""

from __future__ import annotations

from datetime import datetime

from attrs import define, field

from ...domain.evidence.evidence import Evidence
from ...domain.upload.status import UploadStatus, status_of_upload
from ...domain.upload.upload import Upload, UploadKey
from ...ports.records import Dossier
from .prepare import Destination
from .tickets import Ticket


@define(eq=False)
class Submission:
    """An evidence on its way to being recorded. It keeps the destination it was submitted to,
    credentials included."""

    evidence: Evidence
    destination: Destination
    ticket: Ticket

    @property
    def key(self) -> UploadKey:
        """The key of the upload that it asks for."""
        evidence = self.evidence
        return UploadKey(
            evidence.tenant_id, evidence.evidence_id, self.destination.integration.provider
        )


@define(eq=False)
class Live:
    """An upload with where it goes and who waits for it."""

    upload: Upload
    dossier: Dossier
    destination: Destination
    last_attempt_at: datetime | None = None
    tickets: list[Ticket] = field(factory=list)

    @property
    def size(self) -> int:
        """The bytes that its document takes while it is under way."""
        return self.dossier.document.size

    def status(self) -> UploadStatus:
        """How it stands, as everybody is told."""
        return status_of_upload(self.upload, self.last_attempt_at)
