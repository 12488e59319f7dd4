"""When an origin counts as silent, and what its uploads do then."""

from __future__ import annotations

from collections.abc import Hashable
from datetime import UTC, date, datetime, timedelta

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from evidence_courier.delivery.breaker import SILENT_AFTER, Breakers, patience_of
from evidence_courier.delivery.schedule import PROBES, Schedule
from evidence_courier.domain.integration import RetryPolicy
from evidence_courier.domain.upload.backoff import backoff
from evidence_courier.domain.upload.failure import Failure, FailureKind
from evidence_courier.domain.upload.transitions import LOOK_UP_DELAYS, Rules
from evidence_courier.domain.upload.upload import (
    LookingUp,
    Tally,
    Undecided,
    UploadKey,
    Waiting,
    new_upload,
)

NOW = datetime(2026, 2, 21, 10, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
CAUSE = Failure(FailureKind.TIMEOUT, "no reply")


def breakers() -> Breakers:
    return Breakers(set())


def test_three_credentials_that_time_out_make_an_origin_silent() -> None:
    one = breakers()
    changes = [one.note("origin", credential, False) for credential in ("a", "a", "b", "b", "c")]
    assert changes == [False, False, False, False, True]
    assert one.silent == {"origin"}


def test_an_answer_in_between_begins_the_count_anew() -> None:
    one = breakers()
    for credential, answered in (("a", False), ("b", False), ("a", True), ("c", False)):
        assert not one.note("origin", credential, answered)
    assert one.silent == set()


def test_time_outs_elsewhere_do_not_count() -> None:
    one = breakers()
    for number in range(9):
        one.note(f"origin-{number % 5}", f"{number}", False)
    assert one.silent == set()


def test_the_first_answer_ends_the_silence() -> None:
    one = breakers()
    for credential in ("a", "b", "c"):
        one.note("origin", credential, False)
    assert one.note("origin", "d", True)
    assert one.silent == set()
    assert not one.note("origin", "d", True)


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 4), st.booleans()), max_size=40))
def test_an_origin_is_silent_while_enough_credentials_have_timed_out(
    notes: list[tuple[int, int, bool]],
) -> None:
    one = breakers()
    for end, (origin, credential, answered) in enumerate(notes, 1):
        before = origin in one.silent
        changed = one.note(origin, f"{credential}", answered)
        since: set[int] = set()
        for other, who, reply in notes[:end]:
            if other == origin:
                since = set() if reply else since | {who}
        assert (origin in one.silent) == (len(since) >= SILENT_AFTER)
        assert changed == (before != (origin in one.silent))


# --- for how long an upload is held back ---------------------------------------------------------


def test_an_upload_is_held_back_no_longer_than_after_a_failure() -> None:
    rules = Rules()
    upload = new_upload(UploadKey("acme", "1", "sprinto"), "0" * 64, date(2026, 2, 21), NOW)
    assert patience_of(upload, rules) == rules.retry.initial_delay
    waits = evolve(upload, tally=Tally(2, 2), state=Waiting(NOW, CAUSE))
    assert patience_of(waits, rules) == backoff(rules.retry, 3, 0.0)
    for number, delay in zip((1, 2, 3, 4), (*LOOK_UP_DELAYS, LOOK_UP_DELAYS[-1]), strict=True):
        looks_up = evolve(upload, state=LookingUp(number, NOW, NOW, CAUSE))
        assert patience_of(looks_up, rules) == delay
    undecided = evolve(upload, state=Undecided(1, NOW + SECOND, NOW, CAUSE))
    assert patience_of(undecided, rules) == SECOND


@given(st.integers(0, 80), st.floats(0, 1, exclude_max=True), st.integers(1, 100))
def test_whatever_the_policy_the_patience_is_at_most_the_back_off(
    spent: int, jitter: float, seconds: int
) -> None:
    rules = Rules(RetryPolicy(initial_delay=timedelta(seconds=seconds)))
    upload = new_upload(UploadKey("acme", "1", "sprinto"), "0" * 64, date(2026, 2, 21), NOW)
    upload = evolve(upload, tally=Tally(spent, spent))
    assert patience_of(upload, rules) <= backoff(rules.retry, spent + 1, jitter)


# --- in the schedule -----------------------------------------------------------------------------


def taken(one: Schedule[int], now: datetime) -> list[int]:
    keys = []
    while (key := one.take(now)) is not None:
        keys.append(key)
    return keys


def silent_schedule(uploads: int, *origins: Hashable) -> Schedule[int]:
    one: Schedule[int] = Schedule(100, 100)
    one.silent |= set(origins)
    for key in range(uploads):
        one.plan(key, ("origin", key % 5), NOW, 0, (key + 1) * SECOND)
    return one


def test_two_uploads_probe_a_silent_origin_and_a_third_follows_one() -> None:
    one = silent_schedule(10, "origin")
    probes = taken(one, NOW)
    assert len(probes) == PROBES
    assert taken(one, NOW) == []


def test_the_others_go_when_their_own_wait_is_over_whatever_is_under_way() -> None:
    one = silent_schedule(10, "origin")
    probes = taken(one, NOW)
    rest = [key for key in range(10) if key not in probes]
    for key in rest:
        assert one.next_due() == NOW + (key + 1) * SECOND
        assert taken(one, NOW + key * SECOND) == []
        assert taken(one, NOW + (key + 1) * SECOND) == [key]
    assert one.next_due() is None


def test_a_silent_origin_holds_nothing_of_another_back() -> None:
    one = silent_schedule(10, "elsewhere")
    assert sorted(taken(one, NOW)) == list(range(10))


def test_what_is_planned_anew_when_the_origin_answers_goes_at_once() -> None:
    one = silent_schedule(10, "origin")
    probes = taken(one, NOW)
    one.silent.clear()
    for key in range(10):
        one.plan(key, ("origin", key % 5), NOW, 0, SECOND)
    assert sorted([*probes, *taken(one, NOW)]) == list(range(10))


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 20), st.integers(0, 20)), max_size=30),
    st.lists(st.booleans(), min_size=60, max_size=60),
)
def test_with_room_nothing_waits_longer_than_its_patience(
    planned: list[tuple[int, int, int]], silence: list[bool]
) -> None:
    one: Schedule[int] = Schedule(1_000, 100)
    latest = {}
    for key, (tenant, due, patience) in enumerate(planned):
        one.plan(key, ("origin", tenant), NOW + due * SECOND, 0, patience * SECOND)
        latest[key] = due + patience
    for second, silent in enumerate(silence):
        one.silent = {"origin"} if silent else set()
        for key in taken(one, NOW + second * SECOND):
            assert second <= latest.pop(key)
    assert not latest
