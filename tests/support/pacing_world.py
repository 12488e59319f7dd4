"""Couriers at one gate and a provider that counts, in virtual time: the rule of pacing, and nothing
else of the product."""

from __future__ import annotations

import heapq
from collections.abc import Generator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from math import ceil, floor
from random import Random

from attrs import define, evolve, field, frozen

from evidence_courier.domain.integration import Pace
from evidence_courier.domain.pacing import gate as rules
from evidence_courier.domain.pacing.gate import Acquired, Blocked, GateChange, NotBefore, Quota
from evidence_courier.domain.upload.upload import UploadKey
from evidence_courier.ports.gates import Acquire
from evidence_courier.testing.memory_gates import MemoryGates

START = datetime(2026, 2, 21, 10, tzinfo=UTC)
Process = Generator[datetime, None, None]


@define(eq=False)
class Upload:
    """Needs `requests`, of which `foreseen` are foreseen, and then `pages` of a look-up."""

    number: int
    requests: int
    pages: int
    home: int = 0
    came: datetime = START
    made: int = 0
    delivered: bool = False

    @property
    def key(self) -> UploadKey:
        return UploadKey("acme", f"ev-{self.number:04}", "model")


@define(eq=False)
class Courier:
    """`line` is what it has not begun; `token_of` the lease under which its token was minted."""

    id: int
    line: list[Upload] = field(factory=list)
    token_of: datetime | None = None
    dead: bool = False


@frozen(kw_only=True)
class Plan:
    """A world to be: so many uploads of so many requests each, all there at once; `old` records
    of each courier beside them, and others that are `fresh` after so many seconds."""

    seed: int = 0
    limit: int = 50
    period: float = 60.0
    uploads: int = 30
    requests: tuple[int, int] = (2, 2)
    cost: int = 2
    unforeseen: float = 0.0
    look_ups: float = 0.0
    latency: float = 1.0
    couriers: int = 1
    exclusive: bool = False
    fixed_window: bool = False
    patient: bool = True
    late: float = 0.0
    old: int = 0
    fresh: tuple[float, ...] = ()

    @property
    def quota(self) -> Quota:
        pace = Pace(self.limit, timedelta(seconds=self.period))
        return Quota("c", "a", pace, cost=self.cost, exclusive=self.exclusive)


