"""What an administrator is told about an upload."""

from datetime import UTC, date, datetime

import pytest

from evidence_courier.domain.upload.failure import Failure, FailureKind
from evidence_courier.domain.upload.status import StatusError, UploadStatus, status_of_upload
from evidence_courier.domain.upload.upload import (
    Failed,
    FailedReason,
    Held,
    LookingUp,
    Queued,
    Sending,
    State,
    Succeeded,
    Tally,
    Undecided,
    Upload,
    UploadKey,
    Waiting,
)
from evidence_courier.domain.upload.verdict import Receipt

CREATED = datetime(2026, 2, 21, 10, 0, tzinfo=UTC)
STARTED = datetime(2026, 2, 21, 10, 1, tzinfo=UTC)
UPDATED = datetime(2026, 2, 21, 10, 2, tzinfo=UTC)
DUE = datetime(2026, 2, 21, 10, 3, tzinfo=UTC)
CAUSE = Failure(
    FailureKind.SERVER_ERROR, "HTTP 503", http_status=503, retry_after=9.0, detail="<html>"
)
INVALID = Failure(FailureKind.INTEGRATION_INVALID, "no such provider")
BLOCK = Failure(FailureKind.UNAUTHORIZED, "the key is refused")
ERROR = StatusError(kind="server_error", message="HTTP 503", http_status=503)
RECEIPT = Receipt("ref-1", "taken")


@pytest.mark.parametrize(
    ("state", "word", "error", "due", "receipt", "waits_for"),
    [
        (Queued(DUE), "pending", None, DUE, None, None),
        (Sending(3, STARTED), "pending", None, None, None, None),
        (Sending(3, STARTED, CAUSE), "retrying", ERROR, None, None, None),
        (
            Waiting(DUE, CAUSE),
            "retrying",
            ERROR,
            DUE,
            None,
            "back-off after server_error, until 10:03:00Z",
        ),
        (
            LookingUp(1, DUE, DUE, CAUSE),
            "retrying",
            ERROR,
            DUE,
            None,
            "look-up 1 at sprinto, at 10:03:00Z",
        ),
        (
            Undecided(1, DUE, DUE, CAUSE),
            "retrying",
            ERROR,
            DUE,
            None,
            "decision of sprinto; looked up next at 10:03:00Z",
        ),
        (Held(CAUSE), "held", ERROR, None, None, "a person, who releases, abandons or attests it"),
        (Failed(FailedReason.EXHAUSTED, CAUSE), "failed", ERROR, None, None, None),
        (Succeeded(RECEIPT), "succeeded", None, None, RECEIPT, None),
        (
            Held(BLOCK),
            "held",
            StatusError.of(BLOCK),
            None,
            None,
            "other settings or a release: sprinto is blocked by unauthorized",
        ),
        (
            Held(INVALID),
            "held",
            StatusError.of(INVALID),
            None,
            None,
            "a valid tenant file: what it says of acme is invalid, mend it",
        ),
    ],
)
@pytest.mark.parametrize("duplicate", [False, True])
def test_a_status_tells_how_an_upload_stands(
    state: State,
    word: str,
    error: StatusError | None,
    due: datetime | None,
    receipt: Receipt | None,
    waits_for: str | None,
    duplicate: bool,
) -> None:
    upload = Upload(
        key=UploadKey("acme", "ev-1", "sprinto"),
        digest="a" * 64,
        evidence_date=date(2026, 2, 20),
        created_at=CREATED,
        updated_at=UPDATED,
        version=8,
        tally=Tally(attempts=3, spent=2, possible_duplicate=duplicate),
        state=state,
    )
    assert status_of_upload(upload, STARTED) == UploadStatus(
        tenant_id="acme",
        evidence_id="ev-1",
        provider="sprinto",
        status=word,
        attempts=3,
        possible_duplicate=duplicate,
        waits_for=waits_for,
        error=error,
        last_attempt_at=STARTED,
        next_attempt_at=due,
        receipt=receipt,
        digest="a" * 64,
        evidence_date=date(2026, 2, 20),
        created_at=CREATED,
        updated_at=UPDATED,
    )


def test_an_upload_that_was_never_tried_has_no_last_attempt() -> None:
    upload = Upload(
        UploadKey("acme", "ev-1", "sprinto"),
        "a" * 64,
        date(2026, 2, 20),
        CREATED,
        CREATED,
        1,
        Tally(),
        Queued(DUE),
    )
    assert status_of_upload(upload, None).last_attempt_at is None


def test_an_error_without_a_reply_has_no_http_status() -> None:
    failure = Failure(FailureKind.NO_CONNECTION, "could not connect")
    assert StatusError.of(failure) == StatusError(
        kind="no_connection", message="could not connect", http_status=None
    )
