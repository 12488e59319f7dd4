"""How long it takes to deliver old records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import timedelta
from math import ceil

from ..domain.pacing.backfill import part_of
from ..domain.pacing.gate import Quota


def time_for(uploads: Iterable[tuple[Quota, int]]) -> timedelta | None:
    """How long these numbers of old uploads take, at their part of the providers' paces. None
    without a pace: what they take then is not known."""
    requests = Counter[str]()
    times: list[timedelta] = []
    for quota, number in uploads:
        if quota.pace is not None:
            requests[quota.credential] += ceil(number / quota.together) * quota.cost
            part = part_of(quota.pace, quota.cost)
            times.append(part.period * (requests[quota.credential] / part.limit))
    return max(times, default=None)
