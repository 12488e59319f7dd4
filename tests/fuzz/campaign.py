"""A long run of the fuzzers: a million inputs by default, shared among the targets.

    python tests/fuzz/campaign.py [--inputs 1000000] [--seed 1] [--only reply]

Prints for each target how many inputs it was given, how fast, and what came of them. A failure is
printed with the command that replays it, and then the exit code is 1.
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).parent.parent / "support"))

from fuzz_targets import TARGETS

# Configuration files go through a folder on a disk, and redaction is judged by a slow oracle, so
# they get fewer.
SHARES = {
    "reply": 0.4,
    "retry_after": 0.3,
    "training_record": 0.2,
    "configuration": 0.05,
    "redaction": 0.05,
}
SHOWN = 5


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--seed", default="1")
    parser.add_argument("--only", choices=sorted(TARGETS))
    parser.add_argument(
        "--replay", metavar="NUMBER", help="one input of --only again, with its traceback"
    )
    said = parser.parse_args()
    if said.replay is not None:
        if said.only is None:
            parser.error("--replay needs --only, the target that the number belongs to")
        print(TARGETS[said.only](dice(said.seed, said.only, said.replay)))
        return 0
    failures = 0
    for name in [said.only] if said.only else TARGETS:
        share = 1.0 if said.only else SHARES[name]
        failures += run(name, TARGETS[name], range(int(said.inputs * share)), said.seed)
    print(f"{failures:,} failures, seed {said.seed}")
    return 1 if failures else 0


def dice(seed: str, name: str, number: object) -> Random:
    """Where one input comes from."""
    return Random(f"{seed} {name} {number}")


def run(name: str, target: Callable[[Random], str], numbers: Iterable[int], seed: str) -> int:
    """Give a target its inputs; how many it failed on."""
    outcomes: Counter[str] = Counter()
    failures = 0
    began = time.perf_counter()
    for number in numbers:
        try:
            outcomes[target(dice(seed, name, number))] += 1
        except Exception as error:
            failures += 1
            if failures <= SHOWN:
                where = traceback.extract_tb(error.__traceback__)[-1]
                print(f"{name} failed: {type(error).__name__} in {where.name}: {error!a}"[:600])
                print(
                    f"  again: python tests/fuzz/campaign.py --only {name} --seed {seed} --replay "
                    f"{number}"
                )
    took = time.perf_counter() - began
    tried = sum(outcomes.values()) + failures
    rate = tried / took if took else 0.0
    print(
        f"{name}: {tried:,} inputs in {took:.0f} s ({rate:,.0f}/s), {len(outcomes)} outcomes, "
        f"{failures:,} failures"
    )
    for outcome, times in outcomes.most_common():
        print(f"    {times:>9,} {outcome}", flush=True)
    return failures


if __name__ == "__main__":
    sys.exit(main())
