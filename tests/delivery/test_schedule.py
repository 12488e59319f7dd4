"""Whose turn it is: due times, fairness between lanes, bounds, and big documents that neither
starve nor are starved."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from evidence_courier.delivery.fair_share import SHARE_OF_FREE, FairShare, Lane
from evidence_courier.delivery.schedule import Schedule

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


def test_a_lane_of_old_records_hands_out_what_the_fresh_one_leaves() -> None:
    one = schedule(capacity=64)
    fresh, behind = ("origin", "tenant"), ("origin", "tenant", "behind")
    for name in "abc":
        one.plan(f"old {name}", behind, NOW - MINUTE, 1)
    for name in "xy":
        one.plan(name, fresh, NOW, 1)
    one.plan("z", fresh, LATER, 1)
    one.plan("other", ("origin", "another tenant", "behind"), NOW, 1)
    found = taken(one)
    assert [key for key in found if key != "other"][:2] == ["x", "y"]
    assert found[-1] == "old c"
    # What is forgotten is waited for by nothing.
    one.plan("old d", behind, LATER, 1)
    one.forget("z")
    assert taken(one, LATER) == ["old d"]


def test_a_lane_of_old_records_waits_while_the_fresh_one_is_paused() -> None:
    one = schedule()
    one.plan("old", ("origin", "tenant", "behind"), NOW, 1)
    one.plan("fresh", ("origin", "tenant"), NOW, 1)
    one.wait(("origin", "tenant"), LATER)
    assert taken(one) == []
    assert one.next_due() == LATER
    assert taken(one, LATER) == ["fresh", "old"]


def test_nothing_is_handed_out_before_its_time() -> None:
    one = schedule()
    one.plan("later", ("lane",), LATER, 1)
    one.plan("now", ("lane",), NOW, 1)
    assert taken(one) == ["now"]
    assert one.next_due() == LATER
    assert taken(one, LATER) == ["later"]
    assert one.next_due() is None
    assert (len(one), one.under_way) == (0, 2)


def test_within_a_lane_the_longest_due_goes_first() -> None:
    one = schedule()
    one.plan("second", ("lane",), NOW, 1)
    one.plan("first", ("lane",), NOW - timedelta(seconds=1), 1)
    assert taken(one) == ["first", "second"]


def test_lanes_take_turns_so_ten_thousand_of_one_do_not_delay_another() -> None:
    one = schedule(capacity=4)
    for number in range(10_000):
        one.plan(f"many-{number}", ("many",), NOW, 1)
    assert one.take(NOW) == "many-0"
    one.plan("single", ("other",), NOW, 1)
    assert "single" in (one.take(NOW), one.take(NOW))


def test_a_lane_alone_leaves_room_for_the_next() -> None:
    one = schedule(capacity=8)
    for number in range(100):
        one.plan(f"stuck-{number}", ("stuck",), NOW, 1)
    assert len(taken(one)) == 5
    one.plan("free", ("other",), NOW, 1)
    assert taken(one) == ["free"]


def test_no_more_are_under_way_than_the_capacity() -> None:
    one = schedule(capacity=3)
    for number in range(9):
        one.plan(f"{number}", (f"lane-{number}",), NOW, 1)
    first = taken(one)
    assert len(first) == 3
    assert one.take(NOW) is None
    one.done(first[0])
    assert len(taken(one)) == 1


def test_a_key_planned_anew_has_only_its_new_time() -> None:
    one = schedule()
    one.plan("key", ("lane",), NOW, 1)
    one.plan("key", ("lane",), LATER, 1)
    assert len(one) == 1
    assert taken(one) == []
    assert taken(one, LATER) == ["key"]


def test_a_key_under_way_is_not_handed_out_again_until_it_is_done() -> None:
    one = schedule()
    one.plan("key", ("lane",), NOW, 1)
    assert taken(one) == ["key"]
    one.plan("key", ("lane",), NOW, 1)
    assert taken(one) == []
    one.done("key")
    one.plan("key", ("lane",), NOW, 1)
    assert taken(one) == ["key"]


def test_a_forgotten_key_is_not_handed_out() -> None:
    one = schedule()
    one.plan("key", ("lane",), NOW, 1)
    one.forget("key")
    one.forget("unknown")
    assert one.next_due() is None
    assert taken(one) == []


def test_a_forgotten_key_does_not_delay_those_that_come_due_with_it() -> None:
    one = schedule()
    one.plan("forgotten", ("lane",), NOW, 1)
    one.plan("other", ("lane",), NOW, 1)
    one.forget("forgotten")
    assert one.take(NOW) == "other"


def test_a_key_forgotten_while_it_waits_gives_way_to_the_next_of_its_lane() -> None:
    one = schedule()
    for key in ("first", "forgotten", "third"):
        one.plan(key, ("lane",), NOW, 1)
    assert one.take(NOW) == "first"
    one.forget("forgotten")
    assert one.take(NOW) == "third"


def test_a_lane_that_has_run_empty_gives_its_turn_to_the_next() -> None:
    one = schedule()
    one.plan("last of a", ("a",), NOW, 1)
    assert one.take(NOW) == "last of a"
    one.plan("first of b", ("b",), NOW, 1)
    assert one.take(NOW) == "first of b"


def test_the_bytes_under_way_are_bounded_but_for_one_document_beyond() -> None:
    one = schedule(in_flight_bytes=100)
    for key in ("a", "b", "c"):
        one.plan(key, (key,), NOW, 60)
    assert taken(one) == ["a", "b"]
    one.done("a")
    assert taken(one) == ["c"]


def test_a_lane_may_use_its_share_of_the_bytes_to_the_last() -> None:
    one = schedule(in_flight_bytes=100)
    for key in ("a", "b", "c"):
        one.plan(key, ("lane",), NOW, 19)
    one.plan("d", ("lane",), NOW, 1)
    assert taken(one) == ["a", "b", "c"]


def test_what_is_done_gives_back_its_own_bytes_and_no_more() -> None:
    one = schedule(in_flight_bytes=100)
    for key in ("a", "b", "c"):
        one.plan(key, ("lane",), NOW, 19)
    one.plan("d", ("lane",), NOW, 38)
    assert taken(one) == ["a", "b", "c"]
    one.done("a")
    assert one.take(NOW) is None
    one.done("b")
    assert one.take(NOW) == "d"
    one.plan("e", ("lane",), NOW, 1)
    assert one.take(NOW) is None


def test_a_document_larger_than_the_room_goes_and_stops_no_other_lane() -> None:
    one = schedule(in_flight_bytes=100)
    for lane in ("a", "b"):
        one.plan(f"big of {lane}", (lane,), NOW, 1_000)
    one.plan("small", ("c",), NOW, 1)
    assert taken(one) == ["big of a", "small"]
    one.done("big of a")
    assert taken(one) == ["big of b"]


def test_small_documents_do_not_starve_a_big_one_nor_it_them() -> None:
    one = schedule(capacity=100, in_flight_bytes=100)
    for number in range(20):
        one.plan(f"small-{number}", (f"small-{number % 2}",), NOW, 10)
    before = taken(one)
    one.plan("big", ("big",), NOW, 95)
    assert one.take(NOW) == "big"
    one.done(before[0])
    assert len(taken(one)) == 1


def test_the_big_documents_of_a_lane_go_one_after_the_other() -> None:
    one = schedule(in_flight_bytes=100)
    for number in range(3):
        one.plan(f"{number}", ("big",), NOW, 95)
    for number in range(3):
        assert taken(one) == [f"{number}"]
        one.done(f"{number}")


def test_a_lane_that_fills_the_bytes_is_not_waited_for() -> None:
    one = schedule(capacity=100, in_flight_bytes=64)
    for number in range(4):
        one.plan(f"stuck-{number}", ("origin", "stuck"), NOW, 20)
    stuck = taken(one)
    for number in range(1_000):
        lane = ("origin", f"tenant-{number % 10}")
        one.plan(f"{number}", lane, NOW, 5)
        assert taken(one) == [f"{number}"], "it waits for the stuck tenant"
        one.done(f"{number}")
    assert len(stuck) < 4


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
        one.plan(key, (lane,), NOW + timedelta(seconds=seconds), size)
    under_way: list[int] = []
    seen: list[int] = []
    now = NOW
    while len(seen) < len(planned):
        if (next_key := one.take(now)) is not None:
            under_way.append(next_key)
            seen.append(next_key)
            assert len(under_way) <= capacity
            held = [sizes[k] for k in under_way]
            assert sum(held) - max(held) <= 100  # one may go beyond
        elif under_way:
            one.done(under_way.pop(0))
        else:
            due = one.next_due()
            assert due is not None
            assert due > now
            now = due
    assert sorted(seen) == sorted(sizes)


def test_a_share_is_what_is_free_times_generosity() -> None:
    share = FairShare(8)
    while share.admits(("a",)):
        share.enter(("a",))
    assert share.taken == 5
    assert 5 <= SHARE_OF_FREE * (8 - 5 - 1)
    for new in ("b", "c", "d"):
        assert share.admits((new,))
        share.enter((new,))
    assert share.taken == share.capacity
    assert not share.admits(("e",))
    share.leave(("a",))
    assert share.admits(("e",))
    assert not share.admits(("a",))


def test_what_a_lane_gives_back_it_may_take_again_and_no_more() -> None:
    share = FairShare(8)
    for _ in range(5):
        share.enter(("a",))
    for _ in range(3):
        share.leave(("a",))
    share.enter(("b",))
    share.enter(("b",))
    assert share.admits(("a",))
    share.enter(("a",))
    share.enter(("c",))
    assert not share.admits(("a",))
    for _ in range(2):
        share.leave(("a",))
    assert share.admits(("a",))


def test_what_takes_no_room_comes_and_goes() -> None:
    """Documents whose size is not known count as nothing."""
    share = FairShare(4)
    for _ in range(2):
        share.enter(("origin", "tenant"), 0)
    for _ in range(2):
        share.leave(("origin", "tenant"), 0)
    assert (share.taken, share.held(("origin", "tenant"))) == (0, 0)


def test_one_place_can_be_taken() -> None:
    share = FairShare(1)
    assert share.admits(("a",))
    share.enter(("a",))
    assert not share.admits(("a",))
    share.leave(("a",))
    assert share.admits(("a",))


def test_a_paused_lane_waits_and_the_others_go_on() -> None:
    schedule: Schedule[str] = Schedule(10, 100)
    schedule.plan("a", ("one",), NOW, 1)
    schedule.plan("b", ("two",), NOW, 1)
    schedule.wait(("one",), NOW + MINUTE)
    assert [schedule.take(NOW), schedule.take(NOW)] == ["b", None]
    assert schedule.next_due() == NOW + MINUTE
    assert schedule.take(NOW + MINUTE) == "a"
    assert schedule.next_due() is None


def test_pauses_can_be_forgotten() -> None:
    schedule: Schedule[str] = Schedule(10, 100)
    schedule.plan("a", ("one",), NOW, 1)
    schedule.wait(("one",), NOW + MINUTE)
    schedule.stop_waiting()
    assert schedule.take(NOW) == "a"


def test_a_lane_that_was_paused_takes_turns_again_once() -> None:
    schedule = _planned_in("one", "other", each=3)
    for _ in range(3):
        schedule.wait(("one",), NOW + MINUTE)
        key = schedule.take(NOW)
        assert key is not None
        assert key.startswith("other")
        assert schedule.next_due() == NOW + MINUTE
        schedule.stop_waiting(("one",))
    assert [schedule.take(NOW) for _ in range(4)] == ["one-0", "one-1", "one-2", None]


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 9)), max_size=30))
def test_pauses_change_who_goes_when_and_nothing_else(steps: list[tuple[int, int]]) -> None:
    """A step pauses a lane for some seconds, and takes what may go then; 0 forgets the pause."""
    lanes, now = [f"{number}" for number in range(5)], NOW
    schedule = _planned_in(*lanes, each=len(steps) + 1)
    paused = dict.fromkeys(lanes, NOW)
    for number, seconds in steps:
        until = paused[lanes[number]] = now + timedelta(seconds=seconds)
        if seconds:
            schedule.wait((lanes[number],), until)
        else:
            schedule.stop_waiting((lanes[number],))
        free = {lane for lane in lanes if paused[lane] <= now}
        key = schedule.take(now)
        assert (key is not None) == bool(free)
        assert key is None or key.split("-")[0] in free
        waiting = [until for until in paused.values() if until > now]
        assert schedule.next_due() == min(waiting, default=None)
        now += timedelta(seconds=1)


def test_thousands_of_paused_lanes_are_not_asked_again_and_again() -> None:
    schedule = _planned_in(*(f"{number}" for number in range(2_000)), each=1)
    for number in range(2_000):
        schedule.wait((f"{number}",), NOW + MINUTE)
    assert schedule.take(NOW) is None
    asked = Asked(schedule._lanes)  # pyright: ignore[reportPrivateUsage]
    schedule._lanes = asked  # pyright: ignore[reportPrivateUsage]
    for _ in range(10):
        assert schedule.take(NOW) is None
        assert schedule.next_due() == NOW + MINUTE
    assert asked.times <= 20


def test_a_pause_of_an_empty_lane_makes_nothing_due() -> None:
    schedule: Schedule[str] = Schedule(10, 100)
    schedule.wait(("one",), NOW + MINUTE)
    assert schedule.next_due() is None
    schedule.plan("a", ("one",), NOW, 1)
    assert schedule.take(NOW) is None
    assert schedule.next_due() == NOW + MINUTE


def test_what_is_put_back_keeps_its_place_before_those_of_the_same_moment() -> None:
    schedule: Schedule[str] = Schedule(10, 100)
    for key in ("a", "b", "c"):
        schedule.plan(key, ("one",), NOW, 1)
    taken = [schedule.take(NOW), schedule.take(NOW)]
    assert taken == ["a", "b"]
    assert (schedule.is_under_way("b"), schedule.is_under_way("c")) == (True, False)
    schedule.put_back("b")
    schedule.put_back("a")
    assert (schedule.under_way, len(schedule)) == (0, 3)
    assert [schedule.take(NOW) for _ in range(3)] == ["a", "b", "c"]


def test_what_is_put_back_gives_its_bytes_back() -> None:
    schedule: Schedule[str] = Schedule(10, 100)
    for key in ("a", "b", "c"):
        schedule.plan(key, (key,), NOW, 60)
    assert taken(schedule) == ["a", "b"]
    for key in ("b", "a"):
        schedule.put_back(key)
        schedule.wait((key,), NOW + MINUTE)
    assert taken(schedule) == ["c"]
    schedule.plan("d", ("d",), NOW, 60)
    assert taken(schedule) == ["d"]


# --- shares of an origin, and of a tenant in it --------------------------------------------------

PATHS = st.tuples(st.sampled_from(["bad", "worse", "worst"]), st.integers(0, 9))


@given(st.lists(st.tuples(PATHS, st.integers(0, 200)), max_size=60), st.integers(4, 60))
def test_whatever_one_origin_does_a_quarter_stays_free_for_others(
    planned: list[tuple[tuple[str, int], int]], capacity: int
) -> None:
    one: Schedule[int] = Schedule(capacity, 100)
    for key, ((_, tenant), size) in enumerate(planned):
        one.plan(key, ("bad", tenant), NOW, size)
    while one.take(NOW) is not None:
        pass
    one.plan(1_000, ("other-0", "tenant"), NOW, 10_000)
    assert one.take(NOW) == 1_000
    for number in range(1, capacity // 4):
        one.plan(1_000 + number, (f"other-{number}", "tenant"), NOW, 1)
        assert one.take(NOW) == 1_000 + number


@given(st.lists(PATHS, max_size=200), st.integers(1, 60))
def test_beside_any_origins_that_hang_a_new_one_starts_at_once(
    planned: list[tuple[str, int]], capacity: int
) -> None:
    one: Schedule[int] = Schedule(capacity, 100)
    for key, lane in enumerate(planned):
        one.plan(key, lane, NOW, key % 3)
    hanging = len({planned[key][0] for key in iter(lambda: one.take(NOW), None)})
    # At worst the first uploads of those that hang are in the quarter.
    for number in range(-(-capacity // 4) - hanging):
        one.plan(1_000 + number, (f"new-{number}", "tenant"), NOW, 0)
        assert one.take(NOW) == 1_000 + number


def test_an_origin_with_something_under_way_takes_no_reserved_bytes() -> None:
    """What it has under way went beyond the bytes."""
    one = schedule(capacity=100, in_flight_bytes=100)
    one.plan("beyond", ("bad", "a"), NOW, 1_000)
    one.plan("filler", ("full", "a"), NOW, 55)
    assert taken(one) == ["beyond", "filler"]
    one.plan("next of bad", ("bad", "b"), NOW, 20)
    one.plan("new", ("new", "a"), NOW, 20)
    assert taken(one) == ["new"]


@given(st.lists(st.tuples(PATHS, st.integers(0, 200)), max_size=60), st.integers(16, 60))
def test_whatever_one_tenant_does_others_of_its_origin_go_on(
    planned: list[tuple[tuple[str, int], int]], capacity: int
) -> None:
    one: Schedule[int] = Schedule(capacity, 100)
    for key, (_, size) in enumerate(planned):
        one.plan(key, ("origin", "bad"), NOW, size)
    while one.take(NOW) is not None:
        pass
    for number in range(100):
        one.plan(1_000 + number, ("origin", f"tenant-{number % 3}"), NOW, 10)
        assert one.take(NOW) == 1_000 + number
        one.done(1_000 + number)


def test_an_origin_takes_turns_with_others_however_many_tenants_it_has() -> None:
    one = schedule(capacity=100)
    for number in range(50):
        one.plan(f"many-{number}", ("many", number), NOW, 0)
    one.plan("single", ("other", "tenant"), NOW, 0)
    assert "single" in (one.take(NOW), one.take(NOW))


# --- what is waited for --------------------------------------------------------------------------


def test_a_lane_has_a_line_of_what_waits_for_its_turn() -> None:
    one = schedule(capacity=2)
    for key in ("first", "second", "forgotten", "third"):
        one.plan(key, ("origin", "tenant"), NOW, 1)
    one.plan("later", ("origin", "tenant"), LATER, 1)
    one.forget("forgotten")
    assert taken(one) == ["first"]
    assert one.places(("origin", "tenant")) == {"second": 0, "third": 1}
    assert one.places(("origin", "other")) == {}


def test_a_silent_origin_is_named_as_what_its_uploads_wait_for() -> None:
    one = schedule()
    for number in range(3):
        one.plan(f"{number}", ("https://x.test", "tenant"), NOW, 1, patience=MINUTE)
    one.silent.add("https://x.test")
    assert len(taken(one)) == 2
    wait = one.waits_for(("https://x.test", "tenant"), 1)
    assert wait == "an answer of https://x.test: it is silent, and uploads probe it"
    assert one.waits_for(("https://y.test", "tenant"), 1) == "its turn at a courier"


class Asked(dict[Lane, Any]):
    """Counts how often it is asked for a lane."""

    times = 0

    def __contains__(self, lane: object) -> bool:
        self.times += 1
        return super().__contains__(lane)

    def __getitem__(self, lane: Lane) -> Any:
        self.times += 1
        return super().__getitem__(lane)


def _planned_in(*lanes: str, each: int) -> Schedule[str]:
    one = schedule(capacity=1_000_000)
    for number in range(each):
        for lane in lanes:
            one.plan(f"{lane}-{number}", (lane,), NOW, 0)
    return one
