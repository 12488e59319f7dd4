"""What is recorded of an evidence that a host hands over, and what its ticket says if it is not."""

from __future__ import annotations

from datetime import datetime

from ..domain.errors import StoreError
from ..domain.evidence.evidence import Document, Evidence, sha256_of
from ..domain.evidence.record_json import record_json
from ..domain.evidence.training import TrainingRecord
from ..domain.upload.events import Blocked, Unfit
from ..domain.upload.failure import Failure, FailureKind
from ..domain.upload.transitions import advance
from ..domain.upload.upload import UploadKey, new_upload
from ..ports.records import RECORD_TYPE, Dossier, Entry, StoredDocument
from .destinations import Destination


def entry_of(
    evidence: Evidence,
    destination: Destination,
    now: datetime,
    document: tuple[StoredDocument, bytes | None],
    submitted: str,
    failure: Failure | None,
) -> Entry:
    """The entry of an evidence.

    Args:
        document: What is recorded of it, and the bytes that are staged.
        submitted: The digest of what was handed over.
        failure: Why it cannot be sent, or is not to be.
    """
    stored, content = document
    provider = destination.integration.provider
    key = UploadKey(evidence.tenant_id, evidence.evidence_id, provider)
    upload = new_upload(key, stored.sha256, evidence.evidence_date, now)
    if destination.invalid is not None:
        upload = advance(upload, Blocked(now, destination.invalid), destination.rules)
    elif failure is not None:
        upload = advance(upload, Unfit(now, failure), destination.rules)
    dossier = Dossier(
        session_id=evidence.session_id,
        subject=evidence.subject,
        subject_email=evidence.subject_email,
        outcome=evidence.outcome,
        recorded_at=evidence.recorded_at,
        submitted_digest=submitted,
        document=stored,
        settings=destination.integration.stored,
        backfill=destination.quota.backfill,
    )
    return Entry(upload, dossier, content, destination.quota.credential)


def record_as_stored(record: TrainingRecord) -> tuple[StoredDocument, bytes]:
    """A training record that was not rendered, for a later try."""
    content = record_json(record)
    document = Document(content=content, media_type=RECORD_TYPE)
    return stored_as(document, sha256_of(content), len(content)), content


def stored_as(
    document: Document, sha256: str, size: int, source: str | None = None, path: str | None = None
) -> StoredDocument:
    """What is recorded of a document."""
    return StoredDocument(
        sha256=sha256,
        size=size,
        media_type=document.media_type,
        filename=_recordable(document.filename),
        source=source,
        path=path,
    )


def _recordable(filename: str | None) -> str | None:
    """Any name will do, and half a character cannot be written down as it is."""
    return filename and filename.encode(errors="replace").decode()


def gone(message: str) -> Failure:
    """The document cannot be had."""
    return Failure(FailureKind.DOCUMENT_GONE, message)


def unwritten_error(error: StoreError) -> StoreError:
    """What a ticket says of a submission that is tried again."""
    return StoreError(f"{error}; it is tried again; submitting it again is safe", passing=True)


def given_up_error(key: UploadKey) -> StoreError:
    """What it says if it was kept in vain."""
    return StoreError(
        f"{key} was not recorded before the courier was closed, since the database could not be "
        "written to: submit it again"
    )


def uncertain_error(key: UploadKey, why: str) -> StoreError:
    """What it says of a submission that may be recorded."""
    return StoreError(f"{key} may be recorded ({why}); submitting it again is safe")
