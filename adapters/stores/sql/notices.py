"""Notices in the database: what was noted of how uploads stand, and what waits for each sink."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from ....domain.notices import News, Notice, Standing, summary_of, tellable
from ....domain.upload.backoff import later
from ....domain.upload.find import Find
from ....ports.notices import MAX_WAIT, MAX_WAITING, WaitingNotice
from ..rows import moment
from . import health
from .linking import SqlLinks
from .lists import counted
from .session import Batch, Session

_NAME = ("name", "value")
_HAVE_LOCK = "INSERT INTO notice_notes (name, value) VALUES ('', '') ON CONFLICT (name) DO NOTHING"
_LOCK = "SELECT name FROM notice_notes WHERE name = '' /* FOR UPDATE */"
_NOTES = "SELECT name, value FROM notice_notes WHERE name <> ''"
_PUT = Batch(
    _NAME,
    "INSERT INTO notice_notes (name, value) SELECT * FROM given WHERE true"
    " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
)
_FORGET = Batch(("name",), "DELETE FROM notice_notes WHERE name IN (SELECT name FROM given)")
_ADD = Batch(
    ("sink", "notice", "due"),
    "INSERT INTO notices (sink, notice, due, tries) SELECT sink, notice, due, 0 FROM given",
)
_WAITING = "SELECT COUNT(*) AS number FROM notices WHERE sink = :sink"
_OLDEST = "SELECT id, notice FROM notices WHERE sink = :sink ORDER BY id LIMIT :most"
_ALL = """
SELECT id, notice, due <= :now OR due > :beyond AS is_due FROM notices WHERE sink = :sink
ORDER BY id
"""
_DUE = """
SELECT id, tries FROM notices
WHERE sink = :sink AND id <= :last AND (due <= :now OR due > :beyond)
ORDER BY id /* FOR UPDATE SKIP LOCKED */
"""
_CLAIM = Batch(
    ("id", "due"), "UPDATE notices SET due = given.due FROM given WHERE notices.id = given.id"
)
_POSTPONE = Batch(
    ("id", "due"),
    "UPDATE notices SET due = given.due, tries = tries + 1 FROM given WHERE notices.id = given.id",
)
_REMOVE = Batch(("id",), "DELETE FROM notices WHERE id IN (SELECT id FROM given)")


class SqlNotices(SqlLinks):
    """The `Notices` in a database that is written to."""

    def standing(self, now: datetime) -> tuple[Standing, Mapping[str, str]]:
        with self._readers.reading() as session:
            counts = counted(session, Find())
            figures = health.health(session, now, counts, most=None)
            return Standing(counts, figures.stops, figures.oldest_open_at), _notes(session)

    def note(self, now: datetime, sinks: Sequence[str], news: News, seen: Mapping[str, str]) -> int:
        with self.transaction("no notice was written"):
            session = self._session
            session.tell(_HAVE_LOCK)
            session.ask(_LOCK)
            if _notes(session) != seen:
                return 0
            session.tell_all(_PUT, [(k, v) for k, v in news.notes.items() if v is not None])
            session.tell_all(_FORGET, [(k,) for k, value in news.notes.items() if value is None])
            texts = [notice.to_json() for notice in news.notices]
            due = moment(now)
            session.tell_all(_ADD, [(sink, text, due) for text in texts for sink in sinks])
            for sink in sinks if texts else ():
                self._sum_up(sink, due)
            return len(texts)

    def _sum_up(self, sink: str, due: str) -> None:
        session = self._session
        (row,) = session.ask(_WAITING, {"sink": sink})
        if row["number"] > MAX_WAITING:
            most = row["number"] - MAX_WAITING // 2
            rows = session.ask(_OLDEST, {"sink": sink, "most": most})
            summary = summary_of([Notice.from_json(one["notice"]) for one in rows])
            # A row of its own: one that is being told just now is removed once it was taken.
            session.tell_all(_ADD, [(sink, summary.to_json(), due)])
            session.tell_all(_REMOVE, [(one["id"],) for one in rows])

    def claim(
        self, sink: str, now: datetime, until: datetime, limit: int
    ) -> Sequence[WaitingNotice]:
        with self.transaction("no notice was taken up"):
            given = {"sink": sink, "now": moment(now), "beyond": moment(later(now, MAX_WAIT))}
            rows = self._session.ask(_ALL, given)
            due = {row["id"] for row in rows if row["is_due"]}
            waiting = {row["id"]: Notice.from_json(row["notice"]) for row in rows}
            wanted = tellable([*waiting.items()], due)[:limit]
            if not wanted:
                return []
            # Of these, another courier may have taken up some meanwhile: what is behind them waits.
            rows = self._session.ask(_DUE, {"last": wanted[-1], **given})
            tries = {row["id"]: row["tries"] for row in rows}
            found = tellable([*waiting.items()], tries)[:limit]
            self._session.tell_all(_CLAIM, [(number, moment(until)) for number in found])
            return [WaitingNotice(n, waiting[n], tries[n]) for n in found]

    def notices_taken(self, numbers: Sequence[int]) -> None:
        with self.transaction("notices that were told will be told again"):
            self._session.tell_all(_REMOVE, [(number,) for number in numbers])

    def notices_refused(self, due: Mapping[int, datetime]) -> None:
        with self.transaction("notices will be told again later"):
            rows = [(number, moment(at)) for number, at in due.items()]
            self._session.tell_all(_POSTPONE, rows)


def _notes(session: Session) -> Mapping[str, str]:
    return {row["name"]: row["value"] for row in session.ask(_NOTES)}
