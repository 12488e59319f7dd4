"""The gates in the database: what the domain says of pace, pause, block and lease, asked and
written in the transaction that begins an attempt or lets a request leave.

What a batch needs of its credentials is read at once, the rules are asked in memory, and what they
changed is written at once: as many round trips for a thousand credentials as for one. The row of a
paced credential in `gates` is locked meanwhile. If another courier has it just then, the answer is
"not yet".

A slot counts as used now while its request is under way: its `at` is then the end of time. When the
end is recorded, `at` becomes that moment. If that never comes, the slot counts from `until`, when
the request must have ended.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from attrs import define, field, frozen

from ....domain.integration import Pace
from ....domain.pacing import gate as rules
from ....domain.pacing.gate import Acquired, Block, GateChange, NotBefore, Pause, Quota, Turn
from ....domain.pacing.lease import Lease
from ....domain.upload.backoff import LATE, earlier, is_set_back, later
from ....domain.upload.failure import Failure, FailureKind
from ....ports.gates import Acquire, AcquireAnswer
from ....ports.records import Start
from ..rows import Row, moment, moment_of
from . import statements as sql
from .sessions import Session, ask, tell

UNDER_WAY = datetime.max.replace(tzinfo=UTC)
_END = moment(UNDER_WAY)

BUSY = timedelta(milliseconds=20)
"""When to ask again for a gate that another courier has just now."""

LinePlace = tuple[datetime, int]


@frozen
class Asker:
    """Who asks a gate at `at`: the upload with this id, which stands in line at `due`."""

    quota: Quota
    at: datetime
    upload_id: int | None = None
    due: datetime | None = None

    @property
    def place(self) -> LinePlace | None:
        """Where the upload stands in its line."""
        return None if self.due is None or self.upload_id is None else (self.due, self.upload_id)


class PostgresGates:
    """The gates of all who ask in one verb of one transaction."""

    def __init__(self, session: Session, askers: Sequence[Asker], *, waits: bool) -> None:
        """Read what is needed. `waits`: for gates that another courier has just now."""
        self._session = session
        self._waits = waits
        self._askers = askers
        self._gates: dict[str, _Gate] = {}
        self._blocks: dict[str, Block | None] = {}
        self._numbers: list[int] = []
        if askers:
            self._enter(askers)

    def begin(self, start: Start, asker: Asker) -> Acquired | rules.Refusal:
        """Let a turn begin, or say why not now."""
        gate = self._gate(asker)
        if gate is None:
            return NotBefore(later(asker.at, BUSY))
        answer = rules.begin(
            gate,
            start.quota,
            asker.at,
            start.courier_id,
            leaves=start.leaves,
            patience=start.patience,
        )
        if isinstance(answer, Acquired):
            gate.admit()
        return answer

    def acquire(self, request: Acquire, asker: Asker) -> AcquireAnswer:
        """Let a request leave, or say why not now."""
        gate = self._gate(asker)
        assert gate is not None  # it was waited for
        return rules.go_on(gate, request.quota, request.at, request.courier_id, request.turn)

    def write(self) -> None:
        """Write what has changed."""
        gates = [gate for gate in self._gates.values() if gate.has_changed]
        session = self._session
        sql.UPDATE_GATES.tell(session, (gate.cells() for gate in gates))
        sql.INSERT_SLOTS.tell(session, (row for gate in gates for row in gate.taken))
        sql.PUT_TURNS.tell(session, (row for gate in gates for row in gate.put_turns.values()))
        for gate in gates:
            gate.taken.clear()
            gate.put_turns.clear()
        sql.PARK.tell(session, self._parked())

    def _parked(self) -> Iterable[tuple[str, str]]:
        for gate in self._gates.values():
            for address in gate.probed:
                block = self._blocks[address]
                if block is not None and block.until is not None:
                    yield address, moment(block.until)
            gate.probed.clear()

    def _gate(self, asker: Asker) -> _Gate | None:
        gate = self._gates.get(asker.quota.credential)
        if gate is not None and gate.quota.pace != asker.quota.pace:
            self.write()
            self._enter([asker])
            gate = self._gates.get(asker.quota.credential)
        if gate is not None:
            gate.asker, gate.quota, gate.now = asker, asker.quota, asker.at
        return gate

    # --- reading ---

    def _enter(self, askers: Sequence[Asker]) -> None:
        first: dict[str, Asker] = {}
        for asker in askers:
            first.setdefault(asker.quota.credential, asker)
        paced = [one for one in first.values() if one.quota.pace is not None]
        rows = self._rows(list(first.keys() - {one.quota.credential for one in paced}), paced)
        addresses = {asker.quota.address for asker in askers} - self._blocks.keys()
        self._blocks |= dict.fromkeys(addresses)
        self._blocks |= blocks_of(self._session, addresses)
        for credential, asker in first.items():
            row = rows.get(credential)
            if row is not None or asker.quota.pace is None:
                self._gates[credential] = _Gate(self, asker, row)
            else:
                self._gates.pop(credential, None)  # another courier has it
        had = [one for one in paced if one.quota.credential in rows]
        if had:
            self._enter_paced(had, Counter(asker.quota.credential for asker in askers))

    def _rows(self, unpaced: list[str], paced: Sequence[Asker]) -> dict[str, Row]:
        session = self._session
        found = ask(session, sql.GATES, [unpaced]) if unpaced else []
        names = sorted(one.quota.credential for one in paced)
        if names:
            lock = sql.LOCK_GATES if self._waits else sql.LOCK_FREE_GATES
            found += ask(session, lock, [names])
            missing = [name for name in names if name not in {row["credential"] for row in found}]
            if missing:
                tell(session, sql.INSERT_GATES, [missing])
                found += ask(session, lock, [missing])
        return {row["credential"]: row for row in found}

    def _enter_paced(self, askers: Sequence[Asker], many: Mapping[str, int]) -> None:
        """What is over by now ends, what lies far in the future is now; read the rest."""
        session = self._session
        given, lines = [], []
        for one in askers:
            quota, pace, now = one.quota, one.quota.pace, one.at
            assert pace is not None
            latest, old = later(now, quota.timeout), earlier(now, 2 * pace.period)
            far = later(now, LATE), later(latest, LATE)
            times = (now, latest, old, earlier(now, pace.period), *far)
            given.append((quota.credential, *map(moment, times)))
            most = rules.may_overtake(quota)
            if most is not None:
                lines.append((quota.credential, most + many[quota.credential]))
        for statement in sql.TIDY:
            statement.tell(session, given)
        for row in sql.TURNS.ask(session, given):
            self._gates[row["credential"]].known_turns[row["id"]] = turn_of(row)
        for row in sql.USED.ask(session, given):
            self._gates[row["credential"]].used = row["used"]
        for row in sql.LINE_HEADS.ask(session, lines):
            place = datetime.fromisoformat(row["due"]), row["id"]
            self._gates[row["credential"]].line.append(place)

    def number(self) -> int:
        """A number for a slot or a turn: later ones are higher in each gate."""
        if not self._numbers:
            rows = ask(self._session, sql.NUMBERS, [2 * len(self._askers)])
            self._numbers = sorted((row["number"] for row in rows), reverse=True)
        return self._numbers.pop()

    def block(self, address: str) -> Block | None:
        """The block of an integration."""
        return self._blocks[address]

    def put_block(self, address: str, block: Block) -> None:
        """What has become of it."""
        self._blocks[address] = block

    def used_at(self, quota: Quota, now: datetime) -> list[datetime]:
        """From when the latest requests of a credential count, newest first."""
        assert quota.pace is not None
        return used_slots(self._session, [(quota.credential, quota.pace)], now)[quota.credential]


@define
class _Gate:
    """One credential's gate within one transaction: a `GateStore`.

    `line` is the beginning of its line, `_admitted` are the places of those that this transaction
    has let through.
    """

    gates: PostgresGates
    asker: Asker
    _row: Row | None
    quota: Quota = field(init=False)
    now: datetime = field(init=False)
    used: int = field(default=0, init=False)
    line: list[LinePlace] = field(factory=list, init=False)
    known_turns: dict[int, Turn] = field(factory=dict, init=False)
    taken: list[tuple[int, str, str, str]] = field(factory=list, init=False)
    put_turns: dict[int, tuple[int | str | None, ...]] = field(factory=dict, init=False)
    probed: set[str] = field(factory=set, init=False)
    has_changed: bool = field(default=False, init=False)
    _pause: Pause | None = field(default=None, init=False)
    _lease: Lease | None = field(default=None, init=False)
    _head: tuple[int | None, datetime | None] = field(default=(None, None), init=False)
    _used_at: list[datetime] | None = field(default=None, init=False)
    _admitted: list[LinePlace] = field(factory=list, init=False)

    def __attrs_post_init__(self) -> None:
        self.quota, self.now = self.asker.quota, self.asker.at
        if (row := self._row) is not None:
            self._pause, self._lease = pause_of(row), lease_of(row)
            self._head = row["head"], moment_of(row["head_since"])
            self.has_changed = self.quota.pace is not None and _limits(self.quota) != tuple(
                row[name] for name in sql.LIMITS
            )

    def cells(self) -> tuple[str | int | float | None, ...]:
        """The cells of the gate's row."""
        pause, lease, (head, since) = self._pause, self._lease, self._head
        paused = (None, None) if pause is None else (moment(pause.since), moment(pause.until))
        held: tuple[int | str | None, ...] = (None, None, None)
        if lease is not None:
            held = (lease.holder, moment(lease.since), _text(lease.wanted_at))
        row = self._row
        limits = _limits(self.quota)
        if self.quota.pace is None and row is not None:
            limits = tuple(row[name] for name in sql.LIMITS)
        return (self.quota.credential, *limits, *paused, *held, head, _text(since))

    @property
    def _pace(self) -> Pace:
        assert self.quota.pace is not None
        return self.quota.pace

    # --- what the rules ask ---

    def block(self) -> Block | None:
        return self.gates.block(self.quota.address)

    def put_block(self, block: Block) -> None:
        self.gates.put_block(self.quota.address, block)
        self.probed.add(self.quota.address)

    def pause(self) -> Pause | None:
        """If the clock was set back, that is recorded, so that the pause does not move with it."""
        if self._pause is not None and (pause := self._pause.as_of(self.now)) is not self._pause:
            self._pause = pause
            self.has_changed = True
        return self._pause

    def free(self) -> int:
        return self._pace.limit - self.used

    def free_at(self, slots: int) -> datetime:
        if self._used_at is None:
            self._used_at = self.gates.used_at(self.quota, self.now)
            self._used_at[:0] = [UNDER_WAY] * len(self.taken)
        since = earlier(self.now, self._pace.period)
        used = [at for at in self._used_at if at > since][: self._pace.limit]
        return rules.free_at(used, self._pace, slots, self.now)

    def turns(self) -> Sequence[Turn]:
        return tuple(self.known_turns.values())

    def ahead(self, most: int) -> int:
        if self.asker.place is None:
            return 0
        admitted = sum(other < self.asker.place for other in self._admitted)
        return bisect_left(self.line, self.asker.place) - admitted

    def head_since(self) -> datetime:
        head = self.line[0][1] if self.line else None
        known, since = self._head
        if known == head and since is not None and not is_set_back(self.now, since):
            return since
        self._note_head(head)
        return self.now

    def head_asks(self, noted_before: datetime) -> None:
        head, since = self._head
        if self.asker.place is None or since is None or since >= noted_before:
            return
        if self.asker.upload_id == head:
            self._note_head(head)

    def _note_head(self, head: int | None) -> None:
        self._head = (head, self.now)
        self.has_changed = True

    def lease(self) -> Lease | None:
        return self._lease

    def hold(self, lease: Lease) -> None:
        self._lease = lease
        self.has_changed = True

    def admit(self) -> None:
        """The upload that asked stands in line no more."""
        if self.asker.place is not None:
            self._admitted.append(self.asker.place)

    def take(self) -> int:
        number = self.gates.number()
        until = moment(later(self.now, self.quota.timeout))
        self.taken.append((number, self.quota.credential, _END, until))
        self.used += 1
        if self._used_at is not None:
            self._used_at.insert(0, UNDER_WAY)
        self.has_changed = True
        return number

    def open(self, courier_id: int, owed: int) -> int:
        number = self.gates.number()
        until = later(self.now, self.quota.timeout)
        self._put(Turn(number, courier_id, owed, False, until), self.asker.upload_id)
        return number

    def put(self, turn: Turn) -> None:
        if self.known_turns.get(turn.id) is not turn:
            known = self.put_turns.get(turn.id)
            self._put(turn, None if known is None else known[-1])

    def _put(self, turn: Turn, upload_id: int | str | None) -> None:
        self.known_turns[turn.id] = turn
        cells = (turn.courier_id, turn.owed, turn.waits, moment(turn.until))
        self.put_turns[turn.id] = (turn.id, self.quota.credential, *cells, upload_id)
        self.has_changed = True


