"""How much of the backlog is in hand: each line its share, and more as soon as it is sent."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from evidence_courier.delivery.backlog import IN_HAND, LEAST_OF_ONE, MOST_OF_ONE, Backlog


def came(backlog: Backlog, line: str | None, number: int) -> None:
    for _ in range(number):
        backlog.add(line)


def test_a_line_is_looked_at_when_something_is_overdue_in_it() -> None:
    backlog = Backlog()
    assert not backlog.wanting
    backlog.found(["a"])
    assert backlog.wanting
    assert backlog.next_lines() == ["a"]
    assert not backlog.wanting


def test_more_of_a_line_is_wanted_when_half_of_its_share_is_gone() -> None:
    backlog = Backlog()
    backlog.found(["a"])
    backlog.next_lines()
    came(backlog, "a", MOST_OF_ONE)
    backlog.looked("a", more=True, again=False)
    assert backlog.room("a") == 0
    for _ in range(MOST_OF_ONE // 2):
        backlog.remove("a")
        assert not backlog.wanting
    backlog.remove("a")
    assert backlog.next_lines() == ["a"]


def test_a_line_that_has_no_more_is_not_asked_for_more() -> None:
    backlog = Backlog()
    backlog.found(["a"])
    backlog.next_lines()
    came(backlog, "a", 10)
    backlog.looked("a", more=False, again=False)
    for _ in range(10):
        backlog.remove("a")
    assert not backlog.wanting


def test_a_line_whose_share_is_in_hand_keeps_no_other_from_being_looked_at() -> None:
    backlog = Backlog()
    came(backlog, "paced", MOST_OF_ONE)
    backlog.found(["paced", "other"])
    assert backlog.next_lines() == ["other"]


@given(st.integers(1, 3_000))
def test_what_is_in_hand_is_bounded_whatever_the_number_of_lines(number: int) -> None:
    backlog = Backlog()
    lines = [f"{number}" for number in range(number)]
    backlog.found(lines)
    in_hand, looked = 0, 0
    while backlog.wanting:
        chosen = backlog.next_lines()
        looked += len(chosen)
        assert len(chosen) * backlog.share <= max(MOST_OF_ONE, backlog.share)
        for line in chosen:
            came(backlog, line, backlog.share)
            in_hand += backlog.share
            backlog.looked(line, more=True, again=False)
    assert looked == number
    assert in_hand <= max(IN_HAND, LEAST_OF_ONE * number)
