"""How everything here is measured: cases, each in a fresh process; they take turns, and medians
count. What they come to is held against bars.

Rates depend on what else a machine does, so processor time is told beside them: of the whole
process, of the thread of the event loop, and of the writer's.
"""

from __future__ import annotations

import argparse
import asyncio
import inspect
import json
import os
import platform
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TypeAlias

Cost: TypeAlias = dict[str, float]
Costs: TypeAlias = dict[str, list[Cost]]
Case: TypeAlias = Callable[[int], Cost | Coroutine[None, None, Cost]]
"""Given the port of the server, what it costs."""

UPLOADS = int(os.environ.get("UPLOADS", "5000"))


class Skipped(Exception):
    """Why a case cannot be measured here."""


@dataclass(frozen=True)
class Bar:
    """What one figure of a case is to be at least or at most, by itself or as a multiple of the
    same figure of another case."""

    what: str
    key: str
    case: str
    against: str | None = None
    least: float = 0
    most: float | None = None

    def measured(self, costs: Mapping[str, Cost]) -> float | None:
        """The figure; None if it was not measured of each case."""
        if any(self.key not in costs.get(one, {}) for one in (self.case, self.against) if one):
            return None
        return costs[self.case][self.key] / (costs[self.against][self.key] if self.against else 1)

    def verdict(self, figure: float) -> str:
        """Whether the figure is within the bar."""
        if self.most is None:
            return f"at least {self.least:g}" + (", MISSED" if figure < self.least else "")
        return f"at most {self.most:g}" + (", MISSED" if figure > self.most else "")


def on_cpu(thread: threading.Thread) -> float:
    """The seconds that a thread has been on a processor."""
    with open(f"/proc/self/task/{thread.native_id}/schedstat") as file:
        return int(file.read().split()[0]) / 1e9


def memory(which: str) -> int:
    """Bytes of this process's memory: its peak VmHWM, or RssAnon, its own now."""
    found = re.search(rf"{which}:\s*(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) * 1024


@contextmanager
def measured(times: int) -> Iterator[Cost]:
    """What is done inside costs, one of so many times."""

    def now() -> Cost:
        threads = {thread.name: on_cpu(thread) for thread in threading.enumerate()}
        writer = threads.get("evidence-courier-writer", 0.0)
        return {"CPU us": time.process_time(), "loop us": time.thread_time(), "writer us": writer}

    cost: Cost = {}
    began, before = time.perf_counter(), now()
    yield cost
    cost["uploads/s"] = times / (time.perf_counter() - began)
    cost |= {name: (used - before[name]) / times * 1e6 for name, used in now().items()}
    cost["peak MiB"] = memory("VmHWM") / 2**20


def cpu_of(process: int) -> float:
    """The processor seconds of another process, its children and theirs, those that ended too."""
    ticks, found = 0, {process}
    for entry in sorted(int(name) for name in os.listdir("/proc") if name.isdigit()):
        try:
            fields = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if entry in found or int(fields[1]) in found:
            found.add(entry)
            ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def machine() -> str:
    """What it was measured on."""
    found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    processor = found.group(1) if found else platform.machine()
    return f"{os.cpu_count()} x {processor}, Python {platform.python_version()}"


@contextmanager
def server(kind: str) -> Iterator[int]:
    """The port of a server, in a process of its own, while it runs."""
    command = [sys.executable, str(Path(__file__).with_name("world.py")), kind]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.communicate()


def measure(case: str, port: int, python: str = sys.executable) -> Cost | str:
    """One measurement, in a process of its own; or why it cannot be made here."""
    command = [python, sys.argv[0], case, "--port", str(port)]
    run = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    told: Cost | str = json.loads(run.stdout.splitlines()[-1])
    return told


def compare(asked: argparse.Namespace, skipped: dict[str, str]) -> Costs:
    """Measure the cases in turn, each also with another version of the package if one is given."""
    pythons = {"": sys.executable} | ({" (other)": asked.against} if asked.against else {})
    costs: Costs = {}
    with server(asked.server) as port:
        for _ in range(asked.rounds):
            for case in asked.only:
                for suffix, python in pythons.items():
                    if case in skipped:
                        continue
                    told = measure(case, port, python)
                    if isinstance(told, str):
                        skipped[case] = told
                    else:
                        costs.setdefault(case + suffix, []).append(told)
    return costs


def medians_of(costs: Costs) -> dict[str, Cost]:
    """The median of each figure of each case."""
    return {
        case: {key: median(cost[key] for cost in each) for key in each[0]}
        for case, each in costs.items()
    }


def show(title: str, medians: Mapping[str, Cost], bars: Sequence[Bar]) -> None:
    """The medians, and the bars."""
    print(title)
    for case, cost in medians.items():
        facts = (
            f"{number:9,.{0 if abs(number) >= 100 else 2}f} {key}" for key, number in cost.items()
        )
        print(f"{case:18}", ", ".join(facts))
    for bar in bars:
        figure = bar.measured(medians)
        if figure is not None:
            print(f"{figure:9,.2f}  {bar.what}: {bar.verdict(figure)}")


def main(
    about: str | None,
    cases: Mapping[str, Case],
    bars: Sequence[Bar] = (),
    unasked: Collection[str] = (),
) -> None:
    """The command line of a script. The cases `unasked` are measured only if they are named."""
    parser = argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    usual = [case for case in cases if case not in unasked]
    parser.add_argument("case", nargs="?", choices=cases, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--server", choices=["lean", "aiohttp"], default="lean")
    parser.add_argument("--against", metavar="PYTHON", help="measure another version in turn")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=cases, default=usual)
    parser.add_argument("--json", action="store_true", help="print each measurement")
    asked = parser.parse_args()
    if asked.case:
        try:
            told = cases[asked.case](asked.port)
            print(json.dumps(asyncio.run(told) if inspect.iscoroutine(told) else told))
        except Skipped as why:
            print(json.dumps(str(why)))
        return
    skipped: dict[str, str] = {}
    costs = compare(asked, skipped)
    medians = medians_of(costs)
    given = {"machine": machine(), "server": asked.server, "rounds": asked.rounds}
    if asked.json:
        held = {bar.what: bar.measured(medians) for bar in bars}
        print(json.dumps({**given, "costs": costs, "skipped": skipped, "bars": held}))
    else:
        show(", ".join(f"{key} {word}" for key, word in given.items()), medians, bars)
        print(*(f"{case} is skipped: {why}" for case, why in skipped.items()), sep="\n", end="")
