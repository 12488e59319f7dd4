"""Servers that talk for ever, before a reply, in its head or behind it: the time or the size
runs out, and little memory is used."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta

import pytest

from evidence_courier.adapters.transports.aiohttp_transport import AiohttpTransport
from evidence_courier.domain.integration import Route, Timeouts
from evidence_courier.domain.upload.failure import FailureKind
from evidence_courier.ports.dialogue import Ending, HttpRequest, HttpResponse, TransportFailure

AT = datetime(2026, 2, 21, 10, 0, tzinfo=UTC)
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
ROUTE = Route(Timeouts(timedelta(seconds=5), timedelta(seconds=5), timedelta(seconds=0.3)))
LONG = Route(Timeouts(timedelta(seconds=25), timedelta(seconds=25), timedelta(seconds=25)))
PLENTY = 24 * 1024 * 1024


@asynccontextmanager
async def talking(head: bytes, endless: bytes) -> AsyncIterator[int]:
    """A server that says `head` and then `endless`, over and over, until the other side hangs
    up; its port."""
    talks: set[asyncio.Task[None]] = set()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(2)
            writer.write(head)
            while True:
                writer.write(endless)
                await writer.drain()
                await asyncio.sleep(0)

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talks.add(asyncio.ensure_future(talk(reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in talks:
            task.cancel()
        await asyncio.gather(*talks, return_exceptions=True)


async def asked(
    head: bytes, endless: bytes, route: Route = ROUTE
) -> tuple[HttpResponse | TransportFailure, int]:
    """What one request to such a server comes to, and the most memory that was used for it."""
    transport = AiohttpTransport(now=lambda: AT)
    async with talking(head, endless) as port:
        tracemalloc.start()
        try:
            request = HttpRequest("POST", f"http://127.0.0.1:{port}/", (), (b"{}",))
            async with asyncio.timeout(30):
                return await transport.send(request, route), tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
            await transport.close()


@pytest.mark.parametrize(
    ("head", "endless"),
    [
        (b"HTTP/1.1 200 ", b"O" * 1_000),
        (OK, b"X-Header: one of many\r\n" * 50),
        (OK, b"X-Header: " + b"long" * 1_000 + b"\r\n"),
        (OK + b"X-Header: ", b"without an end" * 100),
        (OK + b"X-Header: folded\r\n", b" and folded\r\n" * 50),
    ],
    ids=["reason", "headers", "long headers", "one header", "folded header"],
)
def test_a_head_without_end_is_not_http(head: bytes, endless: bytes) -> None:
    answer, used = asyncio.run(asked(head, endless, LONG))
    assert isinstance(answer, TransportFailure)
    assert answer.kind is FailureKind.CONNECTION_LOST
    assert used < PLENTY


def test_interim_replies_without_end_are_a_timeout() -> None:
    answer, used = asyncio.run(asked(b"", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"))
    assert isinstance(answer, TransportFailure)
    assert answer.kind is FailureKind.TIMEOUT
    assert used < PLENTY


@pytest.mark.parametrize(
    ("head", "endless"),
    [
        (CHUNKED, b"1\r\na\r\n"),
        (CHUNKED, b"0" * 200),
        (CHUNKED + b"1;", b"extension=1;" * 50),
    ],
    ids=["tiny chunks", "a size of zeros", "an extension"],
)
def test_a_body_that_never_gets_anywhere_is_cut_short(head: bytes, endless: bytes) -> None:
    answer, used = asyncio.run(asked(head, endless))
    assert isinstance(answer, HttpResponse)
    assert answer.ending in (Ending.CUT_SHORT, Ending.TOO_LONG)
    assert used < PLENTY


def test_trailers_without_end_are_no_whole_reply() -> None:
    answer, used = asyncio.run(
        asked(CHUNKED + b"2\r\n{}\r\n0\r\n", b"X-Trailer: one of many\r\n" * 50)
    )
    # Whether its head has been read before its end is found to be none is a matter of luck.
    assert isinstance(answer, TransportFailure) or answer.ending is Ending.CUT_SHORT
    assert used < PLENTY


def test_a_body_that_says_it_is_an_exabyte_is_read_as_far_as_the_limit() -> None:
    answer, used = asyncio.run(
        asked(OK + b"Content-Length: 1152921504606846976\r\n\r\n", b"x" * 65_536)
    )
    assert isinstance(answer, HttpResponse)
    assert (answer.ending, len(answer.body)) == (Ending.TOO_LONG, 1024 * 1024)
    assert used < PLENTY
