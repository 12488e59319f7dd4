"""What a host brings that hangs: what it keeps waiting, and what is counted."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial

import pytest
from attrs import define, field

from evidence_courier.adapters.engines import readers as readers_module
from evidence_courier.adapters.engines.readers import (
    CROWD,
    READERS,
    READERS_OF_TENANT,
    SLOW_READERS,
    Readers,
    Reading,
    settle,
)
from evidence_courier.delivery.effects import ReadDocument
from evidence_courier.domain.upload.failure import Failure, FailureKind
from evidence_courier.domain.upload.verdict import Deferred, Verdict
from evidence_courier.ports.logger import LogEvent, ReaderLost

LATE = Deferred(Failure(FailureKind.SOURCE_UNAVAILABLE, "late"))


def judge(read: object) -> bytes | Verdict:
    return read if isinstance(read, bytes) else LATE


def wanted(tenant_id: str, seconds: float = 60.0) -> ReadDocument:
    return ReadDocument(tenant_id, "key", timedelta(seconds=seconds), judge)


@define
class Source:
    """Hangs for tenants whose name begins with h, until it is mended."""

    mended: threading.Event = field(factory=threading.Event)
    hung: int = 0

    def read(self, tenant_id: str, key: str) -> bytes:
        if tenant_id.startswith("h"):
            self.hung += 1
            self.mended.wait(60)
        return tenant_id.encode()


def reading(readers: Readers, document: ReadDocument) -> asyncio.Future[bytes | Verdict]:
    answer: asyncio.Future[bytes | Verdict] = asyncio.get_running_loop().create_future()
    readers.read(document, partial(settle, answer))
    return answer


async def all_back(readers: Readers) -> None:
    """The last of them may still be on their way."""
    async with asyncio.timeout(10):
        while readers.lost:
            await asyncio.sleep(0)
    assert not readers._lost  # pyright: ignore[reportPrivateUsage]


def test_a_tenant_has_few_readers_and_keeps_no_other_waiting() -> None:
    source, events = Source(), list[LogEvent]()

    async def scenario(readers: Readers) -> None:
        late = [reading(readers, wanted("h", 0.05)) for _ in range(20)]
        hung = asyncio.gather(*late)
        assert await reading(readers, wanted("good")) == b"good"
        assert await hung == [LATE] * 20
        assert source.hung == READERS_OF_TENANT
        assert readers.lost == READERS_OF_TENANT
        assert events == [
            ReaderLost("h", "the document source", 0.05, number)
            for number in range(1, READERS_OF_TENANT + 1)
        ]
        assert await reading(readers, wanted("h", 0.05)) == LATE
        assert source.hung == READERS_OF_TENANT
        source.mended.set()
        assert await reading(readers, wanted("h")) == b"h"
        await all_back(readers)

    with ThreadPoolExecutor(READERS) as threads:
        asyncio.run(scenario(Readers(threads, events.append, source)))


def test_readers_never_exceed_their_bound_and_all_come_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(readers_module, "SLOW_READERS", 8)
    source, events = Source(), list[LogEvent]()

    async def scenario(readers: Readers) -> None:
        tenants = [f"h{number}" for number in range(40) for _ in range(2)]
        reads = [reading(readers, wanted(tenant, 0.05)) for tenant in tenants]
        assert await asyncio.gather(*reads) == [LATE] * 80
        assert source.hung == readers.lost == READERS + 8
        source.mended.set()
        reads = [reading(readers, wanted(tenant)) for tenant in tenants]
        assert await asyncio.gather(*reads) == [tenant.encode() for tenant in tenants]
        await all_back(readers)

    with ThreadPoolExecutor(READERS + 8) as threads:
        asyncio.run(scenario(Readers(threads, events.append, source)))


def test_tenants_that_hang_leave_their_places_long_before_they_are_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(readers_module, "SLOW", 0.05)
    source, events = Source(), list[LogEvent]()

    async def scenario(readers: Readers) -> None:
        tenants = [f"h{number}" for number in range(40) for _ in range(6)]
        hung = [reading(readers, wanted(tenant)) for tenant in tenants]
        assert await asyncio.wait_for(reading(readers, wanted("good")), 10) == b"good"
        while source.hung < 40 * READERS_OF_TENANT:
            await asyncio.sleep(0)
        assert await asyncio.wait_for(reading(readers, wanted("good")), 10) == b"good"
        assert source.hung == 40 * READERS_OF_TENANT  # the last quarter is another's
        assert readers.lost == 0
        source.mended.set()
        assert await asyncio.gather(*hung) == [tenant.encode() for tenant in tenants]

    with ThreadPoolExecutor(READERS + SLOW_READERS) as threads:
        asyncio.run(scenario(Readers(threads, events.append, source)))
    assert events == []


def test_of_many_tenants_that_hang_each_takes_few_and_others_have_a_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """More of them than fill the bound with all their readers."""
    monkeypatch.setattr(readers_module, "SLOW", 0.05)
    source = Source()

    async def scenario(readers: Readers) -> None:
        tenants = [f"h{number}" for number in range(120) for _ in range(4)]
        hung = [reading(readers, wanted(tenant)) for tenant in tenants]
        while source.hung < 120 + 8:
            await asyncio.sleep(0.01)
        for _ in range(20):
            await asyncio.sleep(0.05)
            assert await asyncio.wait_for(reading(readers, wanted("good")), 1) == b"good"
        assert CROWD <= source.hung <= CROWD + READERS
        source.mended.set()
        assert await asyncio.gather(*hung) == [tenant.encode() for tenant in tenants]

    with ThreadPoolExecutor(READERS + SLOW_READERS) as threads:
        asyncio.run(scenario(Readers(threads, list[LogEvent]().append, source)))


def test_a_thread_is_waited_for_while_the_others_of_the_tenant_work() -> None:
    done, events = threading.Event(), list[LogEvent]()

    async def scenario(readers: Readers) -> None:
        slow = Reading("slow", "the renderer", 60)
        runs = [asyncio.create_task(readers.run(slow, done.wait)) for _ in range(4)]
        await asyncio.sleep(0)
        next_one = asyncio.create_task(readers.run(Reading("slow", "the file", 0.2), done.wait))
        await asyncio.wait([next_one], timeout=0.5)
        assert not next_one.done()
        done.set()
        assert await asyncio.gather(*runs, next_one) == [True] * 5

    with ThreadPoolExecutor(READERS) as threads:
        asyncio.run(scenario(Readers(threads, events.append)))
    assert events == []


@define
class StallingTime:
    """A clock that has threads wait when they look at it after what they ran."""

    looks: int = 0
    goes_on: threading.Event = field(factory=threading.Event)

    def monotonic(self) -> float:
        if threading.current_thread() is not threading.main_thread():
            self.looks += 1
            if self.looks == 3:
                self.goes_on.wait(60)
        return time.monotonic()


def test_what_has_ended_is_not_called_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    stalling, slow = StallingTime(), list[str]()
    monkeypatch.setattr(readers_module, "time", stalling)

    async def scenario(readers: Readers) -> None:
        file = Reading("acme", "the file", 0.1)
        assert await readers.run(file, lambda: "read", on_slow=lambda: slow.append("file"))
        while not readers.lost:
            await asyncio.sleep(0)
        stalling.goes_on.set()
        await all_back(readers)

    with ThreadPoolExecutor(READERS) as threads:
        asyncio.run(scenario(Readers(threads, list[LogEvent]().append)))
    assert slow == []


def test_who_wants_no_wait_hears_at_once_that_all_threads_are_lost() -> None:
    source, events = Source(), list[LogEvent]()

    async def scenario(readers: Readers) -> None:
        hung = [reading(readers, wanted("h", 0.05)) for _ in range(READERS_OF_TENANT)]
        assert await asyncio.gather(*hung) == [LATE] * READERS_OF_TENANT
        with pytest.raises(TimeoutError, match="the file did not answer"):
            await readers.run(Reading("h", "the file", 3_600), source.mended.wait, at_once=True)
        source.mended.set()
        await all_back(readers)
        assert await reading(readers, wanted("h")) == b"h"

    with ThreadPoolExecutor(READERS) as threads:
        asyncio.run(scenario(Readers(threads, events.append, source)))


def test_what_is_read_beside_anothers_hanging_file_comes_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(readers_module, "QUICK", 10.0)
    monkeypatch.setattr(readers_module, "LOOK_AFTER", 10.0)
    source, threads = Source(), set[int]()

    def note(read: object) -> bytes | Verdict:
        threads.add(threading.get_ident())
        return judge(read)

    async def scenario(readers: Readers) -> None:
        tenants = [f"t{number}" for number in range(8)]
        wants = [ReadDocument(one, "key", timedelta(seconds=60), note) for one in tenants]
        await reading(readers, wants[0])
        await asyncio.gather(*[reading(readers, one) for one in wants])
        await asyncio.sleep(0)
        threads.clear()
        await asyncio.gather(*[reading(readers, one) for one in wants])
        assert len(threads) == 1  # it is quick: one thread for all tenants
        hung = [reading(readers, wanted("h", 0.2)) for _ in range(READERS_OF_TENANT)]
        others = [reading(readers, one) for one in wants]
        names = [name.encode() for name in tenants]
        assert await asyncio.wait_for(asyncio.gather(*others), 10) == names
        assert await asyncio.gather(*hung) == [LATE] * READERS_OF_TENANT
        assert readers.lost == READERS_OF_TENANT
        assert await reading(readers, wanted("h", 0.05)) == LATE  # they are all its tenant's
        assert source.hung == READERS_OF_TENANT
        source.mended.set()
        await all_back(readers)

    with ThreadPoolExecutor(READERS) as pool:
        asyncio.run(scenario(Readers(pool, list[LogEvent]().append, source)))
