"""What an administrator is told about an upload."""

from datetime import UTC, date, datetime

import pytest
from attrs import evolve

from evidence_courier.domain.upload.failure import Failure, FailureKind
from evidence_courier.domain.upload.status import (
    Outlook,
    StatusError,
    UploadStatus,
    is_out_of_time,
    status_of_state,
    status_of_upload,
    wait_for_integration,
    wait_for_valid,
)
from evidence_courier.domain.upload.upload import (
    Failed,
    FailedReason,
    Held,
    LookingUp,
    Queued,
    Sending,
    Skipped,
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
REVIEW = Failure(FailureKind.CHECK_IN_REVIEW, "the check is in review")
EXCLUDED = Failure(FailureKind.OUTCOME_EXCLUDED, "only passed is sent")
PAUSED = Failure(FailureKind.PAUSED, "paused by asha since 2026-02-21 10:00 UTC: an audit")
PROCESSING = Failure(FailureKind.STILL_PROCESSING, "in review")
RECEIPT = Receipt("ref-1", "taken")
UNTRIED = Upload(
    UploadKey("acme", "ev-1", "sprinto"),
    "a" * 64,
    date(2026, 2, 20),
    CREATED,
    CREATED,
    1,
    Tally(),
    Queued(DUE),
)


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
            Waiting(DUE, REVIEW),
            "retrying",
            StatusError.of(REVIEW),
            DUE,
            None,
            "target of sprinto, closed by check_in_review; asked again about 10:03:00Z",
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
        (Skipped(EXCLUDED), "skipped", StatusError.of(EXCLUDED), None, None, None),
        (
            Held(PAUSED),
            "held",
            StatusError.of(PAUSED),
            None,
            None,
            "a person, who resumes it: paused by asha since 2026-02-21 10:00 UTC: an audit",
        ),
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
    assert status_of_upload(UNTRIED, None).last_attempt_at is None


@pytest.mark.parametrize(
    ("state", "outlook", "next_attempt_at"),
    [
        (Queued(DUE), Outlook(), DUE),
        (Queued(DUE), Outlook(UPDATED), UPDATED),
        (Queued(DUE), Outlook(None, "the pace of sprinto"), DUE),
        (Queued(DUE), Outlook(UPDATED, wait_for_valid("acme")), UPDATED),
        (Queued(DUE), Outlook(None, wait_for_valid("acme")), None),
        (Queued(DUE), Outlook(None, wait_for_valid("globex")), DUE),
        (Queued(DUE), Outlook(None, wait_for_integration("acme", "sprinto")), None),
        (Queued(DUE), Outlook(None, wait_for_integration("acme", "vanta")), DUE),
        (Waiting(DUE, REVIEW), Outlook(None, wait_for_valid("acme")), DUE),
    ],
)
def test_the_next_attempt_is_as_estimated_or_else_when_it_is_due(
    state: State, outlook: Outlook, next_attempt_at: datetime | None
) -> None:
    """No moment is known while its tenant's configuration must be mended first; what is parked is
    looked at in its time."""
    status = status_of_upload(evolve(UNTRIED, state=state), None, outlook)
    assert status.next_attempt_at == next_attempt_at
    if outlook.waits_for is not None:
        assert status.waits_for == outlook.waits_for


def test_what_waits_for_a_tenant_file_says_what_to_mend() -> None:
    assert wait_for_integration("acme", "sprinto") == (
        "an integration of acme with sprinto: no tenant file names one, and without it this is "
        "held ten minutes after its time"
    )


def test_a_status_tells_what_was_removed_and_that_its_time_was_over() -> None:
    status = status_of_state(
        Failed(FailedReason.EXHAUSTED, CAUSE),
        None,
        tenant_id="acme",
        evidence_id="ev-1",
        provider="sprinto",
        attempts=3,
        possible_duplicate=False,
        last_attempt_at=STARTED,
        digest="a" * 64,
        evidence_date=date(2026, 2, 20),
        created_at=CREATED,
        updated_at=UPDATED,
        erased_at=STARTED,
        pruned_at=DUE,
        out_of_time=True,
    )
    assert (status.erased_at, status.pruned_at, status.out_of_time) == (STARTED, DUE, True)


@pytest.mark.parametrize(
    ("state", "spent", "budget", "limited", "over"),
    [
        (Failed(FailedReason.EXHAUSTED, CAUSE), 2, 5, True, True),
        (Failed(FailedReason.EXHAUSTED, CAUSE), 5, 5, True, False),
        (Failed(FailedReason.EXHAUSTED, CAUSE), 2, None, True, False),
        (Failed(FailedReason.EXHAUSTED, CAUSE), 2, 5, False, False),
        (Failed(FailedReason.EXHAUSTED, PROCESSING), 2, 5, True, False),
        (Failed(FailedReason.REJECTED, CAUSE), 2, 5, True, False),
        (Waiting(DUE, CAUSE), 2, 5, True, False),
    ],
)
def test_a_budget_ended_by_time_has_attempts_left(
    state: State, spent: int, budget: int | None, limited: bool, over: bool
) -> None:
    """A provider that has not decided within the day is another end."""
    assert is_out_of_time(state, spent, budget, limited) is over


def test_an_error_without_a_reply_has_no_http_status() -> None:
    failure = Failure(FailureKind.NO_CONNECTION, "could not connect")
    assert StatusError.of(failure) == StatusError(
        kind="no_connection", message="could not connect", http_status=None
    )
