"""Looking for what people must know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from evidence_courier.delivery.effects import Effect, Read, Write
from evidence_courier.delivery.notices import Watch, duties_for
from evidence_courier.domain.notices import WaitingNotice
from evidence_courier.testing import MemoryStore

NOW = datetime(2026, 2, 21, 10, 0, tzinfo=UTC)


class Idle:
    """A teller that is never asked."""

    name = "idle"
    names_subjects = False
    is_free = True

    def tell(self, notices: Sequence[WaitingNotice], wait: float) -> None:
        raise NotImplementedError

    def results(self) -> Mapping[int, str | None]:
        raise NotImplementedError

    def give_up(self) -> None:
        raise NotImplementedError

    def end(self, wait: float) -> None:
        raise NotImplementedError


def looked(store: MemoryStore) -> list[type]:
    """Look once; the kinds of effects that this took."""
    look, *_ = duties_for([Idle()], Watch(None, tuple))
    turn, answer = look.step(NOW), None
    effects: list[Effect[object]] = []
    while True:
        try:
            effect = turn.send(answer)
        except StopIteration:
            return [type(one) for one in effects]
        effects.append(effect)
        assert isinstance(effect, Read | Write)
        answer = effect.verb(store)


def test_a_look_keeps_no_writer_but_to_note_what_is_new() -> None:
    store = MemoryStore()
    assert looked(store) == [Read, Write]  # that there was a look
    assert looked(store) == [Read]
