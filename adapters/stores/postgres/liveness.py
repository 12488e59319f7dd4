"""The couriers on one database, and how it is known that one of them is dead."""

from __future__ import annotations

from collections.abc import Mapping

from ..sql.session import Session
from ..sql.statements import LOCK_CLASS

SILENCE = 120.0
"""After how many seconds without a beat a courier without a lock is dead in any case."""

_COURIERS = f"""
SELECT couriers.id, EXISTS (
    SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND classid = {LOCK_CLASS}
    AND objid = couriers.id::oid AND objsubid = 2 AND granted
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
) AS held,
beat_at < clock_timestamp() - make_interval(secs => :silence) AS silent,
beat_at > greatest(pg_postmaster_start_time(), :cut_at) AS beats
FROM couriers WHERE couriers.id <> :caller ORDER BY couriers.id
"""


def believed_dead(
    session: Session, caller: int | None = None, cut_at: str = "-infinity"
) -> Mapping[int, bool]:
    """The couriers that are registered, but for the caller, and whether each is believed dead: a
    lock that is gone tells at once; but if the server has started since the last beat, or our own
    session was cut since then (`cut_at`), theirs may have been cut, too."""
    given = {"caller": caller or 0, "cut_at": cut_at, "silence": SILENCE}
    return {
        row["id"]: not row["held"] and (row["silent"] or row["beats"])
        for row in session.ask(_COURIERS, given)
    }
