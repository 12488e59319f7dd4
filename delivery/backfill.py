"""Old records are handed in behind what is fresh: a few at a time, so that whatever a host submits
meanwhile waits for no more than these."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import timedelta
from math import ceil

from ..domain.pacing.gate import Quota

AHEAD = timedelta(seconds=2)
"""So much of the provider's pace may go before what is fresh. If old records have used the pace
up, that waits for its next slot, as all do."""

MOST = 32

MOST_AGAIN = 10
"""The most uploads of a tenant that wait to be tried again: what is fresh goes behind them, once
they are due. Where more do, as the platform is down, no old record is handed in."""


def room_of(quota: Quota) -> int:
    """How many old records of a tenant may be recorded and not tried yet."""
    if quota.pace is None:
        return MOST
    uploads = AHEAD / quota.pace.period * quota.pace.limit * quota.together / quota.cost
    return max(1, min(MOST, int(uploads)))


def time_for(uploads: Iterable[tuple[Quota, int]]) -> timedelta | None:
    """How long these numbers of uploads take at their providers' paces. None without a pace: what
    they take then is not known."""
    requests = Counter[str]()
    times: list[timedelta] = []
    for quota, number in uploads:
        if quota.pace is not None:
            requests[quota.credential] += ceil(number / quota.together) * quota.cost
            times.append(quota.pace.period * (requests[quota.credential] / quota.pace.limit))
    return max(times, default=None)
