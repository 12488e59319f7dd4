"""A transport that is made in a thread while its courier starts.

To import aiohttp takes longer than all else that a start does, and would hold the event loop.
"""

from __future__ import annotations

import asyncio

from ...domain.integration import Route
from ...ports.dialogue import HttpRequest, HttpResponse, TransportFailure
from ...ports.transport import AsyncTransport


class TransportOnDemand:
    """Sends by the transport that `made` will be; the first requests may have to wait for it."""

    def __init__(self, made: asyncio.Future[AsyncTransport]) -> None:
        self._made = made

    async def send(self, request: HttpRequest, route: Route) -> HttpResponse | TransportFailure:
        transport = self._made.result() if self._made.done() else await asyncio.shield(self._made)
        return await transport.send(request, route)

    async def close(self) -> None:
        await (await self._made).close()
