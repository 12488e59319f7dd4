"""Telling the host what happens: typed events in, nothing out.

The record is written first, then the event is logged, so no event speaks of something that a crash could take back.
"""

from __future__ import annotations

from datetime import datetime
from typing import Protocol, TypeAlias

from attrs import frozen

from ..domain.failure import Failure
from ..domain.status import UploadStatus
from ..domain.upload import UploadKey


@frozen
class ConfigurationLoaded:
    """The configuration was read. `without_integration` are the tenants whose evidence goes nowhere; said once, here."""

    path: str
    with_integration: tuple[str, ...]
    without_integration: tuple[str, ...]


@frozen
class ConfigurationRefused:
    """A configuration was not taken; what was in force before stays in force. One text for each problem."""

    problems: tuple[str, ...]


@frozen
class UploadRecorded:
    """An evidence is on disk and will be uploaded."""

    key: UploadKey


@frozen
class RecordingFailed:
    """An evidence could not be recorded: nothing will be uploaded, and its ticket says so. The host should submit it again."""

    key: UploadKey
    reason: str


@frozen
class EvidenceConflict:
    """Another document was submitted under a known key; the known upload is unchanged and the new document is ignored."""

    key: UploadKey
    known_digest: str
    submitted_digest: str


@frozen
class AttemptStarted:
    """A request is about to leave."""

    key: UploadKey
    attempt: int
    max_attempts: int


@frozen
class AttemptEnded:
    """An attempt has ended and its record is on disk. `failure` is None where it was delivered; `next_at`: when something is done next."""

    key: UploadKey
    attempt: int
    verdict: str
    failure: Failure | None
    next_at: datetime | None


@frozen
class UploadSettled:
    """An upload has succeeded, failed or is held."""

    status: UploadStatus


@frozen
class WriteDelayed:
    """A record could not be written for now; it is tried again, and nothing is sent before it is written."""

    key: UploadKey
    reason: str


@frozen
class HookFailed:
    """A function of the host's raised; the delivery is not affected."""

    hook: str
    key: UploadKey
    reason: str


LogEvent: TypeAlias = (
    ConfigurationLoaded
    | ConfigurationRefused
    | UploadRecorded
    | RecordingFailed
    | EvidenceConflict
    | AttemptStarted
    | AttemptEnded
    | UploadSettled
    | WriteDelayed
    | HookFailed
)


class Logger(Protocol):
    """Where events go. Called from the courier's loop: it must not block for long, and what it raises is swallowed."""

    def log(self, event: LogEvent) -> None:
        """Take note of one event."""
        ...
