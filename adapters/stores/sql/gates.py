"""The gates in the database: what the domain says of pace, cool-down, block and lease, asked and
written in the transaction that begins an attempt or lets a request leave.

What a batch needs of its credentials is read at once, the rules are asked in memory, and what they
changed is written at once: as many statements for a thousand credentials as for one. The row of a
paced credential in `gates` is locked meanwhile. If another courier has it just then, the answer is
"not yet": no courier waits for the lock, since all its other work would wait behind it.

A slot counts as used now while its request is under way: its `at` is then the end of time. When the
end is recorded, `at` becomes that moment. If that never comes, the slot counts from `until`, when
the request must have ended.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from attrs import define, evolve, field, frozen

from ....domain.integration import Pace
from ....domain.pacing import gate as rules
from ....domain.pacing.gate import Acquired, Block, Cooldown, GateChange, NotBefore, Quota, Turn
from ....domain.pacing.lease import Lease
from ....domain.pacing.waits import WaitReason
from ....domain.upload.backoff import LATE, earlier, is_set_back, later
from ....domain.upload.upload import UploadKey
from ....ports.gates import Acquire
from ....ports.records import Start
from ..rows import Cell, Row, moment, moment_or, since_of
from . import statements as sql
from .blocks import blocks_of
from .lines import cooldown_of, lease_of, used_slots
from .pauses import Pauses
from .session import Database, Session

UNDER_WAY = datetime.max.replace(tzinfo=UTC)
END = moment(UNDER_WAY)

BUSY, MAX_BUSY = timedelta(milliseconds=20), timedelta(seconds=1)
"""When to ask again for what another courier has locked: at first, and at the latest."""

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


@define
class Busy:
    """What other couriers have locked, a credential's gate or an upload, as far as was seen."""

    _since: dict[str | UploadKey, datetime] = field(factory=dict, init=False)

    def not_before(self, what: str | UploadKey, now: datetime) -> NotBefore:
        """When to ask for it again: the longer it has been locked, the later."""
        since = self._since.setdefault(what, now)
        wait = min(max(BUSY, (now - since) / 2), MAX_BUSY)
        return NotBefore(later(now, wait), WaitReason.BUSY)

    def forget(self, *free: str | UploadKey) -> None:
        """These are locked no more."""
        if self._since:
            for what in free:
                self._since.pop(what, None)


