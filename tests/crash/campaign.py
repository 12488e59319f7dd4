"""Kills hosts at random, hundreds of times, and settles the accounts: `python
tests/crash/campaign.py --kills 500 --seed 1`.

It tells stories, a few at once. In each, hosts live and die on one database, one after the other or
two side by side, against a sandbox that misbehaves; then one may finish. Where, when and how they
die is drawn from the seed. Exit code 1 and the story's folder where something was lost, sent twice
without a mark, left open, or is not as it must be in the database.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from attrs import define, field, frozen
from crash_host import STAGES, VERBS, Death
from crash_watch import Accounts, Hosts, Life, batch, story

LARGE = 1_500_000
FAULTS: Sequence[Sequence[str]] = (
    (),
    ("status:503=0.2",),
    ("reset-after=0.1", "cut=0.1"),
    ("silence-after=0.05", "slow:0.001=0.2"),
    ("status:429:retry-after=1=0.03", "reset-before=0.1"),
    ("unknown-status=0.1", "status-after:504=0.1"),
)


@frozen
class Told:
    """How one story ended. `accounts` is None where it did not end at all."""

    seed: int
    accounts: Accounts | None
    wrong: Sequence[str]
    kills: Counter[str]
    strays: int
    folder: Path


@define
class Totals:
    """Everything together."""

    stories: int = 0
    kills: Counter[str] = field(factory=Counter)
    statuses: Counter[str] = field(factory=Counter)
    copies: int = 0
    extra_copies: int = 0
    marked: int = 0
    strays: int = 0
    wrong: list[str] = field(factory=list)

    def add(self, told: Told) -> None:
        """One story more."""
        self.stories += 1
        self.kills += told.kills
        self.strays += told.strays
        self.wrong += [f"story {told.seed}, in {told.folder}: {what}" for what in told.wrong]
        if told.accounts is not None:
            self.statuses += told.accounts.statuses
            self.copies += told.accounts.copies
            self.extra_copies += told.accounts.extra_copies
            self.marked += told.accounts.marked

    def lines(self) -> Iterator[str]:
        """For people."""
        yield from self.wrong
        for point, number in sorted(self.kills.items()):
            yield f"{number:6} kills {point}"
        yield f"{self.kills.total():6} kills in {self.stories} stories"
        by_status = ", ".join(
            f"{number} {status}" for status, number in sorted(self.statuses.items())
        )
        yield f"{self.statuses.total():6} uploads: {by_status}"
        yield (
            f"{self.copies:6} copies at the sandbox, {self.extra_copies} more than one of a "
            f"document; {self.marked} uploads are marked"
        )
        yield f"{self.strays:6} files of locks were left behind"
        yield f"{len(self.wrong):6} things wrong"


def any_death(die: random.Random, hurried: bool) -> Death | None:
    """One of all the points at which a host can die by itself; or None, from outside."""
    kind = die.random()
    if kind < 0.2:
        return None
    if kind < 0.5:
        return Death(die.choice(STAGES), nth=die.randint(1, 12))
    # A host that is not hurried shows only four times a minute that it is alive.
    verb = die.choice([verb for verb in VERBS if hurried or verb != "heartbeat"])
    often = {"add": 2, "begin": 8, "save": 8, "heartbeat": 5, "unregister": 2}.get(verb, 1)
    return Death(verb, die.choice(("before", "after")), die.randint(1, often))


def any_life(die: random.Random, name: str) -> Life:
    """A host, with what it is given to do."""
    hurried = die.random() < 0.85
    size = LARGE if die.random() < 0.05 else die.choice((500, 5_000, 80_000))
    count = (
        die.randint(1, 4) if size == LARGE else die.randint(1, 100 if die.random() < 0.2 else 25)
    )
    return Life(
        batch(name, count, size=size),
        any_death(die, hurried),
        lines=die.randint(0, 60),
        after=die.random() * die.choice((0.0, 0.05, 0.5)),
        hurried=hurried,
    )


def tell_story(hosts: Hosts, parent: Path, seed: int) -> Told:
    """One story, to its end."""
    die = random.Random(seed)
    folder = parent / f"story-{seed}"
    folder.mkdir()
    faults = die.choice(FAULTS)
    # Not for the others: on a busy machine all sandboxes together may take a while to answer, and
    # whoever asks again makes it longer.
    idle = "3s" if any("silence" in fault for fault in faults) else "30s"
    with story(hosts, folder, faults, seed=seed, idle=idle) as told:
        try:
            for number in range(die.randint(1, 6)):
                lives = [any_life(die, f"life-{number}")]
                if die.random() < 0.3:
                    # The same evidences, in part, from two places at once.
                    lives.append(
                        any_life(die, f"life-{number}" if die.random() < 0.5 else f"twin-{number}")
                    )
                told.generation(*lives)
            accounts = told.end(hurried=die.random() < 0.85)
            wrong = accounts.wrong
        except Exception as error:
            accounts, wrong = None, [f"{type(error).__name__}: {error}"]
    strays = len(list(folder.glob("*.lock")))
    if not wrong:
        shutil.rmtree(folder)
    return Told(seed, accounts, wrong, told.kills, strays, folder)


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=500, help="at least so many (%(default)s)")
    parser.add_argument(
        "--seed", type=int, default=1, help="another seed, other stories (%(default)s)"
    )
    parser.add_argument(
        "--at-once",
        type=int,
        default=2 * (os.cpu_count() or 1),
        help="so many stories (%(default)s)",
    )
    given = parser.parse_args()
    began = time.monotonic()
    totals = Totals()
    parent = Path(tempfile.mkdtemp(prefix="crash-campaign-"))
    seeds = iter(range(given.seed * 1_000_000, (given.seed + 1) * 1_000_000))

    turn = threading.Lock()

    def tell(hosts: Hosts) -> None:
        while totals.kills.total() < given.kills:
            with turn:
                seed = next(seeds)
            told = tell_story(hosts, parent, seed)
            with turn:
                totals.add(told)

    with Hosts() as hosts, ThreadPoolExecutor(given.at_once) as threads:
        for teller in [threads.submit(tell, hosts) for _ in range(given.at_once)]:
            teller.result()
    if not totals.wrong:
        parent.rmdir()
    sys.stdout.write(
        "\n".join(totals.lines())
        + f"\n{time.monotonic() - began:6.0f} seconds, seed {given.seed}\n"
    )
    return 1 if totals.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
