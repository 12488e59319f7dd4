"""What holds for every upload, event and rules, and for every history that can be made of them."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any, get_args

import pytest
from attrs import fields_dict, frozen
from hypothesis import given
from hypothesis import strategies as st

from evidence_courier.domain.integration import OnUnclear, RetryPolicy
from evidence_courier.domain.upload.backoff import floor_of
from evidence_courier.domain.upload.events import (
    Abandoned,
    AttemptEnded,
    Attested,
    Blocked,
    Event,
    LookedUp,
    PersonEvent,
    Progressed,
    Requeued,
    Started,
    Unblocked,
    Unfit,
)
from evidence_courier.domain.upload.failure import Failure, FailureKind
from evidence_courier.domain.upload.transitions import MAX_PROCESSING, Rules, advance
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
    due_of,
    new_upload,
)
from evidence_courier.domain.upload.verdict import (
    Absent,
    AttemptVerdict,
    Deferred,
    Delivered,
    Finding,
    Found,
    Partly,
    Processing,
    Receipt,
    Recovered,
    Refused,
    Rejected,
    Unbundled,
    Unclear,
    Unreadable,
    Withdrawn,
)
from evidence_courier.testing.reachable_states import EventKind

START = datetime(2026, 2, 21, 10, 0, tzinfo=UTC)
KEY = UploadKey("acme", "ev-1", "sprinto")

# --- anything at all -----------------------------------------------------------------------------

moments = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))
any_moment = st.datetimes(timezones=st.just(UTC))
numbers = st.integers(0, 4)
texts = st.text(max_size=5)
jitters = st.floats(0, 1, exclude_max=True)
receipts = st.builds(Receipt, st.none() | texts, st.none() | texts)
failures = st.builds(
    Failure,
    st.sampled_from(FailureKind),
    texts,
    # Two failures with a NaN are not equal, which is NaN's fault; test_backoff shows that one is
    # survived.
    retry_after=st.none() | st.floats(allow_nan=False),
    detail=st.none() | texts,
)
delays = st.timedeltas(timedelta(0), timedelta(days=1))
policies = st.builds(
    RetryPolicy,
    max_attempts=st.integers(1, 4),
    initial_delay=delays,
    max_delay=delays,
    retry_after_limit=delays,
)
all_rules = st.builds(
    Rules,
    policies,
    st.sampled_from(OnUnclear),
    st.booleans(),
    st.lists(delays, min_size=1, max_size=3).map(tuple),
    delays,
)
processing = st.builds(Processing, st.timedeltas(), texts)
verdicts = st.one_of(
    st.builds(Delivered, receipts),
    processing,
    *(
        st.builds(kind, failures)
        for kind in (Rejected, Unbundled, Deferred, Unclear, Recovered, Withdrawn)
    ),
)
findings = st.one_of(
    st.builds(Found, receipts),
    st.builds(Partly, texts),
    st.just(Absent()),
    st.builds(Unreadable, failures),
    st.builds(Refused, failures),
    processing,
)
tallies = st.builds(
    Tally, numbers, numbers, st.booleans(), st.booleans(), st.none() | texts, st.booleans()
)


def states(at: st.SearchStrategy[datetime]) -> st.SearchStrategy[State]:
    return st.one_of(
        st.builds(Queued, at),
        st.builds(Sending, numbers, at, st.none() | failures),
        st.builds(Waiting, at, failures),
        st.builds(LookingUp, numbers, at, at, failures),
        st.builds(Undecided, numbers, at, at, failures),
        st.builds(Held, failures),
        st.builds(Succeeded, receipts),
        st.builds(Failed, st.sampled_from(FailedReason), failures),
    )


def uploads(at: st.SearchStrategy[datetime]) -> st.SearchStrategy[Upload]:
    return st.builds(
        Upload,
        st.just(KEY),
        st.just("a" * 64),
        st.dates(),
        at,
        at,
        st.integers(1, 2**40),
        tallies,
        states(at),
    )


def events(
    at: st.SearchStrategy[datetime],
    attempt: st.SearchStrategy[int],
    look_up: st.SearchStrategy[int],
) -> st.SearchStrategy[Event]:
    return st.one_of(
        st.builds(Started, at),
        st.builds(Progressed, at, attempt, texts),
        st.builds(AttemptEnded, at, attempt, verdicts, jitters),
        st.builds(LookedUp, at, look_up, findings),
        st.builds(Unfit, at, failures),
        st.builds(Blocked, at, failures),
        st.builds(Unblocked, at),
        st.builds(Requeued, at, texts, texts),
        st.builds(Abandoned, at, texts, texts),
        st.builds(Attested, at, texts, texts),
    )


any_upload = uploads(any_moment)
any_event = events(any_moment, numbers, numbers)


@given(any_upload, any_event, all_rules)
def test_every_event_is_answered_in_every_state_under_all_rules(
    upload: Upload, event: Event, rules: Rules
) -> None:
    after = advance(upload, event, rules)
    assert isinstance(after.state, get_args(State))


@given(any_upload, any_event, all_rules)
def test_the_version_grows_by_one_or_nothing_at_all_has_changed(
    upload: Upload, event: Event, rules: Rules
) -> None:
    after = advance(upload, event, rules)
    assert after is upload or (after.version == upload.version + 1 and after.updated_at == event.at)


@given(any_upload, any_event, all_rules)
def test_what_identifies_an_upload_never_changes(
    upload: Upload, event: Event, rules: Rules
) -> None:
    after = advance(upload, event, rules)
    assert (after.key, after.digest, after.evidence_date, after.created_at) == (
        upload.key,
        upload.digest,
        upload.evidence_date,
        upload.created_at,
    )


@given(any_upload, any_event, all_rules)
def test_the_same_event_in_the_same_state_always_comes_to_the_same(
    upload: Upload, event: Event, rules: Rules
) -> None:
    assert advance(upload, event, rules) == advance(upload, event, rules)


@given(any_upload, any_event, all_rules)
def test_attempts_and_the_mark_of_a_possible_duplicate_never_go_back(
    upload: Upload, event: Event, rules: Rules
) -> None:
    after = advance(upload, event, rules)
    assert after.tally.attempts >= upload.tally.attempts
    assert after.tally.possible_duplicate >= upload.tally.possible_duplicate
    assert after.tally.alone >= upload.tally.alone


@given(any_upload, any_event, all_rules)
def test_only_a_start_is_an_attempt_and_it_counts_one(
    upload: Upload, event: Event, rules: Rules
) -> None:
    after = advance(upload, event, rules)
    # A budget that was shortened meanwhile may be used up: then the start ends the upload.
    used_up = isinstance(upload.state, Waiting) and upload.tally.spent >= rules.retry.max_attempts
    begun = after is not upload and isinstance(event, Started) and not used_up
    assert after.tally.attempts == upload.tally.attempts + begun
    if used_up and isinstance(event, Started):
        assert isinstance(upload.state, Waiting)
        assert after.state == Failed(FailedReason.EXHAUSTED, upload.state.cause)
    if begun:
        assert after.state == Sending(
            after.tally.attempts, event.at, getattr(upload.state, "cause", None)
        )
        assert after.tally.possible_duplicate == (
            upload.tally.possible_duplicate or upload.tally.doubt
        )


@given(any_upload, any_event, all_rules)
def test_success_absorbs_everything(upload: Upload, event: Event, rules: Rules) -> None:
    if isinstance(upload.state, Succeeded):
        assert advance(upload, event, rules) is upload


@given(any_upload, any_moment, numbers, receipts, all_rules)
def test_news_of_a_delivery_is_believed_in_every_state(
    upload: Upload, at: datetime, attempt: int, receipt: Receipt, rules: Rules
) -> None:
    for news in (
        AttemptEnded(at, attempt, Delivered(receipt), 0.0),
        LookedUp(at, attempt, Found(receipt)),
    ):
        after = advance(upload, news, rules)
        assert isinstance(after.state, Succeeded)
        assert after is upload or (after.state.receipt == receipt and not after.tally.doubt)


@given(any_upload, any_event, all_rules)
def test_a_person_never_touches_what_is_in_flight(
    upload: Upload, event: Event, rules: Rules
) -> None:
    if isinstance(event, PersonEvent) and isinstance(upload.state, Sending):
        assert advance(upload, event, rules) is upload


@given(uploads(moments), events(moments, numbers, numbers), all_rules)
def test_no_attempt_is_due_before_the_retry_after_of_the_one_before(
    upload: Upload, event: Event, rules: Rules
) -> None:
    """Within the limit of Retry-After."""
    after = advance(upload, event, rules)
    if after is upload or not isinstance(event, AttemptEnded):
        return
    if not isinstance(event.verdict, Deferred | Unclear | Recovered):
        return
    earliest = event.at + floor_of(rules.retry, event.verdict.failure, rules.throttle_floor)
    match after.state:
        case Waiting(due=due):
            assert due >= earliest
        case LookingUp(resend_at=resend_at):
            assert resend_at >= earliest
        case _:
            assert due_of(after.state) is None


@given(uploads(moments), events(moments, numbers, numbers), all_rules)
def test_a_wait_that_no_reply_asked_for_is_at_most_the_longest_delay(
    upload: Upload, event: Event, rules: Rules
) -> None:
    after = advance(upload, event, rules)
    if (
        isinstance(event, AttemptEnded)
        and isinstance(event.verdict, Deferred | Unclear)
        and isinstance(after.state, Waiting)
        and after is not upload
    ):
        asked = floor_of(rules.retry, event.verdict.failure, rules.throttle_floor)
        assert event.at <= after.state.due <= event.at + max(asked, rules.retry.max_delay)


@given(uploads(moments), events(moments, numbers, numbers), all_rules)
def test_a_resend_after_look_ups_is_never_earlier_than_by_back_off_alone(
    upload: Upload, event: Event, rules: Rules
) -> None:
    after = advance(upload, event, rules)
    looked_up = isinstance(event, LookedUp) and isinstance(event.finding, Absent | Unreadable)
    if isinstance(upload.state, LookingUp) and looked_up:
        match after.state:
            case Waiting(due=due):
                assert due == max(event.at, upload.state.resend_at)
            case LookingUp(resend_at=resend_at):
                assert resend_at == upload.state.resend_at
            case _:
                assert isinstance(after.state, Held | Failed)


# --- whole histories -----------------------------------------------------------------------------


CAUSES = (
    Failure(FailureKind.TIMEOUT, "no reply"),
    Failure(FailureKind.UNRECOGNISED_REPLY, "a word that nobody knows"),
    Failure(FailureKind.TOLD_TO_WAIT, "come back later", retry_after=7200.0),
    Failure(FailureKind.UNAUTHORIZED, "the key is not accepted"),
)


VERDICTS, FINDINGS = get_args(AttemptVerdict), get_args(Finding)
OTHERS = tuple(kind for kind in get_args(Event) if kind not in (AttemptEnded, LookedUp))
KINDS = (*OTHERS, *VERDICTS, *FINDINGS)


@frozen
class Step:
    """Something that happens: what fits the state if `kind` is None, else whatever it is, to a
    number `off` the current one."""

    kind: EventKind | None
    off: int
    wait: int
    jitter: float
    cause: Failure


steps = st.builds(
    Step,
    st.none() | st.sampled_from(KINDS),
    st.sampled_from((0, 0, 0, -1, 1)),
    st.integers(0, 7200),
    jitters,
    st.sampled_from(CAUSES),
)


def event_for(upload: Upload, step: Step) -> Event:
    """The event that a step is for an upload as it stands."""
    state = upload.state
    kind = step.kind or (Started if isinstance(state, Queued | Waiting) else Requeued)
    values: dict[str, Any] = {
        "at": upload.updated_at + timedelta(seconds=step.wait),
        "attempt": upload.tally.attempts + step.off,
        "look_up": getattr(state, "look_up", 1) + step.off,
        "jitter": step.jitter,
        "failure": step.cause,
        "progress": "page-1",
        "receipt": Receipt("ref-1"),
        "after": timedelta(seconds=step.wait),
        "message": "in review",
        "until": upload.updated_at + timedelta(seconds=7200 * step.jitter),
        "by": "asha",
        "reason": "because",
    }
    made: Any = kind(**{name: values[name] for name in fields_dict(kind)})
    if kind in VERDICTS and (kind is not Processing or isinstance(state, Sending)):
        return AttemptEnded(values["at"], values["attempt"], made, step.jitter)
    if kind in FINDINGS:
        return LookedUp(values["at"], values["look_up"], made)
    assert isinstance(made, Event)
    return made


def life(steps_taken: list[Step], rules: Rules) -> list[Upload]:
    """An upload's versions, from the first to the last."""
    versions = [new_upload(KEY, "a" * 64, date(2026, 2, 21), START)]
    for step in steps_taken:
        versions.append(advance(versions[-1], event_for(versions[-1], step), rules))
    return versions


