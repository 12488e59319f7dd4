"""How old records go behind what is fresh of the same credential.

They stand in a line of their own. One begins only if nothing fresh that is due waits for the
credential, and only if it leaves enough slots free for one whole fresh upload. It takes its part of
the pace evenly: without that, old records would fill the window at once, and what is fresh would
wait until it is over.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from ..integration import Pace
from ..upload.backoff import earlier, later

BEHIND = " backfill"
"""Stands behind a credential's name in the name of the line of its old records."""

CATCHES_UP = timedelta(seconds=2)
"""What old records have missed of their part of the pace, for so long at most, they may make up
for."""


def line_of(credential: str | None, backfill: bool) -> str | None:
    """The line in which uploads of a credential stand."""
    return f"{credential or ''}{BEHIND}" if backfill else credential


def credential_of(line: str) -> str:
    """The credential whose line this is."""
    return line.removesuffix(BEHIND)


def is_backfill(line: str | None) -> bool:
    """Whether old records stand in this line."""
    return line is not None and line.endswith(BEHIND)


def part_of(pace: Pace, cost: int) -> Pace:
    """The part of a pace that old records take, if an upload takes `cost` requests."""
    spare = min(cost, max(pace.limit - cost, 0))
    return Pace(pace.limit - spare, pace.period)


def room_of(pace: Pace, cost: int) -> int:
    """How many slots are free when an old upload begins: its own, and those of a fresh one."""
    return min(cost, pace.limit) + pace.limit - part_of(pace, cost).limit


def interval_of(pace: Pace, cost: int) -> timedelta:
    """The time between the beginnings of two old uploads."""
    part = part_of(pace, cost)
    return part.period * cost / part.limit


def begins_at(noted: datetime | None, pace: Pace, cost: int, now: datetime) -> datetime:
    """When the next old upload may begin, by what was noted when the last one began."""
    # A clock that was set back is not waited for.
    return now if noted is None else min(noted, later(now, interval_of(pace, cost)))


def note_of(noted: datetime | None, pace: Pace, cost: int, now: datetime) -> datetime:
    """What is noted as an old upload begins: when the next one may."""
    since = max(begins_at(noted, pace, cost, now), earlier(now, CATCHES_UP))
    return later(since, interval_of(pace, cost))
