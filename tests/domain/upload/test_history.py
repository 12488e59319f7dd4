"""An upload's details, from what is kept of it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from attrs import asdict

from evidence_courier.domain.upload.attempt import Attempt
from evidence_courier.domain.upload.failure import Failure, FailureKind
from evidence_courier.domain.upload.history import details_of, running_attempt
from evidence_courier.domain.upload.status import (
    ActionRow,
    AttemptRow,
    LookUpRow,
    RunningAttempt,
    UploadDetails,
    UploadStatus,
)
from evidence_courier.domain.upload.upload import Held, Queued, Sending, State, Waiting
from evidence_courier.domain.upload.verdict import (
    AttemptVerdict,
    Deferred,
    Delivered,
    Processing,
    Receipt,
)

AT = datetime(2026, 2, 21, 10, tzinfo=UTC)
ENDED = AT + timedelta(seconds=2)
FAILURE = Failure(
    FailureKind.SERVER_ERROR, "HTTP 503", http_status=503, retry_after=90.0, detail="<html>"
)
STATUS = UploadStatus(
    tenant_id="acme",
    evidence_id="ev-1",
    provider="sprinto",
    status="retrying",
    attempts=3,
    possible_duplicate=True,
    waits_for="the pace of sprinto",
    error=None,
    last_attempt_at=AT,
    next_attempt_at=ENDED,
    receipt=None,
    digest="a" * 64,
    evidence_date=date(2026, 2, 20),
    created_at=AT,
    updated_at=ENDED,
    erased_at=AT,
    pruned_at=ENDED,
    out_of_time=True,
)
RUNNING = RunningAttempt(
    number=4, started_at=AT, courier_id=9, courier="web-1:17", waits_for="the pace of sprinto"
)


@pytest.mark.parametrize(
    ("verdict", "row"),
    [
        (
            Deferred(FAILURE),
            {
                "verdict": "deferred",
                "kind": "server_error",
                "message": "HTTP 503",
                "http_status": 503,
                "retry_after": 90.0,
                "detail": "<html>",
            },
        ),
        (Delivered(Receipt("ref-1", "taken")), {"verdict": "delivered", "message": "taken"}),
        (
            Processing(timedelta(minutes=5), "in review"),
            {"verdict": "processing", "message": "in review"},
        ),
    ],
)
def test_an_attempt_shows_its_verdict_and_what_went_wrong(
    verdict: AttemptVerdict, row: dict[str, object]
) -> None:
    """What the provider took has no kind of error, even if it decides later."""
    attempt = Attempt(3, AT, ENDED, verdict, "req-9")
    (shown,) = details_of(STATUS, "a PDF", [attempt], [], []).history
    nothing = dict.fromkeys(("kind", "http_status", "retry_after", "detail"))
    expected = {"number": 3, "started_at": AT, "ended_at": ENDED, "request_id": "req-9"}
    assert asdict(shown) == {**nothing, **expected, **row}


def test_details_are_the_status_and_all_that_led_to_it() -> None:
    verdict = Deferred(FAILURE)
    attempts = [Attempt(number, AT, ENDED, verdict, f"req-{number}") for number in (1, 2)]
    actions = [ActionRow(at=AT, action="retry", by="asha", reason="it is mended")]
    look_ups = [LookUpRow(number=1, at=AT, finding="absent")]
    details = details_of(
        STATUS, "a PDF of 9 kB", iter(attempts), iter(actions), iter(look_ups), RUNNING
    )
    assert details == UploadDetails(
        **vars(STATUS),
        document="a PDF of 9 kB",
        running=RUNNING,
        history=tuple(
            AttemptRow(
                number=number,
                started_at=AT,
                ended_at=ENDED,
                verdict="deferred",
                kind="server_error",
                message="HTTP 503",
                http_status=503,
                retry_after=90.0,
                request_id=f"req-{number}",
                detail="<html>",
            )
            for number in (1, 2)
        ),
        actions=(*actions,),
        look_ups=(*look_ups,),
    )


def test_an_attempt_runs_while_its_upload_is_being_sent() -> None:
    """Whatever has become of its courier."""
    assert running_attempt(Sending(4, AT), STATUS, 9, "web-1:17") == RUNNING
    gone = running_attempt(Sending(4, AT), STATUS, None)
    assert gone is not None
    assert (gone.courier_id, gone.courier) == (None, None)


@pytest.mark.parametrize("state", [Queued(AT), Waiting(AT, FAILURE), Held(FAILURE)])
def test_no_attempt_runs_of_what_waits(state: State) -> None:
    assert running_attempt(state, STATUS, 9) is None