lives = st.builds(life, st.lists(steps, max_size=40), all_rules)


@given(st.lists(steps, max_size=40), all_rules)
def test_a_budget_is_never_overspent(steps_taken: list[Step], rules: Rules) -> None:
    for upload in life(steps_taken, rules):
        assert 0 <= upload.tally.spent <= rules.retry.max_attempts
        assert upload.tally.spent <= upload.tally.attempts


@given(lives)
def test_every_send_out_of_a_doubt_is_marked_and_stays_marked(versions: list[Upload]) -> None:
    marked = False
    for before, after in pairwise(versions):
        marked = marked or (isinstance(after.state, Sending) and before.tally.doubt)
        assert after.tally.possible_duplicate == marked


@given(lives)
def test_attempts_are_numbered_without_a_gap(versions: list[Upload]) -> None:
    begun = [
        after.state.attempt
        for before, after in pairwise(versions)
        if isinstance(after.state, Sending) and not isinstance(before.state, Sending)
    ]
    assert begun == list(range(1, len(begun) + 1))
    assert versions[-1].tally.attempts == len(begun)


@given(lives)
def test_every_version_is_settled_in_flight_or_has_a_next_moment(
    versions: list[Upload],
) -> None:
    for upload in versions:
        assert (
            upload.status.at_rest
            or isinstance(upload.state, Sending)
            or due_of(upload.state) is not None
        )


