"""The lines of credentials in the database: their slots, their cool-downs, and who holds them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from attrs import evolve

from ....domain.integration import Pace
from ....domain.pacing.backfill import credential_of, is_backfill
from ....domain.pacing.estimate import Line
from ....domain.pacing.gate import Cooldown
from ....domain.pacing.lease import Lease
from ....domain.upload.backoff import earlier
from ..rows import Row, moment, moment_of
from . import statements as sql
from .session import Session


def lines_of(session: Session, names: Iterable[str], now: datetime) -> dict[str, Line]:
    """What an estimate needs to know of these lines."""
    wanted = {name: credential_of(name) for name in names}
    found = _lines_of(session, {*wanted.values()}, now)
    return {
        name: evolve(found.get(credential, Line()), old=is_backfill(name))
        for name, credential in wanted.items()
    }


def _lines_of(session: Session, credentials: Iterable[str], now: datetime) -> dict[str, Line]:
    lines: dict[str, Line] = {}
    rows = session.ask_all(sql.GATES, [(credential,) for credential in credentials])
    paces = {
        row["credential"]: Pace(row["pace_limit"], timedelta(seconds=row["pace_seconds"]))
        for row in rows
        if row["pace_limit"] is not None
    }
    used = used_slots(session, paces, now)
    for row in rows:
        name, cooldown, lease = row["credential"], cooldown_of(row), lease_of(row)
        lines[name] = Line(cooldown=cooldown)
        if (pace := paces.get(name)) is not None:
            wanted = lease is not None and lease.is_wanted(now)
            size, begins = (row["cost"], row["together"]), moment_of(row["backfill_at"])
            lines[name] = Line(pace, *size, used[name], cooldown, wanted, begins)
    return lines


def used_slots(
    session: Session, paces: Mapping[str, Pace], now: datetime
) -> dict[str, list[datetime]]:
    """From when the latest requests of credentials count, newest first."""
    given = [
        (credential, moment(earlier(now, pace.period)), pace.limit)
        for credential, pace in paces.items()
    ]
    found = session.ask_each(sql.USED_AT, given)
    return {
        credential: [datetime.fromisoformat(row["at"]) for row in rows]
        for credential, rows in zip(paces, found, strict=True)
    }


def cooldown_of(row: Row) -> Cooldown | None:
    """The cool-down in the columns of the gates table."""
    since, until = moment_of(row["paused_since"]), moment_of(row["paused_until"])
    return None if since is None or until is None else Cooldown(since, until)


def lease_of(row: Row) -> Lease | None:
    """The lease in the columns of the gates table."""
    since = moment_of(row["held_since"])
    if row["holder"] is None or since is None:
        return None
    return Lease(row["holder"], since, moment_of(row["wanted_at"]))
