"""What of an import has come to nothing, and what a person does about it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from shlex import quote

from attrs import frozen

from ...domain.integration import tenant_key
from ...domain.upload.failure import Concern, FailureKind
from ...domain.upload.status import UploadStatus
from .old_records import OldRecord

MOST_PLACES = 100
"""Of how many records of a tenant and kind it is said where they stand."""

_WHO = "--by NAME --reason TEXT"
_NEVER = (FailureKind.UNFIT_TYPE, FailureKind.UNSUPPORTED_TYPE, FailureKind.TOO_LARGE)
"""What the provider does not take, however often it is sent."""


@frozen(order=True)
class Undelivered:
    """Records of one tenant that have failed or are held, all for one kind of error: nothing more
    is done about them without a person. `reason` is the kind as a word."""

    tenant_id: str
    status: str
    reason: str

    @classmethod
    def of(cls, status: UploadStatus) -> Undelivered | None:
        """Where an upload belongs; None if it may be delivered yet, or a person has given it up."""
        error = status.error
        if status.status not in ("failed", "held") or error is None:
            return None
        if error.kind == FailureKind.ABANDONED.value:
            return None
        return cls(status.tenant_id, status.status, error.kind)

    def to_do(self, option: str) -> str:
        """What a person does, with the commands for it.

        Args:
            option: The option that says where the records are.
        """
        kind, named = FailureKind(self.reason), f"{option} --tenant {quote(self.tenant_id)}"
        retry, release = (
            f"`evidence-courier {verb} {named} --kind {self.reason} {_WHO}`"
            for verb in ("retry", "release")
        )
        listed = f"`evidence-courier status {named} --status {self.status} --kind {self.reason}`"
        if kind.retryable and self.status == "failed":
            return f"once the provider answers, say {retry}"
        if kind.concern is not Concern.UPLOAD and not kind.doubtful:
            return f"`evidence-courier blocks {option}` says what to do"
        if kind.doubtful or self.status == "held":
            again = retry if self.status == "failed" else release
            one = f"{option} {quote(self.tenant_id)} EVIDENCE_ID"
            return (
                f"{listed} lists them: see whether the provider has them; say `evidence-courier "
                f"attest {one} {_WHO}` of each that is there, then {again}"
            )
        anew = "hand in another document, under another evidence id"
        if kind in _NEVER:
            return f"{listed} says why. Another try sends the same, so {anew}"
        if kind is FailureKind.UNFIT_SIZE:
            return (
                f"{listed} says why: if that is max_bytes of the tenant's file, raise it, then "
                f"{retry}; else another try is in vain: {anew}"
            )
        return (
            f"{listed} says why: mend that, then {retry}; what cannot be mended, hand in under "
            "another evidence id"
        )


@frozen
class RecordPlace:
    """Where the record of an evidence stands."""

    evidence_id: str
    file: str
    line: int | None

    @classmethod
    def of(cls, record: OldRecord) -> RecordPlace:
        """That of this record."""
        return cls(record.evidence_id, str(record.file), record.line)

    def __str__(self) -> str:
        line = "" if self.line is None else f":{self.line}"
        return f"{self.file}{line} ({self.evidence_id})"


class Places:
    """Where the records stand that came to nothing: the first of each tenant and kind."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], RecordPlace] = {}
        self._found: defaultdict[Undelivered, dict[str, RecordPlace]] = defaultdict(dict)

    def keep(self, record: OldRecord) -> None:
        """Its place is asked for later."""
        self._known[tenant_key(record.tenant_id), record.evidence_id] = RecordPlace.of(record)

    def forget(self, status: UploadStatus) -> None:
        """Its place is asked for no more."""
        self._known.pop((tenant_key(status.tenant_id), status.evidence_id), None)

    def note(self, one: Undelivered, status: UploadStatus, number: int) -> None:
        """An upload has come to this, or if the number is negative goes on after all."""
        found = self._found[one]
        place = self._known.get((tenant_key(status.tenant_id), status.evidence_id))
        if number < 0:
            found.pop(status.evidence_id, None)
        elif place is not None and len(found) < MOST_PLACES:
            found[status.evidence_id] = place

    def of(self, one: Undelivered) -> Sequence[RecordPlace]:
        """Where the first stand that came to this, in the order of the files and lines."""
        found = self._found[one].values()
        return sorted(found, key=lambda place: (place.file, place.line or 0))