class World:
    """Runs a plan. What must never be is in `wrong`."""

    def __init__(self, plan: Plan) -> None:
        self.plan, self.quota = plan, plan.quota
        self.dice = Random(plan.seed)
        self.now = self.began = self.last = START
        self.gates = MemoryGates(self._before, self._head)
        self.couriers = [Courier(number + 1) for number in range(plan.couriers)]
        self.uploads: list[Upload] = []
        self.on_wire = self.sent = self.refused = self.hand_overs = 0
        self.longest = 0.0
        self.arrivals: list[datetime] = []
        self.mints: list[datetime] = []
        self.wrong: list[str] = []
        self.overtook = 0
        self.gave_up = 0
        self.waited: list[float] = []
        self.old_began = 0
        self.off = timedelta(0)
        self._phase = timedelta(seconds=self.dice.random() * plan.period)
        self._numbers = count()
        self._heap: list[tuple[datetime, int, Process]] = []
        self._holder: int | None = None
        for number in range(plan.uploads + len(plan.fresh)):
            extra = sum(self.dice.random() < plan.unforeseen for _ in range(2))
            pages = self.dice.randint(1, 3) if self.dice.random() < plan.look_ups else 0
            upload = Upload(number, self.dice.randint(*plan.requests) + extra, pages)
            self.uploads.append(upload)
            courier = self.couriers[number % plan.couriers]
            upload.home = courier.id
            if number < plan.uploads:
                courier.line.append(upload)
            else:
                upload.came += timedelta(seconds=plan.fresh[number - plan.uploads])
                self._wake(upload.came, self._come(courier, upload))
        for courier in self.couriers:
            self.spawn(self._work(courier))
            self.spawn(self._work_behind(courier))

    # --- time ---

    def spawn(self, process: Process) -> None:
        self._wake(self.now, process)

    def _wake(self, at: datetime, process: Process) -> None:
        heapq.heappush(self._heap, (max(at, self.now), next(self._numbers), process))

    def run(self, hours: float = 200.0) -> World:
        until = START + timedelta(hours=hours)
        while self._heap and self._heap[0][0] <= until:
            at, _, process = heapq.heappop(self._heap)
            counts = not any(courier.dead for courier in self.couriers) and not self.off
            if counts and at > self.now and self.gates.under_way != self.on_wire:
                self.wrong.append(
                    f"{self.gates.under_way} slots and {self.on_wire} requests under way"
                )
            self.now = at
            wanted = next(process, None)
            if wanted is not None:
                self._wake(wanted, process)
        return self

    @property
    def clock(self) -> datetime:
        """What the couriers take for the time."""
        return self.now + self.off

    def _late(self) -> Generator[datetime, None, datetime]:
        """The moment at which something is asked, which then waits for the database."""
        asked = self.clock
        if self.plan.late:
            yield self.now + timedelta(seconds=self.dice.random() * self.plan.late)
        return asked

    def _real(self, at: datetime) -> datetime:
        return at - self.off

    def set_clock(self, after: float, by: float) -> None:
        """The clock is set by so many seconds after so many."""

        def jump() -> Process:
            self.off += timedelta(seconds=by)
            yield from ()

        self._wake(self.now + timedelta(seconds=after), jump())

    def kill(self, courier: Courier, after: float, noticed: float) -> None:
        """A courier dies after so many seconds, and so much later that is noticed: another one
        takes up what it had."""

        def die() -> Process:
            courier.dead = True
            yield self.now + timedelta(seconds=noticed)
            self.gates.let_go(courier.id)
            heir = self.couriers[0]
            left = [one for one in self.uploads if one.home == courier.id and not one.delivered]
            heir.line = sorted({*heir.line, *left}, key=lambda one: one.number)
            courier.line.clear()
            self.spawn(self._work(heir))

        self._wake(self.now + timedelta(seconds=after), die())

    @property
    def took(self) -> float:
        return (self.last - self.began).total_seconds()

    @property
    def bound(self) -> float:
        """Property 6, with what a hand-over costs. The requests of an upload are those of its
        look-up, too: they follow one another."""
        plan, most = self.plan, max(upload.made + upload.pages for upload in self.uploads)
        drain = (most * plan.latency + 1) * self.hand_overs
        rounds = ceil(self.sent / plan.limit)
        return rounds * (plan.period + plan.latency) + 2 * plan.period + most * plan.latency + drain

    # --- the line ---

    def _before(self, key: UploadKey, line: str) -> int:
        if line != "c":
            return 0
        return sum(upload.key < key for courier in self.couriers for upload in courier.line)

    def _head(self, line: str) -> tuple[datetime, UploadKey] | None:
        lines = (one.line for one in self.couriers) if line == "c" else ()
        head = min((u.key for line in lines for u in line), default=None)
        return None if head is None else (START, head)

    def _come(self, courier: Courier, upload: Upload) -> Process:
        courier.line.append(upload)
        if len(courier.line) == 1:
            self.spawn(self._work(courier))
        yield from ()

    # --- couriers ---

    def _work(self, courier: Courier) -> Process:
        while courier.line and not courier.dead:
            upload = courier.line[0]
            patience = None if self.plan.patient else self.patience
            asked = yield from self._late()
            gate = self.gates.gate(self.quota, asked, upload.key)
            answer = rules.begin(gate, self.quota, asked, courier.id, patience=patience)
            if isinstance(answer, NotBefore):
                yield self._real(answer.at)
                continue
            assert isinstance(answer, Acquired)
            ahead = self._before(upload.key, "c")
            self.overtook = max(self.overtook, ahead)
            courier.line.remove(upload)
            self._check_waiting()
            self.waited.append((self.now - upload.came).total_seconds())
            self.spawn(self._deliver(courier, upload, answer))

    def _work_behind(self, courier: Courier) -> Process:
        """Hand out old records, the oldest first. What is fresh goes first within a courier."""
        quota = evolve(self.quota, backfill=True)
        for number in range(self.plan.old):
            upload = Upload(-number, self.dice.randint(*self.plan.requests), 0)
            answer: object = None
            while not isinstance(answer, Acquired):
                gate = self.gates.gate(quota, self.clock, upload.key)
                answer = rules.begin(gate, quota, self.clock, courier.id)
                if isinstance(answer, NotBefore):
                    yield self._real(answer.at)
            self.old_began += 1
            self.spawn(self._deliver(courier, upload, answer))

    @property
    def patience(self) -> timedelta:
        """That of a caller that cannot wait."""
        plan = self.plan
        periods = (ceil(plan.cost / plan.limit) + 1) * plan.period
        return timedelta(seconds=max(60.0, periods) + plan.cost * plan.latency)

    def _check_waiting(self) -> None:
        """Property 4: whatever waits could leave."""
        turns = self.gates.states["c"].turns.values()
        if self.gates.gate(self.quota, self.clock).free() < sum(turn.waits for turn in turns):
            self.wrong.append("an upload has begun, and a turn that waits could not leave")

    def _deliver(self, courier: Courier, upload: Upload, acquired: Acquired) -> Process:
        turn = acquired.turn
        ended: tuple[int | None, ...] = ()
        give_up_at = None if self.plan.patient else self.now + self.patience
        steps = [False] * (upload.requests - upload.made)
        if self.plan.exclusive and courier.token_of != acquired.lease_since:
            steps.insert(0, True)
            courier.token_of = acquired.lease_since
        for mints in steps:
            while acquired.slot is None:
                if courier.dead:
                    return
                asked = yield from self._late()
                answer = self._acquire(courier, turn, ended, asked)
                ended = ()
                if isinstance(answer, Acquired):
                    acquired = answer
                    turn = answer.turn
                elif isinstance(answer, NotBefore):
                    turn = answer.turn
                    if give_up_at is not None and self._real(answer.at) > give_up_at:
                        self.gave_up += 1
                        self.gates.change(GateChange(self.quota, self.clock, turn=turn), "", "")
                        courier.line.insert(0, upload)
                        if len(courier.line) == 1:
                            self.spawn(self._work(courier))
                        return
                    yield self._real(answer.at)
                else:
                    raise AssertionError(answer)
            yield from self._request(courier, mints)
            if courier.dead:
                return
            upload.made += not mints
            ended = (acquired.slot,)
            acquired = Acquired()
        self.gates.change(GateChange(self.quota, self.clock, _known(ended), turn=turn), "", "")
        upload.delivered = True
        if upload.pages:
            self.spawn(self._look_up(courier, upload.pages))

    def _look_up(self, courier: Courier, pages: int) -> Process:
        yield self.now + timedelta(seconds=2)
        turn: int | None = None
        ended: tuple[int | None, ...] = ()
        for _ in range(pages):
            while True:
                asked = yield from self._late()
                answer = self._acquire(courier, turn, ended, asked)
                if not isinstance(answer, NotBefore):
                    break
                ended, turn = (), answer.turn
                yield self._real(answer.at)
            assert isinstance(answer, Acquired) and answer.slot is not None
            turn = answer.turn
            yield from self._request(courier, mints=False)
            ended = (answer.slot,)
        self.gates.change(GateChange(self.quota, self.clock, _known(ended), turn=turn), "", "")

    def _acquire(
        self, courier: Courier, turn: int | None, ended: Sequence[int | None], asked: datetime
    ) -> Acquired | NotBefore | Blocked:
        return self.gates.acquire(Acquire(self.quota, asked, courier.id, turn, _known(ended)))

    # --- the provider ---

    def _request(self, courier: Courier, mints: bool) -> Process:
        self.sent += 1
        self.on_wire += 1
        if self.plan.exclusive and self._holder != courier.id:
            self.hand_overs += self._holder is not None
            self._holder = courier.id
        latency = self.dice.random() * self.plan.latency
        part = self.dice.random()
        yield self.now + timedelta(seconds=latency * part)
        self._arrive()
        if mints:
            self.mints.append(self.now)
        yield self.now + timedelta(seconds=latency * (1 - part))
        self.on_wire -= 1
        self.last = self.now

    def _arrive(self) -> None:
        period = timedelta(seconds=self.plan.period)
        since = self.now - period
        if self.plan.fixed_window:
            passed = (self.now - START - self._phase) / period
            since = START + self._phase + floor(passed) * period - timedelta(microseconds=1)
        recent = sum(at > since for at in self.arrivals[-self.plan.limit :])
        if recent < self.plan.limit:
            self.arrivals.append(self.now)
        else:  # and it takes no room: one that comes too early is not counted twice
            self.refused += 1


def _known(slots: Sequence[int | None]) -> tuple[int, ...]:
    return tuple(slot for slot in slots if slot is not None)
