"""What a courier costs the process that it is in: start, memory, and blocks of the loop.

- import, start-one, start-many: milliseconds of the processor's, to import the package, to start a
  courier of one tenant once that is done, and to load 10,000 tenants (MANY).
- submit: nanoseconds for a tenant without an integration, beside a call of an empty method.
- burst: `submit` of 10,000 evidences, one in each turn of the loop, and the longest block of the
  loop meanwhile, by the clock and by the processor; crowd: 30,000 for 10,000 tenants.
- memory: the peak for 10,000 documents of 30 kB; waiting: what each of 100,000 takes that waits for
  a retry (WAITING).
- rendering, pdf, pdf-lag: training records of four modules with three questions each, rendered
  alone, rendered and delivered, and how late the loop is meanwhile.
- pace: 1,000 tenants at ten requests a minute each, in virtual time: what the slowest and the
  fastest send a minute, of what they may, and the processor's time for a minute of it. If they are
  named: pace-10, pace-10000.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from timeit import repeat
from typing import Any

from measuring import Bar, Case, Cost, main, measured, memory, server
from world import REPLY, SIZE, TENANTS, deliver, evidence, submit, tenants_at

from evidence_courier import AsyncCourier, Evidence, load_record
from evidence_courier.domain.integration import Route
from evidence_courier.ports.dialogue import HttpRequest, HttpResponse
from evidence_courier.testing import FakeClock, until_settled

WAITING = int(os.environ.get("WAITING", "100000"))
RECORDS = int(os.environ.get("RECORDS", "300"))
MANY = int(os.environ.get("MANY", "10000"))
TENANT = """\
tenant: t{0}
name: Tenant {0}
integrations:
  compliance:
    {{provider: sprinto, api_key: "${{KEY}}", workflow_check: c, region: eu, pace: 50/min}}