@given(lives)
def test_an_upload_is_confirmed_only_while_in_doubt(versions: list[Upload]) -> None:
    for upload in versions:
        assert not isinstance(upload.state, LookingUp) or upload.tally.doubt


@given(lives)
def test_what_was_taken_is_resent_only_out_of_a_doubt_or_after_a_refusal(
    versions: list[Upload],
) -> None:
    taken = False
    for before, after in pairwise(versions):
        if isinstance(after.state, Sending) and not isinstance(before.state, Sending):
            assert not taken or after.tally.possible_duplicate
        if isinstance(after.state, Undecided):
            taken = True
        if isinstance(after.state, Failed) and after.state.reason is FailedReason.REJECTED:
            taken = False


@given(lives)
def test_no_attempt_begins_while_the_provider_decides(versions: list[Upload]) -> None:
    for before, after in pairwise(versions):
        if isinstance(before.state, Undecided):
            assert not isinstance(after.state, Sending | Queued | Waiting | LookingUp)
            assert after.tally.attempts == before.tally.attempts


@given(lives)
def test_the_provider_decides_within_a_day(versions: list[Upload]) -> None:
    for upload in versions:
        if isinstance(upload.state, Undecided):
            assert upload.updated_at < upload.state.since + MAX_PROCESSING
            assert upload.state.due <= upload.state.since + MAX_PROCESSING


def test_rules_without_a_single_look_up_are_refused() -> None:
    with pytest.raises(ValueError, match="look_up_delays"):
        Rules(can_look_up=True, look_up_delays=())
