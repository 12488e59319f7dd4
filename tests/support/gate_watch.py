"""Watches the rule of the pace from within: in the transaction of whatever store asks it, for
whatever engine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

import pytest
from attrs import define, field

from evidence_courier.domain.pacing import gate as rules
from evidence_courier.domain.pacing.gate import Acquired, GateStore, Quota, Refusal

_begin, _go_on = rules.begin, rules.go_on


@define
class GateWatch:
    """What it has seen; `wrong` is what must never be. The numbers are those of the properties of
    pacing. `holder`: who holds an exclusive credential, and since when; `asked`: who asked last."""

    wrong: list[str] = field(factory=list)
    begun: int = 0
    gone_on: int = 0
    most_waiting: int = 0
    most_ahead: int = 0
    holder: tuple[int, datetime | None] | None = None
    asked: int = 0

    def begin(
        self,
        gate: GateStore,
        quota: Quota,
        now: datetime,
        courier_id: int,
        *,
        leaves: bool = True,
        patience: timedelta | None = None,
    ) -> Acquired | Refusal:
        most = rules.may_overtake(quota)
        ahead = 0 if most is None else gate.ahead(most)
        others = {turn.courier_id for turn in gate.turns()} - {courier_id}
        answer = _begin(gate, quota, now, courier_id, leaves=leaves, patience=patience)
        if isinstance(answer, Acquired):
            self.begun += 1
            self.most_ahead = max(self.most_ahead, ahead)
            self._allowed(gate, quota, now, courier_id, answer, others)
            if gate.free() < sum(turn.waits for turn in gate.turns()):
                self.wrong.append("4: an upload has begun, and a turn that waits could not leave")
        self._look(gate, courier_id)
        return answer

    def go_on(
        self, gate: GateStore, quota: Quota, now: datetime, courier_id: int, turn: int | None
    ) -> Acquired | Refusal:
        others = {one.courier_id for one in gate.turns()} - {courier_id}
        answer = _go_on(gate, quota, now, courier_id, turn)
        if isinstance(answer, Acquired):
            self.gone_on += 1
            self._allowed(gate, quota, now, courier_id, answer, others)
        self._look(gate, courier_id)
        return answer

    def _allowed(
        self,
        gate: GateStore,
        quota: Quota,
        now: datetime,
        courier_id: int,
        answer: Acquired,
        others: set[int],
    ) -> None:
        if gate.free() < 0:
            self.wrong.append(f"1: {-gate.free()} requests too many")
        if gate.block() is not None or rules.cooling_until(gate.cooldown(), now) is not None:
            self.wrong.append("3: something leaves during a block or a cool-down")
        if quota.exclusive and others:
            self.wrong.append(f"8: {courier_id} sends while {others} have open turns")
        if quota.exclusive:
            self.holder = courier_id, answer.lease_since

    def _look(self, gate: GateStore, courier_id: int) -> None:
        self.asked = courier_id
        self.most_waiting = max(self.most_waiting, sum(turn.waits for turn in gate.turns()))


@contextmanager
def watched_gates() -> Iterator[GateWatch]:
    """Every store asks the rules by these names."""
    watch = GateWatch()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rules, "begin", watch.begin)
        patch.setattr(rules, "go_on", watch.go_on)
        yield watch
