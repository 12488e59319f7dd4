"""Notices in the database: what was noted of how uploads stand, and what waits for each sink."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from ....domain.notices import News, Standing, summary_of
from ....domain.telling import SEEMS_DOWN, Fault, PutBack, Refused, WaitingNotice, blamed, in_turn
from ....domain.upload.backoff import later
from ....domain.upload.find import Find
from ....ports.notices import MAX_WAIT, MAX_WAITING
from ..rows import moment, refused_in, tries_of
from . import health
from .linking import SqlLinks
from .lists import counted
from .session import Batch, Given, Session

_NAME = ("name", "value")
_HAVE_LOCK = "INSERT INTO notice_notes (name, value) VALUES ('', '') ON CONFLICT (name) DO NOTHING"
_LOCK = "SELECT name FROM notice_notes WHERE name = '' /* FOR UPDATE */"
_NOTES = "SELECT name, value FROM notice_notes WHERE name <> ''"
_LOOKED = "SELECT name FROM notice_notes WHERE name <> '' LIMIT 1"
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
_LATER = "due > :now AND due <= :beyond"
_DUE = f"""
SELECT COUNT(CASE WHEN NOT ({_LATER}) THEN 1 END) AS due,
    COUNT(CASE WHEN claimed = 1 AND {_LATER} THEN 1 END) AS claimed,
    COUNT(CASE WHEN tries > 0 THEN 1 END) AS refused,
    COUNT(CASE WHEN tries > 0 AND {_LATER} THEN 1 END) AS later
FROM notices WHERE sink = :sink
"""
_ALL = f"""
SELECT id, notice, tries, CASE WHEN {_LATER} THEN 1 ELSE 0 END AS later
FROM notices WHERE sink = :sink ORDER BY id
"""
_CLAIM = Batch(
    ("id", "due"),
    "UPDATE notices SET due = given.due, claimed = 1 FROM given WHERE notices.id = given.id",
)
_REFUSED = "SELECT COUNT(*) AS number FROM notices WHERE sink = :sink AND tries > 0"
_TAKES_AGAIN = "UPDATE notices SET tries = :tries WHERE sink = :sink AND tries > 0"
_DUE_NOW = """
UPDATE notices SET due = :now WHERE sink = :sink AND claimed = 0 AND due > :now AND tries >= :least
"""
_PUT_BACK = """
UPDATE notices SET due = :due, claimed = 0, tries = COALESCE(:tries, tries)
WHERE id = :id AND claimed = 1 AND due = :until
"""
_REMOVE = Batch(("id",), "DELETE FROM notices WHERE id IN (SELECT id FROM given)")


class SqlNotices(SqlLinks):
    """The `Notices` in a database that is written to."""

    def standing(self, now: datetime) -> tuple[Standing, Mapping[str, str]]:
        with self._readers.reading() as session:
            counts = counted(session, Find())
            figures = health.health(session, now, counts, most=None)
            return Standing(counts, figures.stops, figures.oldest_open_at), _notes(session)

    def looked(self) -> bool:
        with self._readers.reading() as session:
            return bool(session.ask(_LOOKED))

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
            old = [(row["id"], one) for row in rows if (one := health.notice_in(row["notice"]))]
            if not old:
                return
            summary = summary_of([one for _, one in old])
            # A row of its own: one that is being told just now is removed once it was taken.
            session.tell_all(_ADD, [(sink, summary.to_json(), due)])
            session.tell_all(_REMOVE, [(number,) for number, _ in old])

    def claim(
        self, sink: str, now: datetime, until: datetime, limit: int
    ) -> Sequence[WaitingNotice]:
        given = {"sink": sink, "now": moment(now), "beyond": moment(later(now, MAX_WAIT))}
        with self.transaction("no notice was taken up"):
            if not self._are_due(given):
                return []
            self._session.ask(_LOCK)
            if not self._are_due(given):  # another courier has taken them up meanwhile
                return []
            rows = [*self._session.ask(_ALL, given)]
            waiting = [
                WaitingNotice(row["id"], notice, refused_in(row["tries"]))
                for row in rows
                if (notice := health.notice_in(row["notice"])) is not None
            ]
            claimed = in_turn(waiting, {row["id"] for row in rows if row["later"]})[:limit]
            self._session.tell_all(_CLAIM, [(one.number, moment(until)) for one in claimed])
            return claimed

    def _are_due(self, given: Given) -> bool:
        """Whether any may be due: no courier tells the sink now, and it is not left alone."""
        (row,) = self._session.ask(_DUE, given)
        is_left_alone = row["later"] and row["refused"] >= SEEMS_DOWN
        return bool(row["due"]) and not row["claimed"] and not is_left_alone

    def notices_taken(self, sink: str, numbers: Sequence[int], now: datetime) -> None:
        with self.transaction("notices that were sent will be sent again"):
            self._session.ask(_LOCK)
            self._session.tell_all(_REMOVE, [(number,) for number in numbers])
            (row,) = self._session.ask(_REFUSED, {"sink": sink})
            tries = tries_of(blamed(row["number"]))
            self._session.tell(_TAKES_AGAIN, {"sink": sink, "tries": tries})
            least = tries_of(Refused(Fault.SINK))
            given = {"sink": sink, "now": moment(now), "least": least}
            self._session.tell(_DUE_NOW, given)

    def put_back(self, until: datetime, again: Sequence[PutBack]) -> None:
        claimed = moment(until)
        given = [
            {"id": one.number, "until": claimed, "due": moment(one.due), "tries": _tries(one)}
            for one in again
        ]
        with self.transaction("notices will be sent again later"):
            self._session.ask(_LOCK)
            self._session.tell_many(_PUT_BACK, given)


def _tries(one: PutBack) -> int | None:
    return None if one.refused is None else tries_of(one.refused)


def _notes(session: Session) -> Mapping[str, str]:
    return {row["name"]: row["value"] for row in session.ask(_NOTES)}
