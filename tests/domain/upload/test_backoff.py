"""How long is waited before the next attempt."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from evidence_courier.domain.integration import RetryPolicy
from evidence_courier.domain.upload.backoff import (
    backoff,
    bounded,
    earlier,
    floor_of,
    later,
    schedule_of,
)
from evidence_courier.domain.upload.events import AttemptEnded, Started
from evidence_courier.domain.upload.failure import Failure, FailureKind
from evidence_courier.domain.upload.transitions import Rules, advance
from evidence_courier.domain.upload.upload import Failed, Upload, UploadKey, Waiting, new_upload
from evidence_courier.domain.upload.verdict import Deferred

NOW = datetime(2026, 2, 21, 10, 0, tzinfo=UTC)
LONGEST_JITTER = 1 - 2**-53  # the greatest number below 1 that chance can bring
NOTHING = timedelta(0)
TICK = timedelta.resolution

delays = st.timedeltas(min_value=NOTHING)
jitters = st.floats(0, 1, exclude_max=True)
counts = st.integers(min_value=-(10**30), max_value=10**30)


@st.composite
def policies(draw: st.DrawFn) -> RetryPolicy:
    """Any policy that a configuration may state, and far beyond: the maximum is not below the
    first delay."""
    initial, longest = sorted((draw(delays), draw(delays)))
    return RetryPolicy(initial_delay=initial, max_delay=longest, retry_after_limit=draw(delays))


def told_to_wait(seconds: float | None) -> Failure:
    return Failure(FailureKind.TOLD_TO_WAIT, "come back later", retry_after=seconds)


@pytest.mark.parametrize(
    ("spent", "shortest", "longest"),
    [(1, 5, 10), (2, 10, 20), (3, 20, 40), (4, 40, 80), (5, 80, 160), (6, 150, 300), (7, 150, 300)],
)
def test_waits_double_from_five_seconds_up_to_half_of_the_maximum(
    spent: int, shortest: int, longest: int
) -> None:
    policy = RetryPolicy()
    assert backoff(policy, spent, 0.0) == timedelta(seconds=shortest)
    assert backoff(policy, spent, 0.5) == timedelta(seconds=(shortest + longest) / 2)
    assert backoff(policy, spent, LONGEST_JITTER) == timedelta(seconds=longest)


@pytest.mark.parametrize("spent", [0, -1, -(10**30)])
def test_a_wait_before_anything_was_spent_is_the_first_wait(spent: int) -> None:
    assert backoff(RetryPolicy(), spent, 0.5) == backoff(RetryPolicy(), 1, 0.5)


@given(policies(), counts, jitters)
@example(RetryPolicy(max_delay=timedelta.max), 10**30, LONGEST_JITTER)
@example(RetryPolicy(initial_delay=timedelta.max, max_delay=timedelta.max), 2, LONGEST_JITTER)
@example(RetryPolicy(initial_delay=TICK, max_delay=TICK), 1, LONGEST_JITTER)
def test_no_wait_is_negative_or_longer_than_the_maximum(
    policy: RetryPolicy, spent: int, jitter: float
) -> None:
    """Policy, count and jitter do not matter."""
    assert NOTHING <= backoff(policy, spent, jitter) <= policy.max_delay


@given(policies(), st.integers(1, 80), jitters, jitters)
def test_waits_grow_on_the_way_up_whatever_the_jitter(
    policy: RetryPolicy, spent: int, jitter: float, next_jitter: float
) -> None:
    longest, shortest_next = backoff(policy, spent, jitter), backoff(policy, spent + 1, next_jitter)
    still_doubling = backoff(policy, spent + 1, 0.0) == 2 * backoff(policy, spent, 0.0)
    if still_doubling:
        assert longest <= shortest_next
    else:
        assert backoff(policy, spent + 1, 0.0) == policy.max_delay // 2


@given(policies(), counts, jitters, jitters)
def test_more_jitter_is_never_a_shorter_wait(
    policy: RetryPolicy, spent: int, one: float, other: float
) -> None:
    less, more = sorted((one, other))
    assert backoff(policy, spent, less) <= backoff(policy, spent, more)


def test_a_thousand_failures_come_back_spread_over_half_of_the_maximum() -> None:
    waits = [backoff(RetryPolicy(), 50, n / 1000) for n in range(1000)]
    assert min(waits) == timedelta(seconds=150)
    assert max(waits) > timedelta(seconds=299)
    in_ten_seconds = [
        sum(start <= wait < start + timedelta(seconds=10) for wait in waits) for start in waits
    ]
    assert max(in_ten_seconds) < 80


def test_the_smallest_delay_reaches_the_greatest_maximum_by_doubling_alone() -> None:
    policy = RetryPolicy(initial_delay=TICK, max_delay=timedelta.max)
    assert backoff(policy, 66, 0.0) == 2**65 * TICK
    assert backoff(policy, 67, 0.0) == timedelta.max // 2


# --- what the provider asks for ------------------------------------------------------------------


def test_retry_after_is_a_floor_to_the_second() -> None:
    assert floor_of(RetryPolicy(), told_to_wait(120), NOTHING) == timedelta(seconds=120)


def test_retry_after_is_bounded_by_its_limit_and_not_by_the_longest_delay() -> None:
    policy = RetryPolicy(max_delay=timedelta(seconds=10), retry_after_limit=timedelta(minutes=20))
    assert floor_of(policy, told_to_wait(1199), NOTHING) == timedelta(seconds=1199)
    assert floor_of(policy, told_to_wait(1201), NOTHING) == timedelta(minutes=20)


def test_a_retry_after_counts_even_where_the_pace_has_a_longer_period() -> None:
    assert floor_of(RetryPolicy(), told_to_wait(3), timedelta(minutes=1)) == timedelta(seconds=3)


@pytest.mark.parametrize("kind", FailureKind)
def test_without_retry_after_only_throttled_uploads_wait_a_period(
    kind: FailureKind,
) -> None:
    """That is a period of the pace."""
    expected = (
        timedelta(minutes=1)
        if kind in (FailureKind.RATE_LIMITED, FailureKind.TOLD_TO_WAIT)
        else NOTHING
    )
    assert floor_of(RetryPolicy(), Failure(kind, "no"), timedelta(minutes=1)) == expected


@given(policies(), st.floats())
@example(RetryPolicy(), float("nan"))
@example(RetryPolicy(), float("inf"))
@example(RetryPolicy(), float("-inf"))
def test_no_retry_after_makes_a_floor_negative_or_higher_than_the_limit(
    policy: RetryPolicy, seconds: float
) -> None:
    assert NOTHING <= floor_of(policy, told_to_wait(seconds), NOTHING) <= policy.retry_after_limit


@pytest.mark.parametrize(
    ("seconds", "floor"), [(float("nan"), 0), (float("-inf"), 0), (-1.0, 0), (float("inf"), 3600)]
)
def test_a_retry_after_that_is_no_time_counts_as_none(seconds: float, floor: int) -> None:
    """One without end counts as the limit."""
    assert floor_of(RetryPolicy(), told_to_wait(seconds), NOTHING) == timedelta(seconds=floor)


@pytest.mark.parametrize("seconds", [None, 0.0, 3600.0, float("nan")])
def test_a_failure_whose_retry_after_is_not_bounded_is_recorded_as_it_is(
    seconds: float | None,
) -> None:
    failure = told_to_wait(seconds)
    assert bounded(RetryPolicy(), failure) is failure


def test_a_failure_whose_retry_after_was_bounded_says_what_was_asked() -> None:
    assert bounded(RetryPolicy(), told_to_wait(3600.5)) == Failure(
        FailureKind.TOLD_TO_WAIT,
        "come back later",
        retry_after=3600.5,
        detail="Retry-After of 3600.5 s bounded to 3600 s",
    )


def test_a_failure_whose_retry_after_was_bounded_keeps_its_detail() -> None:
    failure = Failure(
        FailureKind.SERVER_ERROR, "HTTP 503", retry_after=86_400, detail="<html>down</html>"
    )
    noted = bounded(RetryPolicy(retry_after_limit=timedelta(minutes=30)), failure)
    assert noted.detail == "Retry-After of 86400 s bounded to 1800 s; <html>down</html>"


# --- moments -------------------------------------------------------------------------------------


def test_later_adds() -> None:
    assert later(NOW, timedelta(seconds=15)) == datetime(2026, 2, 21, 10, 0, 15, tzinfo=UTC)


@given(st.datetimes(timezones=st.just(UTC)), delays)
@example(datetime.max.replace(tzinfo=UTC), TICK)
def test_later_is_never_earlier_however_long_the_wait(at: datetime, wait: timedelta) -> None:
    assert at <= later(at, wait) <= datetime.max.replace(tzinfo=UTC)


def test_earlier_subtracts_and_stops_at_the_first_possible_moment() -> None:
    at = datetime(2026, 2, 21, tzinfo=UTC)
    assert earlier(at, timedelta(days=1)) == datetime(2026, 2, 20, tzinfo=UTC)
    assert earlier(at, timedelta.max) == datetime.min.replace(tzinfo=UTC)


@st.composite
def budgets(draw: st.DrawFn) -> RetryPolicy:
    """Policies of a few attempts within days, many of them limited in time."""
    days = st.timedeltas(NOTHING, timedelta(days=3))
    initial, longest = sorted((draw(days), draw(days)))
    return RetryPolicy(
        max_attempts=draw(st.integers(1, 12)),
        initial_delay=initial,
        max_delay=longest,
        give_up_after=draw(st.none() | st.timedeltas(TICK, timedelta(days=9))),
    )


def begins_of(policy: RetryPolicy, jitters: list[float]) -> list[datetime]:
    """When the attempts of an upload begin of which each fails at once."""
    upload: Upload = new_upload(UploadKey("acme", "ev-1", "sprinto"), "a" * 64, NOW.date(), NOW)
    rules, begins, at = Rules(policy), list[datetime](), NOW
    down = Deferred(Failure(FailureKind.NO_CONNECTION, "refused"))
    for jitter in jitters:
        upload = advance(upload, Started(at), rules)
        begins.append(at)
        upload = advance(upload, AttemptEnded(at, len(begins), down, jitter), rules)
        if isinstance(upload.state, Failed):
            return begins
        assert isinstance(upload.state, Waiting)
        at = upload.state.due
    raise AssertionError("it is tried without an end")


@given(budgets(), st.lists(jitters, min_size=12, max_size=12))
@example(RetryPolicy(), [LONGEST_JITTER] * 12)
def test_a_schedule_says_what_the_policy_does(policy: RetryPolicy, drawn: list[float]) -> None:
    schedule, rounding = schedule_of(policy), TICK * policy.max_attempts
    begins, fastest = begins_of(policy, drawn), begins_of(policy, [0.0] * 12)
    assert (len(fastest), fastest[-1] - NOW) == (schedule.attempts, schedule.shortest)
    assert len(begins) <= schedule.attempts
    assert begins[-1] - NOW <= schedule.longest + rounding
    if len(begins) == schedule.attempts:
        assert schedule.shortest <= begins[-1] - NOW
    elif schedule.longest == 2 * schedule.shortest:  # up to rounding, chance decides nothing
        assert policy.give_up_after is not None
        assert policy.give_up_after - schedule.longest <= rounding
    if not schedule.by_time:
        assert schedule.attempts == policy.max_attempts


@given(budgets(), st.lists(jitters, min_size=12, max_size=12))
def test_no_attempt_begins_after_the_time_of_its_budget(
    policy: RetryPolicy, drawn: list[float]
) -> None:
    begins = begins_of(policy, drawn)
    assert len(begins) <= policy.max_attempts
    assert begins[-1] - begins[0] <= (policy.give_up_after or timedelta.max)
