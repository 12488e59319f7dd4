"""Servers on the loopback interface that say exactly the bytes a test wants, and nothing else."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import TypeAlias

import pytest
from attrs import define, field
from requests_out import Opening, aiohttp_transport, httpcore_transport, turns


@define
class Line:
    """One connection, from the server's side."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def head(self) -> bytes:
        """A request's line and headers."""
        return await self.reader.readuntil(b"\r\n\r\n")

    async def request(self) -> tuple[bytes, bytes]:
        """A whole request: head and body."""
        head = await self.head()
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        return head, await self.reader.readexactly(int(length or b"0"))

    async def say(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()

    def reset(self) -> None:
        """Break the connection off, as a crash does: the other side sees a reset, not an end."""
        line: socket.socket = self.writer.get_extra_info("socket")
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def silence(self) -> None:
        """Say nothing more, until the test is over."""
        await asyncio.get_running_loop().create_future()

    async def gone(self) -> bytes:
        """What the client still sends, up to where it hangs up."""
        try:
            return await self.reader.read(-1)
        except ConnectionError:
            return b""


Talk: TypeAlias = Callable[[Line], Awaitable[None]]


@define
class Server:
    """Answers each connection as `talk` says; `lines` are all connections that were made."""

    talk: Talk
    lines: list[Line] = field(factory=list)
    port: int = 0
    scheme: str = "http"
    _talks: set[asyncio.Task[None]] = field(factory=set)

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}/dev-api/graphql"

    def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = Line(reader, writer)
        self.lines.append(line)
        self._talks.add(asyncio.ensure_future(self._talk(line)))

    async def over(self) -> None:
        """End all that is still being said."""
        for talk in self._talks:
            talk.cancel()
        ends = await asyncio.gather(*self._talks, return_exceptions=True)
        for line in self.lines:
            # one that waits for a polite end, or to be read, waits no more
            line.writer.transport.abort()
        await turns()
        for ended in ends:
            if isinstance(ended, Exception):
                raise ended

    async def _talk(self, line: Line) -> None:
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                await self.talk(line)
        finally:
            line.writer.close()
            with suppress(ConnectionError, ssl.SSLError):
                await line.writer.wait_closed()


Serving: TypeAlias = Callable[..., AbstractAsyncContextManager[Server]]


@pytest.fixture
def serving() -> Serving:
    """``async with serving(talk) as server`` runs a server for the time of the block."""

    @asynccontextmanager
    async def serve(talk: Talk, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
        server = Server(talk, scheme="https" if tls else "http")
        listening = await asyncio.start_server(server.answer, "127.0.0.1", 0, ssl=tls)
        server.port = listening.sockets[0].getsockname()[1]
        try:
            yield server
        finally:
            # a client in a thread may have come and gone without this side having seen it
            await turns()
            listening.close()
            await server.over()
            await listening.wait_closed()

    return serve


@pytest.fixture(params=[aiohttp_transport, httpcore_transport], ids=["aiohttp", "httpcore"])
def transport(request: pytest.FixtureRequest) -> Opening:
    """``async with transport() as courier`` opens one of the two transports: what is promised,
    both must keep."""
    opening: Opening = request.param
    return opening


@pytest.fixture
def certificate() -> str:
    """A certificate for 127.0.0.1 with its key, signed by nobody; made for these tests, good
    until 2100."""
    return str(Path(__file__).with_name("loopback.pem"))


@pytest.fixture
def closed_port() -> int:
    """A port at which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
