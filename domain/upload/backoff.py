"""How long to wait before the next attempt.

Before attempt n+1 of a budget the wait is b(n)·(1+u), with u uniform in [0, 1) and
b(n) = min(initial · 2^(n-1), max/2): it doubles, never exceeds `max_delay`, and stays spread at the
cap. The provider's Retry-After is a floor under that, without jitter, bounded by
`retry_after_limit` and not by `max_delay`.

A target that takes nothing now is asked again after an hour; the wait doubles up to a day.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from attrs import evolve, frozen

from ..integration import RetryPolicy
from .failure import Failure

PARK = timedelta(hours=1)
"""How long a target is parked at first."""
LONGEST_PARK = timedelta(days=1)

LATE = timedelta(seconds=30)
"""What a courier asks of the gate may be written so much after its moment, because it waited for
the database: until then, what others wrote meanwhile lies in its future."""

_FIRST, _LATEST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
# A timedelta holds fewer than 2^67 microseconds: 66 doublings exceed every cap.
_MOST_DOUBLINGS = 66


def backoff(policy: RetryPolicy, spent: int, jitter: float) -> timedelta:
    """The wait after `spent` attempts of a budget (any number); `jitter` is uniform in [0, 1)."""
    cap = policy.max_delay // 2
    try:
        base = min(policy.initial_delay * (1 << min(max(spent - 1, 0), _MOST_DOUBLINGS)), cap)
    except OverflowError:
        base = cap
    return base * (1.0 + jitter)


def is_over(policy: RetryPolicy, tried_since: datetime | None, due: datetime) -> bool:
    """Whether an attempt that is due then comes too late in a budget whose time is limited."""
    if policy.give_up_after is None or tried_since is None:
        return False
    return due > later(tried_since, policy.give_up_after)


@frozen
class Schedule:
    """What a policy comes to if each attempt fails at once, and none is told to wait: at most this
    number of attempts, and the last one begins within `shortest` to `longest` after the first.
    `by_time`: chance decides whether `give_up_after` ends it before `max_attempts` does, or it
    always does."""

    attempts: int
    shortest: timedelta
    longest: timedelta
    by_time: bool


def schedule_of(policy: RetryPolicy) -> Schedule:
    """The schedule that follows from a policy."""
    limit = timedelta.max if policy.give_up_after is None else policy.give_up_after
    attempts, shortest, longest = 1, timedelta(0), timedelta(0)
    while attempts < policy.max_attempts:
        wait = backoff(policy, attempts, 0.0)
        if wait > limit - shortest:
            break
        shortest += wait
        longest += min(2 * wait, limit - longest)
        attempts += 1
    by_time = attempts < policy.max_attempts or longest < 2 * shortest
    return Schedule(attempts, shortest, longest, by_time)


def floor_of(policy: RetryPolicy, failure: Failure, throttle_floor: timedelta) -> timedelta:
    """The least wait after a failure: its Retry-After within the limit, else `throttle_floor` if
    the provider throttled."""
    if failure.retry_after is not None:
        return min(wait_of(failure.retry_after), policy.retry_after_limit)
    return throttle_floor if failure.kind.throttling else timedelta(0)


def parked_until(since: datetime, at: datetime) -> datetime:
    """When a target is asked again that has been parked `since` and refused an upload at `at`. Each
    wait is an hour longer than all those before it together, which doubles it."""
    return later(at, min(max(at - since, timedelta(0)) + PARK, LONGEST_PARK))


def bounded(policy: RetryPolicy, failure: Failure) -> Failure:
    """The failure as it is recorded: its detail says if its Retry-After was over the limit."""
    limit = policy.retry_after_limit.total_seconds()
    if failure.retry_after is None or not failure.retry_after > limit:
        return failure
    note = f"Retry-After of {failure.retry_after:g} s bounded to {limit:g} s"
    return evolve(failure, detail=f"{note}; {failure.detail}" if failure.detail else note)


def later(at: datetime, wait: timedelta) -> datetime:
    """`at + wait`, at most the last moment that a datetime can hold."""
    try:
        return at + wait
    except OverflowError:
        return _LATEST


def seconds_between(since: datetime, until: datetime) -> float:
    """How many seconds lie between two moments; 0 if the clock was set back."""
    return max((until - since).total_seconds(), 0.0)


def earlier(at: datetime, span: timedelta) -> datetime:
    """`at - span`, at least the first moment that a datetime can hold."""
    try:
        return at - span
    except OverflowError:
        return _FIRST


def is_set_back(now: datetime, since: datetime) -> bool:
    """Whether the clock was set back since a moment. By less than `LATE` is not told from a caller
    that is late, and costs that much more waiting."""
    return since > later(now, LATE)


def wait_of(seconds: float) -> timedelta:
    """That many seconds; at least none, at most the longest that a timedelta can hold."""
    try:
        return timedelta(seconds=max(0.0, seconds))  # in this order NaN counts as 0
    except OverflowError:
        return timedelta.max
