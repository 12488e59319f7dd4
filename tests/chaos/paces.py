"""Random worlds of uploads of several requests under a pace, each from one seed: `make chaos`.

    python tests/chaos/paces.py --worlds 2000 --seed 1
    python tests/chaos/paces.py --only 1234567        # one of them again

A world in which a request is refused, an upload is not delivered, a slot and a request differ, or
all takes too long, is printed with its seed, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from pacing_world import Plan, World

PACES = [(1, 60.0), (2, 60.0), (10, 60.0), (50, 60.0), (500, 60.0), (1, 1.0), (10, 1.0), (100, 1.0)]


def told(seed: int) -> list[str]:
    """What does not hold in the world of a seed."""
    dice = Random(seed)
    limit, period = dice.choice(PACES)
    most = dice.randint(1, 6)
    exclusive = limit >= 10 and period > 1 and dice.random() < 0.25
    plan = Plan(
        seed=seed,
        limit=limit,
        period=period,
        uploads=dice.choice([1, 5, 30, 100, 500] if limit > 3 else [1, 5, 20]),
        requests=(dice.randint(1, most), most),
        cost=dice.choice([most, most, most, 1, 6]),
        unforeseen=dice.choice([0.0, 0.3, 1.0]),
        look_ups=dice.choice([0.0, 0.0, 0.3]),
        latency=dice.choice([0.0, 0.3, 1.0, 5.0]),
        couriers=dice.randint(2, 3) if exclusive else dice.randint(1, 3),
        exclusive=exclusive,
        fixed_window=dice.random() < 0.5,
    )
    world = World(plan).run()
    found = list(world.wrong[:3])
    if world.refused:
        found.append(f"{world.refused} of {world.sent} requests were refused")
    if not all(upload.delivered for upload in world.uploads):
        found.append("not all was delivered")
    if not exclusive and world.took > world.bound + 3:
        found.append(f"it took {world.took:.0f} s, and {world.bound:.0f} s is the bound")
    return [f"{one}: {plan}" for one in found]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int)
    options = parser.parse_args()
    dice = Random(options.seed)
    seeds = [options.only] if options.only is not None else []
    seeds = seeds or [dice.randrange(2**32) for _ in range(options.worlds)]
    wrong = 0
    for seed in seeds:
        for what in told(seed):
            wrong += 1
            print(f"seed {seed}: {what}")
    print(f"{len(seeds)} worlds under a pace, {wrong} things wrong")
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
