"""The gates in the database: what the domain says of pace, pause, block and lease, asked and
written in the transaction that begins an attempt or lets a request leave.

A slot counts as used now while its request is under way: its `at` is then the end of time. When the
end is recorded, `at` becomes that moment. If that never comes, the slot counts from `until`, when
the request must have ended.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from attrs import Factory, define, field

from ....domain.integration import Pace
from ....domain.pacing import gate as rules
from ....domain.pacing.estimate import Line
from ....domain.pacing.gate import Acquired, Block, GateChange, Pause, Quota, Refusal, Turn
from ....domain.pacing.lease import Lease
from ....domain.upload.backoff import LATE, earlier, is_set_back, later
from ....domain.upload.failure import Failure, FailureKind
from ....domain.upload.upload import UploadKey
from ....ports.gates import Acquire, AcquireAnswer
from ....ports.records import Start
from ..rows import Cell, key_cells, moment, moment_of
from . import statements

_NEXT_SLOT = "SELECT COALESCE(MAX(id), 0) + 1 FROM slots"
UNDER_WAY = moment(datetime.max.replace(tzinfo=UTC))


@define
class _Slots:
    """The slots that are taken in one transaction, and not written yet."""

    connection: sqlite3.Connection
    _rows: list[tuple[int, str, str, str]] = field(factory=list, init=False)
    _next: int = field(default=0, init=False)

    def take(self, credential: str, until: str) -> int:
        """One more that is used from now on; its number."""
        # Nobody else can take one before this transaction ends, so the numbers can be given here.
        if not self._next:
            (self._next,) = self.connection.execute(_NEXT_SLOT).fetchone()
        self._rows.append((self._next, credential, UNDER_WAY, until))
        self._next += 1
        return self._next - 1

    def write(self) -> None:
        """Write them down."""
        statements.INSERT_SLOTS.write(self.connection, self._rows)
        self._rows.clear()


@define
class SqliteGates:
    """The gates within one transaction. What is taken is on disk after `write`."""

    connection: sqlite3.Connection
    _gates: dict[str, _Gate] = field(factory=dict, init=False)
    _slots: _Slots = field(
        default=Factory(lambda self: _Slots(self.connection), takes_self=True), init=False
    )

    def write(self) -> None:
        """Write down the slots that were taken."""
        self._slots.write()

    def begin(self, start: Start) -> Acquired | Refusal:
        """Let a turn begin, or say why not now."""
        at, quota = start.upload.updated_at, start.quota
        gate = self._gate(quota, at, start.upload.key)
        leaves, patience = start.leaves, start.patience
        answer = rules.begin(gate, quota, at, start.courier_id, leaves=leaves, patience=patience)
        if isinstance(answer, Acquired):
            gate.admit()
        return answer

    def acquire(self, request: Acquire) -> AcquireAnswer:
        """Let a request leave, or say why not now."""
        self._end([(slot, request.at) for slot in request.ended])
        gate = self._gate(request.quota, request.at, request.key)
        return rules.go_on(gate, request.quota, request.at, request.courier_id, request.turn)

    def change(self, changes: Iterable[tuple[GateChange, str, str]]) -> None:
        """Write down what the ends of turns and requests mean. Each with its tenant and
        provider."""
        ended: list[tuple[int, datetime]] = []
        for change, tenant_id, provider in changes:
            ended += [(slot, change.at) for slot in change.slots]
            if change.turn:
                self.connection.execute("DELETE FROM turns WHERE id = ?", (change.turn,))
            if change.pause_until is not None:
                self.connection.execute(
                    "INSERT INTO gates (credential, paused_since, paused_until) VALUES (?, ?, ?)"
                    " ON CONFLICT (credential) DO UPDATE SET"
                    " paused_since = excluded.paused_since, paused_until = excluded.paused_until"
                    " WHERE gates.paused_until IS NULL"
                    " OR gates.paused_until < excluded.paused_until",
                    (change.quota.credential, moment(change.at), moment(change.pause_until)),
                )
            if change.block is not None:
                self._block(change, change.block, tenant_id, provider)
            if change.opens:
                opened = "DELETE FROM blocks WHERE address = ? AND until IS NOT NULL"
                self.connection.execute(opened, (change.quota.address,))
        self._end(ended)

    def _block(self, change: GateChange, failure: Failure, tenant_id: str, provider: str) -> None:
        address = change.quota.address
        block = rules.block_after(block_of(self.connection, address), failure, change.at)
        reason = (block.failure.kind.value, block.failure.message, block.failure.http_status)
        until = None if block.until is None else moment(block.until)
        self.connection.execute(
            "INSERT OR REPLACE INTO blocks"
            " (address, tenant_id, provider, at, kind, message, http_status, until)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (address, tenant_id, provider, moment(block.since), *reason, until),
        )

    def _end(self, slots: Sequence[tuple[int, datetime]]) -> None:
        ended = [(slot, moment(at), UNDER_WAY) for slot, at in slots]
        statements.END_SLOTS.write(self.connection, ended)

    def _gate(self, quota: Quota, now: datetime, key: UploadKey | None) -> _Gate:
        gate = self._gates.get(quota.credential)
        if gate is None or gate.quota.pace != quota.pace:
            self._slots.write()  # they are counted
            gate = _Gate(self.connection, self._slots, quota, now)
            gate.enter()
            self._gates[quota.credential] = gate
        gate.quota, gate.now, gate.key, gate.place = quota, now, key, None
        return gate


@define
class _Gate:
    """One credential's gate within one transaction: a `GateStore`.

    `key` is the upload that asks and `place` where it stands in line; `_admitted` are the places of
    those that this transaction has let through.
    """

    connection: sqlite3.Connection
    slots: _Slots
    quota: Quota
    now: datetime
    key: UploadKey | None = field(default=None, init=False)
    place: tuple[str, int] | None = field(default=None, init=False)
    _pause: Pause | None = field(default=None, init=False)
    _lease: Lease | None = field(default=None, init=False)
    _head: tuple[int | None, str | None] = field(default=(None, None), init=False)
    _turns: dict[int, Turn] = field(factory=dict, init=False)
    _blocks: dict[str, Block | None] = field(factory=dict, init=False)
    _admitted: list[tuple[str, int]] = field(factory=list, init=False)
    _used: int = field(default=0, init=False)

    @property
    def _pace(self) -> Pace:
        assert self.quota.pace is not None
        return self.quota.pace

    def enter(self) -> None:
        """Read what is recorded; what is over by now ends, and what lies far in the future is
        now."""
        credential = self.quota.credential
        row = self.connection.execute(
            "SELECT pace_limit, pace_seconds, together, cost, paused_since, paused_until,"
            " holder, held_since, wanted_at, head, head_since FROM gates WHERE credential = ?",
            (credential,),
        ).fetchone()
        if row is not None:
            self._pause = _pause_of(*row[4:6])
            self._lease = _lease_of(*row[6:9])
            self._head = row[9:]
        if self.quota.pace is None:
            return
        pace, quota = self.quota.pace, self.quota
        limits = (pace.limit, pace.period.total_seconds(), quota.together, quota.cost)
        if row is None or row[:4] != limits:
            new = "INSERT OR IGNORE INTO gates (credential) VALUES (?)"
            self.connection.execute(new, (credential,))
            names = ("pace_limit", "pace_seconds", "together", "cost")
            self._update(**dict(zip(names, limits, strict=True)))
        self._tidy()
        self._turns = {turn.id: turn for turn in turns_of(self.connection, credential)}
        (self._used,) = self.connection.execute(
            "SELECT COUNT(*) FROM slots WHERE credential = ? AND at > ?",
            (credential, moment(earlier(self.now, pace.period))),
        ).fetchone()

    def _tidy(self) -> None:
        latest = later(self.now, self.quota.timeout)
        given = {
            "credential": self.quota.credential,
            "now": moment(self.now),
            "future": moment(later(self.now, LATE)),
            "latest": moment(latest),
            "too_late": moment(later(latest, LATE)),
            "old": moment(earlier(self.now, 2 * self._pace.period)),
            "over": moment(earlier(self.now, self._pace.period)),
            "under_way": UNDER_WAY,
        }
        for statement in _TIDY:
            self.connection.execute(statement, given)

    # --- what the rules ask ---

    def block(self) -> Block | None:
        address = self.quota.address
        if address not in self._blocks:
            self._blocks[address] = block_of(self.connection, address)
        return self._blocks[address]

    def put_block(self, block: Block) -> None:
        self._blocks[self.quota.address] = block
        until = None if block.until is None else moment(block.until)
        update = "UPDATE blocks SET until = ? WHERE address = ?"
        self.connection.execute(update, (until, self.quota.address))

    def pause(self) -> Pause | None:
        """If the clock was set back, that is recorded, so that the pause does not move with it."""
        if self._pause is not None and (pause := self._pause.as_of(self.now)) is not self._pause:
            self._pause = pause
            self._update(paused_since=moment(pause.since), paused_until=moment(pause.until))
        return self._pause

    def free(self) -> int:
        return self._pace.limit - self._used

    def free_at(self, slots: int) -> datetime:
        self.slots.write()
        used = used_slots(self.connection, self.quota.credential, self._pace, self.now)
        return rules.free_at(used, self._pace, slots, self.now)

    def turns(self) -> Sequence[Turn]:
        return tuple(self._turns.values())

    def ahead(self, most: int) -> int:
        if self.key is None:
            return 0
        self.place = statements.place_of(self.connection, self.key)
        if self.place is None:
            return 0
        admitted = sum(other < self.place for other in self._admitted)
        credential = self.quota.credential
        found = statements.in_line_before(self.connection, credential, self.place, most + admitted)
        return found - admitted

    def head_since(self) -> datetime:
        (head,) = self.connection.execute(HEAD, (self.quota.credential,)).fetchone() or (None,)
        since = moment_of(self._head[1])
        if self._head[0] == head and since is not None and not is_set_back(self.now, since):
            return since
        self._note_head(head)
        return self.now

    def head_asks(self, noted_before: datetime) -> None:
        head, since = self._head
        if self.key is None or since is None or since >= moment(noted_before):
            return
        place = statements.place_of(self.connection, self.key)
        if place is not None and place[1] == head:
            self._note_head(head)

    def _note_head(self, head: int | None) -> None:
        self._head = (head, moment(self.now))
        self._update(head=head, head_since=moment(self.now))

    def lease(self) -> Lease | None:
        return self._lease

    def hold(self, lease: Lease) -> None:
        self._lease = lease
        wanted = None if lease.wanted_at is None else moment(lease.wanted_at)
        self._update(holder=lease.holder, held_since=moment(lease.since), wanted_at=wanted)

    def _update(self, **cells: Cell) -> None:
        update = f"UPDATE gates SET {', '.join(f'{name} = ?' for name in cells)}"
        given = (*cells.values(), self.quota.credential)
        self.connection.execute(f"{update} WHERE credential = ?", given)

    def admit(self) -> None:
        """The upload that asked stands in line no more."""
        if self.place is not None:
            self._admitted.append(self.place)

    def take(self) -> int:
        self._used += 1
        until = moment(later(self.now, self.quota.timeout))
        return self.slots.take(self.quota.credential, until)

    def open(self, courier_id: int, owed: int) -> int:
        until = later(self.now, self.quota.timeout)
        cells = (self.quota.credential, courier_id, owed, moment(until))
        cursor = self.connection.execute(
            "INSERT INTO turns (credential, owner, owed, until, waits, upload_id)"
            f" VALUES (?, ?, ?, ?, 0, ({ID_OF}))",
            (*cells, *((None,) * 3 if self.key is None else key_cells(self.key))),
        )
        assert cursor.lastrowid is not None
        self._turns[cursor.lastrowid] = Turn(cursor.lastrowid, courier_id, owed, False, until)
        return cursor.lastrowid

    def put(self, turn: Turn) -> None:
        if self._turns.get(turn.id) is turn:
            return
        self._turns[turn.id] = turn
        cells = (turn.courier_id, turn.owed, turn.waits, moment(turn.until))
        self.connection.execute(
            "INSERT INTO turns (id, credential, owner, owed, waits, until)"
            " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE"
            " SET owed = excluded.owed, waits = excluded.waits, until = excluded.until",
            (turn.id, self.quota.credential, *cells),
        )


ID_OF = "SELECT id FROM uploads WHERE tenant_id = ? AND evidence_id = ? AND provider = ?"
HEAD = "SELECT id FROM uploads WHERE credential = ? AND due IS NOT NULL ORDER BY due, id LIMIT 1"
_TIDY = (
    "DELETE FROM slots WHERE credential = :credential AND at <= :old",
    "UPDATE slots SET at = :now"
    " WHERE credential = :credential AND at > :future AND at < :under_way",
    "UPDATE slots SET at = until"
    " WHERE credential = :credential AND at = :under_way AND until <= :now",
    "UPDATE slots SET until = :latest"
    " WHERE credential = :credential AND at = :under_way AND until > :too_late",
    "DELETE FROM turns WHERE credential = :credential AND until <= :over",
    "UPDATE turns SET until = :latest WHERE credential = :credential AND until > :too_late",
)


def block_of(connection: sqlite3.Connection, address: str) -> Block | None:
    """The block of an integration."""
    query = "SELECT kind, message, http_status, at, until FROM blocks WHERE address = ?"
    row = connection.execute(query, (address,)).fetchone()
    if row is None:
        return None
    failure = Failure(FailureKind(row[0]), row[1], http_status=row[2])
    return Block(failure, datetime.fromisoformat(row[3]), moment_of(row[4]))


def turns_of(connection: sqlite3.Connection, credential: str) -> list[Turn]:
    """The open turns of a credential, oldest first."""
    query = "SELECT id, owner, owed, waits, until FROM turns WHERE credential = ? ORDER BY id"
    return [
        Turn(number, courier_id, owed, bool(waits), datetime.fromisoformat(until))
        for number, courier_id, owed, waits, until in connection.execute(query, (credential,))
    ]


LINES_OF = """
SELECT credential, pace_limit, pace_seconds, together, cost, paused_since, paused_until,
    holder, held_since, wanted_at
