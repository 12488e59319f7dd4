"""Our transports keep the contract for transports, and the scripted one keeps what of it needs
no network."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from bridged import BridgedTransport

from evidence_courier.adapters.transports.aiohttp_transport import AiohttpTransport
from evidence_courier.adapters.transports.httpcore_transport import HttpcoreTransport
from evidence_courier.ports.transport import AsyncTransport, BlockingTransport
from evidence_courier.testing import ScriptedTransport
from evidence_courier.testing.contracts import BlockingTransportContract, TransportContract

AT = datetime(2026, 2, 21, 10, 0, tzinfo=UTC)


class TestAiohttpTransport(TransportContract):
    def transport(self) -> AsyncTransport:
        return AiohttpTransport(now=lambda: AT)


class TestAiohttpTransportOfAnotherAiohttp(TransportContract):
    """Its session sends what its connections cannot be had for."""

    def transport(self) -> AsyncTransport:
        transport = AiohttpTransport(now=lambda: AT)
        opened = transport._open_session().connector
        assert opened is not None
        connect = opened.connect

        async def in_words(req: Any, *, traces: Any, timeout: Any) -> Any:
            return await connect(req, traces, timeout)

        setattr(opened, "connect", in_words)  # noqa: B010
        return transport


class TestHttpcoreTransport(BlockingTransportContract):
    def transport(self) -> BlockingTransport:
        return HttpcoreTransport(now=lambda: AT)


class TestATransportBehindABridge(BlockingTransportContract):
    """So the broken ones behind such a bridge are found for what is broken, and not for the
    bridge."""

    def transport(self) -> BlockingTransport:
        return BridgedTransport(lambda: AiohttpTransport(now=lambda: AT))


def test_the_scripted_transport_keeps_what_needs_no_network() -> None:
    class Kit(TransportContract):
        def transport(self) -> AsyncTransport:
            return ScriptedTransport([])

    Kit().test_it_may_be_closed_twice()
