"""A document source that hangs: what it keeps waiting, and what is counted."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from attrs import define, field

from evidence_courier.adapters.engines.source_readers import (
    READERS,
    READERS_OF_TENANT,
    SourceReaders,
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


async def all_back(readers: SourceReaders) -> None:
    """The last of them may still be on their way."""
    async with asyncio.timeout(10):
        while readers.lost:
            await asyncio.sleep(0)


def test_a_tenant_has_few_readers_and_keeps_no_other_waiting() -> None:
    source, events = Source(), list[LogEvent]()

    async def scenario(readers: SourceReaders) -> None:
        late = [readers.read(wanted("h", 0.05), events.append) for _ in range(20)]
        hung = asyncio.gather(*late)
        assert await readers.read(wanted("good"), events.append) == b"good"
        assert await hung == [LATE] * 20
        assert source.hung == READERS_OF_TENANT
        assert readers.lost == READERS_OF_TENANT
        assert events == [
            ReaderLost("h", 0.05, number) for number in range(1, READERS_OF_TENANT + 1)
        ]
        assert await readers.read(wanted("h", 0.05), events.append) == LATE
        assert source.hung == READERS_OF_TENANT
        source.mended.set()
        assert await readers.read(wanted("h"), events.append) == b"h"
        await all_back(readers)

    with ThreadPoolExecutor(READERS) as threads:
        asyncio.run(scenario(SourceReaders(source, threads)))


def test_there_are_never_more_readers_than_the_bound_and_all_come_back() -> None:
    source, events = Source(), list[LogEvent]()

    async def scenario(readers: SourceReaders) -> None:
        tenants = [f"h{number}" for number in range(40) for _ in range(2)]
        reads = [readers.read(wanted(tenant, 0.05), events.append) for tenant in tenants]
        assert await asyncio.gather(*reads) == [LATE] * 80
        assert source.hung == readers.lost == READERS
        source.mended.set()
        reads = [readers.read(wanted(tenant), events.append) for tenant in tenants]
        assert await asyncio.gather(*reads) == [tenant.encode() for tenant in tenants]
        await all_back(readers)

    with ThreadPoolExecutor(READERS) as threads:
        asyncio.run(scenario(SourceReaders(source, threads)))
