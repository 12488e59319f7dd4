"""Uploads of several requests under a pace, through both engines, in virtual time."""

from __future__ import annotations

import asyncio
from contextlib import closing
from datetime import timedelta
from math import ceil
from pathlib import Path
from typing import Any, cast

import pytest
from attrs import define, field
from hypothesis import example, given, settings
from hypothesis import strategies as st
from store_fixtures import House, evidence

from evidence_courier import BlockingCourier
from evidence_courier.adapters.stores.sqlite import SqliteStore
from evidence_courier.domain.integration import Pace, Route
from evidence_courier.domain.upload.failure import Failure, FailureKind
from evidence_courier.domain.upload.verdict import Deferred, Verdict
from evidence_courier.ports.dialogue import (
    Dialogue,
    HttpRequest,
    HttpResponse,
    TransportFailure,
    fetch,
)
from evidence_courier.ports.provider import Parcel, Provider
from evidence_courier.ports.store import UploadStore
from evidence_courier.testing import FakeClock, MemoryStore, until_settled
from evidence_courier.testing.sandboxes.rates import RateLimit, RateMeter, Window
from evidence_courier.testing.simulation import Faults, ModelProvider, Simulation
from evidence_courier.testing.simulation.model import ModelSettings

PACES = [(1, 60.0), (2, 60.0), (10, 60.0), (50, 60.0), (1, 1.0), (10, 1.0), (100, 1.0)]
WINDOWS: list[Window] = ["fixed", "sliding"]


class SteppedProvider(ModelProvider):
    """Makes so many requests for each upload, of which it foresees `cost`."""

    def __init__(self, requests: int, cost: int, exclusive: bool = False) -> None:
        super().__init__()
        self._requests = requests
        self.cost = cost  # type: ignore[misc]
        self.exclusive_credential = exclusive  # type: ignore[misc]

    def upload(self, parcel: Parcel, settings: object, progress: str | None) -> Dialogue[Verdict]:
        assert isinstance(settings, ModelSettings)
        name = f"{parcel.tenant_id}/{parcel.evidence_id}"
        headers = (("names", name), ("key", settings.key.reveal()))
        for _ in range(self._requests - 1):
            reply = yield from fetch(HttpRequest("GET", "https://model.test/", headers))
            if isinstance(reply, TransportFailure) or reply.status == 429:
                return Deferred(Failure(FailureKind.RATE_LIMITED, "no", http_status=429))
        return (yield from self._put([parcel], settings))


def stepped(requests: int, cost: int, exclusive: bool = False) -> Provider:
    """Typed as what it is: a provider whose class says cost and exclusiveness for each instance."""
    return cast(Provider, SteppedProvider(requests, cost, exclusive))


@st.composite
def plans(draw: st.DrawFn) -> tuple[int, float, int, int, int]:
    limit, period = draw(st.sampled_from(PACES))
    requests = draw(st.integers(1, 6))
    cost = draw(st.sampled_from([requests, requests, 1, 2, 3]))
    uploads = draw(st.sampled_from([1, 5, 30] if limit > 3 else [1, 4]))
    return limit, period, requests, cost, uploads


def bound(limit: int, period: float, requests: int, uploads: int, latency: float) -> float:
    """Property 6, and a second for each upload that may have been told to ask again."""
    rounds = ceil(requests * uploads / limit)
    return rounds * (period + latency) + 2 * period + requests * latency + 1


@pytest.mark.parametrize("exclusive", [False, True])
@given(
    plan=plans(),
    couriers=st.integers(1, 3),
    latency=st.sampled_from([0.0, 0.5]),
    window=st.sampled_from(WINDOWS),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=40, deadline=None)
def test_couriers_deliver_all_within_the_pace_and_none_is_refused(
    exclusive: bool,
    plan: tuple[int, float, int, int, int],
    couriers: int,
    latency: float,
    window: Window,
    seed: int,
) -> None:
    couriers_deliver(plan, couriers, latency, window, seed, exclusive)


@pytest.mark.parametrize(
    ("plan", "couriers"), [((100, 1.0, 2, 2, 500), 1), ((50, 60.0, 1, 1, 500), 2)]
)
def test_500_uploads_at_once_are_delivered_likewise(
    plan: tuple[int, float, int, int, int], couriers: int
) -> None:
    couriers_deliver(plan, couriers, 0.5, "sliding", seed=7, exclusive=False)


def couriers_deliver(
    plan: tuple[int, float, int, int, int],
    couriers: int,
    latency: float,
    window: Window,
    seed: int,
    exclusive: bool,
) -> None:
    """Have them deliver all, and check the properties."""
    limit, period, requests, cost, uploads = plan
    faults = Faults(latency=latency, pace=RateLimit(limit, period, window))
    provider = stepped(requests, cost, exclusive)
    pace = Pace(limit, timedelta(seconds=period))
    with Simulation(seed, couriers=couriers, faults=faults, provider=provider, pace=pace) as world:
        without_slot: list[int] = []

        def arrived(under_way: int) -> None:
            without_slot.append(max(under_way - world.store.requests_under_way(), 0))

        world.server.on_arrival = arrived
        keys = world.submit(uploads)
        began = world.clock.monotonic()
        assert world.settle(timedelta(days=1))
        assert [status.status for status in world.statuses()] == ["succeeded"] * uploads
        assert (world.server.throttled, world.server.requests) == (0, requests * uploads)
        took = world.clock.monotonic() - began
        # A request takes up to two latencies, and a hand-over a drain and a lease's wait.
        drains = (couriers - 1) * 90.0 + 0.3 * took if exclusive and couriers > 1 else 0.0
        assert took <= bound(limit, period, requests, uploads, 2 * latency) + drains
        assert all(status.attempts == 1 for status in world.statuses())
        assert world.breaches() == []
        assert all(world.copies(key) == 1 for key in keys)
        assert world.store.requests_under_way() == sum(without_slot) == 0


