"""One cause has one fate: what a wrong key or a closed target has stopped goes on once that is
mended, each upload exactly once."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from evidence_courier.domain.integration import Pace, RetryPolicy
from evidence_courier.domain.upload.actions import Action
from evidence_courier.domain.upload.upload import UploadKey
from evidence_courier.ports.logger import UploadRequeued
from evidence_courier.testing.simulation import (
    Faults,
    ModelProvider,
    Outage,
    ReadableModelProvider,
    Simulation,
)

HOUR = 3600.0


def tally(simulation: Simulation) -> Counter[str]:
    """How many uploads have each status."""
    return Counter(status.status for status in simulation.statuses())


def all_delivered_once(simulation: Simulation, keys: list[UploadKey]) -> bool:
    """Whether all have succeeded, and the provider has one copy of each."""
    copies = [simulation.copies(key) for key in keys]
    return tally(simulation) == {"succeeded": len(keys)} and copies == [1] * len(keys)


# --- a wrong key ---------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(
    a_minute=st.sampled_from([1, 2, 10, 60, 600]),
    number=st.integers(1, 80),
    couriers=st.integers(1, 2),
    together=st.sampled_from([1, 4]),
    later=st.sampled_from([0.0, 0.3, 2.0, 90.0, 2 * HOUR]),
    seed=st.integers(0, 3),
)
def test_under_a_wrong_key_that_is_mended_all_is_delivered_exactly_once(
    a_minute: int, number: int, couriers: int, together: int, later: float, seed: int
) -> None:
    pace, provider = Pace(a_minute, timedelta(minutes=1)), ModelProvider(together)
    with Simulation(seed, couriers=couriers, pace=pace, provider=provider) as simulation:
        simulation.revoke_key()
        keys = simulation.submit(number)
        simulation.pass_time(later)
        simulation.change_key()
        assert simulation.settle()
        simulation.pass_time(1)  # what was in mid-request fails under the old key, and goes again
        assert simulation.settle()
        assert all_delivered_once(simulation, keys)
        assert simulation.breaches() == []


@pytest.mark.parametrize("a_minute", [1, 10, 600])
def test_a_block_holds_the_rest_at_once_at_any_pace(a_minute: int) -> None:
    with Simulation(pace=Pace(a_minute, timedelta(minutes=1))) as simulation:
        simulation.revoke_key()
        simulation.submit(700)
        simulation.pass_time(2)
        found = tally(simulation)
        assert found.keys() == {"failed", "held"}
        assert simulation.server.requests == found["failed"] <= min(a_minute, 192)
        assert {status.next_attempt_at for status in simulation.statuses()} == {None}


def test_what_failed_under_a_block_goes_again_once_and_that_is_recorded() -> None:
    with Simulation() as simulation:
        simulation.revoke_key()
        (key,) = simulation.submit()
        assert simulation.settle()
        assert tally(simulation) == {"failed": 1}
        simulation.pass_time(60)  # the key is still wrong
        assert simulation.server.requests == 1
        simulation.change_key()
        assert simulation.settle()
        assert tally(simulation) == {"succeeded": 1}
        details = simulation.store.show(key.tenant_id, key.evidence_id, simulation.clock.now())
        assert details is not None
        assert [(row.action, row.by) for row in details.actions] == [
            ("requeue", "evidence-courier")
        ]
        simulation.pass_time(HOUR)
        assert simulation.server.requests == 2


def test_a_second_wrong_key_lets_each_fail_once_more_and_no_more() -> None:
    with Simulation() as simulation:
        simulation.revoke_key()
        simulation.submit(3)
        assert simulation.settle()
        requests = simulation.server.requests
        simulation.server.refused_keys.add("the-key-of-tenant-1+")
        simulation.change_key()
        simulation.pass_time(HOUR)
        assert tally(simulation).keys() <= {"failed", "held"}
        assert requests < simulation.server.requests <= requests + 3
        simulation.change_key()
        assert simulation.settle()
        assert tally(simulation) == {"succeeded": 3}


def test_one_release_lets_what_failed_go_too() -> None:
    with Simulation(pace=Pace(2, timedelta(minutes=1))) as simulation:
        simulation.revoke_key()
        keys = simulation.submit(5)
        assert simulation.settle()
        assert tally(simulation) == {"failed": 2, "held": 3}
        simulation.server.refused_keys.clear()
        simulation.act(keys[-1], Action.RELEASE)
        simulation.pass_time(10)  # the next maintenance
        assert simulation.settle()
        assert all_delivered_once(simulation, keys)


def test_what_a_person_attested_meanwhile_is_left_alone() -> None:
    with Simulation() as simulation:
        simulation.revoke_key()
        (key,) = simulation.submit()
        assert simulation.settle()
        simulation.act(key, Action.ATTEST)
        simulation.change_key()
        simulation.pass_time(HOUR)
        assert tally(simulation) == {"succeeded": 1}
        assert simulation.server.requests == 1


# --- a target that takes nothing now -------------------------------------------------------------


def test_a_closed_target_is_probed_by_one_upload_each_time() -> None:
    with Simulation(faults=Faults(latency=0)) as simulation:
        simulation.server.closed = True
        simulation.submit(30)
        assert simulation.settle()
        first = simulation.server.requests
        probes = []
        for hour in range(1, 80):
            before = simulation.server.requests
            simulation.pass_time(HOUR)
            probes += [hour] * (simulation.server.requests - before)
        assert first < 30 or first == simulation.server.in_review - len(probes)
        assert probes == [2, 4, 8, 16, 32, 56] or probes == [1, 3, 7, 15, 31, 55, 79]
        statuses = list(simulation.statuses())
        assert {status.status for status in statuses} == {"retrying"}
        assert all(status.error and status.error.kind == "check_in_review" for status in statuses)
        assert all(status.next_attempt_at is not None for status in statuses)


@settings(max_examples=15, deadline=None)
@given(
    a_minute=st.sampled_from([None, 1, 10, 600]),
    number=st.integers(1, 60),
    couriers=st.integers(1, 2),
    hours=st.sampled_from([0.2, 1.5, 30.0]),
)
def test_what_a_target_parked_is_delivered_once_it_opens_uncharged(
    a_minute: int | None, number: int, couriers: int, hours: float
) -> None:
    pace = None if a_minute is None else Pace(a_minute, timedelta(minutes=1))
    with Simulation(couriers=couriers, pace=pace) as simulation:
        simulation.server.closed = True
        keys = simulation.submit(number)
        simulation.pass_time(hours * HOUR)
        simulation.server.closed = False
        simulation.pass_time(25 * HOUR)
        assert all_delivered_once(simulation, keys)
        assert simulation.breaches() == []


@settings(max_examples=25, deadline=None)
@given(
    a_minute=st.sampled_from([None, 10, 600]),
    opens=st.sampled_from([0.4, 2.0, 10.0, HOUR, HOUR + 10, 2 * HOUR + 3]),
    latency=st.sampled_from([0.0, 3.0, 20.0]),
    couriers=st.integers(1, 2),
    seed=st.integers(0, 3),
)
@example(a_minute=10, opens=2.0, latency=3.0, couriers=1, seed=0)
def test_all_that_is_parked_goes_once_the_target_has_taken_one(
    a_minute: int | None, opens: float, latency: float, couriers: int, seed: int
) -> None:
    """Also one that was under way when others were refused, and is taken after them."""
    pace = None if a_minute is None else Pace(a_minute, timedelta(minutes=1))
    faults = Faults(latency=latency)
    with Simulation(seed, couriers=couriers, pace=pace, faults=faults) as simulation:
        simulation.server.closed = True
        keys = simulation.submit(8)
        simulation.pass_time(opens)
        simulation.server.closed = False
        for _ in range(9_000):
            if tally(simulation)["succeeded"]:
                break
            simulation.pass_time(10)
        simulation.pass_time(150)
        assert all_delivered_once(simulation, keys)


def test_a_probe_that_only_a_look_up_finds_opens_the_target() -> None:
    lost = Outage(HOUR - 10, HOUR + 30, "takes")
    faults = Faults(latency=0, look_ups_answer=True, outages=(lost,))
    with Simulation(provider=ReadableModelProvider(), faults=faults) as simulation:
        simulation.server.closed = True
        keys = simulation.submit(8)
        simulation.pass_time(60)
        simulation.server.closed = False
        simulation.pass_time(HOUR + 120)
        assert len(simulation.server.disturbed) == 1
        assert all_delivered_once(simulation, keys)


def test_what_is_parked_counts_as_at_rest() -> None:
    with Simulation() as simulation:
        simulation.server.closed = True
        simulation.submit(3)
        assert simulation.settle(timedelta(minutes=1))
        assert simulation.store.parked() == 3


def test_after_the_limit_an_upload_fails() -> None:
    with Simulation(park_limit=timedelta(days=2)) as simulation:
        simulation.server.closed = True
        simulation.submit(3)
        simulation.pass_time(4 * 24 * HOUR)
        assert tally(simulation) == {"failed": 3}


def test_with_a_limit_of_0_each_upload_fails_at_once() -> None:
    with Simulation(park_limit=timedelta(0)) as simulation:
        simulation.server.closed = True
        simulation.submit(3)
        assert simulation.settle()
        assert tally(simulation) == {"failed": 3}
        simulation.server.closed = False
        simulation.submit(2)
        assert simulation.settle()
        assert tally(simulation) == {"failed": 3, "succeeded": 2}


@pytest.mark.parametrize("action", [Action.RELEASE, Action.RETRY])
def test_a_person_who_releases_a_parked_upload_opens_the_target(action: Action) -> None:
    with Simulation() as simulation:
        simulation.server.closed = True
        keys = simulation.submit(3)
        assert simulation.settle()
        simulation.server.closed = False
        simulation.act(keys[0], action)
        simulation.pass_time(10)
        released = action is Action.RELEASE
        assert tally(simulation) == {"succeeded" if released else "retrying": 3}


def test_a_probe_whose_courier_dies_is_followed_by_another() -> None:
    with Simulation() as simulation:
        simulation.server.closed = True
        simulation.submit(3)
        assert simulation.settle()
        simulation.server.closed = False
        simulation.crash_at(3, before=False)
        simulation.pass_time(1.5 * HOUR)
        simulation.start_courier()
        simulation.pass_time(4 * HOUR)
        assert tally(simulation) == {"succeeded": 3}


# --- couriers with different settings ------------------------------------------------------------


@pytest.mark.parametrize("stopped", ["key", "target"])
def test_a_blocked_courier_leaves_to_another_what_that_has_let_go(stopped: str) -> None:
    """One courier still has settings that the provider refuses, another has read the new ones:
    the first stops an upload once, and not at each look."""
    with Simulation(couriers=2, pace=Pace(6, timedelta(minutes=1))) as simulation:
        outdated = simulation.couriers[0].engine.active
        before = outdated.destinations
        if stopped == "key":
            simulation.revoke_key()
        else:
            simulation.trouble(1, "closed")
        simulation.change_key()
        outdated.destinations = before
        keys = simulation.submit(60)
        simulation.pass_time(HOUR)
        assert all_delivered_once(simulation, keys)
        let_go = Counter(
            event.key for event in simulation.events if isinstance(event, UploadRequeued)
        )
        assert let_go
        assert max(let_go.values()) <= 2
        assert simulation.breaches() == []


def test_a_blocked_courier_gives_no_upload_of_another_a_fresh_budget() -> None:
    """An upload that waits for its next attempt at one courier is not stopped by another, whose
    settings are refused: it would go on with all of its attempts, again and again."""
    faults = Faults(outages=(Outage(0, 99 * HOUR, "503"),))
    retry, pace = RetryPolicy(max_attempts=3), Pace(6, timedelta(minutes=1))
    with Simulation(couriers=2, faults=faults, retry=retry, pace=pace) as simulation:
        outdated = simulation.couriers[0].engine.active
        before = outdated.destinations
        simulation.revoke_key()
        simulation.change_key()
        outdated.destinations = before
        simulation.submit(40)
        simulation.pass_time(3 * HOUR)
        assert tally(simulation) == {"failed": 40}
        # One of them has shown the block, and went on with three; some were stopped once.
        assert max(status.attempts for status in simulation.statuses()) <= 1 + 3 + 3
