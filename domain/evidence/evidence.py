"""What a host submits: a statement (tenant, session, person, outcome, moment) with a document, or
with the training record from which the courier renders one."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, date, datetime
from enum import Enum

from attrs import field, frozen

from ..arguments import aware, of_kind
from ..errors import MisuseError
from .training import TrainingRecord

_NAME = r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}"
_PARAMETER = r'[ \t]*;[ \t]*(?:[^\s;="]+=(?:"[^"\r\n]*"|[^\s;"]+))?'
_MEDIA_TYPE = re.compile(rf"({_NAME}/{_NAME})(?:{_PARAMETER})*[ \t]*")
# Names that stand for a registered type; browsers and older systems still say them.
_SAME_TYPE = {
    "application/acrobat": "application/pdf",
    "application/csv": "text/csv",
    "application/msexcel": "application/vnd.ms-excel",
    "application/vnd.msword": "application/msword",
    "application/vnd.pdf": "application/pdf",
    "application/x-csv": "text/csv",
    "application/x-excel": "application/vnd.ms-excel",
    "application/x-json": "application/json",
    "application/x-msexcel": "application/vnd.ms-excel",
    "application/x-msword": "application/msword",
    "application/x-pdf": "application/pdf",
    "application/x-zip": "application/zip",
    "application/x-zip-compressed": "application/zip",
    "image/jpg": "image/jpeg",
    "image/pjpeg": "image/jpeg",
    "image/tif": "image/tiff",
    "image/x-jpeg": "image/jpeg",
    "image/x-jpg": "image/jpeg",
    "image/x-png": "image/png",
    "image/x-tif": "image/tiff",
    "image/x-tiff": "image/tiff",
    "text/comma-separated-values": "text/csv",
    "text/json": "application/json",
    "text/pdf": "application/pdf",
    "text/x-csv": "text/csv",
    "text/x-json": "application/json",
    "text/x-markdown": "text/markdown",
    "text/x-pdf": "application/pdf",
}
_SHA256 = re.compile(r"[0-9a-f]{64}")
# Half a character is in no path, but for those that stand for bytes which are not UTF-8.
_PATH = re.compile(r"[^\0\ud800-\udc7f\udd00-\udfff]+")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029]")
_ID_LENGTH = 512


class Outcome(Enum):
    """How the session ended. An abandoned session leaves no evidence."""

    PASSED = "passed"
    EXHAUSTED = "exhausted"


def _outcome(value: object) -> Outcome:
    try:
        return value if isinstance(value, Outcome) else Outcome(value)
    except ValueError:
        raise MisuseError(
            f"outcome must be passed or exhausted, not {value!r}: "
            "an abandoned session leaves no evidence"
        ) from None


def sha256_of(content: bytes) -> str:
    """The SHA-256 of some bytes, as 64 lower-case hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def media_type_of(words: str) -> str:
    """A media type in lower case without its parameters, by its registered name: ``image/jpeg`` of
    ``image/JPG; q=1``. What is no media type stays as it is."""
    found = _MEDIA_TYPE.fullmatch(words) if isinstance(words, str) else None
    return _SAME_TYPE.get(found[1].lower(), found[1].lower()) if found else words


def _check_id(name: str, value: object) -> None:
    if not isinstance(value, str):
        of_kind(name, value, str, "text")
        return
    if not value.strip():
        raise MisuseError(f"{name} must not be empty")
    if len(value) > _ID_LENGTH:
        raise MisuseError(f"{name} must have at most {_ID_LENGTH} characters, not {len(value)}")
    if _UNPRINTABLE.search(value):
        what = "a control character, a line break or half a character"
        raise MisuseError(f"{name} {value!r} holds {what}")


