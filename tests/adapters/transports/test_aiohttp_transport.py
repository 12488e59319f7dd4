"""What the aiohttp transport does beyond what every transport does: it can be cancelled. And how
the requests at once are bounded before it."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from itertools import count
from typing import Any, TypeAlias

import pytest
from aiohttp.client_proto import ResponseHandler
from requests_out import AT, OK, post, route, run, turns
from requests_out import aiohttp_transport as transport

from evidence_courier.adapters.engines.connection_limit import ConnectionLimit
from evidence_courier.adapters.transports import tls
from evidence_courier.adapters.transports.aiohttp_transport import AiohttpTransport
from evidence_courier.adapters.transports.on_demand import TransportOnDemand
from evidence_courier.adapters.transports.outgoing import KEEPALIVE
from evidence_courier.domain.integration import Route
from evidence_courier.domain.upload.failure import FailureKind
from evidence_courier.ports.dialogue import Ending, HttpRequest, HttpResponse, TransportFailure
from evidence_courier.ports.transport import CutOff

Send: TypeAlias = Callable[
    [HttpRequest, Route], Coroutine[Any, Any, HttpResponse | TransportFailure]
]


@asynccontextmanager
async def bounded(places: int) -> AsyncIterator[Send]:
    """Sends as a courier does: each request, here of a lane of its own, waits for a place."""
    limit, lanes = ConnectionLimit(places), count()

    async def send(request: HttpRequest, way: Route) -> HttpResponse | TransportFailure:
        async with limit.taken((next(lanes),)):
            return await courier.send(request, way)

    async with transport() as courier:
        yield send


def test_an_idle_connection_is_closed_soon(serving: Any) -> None:
    async def story() -> None:
        hung_up = asyncio.Event()

        async def talk(line: Any) -> None:
            await line.request()
            await line.say(OK)
            assert await line.gone() == b""
            hung_up.set()

        assert KEEPALIVE == 2.0
        courier = AiohttpTransport(now=lambda: AT, keepalive=0.05)
        async with serving(talk) as server:
            assert isinstance(await courier.send(post(server.url), route()), HttpResponse)
            await asyncio.wait_for(hung_up.wait(), 5)
        await courier.close()

    run(story())


def test_no_more_requests_are_under_way_than_the_bound_allows(serving: Any) -> None:
    async def story() -> None:
        under_way, most = 0, 0
        all_in = asyncio.Event()

        async def talk(line: Any) -> None:
            nonlocal under_way, most
            while True:
                await line.request()
                under_way += 1
                most = max(most, under_way)
                if most == 3:
                    all_in.set()
                await all_in.wait()
                under_way -= 1
                await line.say(OK)

        async with serving(talk) as server, bounded(3) as send:
            replies = await asyncio.gather(*(send(post(server.url), route()) for _ in range(12)))
            assert all(isinstance(reply, HttpResponse) for reply in replies)
            assert most == 3
            assert len(server.lines) <= 3

    run(story())


def test_waiting_for_a_place_does_not_count_as_time_of_the_request(serving: Any) -> None:
    async def story() -> None:
        let_go = asyncio.Event()

        async def talk(line: Any) -> None:
            await line.request()
            await let_go.wait()
            await line.say(OK)

        async with serving(talk) as server, bounded(1) as send:
            first = asyncio.create_task(send(post(server.url), route()))
            second = asyncio.create_task(
                send(post(server.url), route(connect=0.1, idle=0.1, total=0.1))
            )
            done, _ = await asyncio.wait({first, second}, timeout=0.25)
            assert not done
            let_go.set()
            assert isinstance(await first, HttpResponse)
            assert isinstance(await second, HttpResponse)

    run(story())


@pytest.mark.parametrize(("reads", "not_sent"), [(False, True), (True, False)])
def test_a_cancelled_request_says_whether_it_was_sent(
    serving: Any, reads: bool, not_sent: bool
) -> None:
    async def story() -> None:
        arrived = asyncio.Event()

        async def talk(line: Any) -> None:
            if reads:
                await line.request()
            arrived.set()
            await line.silence()

        async with serving(talk) as server, bounded(1) as send:
            task = asyncio.create_task(send(post(server.url, (b"x" * 30_000_000,)), route()))
            await arrived.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError) as cancelled:
                await task
            cut = cancelled.value.__cause__
            assert isinstance(cut, CutOff)
            assert cut.not_sent is not_sent

    run(story())


@pytest.mark.parametrize("method", ["POST", "DELETE"])
@pytest.mark.parametrize("by_proxy", [True, False])
def test_a_request_without_a_body_cancelled_while_it_connects_was_not_sent(
    serving: Any, by_proxy: bool, method: str
) -> None:
    async def story() -> None:
        arrived = asyncio.Event()

        async def talk(line: Any) -> None:  # a tunnel is never opened, TLS never agreed on
            if by_proxy:
                await line.request()
            arrived.set()
            await line.silence()

        async with serving(talk) as server, bounded(1) as send:
            url = "https://paper.test/" if by_proxy else server.url.replace("http:", "https:")
            proxy = server.url if by_proxy else None
            task = asyncio.create_task(send(HttpRequest(method, url), route(proxy=proxy)))
            await arrived.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError) as cancelled:
                await task
            cut = cancelled.value.__cause__
            assert isinstance(cut, CutOff)
            assert cut.not_sent

    run(story())


def test_nor_was_one_that_is_cancelled_while_authorities_are_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def read_authorities(ca_bundle: str | None) -> ssl.SSLContext:
        begun.set()
        assert go_on.wait(30)
        return ssl.create_default_context()

    monkeypatch.setattr(tls, "tls_context", read_authorities)

    async def story() -> None:
        async with transport() as courier:
            sending = asyncio.create_task(courier.send(post("https://paper.test/"), route()))
            assert await asyncio.to_thread(begun.wait, 30)
            sending.cancel()
            with pytest.raises(asyncio.CancelledError) as cancelled:
                await sending
            go_on.set()
        cut = cancelled.value.__cause__
        assert isinstance(cut, CutOff)
        assert cut.not_sent

    run(story())


def test_nor_was_one_that_is_cancelled_before_the_transport_is_made() -> None:
    async def story() -> None:
        later = TransportOnDemand(asyncio.get_running_loop().create_future)
        sending = asyncio.ensure_future(later.send(post("https://paper.test/"), route()))
        await asyncio.sleep(0)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError) as cancelled:
            await sending
        cut = cancelled.value.__cause__
        assert isinstance(cut, CutOff)
        assert cut.not_sent

    run(story())


def test_a_cancelled_request_gives_its_place_back_and_hangs_up(serving: Any) -> None:
    async def story() -> None:
        arrived = asyncio.Event()

        async def talk(line: Any) -> None:
            await line.request()
            if not arrived.is_set():
                arrived.set()
                await line.gone()
            await line.say(OK)

        async with serving(talk) as server, bounded(1) as send:
            task = asyncio.create_task(send(post(server.url), route()))
            await arrived.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert isinstance(await send(post(server.url), route()), HttpResponse)

    run(story())


@pytest.mark.parametrize(
    ("method", "size", "by_session"),
    [("POST", 30_000, False), ("POST", 100_000, True), ("PUT", 30_000, True), ("GET", 0, True)],
)
def test_a_small_document_goes_without_aiohttps_session(
    serving: Any, method: str, size: int, by_session: bool
) -> None:
    class Watched(AiohttpTransport):
        asked = False

        async def _by_session(self, session: Any, leaving: Any, to: Any) -> HttpResponse:
            self.asked = True
            return await super()._by_session(session, leaving, to)

    async def story() -> None:
        async def talk(line: Any) -> None:
            await line.request()
            await line.say(OK)

        courier = Watched(now=lambda: AT)
        async with serving(talk) as server:
            request = HttpRequest(method, server.url, (), (b"x" * size,) if size else ())
            assert isinstance(await courier.send(request, route()), HttpResponse)
        await courier.close()
        assert courier.asked is by_session

    run(story())


def test_a_close_while_a_body_is_read_ends_the_request(serving: Any) -> None:
    async def story() -> None:
        begun = asyncio.Event()

        async def talk(line: Any) -> None:
            await line.request()
            await line.say(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{}")
            begun.set()
            await line.silence()

        courier = AiohttpTransport(now=lambda: AT)
        async with serving(talk) as server:
            sending = asyncio.ensure_future(courier.send(post(server.url), route()))
            await begun.wait()
            await turns()
            await courier.close()
            answer = await asyncio.wait_for(sending, 5)
        assert isinstance(answer, HttpResponse)
        assert (answer.status, answer.ending) == (200, Ending.CUT_SHORT)

    run(story())


def test_a_server_that_hangs_up_and_does_not_read_is_not_waited_for() -> None:
    async def story() -> None:
        loop = asyncio.get_running_loop()
        with socket.socket() as listening:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            listening.bind(("127.0.0.1", 0))
            listening.listen()
            listening.setblocking(False)
            courier = AiohttpTransport(now=lambda: AT)
            request = HttpRequest(
                "POST", f"http://127.0.0.1:{listening.getsockname()[1]}/", (), (b"x" * 60_000,)
            )
            small_buffers(courier)
            sending = asyncio.ensure_future(courier.send(request, route(idle=60, total=60)))
            line, _ = await loop.sock_accept(listening)
            await loop.sock_recv(line, 1)
            line.shutdown(socket.SHUT_WR)
            answer = await asyncio.wait_for(sending, 10)
            line.close()
            await courier.close()
        assert isinstance(answer, TransportFailure)
        assert answer.kind is FailureKind.CONNECTION_LOST

    run(story())


def small_buffers(courier: AiohttpTransport) -> None:
    """Have less of a request on its way than a connection would take at once."""

    def made(address: Any) -> socket.socket:
        made = socket.socket(address[0], address[1], address[2])
        made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        return made

    setattr(courier._open_session().connector, "_socket_factory", made)  # noqa: B010


def test_the_session_sends_on_connections_that_do_not_read_heads_first(serving: Any) -> None:
    async def story() -> None:
        async def talk(line: Any) -> None:
            await line.request()
            await line.say(OK)

        courier = AiohttpTransport(now=lambda: AT)
        factory = partial(ResponseHandler, loop=asyncio.get_running_loop())
        setattr(courier._open_session().connector, "_factory", factory)  # noqa: B010
        async with serving(talk) as server:
            assert isinstance(await courier.send(post(server.url), route()), HttpResponse)
        await courier.close()

    run(story())
