"""In which order one sink is told what waits for it, and what its refusals mean.

A sink may refuse one notice for what that says, or all of them because it is down. So whose fault a
refusal was is known once the sink takes another notice, and by how many it had refused by then.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from enum import Enum

from attrs import evolve, field, frozen

from .notices import About, Notice, about_of

SEEMS_DOWN = 3
"""A sink seems to be down that has refused as many notices and taken none meanwhile."""


class Fault(Enum):
    """Whose fault it is that a sink has refused a notice.

    - NONE: it has not.
    - UNKNOWN: the sink has taken nothing since, so it may be down, or not take this notice.
    - SINK: it had seemed to be down, and has taken another since.
    - NOTICE: the sink takes others.
    """

    NONE = "none"
    UNKNOWN = "unknown"
    SINK = "sink"
    NOTICE = "notice"


@frozen
class Refused:
    """How many times in a row a sink has refused a notice. While the fault is unknown it is how
    many times in a row it had refused any by then; of the sink's own fault it is 1."""

    fault: Fault
    times: int = 1


NOT_REFUSED = Refused(Fault.NONE, 0)


def blamed(suspects: int) -> Refused:
    """What is known of this number of refused notices, whose fault was unknown, once their sink has
    taken another."""
    return Refused(Fault.SINK if suspects >= SEEMS_DOWN else Fault.NOTICE)


@frozen
class WaitingNotice:
    """A notice that waits for a sink. `refusals` is how many times in a row the sink has refused
    any by now, and `suspects` how many of those that wait it has refused without a known fault."""

    number: int
    notice: Notice
    refused: Refused = NOT_REFUSED
    refusals: int = field(default=0, eq=False)
    suspects: int = field(default=0, eq=False)


@frozen
class PutBack:
    """A notice that waits for its sink again until `due`, and how it was refused; None: it was not
    told now."""

    number: int
    due: datetime
    refused: Refused | None = None


def in_turn(
    waiting: Iterable[WaitingNotice], later: Collection[int] = frozenset()
) -> list[WaitingNotice]:
    """What waits for one sink, the oldest first, in the order in which it is told; `later` is what
    is not due. Each notice comes behind all older ones about the same, and waits with them, so that
    the last word is the newest. What was refused comes behind what was not told yet, and last what
    was refused by its own fault: a notice that is never taken stands in the way of no other. None
    is told of a sink that seems to be down and is not to be tried yet."""
    chains, suspects = dict[About, list[WaitingNotice]](), list[WaitingNotice]()
    for one in waiting:
        chains.setdefault(about_of(one.notice), []).append(one)
        if one.refused.fault is Fault.UNKNOWN:
            suspects.append(one)
    if len(suspects) >= SEEMS_DOWN and any(one.number in later for one in suspects):
        return []
    refusals = max([one.refused.times for one in suspects], default=0)
    found = [
        (_rank(chain[0]), evolve(one, refusals=refusals, suspects=len(suspects)))
        for chain in chains.values()
        if not any(one.number in later for one in chain)
        for one in chain
    ]
    found.sort(key=lambda pair: (pair[0], pair[1].number))
    return [one for _, one in found]


def _rank(oldest: WaitingNotice) -> tuple[bool, int]:
    """Where those stand that are about the same as this one: what was refused less often first."""
    return oldest.refused.fault is Fault.NOTICE, oldest.refused.times


def next_to_tell(
    claimed: Sequence[WaitingNotice], taken: Mapping[int, bool]
) -> WaitingNotice | None:
    """What a sink is told after those that it has taken or refused; None: no more of these. What it
    refused keeps back what is about the same, and everything once it seems to be down."""
    refused = [one for one in claimed if taken.get(one.number) is False]
    if refused and True not in taken.values():
        new = sum([one.refused.fault is not Fault.UNKNOWN for one in refused])
        if refused[0].suspects + new >= SEEMS_DOWN:
            return None
    stuck = {about_of(one.notice) for one in refused}
    rest = (one for one in claimed if one.number not in taken and about_of(one.notice) not in stuck)
    return next(rest, None)
