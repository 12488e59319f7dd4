"""The walk over every shape that an upload can come to: written down for review, and held to
what is claimed of it."""

import time
from collections import defaultdict
from collections.abc import Iterable
from datetime import timedelta
from functools import cache
from graphlib import TopologicalSorter
from itertools import product
from os import environ
from pathlib import Path

import pytest
from attrs import evolve

from evidence_courier.domain.integration import OnUnclear, RetryPolicy
from evidence_courier.domain.upload.events import Blocked, LookedUp, Started, Unblocked
from evidence_courier.domain.upload.transitions import Rules
from evidence_courier.domain.upload.upload import (
    Failed,
    Held,
    Sending,
    Skipped,
    Succeeded,
    is_parked,
)
from evidence_courier.domain.upload.verdict import Absent, Delivered, Found, Unreadable, Withdrawn
from evidence_courier.testing.reachable_states import Move, Shape, Walk, kind_of, walk

ENDS = Succeeded | Failed | Held | Skipped
GOLDEN = Path(__file__).parent / "golden" / "walk.txt"
REGENERATE = (
    "REGENERATE_GOLDEN=1 python -m pytest -c tests/pytest.ini "
    "tests/domain/upload/test_reachable_states.py"
)

ALL_RULES = [
    Rules(can_look_up=can_look_up, on_unclear=on_unclear)
    for can_look_up, on_unclear in product((False, True), OnUnclear)
]


def titled(rules: Rules) -> str:
    """`look-ups, on_unclear hold`"""
    look_ups = "look-ups" if rules.can_look_up else "no look-ups"
    return f"{look_ups}, on_unclear {rules.on_unclear.value}"


walked = cache(walk)
every_rules = pytest.mark.parametrize("rules", ALL_RULES, ids=titled)


def machine_moves(found: Walk) -> list[Move]:
    """The moves that need no person."""
    return [move for move in found.moves if not move.by_person]


def forward_moves(found: Walk) -> list[Move]:
    """The machine's moves, but for those of the integration and of its target, for a courier that
    closes before it has sent, and for those that only replace a bookmark or a moment: an upload is
    undecided for a day, and parked for a month at most."""
    return [
        move
        for move in machine_moves(found)
        if not isinstance(move.event, Blocked | Unblocked)
        and kind_of(move.event) is not Withdrawn
        and not is_parked(move.target.state)
        and move.source != move.target
    ]


def shapes_in(shapes: Iterable[Shape]) -> list[str]:
    """A line for each state and marks it may bear, with the budgets spent in which it may."""
    marks: dict[tuple[str, int], list[str]] = defaultdict(list)
    for shape in shapes:
        marks[shape.name, shape.tally.spent].append(shape.marks)
    spent: dict[tuple[str, str], list[str]] = defaultdict(list)
    for name, budget in sorted(marks):
        spent[name, " ".join(sorted(marks[name, budget]))].append(str(budget))
    return [f"  {name:<24}  {','.join(spent[name, there]):<11}  {there}" for name, there in spent]


def moves_in(moves: Iterable[Move]) -> list[str]:
    """A line for each pair of states, with the events that lead from one to the other."""
    words: dict[tuple[str, str], dict[str, None]] = defaultdict(dict)
    for move in moves:
        words[move.source.name, move.target.name][move.word] = None
    return [
        f"  {source:<24}  {target:<24}  {', '.join(words[source, target])}"
        for source, target in sorted(words)
    ]


def written_down() -> str:
    """The golden file's text."""
    policy = RetryPolicy()
    lines = [
        "Every shape that an upload can come to, and the events that lead from state to state.",
        "",
        f"At most {policy.max_attempts} attempts and {len(Rules().look_up_delays)} look-ups.",
        "A line of the first kind: state, attempts spent of the budget, marks that occur there:",
        "d in doubt, 2 possible duplicate, b bookmark kept, a sent alone, p parked before.",
        "A line of the second kind: state, the next, events that lead from one to the other.",
        f"Written by: {REGENERATE}",
    ]
    for rules in ALL_RULES:
        found = walked(rules)
        title = f"{titled(rules)}: {len(found.shapes)} shapes"
        lines += ["", title, "-" * len(title), *shapes_in(found.shapes), "", *moves_in(found.moves)]
    return "\n".join(lines) + "\n"


def test_the_shapes_are_those_that_were_reviewed() -> None:
    text = written_down()
    if environ.get("REGENERATE_GOLDEN"):
        GOLDEN.write_text(text, encoding="utf-8")
    assert GOLDEN.read_text(encoding="utf-8") == text, (
        "the shapes of an upload have changed; "
        f"if that is meant, run `{REGENERATE}` and review the difference"
    )


