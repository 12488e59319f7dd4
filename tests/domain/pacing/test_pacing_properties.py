"""The properties of pacing, at the level of the pure rule and in virtual time."""

from __future__ import annotations

from datetime import timedelta

import pytest
from attrs import evolve
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pacing_world import Plan, World

from evidence_courier.domain.upload.backoff import LATE

PACES = [(1, 60.0), (2, 60.0), (10, 60.0), (50, 60.0), (1, 1.0), (3, 1.0), (10, 1.0), (100, 1.0)]


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    limit, period = draw(st.sampled_from(PACES))
    most = draw(st.integers(1, 6))
    return Plan(
        seed=draw(st.integers(0, 2**32)),
        limit=limit,
        period=period,
        uploads=draw(st.sampled_from([1, 5, 30, 60] if limit > 3 else [1, 5, 12])),
        requests=(draw(st.integers(1, most)), most),
        cost=draw(st.sampled_from([most, most, most, 1, 6])),
        unforeseen=draw(st.sampled_from([0.0, 0.0, 0.3, 1.0])),
        look_ups=draw(st.sampled_from([0.0, 0.0, 0.3])),
        latency=draw(st.sampled_from([0.0, 0.3, 1.0, 5.0])),
        couriers=draw(st.integers(1, 3)),
        fixed_window=draw(st.booleans()),
    )


def holds(world: World) -> None:
    assert all(upload.delivered for upload in world.uploads)
    assert world.refused == 0
    assert world.wrong == []


@given(plans())
@example(Plan(limit=10, uploads=60, requests=(1, 4), cost=4, latency=0.0))
@example(
    Plan(limit=100, period=1.0, uploads=60, requests=(1, 1), cost=1, look_ups=0.3, latency=5.0)
)
@settings(max_examples=60, deadline=None)
def test_nothing_is_refused_all_is_delivered_and_nothing_takes_too_long(plan: Plan) -> None:
    world = World(plan).run()
    holds(world)
    look_ups = 2.0 if plan.look_ups else 0.0
    assert world.took <= world.bound + look_ups + 1


@given(plans(), st.integers(2, 3))
@settings(max_examples=25, deadline=None)
def test_an_exclusive_credential_changes_hands_between_turns_only(
    plan: Plan, couriers: int
) -> None:
    plan = evolve(plan, exclusive=True, couriers=couriers, limit=max(plan.limit, 5), period=60.0)
    world = World(plan).run()
    holds(world)
    for first, fifth in zip(world.mints, world.mints[4:], strict=False):
        assert fifth - first >= timedelta(minutes=1) - timedelta(seconds=plan.latency)


@given(plans())
@settings(max_examples=25, deadline=None)
def test_no_caller_that_cannot_wait_gives_up_where_the_cost_is_true(plan: Plan) -> None:
    most = plan.requests[1]
    plan = evolve(plan, patient=False, unforeseen=0.0, look_ups=0.0, cost=most, couriers=1)
    world = World(evolve(plan, requests=(most, most))).run()
    holds(world)
    assert world.gave_up == 0


@given(plans())
@example(Plan(seed=1, limit=1, uploads=12, requests=(1, 1), cost=1, look_ups=0.3, latency=0.0))
@settings(max_examples=25, deadline=None)
def test_fewer_than_a_period_overtake_while_the_head_of_the_line_moves(plan: Plan) -> None:
    world = World(evolve(plan, couriers=3)).run()
    assert world.overtook < max(1, plan.limit // plan.cost)


@given(plans(), st.floats(0, 90), st.sampled_from([1.0, 60.0, 600.0]))
@settings(max_examples=25, deadline=None)
def test_what_a_dead_courier_has_sent_counts_until_it_must_have_ended(
    plan: Plan, after: float, noticed: float
) -> None:
    world = World(evolve(plan, couriers=2, look_ups=0.0))
    world.kill(world.couriers[1], after, noticed)
    world.run()
    assert all(upload.delivered for upload in world.uploads)
    assert world.refused == 0


@given(plans(), st.sampled_from([0.5, 5.0, 25.0]))
@settings(max_examples=40, deadline=None)
def test_who_waits_for_the_database_makes_no_room_for_others(plan: Plan, late: float) -> None:
    """What is written late has an older moment than what others wrote meanwhile."""
    world = World(evolve(plan, late=late)).run()
    assert all(upload.delivered for upload in world.uploads)
    assert world.refused == 0


@given(plans(), st.floats(0, 90), st.sampled_from([-3600.0, -31.0, -29.0, -5.0, 20.0, 3600.0]))
@settings(max_examples=25, deadline=None)
@example(
    Plan(limit=10, uploads=60, requests=(1, 1), cost=1, unforeseen=1.0, latency=0.3), 0.0, 3600.0
)
def test_a_clock_that_is_set_costs_a_period_or_a_periods_requests_once(
    plan: Plan, after: float, by: float
) -> None:
    world = World(plan)
    world.set_clock(after, by)
    world.run()
    assert all(upload.delivered for upload in world.uploads)
    # Set back, nothing is refused; set forward, a period's requests may leave too early, once.
    assert world.refused <= (plan.limit if by > 0 else 0)
    seconds = LATE.total_seconds() if by < 0 else 0.0
    assert world.took <= world.bound + plan.period + plan.latency + seconds + 3


@pytest.mark.parametrize(
    ("plan", "seconds"),
    [
        (Plan(limit=1, period=1.0, uploads=1, latency=0.0), 1),
        (Plan(limit=1, period=1.0, uploads=3, latency=0.0), 5),
        (Plan(limit=3, uploads=2, latency=0.0), 60),
        (Plan(limit=50, uploads=30, unforeseen=1.0, latency=0.5), 190),
        (Plan(limit=1, uploads=4, requests=(6, 6), cost=6, latency=0.0), 23 * 60),
    ],
    ids=["1/s", "1/s, three", "3/min", "Vanta, 30 at once", "1/min, 6 requests"],
)
def test_an_upload_does_not_wait_for_itself(plan: Plan, seconds: float) -> None:
    world = World(plan).run()
    holds(world)
    assert world.took <= seconds
