"""A sink that is down is tried once in each wait, for all that waits for it and by all couriers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from attrs import define, field

from evidence_courier.delivery.effects import Effect, Notify, Read, Write
from evidence_courier.delivery.notices import LEASE, TELL_EVERY, Watch, duties_for
from evidence_courier.domain.notices import News, Notice, WaitingNotice, notice_of
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

    def tell(self, notices: Sequence[WaitingNotice], wait: float) -> None:
        for one in notices:
            self.sink.tried += 1
            if self.sink.hangs:
                self.is_free, self.telling = False, one.number
                return
            about = one.notice.tenant_id
            if self.sink.is_down or self.is_cut_off or about in self.sink.never:
                self.found[one.number] = "no"
                return
            self.found[one.number] = None
            self.sink.taken.append(one.notice)

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
            turn, answer = self._duties[0].step(self.now), None
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
    assert tried[0] == tried[1]
    assert 12 <= tried[0] <= 17  # 10, 20, 40, ... s; then every ten minutes


def test_new_notices_are_no_new_tries_while_a_sink_is_down() -> None:
    sink = Sink(is_down=True)
    world = World(Teller(sink))
    for name in names(360):
        world.write(name)
        world.run(timedelta(seconds=20))
    assert sink.tried <= 17


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
        assert 8 <= sink.tried <= 12
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


def test_what_a_sink_never_takes_holds_others_up_for_one_wait_at_most() -> None:
    sink = Sink(never={*names(30)})
    world = World(Teller(sink))
    world.write(*names(30))
    world.run(timedelta(hours=12))
    for number in range(30, 60):
        world.write(f"t{number}")
        world.run(RECOVERS_WITHIN)
        assert [one.tenant_id for one in sink.taken] == [f"t{n}" for n in range(30, number + 1)]
    assert world.waiting == 30


class TakesOne(Teller):
    """Its sink takes one notice at a time, and refuses the next."""

    def tell(self, notices: Sequence[WaitingNotice], wait: float) -> None:
        super().tell(notices[:1], wait)
        if len(notices) > 1:
            self.found[notices[1].number] = "HTTP 429"


class TakesOneSlowly(TakesOne):
    """What it has taken is known a step earlier than what it has refused."""

    def tell(self, notices: Sequence[WaitingNotice], wait: float) -> None:
        super().tell(notices, wait)
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
