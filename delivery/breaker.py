"""Which origins are silent, so that their uploads do not all wait for a time-out.

An origin becomes silent when requests of `SILENT_AFTER` credentials have timed out there and none
was answered in between. It answers again with the first answer. While it is silent the schedule
lets two of its uploads probe it, and holds each other one back for as long as it would have to wait
after a failed attempt; then that one goes, and is charged as ever.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable
from datetime import timedelta

from attrs import define, field

from ..domain.upload.backoff import backoff
from ..domain.upload.transitions import Rules
from ..domain.upload.upload import LookingUp, Undecided, Upload

SILENT_AFTER = 3


@define
class Breakers:
    """One breaker for each origin. `silent`: the origins whose breaker is open."""

    silent: set[Hashable]
    _timed_out: dict[Hashable, set[str]] = field(factory=lambda: defaultdict(set), init=False)

    def note(self, origin: Hashable, credential: str, answered: bool) -> bool:
        """A request with a credential was answered or has timed out; whether that changes what
        the origin is."""
        was_silent = origin in self.silent
        if answered:
            self._timed_out.pop(origin, None)
            self.silent.discard(origin)
            return was_silent
        self._timed_out[origin].add(credential)
        if len(self._timed_out[origin]) >= SILENT_AFTER:
            self.silent.add(origin)
        return (origin in self.silent) != was_silent


def patience_of(upload: Upload, rules: Rules) -> timedelta:
    """For how long an upload may be held back for a silent origin: the least time that it would
    have to wait if it were tried now and failed."""
    match upload.state:
        case LookingUp(look_up=number):
            return rules.look_up_delays[min(number, len(rules.look_up_delays)) - 1]
        case Undecided(due=due):
            return max(due - upload.updated_at, timedelta(0))
        case _:
            return backoff(rules.retry, upload.tally.spent + 1, 0.0)
