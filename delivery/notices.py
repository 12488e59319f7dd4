"""Telling people what they must know: one duty looks how the uploads stand, and one for each sink
tells it what waits. A sink that is down, slow or hanging delays no other one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from attrs import evolve, frozen

from ..domain.errors import StoreError
from ..domain.notices import WaitingNotice, news_of
from ..domain.upload.backoff import earlier, later
from ..domain.upload.failure import FailureKind
from ..domain.upload.find import Find
from ..domain.upload.upload import Status, UploadKey
from ..ports.logger import NoticeNotTaken
from ..ports.notices import MAX_WAIT
from ..ports.store import UploadStore
from .duties import Duty
from .effects import Notify, Read, Turn, Write, perform

LOOK_EVERY, TELL_EVERY = 10.0, 5.0
"""How often a courier looks, and tells, in seconds."""

LAST_LOOKS = 2
"""How often a courier that works in calls looks when it is closed: first it is noted what has
failed, and then that no more has."""

CLAIMED_AT_ONCE = 20
LEASE = timedelta(minutes=2)
"""For so long no other courier tells what one has taken up."""

WAITED_FOR = 1.0
"""How many seconds the steps of all sinks wait for these; what is told later counts in the next
step."""

LAST_WAIT = 15.0
"""How many seconds, from when it began to tell a sink, a courier that is closed waits for it; and
no longer for all of them."""

FIRST_WAIT = timedelta(seconds=10)
"""For so long a sink that has taken nothing is left alone; then for twice as long each time."""

OTHERS_FIRST = timedelta(seconds=10)
"""For so much longer by the courier that was refused: another one may reach the sink."""

_KINDS = {kind.value for kind in FailureKind}

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
    names, ends = [teller.name for teller in tellers], list[datetime]()
    return (
        Duty("the look for notices", LOOK_EVERY, lambda now: _look(names, watch, now), LAST_LOOKS),
        *(_Telling(teller, WAITED_FOR / len(tellers), ends).duty for teller in tellers),
    )


def _look(names: Sequence[str], watch: Watch, now: datetime) -> Turn[bool]:
    standing, notes = yield from perform(Read(lambda store: store.standing(now)))
    news = news_of(standing, notes, now, watch.late_after, watch.unknown())
    if news.notes:
        yield from perform(Write(lambda store: store.note(now, names, news, notes)))
    return False


class _Telling:
    """Telling one sink: which notices are claimed, until when, for how long the sink is left alone
    if it refuses the next, and until when it was. A step waits `wait` seconds; `ends` are the
    moments at which the last steps began, of all sinks: one courier may do them one after the
    other."""

    def __init__(self, teller: Teller, wait: float, ends: list[datetime]) -> None:
        self._teller, self._wait, self._ends = teller, wait, ends
        self._claimed: set[int] = set()
        self._until: datetime | None = None
        self._backoff = timedelta(0)
        self._left_until: datetime | None = None
        self.duty = Duty(f"telling {teller.name}", TELL_EVERY, self.step, 1, self.end)

    def step(self, now: datetime) -> Turn[bool]:
        """Tell what waits; whether there may be more."""
        teller, until = self._teller, later(now, LEASE)
        if not teller.is_free and self._until is not None and self._until <= now:
            teller.give_up()
        is_free, _ = yield from self._write_results(now)
        if not is_free or self._is_for_others(now):
            return False
        claim = Write(lambda store: store.claim(teller.name, now, until, CLAIMED_AT_ONCE))
        waiting = yield from perform(claim)
        if not waiting:
            return False
        self._claimed, self._until = {one.number for one in waiting}, until
        self._backoff = _wait(waiting[0].refusals)
        names = teller.names_subjects
        given = yield from perform(Read(lambda store: _as_of_now(store, waiting, now, names)))
        yield from perform(Read(lambda store: teller.tell(given, self._wait)))
        _, taken = yield from self._write_results(now)
        return taken == CLAIMED_AT_ONCE

    def end(self, now: datetime) -> Turn[bool]:
        """Wait for the sink that is taking a notice."""
        self._ends.append(now)
        began = now if self._until is None else earlier(self._until, LEASE)
        rest = LAST_WAIT - max((now - min(began, self._ends[0])).total_seconds(), 0)
        piece = 1.0 if rest >= 1 else 0.0  # in pieces: it may be given less time
        for _ in range(max(int(rest), 1)):
            yield from perform(Read(lambda store: self._teller.end(piece)))
            is_free, _ = yield from self._write_results(now)
            if is_free:
                break
        return False

    def _is_for_others(self, now: datetime) -> bool:
        """Whether others try the sink first now: one of them may reach it."""
        left = self._left_until
        return left is not None and left <= now < later(left, OTHERS_FIRST)

    def _write_results(self, now: datetime) -> Turn[tuple[bool, int]]:
        """Write down what the sink has taken, and when the rest is told again: what it refused,
        and was not told therefore, once it has been left alone; or at once, if it took one of those
        that are claimed. Whether it is free, and how many notices it took."""
        teller, until = self._teller, self._until
        is_free, results = teller.is_free, teller.results()  # in this order
        taken = [number for number, why in results.items() if why is None]
        refused = {number: why for number, why in results.items() if why is not None}
        self._claimed -= results.keys()
        untold = [*self._claimed] if is_free else []
        if taken:
            self._backoff = timedelta(0)
            yield from perform(Write(lambda store: store.notices_taken(teller.name, taken, now)))
        due = later(now, self._backoff) if refused else now
        if refused:
            self._left_until = due if self._backoff else None
            why = next(iter(refused.values()))
            yield from perform(Notify(NoticeNotTaken(teller.name, len(refused), why)))
        if until is not None and (refused or untold):
            numbers = [*refused]
            yield from perform(Write(lambda store: store.put_back(until, numbers, untold, due)))
        if is_free:
            self._claimed = set()
        return is_free, len(taken)


def _as_of_now(
    store: UploadStore, waiting: Sequence[WaitingNotice], now: datetime, names_subjects: bool
) -> Sequence[WaitingNotice]:
    """The notices as they are told now, with the subjects of the newest uploads that they are
    about. These are read when a notice is told, and stored in none."""
    found = []
    for one in waiting:
        notice, present = one.notice, None
        if notice.kind in ("failed", "held") and notice.reason in _KINDS:
            find = Find(
                tenant_id=notice.tenant_id,
                statuses=[Status(notice.kind)],
                kind=notice.reason,
                provider=notice.provider,
                limit=min(notice.number, MOST_NAMED),
            )
            present = sum(count.number for count in store.counted(find))
            subjects = _subjects_in(store, find, now) if names_subjects else ()
            notice = notice.as_of(now, present).naming(subjects)
        else:
            notice = notice.as_of(now, None)
        found.append(evolve(one, notice=notice))
    return found


def _subjects_in(store: UploadStore, find: Find, now: datetime) -> Sequence[str]:
    subjects = dict[str, None]()
    for up in store.find(find, now).uploads:
        key = UploadKey(up.tenant_id, up.evidence_id, up.provider)
        subjects |= dict.fromkeys(_subjects_of(key, store))
    return [*subjects]


def _subjects_of(key: UploadKey, store: UploadStore) -> Sequence[str]:
    """The subject of one upload. A record that cannot be read, since other hands wrote it, keeps
    back no notice."""
    try:
        return [one.dossier.subject for one in store.get([key]).values()]
    except StoreError as error:
        if error.passing:
            raise
        return []


def _wait(refusals: int) -> timedelta:
    return min(FIRST_WAIT * (1 << min(refusals, 20)), MAX_WAIT)
