"""Runs a provider's dialogue as the two drivers do, without an upload and without a store."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast

from attrs import frozen

from evidence_courier.adapters.engines.asyncio_driver import AsyncioDriver, Outside
from evidence_courier.adapters.engines.blocking_driver import (
    BlockingDriver,
    BlockingOutside,
    Worker,
)
from evidence_courier.adapters.engines.connection_limit import ConnectionLimit
from evidence_courier.adapters.engines.notify import HookNotifier, Notifier
from evidence_courier.adapters.engines.readers import Readers
from evidence_courier.adapters.engines.token_cache import BlockingTokenCache, TokenCache
from evidence_courier.delivery.destinations import Destination
from evidence_courier.delivery.effects import Turn
from evidence_courier.delivery.sender import Sender, run_dialogue
from evidence_courier.delivery.slots import Slots
from evidence_courier.domain.integration import Integration, Route
from evidence_courier.domain.pacing.gate import Quota
from evidence_courier.domain.upload.transitions import Rules
from evidence_courier.ports.dialogue import Dialogue, HttpRequest, HttpResponse, TransportFailure
from evidence_courier.ports.transport import AsyncTransport
from evidence_courier.testing import FakeClock, RecordingLogger
from evidence_courier.testing.inline_writer import InlineWriter
from evidence_courier.testing.memory_store import MemoryStore

T = TypeVar("T")
Reply = HttpResponse | TransportFailure


async def run(
    dialogue: Dialogue[T],
    *,
    send: Callable[[HttpRequest], Awaitable[Reply]],
    bookmark: Callable[[str], None] | None = None,
    tokens: TokenCache | None = None,
) -> T:
    """The dialogue's result. Without `bookmark`, it must make none."""
    clock = FakeClock()
    driver = driver_of(_AsyncTransport(send), clock, tokens)
    return await driver.run(run_dialogue(dialogue, _sender(bookmark, clock)))


def driver_of(
    transport: AsyncTransport, clock: FakeClock, tokens: TokenCache | None = None
) -> AsyncioDriver:
    """A driver on a store in memory."""
    store, notifier = MemoryStore(), HookNotifier(RecordingLogger())
    readers = Readers(None, notifier.log)
    tokens = tokens or TokenCache(lambda: 0.0)
    outside = Outside(transport, ConnectionLimit(8), tokens, readers, cast(Any, None))
    return AsyncioDriver(outside, store, InlineWriter(store), None, clock, notifier)


def run_blocking(
    dialogue: Dialogue[T],
    *,
    send: Callable[[HttpRequest], Reply],
    bookmark: Callable[[str], None] | None = None,
    tokens: BlockingTokenCache | None = None,
) -> T:
    """The same in a thread."""
    clock = FakeClock()
    outside = BlockingOutside(
        _BlockingTransport(send), tokens or BlockingTokenCache(lambda: 0.0), None, cast(Any, None)
    )
    worker = Worker(
        outside, MemoryStore(), clock, clock.advance, threading.RLock(), lambda: None,
        Notifier(RecordingLogger()),
    )  # fmt: skip
    return BlockingDriver(worker).run(run_dialogue(dialogue, _sender(bookmark, clock)))


def _sender(bookmark: Callable[[str], None] | None, clock: FakeClock) -> Sender:
    def commit(progress: str) -> Turn[None]:
        assert bookmark is not None, f"there is nothing half-done to remember, not {progress!r}"
        bookmark(progress)
        yield from ()

    quota = Quota("a credential", "an address")
    integration = Integration("acme", "a provider", None)
    destination = Destination(integration, cast(Any, None), Rules(), quota)
    return Sender(destination, Slots(quota, 1, clock), commit)


@frozen
class _AsyncTransport:
    respond: Callable[[HttpRequest], Awaitable[Reply]]

    async def send(self, request: HttpRequest, route: Route) -> Reply:
        return await self.respond(request)

    async def close(self) -> None: ...


@frozen
class _BlockingTransport:
    respond: Callable[[HttpRequest], Reply]

    def send(self, request: HttpRequest, route: Route) -> Reply:
        return self.respond(request)

    def close(self) -> None: ...
