"""Draws the states of an upload, from the code that decides about them.

Run as `python docs/make_state_diagram.py`, with the package installed. It walks over every shape
that an upload can come to and writes `upload-states.md` and `upload-states.svg` beside itself. With
`--check` it writes nothing, and fails where one of them is not what it would write.
"""

from __future__ import annotations

import inspect
import sys
from collections import defaultdict
from collections.abc import Iterable
from itertools import product
from pathlib import Path
from typing import get_args

from attrs import evolve
from state_picture import COLOURS, Words, picture

from evidence_courier.domain.integration import OnUnclear, RetryPolicy
from evidence_courier.domain.upload.events import AttemptEnded, Event, LookedUp
from evidence_courier.domain.upload.transitions import Rules
from evidence_courier.domain.upload.upload import (
    LookingUp,
    Sending,
    State,
    Status,
    Undecided,
    is_parked,
    status_of,
)
from evidence_courier.domain.upload.verdict import AttemptVerdict, Delivered, Finding, Found
from evidence_courier.testing.reachable_states import Move, Shape, walk

HERE = Path(__file__).parent
PARKED = "Parked"
NAMES = [*(state.__name__ for state in get_args(State)), PARKED]
LATE_NEWS = "are believed in every state, however late they are heard."
PICTURE = "The states of an upload, and the events that lead from one to another"


def state_name(shape: Shape) -> str:
    """The state's class; a parked upload is told from one that waits for another reason."""
    return PARKED if is_parked(shape.state) else type(shape.state).__name__


def all_moves() -> tuple[Move, ...]:
    """What may happen, whatever the tenant chose, with look-ups and without."""
    rules = (
        Rules(can_look_up=can_look_up, on_unclear=on_unclear)
        for can_look_up, on_unclear in product((False, True), OnUnclear)
    )
    # A tenant may shorten its budget while uploads wait: then the next start ends them.
    shorter = RetryPolicy(max_attempts=1)
    walks = (walk(rule, evolve(rule, retry=shorter)) for rule in rules)
    return tuple(dict.fromkeys(move for found in walks for move in found.moves))


def is_late(move: Move) -> bool:
    """Whether this is news of a success that is heard in a state which does not expect it."""
    match move.event:
        case AttemptEnded(verdict=Delivered()):
            return not isinstance(move.source.state, Sending)
        case LookedUp(finding=Found()):
            return not isinstance(move.source.state, LookingUp | Undecided)
        case _:
            return False


def words_of(moves: Iterable[Move]) -> Words:
    """For each pair of states the events that lead from one to the other."""
    words: dict[tuple[str, str], dict[str, None]] = defaultdict(dict)
    for move in moves:
        words[state_name(move.source), state_name(move.target)][move.word] = None
    in_order = sorted(words, key=lambda pair: (NAMES.index(pair[0]), NAMES.index(pair[1])))
    return {pair: tuple(words[pair]) for pair in in_order}


def statuses_in(moves: Iterable[Move]) -> dict[str, tuple[Status, ...]]:
    """For each state the words that an administrator may read for it."""
    shapes = {shape for move in moves for shape in (move.source, move.target)}
    seen = {(state_name(shape), status_of(shape.state)) for shape in shapes}
    return {name: tuple(status for status in Status if (name, status) in seen) for name in NAMES}


def mermaid(
    words: Words, statuses: dict[str, tuple[Status, ...]], start: tuple[str, ...]
) -> list[str]:
    """The moves as text, in the language of Mermaid."""
    shown = [name for name in NAMES if any(name in pair for pair in words)]
    return [
        "```mermaid",
        "stateDiagram-v2",
        "    direction LR",
        *(
            f"    classDef {s.value} fill:{fill},stroke:{edge},color:#1f2937"
            for s, (fill, edge) in COLOURS.items()
        ),
        *(f"    [*] --> {name}" for name in start),
        *(
            f"    {source} --> {target}: {', '.join(there)}"
            for (source, target), there in words.items()
        ),
        *(f"    class {name} {statuses[name][-1].value}" for name in shown),
        "```",
    ]


def event_kinds() -> list[type]:
    """Every event, with its verdicts or findings in its place."""
    kinds = {AttemptEnded: get_args(AttemptVerdict), LookedUp: get_args(Finding)}
    found = [kind for event in get_args(Event) for kind in kinds.get(event, (event,))]
    return list(dict.fromkeys(found))


def told(thing: type) -> str:
    """The first paragraph of a docstring, on one line."""
    return " ".join((inspect.getdoc(thing) or "").split("\n\n", 1)[0].split())


def called(statuses: tuple[Status, ...]) -> str:
    """The words for a state, in the order in which they come."""
    return ", later ".join(status.value for status in statuses)


def files() -> dict[str, str]:
    """The picture and the page, by their names."""
    moves = all_moves()
    if {state_name(move.source) for move in moves if is_late(move)} != {*NAMES} - {"Succeeded"}:
        raise ValueError(
            "late news of a success is not believed in every state: the notes are wrong"
        )
    by_itself = words_of(move for move in moves if not move.by_person and not is_late(move))
    by_person = words_of(move for move in moves if move.by_person)
    status_words = statuses_in(moves)
    page = [
        "<!-- Written by make_state_diagram.py from the code: change that and run it again. -->",
        "",
        "# The states of an upload",
        "",
        f"![{PICTURE}](upload-states.svg)",
        "",
        "## What happens by itself",
        "",
        *mermaid(by_itself, status_words, start=("Queued",)),
        "",
        f"`Delivered` and `Found` {LATE_NEWS}",
        "`Started` ends an upload whose budget was shortened meanwhile and is used up.",
        "",
        "## What a person may do",
        "",
        *mermaid(by_person, status_words, start=()),
        "",
        "## The states",
        "",
        "| state | status | what is true in it |",
        "|---|---|---|",
        *(
            f"| {s.__name__} | {called(status_words[s.__name__])} | {told(s)} |"
            for s in get_args(State)
        ),
        f"| {PARKED} | {called(status_words[PARKED])} | Waiting for a target that takes nothing "
        "now; at rest until `due`. |",
        "",
        "## The events",
        "",
        "| event | what has happened |",
        "|---|---|",
        *(f"| {kind.__name__} | {told(kind)} |" for kind in event_kinds()),
    ]
    return {
        "upload-states.svg": picture(
            PICTURE, by_itself, by_person, status_words, f"Delivered and Found {LATE_NEWS}"
        ),
        "upload-states.md": "\n".join(page) + "\n",
    }


def main(arguments: list[str]) -> int:
    """Write the files, or say which of them are not current; the exit code."""
    made = files()
    if arguments == ["--check"]:
        old = [name for name in made if not is_current(HERE / name, made[name])]
        for name in old:
            print(f"docs/{name} is not what the code says: run `python docs/make_state_diagram.py`")
        return 1 if old else 0
    for name, content in made.items():
        (HERE / name).write_text(content, encoding="utf-8")
    return 0


def is_current(file: Path, content: str) -> bool:
    return file.exists() and file.read_text(encoding="utf-8") == content


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
