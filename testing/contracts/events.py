"""One event of every type that a logger can be told."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Final

from ...domain.upload.failure import Failure, FailureKind
from ...domain.upload.status import StatusError, UploadStatus
from ...domain.upload.upload import UploadKey
from ...domain.upload.verdict import Receipt
from ...ports.logger import (
    ActionTaken,
    AttemptEnded,
    AttemptRecovered,
    AttemptStarted,
    ClockSetBack,
    ConfigurationDoubtful,
    ConfigurationLoaded,
    ConfigurationRefused,
    CourierLost,
    DeliveryPaused,
    DeliveryResumed,
    DutyFailed,
    EvidenceConflict,
    HookFailed,
    IntegrationBlocked,
    IntegrationCoolsDown,
    LogEvent,
    LookUpEnded,
    LoopBlocked,
    NoticeNotTaken,
    OriginAnswers,
    OriginSilent,
    ReaderLost,
    RecordingFailed,
    RecordUnreadable,
    RenderingUnavailable,
    StoreTrouble,
    TargetParked,
    TenantUnknown,
    UploadHeld,
    UploadRecorded,
    UploadRequeued,
    UploadSettled,
    UploadSettledElsewhere,
    UploadsWait,
    WriteDelayed,
)

NOW: Final = datetime(2026, 2, 21, 10, 0, tzinfo=UTC)


def one_of_each(odd: str = "") -> list[LogEvent]:
    """Events with `odd` at the end of every text that comes from outside."""
    key = UploadKey("acme" + odd, "ev-1" + odd, "sprinto" + odd)
    failure = Failure(FailureKind.SERVER_ERROR, "down" + odd, http_status=503, retry_after=7.0)
    status = UploadStatus(
        tenant_id="acme" + odd,
        evidence_id="ev-1" + odd,
        provider="sprinto" + odd,
        status="failed",
        attempts=5,
        possible_duplicate=True,
        error=StatusError.of(failure),
        last_attempt_at=NOW,
        next_attempt_at=None,
        receipt=Receipt(reference="r-1" + odd, message="taken" + odd),
        digest="0" * 64,
        evidence_date=date(2026, 2, 21),
        created_at=NOW,
        updated_at=NOW,
    )
    return [
        ConfigurationLoaded("tenants/" + odd, ("acme" + odd,), ("initech" + odd,)),
        ConfigurationRefused(("acme.yaml:3: provider: unknown" + odd,)),
        ConfigurationDoubtful(("ACME.YAML: is not read" + odd,)),
        TenantUnknown("acme" + odd, "tenants/" + odd),
        RenderingUnavailable("Typst is missing" + odd),
        UploadRecorded(key),
        RecordingFailed(key, "disk full" + odd),
        EvidenceConflict(key, "a" * 64, "b" * 64),
        RecordUnreadable(key, "due" + odd),
        AttemptStarted(key, 1, 5, 2.5),
        AttemptEnded(key, 1, "deferred", failure, NOW, NOW, 1.5, 0.25, "req-1" + odd),
        AttemptRecovered(key, 1, NOW, NOW, 61.5),
        LookUpEnded(key, 1, "unreadable", failure, NOW),
        UploadHeld(key, failure),
        UploadRequeued(key, "asha" + odd, "mended" + odd),
        ActionTaken(key, "retry", "asha" + odd, "mended" + odd),
        DeliveryPaused("tenant acme" + odd, "asha" + odd, "an audit" + odd),
        DeliveryResumed("tenant acme" + odd),
        IntegrationBlocked("acme" + odd, "sprinto" + odd, failure),
        TargetParked("acme" + odd, "sprinto" + odd, failure, NOW),
        IntegrationCoolsDown("acme" + odd, "sprinto" + odd, NOW),
        OriginSilent("https://api.example.com:443" + odd),
        OriginAnswers("https://api.example.com:443" + odd),
        UploadsWait("acme" + odd, "sprinto" + odd, "pace of sprinto, 9/min" + odd, NOW),
        CourierLost(3, 2),
        ClockSetBack(3600.5),
        StoreTrouble("disk full" + odd),
        NoticeNotTaken("webhook at example.com" + odd, 2, "HTTP 503" + odd),
        DutyFailed("retention" + odd, "RuntimeError: 1" + odd),
        UploadSettled(status),
        UploadSettledElsewhere(status),
        WriteDelayed(key, "locked" + odd),
        ReaderLost("acme" + odd, "the document source" + odd, 120.0, 3),
        LoopBlocked("acme" + odd, "vanta", "a dialogue for ev-1" + odd, 1.5),
        HookFailed(key, "on_settled" + odd, "KeyError: 1" + odd),
    ]


HOSTILE: Final = '\r\n{"level": "INFO"}\x1b[2J\x9b2J\u202e\u2028\x85\x00"\\\ud800'
"""Forges a second line, clears a terminal, turns the direction of writing, ends a line for some
readers; and half a character."""