@frozen(kw_only=True)
class Document:
    """What is delivered: the bytes of one document, from exactly one of three places.

    Args:
        content: The bytes themselves.
        path: A file, which is read when the evidence is recorded.
        source: A key for the host's own `DocumentSource`, given with `sha256` and `size`.
        sha256: The digest of what the source will read, as 64 lower-case hexadecimal digits.
        size: The number of bytes that the source will read.
        media_type: For example ``application/pdf``; parameters are left out, and common aliases
            such as ``image/jpg`` become the registered type.
        filename: Recorded and never sent: the name sent is made of the evidence id and the digest.

    Raises:
        MisuseError: The values do not describe exactly one document.
    """

    content: bytes | None = field(
        default=None, repr=lambda content: "None" if content is None else f"<{len(content)} bytes>"
    )
    path: str | None = None
    source: str | None = None
    sha256: str | None = None
    size: int | None = None
    media_type: str = field(converter=media_type_of)
    filename: str | None = None

    def __attrs_post_init__(self) -> None:
        places = (self.content, self.path, self.source)
        if places.count(None) != 2:
            names = zip(("content", "path", "source"), places, strict=True)
            given = " and ".join(name for name, place in names if place is not None)
            raise MisuseError(
                "a Document takes exactly one of content, path and source, "
                f"not {given or 'none of them'}"
            )
        if not isinstance(self.media_type, str) or not _MEDIA_TYPE.fullmatch(self.media_type):
            what = "is not a media type such as application/pdf"
            raise MisuseError(f"media_type {self.media_type!r} {what}")
        for name, value, kind, word in (
            ("content", self.content, bytes, "bytes"),
            ("path", self.path, str, "text"),
            ("filename", self.filename, str, "text"),
        ):
            if value is not None:
                of_kind(f"a Document's {name}", value, kind, word)
        if self.path is not None and not _PATH.fullmatch(self.path):
            raise MisuseError(f"{self.path!r} is not the path of a file")
        if self.source is not None:
            self._check_source()
        elif self.sha256 is not None or self.size is not None:
            raise MisuseError(
                "sha256 and size are given with a source only; those of content and path are "
                "computed"
            )

    def _check_source(self) -> None:
        _check_id("a Document's source", self.source)
        if not isinstance(self.sha256, str) or not _SHA256.fullmatch(self.sha256):
            raise MisuseError(
                "a Document with a source needs its sha256, as 64 lower-case hexadecimal digits"
            )
        if type(self.size) is not int or self.size < 0:
            raise MisuseError("a Document with a source needs its size, as a number of bytes")


@frozen(kw_only=True)
class Evidence:
    """What a host submits for delivery.

    Args:
        tenant_id: Identifies the evidence for ever, together with `evidence_id`.
        evidence_id: Unique within the tenant.
        session_id: The training session that produced it.
        subject: The host's id of the person.
        subject_email: The person's address.
        outcome: An `Outcome` or its word.
        recorded_at: A moment with a time zone; its UTC date is the evidence date at the provider.
        document: What is delivered, or the record from which the courier renders it.

    Raises:
        MisuseError: A value cannot be right.
    """

    tenant_id: str
    evidence_id: str
    session_id: str
    subject: str
    subject_email: str | None = None
    outcome: Outcome = field(converter=_outcome)
    recorded_at: datetime
    document: Document | TrainingRecord

    def __attrs_post_init__(self) -> None:
        for name in ("tenant_id", "evidence_id", "session_id", "subject"):
            _check_id(name, getattr(self, name))
        if self.subject_email is not None:
            _check_id("subject_email", self.subject_email)
        at, whose = self.recorded_at, f"recorded_at of evidence {self.evidence_id!r}"
        aware(whose, at)
        try:
            at.astimezone(UTC)
        except OverflowError:
            raise MisuseError(f"{whose} has no date in UTC: {at.isoformat()}") from None
        kinds = Document | TrainingRecord
        of_kind("document", self.document, kinds, "a Document or a TrainingRecord")

    @property
    def evidence_date(self) -> date:
        """The UTC date of `recorded_at`."""
        return self.recorded_at.astimezone(UTC).date()

    @classmethod
    def from_record(cls, record: TrainingRecord) -> Evidence:
        """The evidence of a training record; the courier renders its document.
        MisuseError if this is none, such as the mapping that `load_record` takes."""
        of_kind("record", record, TrainingRecord, "a TrainingRecord (of load_record)")
        return cls(
            tenant_id=record.tenant_id,
            evidence_id=record.evidence_id,
            session_id=record.session_id,
            subject=record.employee.id,
            subject_email=record.employee.email,
            outcome=record.outcome.status,
            recorded_at=record.generated_at,
            document=record,
        )
