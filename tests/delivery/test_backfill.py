"""How many old records go at once, and how long all take."""

from __future__ import annotations

from datetime import timedelta

import pytest
from attrs import evolve

from evidence_courier.delivery.backfill import MOST, room_of, time_for
from evidence_courier.domain.integration import Pace
from evidence_courier.domain.pacing.gate import Quota

MINUTE = timedelta(minutes=1)
PACED = Quota("a", "address", Pace(10, MINUTE))


@pytest.mark.parametrize(
    ("quota", "room"),
    [
        (Quota("a", "address"), MOST),
        (PACED, 1),
        (evolve(PACED, pace=Pace(120, MINUTE)), 4),
        (evolve(PACED, pace=Pace(120, MINUTE), cost=2), 2),
        (evolve(PACED, pace=Pace(120, MINUTE), together=5), 20),
        (evolve(PACED, pace=Pace(60_000, MINUTE)), MOST),
    ],
)
def test_what_is_fresh_waits_for_about_two_seconds_of_the_pace(quota: Quota, room: int) -> None:
    assert room_of(quota) == room


def test_how_long_all_takes_follows_from_the_paces() -> None:
    other = Quota("b", "address", Pace(60, MINUTE), cost=3)
    assert time_for([(PACED, 100)]) == 10 * MINUTE
    assert time_for([(other, 100)]) == 5 * MINUTE
    assert time_for([(evolve(PACED, together=4), 100)]) == 2.5 * MINUTE
    assert time_for([(PACED, 100), (other, 1000)]) == 50 * MINUTE
    # Two tenants that share a credential share its pace.
    assert time_for([(PACED, 100), (evolve(PACED, address="other"), 50)]) == 15 * MINUTE
    assert time_for([(Quota("a", "address"), 100)]) is None
