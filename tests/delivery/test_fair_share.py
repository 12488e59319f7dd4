"""A queue for places that are shared between lanes."""

from __future__ import annotations

from random import Random

import pytest

from evidence_courier.delivery.fair_share import FairQueue, FairShare, Lane


@pytest.mark.parametrize("seed", range(60))
def test_no_lane_waits_that_could_enter(seed: int) -> None:
    dice = Random(seed)
    capacity, most = dice.randint(1, 20), dice.choice([None, 2, 4])
    queue, room = FairQueue(capacity, most), FairShare(capacity, most)
    inside: list[Lane] = []
    waiting: list[Lane] = []

    def ask(lane: Lane) -> None:
        def admit() -> bool:
            waiting.remove(lane)
            inside.append(lane)
            room.enter(lane)
            return True

        waiting.append(lane)
        queue.ask(lane, admit)

    for _ in range(300):
        if not inside or dice.random() < 0.6:
            ask((dice.randint(0, 3), dice.randint(0, 3)) if seed % 2 else (dice.randint(0, 7),))
        else:
            lane = inside.pop(dice.randrange(len(inside)))
            room.leave(lane)
            queue.leave(lane)
        assert not [lane for lane in waiting if room.admits(lane)]
