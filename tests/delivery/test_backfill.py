"""How long the delivery of old records takes."""

from __future__ import annotations

from datetime import timedelta

from attrs import evolve

from evidence_courier.delivery.backfill import time_for
from evidence_courier.domain.integration import Pace
from evidence_courier.domain.pacing.gate import Quota

MINUTE = timedelta(minutes=1)
PACED = Quota("a", "address", Pace(11, MINUTE))


def test_how_long_all_takes_follows_from_the_paces() -> None:
    """Less what is left to what is fresh."""
    other = Quota("b", "address", Pace(63, MINUTE), cost=3)
    assert time_for([(PACED, 100)]) == 10 * MINUTE
    assert time_for([(other, 100)]) == 5 * MINUTE
    assert time_for([(evolve(PACED, together=4), 100)]) == 2.5 * MINUTE
    assert time_for([(PACED, 100), (other, 1000)]) == 50 * MINUTE
    # Two tenants that share a credential share its pace.
    assert time_for([(PACED, 100), (evolve(PACED, address="other"), 50)]) == 15 * MINUTE
    assert time_for([(Quota("a", "address"), 100)]) is None


def test_what_is_fresh_goes_first_at_the_whole_pace() -> None:
    assert time_for([(PACED, 100)], {"a": 22, "other": 1_000}) == 12 * MINUTE
    assert time_for([(evolve(PACED, together=4), 100)], {"a": 44}) == 3.5 * MINUTE