def change(session: Session, changes: Iterable[tuple[GateChange, str, str]]) -> None:
    """Write down what the ends of turns and requests mean. Each with its tenant and provider."""
    found = list(changes)
    end(session, [(slot, one.at) for one, *_ in found for slot in one.slots])
    turns = [one.turn for one, *_ in found if one.turn]
    if turns:
        tell(session, sql.DELETE_TURNS, [turns])
    pauses: dict[str, tuple[datetime, datetime]] = {}
    for one, *_ in found:
        until, credential = one.pause_until, one.quota.credential
        if until is not None and until > pauses.get(credential, (until, earlier(until, _TICK)))[1]:
            pauses[credential] = one.at, until
    sql.PUT_PAUSES.tell(
        session,
        ((name, *map(moment, pause)) for name, pause in sorted(pauses.items())),
    )
    _change_blocks(session, [each for each in found if each[0].block is not None or each[0].opens])


_TICK = timedelta(microseconds=1)


def _change_blocks(session: Session, changes: Sequence[tuple[GateChange, str, str]]) -> None:
    if not changes:
        return
    addresses = {one.quota.address for one, *_ in changes}
    before = blocks_of(session, addresses)
    after: dict[str, Block] = dict(before)
    of: dict[str, tuple[str, str]] = {}
    for one, *owner in changes:
        address = one.quota.address
        if one.block is not None:
            after[address] = rules.block_after(after.get(address), one.block, one.at)
            of[address] = (owner[0], owner[1])
        if one.opens and address in after and after[address].until is not None:
            del after[address]
    gone = sorted(before.keys() - after.keys())
    if gone:
        tell(session, sql.DELETE_BLOCKS, [gone])
    rows = []
    for address in sorted(of.keys() & after.keys()):
        block = after[address]
        failure = block.failure
        seen = (failure.kind.value, failure.message, failure.http_status, _text(block.until))
        rows.append((address, *of[address], moment(block.since), *seen))
    sql.PUT_BLOCKS.tell(session, rows)


