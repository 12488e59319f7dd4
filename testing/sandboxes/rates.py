"""A sandbox's rate limit: how many requests it takes in a period, and what it says to one too many.

Whether a provider counts in fixed windows (all counts fall to zero together) or in a sliding one
(each request is forgotten one period after it came) is often unknown, so both are here. Time comes
from a callable that is handed in, in seconds.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from math import ceil, floor
from typing import Literal, cast

from attrs import field, frozen
from attrs.validators import ge, gt, in_

from .replies import Reply, graphql_throttle, http_throttle

Window = Literal["fixed", "sliding"]
Refusal = Literal["http", "graphql"]

_PERIODS = {"s": 1.0, "min": 60.0, "h": 3600.0}
_PACE = re.compile(
    r"(?P<limit>[0-9]{1,9})/(?P<unit>s|min|h)"
    r"(?::(?P<window>fixed|sliding))?(?::(?P<refusal>http|graphql))?"
)


@frozen
class RateLimit:
    """`limit` requests in `period` seconds; one too many gets HTTP 429, or the same as a GraphQL
    error."""

    limit: int = field(validator=ge(1))
    period: float = field(validator=gt(0.0))
    window: Window = field(default="fixed", validator=in_(("fixed", "sliding")))
    refusal: Refusal = field(default="http", validator=in_(("http", "graphql")))

    def refuse(self, wait: float) -> Reply:
        """What a request hears that would have to wait `wait` seconds: whole seconds, at least
        one."""
        seconds = max(1, ceil(wait))
        return http_throttle(seconds) if self.refusal == "http" else graphql_throttle(seconds)


class RateMeter:
    """Counts requests against a limit. A refused request is not counted."""

    def __init__(self, limit: RateLimit, monotonic: Callable[[], float]) -> None:
        self.limit = limit
        self._monotonic = monotonic
        self._taken: deque[float] = deque()

    def ask(self) -> float:
        """0.0 if one more request fits now, and then it is counted; else the seconds until one
        will."""
        now = self._monotonic()
        while self._taken and self._freed_at(self._taken[0]) <= now:
            self._taken.popleft()
        if len(self._taken) < self.limit.limit:
            self._taken.append(now)
            return 0.0
        return self._freed_at(self._taken[0]) - now

    def _freed_at(self, taken: float) -> float:
        """When the place of a request that came at `taken` is free again."""
        period = self.limit.period
        if self.limit.window == "sliding":
            return taken + period
        return (floor(taken / period) + 1) * period  # the end of the window in which it came


def parse_pace(text: str) -> RateLimit:
    """Read `N/s`, `N/min` or `N/h`, then perhaps `:fixed` or `:sliding`, then perhaps `:http` or
    `:graphql`.

    `10/min` is ten requests in each fixed minute; `10/min:sliding:graphql` ten in any minute,
    refused as a GraphQL error. Raises ValueError.
    """
    match = _PACE.fullmatch(text.strip())
    if match is None or int(match["limit"]) == 0:
        raise ValueError(
            f"{text!r} is not a pace: write N/s, N/min or N/h with N at least 1, and if you like "
            "':sliding' (or ':fixed') and ':graphql' (or ':http') behind it, as in '10/min:sliding'"
        )
    return RateLimit(
        int(match["limit"]),
        _PERIODS[match["unit"]],
        cast(Window, match["window"] or "fixed"),
        cast(Refusal, match["refusal"] or "http"),
    )
