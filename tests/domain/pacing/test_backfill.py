"""Old records go behind what is fresh, and take nearly the whole pace if they are alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from pacing_world import Plan, World

from evidence_courier.domain.integration import Pace
from evidence_courier.domain.pacing.backfill import (
    CATCHES_UP,
    begins_at,
    credential_of,
    interval_of,
    is_backfill,
    line_of,
    note_of,
    part_of,
)

MINUTE = timedelta(minutes=1)
NOW = datetime(2026, 2, 21, 10, tzinfo=UTC)
PACES = {(10, 60.0): 1, (50, 60.0): 2, (500, 60.0): 3, (10, 1.0): 1}
"""How many requests an upload takes at each pace."""

plans = st.builds(
    lambda pace, seed, latency, couriers: Plan(
        seed=seed,
        limit=pace[0],
        period=pace[1],
        cost=PACES[pace],
        requests=(PACES[pace], PACES[pace]),
        latency=latency,
        couriers=couriers,
        uploads=0,
        old=100_000,
    ),
    st.sampled_from([*PACES]),
    st.integers(0, 99),
    st.sampled_from([0.0, 0.5, 2.0]),
    st.integers(1, 3),
)


@given(plans)
@settings(max_examples=10, deadline=None)
def test_what_is_fresh_does_not_wait_for_100_000_old_records(plan: Plan) -> None:
    """Where a request takes longer than the period, it may wait until a slot or two come free."""
    fresh = tuple(plan.period * 2 + number * plan.period / 2 for number in range(6))
    world = World(evolve(plan, fresh=fresh)).run(hours=plan.period * 6 / 3600)
    assert len(world.waited) == 6
    slot = (plan.period + plan.latency) / plan.limit
    assert max(world.waited) <= (2 * slot if plan.latency > plan.period else 0)
    assert (world.refused, world.wrong) == (0, [])


@given(plans)
@settings(max_examples=10, deadline=None)
def test_of_many_fresh_ones_each_waits_for_those_before_it_only(plan: Plan) -> None:
    """As it would at half the pace, at most: what old ones have used is spread over the period."""
    world = World(evolve(plan, fresh=(plan.period * 2,) * 8)).run(hours=plan.period * 6 / 3600)
    each = 2 * plan.cost * (plan.period + 2 * plan.latency) / plan.limit + plan.latency
    assert len(world.waited) == 8
    assert all(waited <= number * each + 1 for number, waited in enumerate(sorted(world.waited)))


@given(st.integers(0, 99), st.integers(1, 2))
@settings(max_examples=5, deadline=None)
def test_at_one_request_a_second_a_fresh_one_waits_for_one_other(seed: int, couriers: int) -> None:
    """There is no slot to spare."""
    plan = Plan(seed=seed, limit=1, period=1.0, cost=1, requests=(1, 1), latency=0.5, uploads=0)
    fresh = tuple(20.0 + 5 * number for number in range(10))
    world = World(evolve(plan, old=100_000, couriers=couriers, fresh=fresh)).run(hours=0.03)
    assert len(world.waited) == 10
    assert max(world.waited) <= 2


@pytest.mark.parametrize(
    ("limit", "cost", "part"), [(10, 1, 0.87), (50, 2, 0.92), (500, 3, 0.94), (500, 2, 0.94)]
)
def test_old_records_alone_take_nearly_the_whole_pace(limit: int, cost: int, part: float) -> None:
    plan = Plan(limit=limit, cost=cost, requests=(cost, cost), latency=0.5, uploads=0, old=100_000)
    world = World(plan).run(hours=0.25)
    assert world.old_began * cost >= limit * 15 * part
    assert world.refused == 0


@pytest.mark.parametrize(
    ("limit", "cost", "part", "seconds"),
    [(10, 1, 9, 60 / 9), (50, 2, 48, 2.5), (3, 2, 2, 60), (1, 1, 1, 60), (1, 2, 1, 120)],
)
def test_the_part_of_old_records_leaves_room_for_one_upload(
    limit: int, cost: int, part: int, seconds: float
) -> None:
    pace = Pace(limit, MINUTE)
    assert part_of(pace, cost) == Pace(part, MINUTE)
    assert interval_of(pace, cost) == timedelta(seconds=seconds)


def test_what_was_missed_is_made_up_for_but_not_for_long() -> None:
    pace = Pace(601, MINUTE)
    step = interval_of(pace, 1)
    assert begins_at(None, pace, 1, NOW) == NOW
    assert note_of(None, pace, 1, NOW) == NOW + step
    assert note_of(NOW - step, pace, 1, NOW) == NOW
    assert note_of(NOW - MINUTE, pace, 1, NOW) == NOW - CATCHES_UP + step
    # A clock that was set back by an hour is not waited for.
    assert begins_at(NOW + 60 * MINUTE, pace, 1, NOW) == NOW + step


def test_the_line_of_old_records_names_its_credential() -> None:
    for credential in ("3f", ""):
        line = line_of(credential, True)
        assert line is not None
        assert (is_backfill(line), credential_of(line)) == (True, credential)
    assert line_of("3f", False) == credential_of("3f") == "3f"
    assert not is_backfill("3f")
    assert line_of(None, False) is None
