"""Whose turn it is: due times, fairness between lanes, bounds, and big documents that neither starve nor are starved."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from evidence_courier.domain.schedule import PATIENCE, Schedule
from evidence_courier.domain.share import GENEROSITY, Share

NOW = datetime(2026, 2, 21, 10, 0, tzinfo=UTC)
LATER = NOW + timedelta(seconds=30)


def schedule(capacity: int = 8, in_flight_bytes: int = 100) -> Schedule[str]:
    return Schedule(capacity, in_flight_bytes)


def taken(one: Schedule[str], now: datetime = NOW) -> list[str]:
    keys = []
    while (key := one.take(now)) is not None:
        keys.append(key)
    return keys


def test_nothing_is_handed_out_before_its_time() -> None:
    one = schedule()
    one.plan("later", "lane", LATER, 1)
    one.plan("now", "lane", NOW, 1)
    assert taken(one) == ["now"]
    assert one.next_due() == LATER
    assert taken(one, LATER) == ["later"]
    assert one.next_due() is None
    assert (len(one), one.under_way) == (0, 2)


def test_within_a_lane_the_longest_due_goes_first() -> None:
    one = schedule()
    one.plan("second", "lane", NOW, 1)
    one.plan("first", "lane", NOW - timedelta(seconds=1), 1)
    assert taken(one) == ["first", "second"]


def test_lanes_take_turns_so_ten_thousand_of_one_do_not_delay_another() -> None:
    one = schedule(capacity=4)
    for number in range(10_000):
        one.plan(f"many-{number}", "many", NOW, 1)
    assert one.take(NOW) == "many-0"
    one.plan("single", "other", NOW, 1)
    assert "single" in (one.take(NOW), one.take(NOW))


def test_a_lane_alone_leaves_room_for_the_next() -> None:
    one = schedule(capacity=8)
    for number in range(100):
        one.plan(f"stuck-{number}", "stuck", NOW, 1)
    assert len(taken(one)) == 6
    one.plan("free", "other", NOW, 1)
    assert taken(one) == ["free"]


def test_no_more_are_under_way_than_there_is_room_for() -> None:
    one = schedule(capacity=3)
    for number in range(9):
        one.plan(f"{number}", f"lane-{number}", NOW, 1)
    first = taken(one)
    assert len(first) == 3
    assert one.take(NOW) is None
    one.done(first[0])
    assert len(taken(one)) == 1


def test_a_key_planned_anew_has_only_its_new_time() -> None:
    one = schedule()
    one.plan("key", "lane", NOW, 1)
    one.plan("key", "lane", LATER, 1)
    assert len(one) == 1
    assert taken(one) == []
    assert taken(one, LATER) == ["key"]


def test_a_key_under_way_is_not_handed_out_again_until_it_is_done() -> None:
    one = schedule()
    one.plan("key", "lane", NOW, 1)
    assert taken(one) == ["key"]
    one.plan("key", "lane", NOW, 1)
    assert taken(one) == []
    one.done("key")
    one.plan("key", "lane", NOW, 1)
    assert taken(one) == ["key"]


def test_a_forgotten_key_is_not_handed_out() -> None:
    one = schedule()
    one.plan("key", "lane", NOW, 1)
    one.forget("key")
    one.forget("unknown")
    assert one.next_due() is None
    assert taken(one) == []


def test_the_bytes_under_way_are_bounded() -> None:
    one = schedule(in_flight_bytes=100)
    one.plan("a", "a", NOW, 60)
    one.plan("b", "b", NOW, 60)
    assert taken(one) == ["a"]
    one.done("a")
    assert taken(one) == ["b"]


def test_a_document_larger_than_the_budget_goes_alone() -> None:
    one = schedule(in_flight_bytes=100)
    one.plan("big", "a", NOW, 1_000)
    assert taken(one) == ["big"]
    one.plan("small", "b", NOW, 1)
    assert taken(one) == []
    one.done("big")
    assert taken(one) == ["small"]


def test_a_big_document_is_passed_by_others_and_then_waited_for() -> None:
    one = schedule(in_flight_bytes=100)
    one.plan("before", "small", NOW, 10)
    assert taken(one) == ["before"]
    one.plan("big", "big", NOW, 95)
    passed = 0
    while True:
        one.plan(f"small-{passed}", "small", NOW, 10)
        if (key := one.take(NOW)) is None:
            break
        assert key != "big"
        one.done(key)
        passed += 1
    assert 0 < passed <= PATIENCE
    one.done("before")
    assert one.take(NOW) == "big"


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 60), st.integers(0, 120)), max_size=60),
    st.integers(1, 6),
)
def test_everything_planned_is_handed_out_once_and_the_bounds_hold(
    planned: list[tuple[int, int, int]], capacity: int
) -> None:
    one: Schedule[int] = Schedule(capacity, 100)
    sizes = {}
    for key, (lane, seconds, size) in enumerate(planned):
        sizes[key] = size
        one.plan(key, lane, NOW + timedelta(seconds=seconds), size)
    under_way: list[int] = []
    seen: list[int] = []
    now = NOW
    while len(seen) < len(planned):
        key = one.take(now)
        if key is not None:
            under_way.append(key)
            seen.append(key)
            assert len(under_way) <= capacity
            assert sum(sizes[k] for k in under_way) <= 100 or len(under_way) == 1
        elif under_way:
            one.done(under_way.pop(0))
        else:
            due = one.next_due()
            assert due is not None
            assert due > now
            now = due
    assert sorted(seen) == sorted(sizes)


def test_a_share_is_what_is_free_times_generosity() -> None:
    share: Share[str] = Share(8)
    while share.admits("a"):
        share.enter("a")
    assert share.taken == 6
    assert 6 >= GENEROSITY * (8 - 6)
    assert share.admits("b")
    share.enter("b")
    share.enter("c")
    assert share.full
    assert not share.admits("d")
    share.leave("a")
    assert share.admits("d")


def test_one_place_can_be_taken() -> None:
    share: Share[str] = Share(1)
    assert share.admits("a")
    share.enter("a")
    assert not share.admits("a")
    share.leave("a")
    assert share.admits("a")
