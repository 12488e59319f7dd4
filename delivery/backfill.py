"""How long it takes to deliver old records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import timedelta
from math import ceil

from ..domain.pacing.backfill import part_of
from ..domain.pacing.gate import Quota


def time_for(
    uploads: Iterable[tuple[Quota, int]], fresh: Mapping[str, int] = {}
) -> timedelta | None:
    """How long these numbers of old uploads take, at their part of the providers' paces, behind
    what is fresh of their credentials. None without a pace: what they take then is not known."""
    requests = Counter[str]()
    times: list[timedelta] = []
    for quota, number in uploads:
        if quota.pace is not None:
            requests[quota.credential] += ceil(number / quota.together) * quota.cost
            part, pace = part_of(quota.pace, quota.cost), quota.pace
            ahead = ceil(fresh.get(quota.credential, 0) / quota.together) * quota.cost
            first = pace.period * (ahead / pace.limit)
            times.append(first + part.period * (requests[quota.credential] / part.limit))
    return max(times, default=None)
