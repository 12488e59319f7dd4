"""From what a host hands over to what is recorded: read, render, hash, and see whether the provider
can take it.

Blocking; called from worker threads.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from datetime import datetime

from ...delivery.destinations import Destination, excluded, unfit
from ...domain.errors import MisuseError
from ...domain.evidence.evidence import Document, Evidence, sha256_of
from ...domain.evidence.training import TrainingRecord
from ...domain.upload.events import Unfit
from ...domain.upload.failure import Failure
from ...domain.upload.transitions import advance
from ...domain.upload.upload import UploadKey, new_upload
from ...ports.records import Dossier, Entry, StoredDocument
from ...ports.renderer import Renderer
from ..records import record_json

RENDERED_TYPE = "application/pdf"


def prepare(
    evidence: Evidence, destination: Destination, renderer: Renderer, now: datetime
) -> Entry:
    """The entry to record. A document that cannot be sent is recorded as failed at once, evidence
    that the settings exclude as skipped.

    Raises MisuseError where there is nothing that could be recorded: a file that cannot be read.
    """
    document = evidence.document
    if isinstance(document, TrainingRecord):
        submitted = sha256_of(record_json(document))
        rendered = renderer.render(document)
        if isinstance(rendered, Failure):
            nothing = StoredDocument(
                sha256=submitted, size=0, media_type=RENDERED_TYPE, filename=None
            )
            return _entry(evidence, destination, nothing, submitted, None, rendered, now)
        stored, content = _read(evidence, rendered, destination)
    else:
        stored, content = _read(evidence, document, destination)
        submitted = stored.sha256
    failure = excluded(evidence.outcome, destination.integration) or unfit(
        stored.size, stored.media_type, destination
    )
    return _entry(evidence, destination, stored, submitted, content, failure, now)


def _read(
    evidence: Evidence, document: Document, destination: Destination
) -> tuple[StoredDocument, bytes | None]:
    if document.source is not None:
        assert document.sha256 is not None and document.size is not None
        return _stored(document, document.sha256, document.size), None
    content = document.content
    if document.path is not None:
        try:
            found = os.stat(document.path)
            if not stat.S_ISREG(found.st_mode):
                raise OSError(errno.EINVAL, "not a regular file", document.path)
            size = found.st_size
            if unfit(size, document.media_type, destination) is not None:
                # Recorded as unfit; not worth the memory of reading it whole.
                with open(document.path, "rb") as file:
                    return _stored(
                        document, hashlib.file_digest(file, "sha256").hexdigest(), size
                    ), None
            with open(document.path, "rb") as file:
                content = file.read()
        except OSError as error:
            raise MisuseError(
                f"the document of {evidence.tenant_id}/{evidence.evidence_id} cannot be read: "
                f"{error}; nothing was recorded: submit it again when the file is there"
            ) from error
    assert content is not None
    return _stored(document, sha256_of(content), len(content)), content


def _stored(document: Document, sha256: str, size: int) -> StoredDocument:
    return StoredDocument(
        sha256=sha256,
        size=size,
        media_type=document.media_type,
        # Only recorded, so any name will do; half a character cannot be written down as it is.
        filename=document.filename and document.filename.encode(errors="replace").decode(),
        source=document.source,
    )


def _entry(
    evidence: Evidence,
    destination: Destination,
    stored: StoredDocument,
    submitted: str,
    content: bytes | None,
    failure: Failure | None,
    now: datetime,
) -> Entry:
    key = UploadKey(evidence.tenant_id, evidence.evidence_id, destination.integration.provider)
    upload = new_upload(key, stored.sha256, evidence.evidence_date, now)
    if failure is not None:
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
    )
    return Entry(upload, dossier, content, destination.quota.credential)
