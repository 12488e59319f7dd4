"""Telling the host what happens: typed events.

A record is written first, then its event is logged, so no event reports what a crash could undo.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal, Protocol, runtime_checkable

from attrs import frozen

from ..domain.upload.attempt import Attempt
from ..domain.upload.backoff import seconds_between
from ..domain.upload.failure import Failure
from ..domain.upload.status import UploadStatus
from ..domain.upload.upload import UploadKey
from ..domain.upload.verdict import word_of


@frozen
class LogEvent:
    """What has happened."""


@frozen
class UploadEvent(LogEvent):
    """An event of one upload."""

    key: UploadKey


@frozen
class IntegrationEvent(LogEvent):
    """An event of a tenant's integration."""

    tenant_id: str
    provider: str


@frozen
class ConfigurationLoaded(LogEvent):
    """The configuration was read; the evidence of tenants in `without_integration` is not sent.
    Those in `with_integration` have one in force, if only an earlier one."""

    path: str
    with_integration: tuple[str, ...]
    without_integration: tuple[str, ...]


@frozen
class ConfigurationRefused(LogEvent):
    """A configuration is not in force, or its invalid tenants are not. One text a problem.

    `first`: it is the first one, so none from before stays in force. `partly`: its valid tenants
    are in force, and an invalid one keeps what it had.
    """

    problems: tuple[str, ...]
    first: bool = False
    partly: bool = False


@frozen
class ConfigurationDoubtful(LogEvent):
    """What was passed over when the configuration was read, and probably not meant so."""

    warnings: tuple[str, ...]


@frozen
class TenantUnknown(LogEvent):
    """Evidence of a tenant was submitted that `path` does not name, or whose entry is invalid and
    shows no integration: it is not recorded. Said once for each id. Of an invalid entry `path` is
    its file and line with the problem."""

    tenant_id: str
    path: str


@frozen
class RenderingUnavailable(LogEvent):
    """Training records cannot be rendered here; documents can be sent."""

    reason: str


@frozen
class UploadRecorded(UploadEvent):
    """An evidence is on disk, and will be uploaded unless `UploadSettled` follows at once."""


@frozen
class RecordingFailed(UploadEvent):
    """An evidence, or the outcome of its upload, was not recorded, or perhaps not: `reason` says
    which. The host should submit it again, which is safe."""

    reason: str


@frozen
class EvidenceConflict(UploadEvent):
    """Another document was submitted under a known key: it is ignored, the upload unchanged."""

    known_digest: str
    submitted_digest: str


@frozen
class RecordUnreadable(UploadEvent):
    """An upload's record cannot be read, since other hands wrote it: nothing is done about the
    upload until somebody has mended it. Told once by each courier. `reason` says what is wrong."""

    reason: str


@frozen
class AttemptStarted(UploadEvent):
    """A request is about to leave. `waited` is for how many seconds the upload has been due."""

    attempt: int
    max_attempts: int
    waited: float | None = None


@frozen
class AttemptEnded(UploadEvent):
    """An attempt has ended and its record is on disk.

    `failure` is None if it was delivered; `next_at` is when something is done next. It took
    `seconds` from `started_at` on, and for `waited` of them it waited at the gate, between its
    requests. `request_id` is the provider's, of its last request.
    """

    attempt: int
    verdict: str
    failure: Failure | None
    next_at: datetime | None
    started_at: datetime | None = None
    seconds: float | None = None
    waited: float | None = None
    request_id: str | None = None

    @classmethod
    def of(
        cls, key: UploadKey, attempt: Attempt, next_at: datetime | None, waited: float
    ) -> AttemptEnded:
        """The end of this attempt."""
        return cls(
            key,
            attempt.number,
            word_of(attempt.verdict),
            attempt.failure,
            next_at,
            attempt.started_at,
            seconds_between(attempt.started_at, attempt.ended_at),
            waited,
            attempt.request_id,
        )


@frozen
class AttemptRecovered(UploadEvent):
    """The courier of this attempt is gone; the record now says that it may have been received.

    `next_at` is when something is done next. It was recovered `seconds` after `started_at`.
    """

    attempt: int
    next_at: datetime | None
    started_at: datetime | None = None
    seconds: float | None = None

    @classmethod
    def of(cls, key: UploadKey, attempt: Attempt, next_at: datetime | None) -> AttemptRecovered:
        """The end of this attempt."""
        seconds = seconds_between(attempt.started_at, attempt.ended_at)
        return cls(key, attempt.number, next_at, attempt.started_at, seconds)


@frozen
class LookUpEnded(UploadEvent):
    """The provider was asked whether it has an upload.

    `look_up` is the number of the look-up, from 1. `finding` is found, partly, absent,
    unreadable, processing or refused; `failure` says why it was unreadable or refused.
    """

    look_up: int
    finding: str
    failure: Failure | None
    next_at: datetime | None


@frozen
class UploadHeld(UploadEvent):
    """An upload waits for a person's decision."""

    failure: Failure


