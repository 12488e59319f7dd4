"""Telling people what they must know: one duty looks how the uploads stand, and one for each sink
tells it what waits. A sink that is down, slow or hanging delays no other one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from attrs import frozen

from ..domain.notices import news_of
from ..domain.upload.backoff import later
from ..ports.logger import NoticeNotTaken
from ..ports.notices import WaitingNotice
from .duties import Duty
from .effects import Notify, Read, Turn, Write, perform

LOOK_EVERY, TELL_EVERY = 10.0, 5.0
"""How often a courier looks, and tells, in seconds."""

TOLD_AT_ONCE = 20
LEASE = timedelta(minutes=2)
"""For so long no other courier tells what one has taken up, and none tells again what came behind
a notice that was not taken."""

WAITED_FOR = 1.0
"""So many seconds a step waits for its sink; what is told later counts in the next step."""

LAST_WAIT = 15.0
"""So many seconds a courier that works in calls waits for each sink when it is closed."""

FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=10), timedelta(hours=1)


class Teller(Protocol):
    """What tells one sink, in a thread of its own."""

    @property
    def name(self) -> str:
        """The sink's."""
        ...

    @property
    def is_free(self) -> bool:
        """Whether it has told everything that it was given."""
        ...

    def tell(self, notices: Sequence[WaitingNotice], wait: float) -> None:
        """Tell these, and wait so many seconds for the end; what takes longer goes on."""
        ...

    def results(self) -> Mapping[int, str | None]:
        """Of what was told since the last call: None, or why the sink has not taken it."""
        ...

    def end(self, wait: float) -> None:
        """Begin with no other notice, and wait so many seconds for the one that is being told."""
        ...


@frozen
class Watch:
    """What is told of beside the uploads: `late_after` is the age of the oldest open one, and
    `unknown` gives the tenants that were not known."""

    late_after: timedelta | None
    unknown: Callable[[], Sequence[str]]


def duties_for(tellers: Sequence[Teller], watch: Watch) -> Sequence[Duty]:
    """The duties of a courier that has sinks."""
    if not tellers:
        return ()
    names = [teller.name for teller in tellers]
    return (
        Duty("the look for notices", LOOK_EVERY, lambda now: _look(names, watch, now)),
        *(_telling(teller) for teller in tellers),
    )


def _look(names: Sequence[str], watch: Watch, now: datetime) -> Turn[bool]:
    standing, notes = yield from perform(Read(lambda store: store.standing(now)))
    news = news_of(standing, notes, now, watch.late_after, watch.unknown())
    if news.notes:
        yield from perform(Write(lambda store: store.note(now, names, news, notes)))
    return False


def _telling(teller: Teller) -> Duty:
    tries: dict[int, int] = {}

    def step(now: datetime) -> Turn[bool]:
        is_free = teller.is_free
        yield from _write_results(teller, tries, now)
        if not is_free:
            return False
        tries.clear()
        until = later(now, LEASE)
        claim = Write(lambda store: store.claim(teller.name, now, until, TOLD_AT_ONCE))
        waiting = yield from perform(claim)
        if not waiting:
            return False
        tries.update({one.number: one.tries for one in waiting})
        yield from perform(Read(lambda store: teller.tell(waiting, WAITED_FOR)))
        taken = yield from _write_results(teller, tries, now)
        return taken == TOLD_AT_ONCE

    def end(now: datetime) -> Turn[bool]:
        yield from perform(Read(lambda store: teller.end(LAST_WAIT)))
        yield from _write_results(teller, tries, now)
        return False

    return Duty(f"telling {teller.name}", TELL_EVERY, step, end)


def _write_results(teller: Teller, tries: dict[int, int], now: datetime) -> Turn[int]:
    """Write down what the sink has taken, and when the rest is told again; how many it took."""
    results = teller.results()
    taken = [number for number, refused in results.items() if refused is None]
    again = {n: later(now, _wait(tries.get(n, 0))) for n in results.keys() - {*taken}}
    for number in results:
        tries.pop(number, None)
    if taken:
        yield from perform(Write(lambda store: store.told(taken)))
    if again:
        why = next(refused for refused in results.values() if refused is not None)
        yield from perform(Notify(NoticeNotTaken(teller.name, len(again), why)))
        yield from perform(Write(lambda store: store.not_told(again)))
    return len(taken)


def _wait(tries: int) -> timedelta:
    return min(FIRST_WAIT * (1 << min(tries, 20)), LONGEST_WAIT)
