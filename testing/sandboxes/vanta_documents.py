"""The documents of the Vanta sandbox: their drafts, what has been submitted, and how the API shows
both.

The shapes are those of the schemas `DocumentDetail` and `UploadedFileT` of Vanta's OpenAPI document
(developer.vanta.com, "Manage Vanta"). A document has one draft, which is submitted whole
(documented).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

from attrs import define, field

from ...domain.evidence.evidence import sha256_of
from .bodies import UploadedFile


@define
class Held:
    """An upload as the sandbox holds it."""

    upload_id: str
    sha256: str
    shown: dict[str, object]
    submitted: bool = False


@define
class HeldDocument:
    """A document with its uploads, the oldest first."""

    document_id: str
    title: str
    deactivated: bool
    uploads: list[Held] = field(factory=list)

    def submit(self) -> int:
        """Submit the draft; how many uploads it held."""
        draft = [upload for upload in self.uploads if not upload.submitted]
        for upload in draft:
            upload.submitted = True
        return len(draft)

    def as_json(self) -> Mapping[str, object]:
        """The document as the API shows it."""
        submitted = any(upload.submitted for upload in self.uploads)
        return {
            "id": self.document_id,
            **dict.fromkeys(("ownerId", "uploadStatusDate", "note", "nextRenewalDate")),
            "category": "Custom",
            "description": f"Evidence for: {self.title}",
            "isSensitive": False,
            "title": self.title,
            "uploadStatus": "OK" if submitted else "Needs document",
            "url": f"https://app.vanta.com/documents/{self.document_id}",
            "renewalCadence": "P1Y",
            "reminderWindow": "P1M",
            "deactivatedStatus": {
                "isDeactivated": self.deactivated,
                "reason": "no longer in scope" if self.deactivated else None,
                "expiration": None,
                "creationDate": None,
            },
            "subscribers": [],
        }


class Documents:
    """All documents by their ids. Raises ValueError if one is named as deactivated that is not
    among them."""

    def __init__(self, titles: Mapping[str, str], deactivated: Collection[str]) -> None:
        strangers = sorted(set(deactivated) - set(titles))
        if strangers:
            raise ValueError(
                f"the document {strangers[0]!r} is named as deactivated, "
                "but is not among the documents"
            )
        self._all = {
            document_id: HeldDocument(document_id, title, document_id in deactivated)
            for document_id, title in titles.items()
        }
        self._made = 0

    def get(self, document_id: str) -> HeldDocument | None:
        """The document; None for an unknown id."""
        return self._all.get(document_id)

    def take(
        self,
        document: HeldDocument,
        file: UploadedFile,
        *,
        description: str | None,
        effective: datetime | None,
        now: datetime,
    ) -> Held:
        """Put a file into the document's draft."""
        self._made += 1
        upload_id = f"{self._made:024x}"  # shaped like the ids in the documentation
        shown: dict[str, object] = {
            "id": upload_id,
            "fileName": file.name,
            "title": None,
            "description": description,
            "url": f"https://app.vanta.com/documents/{document.document_id}",
            "creationDate": _shown(now),
            "updatedDate": _shown(now),
            "effectiveDate": None if effective is None else _shown(effective),
            "deletionDate": None,
            "mimeType": file.media_type,
            "uploadedBy": {"id": "sandbox", "type": "APPLICATION"},
        }
        held = Held(upload_id, sha256_of(file.content), shown)
        document.uploads.append(held)
        return held

    def submitted(self, sha256: str) -> int:
        """How many uploads with this content are submitted."""
        return sum(
            upload.sha256 == sha256 and upload.submitted
            for document in self._all.values()
            for upload in document.uploads
        )

    def forget(self) -> None:
        """No document has any upload any more."""
        for document in self._all.values():
            document.uploads.clear()


def _shown(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