@frozen
class UploadRequeued(UploadEvent):
    """An upload is queued with a fresh budget, by a person or, if `by` is None, because its
    integration or its target may work again, or what a person had paused is resumed."""

    by: str | None
    reason: str


@frozen
class ActionTaken(UploadEvent):
    """A person did something to an upload: `action` is retry, release, abandon or attest. The
    courier itself attests what a person's decision about a status word says."""

    action: str
    by: str
    reason: str


@frozen
class DeliveryPaused(LogEvent):
    """A person has paused the `scope`, as this courier has noticed: a tenant, a provider, or a
    tenant with a provider. Nothing begins for it."""

    scope: str
    by: str
    reason: str


@frozen
class DeliveryResumed(LogEvent):
    """A person has resumed what was paused."""

    scope: str


@frozen
class IntegrationBlocked(IntegrationEvent):
    """A tenant's integration does not work. Its other uploads are held, until its settings change
    or a person releases one."""

    failure: Failure


@frozen
class TargetParked(IntegrationEvent):
    """The target of a tenant's uploads takes nothing now: they wait. One of them asks again at
    `until`; None: the upload that was refused has waited for as long as it may."""

    failure: Failure
    until: datetime | None


@frozen
class IntegrationCoolsDown(IntegrationEvent):
    """The provider asked for a cool-down: with this credential nothing is sent before `until`."""

    until: datetime


@frozen
class OriginSilent(LogEvent):
    """Requests of several tenants to an origin (scheme, host, port) have timed out. Two uploads
    probe it; each other one is held back for at most as long as it would wait after a failure."""

    origin: str


@frozen
class OriginAnswers(LogEvent):
    """An origin that was silent has answered."""

    origin: str


@frozen
class UploadsWait(IntegrationEvent):
    """Uploads of a tenant's integration wait for the pace, a cool-down, another courier's lease,
    a valid tenant file, or the integration itself.

    Logged once while that lasts, and not for each of them. `until` is when it is asked again; None:
    once the configuration is mended.
    """

    waits_for: str
    until: datetime | None


@frozen
class CourierLost(LogEvent):
    """Another courier on this database is gone; `in_flight` of its attempts were recovered."""

    courier_id: int
    in_flight: int


@frozen
class ClockSetBack(LogEvent):
    """The machine's clock was set back by `seconds`; the remaining waits count from now."""

    seconds: float


@frozen
class StoreTrouble(LogEvent):
    """The database could not be read or written in the background; it is tried again, and logged
    again when that succeeds and fails anew, or the reason changes."""

    reason: str


@frozen
class NoticeNotTaken(LogEvent):
    """A sink has not taken `number` notices; they wait, and are sent again later."""

    sink: str
    number: int
    reason: str


@frozen
class DutyFailed(LogEvent):
    """What is done now and then beside the uploads has failed; it is tried again at its next time.
    The uploads are not affected."""

    duty: str
    reason: str


@frozen
class UploadSettled(LogEvent):
    """An upload has come to rest: it has succeeded, failed, is held or was skipped."""

    status: UploadStatus


@frozen
class UploadSettledElsewhere(LogEvent):
    """An upload that this courier had in hand has come to rest by another courier or a person. The
    courier that settles an upload is the one that logs `UploadSettled`."""

    status: UploadStatus


@frozen
class WriteDelayed(UploadEvent):
    """A record could not be written; it is tried again, and nothing is sent before it is there."""

    reason: str


@frozen
class ReaderLost(LogEvent):
    """`what` the host brings (its document source, a file, a renderer) has not answered for
    `seconds`. `lost` threads that wait for such have not returned."""

    tenant_id: str
    what: str
    seconds: float
    lost: int


@frozen
class LoopBlocked(LogEvent):
    """`what` has blocked the event loop's thread for `seconds`: nothing else goes on meanwhile. It
    is code of the provider's plug-in (a dialogue, a seal), of an `on_settled` that is a coroutine
    function, or of a clock of the host's own, which is no tenant's."""

    tenant_id: str | None
    provider: str | None
    what: str
    seconds: float


@frozen
class HookFailed(UploadEvent):
    """A function of the host's raised; the delivery is not affected."""

    hook: str
    reason: str


@runtime_checkable
class Choosing(Protocol):
    """A logger that writes some events only, and is asked first."""

    def wants(self, event: LogEvent) -> bool:
        """Whether it would write the event down now. Asked for every event, so it must be cheap."""
        ...


@runtime_checkable
class Prompt(Protocol):
    """A logger that only takes note in memory, for tests: it is told where the event happens, on
    the courier's loop, so that what happened can be read at once."""

    is_prompt: Literal[True]


class Logger(Protocol):
    """Where events go. It may be `Choosing` or `Prompt`.

    A courier on an event loop calls it in a thread of its own, one event after the other, so that
    a slow one keeps nothing but itself. While 10,000 wait for it, further ones are left out; when
    the courier closes, it has five seconds for what waits. A `BlockingCourier` and records call it
    in their caller's thread. What it raises, and what is left out, changes nothing; the courier's
    health counts it.
    """

    def log(self, event: LogEvent) -> None:
        """Log one event."""
        ...
