"""How long it takes to deliver old records."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping
from datetime import timedelta
from math import ceil

from attrs import define, field, frozen

from ..domain.pacing.backfill import part_of
from ..domain.pacing.gate import Quota

ENOUGH, LATEST = 50, 500
"""From how many uploads on their rate is known, and of how many at most it is made."""


@frozen
class Estimate:
    """How long old uploads take. `observed`: at the rate of the latest; else at their part of the
    providers' paces."""

    time: timedelta
    observed: bool = False


@define
class Rate:
    """How fast the uploads of a credential are settled, in the seconds of a monotonic clock.

    Args:
        begun: When the first was handed in.
    """

    begun: float
    _settled: deque[float] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._settled = deque([self.begun], maxlen=LATEST + 1)

    def note(self, now: float) -> None:
        """One more is settled."""
        self._settled.append(now)

    def seconds_each(self, now: float) -> float | None:
        """How long the latest took, each; None as long as they are too few."""
        number = len(self._settled) - 1
        return (now - self._settled[0]) / number if number >= ENOUGH else None


def time_for(
    uploads: Iterable[tuple[Quota, int]],
    fresh: Mapping[str, int] = {},
    observed: Mapping[str, float] = {},
) -> Estimate | None:
    """How long these numbers of old uploads take, behind what is fresh of their credentials. None
    without a pace or a rate: what they take then is not known.

    Args:
        fresh: How many fresh uploads are due, by credential.
        observed: How many seconds an upload has taken of late, by credential, where it is known.
    """
    numbers, requests = Counter[str](), Counter[str]()
    estimates: list[Estimate] = []
    for quota, number in uploads:
        numbers[quota.credential] += number
        requests[quota.credential] += ceil(number / quota.together) * quota.cost
        each, first = observed.get(quota.credential), timedelta(0)
        if quota.pace is not None:
            ahead = ceil(fresh.get(quota.credential, 0) / quota.together) * quota.cost
            first = quota.pace.period * (ahead / quota.pace.limit)
        if each is not None:
            rest = timedelta(seconds=each * numbers[quota.credential])
            estimates.append(Estimate(first + rest, observed=True))
        elif quota.pace is not None:
            part = part_of(quota.pace, quota.cost)
            rest = part.period * (requests[quota.credential] / part.limit)
            estimates.append(Estimate(first + rest))
    return max(estimates, key=lambda one: one.time, default=None)
