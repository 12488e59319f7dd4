"""What `--listen` answers: however many ask, and whatever they send or do not send."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from aiohttp import web

from evidence_courier import AsyncCourier, StoreError
from evidence_courier.bootstrap.cli import probes as probing
from evidence_courier.bootstrap.cli.probes import Probes
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
