"""A transport that is made in a thread once its courier has started.

To import aiohttp takes longer than all else that a start does, and would hold the event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from ...domain.integration import Route
from ...ports.dialogue import HttpRequest, HttpResponse, TransportFailure
from ...ports.transport import AsyncTransport
from .failures import nothing_sent


class TransportOnDemand:
    """Sends by the transport that `make` makes; the first requests may have to wait for it."""

    def __init__(self, make: Callable[[], asyncio.Future[AsyncTransport]]) -> None:
        self._make = make
        self._made: asyncio.Future[AsyncTransport] | None = None

    def begin(self) -> asyncio.Future[AsyncTransport]:
        """Have it made, unless it is already."""
        if self._made is None:
            self._made = self._make()
        return self._made

    def send(
        self, request: HttpRequest, route: Route
    ) -> Coroutine[Any, Any, HttpResponse | TransportFailure]:
        made = self.begin()
        return (
            made.result().send(request, route) if made.done() else self._send_later(request, route)
        )

    async def _send_later(
        self, request: HttpRequest, route: Route
    ) -> HttpResponse | TransportFailure:
        try:
            made = await asyncio.shield(self.begin())
        except asyncio.CancelledError as error:
            raise error from nothing_sent(request)
        return await made.send(request, route)

    async def close(self) -> None:
        if self._made is not None:
            await (await self._made).close()
