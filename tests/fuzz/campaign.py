"""A long run of the fuzzers: a million inputs by default, shared among the targets.

    python tests/fuzz/campaign.py [--inputs 1000000] [--seed 1] [--only reply]

Prints what was tried and what came of it; a failure with the seed that replays it, and then the exit code is 1.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).parent.parent / "support"))

from fuzz_targets import TARGETS

# Configuration files go through a folder on a disk, so they get fewer.
SHARES = {"reply": 0.5, "retry_after": 0.3, "training_record": 0.17, "configuration": 0.03}


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--seed", default="1")
    parser.add_argument("--only", choices=sorted(TARGETS))
    parser.add_argument("--replay", help="one input of --only again, by the number that was printed")
    said = parser.parse_args()
    failures = 0
    for name, target in TARGETS.items():
        if said.only not in (None, name):
            continue
        share = 1.0 if said.only else SHARES[name]
        numbers = [said.replay] if said.replay else range(int(said.inputs * share))
        outcomes: Counter[str] = Counter()
        began = time.perf_counter()
        for number in numbers:
            try:
                outcomes[target(Random(f"{said.seed} {name} {number}"))] += 1
            except Exception as error:
                failures += 1
                outcomes["FAILED"] += 1
                if outcomes["FAILED"] <= 5:
                    print(f"{name} {number}: {type(error).__name__}: {error}"[:400])
        took = time.perf_counter() - began
        counted = ", ".join(f"{number:,} {outcome}" for outcome, number in outcomes.most_common())
        print(f"{name}: {len(numbers):,} inputs in {took:.0f} s: {counted}", flush=True)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
