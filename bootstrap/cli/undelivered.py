"""What of an import has come to nothing, and what a person does about it."""

from __future__ import annotations

from shlex import quote

from attrs import frozen

from ...domain.upload.failure import Concern, FailureKind
from ...domain.upload.status import UploadStatus

_WHO = "--by NAME --reason TEXT"


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
        return (
            f"{listed} says why: mend that, then {retry}; what cannot be mended, hand in under "
            "another evidence id"
        )
