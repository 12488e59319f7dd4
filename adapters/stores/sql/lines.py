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
from ..rows import Row, moment, moment_or
from . import statements as sql
from .session import Session

_MOST = 1_000_000_000
"""No figure of a pace is larger."""


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
    found = {row["credential"]: _pace_of(row) for row in rows}
    paces = {name: pace for name, pace in found.items() if pace is not None}
    used = used_slots(session, paces, now)
    for row in rows:
        name, cooldown, lease = row["credential"], cooldown_of(row), lease_of(row)
        lines[name] = Line(cooldown=cooldown)
        if (pace := paces.get(name)) is not None:
            wanted = lease is not None and lease.is_wanted(now)
            size, begins = (row["cost"], row["together"]), moment_or(None, row["backfill_at"])
            lines[name] = Line(pace, *size, used[name], cooldown, wanted, begins)
    return lines


def _pace_of(row: Row) -> Pace | None:
    """The pace in the columns of the gates table; None without one, or if other hands wrote it."""
    limit, seconds = row["pace_limit"], row["pace_seconds"]
    if limit is None or seconds is None or not 0 < seconds < _MOST:
        return None
    can_be = all(0 < number < _MOST for number in (limit, row["cost"], row["together"]))
    return Pace(limit, timedelta(seconds=seconds)) if can_be else None


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
        credential: [at for row in rows if (at := moment_or(None, row["at"])) is not None]
        for credential, rows in zip(paces, found, strict=True)
    }


def cooldown_of(row: Row) -> Cooldown | None:
    """The cool-down in the columns of the gates table. What cannot be read there, since other hands
    wrote it, is none."""
    since, until = (moment_or(None, row[name]) for name in ("paused_since", "paused_until"))
    return None if since is None or until is None else Cooldown(since, until)


def lease_of(row: Row) -> Lease | None:
    """The lease in the columns of the gates table, likewise."""
    since = moment_or(None, row["held_since"])
    if row["holder"] is None or since is None:
        return None
    return Lease(row["holder"], since, moment_or(None, row["wanted_at"]))
