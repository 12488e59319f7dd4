"""How couriers work on a database that is large, has a backlog, or is shared.

    python benchmarks/crowd.py large DATABASE     throughput on a large database and on an empty one
    python benchmarks/crowd.py backlog            100,000 due uploads: the first attempt, the rate
    python benchmarks/crowd.py processes          four couriers on one database, and one alone

Each courier is a fresh process; they take turns, and medians count. The server is the lean one of
`throughput.py`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from subprocess import DEVNULL
from typing import TypeAlias

from throughput import Cost, evidence, server, tenants_at

from evidence_courier import AsyncCourier

BACKLOG = int(os.environ.get("BACKLOG", "100000"))
UPLOADS = int(os.environ.get("UPLOADS", "5000"))
SIZE = int(os.environ.get("SIZE", "30000"))


HERE = Path(__file__).parent
Process: TypeAlias = "subprocess.Popen[str]"


@contextmanager
def measured(times: int) -> Iterator[Cost]:
    """What is done inside costs, one of so many times."""
    cost: Cost = {}
    began, cpu, loop = time.perf_counter(), time.process_time(), time.thread_time()
    yield cost
    cost["uploads/s"] = times / (time.perf_counter() - began)
    cost["CPU us"] = (time.process_time() - cpu) / times * 1e6
    cost["of these on the loop"] = (time.thread_time() - loop) / times * 1e6


def result_of(process: Process) -> Cost:
    """What a process tells at its end."""
    told: Cost = json.loads(process.communicate()[0])
    return told


async def submit(port: int, database: str, name: str, uploads: int) -> Cost:
    """A courier that submits so many documents for eight tenants, once it is told to."""
    body = os.urandom(SIZE)
    run = os.urandom(4).hex()
    async with AsyncCourier.from_mapping(
        tenants_at(f"http://127.0.0.1:{port}/", name, 8), database
    ) as one:
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        with measured(uploads) as cost:
            tickets = []
            for number in range(uploads):
                told = evidence(f"{name}{number % 8}", f"{run}-{number}", content=body)
                tickets.append(one.submit(told))
                if number % 500 == 499:
                    await tickets[-1].recorded()
            for ticket in tickets:
                status = await ticket.settled()
                assert status is not None
                assert status.status == "succeeded", status
    return cost


async def take_up(port: int, database: str) -> Cost:
    """A courier that finds a backlog: seconds from its start to the first end of an attempt, and to
    the last one, and the rate in between."""
    began = time.perf_counter()
    ends: list[float] = []
    async with AsyncCourier.from_mapping(
        tenants_at(f"http://127.0.0.1:{port}/", "t", 1),
        database,
        on_settled=lambda status: ends.append(time.perf_counter() - began),
    ) as one:
        started = time.perf_counter() - began
        with measured(BACKLOG) as cost:
            await one.drain()
    first, last = ends[0], ends[-1]
    told = {"started": started, "first": first, "last": last}
    del cost["uploads/s"]
    return told | {"uploads/s": (len(ends) - 1) / (last - first)} | cost


def start(what: str, port: int, database: str, name: str, uploads: int) -> Process:
    """A courier in a process of its own."""
    command = [sys.executable, __file__, what, database, "--port", str(port), "--name", name]
    return subprocess.Popen(
        [*command, "--uploads", str(uploads)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def together(port: int, database: str, names: str, uploads: int) -> list[Cost]:
    """What couriers tell that begin at one moment, each with so many uploads, and the seconds that
    all of them took."""
    processes = [start("submit", port, database, name, uploads) for name in names]
    for one in processes:
        assert one.stdout is not None
        assert one.stdout.readline() == "ready\n"
    for one in processes:
        assert one.stdin is not None
        one.stdin.write("go\n")
        one.stdin.flush()
    return [result_of(one) for one in processes]


def large(database: Path, rounds: int) -> Cost:
    """Uploads a second on this database, and on an empty one."""
    rates: dict[str, list[float]] = {"large": [], "empty": []}
    with tempfile.TemporaryDirectory(dir=database.parent) as folder, server("lean") as port:
        copied = Path(folder) / "large.db"
        shutil.copy(database, copied)
        for number in range(rounds):
            for name, path in (("large", copied), ("empty", Path(folder) / f"{number}.db")):
                (cost,) = together(port, str(path), "u", UPLOADS)
                rates[name].append(cost["uploads/s"])
                rates.setdefault(f"{name}, CPU us", []).append(cost["CPU us"])
    told = {name: median(each) for name, each in rates.items()}
    return told | {"large / empty": told["large"] / told["empty"]}


def backlog(folder: Path, rounds: int) -> Cost:
    """A backlog, and the rate that is usual for such documents."""
    costs: list[Cost] = []
    usual: list[Cost] = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory(dir=folder) as scratch, server("lean") as port:
            path = Path(scratch) / "backlog.db"
            number = str(BACKLOG)
            grow = [str(HERE / "grow.py"), str(path), "--uploads", number, "--in-line", number]
            subprocess.run([sys.executable, *grow, "--size", str(SIZE)], check=True, stdout=DEVNULL)
            process = start("take-up", port, str(path), "t", BACKLOG)
            costs.append(result_of(process))
            (cost,) = together(port, str(Path(scratch) / "empty.db"), "u", UPLOADS)
            usual.append(cost)
    told = {name: median(cost[name] for cost in costs) for name in costs[0]}
    told |= {f"usual {name}": median(cost[name] for cost in usual) for name in usual[0]}
    return told | {"backlog / usual": told["uploads/s"] / told["usual uploads/s"]}


def processes(folder: Path, rounds: int) -> Cost:
    """Four couriers on one database, and one."""
    told: dict[str, list[float]] = {"one": [], "four": [], "slowest / fastest": []}
    with tempfile.TemporaryDirectory(dir=folder) as scratch, server("lean") as port:
        for number in range(rounds):
            (alone,) = together(port, f"{scratch}/one-{number}.db", "u", UPLOADS)
            four = together(port, f"{scratch}/four-{number}.db", "abcd", UPLOADS)
            rates = sorted(cost["uploads/s"] for cost in four)
            told["one"].append(alone["uploads/s"])
            # From the beginning to the end of the slowest.
            told["four"].append(4 * rates[0])
            told["slowest / fastest"].append(rates[0] / rates[-1])
    medians = {name: median(each) for name, each in told.items()}
    return medians | {"four / one": medians["four"] / medians["one"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    words = ["large", "backlog", "processes", "submit", "take-up"]
    parser.add_argument("what", choices=words)
    parser.add_argument("database", nargs="?", default=tempfile.gettempdir())
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--name", help=argparse.SUPPRESS)
    parser.add_argument("--uploads", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    path = Path(asked.database)
    if asked.what == "submit":
        told = asyncio.run(submit(asked.port, asked.database, asked.name, asked.uploads))
    elif asked.what == "take-up":
        told = asyncio.run(take_up(asked.port, asked.database))
    else:
        measure = {"large": large, "backlog": backlog, "processes": processes}[asked.what]
        told = {name: round(number, 2) for name, number in measure(path, asked.rounds).items()}
    print(json.dumps(told))


if __name__ == "__main__":
    main()