@define
class CountingDesk:
    """A `BlockingTransport` that counts, and refuses what is too much."""

    clock: FakeClock
    meter: RateMeter
    latency: float = 0.1
    requests: int = 0
    refused: int = field(default=0)

    def send(self, request: HttpRequest, route: Route) -> HttpResponse | TransportFailure:
        self.requests += 1
        wait = self.meter.ask()
        self.refused += bool(wait)
        self.clock.advance(self.latency)
        return HttpResponse(429 if wait else 200, (), b"", self.clock.now())

    def close(self) -> None:
        pass


def paced(limit: int, period: float) -> dict[str, dict[str, object]]:
    """A tenant of the model provider with a pace."""
    pace = f"{limit}/{'min' if period == 60 else 's'}"
    block = {"provider": "model", "key": "${KEY}", "pace": pace}
    return {"acme": {"integrations": {"compliance": block}}}


class CountingServer:
    """The same for asyncio."""

    def __init__(self, desk: CountingDesk) -> None:
        self._desk = desk

    async def send(self, request: HttpRequest, route: Route) -> HttpResponse | TransportFailure:
        await asyncio.sleep(0)
        return self._desk.send(request, route)

    async def close(self) -> None:
        pass


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize(
    ("limit", "period", "requests", "uploads"),
    [(50, 60.0, 3, 30), (1, 1.0, 2, 5), (3, 60.0, 6, 4), (100, 1.0, 2, 500)],
)
def test_a_courier_on_a_file_delivers_all_within_the_pace(
    limit: int, period: float, requests: int, uploads: int, window: Window, tmp_path: Path
) -> None:
    house = House(tmp_path / "courier.db", tenants=paced(limit, period))
    meter = RateMeter(RateLimit(limit, period, window), house.clock.monotonic)
    desk = CountingDesk(house.clock, meter, latency=0.0)
    options: Any = {"providers": {"model": stepped(requests, requests)}}

    async def story() -> float:
        async with house.courier(transport=CountingServer(desk), **options) as courier:
            began = house.clock.monotonic()
            tickets = [courier.submit(evidence(f"ev-{number}")) for number in range(uploads)]
            statuses = await until_settled(courier, house.clock, *tickets)
            ends = {status and (status.status, status.attempts) for status in statuses}
            assert ends == {("succeeded", 1)}
            return house.clock.monotonic() - began

    assert asyncio.run(story()) <= bound(limit, period, requests, uploads, 0.0)
    assert (desk.refused, desk.requests) == (0, requests * uploads)


@pytest.mark.parametrize("store", ["memory", "sqlite"])
@given(plan=plans(), window=st.sampled_from(WINDOWS))
@example(plan=(100, 1.0, 2, 2, 500), window="sliding")
@settings(max_examples=15, deadline=None)
def test_a_worker_delivers_all_within_the_pace_and_none_is_refused(
    store: str,
    plan: tuple[int, float, int, int, int],
    window: Window,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    limit, period, requests, cost, uploads = plan
    house = House(Path("unused"), tenants=paced(limit, period))
    meter = RateMeter(RateLimit(limit, period, window), house.clock.monotonic)
    desk = CountingDesk(house.clock, meter)
    kept: UploadStore = MemoryStore()
    if store == "sqlite":
        kept = SqliteStore(str(tmp_path_factory.mktemp("pace") / "courier.db"))
    courier = BlockingCourier.from_mapping(
        lambda: house.tenants,
        store=kept,
        clock=house.clock,
        logger=house.logger,
        transport=desk,
        providers={"model": stepped(requests, cost)},
        secrets=house.keys,
        sleep=house.clock.advance,
    )
    began = house.clock.monotonic()
    with closing(kept), courier:
        due = {f"ev-{number}": house.clock.now() for number in range(uploads)}
        while due:
            name = min(due, key=lambda one: (due[one], one))
            if due[name] > house.clock.now():
                house.clock.set(due[name])
            delivery = courier.deliver(evidence(name))
            assert delivery.status is not None
            del due[name]
            if delivery.again_at is not None:
                due[name] = delivery.again_at
        assert courier.health().counts["succeeded"] == uploads
        assert {status.attempts for status in courier.find(limit=500).uploads} == {1}
    assert (desk.refused, desk.requests) == (0, requests * uploads)
    # One worker makes one request at a time.
    alone = requests * uploads * desk.latency
    took = house.clock.monotonic() - began
    assert took <= bound(limit, period, requests, uploads, desk.latency) + alone + uploads * period
