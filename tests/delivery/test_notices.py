"""Looking for what people must know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from math import inf

from evidence_courier.delivery.effects import Effect, Read, Turn, Write
from evidence_courier.delivery.notices import LAST_WAIT, WAITED_FOR, Watch, duties_for
from evidence_courier.domain.notices import News, notice_of
from evidence_courier.domain.telling import WaitingNotice
from evidence_courier.testing import MemoryStore

NOW = datetime(2026, 2, 21, 10, 0, tzinfo=UTC)


class Idle:
    """A teller that is never asked."""

    name = "idle"
    names_subjects = False
    is_free = True

    def tell(self, notices: Sequence[WaitingNotice]) -> None:
        raise NotImplementedError

    def wait(self, seconds: float) -> None:
        raise NotImplementedError

    def results(self) -> Mapping[int, str | None]:
        raise NotImplementedError

    def give_up(self) -> None:
        raise NotImplementedError

    def end(self, wait: float) -> None:
        raise NotImplementedError


class Hanging:
    """A teller whose sink hangs; `waited` is how long all of them were waited for."""

    names_subjects = False

    def __init__(self, name: str, waited: list[float]) -> None:
        self.name, self.is_free, self._waited = name, True, waited

    def tell(self, notices: Sequence[WaitingNotice]) -> None:
        self.is_free = False

    def wait(self, seconds: float) -> None:
        self._waited.append(seconds)

    def results(self) -> Mapping[int, str | None]:
        return {}

    def give_up(self) -> None:
        raise NotImplementedError

    def end(self, wait: float) -> None:
        self._waited.append(wait)


def done(turn: Turn[bool], store: MemoryStore) -> list[type]:
    """Do all of this; the kinds of effects that it took."""
    effects, answer = list[Effect[object]](), None
    while True:
        try:
            effect: Effect[object] = turn.send(answer)
        except StopIteration:
            return [type(one) for one in effects]
        effects.append(effect)
        assert isinstance(effect, Read | Write)
        answer = effect.verb(store)


def looked(store: MemoryStore) -> list[type]:
    """Look once; the kinds of effects that this took."""
    look, *_ = duties_for([Idle()], Watch(None, tuple))
    return done(look.step(NOW), store)


def test_a_look_keeps_no_writer_but_to_note_what_is_new() -> None:
    store = MemoryStore()
    assert looked(store) == [Read, Write]  # that there was a look
    assert looked(store) == [Read]


def test_no_sink_is_waited_for_longer_than_the_time_that_is_left() -> None:
    store, waited = MemoryStore(), list[float]()
    store.note(NOW, ["sink"], News([notice_of("blocked", NOW, "text")], {}), {})
    _, telling = duties_for([Hanging("sink", waited)], Watch(None, tuple))
    done(telling.do(NOW, 0.25), store)
    assert waited == [0.25]


def test_the_first_courier_looks_before_it_delivers_and_no_other_does() -> None:
    store = MemoryStore()
    for effects in ([Read, Read, Write], [Read]):
        look, *_ = duties_for([Idle()], Watch(None, tuple))
        assert look.start is not None
        assert done(look.start(NOW), store) == effects


def test_ten_sinks_that_hang_are_waited_for_no_longer_than_one() -> None:
    store, waited = MemoryStore(), list[float]()
    tellers = [Hanging(f"sink-{number}", waited) for number in range(10)]
    names = [one.name for one in tellers]
    store.note(NOW, names, News([notice_of("blocked", NOW, "text")], {}), {})
    _, *telling = duties_for(tellers, Watch(None, tuple))
    for duty in telling:
        done(duty.do(NOW, inf), store)
    assert len(waited) == 10
    assert sum(waited) <= WAITED_FOR + 0.001
    waited.clear()
    for duty in telling:  # one after the other, as a courier does that has no loop
        assert duty.end is not None
        done(duty.end(NOW + timedelta(seconds=sum(waited))), store)
    assert len(waited) == LAST_WAIT + 9
    assert sum(waited) == LAST_WAIT
