"""A transport of the host's own, as an event loop uses it."""

from __future__ import annotations

from attrs import frozen

from ..adapters.engines.watchdog import About, Watchdog
from ..domain.integration import Route
from ..ports.dialogue import HttpRequest, HttpResponse, TransportFailure
from ..ports.transport import AsyncTransport

_ABOUT: About = None, None, "the host's transport"


@frozen(eq=False)
class HostTransport:
    """`AsyncTransport` over a host's: if it keeps the loop's thread, it is named."""

    _transport: AsyncTransport
    _watchdog: Watchdog

    async def send(self, request: HttpRequest, route: Route) -> HttpResponse | TransportFailure:
        """As in `AsyncTransport`."""
        sent = self._watchdog.run(_ABOUT, lambda to: self._transport.send(request, to), route)
        return await self._watchdog.awaited(_ABOUT, sent)

    async def close(self) -> None:
        """As in `AsyncTransport`."""
        await self._watchdog.awaited(_ABOUT, self._transport.close())
