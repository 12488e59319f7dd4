"""The gates in the database: what the domain says of pace, pause and block, asked and written in
the transaction that begins an attempt.

A slot counts as used now while its request is under way: its `at` is then the end of time. It is
moved to the request's end with the attempt's outcome; if that never comes, it counts from `until`,
when the request must have ended.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from attrs import define, field, frozen

from ....domain.integration import Pace
from ....domain.pacing import gate
from ....domain.pacing.gate import GateChange, Pause, Quota, Refusal
from ....domain.pacing.lease import Lease
from ....domain.upload.backoff import earlier, later
from ....domain.upload.failure import Failure, FailureKind
from . import statements
from .rows import moment
from .statements import Cells

UNDER_WAY = moment(datetime.max.replace(tzinfo=UTC))


@define
class _Gate:
    pause: Pause | None
    pace: Pace | None
    together: int = 1
    used: int | None = None
    admitted: list[tuple[str, int]] = field(factory=list)


@define
class SqliteGates:
    """Lets attempts through, within one transaction."""

    connection: sqlite3.Connection
    _gates: dict[str, _Gate] = field(factory=dict)
    _blocks: dict[str, Failure | None] = field(factory=dict)

    def ask(
        self, quota: Quota, cost: int, at: datetime, courier_id: int, key: Cells | None = None
    ) -> tuple[int, ...] | Refusal:
        """The slots of so many requests, or why not now. `key` is that of the upload that is
        about to begin and stands in line."""
        places: list[tuple[str, int]] = []

        def longer_waiting() -> int:
            assert key is not None and quota.pace is not None
            place = statements.place_of(self.connection, key)
            if place is None:
                return 0
            places.append(place)
            return self._longer_waiting(quota, quota.pace, place)

        answer = gate.ask(
            self, quota, cost, at, courier_id, None if key is None else longer_waiting
        )
        if isinstance(answer, tuple):
            self._gate(quota).admitted += places
        return answer

    def _longer_waiting(self, quota: Quota, pace: Pace, place: tuple[str, int]) -> int:
        """Who stands before this upload; those whom this transaction has let through already, do
        not."""
        admitted = sum(other < place for other in self._gate(quota).admitted)
        most = pace.limit * quota.together + admitted
        return statements.in_line_before(self.connection, quota.credential, place, most) - admitted

    def block_of(self, address: str) -> Failure | None:
        if address not in self._blocks:
            row = self.connection.execute(
                "SELECT kind, message, http_status FROM blocks WHERE address = ?", (address,)
            ).fetchone()
            self._blocks[address] = (
                None if row is None else Failure(FailureKind(row[0]), row[1], http_status=row[2])
            )
        return self._blocks[address]

    def _gate(self, quota: Quota) -> _Gate:
        kept = self._gates.get(quota.credential)
        if kept is None:
            kept = self._gates[quota.credential] = gate_of(self.connection, quota.credential)
        if (kept.pace, kept.together) != (quota.pace, quota.together):
            kept.pace, kept.together = quota.pace, quota.together
            limit, seconds = _pace_cells(quota.pace)
            self.connection.execute(
                "INSERT INTO gates (credential, pace_limit, pace_seconds, together) VALUES (?, ?, ?, ?)"
                " ON CONFLICT (credential) DO UPDATE SET pace_limit = excluded.pace_limit, pace_seconds = excluded.pace_seconds,"
                " together = excluded.together",
                (quota.credential, limit, seconds, quota.together),
            )
        return kept

    def pause_of(self, quota: Quota, now: datetime) -> Pause | None:
        """As in `GateStore`. Where the clock was set back, that is written down, so that the
        pause does not move on with it."""
        kept = self._gate(quota)
        if kept.pause is not None and (pause := kept.pause.as_of(now)) is not kept.pause:
            kept.pause = pause
            self.connection.execute(
                "UPDATE gates SET paused_since = ?, paused_until = ? WHERE credential = ?",
                (moment(pause.since), moment(pause.until), quota.credential),
            )
        return kept.pause

    def free_at(self, quota: Quota, pace: Pace, cost: int, now: datetime) -> datetime:
        kept = self._gate(quota)
        if kept.used is None:
            self.connection.execute(
                "DELETE FROM slots WHERE credential = ? AND at <= ?",
                (quota.credential, moment(earlier(now, 2 * pace.period))),
            )
            self._set_back(quota, now)
            kept.used = self._count(quota, pace, now)
        if kept.used + cost <= pace.limit:
            return now
        self.connection.execute(
            "UPDATE slots SET at = until WHERE credential = ? AND at = ? AND until <= ?",
            (quota.credential, UNDER_WAY, moment(now)),
        )
        kept.used = self._count(quota, pace, now)
        return gate.free_at(
            used_slots(self.connection, quota.credential, pace, now), pace, cost, now
        )

    def _set_back(self, quota: Quota, at: datetime) -> None:
        """What lies in the future counts as now, from now on: the clock was set back since."""
        latest = moment(later(at, quota.patience))
        self.connection.execute(
            "UPDATE slots SET at = ? WHERE credential = ? AND at > ? AND at < ?",
            (moment(at), quota.credential, moment(at), UNDER_WAY),
        )
        self.connection.execute(
            "UPDATE slots SET until = ? WHERE credential = ? AND at = ? AND until > ?",
            (latest, quota.credential, UNDER_WAY, latest),
        )

    def _count(self, quota: Quota, pace: Pace, at: datetime) -> int:
        (used,) = self.connection.execute(
            "SELECT COUNT(*) FROM slots WHERE credential = ? AND at > ?",
            (quota.credential, moment(earlier(at, pace.period))),
        ).fetchone()
        return int(used)

    def holding(self, quota: Quota, now: datetime) -> _Holding:
        return _Holding(self.connection, quota.credential, now)

    def take(self, quota: Quota, cost: int, now: datetime) -> tuple[int, ...]:
        kept = self._gate(quota)
        kept.used = (kept.used or 0) + cost
        until = moment(later(now, quota.patience))
        taken = []
        for _ in range(cost):
            cursor = self.connection.execute(
                "INSERT INTO slots (credential, at, until) VALUES (?, ?, ?)",
                (quota.credential, UNDER_WAY, until),
            )
            assert cursor.lastrowid is not None
            taken.append(cursor.lastrowid)
        return tuple(taken)

    def change(self, changes: Iterable[tuple[GateChange, str, str]]) -> None:
        """Write down what the ends of attempts mean. Each with its tenant and provider."""
        settled = []
        for change, tenant_id, provider in changes:
            settled += [(moment(change.at), slot, UNDER_WAY) for slot in change.slots]
            if change.pause_until is not None:
                self.connection.execute(
                    "INSERT INTO gates (credential, paused_since, paused_until) VALUES (?, ?, ?)"
                    " ON CONFLICT (credential) DO UPDATE SET paused_since = excluded.paused_since, paused_until = excluded.paused_until"
                    " WHERE gates.paused_until IS NULL OR gates.paused_until < excluded.paused_until",
                    (change.quota.credential, moment(change.at), moment(change.pause_until)),
                )
            if change.block is not None:
                block = change.block
                self.connection.execute(
                    "INSERT OR REPLACE INTO blocks (address, tenant_id, provider, at, kind, message, http_status)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (
                        change.quota.address,
                        tenant_id,
                        provider,
                        moment(change.at),
                        block.kind.value,
                        block.message,
                        block.http_status,
                    ),
                )
        if settled:
            self.connection.executemany("UPDATE slots SET at = ? WHERE id = ? AND at = ?", settled)


@frozen
class _Holding:
    """Who has a credential that only one may use (see `tenure.LeaseStore`)."""

    connection: sqlite3.Connection
    credential: str
    now: datetime

    def tenure(self) -> Lease | None:
        row = self.connection.execute(
            "SELECT holder, held_since, wanted_at FROM gates WHERE credential = ? AND holder IS NOT NULL",
            (self.credential,),
        ).fetchone()
        if row is None:
            return None
        holder, since, wanted = row
        return Lease(
            holder,
            datetime.fromisoformat(since),
            None if wanted is None else datetime.fromisoformat(wanted),
        )

    def in_use(self) -> bool:
        row = self.connection.execute(
            "SELECT 1 FROM slots WHERE credential = ? AND at = ? AND until > ? LIMIT 1",
            (self.credential, UNDER_WAY, moment(self.now)),
        ).fetchone()
        return row is not None

    def hold(self, tenure: Lease) -> None:
        self.connection.execute(
            "UPDATE gates SET holder = ?, held_since = ?, wanted_at = ? WHERE credential = ?",
            (
                tenure.holder,
                moment(tenure.since),
                None if tenure.wanted_at is None else moment(tenure.wanted_at),
                self.credential,
            ),
        )


def gate_of(connection: sqlite3.Connection, credential: str) -> _Gate:
    """What is written of a credential's pace and pause."""
    row = connection.execute(
        "SELECT pace_limit, pace_seconds, paused_since, paused_until, together FROM gates WHERE credential = ?",
        (credential,),
    ).fetchone()
    if row is None:
        return _Gate(None, None)
    limit, seconds, since, until, together = row
    return _Gate(
        pause=None
        if until is None
        else Pause(datetime.fromisoformat(since), datetime.fromisoformat(until)),
        pace=None if limit is None else Pace(limit, timedelta(seconds=seconds)),
        together=together,
    )


def used_slots(
    connection: sqlite3.Connection, credential: str, pace: Pace, now: datetime
) -> list[datetime]:
    """From when the latest requests of a credential count, newest first."""
    found = connection.execute(
        "SELECT at FROM slots WHERE credential = ? AND at > ? ORDER BY at DESC LIMIT ?",
        (credential, moment(earlier(now, pace.period)), pace.limit),
    )
    return [datetime.fromisoformat(at) for (at,) in found]


def _pace_cells(pace: Pace | None) -> tuple[int | None, float | None]:
    return (None, None) if pace is None else (pace.limit, pace.period.total_seconds())
