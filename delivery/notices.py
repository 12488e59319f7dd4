"""Telling people what they must know: one duty looks how the uploads stand, and one for each sink
tells it what waits. A sink that is down, slow or hanging delays no other one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from attrs import evolve, frozen

from ..domain.errors import StoreError
from ..domain.notices import news_of
from ..domain.upload.backoff import earlier, later
from ..domain.upload.find import Find
from ..domain.upload.upload import Status, UploadKey
from ..ports.logger import NoticeNotTaken
from ..ports.notices import MAX_WAIT, WaitingNotice
from ..ports.store import UploadStore
from .duties import Duty
from .effects import Notify, Read, Turn, Write, perform

LOOK_EVERY, TELL_EVERY = 10.0, 5.0
"""How often a courier looks, and tells, in seconds."""

CLAIMED_AT_ONCE = 20
LEASE = timedelta(minutes=2)
"""For so long no other courier tells what one has taken up, and none tells again what came behind
a notice that was not taken."""

WAITED_FOR = 1.0
"""How many seconds a step waits for its sink; what is told later counts in the next step."""

LAST_WAIT = 15
"""How many seconds, from when it began to tell a sink, a courier that is closed waits for it."""

FIRST_WAIT = timedelta(seconds=10)

MOST_NAMED = 10
"""The most subjects that a notice names."""


class Teller(Protocol):
    """What tells one sink, in a thread of its own."""

    @property
    def name(self) -> str:
        """The sink's."""
        ...

    @property
    def names_subjects(self) -> bool:
        """Whether its notices name the subjects of the uploads."""
        ...

    @property
    def is_free(self) -> bool:
        """Whether it can be given something to tell."""
        ...

    def tell(self, notices: Sequence[WaitingNotice], wait: float) -> None:
        """Tell these, and wait this number of seconds for the end; what takes longer goes on."""
        ...

    def results(self) -> Mapping[int, str | None]:
        """Of what was told since the last call: None, or why the sink has not taken it."""
        ...

    def give_up(self) -> None:
        """The sink hangs: the notice that it is being told has not been taken."""
        ...

    def end(self, wait: float) -> None:
        """Begin with no other notice, and wait `wait` seconds for the one that is being told."""
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
    leased_until: datetime | None = None

    def step(now: datetime) -> Turn[bool]:
        nonlocal leased_until
        if not teller.is_free and leased_until is not None and leased_until <= now:
            teller.give_up()
        is_free = teller.is_free
        yield from _write_results(teller, tries, now)
        if not is_free:
            return False
        tries.clear()
        leased_until = until = later(now, LEASE)
        claim = Write(lambda store: store.claim(teller.name, now, until, CLAIMED_AT_ONCE))
        waiting = yield from perform(claim)
        if not waiting:
            return False
        tries.update({one.number: one.tries for one in waiting})
        if teller.names_subjects:
            claimed = waiting
            waiting = yield from perform(Read(lambda store: _naming(store, claimed, now)))
        yield from perform(Read(lambda store: teller.tell(waiting, WAITED_FOR)))
        taken = yield from _write_results(teller, tries, now)
        return taken == CLAIMED_AT_ONCE

    def end(now: datetime) -> Turn[bool]:
        began = now if leased_until is None else earlier(leased_until, LEASE)
        waited = max((now - began).total_seconds(), 0)
        for _ in range(max(LAST_WAIT - int(waited), 1)):  # in pieces: it may be given less time
            yield from perform(Read(lambda store: teller.end(1.0)))
            yield from _write_results(teller, tries, now)
            if teller.is_free:
                break
        return False

    return Duty(f"telling {teller.name}", TELL_EVERY, step, end)


def _naming(
    store: UploadStore, waiting: Sequence[WaitingNotice], now: datetime
) -> Sequence[WaitingNotice]:
    """The notices with the subjects of the newest uploads that they are about. These are read when
    a notice is told, and stored in none."""
    named = []
    for one in waiting:
        notice, subjects = one.notice, dict[str, None]()
        if notice.kind in ("failed", "held"):
            page = store.find(
                Find(
                    tenant_id=notice.tenant_id,
                    statuses=[Status(notice.kind)],
                    kind=notice.reason,
                    provider=notice.provider,
                    limit=min(notice.number, MOST_NAMED),
                ),
                now,
            )
            for up in page.uploads:
                key = UploadKey(up.tenant_id, up.evidence_id, up.provider)
                subjects |= dict.fromkeys(_subjects_of(key, store))
        named.append(evolve(one, notice=notice.naming([*subjects])))
    return named


def _subjects_of(key: UploadKey, store: UploadStore) -> Sequence[str]:
    """The subject of one upload. A record that cannot be read, since other hands wrote it, keeps
    back no notice."""
    try:
        return [one.dossier.subject for one in store.get([key]).values()]
    except StoreError as error:
        if error.passing:
            raise
        return []


def _write_results(teller: Teller, tries: dict[int, int], now: datetime) -> Turn[int]:
    """Write down what the sink has taken, and when the rest is told again; how many it took."""
    results = teller.results()
    taken = [number for number, refused in results.items() if refused is None]
    again = {n: later(now, _wait(tries.get(n, 0))) for n in results.keys() - {*taken}}
    for number in results:
        tries.pop(number, None)
    if taken:
        yield from perform(Write(lambda store: store.notices_taken(taken)))
    if again:
        why = next(refused for refused in results.values() if refused is not None)
        yield from perform(Notify(NoticeNotTaken(teller.name, len(again), why)))
        yield from perform(Write(lambda store: store.notices_refused(again)))
    return len(taken)


def _wait(tries: int) -> timedelta:
    return min(FIRST_WAIT * (1 << min(tries, 20)), MAX_WAIT)