"""


@asynccontextmanager
async def started(tenants: Any, **options: Any) -> AsyncIterator[AsyncCourier]:
    """A courier on an empty database."""
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "courier.db"
        async with AsyncCourier.from_mapping(tenants, database, **options) as courier:
            yield courier


# --- the start -----------------------------------------------------------------------------------


def imported(port: int) -> Cost:
    """The import, in a process that does nothing else."""

    def cpu(code: str) -> float:
        code += "\nimport time; print(time.process_time())"
        return min(
            float(subprocess.run([sys.executable, "-c", code], stdout=-1, check=True).stdout)
            for _ in range(5)
        )

    nothing = cpu("pass")
    face = "from evidence_courier import AsyncCourier"
    return {
        "import ms": (cpu("import evidence_courier") - nothing) * 1e3,
        "AsyncCourier ms": (cpu(face) - nothing) * 1e3,
    }


async def start_one(port: int) -> Cost:
    """A courier of one tenant, in a process that has imported it."""
    began, cpu = time.perf_counter(), time.process_time()
    async with started(tenants_at(port, count=1)):
        return {
            "start ms": (time.perf_counter() - began) * 1e3,
            "CPU ms": (time.process_time() - cpu) * 1e3,
        }


async def start_many(port: int) -> Cost:
    """A courier of 10,000 files, and a reload of which none has changed."""
    os.environ["KEY"] = "a-key"
    with tempfile.TemporaryDirectory() as folder:
        for number in range(MANY):
            (Path(folder) / f"t{number}.yaml").write_text(TENANT.format(number))
        began, cpu = time.perf_counter(), time.process_time()
        courier = AsyncCourier.from_config(folder, f"{folder}/courier.db")
        cost = {"load s": time.perf_counter() - began, "CPU s": time.process_time() - cpu}
        async with courier:
            cost["MiB"] = memory("RssAnon") / 2**20
            cpu = time.process_time()
            await courier.reload()
            return cost | {"reload CPU s": time.process_time() - cpu}


# --- submit, and the loop ------------------------------------------------------------------------


async def submit_nothing(port: int) -> Cost:
    """A tenant without an integration."""

    class Empty:
        def call(self, evidence: Evidence) -> None:
            pass

    it = evidence("none", "ev-1", content=b"a document")
    async with started({"none": {"name": "nothing"}}) as courier:
        ours, empty = (
            min(repeat(partial(call, it), number=20_000, repeat=9)) / 20_000 * 1e9
            for call in (courier.submit, Empty().call)
        )
    return {"ns": ours, "ns more than a call": ours - empty}


async def watch(gaps: list[tuple[float, float]]) -> None:
    """Note how long the loop did not come round, by the clock and by the processor."""
    while True:
        began, cpu = time.perf_counter(), time.thread_time()
        await asyncio.sleep(0.001)
        gaps.append((time.perf_counter() - began - 0.001, time.thread_time() - cpu))


async def burst(port: int, tenants: int = TENANTS, uploads: int = 10_000) -> Cost:
    """Many submits, one in each turn of the loop, until all are delivered."""
    gaps: list[tuple[float, float]] = []
    took: list[float] = []
    content = os.urandom(SIZE)
    async with started(tenants_at(port, count=tenants)) as courier:
        await asyncio.sleep(0.5)
        watching = asyncio.create_task(watch(gaps))
        tickets = []
        for number in range(uploads):
            it = evidence(f"t{number % tenants}", f"ev-{number}", content=content)
            began = time.perf_counter()
            tickets.append(courier.submit(it))
            took.append(time.perf_counter() - began)
            await asyncio.sleep(0)
        for ticket in tickets:
            await ticket.settled()
        watching.cancel()
    took.sort()
    by_clock, by_cpu = zip(*gaps, strict=True)
    return {
        "submit p50 us": took[len(took) // 2] * 1e6,
        "submit p99 us": took[len(took) * 99 // 100] * 1e6,
        "block ms": max(by_clock) * 1e3,
        "block CPU ms": max(by_cpu) * 1e3,
    }


# --- memory --------------------------------------------------------------------------------------


async def peak(port: int) -> Cost:
    """Documents that are all different."""
    before, rest = memory("VmHWM"), os.urandom(SIZE - 8)

    def one(number: int) -> Evidence:
        content = number.to_bytes(8, "big") + rest
        return evidence(f"t{number % TENANTS}", f"ev-{number}", content=content)

    cost = await deliver(port, MANY, one)
    return cost | {"more MiB": (memory("VmHWM") - before) / 2**20}


async def waiting(port: int) -> Cost:
    """Uploads whose first attempt has failed, and the next is an hour away."""

    async def rest(count: int) -> int:
        while (await courier.health()).counts.get("retrying", 0) < count:
            await asyncio.sleep(0.2)
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)
        return memory("RssAnon")

    logging.getLogger("evidence_courier").setLevel(logging.CRITICAL)
    with server("failing") as failing:
        tenants: Any = tenants_at(failing)
        for tenant in tenants.values():
            delays = {"initial_delay": "1h", "max_delay": "2h"}
            tenant["integrations"]["compliance"]["retry"] = delays
        async with started(tenants) as courier:
            few, before = WAITING // 10, 0
            for number in range(WAITING):
                content = number.to_bytes(8, "big") * 16
                it = evidence(f"t{number % TENANTS}", f"ev-{number}", content=content)
                ticket = courier.submit(it)
                if number % 500 == 499:
                    await ticket.recorded()
                if number == few - 1:
                    before = await rest(few)
            after = await rest(WAITING)
    return {"B each": (after - before) / (WAITING - few), "MiB": after / 2**20}


# --- PDF -----------------------------------------------------------------------------------------


def record(number: int) -> Evidence:
    """The evidence of a training record of the usual size."""
    asked = {
        "text": "A mail asks you to confirm your password on a page that it names. What do you do?",
        "answer": "I report it, and go to the page by myself.",
        "score": 1.0,
        "rationale": "The right channel, and the link was not used.",
    }
    module = {"title": "Phishing", "score": 0.9, "questions": [asked] * 3}
    moments = dict.fromkeys(("started_at", "completed_at", "generated_at"), "2026-02-21T10:00:00Z")
    training = {"title": "Security training", "type": "annual", "attempt": 1, "max_attempts": 3}
    outcome = {"status": "passed", "score": 0.9, "pass_threshold": 0.7, "weak_areas": ["phishing"]}
    tree = {
        "schema_version": 1,
        "tenant_id": f"t{number % TENANTS}",
        "evidence_id": f"ev-{number}",
        "session_id": f"s-{number}",
        "employee": {"id": f"emp-{number}", "name": "Asha Patel", "email": "asha@acme.example"},
        "training": training,
        "outcome": outcome,
        "modules": [module] * 4,
        **moments,
    }
    return Evidence.from_record(load_record(json.dumps(tree)))


def rendering(port: int) -> Cost:
    """Rendering alone, with as many threads as a courier's renderer has places."""
    from evidence_courier.adapters.renderers.typst_renderer import TypstRenderer

    renderer = TypstRenderer()
    records: list[Any] = [record(number).document for number in range(RECORDS)]
    renderer.render(records[0])
    with ThreadPoolExecutor(2) as threads, measured(RECORDS) as cost:
        list(threads.map(renderer.render, records))
    return cost


async def pdf(port: int) -> Cost:
    """Rendering on the way."""
    async with started(tenants_at(port)) as courier:
        await submit(courier, 1, lambda number: record(RECORDS))
        with measured(RECORDS) as cost:
            await submit(courier, RECORDS, record)
    return cost


