"""The notices of a store in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import count

from attrs import define, evolve

from ..domain.health import Count, RecordsHealth, SinkNotices
from ..domain.notices import News, Notice, Standing, summary_of
from ..domain.telling import NOT_REFUSED, Fault, PutBack, Refused, WaitingNotice, blamed, in_turn
from ..domain.upload.backoff import later
from ..domain.upload.find import Find
from ..ports.notices import MAX_WAIT, MAX_WAITING
from .memory_inspection import MemoryInspection


@define
class _Waiting:
    sink: str
    notice: Notice
    due: datetime
    refused: Refused = NOT_REFUSED
    claimed: bool = False


class MemoryNotices(MemoryInspection):
    """The verbs of `Notices`."""

    def __init__(self) -> None:
        super().__init__()
        self._notes: dict[str, str] = {}
        self._notices: dict[int, _Waiting] = {}
        self._numbers = count(1)

    def counted(self, find: Find) -> Sequence[Count]:
        raise NotImplementedError

    def _health(self, now: datetime, most: int | None) -> RecordsHealth:
        raise NotImplementedError

    def standing(self, now: datetime) -> tuple[Standing, Mapping[str, str]]:
        with self._lock:
            self._go_on("standing")
            figures = self._health(now, None)
            stand = Standing(self.counted(Find()), figures.stops, figures.oldest_open_at)
            return stand, dict(self._notes)

    def looked(self) -> bool:
        with self._lock:
            self._go_on("looked")
            return bool(self._notes)

    def note(self, now: datetime, sinks: Sequence[str], news: News, seen: Mapping[str, str]) -> int:
        with self._lock:
            self._go_on("note")
            if self._notes != seen:
                return 0
            notes = {**self._notes, **news.notes}
            self._notes = {name: value for name, value in notes.items() if value is not None}
            for notice in news.notices:
                for sink in sinks:
                    self._notices[next(self._numbers)] = _Waiting(sink, notice, now)
            for sink in sinks:
                waiting = [n for n, one in self._notices.items() if one.sink == sink]
                if len(waiting) > MAX_WAITING:
                    many = [self._notices.pop(n).notice for n in waiting[: -(MAX_WAITING // 2)]]
                    self._notices[next(self._numbers)] = _Waiting(sink, summary_of(many), now)
            return len(news.notices)

    def claim(
        self, sink: str, now: datetime, until: datetime, limit: int
    ) -> Sequence[WaitingNotice]:
        with self._lock:
            self._go_on("claim")
            beyond, waiting = later(now, MAX_WAIT), self._waiting_for(sink)
            not_due = {n for n, one in waiting.items() if now < one.due <= beyond}
            if any(waiting[number].claimed for number in not_due):
                return []
            numbered = [WaitingNotice(n, one.notice, one.refused) for n, one in waiting.items()]
            found = in_turn(numbered, not_due)[:limit]
            for claim in found:
                self._notices[claim.number].due = until
                self._notices[claim.number].claimed = True
            return found

    def notices_taken(self, sink: str, numbers: Sequence[int], now: datetime) -> None:
        with self._lock:
            self._go_on("notices_taken")
            for number in numbers:
                self._notices.pop(number, None)
            waiting = self._waiting_for(sink).values()
            suspects = [one for one in waiting if one.refused.fault is Fault.UNKNOWN]
            for one in suspects:
                one.refused = blamed(len(suspects))
            for one in waiting:
                if not one.claimed and one.refused.fault is not Fault.NOTICE:
                    one.due = min(one.due, now)

    def _sinks(self) -> Sequence[SinkNotices]:
        """What waits for each sink."""
        found: dict[str, SinkNotices] = {}
        for one in self._notices.values():
            new = SinkNotices(sink=one.sink, number=0, since=one.notice.at, tries=0)
            old = found.get(one.sink, new)
            since, tries = min(old.since, one.notice.at), max(old.tries, one.refused.times)
            found[one.sink] = evolve(old, number=old.number + 1, since=since, tries=tries)
        return [found[sink] for sink in sorted(found)]

    def put_back(self, until: datetime, again: Sequence[PutBack]) -> None:
        with self._lock:
            self._go_on("put_back")
            for each in again:
                one = self._notices.get(each.number)
                if one is not None and one.claimed and one.due == until:
                    one.due, one.claimed = each.due, False
                    one.refused = each.refused or one.refused

    def _waiting_for(self, sink: str) -> Mapping[int, _Waiting]:
        return {number: one for number, one in self._notices.items() if one.sink == sink}
