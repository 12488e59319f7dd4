"""The transport without a network."""

from __future__ import annotations

import asyncio
from itertools import repeat

import pytest

from evidence_courier.domain.integration import Route
from evidence_courier.domain.upload.failure import FailureKind
from evidence_courier.ports.dialogue import HttpRequest, TransportFailure
from evidence_courier.ports.transport import AsyncTransport
from evidence_courier.testing.scripted_transport import ScriptedTransport, reply

REQUEST = HttpRequest("GET", "https://api.example/", (("api-key", "sk-0123456789"),))


def test_it_answers_in_order_and_remembers_what_it_was_asked() -> None:
    async def story() -> None:
        lost = TransportFailure(FailureKind.CONNECTION_LOST, "gone")
        script = ScriptedTransport([reply(503, b"busy", ("Retry-After", "5")), lost])
        transport: AsyncTransport = script
        route = Route(proxy="http://proxy.example:3128")
        answers = [await transport.send(REQUEST, route), await transport.send(REQUEST, Route())]
        assert answers == [reply(503, b"busy", ("Retry-After", "5")), lost]
        assert script.requests == [REQUEST, REQUEST]
        assert script.routes == [route, Route()]
        assert not script.closed
        await transport.close()
        assert script.closed

    asyncio.run(story())


def test_a_script_may_never_end() -> None:
    async def story() -> None:
        script = ScriptedTransport(repeat(reply(200)))
        assert [await script.send(REQUEST, Route()) for _ in range(3)] == [reply(200)] * 3

    asyncio.run(story())


def test_a_function_answers_each_request_by_itself() -> None:
    async def story() -> None:
        script = ScriptedTransport(lambda request: reply(200, request.method.encode()))
        other = HttpRequest("POST", "https://api.example/")
        for request in (other, REQUEST, other):
            assert await script.send(request, Route()) == reply(200, request.method.encode())
        assert script.requests == [other, REQUEST, other]

    asyncio.run(story())


def test_beyond_its_end_it_names_the_request_without_its_key() -> None:
    with pytest.raises(AssertionError, match="no answer number 1, for HttpRequest") as raised:
        asyncio.run(ScriptedTransport([]).send(REQUEST, Route()))
    assert "sk-0123456789" not in str(raised.value)