FROM gates WHERE credential IN (SELECT value FROM json_each(?))
"""


def lines_of(
    connection: sqlite3.Connection, credentials: Iterable[str], now: datetime
) -> dict[str, Line]:
    """What an estimate needs to know of the lines of these credentials."""
    lines = dict.fromkeys(credentials, Line())
    for credential, *row in connection.execute(LINES_OF, (json.dumps([*lines]),)).fetchall():
        limit, seconds, together, cost, *paused = row[:6]
        pause, lease = _pause_of(*paused), _lease_of(*row[6:])
        lines[credential] = Line(pause=pause)
        if limit is not None:
            pace = Pace(limit, timedelta(seconds=seconds))
            used = used_slots(connection, credential, pace, now)
            wanted = lease is not None and lease.is_wanted(now)
            lines[credential] = Line(pace, cost, together, used, pause, wanted)
    return lines


def used_slots(
    connection: sqlite3.Connection, credential: str, pace: Pace, now: datetime
) -> list[datetime]:
    """From when the latest requests of a credential count, newest first."""
    found = connection.execute(
        "SELECT at FROM slots WHERE credential = ? AND at > ? ORDER BY at DESC LIMIT ?",
        (credential, moment(earlier(now, pace.period)), pace.limit),
    )
    return [datetime.fromisoformat(at) for (at,) in found]


def _lease_of(holder: int | None, since: str, wanted_at: str | None) -> Lease | None:
    if holder is None:
        return None
    return Lease(holder, datetime.fromisoformat(since), moment_of(wanted_at))


def _pause_of(since: str | None, until: str | None) -> Pause | None:
    if since is None or until is None:
        return None
    return Pause(datetime.fromisoformat(since), datetime.fromisoformat(until))
