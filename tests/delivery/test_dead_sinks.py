"""A sink that is down is tried once in each wait, for all that waits for it and by all couriers;
one that refuses some notices is told the others at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from math import inf

import pytest
from attrs import define, field

from evidence_courier.delivery.effects import Effect, Notify, Read, Write
from evidence_courier.delivery.notices import LEASE, OTHERS_FIRST, TELL_EVERY, Watch, duties_for
from evidence_courier.domain.notices import News, Notice, notice_of
from evidence_courier.domain.telling import SEEMS_DOWN, WaitingNotice, next_to_tell
from evidence_courier.ports.notices import MAX_WAIT, MAX_WAITING
from evidence_courier.testing import MemoryStore

START = datetime(2026, 2, 21, 10, 0, tzinfo=UTC)
EVERY = timedelta(seconds=TELL_EVERY)
RECOVERS_WITHIN = MAX_WAIT + timedelta(minutes=1)
"""One wait, and the moments at which couriers look."""


@define
class Sink:
    """It refuses all notices while it is down, and always those whose tenant is among `never`."""

    is_down: bool = False
    hangs: bool = False
    never: set[str] = field(factory=set)
    tried: int = 0
    taken: list[Notice] = field(factory=list)


@define
class Teller:
    """Tells the sink without a thread; from a courier that is cut off it never gets there."""

    sink: Sink
    is_cut_off: bool = False
    name: str = "sink"
    names_subjects: bool = False
    is_free: bool = True
    found: dict[int, str | None] = field(factory=dict)
    telling: int = 0

    def tell(self, notices: Sequence[WaitingNotice]) -> None:
        taken = dict[int, bool]()
        while (one := next_to_tell(notices, taken)) is not None:
            self.sink.tried += 1
            if self.sink.hangs:
                self.is_free, self.telling = False, one.number
                return
            about = one.notice.tenant_id
            if self.sink.is_down or self.is_cut_off or about in self.sink.never:
                self.found[one.number], taken[one.number] = "no", False
                continue
            self.found[one.number], taken[one.number] = None, True
            self.sink.taken.append(one.notice)

    def wait(self, seconds: float) -> None:
        """It has told them."""

    def results(self) -> Mapping[int, str | None]:
        found, self.found = self.found, {}
        return found

    def give_up(self) -> None:
        self.is_free, self.found = True, {self.telling: "it hangs"}

    def end(self, wait: float) -> None:
        raise NotImplementedError


class World:
    """Couriers on one store, and what time it is."""

    def __init__(self, *tellers: Teller) -> None:
        self.store, self.now, self.written = MemoryStore(), START, 0
        self._duties = [duties_for([teller], Watch(None, tuple))[1] for teller in tellers]

    def write(self, *tenants: str, kind: str = "tenant_unknown") -> None:
        """New notices, one about each of these."""
        at = self.now + timedelta(microseconds=self.written)
        news = News([notice_of(kind, at, "text", one) for one in tenants], {})
        self.written += self.store.note(self.now, ["sink"], news, {})

    def run(self, span: timedelta, every: timedelta = EVERY) -> None:
        """What the couriers do in this time, one after the other."""
        end = self.now + span
        while self.now < end:
            self.now += every / len(self._duties)
            self._duties.append(self._duties.pop(0))
            turn, answer = self._duties[0].do(self.now, inf), None
            while True:
                try:
                    effect: Effect[object] = turn.send(answer)
                except StopIteration:
                    break
                assert isinstance(effect, Read | Write | Notify)
                answer = None if isinstance(effect, Notify) else effect.verb(self.store)

    @property
    def waiting(self) -> int:
        """How many notices wait."""
        return sum(one.number for one in self.store.health(self.now).notices)


def names(number: int) -> list[str]:
    return [f"t{n}" for n in range(number)]


def test_a_thousand_notices_are_as_many_tries_as_one() -> None:
    tried = list[int]()
    for number in (1, MAX_WAITING):
        sink = Sink(is_down=True)
        world = World(Teller(sink))
        world.write(*names(number))
        world.run(timedelta(hours=2))
        tried.append(sink.tried)
    assert 0 <= tried[1] - tried[0] < SEEMS_DOWN
    assert 12 <= tried[0] <= 17  # 10, 20, 40, ... s; then every ten minutes


def test_new_notices_are_no_new_tries_while_a_sink_is_down() -> None:
    sink = Sink(is_down=True)
    world = World(Teller(sink))
    for name in names(360):
        world.write(name)
        world.run(timedelta(seconds=20))
    assert sink.tried < 17 + SEEMS_DOWN


def test_notices_of_a_week_go_once_each_when_the_sink_is_back() -> None:
    sink = Sink(is_down=True)
    world = World(Teller(sink), Teller(sink))
    for hour in range(7 * 24):
        world.write("acme", kind=("blocked", "open_again")[hour % 2])
        world.write(f"t{hour}")
        world.run(timedelta(hours=1), timedelta(minutes=1))
    assert 900 <= sink.tried <= 7 * 24 * 6 + 10
    assert sink.taken == []
    sink.is_down = False
    world.run(RECOVERS_WITHIN)
    assert world.waiting == 0
    assert len({one.id for one in sink.taken}) == len(sink.taken) == 2 * 7 * 24
    of_acme = [one for one in sink.taken if one.tenant_id == "acme"]
    assert of_acme == sorted(of_acme, key=lambda one: one.at)
    others = [one for one in sink.taken if one.tenant_id != "acme"]
    assert {one.tenant_id for one in others} == {*names(7 * 24)}


def test_ten_couriers_try_a_dead_sink_as_often_as_one() -> None:
    for hangs in (False, True):
        sink = Sink(is_down=True, hangs=hangs)
        world = World(*(Teller(sink) for _ in range(10)))
        world.write(*names(200))
        world.run(timedelta(hours=1))
        assert 8 <= sink.tried < 12 + SEEMS_DOWN
        sink.is_down = sink.hangs = False
        world.run(RECOVERS_WITHIN + LEASE)
        assert world.waiting == 0


def test_a_courier_that_cannot_reach_a_sink_leaves_it_to_others() -> None:
    for cut_off in ([True, False], [False, True]):
        sink = Sink()
        world = World(*(Teller(sink, one) for one in cut_off))
        for hour in range(12):
            world.write(f"t{hour}")
            world.run(RECOVERS_WITHIN)
            assert len(sink.taken) == hour + 1


def test_what_a_sink_never_takes_holds_others_up_twice_at_most() -> None:
    """Until it has refused each of these while it took another, it may as well be down."""
    sink = Sink(never={*names(30)})
    world = World(Teller(sink))
    world.write(*names(30))
    world.run(timedelta(hours=12))
    for number in range(30, 60):
        world.write(f"t{number}")
        world.run(RECOVERS_WITHIN if number < 32 else 2 * EVERY)
        assert [one.tenant_id for one in sink.taken] == [f"t{n}" for n in range(30, number + 1)]
        world.run(timedelta(hours=1))
    assert world.waiting == 30


def test_what_is_written_with_a_refused_notice_is_sent_at_once() -> None:
    sink = Sink(never={"t0", "t3", "t4", "t9"})
    world = World(Teller(sink))
    world.write(*names(12))
    world.run(EVERY)
    assert [one.tenant_id for one in sink.taken] == [
        one for one in names(12) if one not in sink.never
    ]
    assert world.waiting == 4


def test_a_new_notice_waits_for_none_that_was_refused() -> None:
    sink = Sink(never={f"bad-{number}" for number in range(40)})
    world = World(Teller(sink))
    for number in range(40):
        world.write(f"bad-{number}")
        world.run(timedelta(minutes=number))
        world.write(f"good-{number}")
        world.run(EVERY + OTHERS_FIRST)
        assert len(sink.taken) == number + 1
    tried = sink.tried
    world.run(timedelta(hours=10))
    assert sink.tried - tried <= 40 * 61  # each of these every ten minutes


def test_a_notice_that_was_refused_comes_soon_and_then_less_and_less_often() -> None:
    sink = Sink(never={"t0"})
    world = World(Teller(sink))
    world.write("t0", "t1")
    tried = []
    for _ in range(60):
        world.run(EVERY)
        tried.append(sink.tried - len(sink.taken))
    assert tried[0] == 1
    assert tried[-1] == 5  # then after 10, 20, 40 and 80 s
    sink.never.clear()
    world.run(RECOVERS_WITHIN)
    assert world.waiting == 0


def test_newer_notices_wait_for_an_older_one_about_the_same() -> None:
    sink = Sink(never={"acme"})
    world = World(Teller(sink))
    world.write("acme", kind="blocked")
    world.write("acme", kind="open_again")
    world.write("globex")
    world.run(timedelta(hours=1))
    assert [one.tenant_id for one in sink.taken] == ["globex"]
    sink.never.clear()
    world.run(RECOVERS_WITHIN)
    assert [one.kind for one in sink.taken[1:]] == ["blocked", "open_again"]


class TakesOne(Teller):
    """Its sink takes one notice at a time, and refuses the next."""

    def tell(self, notices: Sequence[WaitingNotice]) -> None:
        super().tell(notices[:1])
        if len(notices) > 1:
            self.found[notices[1].number] = "HTTP 429"


class TakesOneSlowly(TakesOne):
    """What it has taken is known a step earlier than what it has refused."""

    def tell(self, notices: Sequence[WaitingNotice]) -> None:
        super().tell(notices)
        self.is_free = False

    def results(self) -> Mapping[int, str | None]:
        if not self.found:
            self.is_free = True
            return {}
        number, *_ = self.found
        return {number: self.found.pop(number)}


@pytest.mark.parametrize("teller", [TakesOne, TakesOneSlowly])
def test_a_sink_that_takes_one_at_a_time_is_not_left_alone(teller: type[Teller]) -> None:
    world = World(teller(Sink()))
    world.write(*names(100))
    world.run(300 * EVERY)
    assert world.waiting == 0
