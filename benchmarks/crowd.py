"""How couriers work on a database that is large, has a backlog, or is shared.

- large: throughput on the large database that LARGE names, and on an empty one.
- backlog: 100,000 due uploads when a courier starts: the first attempt, and the rate.
- processes: four couriers on one database, and one alone.

Each courier is a fresh process. Databases are made in SCRATCH, the system's temporary folder if it
is not given. 100,000 uploads are BACKLOG, and UPLOADS is how many a courier submits.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from subprocess import DEVNULL, PIPE
from typing import TypeAlias

from measuring import UPLOADS, Bar, Case, Cost, Skipped, main, measured
from world import SIZE, evidence, submit, tenants_at

from evidence_courier import AsyncCourier

BACKLOG = int(os.environ.get("BACKLOG", "100000"))
SCRATCH = os.environ.get("SCRATCH")
HERE = Path(__file__).parent
Process: TypeAlias = "subprocess.Popen[str]"


# --- the couriers, each a process of its own -----------------------------------------------------


async def submitting(port: int) -> Cost:
    """A courier that submits documents for eight tenants, once it is told to."""
    body, run, name = os.urandom(SIZE), os.urandom(4).hex(), os.environ["NAME"]
    async with AsyncCourier.from_mapping(tenants_at(port, name), os.environ["DATABASE"]) as one:
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        with measured(UPLOADS) as cost:
            await submit(
                one,
                UPLOADS,
                lambda number: evidence(f"{name}{number % 8}", f"{run}-{number}", content=body),
            )
    return cost


async def taking_up(port: int) -> Cost:
    """A courier that finds a backlog: seconds from its start to the first end of an attempt, and to
    the last one, and the rate in between."""
    began = time.perf_counter()
    ends: list[float] = []
    async with AsyncCourier.from_mapping(
        tenants_at(port, count=1),
        os.environ["DATABASE"],
        on_settled=lambda status: ends.append(time.perf_counter() - began),
    ) as one:
        with measured(BACKLOG) as cost:
            await one.drain()
    rate = (len(ends) - 1) / (ends[-1] - ends[0])
    return cost | {"uploads/s": rate, "first s": ends[0], "last s": ends[-1]}


def start(case: str, port: int, database: str, name: str = "t") -> Process:
    """One of them."""
    env = {**os.environ, "DATABASE": database, "NAME": name}
    command = [sys.executable, __file__, case, "--port", str(port)]
    return subprocess.Popen(command, stdin=PIPE, stdout=PIPE, text=True, env=env)


def result_of(process: Process) -> Cost:
    """What a process tells at its end."""
    told: Cost = json.loads(process.communicate()[0].splitlines()[-1])
    return told


def together(port: int, database: str, names: str = "u") -> list[Cost]:
    """What couriers tell that begin to submit at one moment."""
    processes = [start("submitting", port, database, name) for name in names]
    for one in processes:
        assert one.stdout is not None
        assert one.stdout.readline() == "ready\n"
    for one in processes:
        assert one.stdin is not None
        one.stdin.write("go\n")
        one.stdin.flush()
    return [result_of(one) for one in processes]


# --- what is measured ----------------------------------------------------------------------------


def large(port: int) -> Cost:
    """Uploads a second on a large database, which becomes larger, and on an empty one."""
    if "LARGE" not in os.environ:
        raise Skipped("LARGE names no large database")
    with tempfile.TemporaryDirectory(dir=SCRATCH) as folder:
        (full,) = together(port, os.environ["LARGE"])
        (empty,) = together(port, f"{folder}/empty.db")
    ratio = full["uploads/s"] / empty["uploads/s"]
    return full | {"large / empty": ratio, "CPU large / empty": full["CPU us"] / empty["CPU us"]}


def backlog(port: int) -> Cost:
    """A backlog, and the rate that is usual for such documents."""
    with tempfile.TemporaryDirectory(dir=SCRATCH) as folder:
        path, number = f"{folder}/backlog.db", str(BACKLOG)
        grow = [str(HERE / "grow.py"), path, "--uploads", number, "--in-line", number]
        subprocess.run([sys.executable, *grow, "--size", str(SIZE)], check=True, stdout=DEVNULL)
        cost = result_of(start("taking-up", port, path))
        (usual,) = together(port, f"{folder}/empty.db")
    ratio = cost["uploads/s"] / usual["uploads/s"]
    return cost | {"backlog / usual": ratio, "CPU / usual": cost["CPU us"] / usual["CPU us"]}


def processes(port: int) -> Cost:
    """Four couriers on one database, and one."""
    with tempfile.TemporaryDirectory(dir=SCRATCH) as folder:
        (alone,) = together(port, f"{folder}/one.db")
        rates = [cost["uploads/s"] for cost in together(port, f"{folder}/four.db", "abcd")]
    # From the beginning to the end of the slowest.
    four, one = 4 * min(rates), alone["uploads/s"]
    fairness = min(rates) / max(rates)
    return {"one/s": one, "four/s": four, "four / one": four / one, "slowest / fastest": fairness}


CASES: dict[str, Case] = {
    "large": large,
    "backlog": backlog,
    "processes": processes,
    "submitting": submitting,
    "taking-up": taking_up,
}
BARS = [
    Bar("uploads/s on a million stored / on none", "large / empty", "large", least=0.9),
    Bar("a backlog: seconds to the first end of an attempt", "first s", "backlog", most=1),
    Bar("a backlog's rate / the usual", "backlog / usual", "backlog", least=0.9),
    Bar("four couriers / one", "four / one", "processes", least=1),
    Bar("the slowest of four / the fastest", "slowest / fastest", "processes", least=0.6),
]


if __name__ == "__main__":
    main(__doc__, CASES, BARS, unasked=("submitting", "taking-up"))
