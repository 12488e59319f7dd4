"""What a sandbox has taken: one record an upload, in order of arrival, and never the key it came
with.

It answers the question that a test of deliveries turns on: how many copies of this document does
the provider hold now?
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from datetime import datetime

from attrs import field, frozen

from .multipart import UploadedFile


@frozen
class ReceivedUpload:
    """One upload that was taken. `target` is what it was uploaded to: for Sprinto the workflow
    check's pk."""

    number: int  # counted from 1
    target: str
    evidence_date: str  # as it was written in the request
    file_name: str
    media_type: str
    size: int  # bytes
    sha256: str  # hexadecimal
    key_fingerprint: str
    received_at: datetime
    headers: Mapping[str, str]  # names in lower case, without the key
    content: bytes | None = field(default=None, repr=False)  # only where the sandbox keeps content

    def as_json(self) -> dict[str, object]:
        """The record for the control URL; the content stays here."""
        return {
            "number": self.number,
            "target": self.target,
            "evidence_date": self.evidence_date,
            "file_name": self.file_name,
            "media_type": self.media_type,
            "size": self.size,
            "sha256": self.sha256,
            "key_fingerprint": self.key_fingerprint,
            "received_at": self.received_at.isoformat(),
            "headers": dict(self.headers),
        }


class Fingerprints:
    """Recognises a key without keeping it: a fingerprint under a secret that lives as long as
    the sandbox."""

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(32)

    def of(self, key: str) -> str:
        """12 hexadecimal digits; the same key gives the same ones in this sandbox, and others in
        another."""
        # surrogateescape: a header may hold bytes that are no text
        return hmac.new(self._secret, key.encode("utf-8", "surrogateescape"), "sha256").hexdigest()[
            :12
        ]


class ReceivedUploads:
    """The uploads taken so far."""

    def __init__(self) -> None:
        self._uploads: list[ReceivedUpload] = []

    def all(self) -> tuple[ReceivedUpload, ...]:
        """All of them, the oldest first."""
        return tuple(self._uploads)

    def copies(self, sha256: str) -> int:
        """How many of them have this content."""
        return sum(upload.sha256 == sha256 for upload in self._uploads)

    def keep(
        self,
        file: UploadedFile,
        *,
        target: str,
        evidence_date: str,
        key_fingerprint: str,
        received_at: datetime,
        headers: Mapping[str, str],
        content: bytes | None,
    ) -> None:
        """Add one."""
        self._uploads.append(
            ReceivedUpload(
                number=len(self._uploads) + 1,
                target=target,
                evidence_date=evidence_date,
                file_name=file.name,
                media_type=file.media_type,
                size=len(file.content),
                sha256=hashlib.sha256(file.content).hexdigest(),
                key_fingerprint=key_fingerprint,
                received_at=received_at,
                headers=headers,
                content=content,
            )
        )

    def forget(self) -> None:
        """Start anew, with number 1."""
        self._uploads.clear()
