"""Random stories of couriers, people and bad luck, each from one seed: `make chaos` tells thousands
of them.

    python tests/chaos/stories.py --stories 2000 --seed 1
    python tests/chaos/stories.py --only 1234567        # one of them again

What does not hold at any step, or has not settled at the end, is printed with the seed that replays
it, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from datetime import timedelta
from random import Random

from evidence_courier.domain.integration import OnUnclear, Pace, RetryPolicy
from evidence_courier.domain.upload.actions import Action
from evidence_courier.domain.upload.upload import UploadKey
from evidence_courier.testing.sandboxes.rates import RateLimit
from evidence_courier.testing.simulation import (
    Faults,
    ModelProvider,
    Outage,
    ReadableModelProvider,
    Simulation,
)

KINDS = ("down", "503", "takes", "silent")


def tell(seed: int, seen: Counter[str]) -> list[str]:
    """One story: what did not hold in it."""
    dice = Random(seed)
    tenants = dice.choice((1, 1, 2))
    paced = dice.random() < 0.5
    faults = some_faults(dice, paced and tenants == 1)
    with Simulation(
        seed,
        couriers=dice.choice((1, 2, 3)),
        tenants=tenants,
        provider=(ReadableModelProvider if dice.random() < 0.5 else ModelProvider)(
            dice.choice((1, 1, 4))
        ),
        on_unclear=dice.choice(tuple(OnUnclear)),
        retry=RetryPolicy(max_attempts=dice.choice((1, 2, 5, 5, 5))),
        pace=Pace(10, timedelta(minutes=1)) if paced else None,
        faults=faults,
    ) as simulation:
        keys: list[UploadKey] = []
        for _ in range(dice.randrange(5, 30)):
            step(simulation, dice, keys, tenants, seen)
            if found := simulation.breaches():
                return found
        settled = False
        while not settled:
            if not simulation.couriers:
                simulation.start_courier()
            settled = simulation.settle(timedelta(days=3))
            if simulation.couriers:  # the last one may have been marked for death
                break
        found = simulation.breaches()
        recorded = len(simulation.store.get(keys))
        statuses = list(simulation.statuses())
        if not settled:
            found.append("not everything has settled after three days")
        if len(statuses) != recorded:
            found.append(f"{recorded} uploads were recorded, and {len(statuses)} are left")
        for status in statuses:
            seen[f"ended {status.status}"] += 1
            seen["uploads"] += 1
            seen["attempts"] += status.attempts
            seen["marked as possible duplicates"] += status.possible_duplicate
        seen["second copies"] += sum(max(0, simulation.copies(key) - 1) for key in keys)
        return found


def step(
    simulation: Simulation, dice: Random, keys: list[UploadKey], tenants: int, seen: Counter[str]
) -> None:
    """Something happens."""
    match dice.choices(
        ("submit", "time", "crash", "crash at", "start", "clock", "revoke", "change", "act"),
        (6, 8, 2, 2, 3, 1, 1, 1, 3),
    )[0]:
        case "submit":
            keys += simulation.submit(dice.randrange(1, 6), dice.randrange(1, tenants + 1))
        case "time":
            simulation.pass_time(dice.choice((0.1, 1.0, 7.0, 60.0, 900.0)))
        case "crash":
            seen["crashes"] += bool(simulation.couriers)
            simulation.crash()
        case "crash at":
            seen["crashes at a write"] += bool(simulation.couriers)
            simulation.crash_at(dice.randrange(1, 7), before=dice.random() < 0.5)
        case "start":
            if len(simulation.couriers) < 3:
                simulation.start_courier()
        case "clock":
            seen["clock jumps"] += 1
            simulation.jump_clock(dice.choice((-86_400.0, -90.0, -2.0, 2.0, 90.0, 86_400.0)))
        case "revoke":
            seen["keys revoked"] += 1
            simulation.revoke_key(dice.randrange(1, tenants + 1))
        case "change":
            simulation.change_key(dice.randrange(1, tenants + 1))
        case _ if keys:
            seen["people's actions"] += 1
            simulation.act(dice.choice(keys), dice.choice(tuple(Action)))


def some_faults(dice: Random, paced: bool) -> Faults:
    """A provider's temper."""

    def sometimes(most: float) -> float:
        return dice.choice((0.0, 0.0, dice.random() * most))

    outages = []
    for _ in range(dice.choice((0, 0, 1, 2))):
        start = dice.uniform(0, 300)
        outages.append(Outage(start, start + dice.uniform(1, 300), dice.choice(KINDS)))
    return Faults(
        no_connection=sometimes(0.3),
        unavailable=sometimes(0.3),
        silent=sometimes(0.1),
        takes_and_drops=sometimes(0.2),
        takes_and_fails=sometimes(0.2),
        rejects=sometimes(0.1),
        garbles=sometimes(0.1),
        unreadable=sometimes(0.3),
        latency=dice.choice((0.0, 0.3, 5.0)),
        commit=dice.choice((0.0, 5.0)),
        outages=tuple(outages),
        pace=RateLimit(10, 60.0, dice.choice(("fixed", "sliding"))) if paced else None,
    )


def main() -> int:
    """Tell the stories that were asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--stories", type=int, default=3_000)
    parser.add_argument("--seed", type=int, default=1, help="of the first story; the others follow")
    parser.add_argument("--only", type=int, help="tell this one story")
    said = parser.parse_args()
    seeds = [said.only] if said.only is not None else range(said.seed, said.seed + said.stories)
    seen: Counter[str] = Counter()
    began = time.perf_counter()
    failed = 0
    for seed in seeds:
        found = tell(seed, seen)
        if found:
            failed += 1
            print(
                f"story {seed}: {found[0]}" + (f" (and {len(found) - 1} more)" if found[1:] else "")
            )
            print(f"  again: python tests/chaos/stories.py --only {seed}")
    took = time.perf_counter() - began
    print(f"{len(seeds):,} stories in {took:.0f} s: {failed} in which something did not hold")
    for what, number in sorted(seen.items()):
        print(f"  {number:>8,} {what}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
