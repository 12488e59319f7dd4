"""Sends a small request to a server, without a proxy, on a connection of aiohttp's.

aiohttp's session does much that no upload needs: cookies, redirects, forms, traces, a task that
writes. Here all that is to be sent is written at once, and aiohttp's parser reads the reply. For
that aiohttp has no public place: if it ceases to have this one, its session sends the request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from ssl import SSLContext
from typing import Any, TypeAlias

import aiohttp
from attrs import define, field
from yarl import URL

from ...ports.dialogue import Ending, Headers, HttpRequest, HttpResponse
from .aiohttp_reply import Connector, Handler, heard_of, read
from .outgoing import Sent, lacks
from .ready_body import ReadyBody
from .reply_head import HEAD_LIMIT, Whole

MOST_BYTES = 64 * 1024
"""How many bytes of a body a connection takes without a wait for the server."""

_PLACES = 64
_READING = {
    "read_until_eof": True,
    "auto_decompress": False,
    **dict.fromkeys(("max_line_size", "max_field_size", "max_headers"), HEAD_LIMIT),
}

Tls: TypeAlias = SSLContext | bool


@define(eq=False)
class Leaving:
    """A request on its way out, and where it goes. `sent`, or the `body` if it has one of
    aiohttp's, says how much of it may have left."""

    request: HttpRequest
    headers: Headers
    url: URL
    tls: Tls
    timeout: aiohttp.ClientTimeout
    sent: Sent = Sent.NOTHING
    body: ReadyBody | None = None


@define(eq=False)
class Direct:
    """Sends on one event loop; `now` stamps the replies."""

    connector: Connector
    now: Callable[[], datetime]
    _places: dict[tuple[URL, Tls], aiohttp.ClientRequest] = field(factory=dict, init=False)

    def takes(self, request: HttpRequest) -> bool:
        """Whether it may send such a request: another is sent again by aiohttp's session if the
        server has just closed the connection, or is waited for while it leaves."""
        return request.method.upper() in ("POST", "PATCH") and request.body_size <= MOST_BYTES

    async def send(self, leaving: Leaving) -> HttpResponse | None:
        """The reply; None if nothing was sent, as aiohttp cannot be used so."""
        deadline = asyncio.get_running_loop().time() + (leaving.timeout.total or 0)
        try:
            place = self._place(leaving.url, leaving.tls)
            connection = await self._connection(place, leaving.timeout)
        except (AttributeError, TypeError):
            return None
        protocol = connection.protocol
        if not isinstance(protocol, Handler):
            connection.release()
            return None
        is_whole = False
        try:
            protocol.expect(deadline, leaving.timeout.sock_read, **_READING)
            transport = protocol.transport
            if transport is None or transport.is_closing():
                raise aiohttp.ClientConnectionResetError
            transport.write(_bytes_of(leaving, place))
            leaving.sent = Sent.ALL
            protocol.start_timeout()
            message: Any
            try:
                message, payload = await protocol.read()
            except Exception as error:
                raise heard_of(protocol.head, error) from error
            if isinstance(message, Whole):
                received, content, ending = message.headers, message.body, Ending.COMPLETE
            else:
                received = tuple(message.headers.items())
                content, ending = await read(payload)
            # What the server did not want to read would be read as the next request.
            is_whole = payload.is_eof() and not transport.get_write_buffer_size()
            return HttpResponse(message.code, received, content, self.now(), ending)
        finally:
            if is_whole:
                connection.release()
            else:
                connection.close()

    def _place(self, url: URL, tls: Tls) -> aiohttp.ClientRequest:
        """What aiohttp's connector is asked with."""
        place = self._places.get((url, tls))
        if place is None:
            if len(self._places) >= _PLACES:
                self._places.clear()
            loop = asyncio.get_running_loop()
            place = self._places[url, tls] = aiohttp.ClientRequest("POST", url, loop=loop, ssl=tls)
        return place

    async def _connection(
        self, place: aiohttp.ClientRequest, timeout: aiohttp.ClientTimeout
    ) -> Any:
        total, most = timeout.total or 0, timeout.connect or 0
        try:
            if total >= most:
                return await self.connector.connect(place, [], timeout)
            async with asyncio.timeout(total):
                return await self.connector.connect(place, [], timeout)
        except TimeoutError as error:
            raise (error if total < most else aiohttp.ConnectionTimeoutError()) from error


def _bytes_of(leaving: Leaving, place: aiohttp.ClientRequest) -> bytes:
    lines = [f"{leaving.request.method.upper()} {place.url.raw_path_qs} HTTP/1.1"]
    if lacks(leaving.request, "Host"):
        lines.append(f"Host: {place.headers['Host']}")
    lines += [f"{name}: {text}" for name, text in leaving.headers]
    return b"".join(("\r\n".join([*lines, "", ""]).encode(), *leaving.request.body))
