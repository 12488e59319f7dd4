"""What each way of dealing with a lost reply comes to, over thousands of seeded histories in
virtual time.

    python docs/policies.py [--histories 10000]     writes docs/policies.md

A history is the life of one upload. Twenty share a world: a provider with a random temper, an
outage in most, and a courier that is killed and replaced in some. All policies meet the same
worlds, seed by seed.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from random import Random

from attrs import define, evolve, field

from evidence_courier.domain.integration import OnUnclear
from evidence_courier.domain.upload.status import UploadStatus
from evidence_courier.domain.upload.verdict import Deferred, Unclear, Verdict
from evidence_courier.ports.dialogue import Dialogue
from evidence_courier.ports.provider import Parcel
from evidence_courier.testing.simulation import Faults, Outage, Simulation
from evidence_courier.testing.simulation.model import ModelProvider, ReadableModelProvider

PAGE = Path(__file__).with_name("policies.md")
IN_A_WORLD = 20
KINDS = ("down", "503", "takes", "silent")


class NaiveProvider(ModelProvider):
    """Takes every failure for one that was surely not taken, as a simple retry loop does."""

    def upload(self, parcel: Parcel, settings: object, progress: str | None) -> Dialogue[Verdict]:
        verdict = yield from super().upload(parcel, settings, progress)
        return Deferred(verdict.failure) if isinstance(verdict, Unclear) else verdict


@define
class Policy:
    """One row of the table."""

    name: str
    build: Callable[[int, Faults], Simulation]
    commit: float = 5.0
    histories: int = 0
    succeeded: int = 0
    failed: int = 0
    held: int = 0
    lost: int = 0
    copies: int = 0
    unmarked: int = 0
    false_failures: int = 0
    lateness: list[float] = field(factory=list)


def policies() -> list[Policy]:
    """The rows."""
    return [
        Policy(
            "look up first, and look-ups always answer",
            lambda seed, faults: Simulation(
                seed,
                provider=ReadableModelProvider(),
                faults=evolve(faults, unreadable=0.0, look_ups_answer=True),
            ),
        ),
        Policy(
            "look up first, and look-ups fail as often as anything",
            lambda seed, faults: Simulation(seed, provider=ReadableModelProvider(), faults=faults),
        ),
        Policy(
            "look up first, commits that show after the last look-up",
            lambda seed, faults: Simulation(seed, provider=ReadableModelProvider(), faults=faults),
            commit=180.0,
        ),
        Policy(
            "`on_unclear: retry` (not readable)",
            lambda seed, faults: Simulation(seed, faults=faults),
        ),
        Policy(
            "`on_unclear: hold` (not readable)",
            lambda seed, faults: Simulation(seed, on_unclear=OnUnclear.HOLD, faults=faults),
        ),
        Policy(
            "naive retry",
            lambda seed, faults: Simulation(seed, faults=faults, provider=NaiveProvider()),
        ),
    ]


def live_through(policy: Policy, seed: int) -> None:
    """One world, and what it adds to the row."""
    dice = Random(seed)
    outages: tuple[Outage, ...] = ()
    if dice.random() < 0.7:
        start = dice.uniform(0, 120)
        outages = (Outage(start, start + dice.uniform(5, 180), dice.choice(KINDS)),)
    faults = Faults(
        no_connection=0.05,
        unavailable=0.05,
        takes_and_drops=0.05,
        takes_and_fails=0.05,
        unreadable=0.05,
        latency=1.0,
        commit=policy.commit,
        outages=outages,
    )
    crash_at = dice.uniform(1, 150) if dice.random() < 0.3 else None
    with policy.build(seed, faults) as simulation:
        for _ in range(IN_A_WORLD):
            simulation.submit()
            simulation.pass_time(dice.uniform(0, 15))
            if (
                crash_at is not None
                and (simulation.clock.now() - simulation.server.began).total_seconds() > crash_at
            ):
                crash_at = None
                simulation.crash()
                simulation.start_courier()
        simulation.settle(timedelta(days=2))
        for status in simulation.statuses():
            count(policy, simulation, status)


def count(policy: Policy, simulation: Simulation, status: UploadStatus) -> None:
    """What one history came to."""
    copies = len(simulation.server.copies.get(f"{status.tenant_id}/{status.evidence_id}", ()))
    policy.histories += 1
    policy.copies += max(0, copies - 1)
    policy.unmarked += copies > 1 and not status.possible_duplicate
    match status.status:
        case "succeeded":
            policy.succeeded += 1
            policy.lateness.append((status.updated_at - status.created_at).total_seconds())
        case "failed":
            policy.failed += 1
            policy.false_failures += copies > 0
        case "held":
            policy.held += 1
        case _:
            policy.lost += 1


def percentile(values: Sequence[float], share: float) -> float:
    """The value that so large a share of them does not exceed."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else 0.0


def table(rows: Sequence[Policy]) -> str:
    """The rows as Markdown."""
    lines = [
        "| | succeeded | held | failed | of these, the provider has it | lost | second copies | "
        "histories with an unmarked one |"
        " half settled within | 99 % within |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for row in rows:
        lines.append(
            f"| {row.name} | {row.succeeded:,} | {row.held:,} | {row.failed:,} | "
            f"{row.false_failures:,} | {row.lost:,} | {row.copies:,} | "
            f"{row.unmarked:,} | {percentile(row.lateness, 0.5):.0f} s | "
            f"{percentile(row.lateness, 0.99):.0f} s |"
        )
    return "\n".join(lines)


def main() -> None:
    """Live through all of it and write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--histories", type=int, default=10_000)
    histories = parser.parse_args().histories
    rows = policies()
    for row in rows:
        for seed in range(histories // IN_A_WORLD):
            live_through(row, seed)
        print(f"{row.name}: {row.histories:,} histories", flush=True)
    PAGE.write_text(
        f"""# What becomes of a lost reply

Made by `docs/policies.py`: {rows[0].histories:,} seeded histories for each row, in virtual time, with the default retry policy. One request in five goes wrong; most worlds
have an outage of up to three minutes, of one of four kinds; in three of ten, a courier is killed and replaced. *Lost* would be what is neither
succeeded, nor held, nor failed after two days.

{table(rows)}

*Naive retry* is what a simple loop does: whatever fails is sent again, and nothing is noted. *Hold* is there for whoever prefers a person's look to a second
copy. With a provider that can be read, a second copy is made only where every look-up failed, or where what was taken shows
after the last of them; the record says `possible_duplicate` in both cases, and wherever something was sent again out of a doubt.
"""
    )


if __name__ == "__main__":
    main()
