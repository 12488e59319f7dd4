"""What `--listen` answers: however many ask, and whatever they send or do not send."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, cast

import pytest
from aiohttp import web

from evidence_courier import AsyncCourier, StoreError
from evidence_courier.bootstrap.cli import probes as probing
from evidence_courier.bootstrap.cli.probes import Probes, listening
from evidence_courier.testing import RecordingLogger

REQUEST = cast(web.Request, None)


class HangingDatabase:
    """The part of a courier that gives its numbers, with a database that has not answered yet."""

    def __init__(self) -> None:
        self._wiring = self
        self.logger = RecordingLogger()
        self.looked = 0
        self.answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def health(self) -> Any:
        self.looked += 1
        return await asyncio.shield(self.answer)

    counts = health


def test_however_many_ask_for_metrics_it_looks_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing, "SCRAPE_PATIENCE", 0.01)

    async def story() -> None:
        database = HangingDatabase()
        probes = Probes(cast(AsyncCourier, database))
        probes.state = ""
        for _ in range(2):
            replies = await asyncio.gather(*(probes.metrics(REQUEST) for _ in range(50)))
            assert {reply.status for reply in replies} == {503}
            assert replies[0].text == "the database has not answered for 0.01 seconds\n"
        assert database.looked == 1
        database.answer.set_exception(StoreError("courier.db: not read: it is locked"))
        for _ in range(20):
            reply = await probes.metrics(REQUEST)
            assert (reply.status, reply.text) == (503, "courier.db: not read: it is locked\n")
        assert database.looked == 1  # for a second
        monkeypatch.setattr(probing, "FRESH", 0.0)
        probes._numbers._stale_at = 0.0
        await probes.metrics(REQUEST)
        await probes.metrics(REQUEST)
        assert database.looked == 3

    asyncio.run(story())


# --- connections ---------------------------------------------------------------------------------


def while_listening(story: Callable[[int], Coroutine[Any, Any, None]]) -> None:
    async def listen() -> None:
        courier = cast(AsyncCourier, HangingDatabase())
        async with listening("127.0.0.1:0", Probes(courier)) as url, asyncio.timeout(20):
            await story(int(url.rpartition(":")[2]))
            while OPEN:
                OPEN.pop().close()

    asyncio.run(listen())


async def sent(port: int, text: str) -> asyncio.StreamReader:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(text.encode())
    await writer.drain()
    OPEN.append(writer)
    return reader


OPEN: list[asyncio.StreamWriter] = []
"""So that no connection is closed by the client."""
ALIVE = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize("text", ["", "GET /healthz HTT", "GET /healthz HTTP/1.1\r\nX-A: "])
def test_a_client_that_sends_no_request_is_hung_up_on(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setattr(probing, "LIFE", 0.05)

    async def story(port: int) -> None:
        assert await (await sent(port, text)).read() == b""

    while_listening(story)


def test_a_connection_is_for_one_request() -> None:
    async def story(port: int) -> None:
        assert (await (await sent(port, ALIVE)).read()).endswith(b"alive\n")

    while_listening(story)


def test_many_that_are_silent_keep_no_probe_from_its_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(probing, "CONNECTIONS", 3)

    async def story(port: int) -> None:
        silent = [await sent(port, "") for _ in range(6)]
        assert (await (await sent(port, ALIVE)).read()).endswith(b"alive\n")
        for reader in silent[:4]:
            assert await reader.read() == b""

    while_listening(story)
