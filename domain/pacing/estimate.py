"""When an upload that waits is likely to begin: for a reader, nothing is decided by it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from attrs import frozen

from ..integration import Pace
from ..upload.backoff import later
from .gate import Pause, paused_until, uploads_a_period


@frozen
class Line:
    """What an estimate needs to know of a credential's line: its pace and what an upload costs, the
    slots that are used (as in `free_at`), and its pause."""

    pace: Pace | None = None
    cost: int = 1
    together: int = 1
    used: Sequence[datetime] = ()
    pause: Pause | None = None


def expected_at(line: Line, due: datetime, place: int, now: datetime) -> datetime:
    """When an upload is likely to begin that is due at `due`, with `place` others before it."""
    start = max(due, paused_until(line.pause, now) or now)
    pace = line.pace
    if pace is None:
        return due if start <= now else start
    rounds, others = divmod(place, uploads_a_period(pace.limit, line.cost, line.together))
    rounds *= -(-line.cost // pace.limit)  # an upload may take more than a period
    position = min(others * line.cost // line.together, pace.limit - 1)
    free = pace.limit - len(line.used)
    if position < free:
        turn = later(now, pace.period * rounds)
    else:
        oldest_first = sorted(min(moment, now) for moment in line.used)[-pace.limit :]
        turn = later(oldest_first[position - max(free, 0)], pace.period * (rounds + 1))
    return due if turn <= now and start <= now else max(start, turn)
