"""What the tests of the transports send, how they send it, and a blocking transport as a test on
an event loop uses it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

from attrs import frozen

from evidence_courier.adapters.transports.aiohttp_transport import AiohttpTransport
from evidence_courier.adapters.transports.httpcore_transport import HttpcoreTransport
from evidence_courier.domain.integration import Route, Timeouts
from evidence_courier.ports.dialogue import HttpRequest, HttpResponse, TransportFailure
from evidence_courier.ports.transport import AsyncTransport, BlockingTransport

AT = datetime(2026, 2, 21, 10, 0, tzinfo=UTC)
SMALL = (b"--b\r\n", b"x" * 30_000, b"\r\n--b--\r\n")
BIG = (b"--b\r\n", bytes(range(256)) * 32_768, b"\r\n--b--\r\n")
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"

Opening: TypeAlias = Callable[[], AbstractAsyncContextManager[AsyncTransport]]


def run(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(story)


async def turns() -> None:
    """Let the event loop go round a few times, so that what was written is read at the other
    end."""
    for _ in range(10):
        await asyncio.sleep(0)


def route(*, connect: float = 5.0, idle: float = 5.0, total: float = 10.0, **more: Any) -> Route:
    seconds = [timedelta(seconds=value) for value in (connect, idle, total)]
    return Route(Timeouts(*seconds), **more)


def post(url: str, body: tuple[bytes, ...] = SMALL, *headers: tuple[str, str]) -> HttpRequest:
    return HttpRequest("POST", url, (("api-key", "sk-acme-0123456789"), *headers), body)


@asynccontextmanager
async def aiohttp_transport() -> AsyncIterator[AiohttpTransport]:
    courier = AiohttpTransport(now=lambda: AT)
    try:
        yield courier
    finally:
        await courier.close()


@frozen
class InThreads:
    """A blocking transport, each of whose requests is made in a thread."""

    transport: BlockingTransport

    async def send(self, request: HttpRequest, route: Route) -> HttpResponse | TransportFailure:
        return await asyncio.to_thread(self.transport.send, request, route)

    async def close(self) -> None:
        await asyncio.to_thread(self.transport.close)


@asynccontextmanager
async def httpcore_transport() -> AsyncIterator[AsyncTransport]:
    courier = InThreads(HttpcoreTransport(now=lambda: AT))
    try:
        yield courier
    finally:
        await courier.close()


async def sent_to(
    transport: Opening,
    serving: Any,
    talk: Any,
    body: tuple[bytes, ...] = SMALL,
    way: Route | None = None,
) -> Any:
    """What one POST to a server that talks like that came to."""
    async with serving(talk) as server, transport() as courier:
        return await courier.send(post(server.url, body), way or route())
