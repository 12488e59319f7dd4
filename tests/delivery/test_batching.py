"""Which uploads go together in one request."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from evidence_courier.delivery.batching import LINGER, Batching
from evidence_courier.ports.provider import Bundle

NOW = datetime(2026, 2, 21, 10, 0, tzinfo=UTC)
MOMENT = timedelta(microseconds=1)
THREE = Bundle(3, 100)


def test_a_request_leaves_when_it_is_full() -> None:
    gathering = Batching[str]()
    assert gathering.add("a", "way", 1, THREE, NOW) == []
    assert gathering.add("b", "way", 1, THREE, NOW) == []
    assert gathering.add("c", "way", 1, THREE, NOW) == [["a", "b", "c"]]
    assert gathering.next_due() is None
    assert gathering.ripe(NOW + LINGER) == []


def test_an_unfilled_request_leaves_a_quarter_second_after_its_first() -> None:
    gathering = Batching[str]()
    gathering.add("a", "way", 1, THREE, NOW)
    assert gathering.ripe(NOW) == []
    gathering.add("b", "way", 1, THREE, NOW + LINGER - MOMENT)
    assert gathering.next_due() == NOW + LINGER == NOW + timedelta(seconds=0.25)
    assert gathering.ripe(NOW + LINGER - MOMENT) == []
    assert gathering.ripe(NOW + LINGER) == [["a", "b"]]
    assert gathering.next_due() is None


def test_those_of_another_way_go_by_themselves() -> None:
    gathering = Batching[str]()
    gathering.add("a", "one way", 1, THREE, NOW)
    gathering.add("b", "another way", 1, THREE, NOW + MOMENT)
    assert gathering.next_due() == NOW + LINGER
    assert gathering.ripe(NOW + LINGER + MOMENT) == [["a"], ["b"]]


def test_what_does_not_fit_any_more_begins_the_next_request() -> None:
    gathering = Batching[str]()
    assert gathering.add("a", "way", 60, THREE, NOW) == []
    assert gathering.add("b", "way", 40, THREE, NOW) == []
    assert gathering.add("c", "way", 1, THREE, NOW + MOMENT) == [["a", "b"]]
    assert gathering.ripe(NOW + LINGER + MOMENT) == [["c"]]


def test_one_that_is_too_large_for_any_request_goes_alone() -> None:
    gathering = Batching[str]()
    gathering.add("a", "way", 1, THREE, NOW)
    assert gathering.add("b", "way", 1_000, THREE, NOW) == [["a"]]
    assert gathering.add("c", "way", 1, THREE, NOW) == [["b"]]


def test_requests_of_one_leave_at_once() -> None:
    assert Batching[str]().add("a", "way", 1, Bundle(1), NOW) == [["a"]]


def test_a_clock_that_was_set_back_makes_a_batch_ripe() -> None:
    gathering = Batching[str]()
    gathering.add("a", "way", 1, THREE, NOW)
    assert gathering.ripe(NOW - MOMENT) == [["a"]]


@given(
    st.lists(st.tuples(st.sampled_from("xy"), st.integers(0, 150), st.floats(0, 1)), max_size=40),
    st.integers(1, 5),
    st.none() | st.integers(1, 200),
)
def test_everyone_leaves_once_in_order_and_no_request_holds_too_much(
    arrivals: list[tuple[str, int, float]], most: int, max_bytes: int | None
) -> None:
    gathering = Batching[int]()
    now = NOW
    left: list[list[int]] = []
    for number, (way, size, gap) in enumerate(arrivals):
        now += timedelta(seconds=gap)
        left += gathering.ripe(now)
        left += gathering.add(number, way, size, Bundle(most, max_bytes), now)
    left += gathering.ripe(now + LINGER)
    assert sorted(number for request in left for number in request) == list(range(len(arrivals)))
    for request in left:
        assert len({arrivals[number][0] for number in request}) == 1
        assert len(request) <= most
        assert (
            len(request) == 1
            or max_bytes is None
            or sum(arrivals[n][1] for n in request) <= max_bytes
        )
    for way in "xy":
        of_way = [n for request in left for n in request if arrivals[n][0] == way]
        assert of_way == sorted(of_way)
