"""What an upload costs the processor, as a multiple of a bare client's cost in the same run.

The bounds are wide: they notice a loss of a third, and no machine that does much else.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from evidence_courier.adapters.engines.tickets import Ticket

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "throughput.py"

MOST = {"courier": 13.0, "from-source": 14.0}
"""They are about 9.7 and 10.5 on an idle machine; more than this is a loss of a third there."""

MOST_CALLS = 1_000
"""So many Python functions are called for an upload from a source at most, on any machine: it is
about 830 where the machine is idle, and more where few uploads share a commit."""

ATTEMPTS = 4


def test_an_upload_costs_what_it_did() -> None:
    """The best of some attempts counts for each: a neighbour on the same core can double a
    figure."""
    best: dict[str, float] = {}
    for _ in range(ATTEMPTS):
        for name, ratio in _ratios().items():
            best[name] = min(best.get(name, ratio), ratio)
        if all(best[name] < most for name, most in MOST.items()):
            return
    assert best == {}, f"more than {MOST}"


def test_an_upload_calls_no_more_than_it_did() -> None:
    run = subprocess.run(
        [sys.executable, "-c", COUNT, str(BENCHMARK.parent)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert float(run.stdout) < MOST_CALLS


def test_a_ticket_that_nothing_waits_for_is_one_object() -> None:
    """What is alive is looked at by each full collection of garbage, which stops the loop."""
    with closing(asyncio.new_event_loop()) as loop:
        before = len(gc.get_objects())
        tickets = [Ticket("acme", str(number), loop) for number in range(1_000)]
        assert len(gc.get_objects()) - before < 1.2 * len(tickets)


COUNT = """
import asyncio, itertools, sys, threading

sys.path.insert(0, sys.argv[1])
import measuring, throughput

calls = itertools.count()

def note(frame, event, argument):
    if event == "call":
        next(calls)

def cost(port, uploads):
    before = next(calls)
    asyncio.run(throughput.from_source(port, uploads))
    return next(calls) - before

with measuring.server("lean") as port:
    cost(port, 100)  # imports
    threading.setprofile(note)
    sys.setprofile(note)
    few, many = cost(port, 100), cost(port, 900)
    sys.setprofile(None)
    print((many - few) / 800)
"""


def _ratios() -> Mapping[str, float]:
    run = subprocess.run(
        [sys.executable, BENCHMARK, "--rounds", "3", "--json", "--only", "bare", *MOST],
        env={**os.environ, "UPLOADS": "1000"},
        capture_output=True,
        text=True,
        check=True,
    )
    costs = json.loads(run.stdout)["costs"]
    # The least of each: what else the machine does only adds to it.
    least = {name: min(each["CPU us"] for each in costs[name]) for name in costs}
    return {name: least[name] / least["bare"] for name in MOST}
