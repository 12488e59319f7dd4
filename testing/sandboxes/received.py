"""What a sandbox records of an upload that it has taken, without the key that it came with."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping
from datetime import datetime

from attrs import asdict, field, frozen


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
    content: bytes | None = field(default=None, repr=False)  # None unless the sandbox keeps content

    def as_json(self) -> dict[str, object]:
        """The record for the control URL; the content stays here."""
        shown = asdict(self, filter=lambda attribute, value: attribute.name != "content")
        return {**shown, "received_at": self.received_at.isoformat()}


class Fingerprints:
    """Recognises a key without keeping it: a fingerprint under a secret that lives as long as
    the sandbox."""

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(32)

    def of(self, key: str) -> str:
        """12 hexadecimal digits; the same key gives the same ones in this sandbox, and others in
        another."""
        # surrogateescape: a header may hold bytes that are no text
        code = hmac.new(self._secret, key.encode("utf-8", "surrogateescape"), "sha256")
        return code.hexdigest()[:12]
