"""One transition is one notice, and is told at least once: with several couriers that look and tell
at the same time, die between any two steps, and have sinks that refuse or hang."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from math import inf

from attrs import define, field
from hypothesis import example, given
from hypothesis import strategies as st

from evidence_courier.delivery.effects import Effect, Notify, Read, Turn, Write
from evidence_courier.delivery.notices import Watch, duties_for
from evidence_courier.domain.health import Count, Stop
from evidence_courier.domain.notices import News, Notice, Standing
from evidence_courier.domain.telling import WaitingNotice, next_to_tell
from evidence_courier.domain.upload.upload import Status
from evidence_courier.ports.notices import MAX_WAIT
from evidence_courier.testing import MemoryStore

START = datetime(2026, 2, 21, 10, 0, tzinfo=UTC)


class Seen(dict[str, str]):
    """The notes that a look is given, and when the last upload had failed by then."""

    last_failed = START


class World(MemoryStore):
    """A store in which tenants are blocked and uploads have failed. `noted` are the notices, and
    `covered` is when the last upload failed that one of them is about."""

    def __init__(self) -> None:
        super().__init__()
        self.blocked: set[str] = set()
        self.failed, self.last_failed = 0, START
        self.covered = START
        self.noted: list[Notice] = []

    def standing(self, now: datetime) -> tuple[Standing, Mapping[str, str]]:
        _, notes = super().standing(now)
        stops = [
            Stop(state="blocked", tenant_id=one, provider="p", since=START, reason="unauthorized")
            for one in sorted(self.blocked)
        ]
        found = Count(
            tenant_id="acme",
            provider="p",
            status=Status.FAILED,
            reason="bad_request",
            number=self.failed,
            last_at=self.last_failed,
        )
        seen = Seen(notes)
        seen.last_failed = self.last_failed
        return Standing([found] if self.failed else [], stops, None), seen

    def note(self, now: datetime, sinks: Sequence[str], news: News, seen: Mapping[str, str]) -> int:
        written = super().note(now, sinks, news, seen)
        self.noted += news.notices if written else ()
        if written and "failed" in {one.kind for one in news.notices}:
            assert isinstance(seen, Seen)
            self.covered = max(self.covered, seen.last_failed)
        return written


@define
class FakeTeller:
    """Tells a sink that takes, refuses, or takes without the courier hearing of it."""

    taken: list[tuple[str, str]]
    mood: Callable[[], str]
    name: str = "sink"
    names_subjects: bool = False
    is_free: bool = True
    found: dict[int, str | None] = field(factory=dict)

    def tell(self, notices: Sequence[WaitingNotice]) -> None:
        taken = dict[int, bool]()
        while (one := next_to_tell(notices, taken)) is not None:
            mood = self.mood()
            if mood != "refuses":
                assert one.notice.tenant_id is not None
                self.taken.append((one.notice.id, f"{one.notice.tenant_id} {one.notice.kind}"))
            if mood == "is not heard":
                return
            self.found[one.number] = None if mood == "takes" else "no"
            taken[one.number] = mood == "takes"

    def wait(self, seconds: float) -> None:
        """It has told them."""

    def results(self) -> Mapping[int, str | None]:
        found, self.found = self.found, {}
        return found

    def give_up(self) -> None:
        raise AssertionError("it is always free")

    def end(self, wait: float) -> None:
        raise NotImplementedError


@define
class Courier:
    """One of the couriers, in the midst of its duties."""

    world: World
    teller: FakeTeller
    under_way: list[tuple[Turn[bool], object]] = field(factory=list)

    def begin(self, now: datetime) -> None:
        if not self.under_way:
            duties = duties_for([self.teller], Watch(None, tuple))
            self.under_way = [(duty.do(now, inf), None) for duty in duties]

    def step(self, which: int) -> None:
        """Perform one effect of one of its duties."""
        turn, answer = self.under_way.pop(which % len(self.under_way))
        try:
            effect: Effect[object] = turn.send(answer)
        except StopIteration:
            return
        assert isinstance(effect, Read | Write | Notify)
        answer = None if isinstance(effect, Notify) else effect.verb(self.world)
        self.under_way.append((turn, answer))

    def whole(self, now: datetime) -> None:
        self.begin(now)
        while self.under_way:
            self.step(0)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("turns"), st.integers(0, 2)),
        st.tuples(st.just("dies"), st.integers(0, 2)),
        st.tuples(st.just("steps"), st.integers(0, 5)),
        st.tuples(st.just("goes round"), st.integers(0, 1)),
        st.tuples(st.just("waits"), st.integers(1, 200)),
        st.tuples(st.just("is set back"), st.integers(1, 9_000)),
    ),
    max_size=120,
)
MOODS = st.lists(st.sampled_from(["takes", "refuses", "is not heard"]), max_size=40)


BLOCKED_AGAIN = [("turns", 0), ("goes round", 0)] * 3


@given(STEPS, MOODS)
@example(BLOCKED_AGAIN, [])  # within a second
def test_one_transition_is_one_notice_whichever_courier_dies(
    steps: list[tuple[str, int]], moods: list[str]
) -> None:
    world, now, taken = World(), START, list[tuple[str, str]]()

    def mood() -> str:
        return moods.pop() if moods else "takes"

    couriers = [Courier(world, FakeTeller(taken, mood)) for _ in range(2)]
    for step, number in steps:
        now += timedelta(microseconds=1)  # no two looks are at the same moment, as no two can be
        courier = couriers[number % 2]
        if step == "turns":
            world.blocked ^= {f"t{number}"}
        elif step == "dies":
            couriers[number % 2] = Courier(world, FakeTeller(taken, mood))
        elif step == "steps":
            courier.begin(now)
            courier.step(number)
        elif step == "goes round":
            courier.whole(now)
        else:
            now += timedelta(seconds=number if step == "waits" else -number)
    moods.clear()
    for _ in range(6):
        now += MAX_WAIT
        for courier in couriers:
            courier.whole(now)
    assert world.claim("sink", now, now, 9) == []
    for tenant in ("t0", "t1", "t2"):
        told = {one: what for one, what in taken if what.startswith(tenant)}
        kinds = [what.split()[1] for what in told.values()]
        assert kinds == (["blocked", "open_again"] * len(kinds))[: len(kinds)]
        assert kinds.count("blocked") - kinds.count("open_again") == (tenant in world.blocked)


FAILURES = st.lists(
    st.one_of(
        st.tuples(st.just("fail"), st.integers(1, 3)),
        st.tuples(st.just("go on"), st.integers(1, 3)),
        st.tuples(st.just("dies"), st.integers(0, 1)),
        st.tuples(st.just("steps"), st.integers(0, 5)),
        st.tuples(st.just("goes round"), st.integers(0, 1)),
        st.tuples(st.just("waits"), st.integers(1, 90)),
    ),
    max_size=120,
)


@given(FAILURES, MOODS)
@example([("fail", 1), *[("goes round", 0)] * 2, ("go on", 1), ("goes round", 0), ("fail", 1)], [])
def test_no_failure_stays_without_a_notice_whichever_courier_dies(
    steps: list[tuple[str, int]], moods: list[str]
) -> None:
    world, now, taken = World(), START, list[tuple[str, str]]()

    def mood() -> str:
        return moods.pop() if moods else "takes"

    couriers = [Courier(world, FakeTeller(taken, mood)) for _ in range(2)]
    couriers[0].whole(now)  # what had failed before makes no notice
    for step, number in steps:
        now += timedelta(seconds=1)
        courier = couriers[number % 2]
        if step == "fail":
            world.failed, world.last_failed = world.failed + number, now
        elif step == "go on":
            world.failed = max(world.failed - number, 0)
        elif step == "dies":
            couriers[number % 2] = Courier(world, FakeTeller(taken, mood))
        elif step == "steps":
            courier.begin(now)
            courier.step(number)
        elif step == "goes round":
            courier.whole(now)
        else:
            now += timedelta(seconds=number)
    moods.clear()
    for _ in range(6):
        now += MAX_WAIT
        for courier in couriers:
            courier.whole(now)
    assert not world.failed or world.covered == world.last_failed
    assert {one.id for one in world.noted} == {one for one, _ in taken}