async def pdf_lag(port: int) -> Cost:
    """How late the loop is beside it; to watch it costs a millisecond an upload."""
    gaps: list[tuple[float, float]] = []
    async with started(tenants_at(port)) as courier:
        await submit(courier, 1, lambda number: record(RECORDS))
        watching = asyncio.create_task(watch(gaps))
        await submit(courier, RECORDS, record)
        watching.cancel()
    by_clock, by_cpu = (sorted(each)[len(gaps) * 99 // 100] for each in zip(*gaps, strict=True))
    return {"lag p99 ms": by_clock * 1e3, "lag p99 CPU ms": by_cpu * 1e3}


# --- the pace ------------------------------------------------------------------------------------


class Instant:
    """A transport that takes no time, and notes when each key's requests left."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.times: defaultdict[str, list[float]] = defaultdict(list)

    async def send(self, request: HttpRequest, route: Route) -> HttpResponse:
        """As in `AsyncTransport`."""
        self.times[dict(request.headers)["api-key"]].append(self._clock.monotonic())
        headers = (("Content-Type", "application/json"),)
        return HttpResponse(200, headers, REPLY, self._clock.now())

    async def close(self) -> None:
        """As in `AsyncTransport`."""


async def paced(port: int, tenants: int = 1_000, each: int = 30) -> Cost:
    """The requests of each tenant a minute, after the first ten."""
    clock = FakeClock()
    transport = Instant(clock)
    given: Any = tenants_at(port, count=tenants)
    for number, tenant in enumerate(given.values()):
        os.environ[f"KEY{number}"] = f"key-{number}"
        block = tenant["integrations"]["compliance"]
        tenant["integrations"]["compliance"] = block | {"api_key": f"${{KEY{number}}}"}
        tenant["integrations"]["compliance"]["pace"] = "10/min"
    async with started(given, clock=clock, transport=transport) as courier:
        cpu = time.process_time()
        tickets = []
        for number in range(tenants * each):
            it = evidence(f"t{number % tenants}", f"ev-{number}", content=b"a document")
            tickets.append(courier.submit(it))
        await until_settled(courier, clock, *tickets)
        cpu = time.process_time() - cpu
    # Ten leave at once, and the last one a whole number of minutes later.
    usual = (each - 1) // 10 * 60
    shares = [usual / (times[-1] - times[0]) for times in transport.times.values()]
    assert len(shares) == tenants
    busy = cpu / (each / 10)
    return {"slowest / pace": min(shares), "fastest / pace": max(shares), "CPU s a minute": busy}


CASES: dict[str, Case] = {
    "import": imported,
    "start-one": start_one,
    "start-many": start_many,
    "submit": submit_nothing,
    "burst": burst,
    "crowd": partial(burst, tenants=MANY, uploads=30_000),
    "memory": peak,
    "waiting": waiting,
    "rendering": rendering,
    "pdf": pdf,
    "pdf-lag": pdf_lag,
    "pace": paced,
    "pace-10": partial(paced, tenants=10, each=300),
    "pace-10000": partial(paced, tenants=MANY, each=20),
}
BARS = [
    Bar("import, ms", "import ms", "import", most=20),
    Bar("a courier of one tenant, CPU ms", "CPU ms", "start-one", most=80),
    Bar("10,000 tenants, CPU s", "CPU s", "start-many", most=2.5),
    Bar("submit without an integration, ns over a call", "ns more than a call", "submit", most=300),
    Bar("submit in a burst, p99 us", "submit p99 us", "burst", most=50),
    Bar("the longest block in it, ms", "block ms", "burst", most=20),
    Bar("by the processor, ms", "block CPU ms", "burst", most=20),
    Bar("the longest block with 10,000 tenants, ms", "block ms", "crowd", most=30),
    Bar("by the processor, ms", "block CPU ms", "crowd", most=30),
    Bar("10,000 x 30 kB: peak MiB", "peak MiB", "memory", most=100),
    Bar("each of 100,000 that wait, B", "B each", "waiting", most=250),
    Bar("PDF on the way / rendering alone", "uploads/s", "pdf", "rendering", least=0.85),
    Bar("CPU of an upload with its PDF, us", "CPU us", "pdf", most=10_000),
    Bar("the loop's lag beside it, p99 ms", "lag p99 ms", "pdf-lag", most=10),
    Bar("the slowest of 1,000 tenants / its pace", "slowest / pace", "pace", least=0.95),
    Bar("the fastest of 1,000 tenants / its pace", "fastest / pace", "pace", most=1.05),
]


if __name__ == "__main__":
    main(__doc__, CASES, BARS, unasked=("pace-10", "pace-10000"))
