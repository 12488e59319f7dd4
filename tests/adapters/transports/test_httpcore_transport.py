"""What the httpcore transport must get right because it blocks: threads, interruptions, and the
state of its connections."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from typing import Any, TypeAlias

import httpcore
import pytest
from requests_out import AT, BIG, OK, SMALL, post, route

from evidence_courier.adapters.transports import tls
from evidence_courier.adapters.transports.httpcore_stream import Course, Stream, is_foreign
from evidence_courier.adapters.transports.httpcore_transport import HttpcoreTransport
from evidence_courier.adapters.transports.outgoing import KEEPALIVE, Late, Sent
from evidence_courier.domain.integration import Timeouts
from evidence_courier.domain.upload.failure import FailureKind
from evidence_courier.ports.dialogue import HttpRequest, HttpResponse, TransportFailure
from evidence_courier.ports.transport import CutOff

InThread: TypeAlias = Callable[[Any], AbstractContextManager[Any]]


@pytest.fixture
def served(serving: Any) -> InThread:
    """``with served(talk) as server`` runs a server on a loop and a thread of its own, so that
    the test may block."""

    @contextmanager
    def serve(talk: Any) -> Iterator[Any]:
        started: Future[tuple[Any, asyncio.AbstractEventLoop, asyncio.Event]] = Future()

        async def story() -> None:
            over = asyncio.Event()
            async with serving(talk) as server:
                started.set_result((server, asyncio.get_running_loop(), over))
                await over.wait()

        thread = threading.Thread(target=lambda: asyncio.run(story()))
        thread.start()
        server, loop, over = started.result(5)
        try:
            yield server
        finally:
            loop.call_soon_threadsafe(over.set)
            thread.join()

    return serve


@pytest.fixture
def courier() -> Iterator[HttpcoreTransport]:
    opened = HttpcoreTransport(now=lambda: AT)
    yield opened
    opened.close()


async def answering(line: Any) -> None:
    """The talk of a server that does all right."""
    while True:
        await line.request()
        await line.say(OK)


class SoftTimeLimitExceeded(Exception):
    """What a task queue raises in the middle of whatever its worker does."""


@contextmanager
def interrupted(by: BaseException, after: float = 0.1) -> Iterator[None]:
    """Raise an exception in this thread, whatever it waits for, as a task queue's time limit
    does."""

    def strike(_signal: int, _frame: object) -> None:
        raise by

    before = signal.signal(signal.SIGALRM, strike)
    signal.setitimer(signal.ITIMER_REAL, after)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


# -- threads and connections
# ----------------------------------------------------------------------------------------


def test_threads_send_at_once_and_share_the_connections_afterwards(
    served: InThread, courier: HttpcoreTransport
) -> None:
    met = asyncio.Barrier(8)

    async def talk(line: Any) -> None:
        await line.request()
        await met.wait()
        await line.say(OK)
        await answering(line)

    with served(talk) as server, ThreadPoolExecutor(8) as threads:
        for _ in range(2):
            replies = list(threads.map(lambda _: courier.send(post(server.url), route()), range(8)))
            assert all(isinstance(reply, HttpResponse) for reply in replies)
        assert len(server.lines) == 8


def test_an_idle_connection_is_closed_and_not_used_again_after_its_time(served: InThread) -> None:
    assert KEEPALIVE == 2.0
    hung_up = threading.Event()

    async def talk(line: Any) -> None:
        await line.request()
        await line.say(OK)
        assert await line.gone() == b""
        hung_up.set()

    courier = HttpcoreTransport(now=lambda: AT, keepalive=0.0)
    with served(talk) as server:
        for _ in range(2):
            assert isinstance(courier.send(post(server.url), route()), HttpResponse)
        assert hung_up.wait(5)
        assert len(server.lines) == 2
        courier.close()


def test_each_address_of_a_name_is_tried(
    served: InThread, courier: HttpcoreTransport, closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(answering) as server:
        kind = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
        addresses = [(*kind, ("127.0.0.1", port)) for port in (closed_port, server.port)]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_more: addresses)
        assert isinstance(courier.send(post("http://sprinto.invalid/"), route()), HttpResponse)
        addresses.pop()
        failure = courier.send(post("http://sprinto.invalid:81/"), route())
        assert failure == TransportFailure(
            FailureKind.NO_CONNECTION, "could not connect to sprinto.invalid:81: Connection refused"
        )


def test_a_name_that_cannot_be_resolved_is_no_connection(
    courier: HttpcoreTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_args: object, **_more: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "sk-secret")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert courier.send(post("https://app.sprinto.com/"), route()) == TransportFailure(
        FailureKind.NO_CONNECTION, "the name of app.sprinto.com could not be resolved"
    )


# -- interruptions
# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "by",
    [SoftTimeLimitExceeded(), KeyboardInterrupt(), SystemExit(1), TimeoutError("a time limit")],
    ids=repr,
)
def test_an_interruption_after_the_request_says_it_may_have_been_taken(
    served: InThread, courier: HttpcoreTransport, by: BaseException
) -> None:
    async def talk(line: Any) -> None:
        await line.request()
        if len(server.lines) == 1:
            assert await line.gone() == b""  # it hangs up
            gone.set()
        else:
            await line.say(OK)

    gone = threading.Event()
    with served(talk) as server:
        with interrupted(by), pytest.raises(CutOff) as cut:
            courier.send(post(server.url), route())
        assert cut.value.__cause__ is by
        assert cut.value.failure.kind is FailureKind.CONNECTION_LOST
        assert gone.wait(5)
        assert isinstance(courier.send(post(server.url), route()), HttpResponse)


@pytest.mark.parametrize("by", [SoftTimeLimitExceeded(), TimeoutError("a time limit")], ids=repr)
def test_an_interruption_before_the_whole_request_says_it_was_not_sent(
    served: InThread, courier: HttpcoreTransport, by: BaseException
) -> None:
    async def talk(line: Any) -> None:
        line.writer.transport.pause_reading()
        await line.silence()

    with served(talk) as server, interrupted(by), pytest.raises(CutOff) as cut:
        courier.send(post(server.url, BIG), route())
    assert cut.value.__cause__ is by
    assert cut.value.failure.kind is FailureKind.NOT_SENT


def test_an_interruption_while_it_connects_says_it_was_not_sent(
    served: InThread, courier: HttpcoreTransport
) -> None:
    """Without a body, too: a request leaves with its head then."""

    async def talk(line: Any) -> None:  # of a proxy, which never opens the tunnel
        await line.request()
        os.kill(os.getpid(), signal.SIGALRM)
        await line.silence()

    by = SoftTimeLimitExceeded()
    with served(talk) as server, interrupted(by, after=60), pytest.raises(CutOff) as cut:
        courier.send(HttpRequest("POST", "https://paper.test/"), route(proxy=server.url))
    assert cut.value.__cause__ is by
    assert cut.value.not_sent


@pytest.mark.parametrize(
    "by", [SoftTimeLimitExceeded(), KeyboardInterrupt(), TimeoutError("a time limit")], ids=repr
)
def test_an_interruption_while_it_is_made_ready_says_it_was_not_sent(
    courier: HttpcoreTransport, monkeypatch: pytest.MonkeyPatch, by: BaseException
) -> None:
    def read_authorities(ca_bundle: str | None) -> ssl.SSLContext:
        raise by

    monkeypatch.setattr(tls, "tls_context", read_authorities)
    with pytest.raises(CutOff) as cut:
        courier.send(post("https://paper.test/"), route())
    assert cut.value.__cause__ is by
    assert cut.value.not_sent


def test_an_interruption_while_reading_is_not_taken_for_a_cut_reply(
    served: InThread, courier: HttpcoreTransport
) -> None:
    async def talk(line: Any) -> None:
        await line.request()
        await line.say(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}")
        await line.silence()

    by = TimeoutError("a time limit")
    with served(talk) as server, interrupted(by), pytest.raises(CutOff) as cut:
        courier.send(post(server.url, SMALL), route())
    assert cut.value.__cause__ is by


@pytest.mark.parametrize(
    "error",
    [
        ConnectionResetError(errno.ECONNRESET, "x"),
        TimeoutError(errno.ETIMEDOUT, "x"),
        ssl.SSLError("x"),
        socket.gaierror(socket.EAI_AGAIN, "x"),
        httpcore.ReadTimeout(TimeoutError("x")),
        httpcore.WriteError("x"),
        httpcore.RemoteProtocolError("x"),
        httpcore.ProxyError("407 x"),
    ],
    ids=repr,
)
def test_the_networks_own_troubles_are_not_foreign(error: Exception) -> None:
    assert not is_foreign(error)


class OnSocket(httpcore.NetworkStream):
    """A connection that is there already."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def get_extra_info(self, info: str) -> Any:
        return self._sock if info == "socket" else None

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._sock.settimeout(timeout)
        try:
            self._sock.sendall(buffer)
        except TimeoutError as error:
            raise httpcore.WriteTimeout(error) from error

    def close(self) -> None:
        self._sock.close()


def stuck(timeouts: Timeouts) -> tuple[Stream, Course, socket.socket]:
    """A connection whose peer does not read, a request on it, and the peer."""
    ours, theirs = socket.socketpair()
    course = Course(post("http://sprinto.invalid/"), timeouts, sent=Sent.ALL, connected=True)
    return Stream(OnSocket(ours), set()), course, theirs


def test_what_the_connection_did_not_take_of_the_last_piece_was_not_sent() -> None:
    stream, course, peer = stuck(Timeouts(total=timedelta(seconds=0.1)))
    with peer, pytest.raises(httpcore.TimeoutException):
        stream.write(b"x" * 5_000_000, course)
    assert course.sent is Sent.PART
    assert course.late is Late.TOTAL
    stream.close()


def test_of_the_last_piece_an_interruption_says_more_and_never_less() -> None:
    stream, course, peer = stuck(Timeouts())
    with peer, interrupted(SoftTimeLimitExceeded()), pytest.raises(SoftTimeLimitExceeded):
        stream.write(b"x" * 5_000_000, course)
    assert course.sent is Sent.ALL
    stream.close()
