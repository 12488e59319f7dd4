"""An upload as it begins, and what its state says of it."""

from datetime import UTC, date, datetime, timedelta

import pytest
from attrs import evolve

from evidence_courier.domain.upload.failure import Failure, FailureKind
from evidence_courier.domain.upload.upload import (
    Failed,
    FailedReason,
    Held,
    LookingUp,
    Queued,
    Sending,
    Skipped,
    State,
    Status,
    Succeeded,
    Tally,
    Undecided,
    Upload,
    UploadKey,
    Waiting,
    cause_of,
    due_at,
    due_of,
    is_stopped,
    new_upload,
    numbered,
    status_of,
    with_digest,
    with_look_up_due,
)
from evidence_courier.domain.upload.verdict import Receipt

NOW = datetime(2026, 2, 21, 10, 0, tzinfo=UTC)
DUE = datetime(2026, 2, 21, 10, 5, tzinfo=UTC)
LATER = datetime(2026, 2, 21, 10, 9, tzinfo=UTC)
CAUSE = Failure(FailureKind.TIMEOUT, "no reply within 30 s")
KEY = UploadKey("acme", "ev-1", "sprinto")
UPLOAD = new_upload(KEY, "0" * 64, NOW.date(), NOW)


@pytest.mark.parametrize(
    ("state", "word", "due", "cause"),
    [
        (Queued(DUE), "pending", DUE, None),
        (Sending(1, NOW), "pending", None, None),
        (Sending(2, NOW, CAUSE), "retrying", None, CAUSE),
        (Waiting(DUE, CAUSE), "retrying", DUE, CAUSE),
        (LookingUp(1, DUE, LATER, CAUSE), "retrying", DUE, CAUSE),
        (Undecided(1, DUE, NOW, CAUSE), "retrying", DUE, CAUSE),
        (Held(CAUSE), "held", None, CAUSE),
        (Succeeded(Receipt()), "succeeded", None, None),
        (Failed(FailedReason.REJECTED, CAUSE), "failed", None, CAUSE),
        (Failed(FailedReason.EXHAUSTED, CAUSE), "failed", None, CAUSE),
        (Failed(FailedReason.ABANDONED, CAUSE), "failed", None, CAUSE),
        (Skipped(CAUSE), "skipped", None, CAUSE),
    ],
)
def test_a_state_says_its_word_when_it_goes_on_and_what_it_fails_for(
    state: State, word: str, due: datetime | None, cause: Failure | None
) -> None:
    upload = Upload(KEY, "a" * 64, date(2026, 2, 20), NOW, NOW, 3, Tally(), state)
    assert status_of(state).value == word
    assert upload.status is Status(word)
    assert due_of(state) == due
    assert cause_of(state) is cause


@pytest.mark.parametrize(
    ("word", "at_rest"),
    [
        ("pending", False),
        ("retrying", False),
        ("held", True),
        ("succeeded", True),
        ("failed", True),
        ("skipped", True),
    ],
)
def test_what_is_neither_pending_nor_retrying_is_at_rest(word: str, at_rest: bool) -> None:
    assert Status(word).at_rest is at_rest


def test_a_status_has_six_words_and_a_failure_three_reasons() -> None:
    assert [status.value for status in Status] == [
        "pending",
        "retrying",
        "held",
        "succeeded",
        "failed",
        "skipped",
    ]
    assert [reason.value for reason in FailedReason] == ["rejected", "exhausted", "abandoned"]


def test_an_upload_begins_queued_and_due_at_once_with_nothing_counted() -> None:
    assert new_upload(KEY, "a" * 64, date(2026, 2, 20), NOW) == Upload(
        key=KEY,
        digest="a" * 64,
        evidence_date=date(2026, 2, 20),
        created_at=NOW,
        updated_at=NOW,
        version=1,
        tally=Tally(
            attempts=0, spent=0, doubt=False, possible_duplicate=False, progress=None, alone=False
        ),
        state=Queued(due=NOW),
    )


def test_a_key_reads_as_whose_what_and_whereto() -> None:
    assert str(KEY) == "acme/ev-1 to sprinto"


def test_keys_are_sorted_by_tenant_then_evidence_then_provider() -> None:
    keys = [
        UploadKey("b", "a", "a"),
        UploadKey("a", "b", "a"),
        UploadKey("a", "a", "b"),
        UploadKey("a", "a", "a"),
    ]
    assert sorted(keys) == keys[::-1]


def test_a_due_time_holds_as_long_as_the_clock_goes_forward() -> None:
    due = NOW + timedelta(minutes=5)
    waiting = evolve(UPLOAD, state=Waiting(due, CAUSE), updated_at=NOW)
    for now in (NOW, NOW + timedelta(minutes=1), NOW + timedelta(days=1)):
        assert due_at(waiting, now) == due


def test_where_the_clock_was_set_back_only_the_rest_of_the_wait_is_waited() -> None:
    waiting = evolve(UPLOAD, state=Waiting(NOW + timedelta(minutes=5), CAUSE), updated_at=NOW)
    earlier = NOW - timedelta(days=1)
    assert due_at(waiting, earlier) == earlier + timedelta(minutes=5)


def test_what_waits_for_nothing_is_never_due() -> None:
    assert due_at(evolve(UPLOAD, state=Held(CAUSE)), NOW) is None


@pytest.mark.parametrize(
    ("state", "stopped"),
    [
        (Held(CAUSE), True),
        (Waiting(DUE, Failure(FailureKind.CHECK_IN_REVIEW, "in review")), True),
        (Waiting(DUE, CAUSE), False),
        (Failed(FailedReason.REJECTED, Failure(FailureKind.UNAUTHORIZED, "refused")), True),
        (Failed(FailedReason.REJECTED, Failure(FailureKind.UNKNOWN_STATUS, "DONE")), False),
        (Failed(FailedReason.REJECTED, CAUSE), False),
        (Queued(DUE), False),
    ],
)
def test_a_release_is_for_what_is_held_parked_or_failed_for_a_block(
    state: State, stopped: bool
) -> None:
    """But not for what may have been taken all the same."""
    assert is_stopped(state) is stopped


def test_the_number_of_a_record_changes_nothing_else() -> None:
    upload = evolve(UPLOAD, state=Held(CAUSE), tally=Tally(3), version=9, updated_at=LATER)
    found = numbered(upload, 7)
    assert (found, found.id) == (upload, 7)
    assert numbered(found, None).id is None


def test_a_document_that_is_made_later_gives_its_digest_then() -> None:
    found = with_digest(UPLOAD, "1" * 64, LATER)
    assert found == evolve(UPLOAD, digest="1" * 64, updated_at=LATER, version=2)


@pytest.mark.parametrize("state", [LookingUp(2, NOW, LATER, CAUSE), Undecided(2, NOW, NOW, CAUSE)])
def test_a_look_up_that_a_courier_makes_is_due_for_others_later(
    state: LookingUp | Undecided,
) -> None:
    upload = evolve(UPLOAD, state=state, version=9)
    found = with_look_up_due(upload, DUE, LATER)
    assert found == evolve(upload, state=evolve(state, due=DUE), updated_at=LATER, version=10)
