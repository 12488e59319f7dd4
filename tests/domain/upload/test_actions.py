"""What people do to an upload."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from attrs import evolve

from evidence_courier.domain.errors import MisuseError
from evidence_courier.domain.upload.actions import (
    MAX_REASON_LENGTH,
    Action,
    Inapplicable,
    Person,
    act,
    fits,
    unblocks,
)
from evidence_courier.domain.upload.events import Requeued, Started
from evidence_courier.domain.upload.failure import Failure, FailureKind
from evidence_courier.domain.upload.status import status_of_upload
from evidence_courier.domain.upload.transitions import Rules, advance
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
    Undecided,
    Upload,
    UploadKey,
    Waiting,
    new_upload,
)
from evidence_courier.domain.upload.verdict import Receipt

AT = datetime(2026, 2, 21, 10, 0, tzinfo=UTC)
NEW = new_upload(UploadKey("acme", "ev-1", "sprinto"), "0" * 64, AT.date(), AT)
LATER = AT + timedelta(minutes=1)
ASHA = Person("asha", "the key is renewed")
CAUSE = Failure(FailureKind.TIMEOUT, "no reply")
KEY_REFUSED = Failure(FailureKind.UNAUTHORIZED, "the key is refused")
UNKNOWN = Failure(FailureKind.UNKNOWN_STATUS, "DONE is not known")
REVIEW = Failure(FailureKind.CHECK_IN_REVIEW, "in review")
FAILED = ("failed", "failed under a block", "failed in doubt")


def upload_in(state: State) -> Upload:
    return evolve(NEW, state=state)


STATES: dict[str, State] = {
    "queued": Queued(AT),
    "sending": Sending(1, AT),
    "waiting": Waiting(AT, CAUSE),
    "confirming": LookingUp(1, AT, AT, CAUSE),
    "undecided": Undecided(1, AT, AT, CAUSE),
    "held": Held(CAUSE),
    "succeeded": Succeeded(Receipt()),
    "failed": Failed(FailedReason.REJECTED, CAUSE),
    "failed under a block": Failed(FailedReason.REJECTED, KEY_REFUSED),
    "failed in doubt": Failed(FailedReason.REJECTED, UNKNOWN),
    "parked": Waiting(AT, REVIEW),
    "skipped": Skipped(CAUSE),
}
APPLIES: dict[Action, dict[str, Status]] = {
    Action.RETRY: dict.fromkeys((*FAILED, "skipped"), Status.PENDING),
    Action.RELEASE: dict.fromkeys(("held", "parked", "failed under a block"), Status.PENDING),
    Action.ABANDON: dict.fromkeys(
        ("queued", "waiting", "confirming", "undecided", "held", "parked"), Status.FAILED
    ),
    Action.ATTEST: dict.fromkeys(("held", "parked", *FAILED, "skipped"), Status.SUCCEEDED),
}


@pytest.mark.parametrize("name", STATES)
@pytest.mark.parametrize("action", Action)
def test_each_action_is_for_some_states_and_done_twice_changes_nothing(
    action: Action, name: str
) -> None:
    before = upload_in(STATES[name])
    after = act(before, action, ASHA, AT, Rules())
    if name not in APPLIES[action]:
        assert isinstance(after, Inapplicable)
        assert after.reason
        return
    assert isinstance(after, Upload)
    assert after.status is APPLIES[action][name]
    again = act(after, action, ASHA, AT, Rules())
    assert isinstance(again, Inapplicable)


@pytest.mark.parametrize("name", [name for name in STATES if name != "sending"])
@pytest.mark.parametrize("action", Action)
def test_a_status_tells_as_much_of_what_may_be_done(action: Action, name: str) -> None:
    """Of all but an attempt that is in flight."""
    status = status_of_upload(upload_in(STATES[name]), None)
    assert fits(action, status) is (name in APPLIES[action])


@pytest.mark.parametrize(
    ("action", "applies"),
    [
        (Action.RETRY, False),
        (Action.RELEASE, False),
        (Action.ABANDON, True),
        (Action.ATTEST, True),
    ],
)
def test_what_is_paused_goes_on_when_a_person_resumes_it(action: Action, applies: bool) -> None:
    paused = upload_in(Held(Failure(FailureKind.PAUSED, "paused by asha: an audit")))
    after = act(paused, action, ASHA, AT, Rules())
    if applies:
        assert isinstance(after, Upload)
    else:
        assert after == Inapplicable("a person has paused it: resume the tenant or the provider")


def test_an_action_during_an_attempt_is_refused_with_that_reason() -> None:
    begun = advance(NEW, Started(AT), Rules())
    for action in Action:
        refused = act(begun, action, ASHA, AT, Rules())
        assert refused == Inapplicable(
            "an attempt is in flight: wait until it has ended, "
            "then see whether this is still wanted"
        )


def test_what_does_not_apply_says_what_it_is_for() -> None:
    refused = act(upload_in(STATES["succeeded"]), Action.ATTEST, ASHA, AT, Rules())
    assert refused == Inapplicable(
        "it is succeeded, and attest is for what is held or failed or skipped"
    )


@pytest.mark.parametrize(
    ("action", "name", "said"),
    [
        (
            Action.RETRY,
            "held",
            "it is held, and retry is for what is failed or skipped: release it",
        ),
        (
            Action.RETRY,
            "parked",
            "retrying, and retry is for what is failed or skipped: release it",
        ),
        (Action.RELEASE, "failed", "or failed because the integration did not work: retry it"),
    ],
)
def test_what_does_not_apply_names_the_action_that_does(
    action: Action, name: str, said: str
) -> None:
    refused = act(upload_in(STATES[name]), action, ASHA, AT, Rules())
    assert isinstance(refused, Inapplicable)
    assert refused.reason.endswith(said)


@pytest.mark.parametrize(
    "state",
    [
        Held(KEY_REFUSED),
        Failed(FailedReason.REJECTED, KEY_REFUSED),
        Waiting(AT, REVIEW),
        Failed(FailedReason.REJECTED, REVIEW),
    ],
)
def test_trying_again_what_the_integration_was_to_blame_for_unblocks_it(state: State) -> None:
    upload = upload_in(state)
    assert [action for action in Action if unblocks(upload, action)] == [
        Action.RETRY,
        Action.RELEASE,
    ]


@pytest.mark.parametrize(
    "state", [Held(CAUSE), Waiting(AT, KEY_REFUSED), Queued(AT), Succeeded(Receipt())]
)
def test_nothing_else_unblocks_an_integration(state: State) -> None:
    assert not any(unblocks(upload_in(state), action) for action in Action)


@pytest.mark.parametrize(
    ("by", "reason", "said"),
    [
        ("", "because", "^by must say who acts: it is recorded$"),
        ("asha", " \n", "^reason must say why: it is recorded$"),
        ("asha", None, "^reason must say why: it is recorded$"),
        ("a" * (MAX_REASON_LENGTH + 1), "because", "by has 2,001 characters; 2,000 are enough"),
        ("asha", "a" * (MAX_REASON_LENGTH + 1), "^reason has 2,001 characters"),
    ],
)
def test_a_person_needs_a_name_and_a_reason(by: str, reason: str, said: str) -> None:
    with pytest.raises(MisuseError, match=said):
        Person(by, reason)
    assert Person("a" * MAX_REASON_LENGTH, "because").reason == "because"


def test_the_record_keeps_who_and_why() -> None:
    after = act(NEW, Action.ABANDON, ASHA, AT, Rules())
    assert isinstance(after, Upload)
    assert isinstance(after.state, Failed)
    assert after.state.cause.message == "abandoned by asha: the key is renewed"


def test_what_is_tried_again_is_looked_up_first_where_it_can_be() -> None:
    can_look_up = Rules(can_look_up=True)
    for state, action in ((STATES["failed"], Action.RETRY), (STATES["held"], Action.RELEASE)):
        doubtful = evolve(NEW, state=state, tally=evolve(NEW.tally, doubt=True))
        after = act(doubtful, action, ASHA, LATER, can_look_up)
        assert after == advance(
            doubtful, Requeued(LATER, "asha", "the key is renewed"), can_look_up
        )
        assert isinstance(after, Upload)
        assert (after.updated_at, after.state) == (LATER, LookingUp(1, LATER, LATER, CAUSE))


def test_what_is_attested_says_by_whom_and_when() -> None:
    after = act(upload_in(STATES["held"]), Action.ATTEST, ASHA, LATER, Rules())
    assert isinstance(after, Upload)
    assert (after.updated_at, after.state) == (
        LATER,
        Succeeded(Receipt(None, "attested by asha: the key is renewed")),
    )


def test_what_is_abandoned_says_when() -> None:
    after = act(NEW, Action.ABANDON, ASHA, LATER, Rules())
    assert isinstance(after, Upload)
    assert after.updated_at == LATER
