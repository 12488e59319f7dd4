"""Whose turn it is: due times, fairness between lanes, bounds, and big documents that neither
starve nor are starved."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from evidence_courier.delivery.fair_share import SHARE_OF_FREE, FairShare
from evidence_courier.delivery.schedule import PATIENCE, Schedule

NOW = datetime(2026, 2, 21, 10, 0, tzinfo=UTC)
LATER = NOW + timedelta(seconds=30)
MINUTE = timedelta(minutes=1)


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


def test_a_forgotten_key_does_not_delay_those_that_come_due_with_it() -> None:
    one = schedule()
    one.plan("forgotten", "lane", NOW, 1)
    one.plan("other", "lane", NOW, 1)
    one.forget("forgotten")
    assert one.take(NOW) == "other"


def test_a_key_forgotten_while_it_waits_gives_way_to_the_next_of_its_lane() -> None:
    one = schedule()
    for key in ("first", "forgotten", "third"):
        one.plan(key, "lane", NOW, 1)
    assert one.take(NOW) == "first"
    one.forget("forgotten")
    assert one.take(NOW) == "third"


def test_a_lane_that_has_run_empty_gives_its_turn_to_the_next() -> None:
    one = schedule()
    one.plan("last of a", "a", NOW, 1)
    assert one.take(NOW) == "last of a"
    one.plan("first of b", "b", NOW, 1)
    assert one.take(NOW) == "first of b"


def test_the_bytes_under_way_are_bounded() -> None:
    one = schedule(in_flight_bytes=100)
    one.plan("a", "a", NOW, 60)
    one.plan("b", "b", NOW, 60)
    assert taken(one) == ["a"]
    one.done("a")
    assert taken(one) == ["b"]


def test_the_budget_may_be_used_up_to_its_last_byte() -> None:
    one = schedule(in_flight_bytes=100)
    one.plan("a", "a", NOW, 50)
    one.plan("b", "b", NOW, 50)
    assert taken(one) == ["a", "b"]


def test_what_is_done_gives_back_its_own_bytes_and_no_more() -> None:
    one = schedule(in_flight_bytes=100)
    for key, size in {"a": 50, "b": 40, "c": 60, "d": 1}.items():
        one.plan(key, key, NOW, size)
    assert one.take(NOW) == "a"
    assert one.take(NOW) == "b"
    one.forget("d")
    assert one.take(NOW) is None
    one.done("a")
    assert one.take(NOW) == "c"
    one.plan("d", "d", NOW, 1)
    assert one.take(NOW) is None


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
    assert passed == PATIENCE
    one.done("before")
    assert one.take(NOW) == "big"


def test_every_document_of_a_lane_is_passed_as_often_as_the_first() -> None:
    one = schedule(in_flight_bytes=100)
    one.plan("in the way of 1", "small", NOW, 10)
    assert taken(one) == ["in the way of 1"]
    one.plan("1", "big", NOW, 95)
    one.plan("2", "big", NOW, 95)
    for big, following in (("1", "2"), ("2", "3")):
        for number in range(PATIENCE):
            one.plan(f"small-{number}", "small", NOW, 10)
            assert one.take(NOW) == f"small-{number}"
            one.done(f"small-{number}")
        one.plan(f"in the way of {following}", "small", NOW, 10)
        assert one.take(NOW) is None
        one.done(f"in the way of {big}")
        assert one.take(NOW) == big
        one.done(big)
        assert one.take(NOW) == f"in the way of {following}"


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
        if (next_key := one.take(now)) is not None:
            under_way.append(next_key)
            seen.append(next_key)
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
    share: FairShare[str] = FairShare(8)
    while share.admits("a"):
        share.enter("a")
    assert share.taken == 6
    assert 6 >= SHARE_OF_FREE * (8 - 6)
    assert share.admits("b")
    share.enter("b")
    share.enter("c")
    assert share.full
    assert not share.admits("d")
    share.leave("a")
    assert share.admits("d")


def test_what_a_lane_gives_back_it_may_take_again_and_no_more() -> None:
    share: FairShare[str] = FairShare(8)
    for _ in range(6):
        share.enter("a")
    for _ in range(3):
        share.leave("a")
    share.enter("b")
    share.enter("b")
    assert share.admits("a")
    share.enter("a")
    share.enter("c")
    assert not share.admits("a")
    for _ in range(4):
        share.leave("a")
    assert share.admits("a")


def test_one_place_can_be_taken() -> None:
    share: FairShare[str] = FairShare(1)
    assert share.admits("a")
    share.enter("a")
    assert not share.admits("a")
    share.leave("a")
    assert share.admits("a")


def test_a_paused_lane_waits_and_the_others_go_on() -> None:
    schedule: Schedule[str] = Schedule(10, 100)
    schedule.plan("a", "one", NOW, 1)
    schedule.plan("b", "two", NOW, 1)
    schedule.pause("one", NOW + MINUTE)
    assert [schedule.take(NOW), schedule.take(NOW)] == ["b", None]
    assert schedule.next_due() == NOW + MINUTE
    assert schedule.take(NOW + MINUTE) == "a"
    assert schedule.next_due() is None


def test_pauses_can_be_forgotten() -> None:
    schedule: Schedule[str] = Schedule(10, 100)
    schedule.plan("a", "one", NOW, 1)
    schedule.pause("one", NOW + MINUTE)
    schedule.unpause()
    assert schedule.take(NOW) == "a"


def test_a_pause_of_a_lane_with_nothing_in_it_wakes_nobody() -> None:
    schedule: Schedule[str] = Schedule(10, 100)
    schedule.pause("one", NOW + MINUTE)
    assert schedule.next_due() is None
    schedule.plan("a", "one", NOW, 1)
    assert schedule.take(NOW) is None
    assert schedule.next_due() == NOW + MINUTE


def test_what_is_put_back_keeps_its_place_before_those_of_the_same_moment() -> None:
    schedule: Schedule[str] = Schedule(10, 100)
    for key in ("a", "b", "c"):
        schedule.plan(key, "one", NOW, 1)
    taken = [schedule.take(NOW), schedule.take(NOW)]
    assert taken == ["a", "b"]
    assert (schedule.is_under_way("b"), schedule.is_under_way("c")) == (True, False)
    schedule.put_back("b")
    schedule.put_back("a")
    assert (schedule.under_way, len(schedule)) == (0, 3)
    assert [schedule.take(NOW) for _ in range(3)] == ["a", "b", "c"]


def test_what_is_put_back_gives_its_bytes_back() -> None:
    schedule: Schedule[str] = Schedule(10, 100)
    schedule.plan("a", "one", NOW, 100)
    schedule.plan("b", "two", NOW, 100)
    assert [schedule.take(NOW), schedule.take(NOW)] == ["a", None]
    schedule.put_back("a")
    schedule.pause("one", NOW + MINUTE)
    assert schedule.take(NOW) == "b"
