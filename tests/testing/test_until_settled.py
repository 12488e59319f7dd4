"""`until_settled` moves the clock over every wait, those between two requests of a pace too."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest
from attrs import define, field, frozen
from store_fixtures import evidence

from evidence_courier import AsyncCourier
from evidence_courier.adapters.providers import (
    Delivered,
    Dialogue,
    HttpRequest,
    HttpResponse,
    Limits,
    Pace,
    Parcel,
    Receipt,
    Verdict,
    fetch,
)
from evidence_courier.domain.integration import Route
from evidence_courier.domain.upload.verdict import Found, Processing
from evidence_courier.testing import FakeClock, ReadableScriptedProvider, until_settled

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)


@frozen
class NoSettings:
    pass


class StepsProvider:
    """An upload is so many requests."""

    name: ClassVar[str] = "steps"
    settings_class: ClassVar[type] = NoSettings
    schema: ClassVar[Mapping[str, object]] = {}
    limits: ClassVar[Limits] = Limits(None, {"application/pdf": "pdf"})
    exclusive_credential: ClassVar[bool] = False
    cost: ClassVar[int]
    pace: ClassVar[Pace | None]

    def target(self, settings: Any) -> str:
        return "the steps"

    def upload(self, parcel: Parcel, settings: Any, progress: str | None) -> Dialogue[Verdict]:
        for _ in range(self.cost):
            yield from fetch(HttpRequest("GET", "http://127.0.0.1:9/"))
        return Delivered(Receipt("done"))


@define
class Platform:
    """Answers at once, and remembers when."""

    clock: FakeClock
    asked: list[datetime] = field(factory=list)

    async def send(self, request: HttpRequest, route: Route) -> HttpResponse:
        self.asked.append(self.clock.now())
        return HttpResponse(200, (), b"", self.clock.now())

    async def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("steps", "pace", "uploads"),
    [
        *((steps, pace, 5) for steps in range(1, 7) for pace in (4, 5, 12)),
        *[(6, 10, 2), (2, 3, 2), (3, 2, 3)],
        *[(6, 10, 30), (6, 12, 30), (5, 7, 30), (4, 6, 30), (1, 4, 30)],
    ],
)
def test_a_wait_between_two_requests_is_passed_over(
    steps: int, pace: int, uploads: int, tmp_path: Path
) -> None:
    clock = FakeClock()
    platform = Platform(clock)
    its = {"cost": steps, "pace": Pace(pace, MINUTE)}
    provider: StepsProvider = type("Steps", (StepsProvider,), its)()

    async def story() -> None:
        async with AsyncCourier.from_mapping(
            {"acme": {"integrations": {"compliance": {"provider": "steps"}}}},
            tmp_path / "courier.db",
            providers={"steps": provider},
            transport=platform,
            clock=clock,
        ) as courier:
            tickets = [courier.submit(evidence(f"ev-{n}")) for n in range(uploads)]
            async with asyncio.timeout(60):
                found = await until_settled(courier, clock, *tickets)
            assert {status and status.status for status in found} == {"succeeded"}

    asyncio.run(story())
    assert len(platform.asked) == steps * uploads
    for first, beyond in zip(platform.asked, platform.asked[pace:], strict=False):
        assert beyond - first >= MINUTE


class CountingClock(FakeClock):
    """Counts how often it is moved."""

    moves = 0

    def set(self, moment: datetime) -> None:
        self.moves += 1
        super().set(moment)


def test_a_long_wait_is_passed_over_at_once(tmp_path: Path) -> None:
    clock = CountingClock()
    began = clock.now()
    provider = ReadableScriptedProvider([Processing(DAY / 2)], [Found(Receipt("done"))])

    async def story() -> None:
        async with AsyncCourier.from_mapping(
            {"acme": {"integrations": {"compliance": {"provider": "scripted"}}}},
            tmp_path / "courier.db",
            providers={"scripted": provider},
            clock=clock,
        ) as courier:
            [found] = await until_settled(courier, clock, courier.submit(evidence()))
            assert found is not None
            assert found.status == "succeeded"

    asyncio.run(story())
    assert clock.now() - began >= DAY / 2
    assert clock.moves < 10
