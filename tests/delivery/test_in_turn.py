"""A queue whose lanes are served in turn."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from evidence_courier.delivery.in_turn import InTurn


def test_lanes_are_served_in_turn_and_each_in_its_order() -> None:
    queue: InTurn[str, int] = InTurn()
    for number, lane in enumerate("aaabbc"):
        queue.put(lane, number)
    assert len(queue) == 6
    assert sorted(queue) == [0, 1, 2, 3, 4, 5]
    assert [queue.take() for _ in range(7)] == [0, 3, 5, 1, 4, 2, None]
    assert len(queue) == 0


def test_a_lane_that_is_not_admitted_keeps_its_turn() -> None:
    queue: InTurn[str, int] = InTurn()
    for number, lane in enumerate("aab"):
        queue.put(lane, number)
    assert queue.take(lambda lane: lane != "a") == 2
    assert queue.take(lambda lane: lane != "a") is None
    assert queue.take() == 0


def test_several_of_a_lane_are_taken_and_may_wait_again() -> None:
    queue: InTurn[str, int] = InTurn()
    for number, lane in enumerate("aaaab"):
        queue.put(lane, number)
    assert queue.take() == 0
    assert queue.take_along("a", 2, lambda number: number < 9) == [1, 2]
    queue.put_back("a", [1, 2])
    assert len(queue) == 4
    assert queue.take_along("a", 9, lambda number: number < 3) == [1, 2]
    assert queue.take_along("a", 9, lambda number: True) == [3]
    assert queue.take_along("a", 9, lambda number: True) == []
    assert [queue.take(), queue.take(), len(queue)] == [4, None, 0]


@given(st.lists(st.integers(0, 4)), st.integers(1, 20))
def test_a_new_lane_waits_for_one_item_of_each_other(lanes: list[int], after: int) -> None:
    queue: InTurn[int, int] = InTurn()
    for lane in lanes:
        queue.put(lane, lane)
    for _ in range(after):
        queue.take()
    queue.put(99, 99)
    others = len({lane for lane in queue if lane != 99})
    taken = [queue.take() for _ in range(others + 1)]
    assert 99 in taken