@every_rules
def test_the_machine_alone_brings_every_shape_to_an_end(rules: Rules) -> None:
    found = walked(rules)
    ends = {shape for shape in found.shapes if isinstance(shape.state, ENDS)}
    reached, before = set(ends), set[Shape]()
    moves = [move for move in machine_moves(found) if move.source not in ends]
    while reached != before:
        before = set(reached)
        reached |= {move.source for move in moves if move.target in reached}
    assert set(found.shapes) - reached == set()


@every_rules
def test_but_for_a_block_and_a_close_the_machine_never_goes_in_circles(rules: Rules) -> None:
    order = TopologicalSorter[Shape]()
    for move in forward_moves(walked(rules)):
        order.add(move.target, move.source)
    order.prepare()  # raises CycleError with the circle in it


@every_rules
def test_the_machine_stops_only_at_success_failure_held_or_skipped(
    rules: Rules,
) -> None:
    found = walked(rules)
    news = (Delivered, Found)  # may be heard at any time, and need not be
    going_on = {move.source for move in forward_moves(found) if kind_of(move.event) not in news}
    stops = {shape for shape in found.shapes if shape not in going_on}
    assert stops == {shape for shape in found.shapes if isinstance(shape.state, ENDS)}


@every_rules
def test_a_limit_of_time_ends_what_a_number_would_and_nothing_else(rules: Rules) -> None:
    at_once = evolve(rules, retry=RetryPolicy(give_up_after=timedelta(0)))
    once = evolve(rules, retry=RetryPolicy(max_attempts=1))
    ways = {(move.source.name, move.target.name) for move in walked(rules, once).moves}
    limited = walked(at_once)
    assert {(move.source.name, move.target.name) for move in limited.moves} <= ways
    order = TopologicalSorter[Shape]()
    for move in forward_moves(limited):
        order.add(move.target, move.source)
    order.prepare()  # raises CycleError with the circle in it
    given_up = [shape for shape in limited.shapes if shape.name == "Failed exhausted"]
    assert 1 in {shape.tally.spent for shape in given_up}


@every_rules
def test_what_goes_on_is_never_freed_again_by_its_look_ups_alone(rules: Rules) -> None:
    """Or a courier would free it at each look, without an attempt and without end."""
    moves = walked(rules).moves
    going_on = {move.target for move in moves if isinstance(move.event, Unblocked)}
    before = set[Shape]()
    looked_up = [move for move in moves if isinstance(move.event, LookedUp)]
    while going_on != before:
        before = set(going_on)
        going_on |= {move.target for move in looked_up if move.source in before}
    freed = {move.source for move in moves if isinstance(move.event, Unblocked)}
    assert going_on
    assert going_on & freed == set()


@pytest.mark.parametrize("unknown", OnUnclear)
def test_a_doubt_is_looked_up_before_it_is_sent_again_where_possible(
    unknown: OnUnclear,
) -> None:
    rules = Rules(can_look_up=True, on_unclear=unknown)
    doubtful = [
        shape
        for shape in walked(rules, without=(Unreadable, Absent)).shapes
        if isinstance(shape.state, Sending) and shape.tally.doubt
    ]
    assert doubtful == []


def test_a_tenant_that_holds_resends_a_doubt_only_if_a_look_up_missed_it() -> None:
    found = walked(Rules(can_look_up=True, on_unclear=OnUnclear.HOLD), without=(Absent,))
    assert [
        s for s in found.shapes if isinstance(s.state, Sending) and s.tally.possible_duplicate
    ] == []


def test_every_resend_out_of_a_doubt_is_marked() -> None:
    """Whatever the tenant changes on the way."""
    found = walked(*ALL_RULES)
    out_of_doubt = [
        move for move in found.moves if isinstance(move.event, Started) and move.source.tally.doubt
    ]
    assert out_of_doubt, "the walk must come by a doubt, or it shows nothing"
    assert [str(move) for move in out_of_doubt if not move.target.tally.possible_duplicate] == []
    assert [
        str(s)
        for s in found.shapes
        if isinstance(s.state, Sending) and s.tally.doubt and not s.tally.possible_duplicate
    ] == []


def test_what_was_once_marked_stays_marked() -> None:
    """Whatever the tenant changes on the way."""
    marked = [move for move in walked(*ALL_RULES).moves if move.source.tally.possible_duplicate]
    assert marked
    assert [str(move) for move in marked if not move.target.tally.possible_duplicate] == []


def test_success_is_the_only_shape_that_nothing_leaves() -> None:
    found = walked(*ALL_RULES)
    left = {move.source for move in found.moves}
    assert {shape for shape in found.shapes if shape not in left} == {
        shape for shape in found.shapes if isinstance(shape.state, Succeeded)
    }


def test_no_doubt_outlives_success() -> None:
    assert [
        str(s)
        for s in walked(*ALL_RULES).shapes
        if isinstance(s.state, Succeeded) and s.tally.doubt
    ] == []


def test_the_walk_takes_a_few_seconds_at_most() -> None:
    began = time.process_time()
    for rules in ALL_RULES:
        walk(rules)
    assert time.process_time() - began < 5
