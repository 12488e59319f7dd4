"""Telling people what they must know: one duty looks how the uploads stand, and one for each sink
tells it what waits. A sink that is down, slow or hanging delays no other one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol

from attrs import evolve, frozen

from ..domain.errors import StoreError
from ..domain.notices import About, about_of, news_of
from ..domain.telling import Fault, PutBack, Refused, WaitingNotice
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
"""How often a courier that works in calls looks at the end of a call, and when it is closed: first
it is noted what has failed, and then that no more has."""

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
"""For so long a sink that has taken nothing is left alone, and so is one notice if it takes others;
then for twice as long each time."""

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

    def tell(self, notices: Sequence[WaitingNotice]) -> None:
        """Begin to tell these."""
        ...

    def wait(self, seconds: float) -> None:
        """Wait for the end of the telling; what takes longer goes on."""
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
        _Look(names, watch).duty,
        *(_Telling(teller, WAITED_FOR / len(tellers), ends).duty for teller in tellers),
    )


class _Look:
    """Looking for what these sinks are told; `mine` is what the courier has told of itself."""

    def __init__(self, names: Sequence[str], watch: Watch) -> None:
        self._names, self._watch = names, watch
        self._mine = set[About]()
        # At the close, what it has told of itself does not wait for the next courier, which may
        # come tomorrow.
        last = partial(self._look, mine=self._mine)
        name = "the look for notices"
        self.duty = Duty(name, LOOK_EVERY, self._look, LAST_LOOKS, start=self._first, last=last)

    def _first(self, now: datetime) -> Turn[bool]:
        """Look if no courier ever has: what had failed by then is not told."""
        if not (yield from perform(Read(lambda store: store.looked()))):
            yield from self._look(now)
        return False

    def _look(self, now: datetime, mine: Collection[About] = ()) -> Turn[bool]:
        watch = self._watch
        standing, notes = yield from perform(Read(lambda store: store.standing(now)))
        news = news_of(standing, notes, now, watch.late_after, watch.unknown(), mine)
        if news.notes:
            write = Write(lambda store: store.note(now, self._names, news, notes))
            if (yield from perform(write)):
                self._mine |= {about_of(one) for one in news.notices}
        return False


class _Telling:
    """Telling one sink: what is claimed, until when, for how long the sink is left alone if it
    takes none of that, and until when it was. `wait` is how many seconds it waits at most; `ends`
    are the moments at which the last steps began, of all sinks: one courier may do them one after
    the other."""

    def __init__(self, teller: Teller, wait: float, ends: list[datetime]) -> None:
        self._teller, self._wait, self._ends = teller, wait, ends
        self._claimed: dict[int, WaitingNotice] = {}
        self._until: datetime | None = None
        self._has_taken = False
        self._rest_waits = timedelta(0)
        self._left_until: datetime | None = None
        name = f"telling {teller.name}"
        self.duty = Duty(name, TELL_EVERY, self.step, 1, self.end, wait=self.wait)

    def step(self, now: datetime) -> Turn[bool]:
        """Begin to tell what waits; whether any does."""
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
        self._claimed, self._until = {one.number: one for one in waiting}, until
        self._has_taken, self._rest_waits = False, timedelta(0)
        names = teller.names_subjects
        given = yield from perform(Read(lambda store: _as_of_now(store, waiting, now, names)))
        yield from perform(Read(lambda store: teller.tell(given)))
        return True

    def wait(self, now: datetime, seconds: float) -> Turn[bool]:
        """Wait for what is told; whether there may be more."""
        yield from perform(Read(lambda store: self._teller.wait(min(seconds, self._wait))))
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
        """Write down what the sink has taken, and when the rest is told again. Whether it is free,
        and how many notices it took."""
        teller = self._teller
        is_free, results = teller.is_free, teller.results()  # in this order
        taken = [number for number, why in results.items() if why is None]
        refused = {number: why for number, why in results.items() if why is not None}
        if taken:
            self._has_taken, self._rest_waits, self._left_until = True, timedelta(0), None
            yield from perform(Write(lambda store: store.notices_taken(teller.name, taken, now)))
        if refused:
            why = next(iter(refused.values()))
            yield from perform(Notify(NoticeNotTaken(teller.name, len(refused), why)))
        claimed = [self._claimed.pop(number, None) for number in results]
        again = [
            self._refused(one, now)
            for number, one in zip(results, claimed, strict=True)
            if one is not None and number in refused
        ]
        if is_free:
            due = later(now, self._rest_waits)
            again += [PutBack(number, due) for number in self._claimed]
            self._claimed = {}
        if again:
            until = self._until
            assert until is not None
            yield from perform(Write(lambda store: store.put_back(until, again)))
        return is_free, len(taken)

    def _refused(self, one: WaitingNotice, now: datetime) -> PutBack:
        """It waits alone if the sink takes others, and else the sink is left alone."""
        if self._has_taken:
            return PutBack(one.number, later(now, FIRST_WAIT), Refused(Fault.NOTICE))
        if one.refused.fault is Fault.NOTICE:
            self._rest_waits = max(self._rest_waits, FIRST_WAIT)
            times = one.refused.times
            return PutBack(one.number, later(now, _wait(times)), Refused(Fault.NOTICE, times + 1))
        self._rest_waits = _wait(one.refusals)
        self._left_until = due = later(now, self._rest_waits)
        return PutBack(one.number, due, Refused(Fault.UNKNOWN, one.refusals + 1))


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