def end(session: Session, slots: Iterable[tuple[int, datetime]]) -> None:
    """Requests have ended: their slots count from then on."""
    sql.END_SLOTS.tell(session, ((slot, moment(at), _END) for slot, at in slots))


def blocks_of(session: Session, addresses: Iterable[str]) -> dict[str, Block]:
    """The blocks of integrations, by address."""
    wanted = list(addresses)
    return {
        row["address"]: Block(
            Failure(FailureKind(row["kind"]), row["message"], http_status=row["http_status"]),
            datetime.fromisoformat(row["at"]),
            moment_of(row["until"]),
        )
        for row in (ask(session, sql.BLOCKS, [wanted]) if wanted else ())
    }


def used_slots(
    session: Session, paces: Iterable[tuple[str, Pace]], now: datetime
) -> dict[str, list[datetime]]:
    """From when the latest requests of credentials count, newest first."""
    found: dict[str, list[datetime]] = defaultdict(list)
    given = (
        (credential, moment(earlier(now, pace.period)), pace.limit) for credential, pace in paces
    )
    for row in sql.USED_AT.ask(session, given):
        found[row["credential"]].append(datetime.fromisoformat(row["at"]))
    return found


def turn_of(row: Row) -> Turn:
    """The turn in the columns of the turns table."""
    until = datetime.fromisoformat(row["until"])
    return Turn(row["id"], row["owner"], row["owed"], row["waits"], until)


def pause_of(row: Row) -> Pause | None:
    """The pause in a gate's row."""
    since, until = moment_of(row["paused_since"]), moment_of(row["paused_until"])
    return None if since is None or until is None else Pause(since, until)


def lease_of(row: Row) -> Lease | None:
    """The lease in a gate's row."""
    since = moment_of(row["held_since"])
    if row["holder"] is None or since is None:
        return None
    return Lease(row["holder"], since, moment_of(row["wanted_at"]))


def _limits(quota: Quota) -> tuple[int | float | None, ...]:
    pace = quota.pace
    if pace is None:
        return (None, None, 1, 1)
    return (pace.limit, pace.period.total_seconds(), quota.together, quota.cost)


def _text(at: datetime | None) -> str | None:
    return None if at is None else moment(at)
