"""A transport that is made in a thread while its courier starts.

To import aiohttp takes longer than all else that a start does, and would hold the event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from ...domain.integration import Route
from ...ports.dialogue import HttpRequest, HttpResponse, TransportFailure
from ...ports.transport import AsyncTransport


class TransportOnDemand:
    """Sends by the transport that `made` will be; the first requests may have to wait for it."""

    def __init__(self, made: asyncio.Future[AsyncTransport]) -> None:
        self._made = made

    def send(
        self, request: HttpRequest, route: Route
    ) -> Coroutine[Any, Any, HttpResponse | TransportFailure]:
        if self._made.done():
            return self._made.result().send(request, route)
        return self._send_later(request, route)

    async def _send_later(
        self, request: HttpRequest, route: Route
    ) -> HttpResponse | TransportFailure:
        return await (await asyncio.shield(self._made)).send(request, route)

    async def close(self) -> None:
        await (await self._made).close()
