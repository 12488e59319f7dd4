"""In which order a sink is told what waits for it, by what it has refused."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from attrs import evolve

from evidence_courier.domain.notices import Notice, notice_of
from evidence_courier.domain.telling import (
    NOT_REFUSED,
    SEEMS_DOWN,
    Fault,
    Refused,
    WaitingNotice,
    blamed,
    in_turn,
    next_to_tell,
)

NOW = datetime(2026, 2, 21, 10, 0, tzinfo=UTC)


def test_a_notice_comes_behind_older_ones_about_the_same() -> None:
    def about(kind: str, tenant: str = "", provider: str = "", reason: str = "") -> Notice:
        return notice_of(kind, NOW, "text", tenant or None, provider, reason or None)

    first = [
        about("blocked", "acme", "sprinto"),
        about("failed", "acme", "sprinto", "bad_request"),
        about("late"),
        about("skipped", "globex"),
        about("tenant_unknown", "acne"),
        about("summary"),
    ]
    behind = [
        about("open_again", "acme", "sprinto"),
        about("failed", "acme", "sprinto", "bad_request"),
        about("arriving_again"),
        about("open_again", "globex"),
    ]
    others = [
        about("blocked", "acme", "vanta"),
        about("failed", "acme", "sprinto", "timeout"),
        about("held", "acme", "sprinto", "bad_request"),
        about("skipped", "acme"),
        about("tenant_unknown", "acme-2"),
        evolve(about("summary"), id="another"),
    ]
    notices = [*first, *behind, *others]

    def ordered(refused: Refused) -> list[Notice]:
        of = [refused] * len(first) + [NOT_REFUSED] * (len(notices) - len(first))
        waiting = [WaitingNotice(n, one, of[n]) for n, one in enumerate(notices)]
        return [one.notice for one in in_turn(waiting)]

    assert ordered(NOT_REFUSED) == notices
    assert ordered(suspect(1)) == [*others, *first, *behind]


def suspect(times: int) -> Refused:
    """Refused, without a known fault."""
    return Refused(Fault.UNKNOWN, times)


OF_SINK = Refused(Fault.SINK)
ALONE, ALONE_AGAIN = Refused(Fault.NOTICE), Refused(Fault.NOTICE, 2)


def waiting(*refused: Refused | None, suspects: int = 0) -> list[WaitingNotice]:
    """Notices about different things, refused so or not at all."""
    notice = notice_of("tenant_unknown", NOW, "text")
    return [
        WaitingNotice(n, evolve(notice, tenant_id=f"t{n}"), one or NOT_REFUSED, suspects=suspects)
        for n, one in enumerate(refused)
    ]


def test_what_a_sink_refused_last_goes_last() -> None:
    found = in_turn(waiting(suspect(2), None, suspect(7), None, suspect(1)))
    assert [each.refused.times for each in found] == [0, 0, 1, 2, 7]
    assert [each.number for each in found][:2] == [1, 3]
    assert {each.refusals for each in found} == {7}
    assert [each.refusals for each in in_turn(waiting(None))] == [0]


@pytest.mark.parametrize(
    ("suspects", "fault"),
    [(1, Fault.NOTICE), (SEEMS_DOWN - 1, Fault.NOTICE), (SEEMS_DOWN, Fault.SINK)],
)
def test_many_refused_in_a_row_are_the_fault_of_the_sink(suspects: int, fault: Fault) -> None:
    assert blamed(suspects) == Refused(fault, 1)


def test_what_a_sink_refused_alone_goes_last() -> None:
    found = in_turn(waiting(ALONE_AGAIN, suspect(5), ALONE, OF_SINK, None))
    assert [one.refused for one in found] == [
        *(NOT_REFUSED, OF_SINK, suspect(5)),
        *(ALONE, ALONE_AGAIN),
    ]
    assert {(one.refusals, one.suspects) for one in found} == {(5, 1)}


def test_what_is_not_due_keeps_back_only_what_is_about_the_same() -> None:
    blocked = notice_of("blocked", NOW, "text", "t1")
    more = WaitingNotice(9, evolve(blocked, kind="open_again"))
    found = in_turn([*waiting(None), WaitingNotice(1, blocked, suspect(1)), more], {1})
    assert [one.number for one in found] == [0]
    found = in_turn([*waiting(None), WaitingNotice(1, blocked, suspect(1)), more], {9})
    assert [one.number for one in found] == [0]


def test_a_sink_that_refused_three_in_a_row_is_left_alone() -> None:
    once = suspect(1)
    assert in_turn(waiting(once, None, once, once), {2}) == []
    assert [one.number for one in in_turn(waiting(once, None, once, once))] == [1, 0, 2, 3]
    assert [one.number for one in in_turn(waiting(once, None, once, None), {2})] == [1, 3, 0]
    assert [one.number for one in in_turn(waiting(once, None, once, once), {1})] == [0, 2, 3]
    assert [one.number for one in in_turn(waiting(once, None, once, ALONE), {2})] == [1, 0, 3]


def offered(claimed: list[WaitingNotice], *refused: int) -> list[int]:
    """The numbers of what a sink is told that refuses these."""
    taken = dict[int, bool]()
    while (one := next_to_tell(claimed, taken)) is not None:
        taken[one.number] = one.number not in refused
    return [*taken]


def test_a_sink_that_takes_one_gets_all_the_others() -> None:
    assert offered(waiting(*[None] * 9)) == [*range(9)]
    assert offered(waiting(*[None] * 9), 0, 1, 3, 4, 5, 6, 7) == [*range(9)]
    assert offered(waiting(*[None] * 9), 0, 1, 2) == [0, 1, 2]
    assert offered([]) == []


def test_a_sink_that_seems_to_be_down_is_tried_once() -> None:
    assert offered(waiting(*[None] * 9, suspects=SEEMS_DOWN), *range(9)) == [0]
    assert offered(waiting(*[None] * 9, suspects=1), *range(9)) == [0, 1]
    assert offered(waiting(suspect(1), suspect(1), None, None, suspects=2), *range(9)) == [0, 1, 2]
    assert offered(waiting(*[ALONE] * 9), *range(9)) == [0, 1, 2]


def test_a_refused_notice_keeps_back_what_is_about_the_same() -> None:
    blocked = notice_of("blocked", NOW, "text", "acme", "sprinto")
    over, other = evolve(blocked, kind="open_again"), evolve(blocked, provider="vanta")
    claimed = [WaitingNotice(n, one) for n, one in enumerate((blocked, over, other))]
    assert offered(claimed, 0) == [0, 2]
    assert offered(claimed, 1) == [0, 1, 2]
