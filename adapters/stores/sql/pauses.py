"""What people have paused, in the database: a row for each pause, which says how it ended."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from attrs import define, field

from ....domain.integration import tenant_key
from ....domain.pacing.gate import Blocked
from ....domain.pacing.paused import Paused, Resumed, Scope, actions_of, pause_of
from ....domain.upload.status import ActionRow
from ....domain.upload.upload import UploadKey
from ....ports.records import AnyChange
from ..rows import Row, moment, since_of
from ..shown import Shown
from . import statements as sql
from .session import Cells, Session


@define
class Pauses:
    """What is paused, as one transaction sees it."""

    _session: Session
    _read: Sequence[Paused] | None = field(default=None, init=False)

    def blocking(self, key: UploadKey) -> Blocked | None:
        """Why an upload must not begin; None if it may."""
        if self._read is None:
            self._read = read(self._session)
        paused = pause_of(self._read, key.tenant_id, key.provider)
        return None if paused is None else Blocked(paused.failure)


def write(session: Session, changes: Sequence[AnyChange]) -> None:
    """Write down what was paused and resumed, in this order."""
    for one in changes:
        if isinstance(one, Paused):
            session.tell_all(sql.PAUSE, [_cells(one)])
        elif isinstance(one, Resumed):
            session.tell_all(sql.RESUME, [_cells(one)])


def read(session: Session) -> list[Paused]:
    """What is paused, the oldest first."""
    return [_paused_of(row) for row in session.ask(sql.PAUSED)]


def of_upload(session: Session, row: Shown) -> Iterator[ActionRow]:
    """The pauses that concerned an upload, and their ends."""
    its = {"tenant_id": tenant_key(row.tenant_id), "provider": row.provider}
    found = _changes_in(session.ask(sql.PAUSES_OF, its))
    since, to = map(since_of, (row.created_at, row.updated_at))
    return actions_of(found, row.tenant_id, row.provider, since, to)


def ended_since(session: Session, moment: str) -> list[Paused | Resumed]:
    """The pauses that have ended since a moment, and their ends."""
    return _changes_in(session.ask(sql.ENDED_PAUSES, {"since": moment}))


def _changes_in(rows: Iterable[Row]) -> list[Paused | Resumed]:
    found: list[Paused | Resumed] = []
    for each in rows:
        found.append(paused := _paused_of(each))
        if each["ended_at"] is not None:
            at = since_of(each["ended_at"])
            found.append(Resumed(paused.scope, at, each["ended_by"], each["ended_reason"]))
    return found


def _cells(one: Paused | Resumed) -> Cells:
    scope = one.scope
    return (scope.tenant_id or "", scope.provider or "", moment(one.at), one.by, one.reason)


def _paused_of(row: Row) -> Paused:
    scope = Scope(row["tenant_id"] or None, row["provider"] or None)
    return Paused(scope, since_of(row["at"]), row["by"], row["reason"])
