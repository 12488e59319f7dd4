"""How long the delivery of old records takes."""

from __future__ import annotations

from datetime import timedelta

from attrs import evolve

from evidence_courier.delivery.backfill import ENOUGH, LATEST, Estimate, Rate, time_for
from evidence_courier.domain.integration import Pace
from evidence_courier.domain.pacing.gate import Quota
from evidence_courier.testing import FakeClock

MINUTE = timedelta(minutes=1)
PACED = Quota("a", "address", Pace(11, MINUTE))


def test_how_long_all_takes_follows_from_the_paces() -> None:
    """Less what is left to what is fresh."""
    other = Quota("b", "address", Pace(63, MINUTE), cost=3)
    assert time_for([(PACED, 100)]) == Estimate(10 * MINUTE)
    assert time_for([(other, 100)]) == Estimate(5 * MINUTE)
    assert time_for([(evolve(PACED, together=4), 100)]) == Estimate(2.5 * MINUTE)
    assert time_for([(PACED, 100), (other, 1000)]) == Estimate(50 * MINUTE)
    # Two tenants that share a credential share its pace.
    assert time_for([(PACED, 100), (evolve(PACED, address="other"), 50)]) == Estimate(15 * MINUTE)
    assert time_for([(Quota("a", "address"), 100)]) is None


def test_what_is_fresh_goes_first_at_the_whole_pace() -> None:
    assert time_for([(PACED, 100)], {"a": 22, "other": 1_000}) == Estimate(12 * MINUTE)
    assert time_for([(evolve(PACED, together=4), 100)], {"a": 44}) == Estimate(3.5 * MINUTE)


def test_how_long_it_takes_is_observed_once_enough_are_settled() -> None:
    """In virtual time: a platform takes four times as long as its pace allows."""
    clock = FakeClock()
    rate = Rate(clock.monotonic())
    for _ in range(ENOUGH - 1):
        clock.advance(24)
        rate.note(clock.monotonic())
    assert rate.seconds_each(clock.monotonic()) is None
    clock.advance(24)
    rate.note(clock.monotonic())
    assert rate.seconds_each(clock.monotonic()) == 24
    given = [(PACED, 100), (evolve(PACED, address="other"), 50)]
    assert time_for(given) == Estimate(15 * MINUTE)
    assert time_for(given, {"a": 22}, {"a": 24}) == Estimate(62 * MINUTE, observed=True)
    assert time_for([(Quota("a", "x"), 10)], observed={"a": 24}) == Estimate(4 * MINUTE, True)
    # What is slower decides: here another provider's pace.
    slow = Quota("b", "address", Pace(2, MINUTE))
    assert time_for([*given, (slow, 100)], {}, {"a": 6}) == Estimate(100 * MINUTE)


def test_the_rate_is_that_of_the_latest_and_falls_while_nothing_is_settled() -> None:
    clock = FakeClock()
    rate = Rate(clock.monotonic())
    for seconds in (60, 6):
        for _ in range(LATEST):
            clock.advance(seconds)
            rate.note(clock.monotonic())
    assert rate.seconds_each(clock.monotonic()) == 6
    clock.advance(LATEST * 6)
    assert rate.seconds_each(clock.monotonic()) == 12
