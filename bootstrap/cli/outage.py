"""What an import does while a platform is out for longer than the attempts of an upload last.

Each record that it hands in then has failed by the time the platform is back. So it hands in one at
a time, after a wait, until one is delivered.
"""

from __future__ import annotations

from attrs import define, field

from ...domain.upload.failure import FailureKind, sentence
from ...domain.upload.status import UploadStatus

FIRST_WAIT, LONGEST_WAIT = 60.0, 900.0
"""How many seconds it waits before it hands one in: twice as long after each that has failed, up to
a limit."""

MOST_TRIED = 24
"""How many may fail in a row before no more is handed in."""


def is_by_outage(status: UploadStatus) -> bool:
    """Whether an upload has come to nothing for a reason for which a later attempt may succeed."""
    if status.error is None or status.status not in ("failed", "held"):
        return False
    return FailureKind(status.error.kind).retryable


@define
class Outage:
    """The outage that the records of one tenant have met. Moments are those of a monotonic clock.

    `tried`: the evidence that was handed in last, since it began. `why`: what the latest has failed
    for. `announced`: whether the person was told.
    """

    tried: str | None = field(default=None, init=False)
    why: str = field(default="", init=False)
    announced: bool = field(default=False, init=False)
    _failed: int = field(default=0, init=False)
    _next: float = field(default=0.0, init=False)

    @property
    def is_too_long(self) -> bool:
        """Whether no more is handed in."""
        return self._failed >= MOST_TRIED

    def may_try(self, now: float) -> bool:
        """Whether the next may be handed in."""
        return now >= self._next

    def note(self, status: UploadStatus, now: float) -> None:
        """One has come to nothing."""
        error = status.error
        self.why = "" if error is None else sentence(error.kind, error.message, None)
        self._failed += status.evidence_id == self.tried
        self._next = now + min(FIRST_WAIT * 2.0**self._failed, LONGEST_WAIT)
