"""What a credential may do now."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from attrs import define, evolve, field
from hypothesis import given
from hypothesis import strategies as st

from evidence_courier.domain.integration import Pace, RetryPolicy
from evidence_courier.domain.pacing.gate import (
    FAIR_UP_TO,
    YIELD,
    Blocked,
    GateChange,
    NotBefore,
    Pause,
    Quota,
    ask,
    change_of,
    expected_at,
    free_at,
    must_yield,
    paused_until,
)
from evidence_courier.domain.pacing.lease import MIN_LEASE, Lease
from evidence_courier.domain.upload.failure import Failure, FailureKind
from evidence_courier.domain.upload.transitions import Rules

NOW = datetime(2026, 2, 21, 10, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
THREE = Pace(3, MINUTE)
END = datetime.max.replace(tzinfo=UTC)


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("used", "cost", "free"),
    [
        ([], 1, NOW),
        ([ago(1), ago(2)], 1, NOW),
        ([ago(1), ago(2), ago(30)], 1, ago(30) + MINUTE),
        ([ago(1), ago(2), ago(30), ago(50)], 1, ago(30) + MINUTE),
        ([ago(1), ago(2), ago(60)], 1, NOW),
        ([ago(10)], 2, NOW),
        ([ago(1), ago(10)], 2, ago(10) + MINUTE),
        ([ago(7)], 3, ago(7) + MINUTE),
    ],
)
def test_a_period_holds_no_more_than_the_pace(
    used: list[datetime], cost: int, free: datetime
) -> None:
    assert free_at(used, THREE, cost, NOW) == free


def test_a_request_under_way_counts_as_now_as_does_one_from_the_future() -> None:
    """The clock was set back after it."""
    assert free_at([END, END, END], THREE, 1, NOW) == NOW + MINUTE
    assert free_at([NOW + timedelta(days=365)] * 3, THREE, 1, NOW) == NOW + MINUTE


@given(
    st.lists(st.floats(0, 600), min_size=1, max_size=60),
    st.integers(1, 5),
)
def test_whoever_goes_when_told_never_makes_too_many_in_any_stretch(
    gaps: list[float], limit: int
) -> None:
    pace = Pace(limit, MINUTE)
    made: list[datetime] = []
    now = NOW
    for gap in gaps:
        now += timedelta(seconds=gap)
        now = max(now, free_at(sorted(made, reverse=True), pace, 1, now))
        made.append(now)
    for earlier, later in zip(made, made[limit:], strict=False):
        assert later - earlier >= MINUTE


def test_a_pause_is_over_at_its_end() -> None:
    assert paused_until(None, NOW) is None
    assert paused_until(Pause(ago(60), NOW), NOW) is None
    assert paused_until(Pause(ago(60), NOW + MINUTE), NOW) == NOW + MINUTE


def test_a_clock_that_was_set_back_does_not_lengthen_a_pause() -> None:
    pause = Pause(NOW + timedelta(days=1), NOW + timedelta(days=1, minutes=5))
    assert paused_until(pause, NOW) == NOW + timedelta(minutes=5)


@pytest.mark.parametrize(("others", "steps"), [(0, False), (2, False), (3, True), (4, True)])
def test_one_steps_aside_for_a_whole_period_of_others(others: int, steps: bool) -> None:
    assert must_yield(others, Quota("c", "a", THREE)) is steps


def test_a_periods_worth_is_more_where_several_go_in_one_request() -> None:
    two_at_once = Quota("c", "a", THREE, together=2)
    assert not must_yield(5, two_at_once)
    assert must_yield(6, two_at_once)


def test_a_fast_pace_has_no_line() -> None:
    assert must_yield(FAIR_UP_TO, Quota("c", "a", Pace(FAIR_UP_TO, MINUTE)))
    assert not must_yield(10 * FAIR_UP_TO, Quota("c", "a", Pace(FAIR_UP_TO + 1, MINUTE)))
    assert not must_yield(10 * FAIR_UP_TO, Quota("c", "a", None))
    assert YIELD == timedelta(seconds=1)


@pytest.mark.parametrize(
    ("place", "used", "expected"),
    [
        (0, [], 0),
        (2, [], 0),
        (3, [], 60),
        (8, [], 120),
        (0, [ago(10)], 0),
        (1, [ago(10)], 0),
        (2, [ago(10)], 50),
        (3, [ago(10)], 60),
        (5, [ago(10)], 110),
        (0, [END, END, END], 60),
        (4, [END, ago(20), ago(50)], 100),
    ],
)
def test_who_waits_is_told_when_the_turn_comes(
    place: int, used: list[datetime], expected: float
) -> None:
    due = ago(5)
    seconds = timedelta(seconds=expected)
    wanted = NOW + seconds if expected else due
    assert expected_at(due, place, used, THREE, None, NOW) == wanted


def test_who_is_due_later_is_told_that_and_a_pause_is_waited_for() -> None:
    later = NOW + timedelta(minutes=3)
    assert expected_at(later, 0, [], THREE, None, NOW) == later
    assert expected_at(later, 3, [], THREE, None, NOW) == later
    assert expected_at(later, 3, [], THREE, Pause(NOW, NOW + MINUTE), NOW) == later
    assert expected_at(ago(5), 0, [], THREE, Pause(ago(20), ago(10)), NOW) == ago(5)
    assert expected_at(later, 0, [], None, None, NOW) == later
    assert expected_at(ago(5), 0, [], None, None, NOW) == ago(5)
    pause = Pause(NOW, NOW + timedelta(minutes=10))
    assert expected_at(ago(5), 0, [], THREE, pause, NOW) == NOW + timedelta(minutes=10)
    assert expected_at(ago(5), 0, [], None, pause, NOW) == NOW + timedelta(minutes=10)
    assert expected_at(ago(90), 3, [], THREE, Pause(ago(20), ago(10)), NOW) == NOW + MINUTE


def test_where_several_go_in_one_request_a_place_further_back_is_as_good() -> None:
    assert expected_at(ago(90), 11, [], THREE, None, NOW, 4) == ago(90)
    assert expected_at(ago(90), 12, [], THREE, None, NOW, 4) == NOW + MINUTE


@pytest.mark.parametrize(("pace", "cost", "charged"), [(None, 2, 0), (THREE, 2, 2), (THREE, 5, 3)])
def test_an_upload_is_charged_what_it_costs_but_no_more_than_fits(
    pace: Pace | None, cost: int, charged: int
) -> None:
    assert Quota("c", "a", pace, cost).at_most() == charged


PASSAGE = Quota("c", "a", THREE)
RULES = Rules(retry=RetryPolicy(retry_after_limit=timedelta(minutes=5)), throttle_floor=MINUTE)


@pytest.mark.parametrize(
    ("failure", "pause", "blocks"),
    [
        (None, None, False),
        (Failure(FailureKind.TIMEOUT, "no"), None, False),
        (Failure(FailureKind.SERVER_ERROR, "no", retry_after=20.0), 20, False),
        (Failure(FailureKind.RATE_LIMITED, "no"), 60, False),
        (Failure(FailureKind.RATE_LIMITED, "no", retry_after=7.0), 7, False),
        (Failure(FailureKind.RATE_LIMITED, "no", retry_after=99_999.0), 300, False),
        (Failure(FailureKind.UNAUTHORIZED, "no"), None, True),
        (Failure(FailureKind.TARGET_NOT_FOUND, "no"), None, True),
        (Failure(FailureKind.FORBIDDEN, "no"), None, False),
    ],
)
def test_what_an_end_means_for_the_gate(
    failure: Failure | None, pause: float | None, blocks: bool
) -> None:
    until = None if pause is None else NOW + timedelta(seconds=pause)
    assert change_of(PASSAGE, NOW, [4, 5], failure, RULES) == GateChange(
        PASSAGE, NOW, (4, 5), until, failure if blocks else None
    )


@define
class PaperLedger:
    """A ledger whose answers are data; `taken` is what was given."""

    block: Failure | None = None
    pause: Pause | None = None
    free: datetime = NOW
    taken: list[int] = field(factory=list)
    kept: Lease | None = None
    held: list[Lease] = field(factory=list)

    def tenure(self) -> Lease | None:
        return self.kept

    def in_use(self) -> bool:
        return False

    def hold(self, tenure: Lease) -> None:
        self.held.append(tenure)

    def holding(self, quota: Quota, now: datetime) -> PaperLedger:
        assert (quota, now) == (EXCLUSIVE, NOW)
        return self

    def block_of(self, address: str) -> Failure | None:
        assert address == "a"
        return self.block

    def pause_of(self, quota: Quota, now: datetime) -> Pause | None:
        assert (quota.credential, now) == ("c", NOW)
        return self.pause

    def free_at(self, quota: Quota, pace: Pace, cost: int, now: datetime) -> datetime:
        assert (quota.credential, pace, cost, now) == ("c", THREE, 2, NOW)
        return self.free

    def take(self, quota: Quota, cost: int, now: datetime) -> tuple[int, ...]:
        assert (quota.credential, now) == ("c", NOW)
        self.taken.append(cost)
        return tuple(range(cost))


REFUSED = Failure(FailureKind.UNAUTHORIZED, "no")
LATER = NOW + MINUTE


@pytest.mark.parametrize(
    ("ledger", "others", "answer"),
    [
        (PaperLedger(), 0, (0, 1)),
        (PaperLedger(), 2, (0, 1)),
        (PaperLedger(), 3, NotBefore(NOW + YIELD)),
        (PaperLedger(), None, (0, 1)),
        (PaperLedger(free=LATER), 0, NotBefore(LATER)),
        (PaperLedger(pause=Pause(NOW, LATER)), 0, NotBefore(LATER)),
        (PaperLedger(pause=Pause(ago(60), NOW)), 0, (0, 1)),
        (PaperLedger(pause=Pause(NOW, LATER), free=LATER + MINUTE), 0, NotBefore(LATER)),
        (PaperLedger(block=REFUSED, pause=Pause(NOW, LATER), free=LATER), 0, Blocked(REFUSED)),
    ],
)
def test_a_block_is_said_before_a_pause_and_that_before_the_pace(
    ledger: PaperLedger, others: int | None, answer: object
) -> None:
    ledger = evolve(ledger, taken=[])
    waiting = None if others is None else lambda: others
    assert ask(ledger, PASSAGE, 2, NOW, 7, waiting) == answer
    assert ledger.taken == ([2] if isinstance(answer, tuple) else [])


EXCLUSIVE = Quota("c", "a", THREE, exclusive=True)


def test_a_credential_that_only_one_may_use_is_held_once_it_is_used() -> None:
    ledger = PaperLedger()
    assert ask(ledger, EXCLUSIVE, 2, NOW, 7) == (0, 1)
    assert ledger.held == [Lease(7, NOW)]


def test_who_comes_second_waits_a_moment_and_takes_nothing() -> None:
    ledger = PaperLedger(kept=Lease(8, NOW), free=LATER)
    assert ask(ledger, EXCLUSIVE, 2, NOW, 7, nobody_asks) == NotBefore(NOW + YIELD)
    assert (ledger.taken, ledger.held) == ([], [Lease(8, NOW, wanted_at=NOW)])


def test_who_must_wait_for_the_pace_takes_no_tenure_meanwhile() -> None:
    ledger = PaperLedger(free=LATER)
    assert ask(ledger, EXCLUSIVE, 2, NOW, 7) == NotBefore(LATER)
    assert ledger.held == []


def test_only_what_begins_an_upload_makes_way_for_another_courier() -> None:
    wanted = Lease(7, NOW - MIN_LEASE, wanted_at=NOW)
    assert ask(PaperLedger(kept=wanted), EXCLUSIVE, 2, NOW, 7, lambda: 0) == NotBefore(NOW + YIELD)
    assert ask(PaperLedger(kept=wanted), EXCLUSIVE, 2, NOW, 7) == (0, 1)


def test_without_a_pace_nothing_is_taken_and_nobody_counted() -> None:
    ledger = PaperLedger(free=LATER)
    assert ask(ledger, Quota("c", "a"), 2, NOW, 7, nobody_asks) == ()
    assert ledger.taken == []


def test_at_a_fast_pace_nobody_is_counted() -> None:
    class FastLedger(PaperLedger):
        def free_at(self, quota: Quota, pace: Pace, cost: int, now: datetime) -> datetime:
            return now

    assert ask(
        FastLedger(), Quota("c", "a", Pace(FAIR_UP_TO + 1, MINUTE)), 1, NOW, 7, nobody_asks
    ) == (0,)
    slower = Quota("c", "a", Pace(FAIR_UP_TO, MINUTE))
    assert ask(FastLedger(), slower, 1, NOW, 7, lambda: FAIR_UP_TO) == NotBefore(NOW + YIELD)


def nobody_asks() -> int:
    raise AssertionError("nobody stands in line here")


def test_a_pause_that_began_is_kept_and_one_from_the_future_begins_now() -> None:
    pause = Pause(ago(60), LATER)
    assert pause.as_of(NOW) is pause
    pause = Pause(NOW, LATER)
    assert pause.as_of(NOW) is pause
    assert Pause(LATER, LATER + MINUTE).as_of(NOW) == Pause(NOW, NOW + MINUTE)
