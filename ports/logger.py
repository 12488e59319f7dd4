"""Telling the host what happens: typed events in, nothing out.

The record is written first, then the event is logged, so no event speaks of something that a crash
could take back.
"""

from __future__ import annotations

from datetime import datetime
from typing import Protocol, TypeAlias

from attrs import frozen

from ..domain.upload.failure import Failure
from ..domain.upload.status import UploadStatus
from ..domain.upload.upload import UploadKey


@frozen
class ConfigurationLoaded:
    """The configuration was read. `without_integration` are the tenants whose evidence goes
    nowhere; said once, here."""

    path: str
    with_integration: tuple[str, ...]
    without_integration: tuple[str, ...]


@frozen
class ConfigurationRefused:
    """A configuration was not taken; what was in force before stays in force. One text for each
    problem."""

    problems: tuple[str, ...]


@frozen
class UploadRecorded:
    """An evidence is on disk and will be uploaded."""

    key: UploadKey


@frozen
class RecordingFailed:
    """An evidence could not be recorded: nothing will be uploaded, and its ticket says so. The
    host should submit it again."""

    key: UploadKey
    reason: str


@frozen
class EvidenceConflict:
    """Another document was submitted under a known key; the known upload is unchanged and the
    new document is ignored."""

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
    """An attempt has ended and its record is on disk. `failure` is None where it was delivered;
    `next_at`: when something is done next."""

    key: UploadKey
    attempt: int
    verdict: str
    failure: Failure | None
    next_at: datetime | None


@frozen
class AttemptRecovered:
    """Whoever ran this attempt is gone without a word; the record says now that it may have been
    taken. `next_at`: when something is done."""

    key: UploadKey
    attempt: int
    next_at: datetime | None


@frozen
class LookUpEnded:
    """The provider was asked whether it has an upload. `finding` is found, partly, absent or
    unreadable, `failure` says why it was unreadable."""

    key: UploadKey
    look_up: int
    finding: str
    failure: Failure | None
    next_at: datetime | None


@frozen
class UploadHeld:
    """Nothing more happens to an upload before a person decides."""

    key: UploadKey
    failure: Failure


@frozen
class UploadRequeued:
    """An upload is tried again, with a fresh budget: a person wished it (`who`, `why`), or its
    integration works again (`who` is None)."""

    key: UploadKey
    by: str | None
    reason: str


@frozen
class ActionTaken:
    """A person did something to an upload: `action` is retry, release, abandon or attest."""

    key: UploadKey
    action: str
    by: str
    reason: str


@frozen
class IntegrationBlocked:
    """A tenant's integration does not work. Its other uploads are held at their turn, until its
    settings change or a person releases one."""

    tenant_id: str
    provider: str
    failure: Failure


@frozen
class IntegrationPaused:
    """The provider asked for patience: with this credential nothing is sent before `until`."""

    tenant_id: str
    provider: str
    until: datetime


@frozen
class CourierLost:
    """Another courier on this database is gone without a word; `in_flight` of its attempts are
    recovered."""

    owner: int
    in_flight: int


@frozen
class ClockSetBack:
    """The machine's clock was set back by so many seconds; what waits keeps the rest of its
    wait."""

    seconds: float


@frozen
class StoreTrouble:
    """The database could not be asked or written to in the background; it is tried again."""

    reason: str


@frozen
class UploadSettled:
    """An upload has succeeded, failed or is held."""

    status: UploadStatus


@frozen
class WriteDelayed:
    """A record could not be written for now; it is tried again, and nothing is sent before it is
    written."""

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
    | AttemptRecovered
    | LookUpEnded
    | UploadHeld
    | UploadRequeued
    | ActionTaken
    | IntegrationBlocked
    | IntegrationPaused
    | CourierLost
    | ClockSetBack
    | StoreTrouble
    | UploadSettled
    | WriteDelayed
    | HookFailed
)


class Logger(Protocol):
    """Where events go. Called from the courier's loop: it must not block for long, and what it
    raises is swallowed."""

    def log(self, event: LogEvent) -> None:
        """Take note of one event."""
        ...
