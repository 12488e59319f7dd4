"""The notices of a store in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import count

from attrs import define

from ..domain.health import Count, RecordsHealth
from ..domain.notices import News, Notice, Standing, summary_of, tellable
from ..domain.upload.backoff import later
from ..domain.upload.find import Find
from ..ports.notices import MAX_WAIT, MAX_WAITING, WaitingNotice
from .memory_inspection import MemoryInspection


@define
class _Waiting:
    sink: str
    notice: Notice
    due: datetime
    tries: int = 0


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
            waiting = {n: one for n, one in self._notices.items() if one.sink == sink}
            beyond = later(now, MAX_WAIT)
            due = {n for n, one in waiting.items() if not now < one.due <= beyond}
            found = tellable([(n, one.notice) for n, one in waiting.items()], due)[:limit]
            for number in found:
                waiting[number].due = until
            return [WaitingNotice(n, waiting[n].notice, waiting[n].tries) for n in found]

    def notices_taken(self, numbers: Sequence[int]) -> None:
        with self._lock:
            self._go_on("notices_taken")
            for number in numbers:
                self._notices.pop(number, None)

    def notices_refused(self, due: Mapping[int, datetime]) -> None:
        with self._lock:
            self._go_on("notices_refused")
            for number, at in due.items():
                if number in self._notices:
                    self._notices[number].due = at
                    self._notices[number].tries += 1
