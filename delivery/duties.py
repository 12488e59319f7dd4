"""What any courier does now and then beside the uploads, such as deleting what is kept no longer.

All couriers on a database do all of it, so the store decides which of them does what. A step is
bounded work; what one raises stops neither another duty nor an upload.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from math import inf

from attrs import frozen

from ..domain.secrets.redaction import words_of
from ..ports.clock import Clock
from ..ports.logger import DutyFailed
from .active import ActiveUpload
from .due_delivery import any_is_stopped
from .effects import Interrupted, Notify, Turn, perform

AGAIN_AFTER = 30.0
"""How soon, in seconds, what has failed is tried again."""

_DOUBLED = 10


@frozen
class Duty:
    """What is done every `every` seconds, `name` in words. One `step` of it is a turn that is given
    the time, and says whether there is more to do: then the next step comes with the next
    maintenance, within a few seconds. A step that fails is tried again after AGAIN_AFTER, then
    after twice as long each time, and never later than its next time. `at_close` is how many steps
    are done at the end of a call in which something was stopped, and when a courier is closed that
    works in calls.

    `start` is done before a courier delivers anything, and `last` in place of the step when one is
    closed that works in calls. `wait` follows a step that has more to do:
    it waits for what that has begun, for the seconds that it is given at most, and says in its
    place whether there is more to do. `end` is the last one, when any courier is closed.
    """

    name: str
    every: float
    step: Callable[[datetime], Turn[bool]]
    at_close: int = 0
    end: Callable[[datetime], Turn[bool]] | None = None
    start: Callable[[datetime], Turn[bool]] | None = None
    last: Callable[[datetime], Turn[bool]] | None = None
    wait: Callable[[datetime, float], Turn[bool]] | None = None

    def do(self, now: datetime, seconds: float) -> Turn[bool]:
        """A step, and waiting for these seconds at most."""
        more = yield from self.step(now)
        if more and self.wait is not None:
            more = yield from self.wait(now, seconds)
        return more


class Duties:
    """The duties of one courier. `failures` counts the steps that have raised, and `has_news` says
    that something has happened that the steps at the end of a call are for.

    `interruption_of` tells what cut the driver off from what a step raised by itself, as in
    `TurnContext`. A duty is first due at once.
    """

    def __init__(
        self,
        clock: Clock,
        interruption_of: Callable[[BaseException], Interrupted | None],
        duties: Sequence[Duty] = (),
    ) -> None:
        self._clock = clock
        self._interruption_of = interruption_of
        self._due_at = dict.fromkeys(duties, -inf)
        self._failed = Counter[Duty]()
        self.failures, self.has_news = 0, False

    def start(self) -> Iterator[Turn[None]]:
        """What is done before anything is delivered. Each is to be driven. No duty has begun by
        that."""
        return (self._started(one, one.start) for one in self._due_at if one.start is not None)

    def due(self, until: float = inf) -> Iterator[Turn[None]]:
        """A step of each duty whose time has come and that is not under way; none waits for what it
        has begun beyond `until`, by the monotonic clock. Each is to be driven; one that never
        begins stays due."""
        return (self._do(duty, until) for duty in self._due_at if self._is_due(duty))

    def hasten(self) -> None:
        """Have the time of each duty come now. A step that is under way goes on."""
        for duty, due in self._due_at.items():
            self._due_at[duty] = due if due == inf else -inf

    def hear_of(self, uploads: Sequence[ActiveUpload]) -> None:
        """There is news if one of these is stopped. Several threads may tell it at once."""
        if any_is_stopped(uploads):
            self.has_news = True

    def at_end_of_call(self, until: float) -> Iterator[Turn[None]]:
        """As many steps as at the close, if there is news and time left; `until` is as in `due`.
        Each is to be driven before the next is asked for."""
        if self.has_news and self._clock.monotonic() < until:
            self.has_news = False
            for duty in self._at_close():
                yield self._done(duty, self._step(duty, until))

    def at_close(self) -> Iterator[Turn[None]]:
        """The last steps of a courier that works in calls, before the ends: the next call may be
        long after. Each is to be driven before the next is asked for."""
        for duty in self._at_close():
            yield self._done(duty, duty.last or self._step(duty, inf))

    def _at_close(self) -> Iterator[Duty]:
        """None that is under way, that fails, or that no call has begun, if there is no news."""
        none = (inf,) if self.has_news else (inf, -inf)
        for duty, due in self._due_at.items():
            for _ in range(0 if due in none else duty.at_close):
                if not self._failed[duty]:
                    yield duty

    def last(self) -> Iterator[Turn[None]]:
        """The end of each duty that has one. Each is to be driven."""
        return (self._done(one, one.end) for one in self._due_at if one.end is not None)

    def _is_due(self, duty: Duty) -> bool:
        return self._due_at[duty] <= self._clock.monotonic()

    def _started(self, duty: Duty, start: Callable[[datetime], Turn[bool]]) -> Turn[None]:
        yield from self._done(duty, start)
        self._due_at[duty] = -inf

    def _do(self, duty: Duty, until: float) -> Turn[None]:
        if self._is_due(duty):  # else it was begun twice
            yield from self._done(duty, self._step(duty, until))

    def _step(self, duty: Duty, until: float) -> Callable[[datetime], Turn[bool]]:
        return lambda now: duty.do(now, max(until - self._clock.monotonic(), 0))

    def _done(self, duty: Duty, step: Callable[[datetime], Turn[bool]]) -> Turn[None]:
        more = False
        try:
            self._due_at[duty] = inf
            more = yield from step(self._clock.now())
            if not more:
                self._failed[duty] = 0
        except BaseException as error:
            self._failed[duty] += 1
            raised = error.by if isinstance(error, Interrupted) else error
            if self._interruption_of(raised) is not None:
                raise
            self.failures += 1
            yield from perform(Notify(DutyFailed(duty.name, words_of(raised))))
        finally:
            self._due_at[duty] = self._clock.monotonic() + (0 if more else self._wait(duty))

    def _wait(self, duty: Duty) -> float:
        failed = min(self._failed[duty], _DOUBLED)
        return min(duty.every, AGAIN_AFTER * 2 ** (failed - 1)) if failed else duty.every
