"""A queue for places that are shared between lanes."""

from __future__ import annotations

from collections import Counter, deque
from random import Random

import pytest

from evidence_courier.delivery.fair_share import RESERVED, SHARE_OF_FREE, FairQueue, FairShare, Lane


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


def filled(share: FairShare, *lanes: Lane) -> Counter[Lane]:
    """What each lane has got when each has taken, in turn, as much as it may."""
    got = Counter[Lane]()
    while admitted := [lane for lane in lanes if share.admits(lane)]:
        share.enter(admitted[0])
        got[admitted[0]] += 1
    return got


@pytest.mark.parametrize("seed", range(60))
def test_origins_with_something_under_way_leave_a_quarter(seed: int) -> None:
    dice = Random(seed)
    capacity, most = dice.randint(1, 200), dice.choice([1, 1, 8])
    share = FairShare(capacity)
    inside: list[tuple[Lane, int]] = []
    for _ in range(400):
        if inside and dice.random() < 0.4:
            share.leave(*inside.pop(dice.randrange(len(inside))))
            continue
        lane, amount = (dice.randint(0, 12), dice.randint(0, 3)), dice.randint(1, most)
        new = not share.held(lane[:1])
        admitted = share.admits(lane, amount)
        assert admitted or not new or amount > 1 or share.taken == capacity
        if admitted:
            share.enter(lane, amount)
            inside.append((lane, amount))
            assert new or RESERVED * (capacity - share.taken) >= capacity


@pytest.mark.parametrize("capacity", [*range(1, 40), 64, 256, 1_000])
def test_one_origin_alone_has_three_quarters_of_its_share(capacity: int) -> None:
    got = filled(FairShare(capacity), ("alone",))[("alone",)]
    whole = max(1, SHARE_OF_FREE * capacity // (SHARE_OF_FREE + 1))
    assert 0.75 * whole <= got <= max(1, 0.75 * capacity)


def test_the_next_origin_has_more_than_one_place_beside_one_that_hangs() -> None:
    share = FairShare(64)
    got = [filled(share, (origin,))[(origin,)] for origin in ("hangs", "second", "third")]
    assert got == [36, 9, 3]


@pytest.mark.parametrize("capacity", [1, 2, 3, 4, 64])
@pytest.mark.parametrize("origins", [1, 2, 10, 100])
def test_no_origin_starves_beside_busy_and_hanging_ones(capacity: int, origins: int) -> None:
    """Each one's places are always asked for; those that hang leave one place free."""
    queue, inside, served = FairQueue(capacity), deque[Lane](), Counter[Lane]()

    def ask(lane: Lane, hangs: bool = False) -> None:
        def admit() -> bool:
            served[lane] += 1
            if not hangs:
                inside.append(lane)
            return True

        queue.ask(lane, admit)

    for number in range(min(3, capacity - 1)):
        ask((f"hangs-{number}", "tenant"), hangs=True)
    healthy = [(number, "tenant") for number in range(origins)]
    for lane in healthy * 5:
        ask(lane)
    rounds = 20 * origins
    for _ in range(rounds):
        left = inside.popleft()
        queue.leave(left)
        ask(left)
    assert min(served[lane] for lane in healthy) >= rounds // origins // 2
