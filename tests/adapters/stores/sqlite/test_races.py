"""One evidence makes one upload, whoever asks for it, how often, and from how many places."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from threading import Barrier

from attrs import evolve

from evidence_courier.adapters.stores.sqlite import SqliteStore
from evidence_courier.adapters.stores.writer import WriterThread
from evidence_courier.domain.upload.find import Find
from evidence_courier.ports.records import Added, Begun, Conflict, Known
from evidence_courier.testing.contracts.stored import AT, entry, started

MANY = 64


def test_of_many_tasks_that_add_one_key_only_one_adds_it(sqlite: SqliteStore) -> None:
    async def race() -> Counter[type]:
        writer = WriterThread(sqlite)
        try:
            added = await asyncio.gather(*(writer.add([entry()]) for _ in range(MANY)))
        finally:
            writer.close()
        return Counter(type(answer) for (answer,) in added)

    assert asyncio.run(race()) == {Added: 1, Known: MANY - 1}


def test_of_many_threads_on_one_store_only_one_adds_a_key(
    sqlite: SqliteStore,
) -> None:
    start = Barrier(MANY)

    def add(_: int) -> type:
        start.wait()
        return type(sqlite.add([entry()])[0])

    with ThreadPoolExecutor(MANY) as threads:
        assert Counter(threads.map(add, range(MANY))) == {Added: 1, Known: MANY - 1}


def test_of_many_stores_on_one_file_only_one_adds_a_key(database: str) -> None:
    with ExitStack() as stack:
        stores = [stack.enter_context(closing(SqliteStore(database))) for _ in range(8)]
        start = Barrier(8)

        def add(store: SqliteStore) -> list[type]:
            start.wait()
            return [type(store.add([entry()])[0]) for _ in range(8)]

        with ThreadPoolExecutor(8) as threads:
            told = Counter(kind for kinds in threads.map(add, stores) for kind in kinds)
    assert told == {Added: 1, Known: MANY - 1}


def test_of_two_couriers_that_begin_the_same_attempt_one_is_refused(database: str) -> None:
    new = entry()
    with closing(SqliteStore(database)) as one, closing(SqliteStore(database)) as other:
        one.add([new])
        begin = started(new.upload)
        assert one.begin([[begin]]) == [[Begun(new.content)]]
        assert other.begin([[begin]]) == [[Conflict(begin.upload)]]


def test_a_number_that_is_another_uploads_now_writes_nothing_to_it(sqlite: SqliteStore) -> None:
    """A record may be removed, and its number is given out again."""
    mine, another = entry(), entry("another")
    (added,) = sqlite.add([another])
    assert isinstance(added, Added) and added.id is not None
    stale = evolve(started(mine.upload), upload=evolve(started(mine.upload).upload, id=added.id))
    assert sqlite.begin([[stale]]) == [[Conflict(None)]]
    (found,) = sqlite.get([another.upload.key]).values()
    assert (found.upload, found.upload.id) == (another.upload, added.id)


RACER = """
import sys
from evidence_courier.adapters.stores.sqlite import SqliteStore
from evidence_courier.ports.records import Added
from evidence_courier.testing.contracts.stored import entry

store = SqliteStore(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
added = sum(answer == Added() for n in range(32) for answer in store.add([entry(f"ev-{n}", content=None)]))
store.close()
print(added, flush=True)
"""


def test_of_two_processes_that_add_the_same_keys_each_key_is_added_by_one(database: str) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, database],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        for _ in range(2)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    added = [int(process.communicate(timeout=60)[0]) for process in processes]
    assert sum(added) == 32
    with closing(SqliteStore(database)) as store:
        assert len(store.find(Find(), AT).uploads) == 32