class Gates:
    """The gates of all who ask in one verb of one transaction."""

    def __init__(self, database: Database, askers: Sequence[Asker], busy: Busy) -> None:
        """Read what is needed."""
        self._database = database
        self._session = database.session
        self._busy = busy
        self._askers = askers
        self._gates: dict[str, _Gate] = {}
        self._blocks: dict[str, Block | None] = {}
        self._numbers: list[int] = []
        self._pauses = Pauses(self._session)
        if askers:
            self._enter(askers)

    def begin(self, start: Start, asker: Asker) -> Acquired | rules.Refusal:
        """Let a turn begin, or say why not now."""
        if (blocked := self._pauses.blocking(start.upload.key)) is not None:
            return blocked
        gate = self._gate(asker)
        if gate is None:
            return self._busy.not_before(asker.quota.credential, asker.at)
        leaves, patience = start.leaves, start.patience
        quota, courier_id = start.quota, start.courier_id
        answer = rules.begin(gate, quota, asker.at, courier_id, leaves=leaves, patience=patience)
        if isinstance(answer, Acquired):
            gate.admit()
        return answer

    def acquire(self, request: Acquire, asker: Asker) -> Acquired | rules.Refusal:
        """Let a request leave, or say why not now."""
        look_up = request.look_up
        if look_up is not None and (blocked := self._pauses.blocking(look_up.key)) is not None:
            return blocked
        gate = self._gate(asker)
        if gate is None:
            busy = self._busy.not_before(asker.quota.credential, asker.at)
            return evolve(busy, turn=request.turn)
        return rules.go_on(gate, request.quota, request.at, request.courier_id, request.turn)

    def write(self) -> None:
        """Write what has changed."""
        gates, session = [*self._gates.values()], self._session
        session.tell_all(sql.UPDATE_GATES, (gate.cells() for gate in gates if gate.has_changed))
        session.tell_all(sql.INSERT_SLOTS, (row for gate in gates for row in gate.taken))
        turns = (row for gate in gates for row in gate.put_turns.values())
        session.tell_all(sql.PUT_TURNS, turns)
        parked = {address: self._blocks[address] for gate in gates for address in gate.probed}
        session.tell_all(
            sql.PARK,
            (
                (address, _text(block.until))
                for address, block in sorted(parked.items())
                if block is not None and block.until is not None
            ),
        )
        for gate in gates:
            gate.forget_changes()

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
                self._busy.forget(credential)
            else:
                self._gates.pop(credential, None)  # another courier has it
        had = [one for one in paced if one.quota.credential in rows]
        if had:
            self._enter_paced(had)

    def _rows(self, unpaced: list[str], paced: Sequence[Asker]) -> dict[str, Row]:
        session = self._session
        found = session.ask_all(sql.GATES, [(name,) for name in unpaced])
        names = sorted(one.quota.credential for one in paced)
        if names:
            found += session.ask_all(sql.LOCK_GATES, [(name,) for name in names])
            missing = sorted({*names} - {row["credential"] for row in found})
            if missing:
                session.tell_all(sql.INSERT_GATES, [(name,) for name in missing])
                found += session.ask_all(sql.LOCK_GATES, [(name,) for name in missing])
        return {row["credential"]: row for row in found}

    def _enter_paced(self, askers: Sequence[Asker]) -> None:
        """What is over by now ends, what lies far in the future is now; read the rest."""
        session = self._session
        given = {one.quota.credential: _moments(one.quota, one.at) for one in askers}
        used = {row["credential"]: row for row in session.ask_all(sql.USED, given.values())}
        untidy = [given[name] for name, row in used.items() if row["untidy"]]
        if untidy:
            for statement in sql.TIDY:
                session.tell_all(statement, untidy)
            for row in session.ask_all(sql.TURNS, untidy):
                self._gates[row["credential"]].known_turns[row["id"]] = _turn_of(row)
            used |= {row["credential"]: row for row in session.ask_all(sql.USED, untidy)}
        for name, row in used.items():
            self._gates[name].used = row["used"]

    def read_lines(self) -> None:
        """Read the beginnings of all fresh lines: as far as may matter to those who ask."""
        wanted = {
            name: most + number
            for name, number in Counter(asker.quota.credential for asker in self._askers).items()
            if (gate := self._gates.get(name)) is not None
            and gate.line is None
            and (most := rules.may_overtake(gate.quota)) is not None
        }
        found = self._session.ask_each(sql.LINE_HEAD, [*wanted.items()])
        for name, rows in zip(wanted, found, strict=True):
            found_at = ((moment_or(None, row["due"]), row["id"]) for row in rows)
            self._gates[name].line = [(at, number) for at, number in found_at if at is not None]

    def number(self) -> int:
        """A number for a slot or a turn: later ones are higher in each gate."""
        if not self._numbers:
            self._numbers = sorted(self._database.numbers(2 * len(self._askers)), reverse=True)
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
        return used_slots(self._session, {quota.credential: quota.pace}, now)[quota.credential]


def _moments(quota: Quota, now: datetime) -> tuple[str, ...]:
    """The cells of MOMENTS."""
    assert quota.pace is not None
    latest, period = later(now, quota.timeout), quota.pace.period
    far = later(now, LATE), later(latest, LATE), UNDER_WAY
    past = earlier(now, 2 * period), earlier(now, 3 * period), earlier(now, period)
    times = (now, latest, *past, *far)
    return (quota.credential, *map(moment, times))


