"""One request to a sandbox, and every way of answering it: whole, in halves, byte by byte, or not
at all.

The faults are written with these few verbs. `take` hands the request to the provider's own code, so
that an upload is kept; `ignore` reads it to its end and keeps nothing. Whatever is held open here
ends at once when the sandbox stops.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Mapping
from typing import Protocol

from aiohttp import web

from .replies import Reply

# SO_LINGER on, with zero seconds: closing sends a reset instead of a polite end
_NO_LINGER = struct.pack("ii", 1, 0)


class Api(Protocol):
    """The provider behind the sandbox."""

    async def take(self, request: web.Request) -> Reply:
        """Serve the request as the provider would, and keep an upload that is in order."""
        ...

    def restate(self, reply: Reply, word: str) -> Reply:
        """The reply with its status word replaced by `word`."""
        ...


class HeldLines:
    """Requests that are deliberately left without an answer, until their client or the sandbox
    gives up."""

    def __init__(self) -> None:
        self.total = 0
        self._changed = asyncio.Condition()
        self._stopping = asyncio.Event()

    async def hold(self) -> None:
        """Wait until the sandbox stops."""
        async with self._changed:
            self.total += 1
            self._changed.notify_all()
        await self._stopping.wait()

    async def pause(self, seconds: float) -> None:
        """Wait, but raise ConnectionResetError as soon as the sandbox stops."""
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return
        raise ConnectionResetError("the sandbox stops")

    async def reached(self, count: int) -> None:
        """Wait until `count` requests in all have been left in silence."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.total >= count)

    def release(self) -> None:
        """Let everything go that is held or paused, now and from now on."""
        self._stopping.set()


class Exchange:
    """A request on its connection, as a fault sees it."""

    def __init__(self, request: web.Request, api: Api, held: HeldLines) -> None:
        self._request = request
        self._api = api
        self._held = held

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers of the request, the key included."""
        return self._request.headers

    async def take(self) -> Reply:
        """Let the provider's own code serve the request; what it answers is returned, not sent."""
        reply = await self._api.take(self._request)
        await self.ignore()  # a refusal may have left some of the body unread
        return reply

    async def ignore(self) -> None:
        """Read what is left of the request, so that its client has sent all of it, and keep
        nothing."""
        async for _ in self._request.content.iter_any():
            pass

    def restate(self, reply: Reply, word: str) -> Reply:
        """The reply with its status word replaced by `word`."""
        return self._api.restate(reply, word)

    async def send(self, reply: Reply) -> web.StreamResponse:
        """Answer as one should."""
        return web.Response(status=reply.status, body=reply.body, headers=reply.headers)

    async def send_part(self, reply: Reply, length: int) -> web.StreamResponse:
        """Promise the whole body, send its first `length` bytes, and close the connection."""
        response = await self._begin(reply)
        await response.write(reply.body[:length])
        if self._request.transport is not None:
            self._request.transport.close()
        return response

    async def trickle(self, reply: Reply, delay: float) -> web.StreamResponse:
        """Send the body byte by byte with `delay` seconds after each."""
        response = await self._begin(reply)
        for position in range(len(reply.body)):
            await response.write(reply.body[position : position + 1])
            await self._held.pause(delay)
        return response

    async def hang(self) -> web.StreamResponse:
        """Answer nothing until the client hangs up or the sandbox stops."""
        await self._held.hold()
        return self.reset()

    def reset(self) -> web.StreamResponse:
        """Drop the line with a TCP reset."""
        transport = self._request.transport
        if transport is not None:
            line = transport.get_extra_info("socket")
            if line is not None:
                line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            transport.abort()
        return web.Response()  # never sent: the line is gone

    async def _begin(self, reply: Reply) -> web.StreamResponse:
        response = web.StreamResponse(status=reply.status, headers=reply.headers)
        response.content_length = len(reply.body)
        await response.prepare(self._request)
        return response
