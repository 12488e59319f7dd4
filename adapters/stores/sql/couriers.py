"""The couriers on a database: who is there, and what those have in flight that are gone."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from ....ports.couriers import NO_TENANTS
from ....ports.records import Entry
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
            found = reads.entries_of(session, reads.IN_FLIGHT, given, limit, self._unreadable)
            # One that is not registered any more and left nothing readable would be found for ever.
            return {
                courier: left or []
                for courier, left in zip(gone, found, strict=True)
                if left is not None or courier in others
            }