@define
class _Gate:
    """One credential's gate within one transaction: a `GateStore`.

    `line` is the beginning of its fresh line, once it was read; `_admitted` are the places there of
    those that this transaction has let through.
    """

    gates: Gates
    asker: Asker
    _row: Row | None
    quota: Quota = field(init=False)
    now: datetime = field(init=False)
    used: int = field(default=0, init=False)
    line: list[LinePlace] | None = field(default=None, init=False)
    known_turns: dict[int, Turn] = field(factory=dict, init=False)
    taken: list[tuple[int, str, str, str]] = field(factory=list, init=False)
    put_turns: dict[int, tuple[Cell, ...]] = field(factory=dict, init=False)
    probed: set[str] = field(factory=set, init=False)
    has_changed: bool = field(default=False, init=False)
    _cooldown: Cooldown | None = field(default=None, init=False)
    _lease: Lease | None = field(default=None, init=False)
    _head: tuple[int | None, datetime | None] = field(default=(None, None), init=False)
    _backfill_at: datetime | None = field(default=None, init=False)
    _used_at: list[datetime] | None = field(default=None, init=False)
    _admitted: list[LinePlace] = field(factory=list, init=False)

    def __attrs_post_init__(self) -> None:
        self.quota, self.now = self.asker.quota, self.asker.at
        if (row := self._row) is not None:
            self._cooldown, self._lease = cooldown_of(row), lease_of(row)
            self._head = row["head"], moment_or(None, row["head_since"])
            self._backfill_at = moment_or(None, row["backfill_at"])
            self.has_changed = self.quota.pace is not None and _limits(self.quota) != tuple(
                row[name] for name in sql.LIMITS
            )

    def cells(self) -> tuple[Cell, ...]:
        """The cells of the gate's row."""
        cooldown, lease, (head, since) = self._cooldown, self._lease, self._head
        cooling = (
            (None, None) if cooldown is None else (moment(cooldown.since), moment(cooldown.until))
        )
        held: tuple[Cell, ...] = (None, None, None)
        if lease is not None:
            held = (lease.holder, moment(lease.since), _text(lease.wanted_at))
        row = self._row
        limits = _limits(self.quota)
        if self.quota.pace is None and row is not None:
            limits = tuple(row[name] for name in sql.LIMITS)
        notes = head, _text(since), _text(self._backfill_at)
        return (self.quota.credential, *limits, *cooling, *held, *notes)

    def forget_changes(self) -> None:
        """They are written."""
        self.has_changed = False
        self.taken.clear()
        self.put_turns.clear()
        self.probed.clear()

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

    def cooldown(self) -> Cooldown | None:
        """If the clock was set back, that is recorded, so that this does not move with it."""
        known = self._cooldown
        if known is not None and (cooldown := known.as_of(self.now)) is not known:
            self._cooldown = cooldown
            self.has_changed = True
        return self._cooldown

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
        if (place := self.asker.place) is None:
            return 0
        admitted = sum(other < place for other in self._admitted)
        return bisect_left(self._line(), place) - admitted

    def _line(self) -> list[LinePlace]:
        if self.line is None:
            self.gates.read_lines()
        assert self.line is not None
        return self.line

    def fresh_waits(self) -> bool:
        waiting = (one for one in self._line() if one not in self._admitted)
        return next(waiting, (UNDER_WAY,))[0] <= self.now

    def backfill_at(self) -> datetime | None:
        return self._backfill_at

    def note_backfill(self, at: datetime) -> None:
        self._backfill_at = at
        self.has_changed = True

    def head_since(self) -> datetime:
        line = self._line()
        head = line[0][1] if line else None
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
        if self.asker.place is not None and not self.quota.backfill:
            self._admitted.append(self.asker.place)

    def take(self) -> int:
        number = self.gates.number()
        until = moment(later(self.now, self.quota.timeout))
        self.taken.append((number, self.quota.credential, END, until))
        self.used += 1
        if self._used_at is not None:
            self._used_at.insert(0, UNDER_WAY)
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

    def _put(self, turn: Turn, upload_id: Cell) -> None:
        self.known_turns[turn.id] = turn
        cells = (turn.courier_id, turn.owed, turn.waits, moment(turn.until))
        self.put_turns[turn.id] = (turn.id, self.quota.credential, *cells, upload_id)


def change(session: Session, changes: Iterable[tuple[GateChange, str, str]]) -> None:
    """Write down what the ends of turns and requests mean. Each with its tenant and provider."""
    found = list(changes)
    end(session, [(slot, one.at) for one, *_ in found for slot in one.slots])
    session.tell_all(sql.DELETE_TURNS, [(one.turn,) for one, *_ in found if one.turn])
    cooldowns: dict[str, tuple[datetime, datetime]] = {}
    for one, *_ in found:
        until, credential = one.cooldown_until, one.quota.credential
        if until is not None and (credential not in cooldowns or until > cooldowns[credential][1]):
            cooldowns[credential] = one.at, until
    rows = ((name, *map(moment, one)) for name, one in sorted(cooldowns.items()))
    session.tell_all(sql.PUT_COOLDOWNS, rows)
    _change_blocks(session, [each for each in found if each[0].block is not None or each[0].opens])


def _change_blocks(session: Session, changes: Sequence[tuple[GateChange, str, str]]) -> None:
    if not changes:
        return
    before = blocks_of(session, {one.quota.address for one, *_ in changes})
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
    session.tell_all(sql.DELETE_BLOCKS, [(address,) for address in gone])
    rows = []
    for address in sorted(of.keys() & after.keys()):
        block = after[address]
        failure = block.failure
        seen = (failure.kind.value, failure.message, failure.http_status, _text(block.until))
        rows.append((address, *of[address], moment(block.since), *seen))
    session.tell_all(sql.PUT_BLOCKS, rows)


def end(session: Session, slots: Iterable[tuple[int, datetime]]) -> None:
    """Requests have ended: their slots count from then on."""
    session.tell_all(sql.END_SLOTS, ((slot, moment(at), END) for slot, at in slots))


def _turn_of(row: Row) -> Turn:
    """The turn in the columns of the turns table."""
    until = since_of(row["until"])  # what cannot be read is over
    return Turn(row["id"], row["owner"], row["owed"], bool(row["waits"]), until)


def _limits(quota: Quota) -> tuple[Cell, ...]:
    pace = quota.pace
    if pace is None:
        return (None, None, 1, 1)
    return (pace.limit, pace.period.total_seconds(), quota.together, quota.cost)


def _text(at: datetime | None) -> str | None:
    return None if at is None else moment(at)
