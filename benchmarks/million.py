"""What a million uploads with four million attempts cost those who read them and work on them.

    python benchmarks/million.py reads DATABASE [--json]
    python benchmarks/million.py inspect DATABASE [--json]

Databases are made by `grow.py`; `reads` may be given a PostgreSQL's DSN, into which `copy` has
taken one over. Cold: the file is not in the system's cache and the connection is new, as for the
first question after a restart; a PostgreSQL is asked warm only.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import quantiles
from typing import TypeAlias

from measuring import Bar, machine, show

from evidence_courier.adapters.stores.databases import is_postgres, open_for_reading
from evidence_courier.adapters.stores.sql.reader import SqlReader
from evidence_courier.adapters.stores.sqlite.inspection import inspect
from evidence_courier.adapters.stores.sqlite.readers import SqliteReaders
from evidence_courier.domain.health import OPEN
from evidence_courier.domain.upload.find import Find
from evidence_courier.domain.upload.upload import Status

Question: TypeAlias = Callable[[SqlReader, random.Random], object]

BARS = [
    Bar("the slowest question, ms", "p50", "the slowest", most=2),
    Bar("one in a hundred", "p99", "the slowest", most=10),
    Bar("the slowest question when it is cold, ms", "cold p50", "the slowest", most=2),
    Bar("`invariants`, s", "s", "invariants", most=30),
]
WARM, COLD = 300, 15
NOW = datetime.now(UTC)


def ids(chosen: random.Random, low: int, high: int) -> list[str]:
    """A hundred evidences of t0."""
    return [f"ev-{4 * chosen.randint(low // 4 + 1, high // 4 - 1):08d}" for _ in range(100)]


def find(**given: object) -> Question:
    """A page, by these filters."""
    return lambda reader, chosen: reader.find(Find(**given), NOW)  # type: ignore[arg-type]


def next_page(reader: SqlReader, chosen: random.Random) -> object:
    """The page after a page that begins anywhere."""
    since = NOW - timedelta(days=chosen.randint(2, 99))
    statuses = chosen.choice([(), [Status.SUCCEEDED], [Status.FAILED]])
    page = reader.find(Find(statuses=statuses, since=since, limit=1), NOW)
    return reader.find(Find(statuses=statuses, after=page.next_page), NOW)


def questions(last_settled: int, last: int) -> Iterator[tuple[str, Question]]:
    """What is asked, by name."""
    yield "statuses", lambda r, c: r.statuses("t0", ids(c, 0, last_settled), NOW)
    yield "statuses, in a line", lambda r, c: r.statuses("t0", ids(c, last_settled, last), NOW)
    yield "show", lambda r, c: r.show("t0", ids(c, 0, last_settled)[0], NOW)
    yield "show, in a line", lambda r, c: r.show("t0", ids(c, last_settled, last)[0], NOW)
    yield "counts", lambda r, _: r.counts()
    yield (
        "counts of what is open",
        lambda r, _: r.counts((Status.PENDING, Status.RETRYING), without_parked=True),
    )
    yield "find", find()
    yield "find tenant", find(tenant_id="t7")
    yield "find open", find(statuses=OPEN)
    yield "find provider", find(provider="sprinto")
    yield "find error", find(kind="server_error")
    yield "find id prefix", find(id_prefix="ev-00000")
    yield "counted since", lambda r, _: r.counted(Find(since=NOW - timedelta(days=50)))
    yield "health", lambda r, _: r.health(NOW)
    yield "find tenant in a line", find(tenant_id="t0")
    for status in (Status.PENDING, Status.SUCCEEDED, Status.FAILED, Status.HELD, Status.SKIPPED):
        yield f"find {status.value}", find(statuses=[status])
        yield f"find tenant {status.value}", find(tenant_id="t0", statuses=[status])
    yield "find since", find(since=NOW - timedelta(days=50))
    yield (
        "find tenant failed since",
        find(tenant_id="t7", statuses=[Status.FAILED], since=NOW - timedelta(days=50)),
    )
    yield "find after", next_page


def forget(path: Path) -> None:
    """Have the system forget what it has read of the file."""
    for name in (path, Path(f"{path}-wal")):
        if name.exists():
            descriptor = os.open(name, os.O_RDONLY)
            os.fdatasync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)


def remember(path: Path) -> None:
    """Have the system read the whole file."""
    with path.open("rb", buffering=0) as file:
        while file.read(2**24):
            pass


def timed(question: Question, reader: SqlReader, chosen: random.Random) -> tuple[float, float]:
    """Milliseconds, and those of the processor."""
    began, cpu = time.perf_counter(), time.thread_time()
    question(reader, chosen)
    return (time.perf_counter() - began) * 1e3, (time.thread_time() - cpu) * 1e3


def reader_of(database: str) -> AbstractContextManager[SqlReader]:
    """A reader with connections of its own."""
    if is_postgres(database):
        return open_for_reading(database)
    return closing(SqlReader(SqliteReaders(database, 10.0)))


def reads(database: str) -> dict[str, dict[str, float]]:
    """The milliseconds of each question."""
    with reader_of(database) as reader:
        counted = reader.counts()
        last = sum(counted.values())
        last_settled = last - counted[Status.PENDING] - counted[Status.RETRYING]
    asked = [*questions(last_settled, last)]
    told: dict[str, dict[str, float]] = {name: {} for name, _ in asked}
    if not is_postgres(database):
        for name, question in asked:
            told[name] = cold(database, question)
        remember(Path(database))
    for name, question in asked:
        chosen = random.Random(1)
        with reader_of(database) as reader:
            timed(question, reader, chosen)
            warm, cpu = zip(*(timed(question, reader, chosen) for _ in range(WARM)), strict=True)
        told[name] |= {"p50": middle(warm), "p99": late(warm)}
        told[name] |= {"CPU p50": middle(cpu), "CPU p99": late(cpu)}
    keys = next(iter(told.values()))
    return told | {"the slowest": {key: max(cost[key] for cost in told.values()) for key in keys}}


def cold(database: str, question: Question) -> dict[str, float]:
    """The milliseconds of a question after the system has forgotten the file."""
    chosen, found = random.Random(1), []
    for _ in range(COLD):
        forget(Path(database))
        with reader_of(database) as reader:
            found.append(timed(question, reader, chosen)[0])
    return {"cold p50": middle(found), "cold p99": late(found)}


def middle(times: Sequence[float]) -> float:
    """The median."""
    return quantiles(times, n=2)[0]


def late(times: Sequence[float]) -> float:
    """What one in a hundred exceeds."""
    return quantiles(times, n=100, method="inclusive")[98]


def inspection(database: str) -> dict[str, dict[str, float]]:
    """The seconds of `invariants`."""
    began, cpu = time.perf_counter(), time.process_time()
    found = inspect(database)
    assert not found.breaches, found.breaches[:5]
    seconds = {"s": time.perf_counter() - began, "CPU s": time.process_time() - cpu}
    return {"invariants": seconds | {"uploads": found.uploads, "attempts": found.attempts}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["reads", "inspect"])
    parser.add_argument("database")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    told = {"reads": reads, "inspect": inspection}[asked.what](asked.database)
    if asked.json:
        print(json.dumps({"machine": machine(), "costs": told}))
    else:
        show(machine(), told, BARS)


if __name__ == "__main__":
    main()
