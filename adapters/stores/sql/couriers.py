"""The couriers on a database: who is there, and what those have in flight that are gone."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from ....ports.couriers import NO_TENANTS
from ....ports.records import Entry
from ..rows import open_upload_of
from . import reads
from .linking import SqlLinks


class SqlCouriers(SqlLinks):
    """`Couriers` in a database."""

    def heartbeat(self, courier_id: int | None, now: datetime) -> int:
        return self._database.heartbeat(courier_id, now)

    def unregister(self, courier_id: int) -> None:
        self._database.unregister(courier_id)

    def dead(
        self, caller: int, limit: int, without: Mapping[int, Collection[str]] = NO_TENANTS
    ) -> Mapping[int, Sequence[Entry]]:
        with self._database.reading() as session:
            others = self._database.others(session, caller)
            senders = {row["owner"] for row in session.ask(reads.SENDERS)}
            gone = [courier for courier, is_dead in others.items() if is_dead]
            gone += sorted(senders - others.keys() - {caller})
            given = [
                (courier, session.list_of(sorted(without.get(courier, ()))), limit)
                for courier in gone
            ]
            found = session.ask_each(reads.IN_FLIGHT, given)
            return {
                courier: [open_upload_of(row) for row in rows]
                for courier, rows in zip(gone, found, strict=True)
            }
