"""`give_up_after` and `max_attempts` end an upload, the first that is reached, and time in which it
is paused or blocked does not count: through each engine, on each store.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from attrs import define
from postgres_server import server
from store_fixtures import Desk, House, evidence, tenant

from evidence_courier import AsyncCourier
from evidence_courier.adapters.stores.postgres import PostgresStore
from evidence_courier.adapters.stores.sqlite import SqliteStore
from evidence_courier.bootstrap.cli.output import what_happened
from evidence_courier.domain.integration import Route
from evidence_courier.domain.upload.status import UploadDetails
from evidence_courier.ports.dialogue import HttpRequest, HttpResponse
from evidence_courier.ports.store import UploadStore
from evidence_courier.testing import MemoryStore, until_settled

BY: Any = {"by": "asha", "reason": "an audit"}
LONG = timedelta(hours=50)
BUDGET, LONGEST_WAIT = timedelta(hours=2), timedelta(minutes=30)
BOTH = {"max_attempts": 100, "initial_delay": "30m", "max_delay": "30m", "give_up_after": "2h"}
STORES: dict[str, Callable[[House], UploadStore]] = {
    "memory": lambda house: MemoryStore(),
    "sqlite": lambda house: SqliteStore(str(house.database)),
    "postgres": lambda house: PostgresStore(server().database_of(str(house.database))),
}


@define
class Sick(Desk):
    """Answers the blocking courier as the house's server would."""

    def send(self, request: HttpRequest, route: Route) -> HttpResponse:
        answer = self.house.server.answer(dict(request.headers)["evidence"], 1)
        assert isinstance(answer, int)
        return HttpResponse(answer, (), b"no", self.house.clock.now())


@pytest.fixture(params=[*STORES])
def store_of(request: pytest.FixtureRequest) -> Callable[[House], UploadStore]:
    return STORES[request.param]


@pytest.fixture
def house(tmp_path: Path) -> House:
    found = House(tmp_path / "courier.db")
    found.server.answer = lambda name, nth: 401 if name == "wrong key" else 503
    return found


@define
class Hands:
    """Delivers one evidence to its end, with something between its first attempts."""

    house: House
    store: UploadStore

    def by_async(self, stops: str | None) -> UploadDetails:
        async def story() -> UploadDetails:
            async with self.house.courier_on(self.store) as courier:
                ticket = courier.submit(evidence())
                await courier.quiet()
                if stops is not None:
                    await self._stopped(courier, stops)
                    ticket = courier.submit(evidence())
                await until_settled(courier, self.house.clock, ticket)
                found = await courier.show("acme", "ev-1")
                assert found is not None
                return found

        return asyncio.run(story())

    async def _stopped(self, courier: AsyncCourier, stops: str) -> None:
        if stops == "paused":
            await courier.pause("acme", **BY)
        else:
            await courier.submit(evidence("wrong key")).settled()
            self.house.clock.advance(1_800)
        await self._maintained(courier)
        status = (await courier.statuses("acme", ["ev-1"]))["ev-1"]
        assert status.status == "held"
        self.house.clock.advance(LONG.total_seconds())
        self.house.server.answer = lambda name, nth: 503
        if stops == "paused":
            await courier.resume("acme", **BY)
        else:
            await courier.release("acme", "ev-1", **BY)  # and with it the integration
        await self._maintained(courier)

    async def _maintained(self, courier: AsyncCourier) -> None:
        for _ in range(3):
            self.house.clock.advance(6)
            await asyncio.sleep(0.02)
            await courier.quiet()

    def by_blocking(self, stops: str | None) -> UploadDetails:
        house = self.house
        given: Any = {"store": self.store, "transport": Sick(house)}
        with house.blocking_courier(**given) as courier:
            status = courier.deliver(evidence()).status
            if stops == "paused":
                courier.pause("acme", **BY)
            elif stops == "blocked":
                courier.deliver(evidence("wrong key"))
            if stops is not None:
                house.clock.advance(1_800)  # a task queue calls it again when it is due
                status = courier.deliver(evidence()).status
                assert status is not None
                assert status.status == "held"
                house.clock.advance(LONG.total_seconds())
                if stops == "paused":
                    courier.resume("acme", **BY)
                else:
                    courier.release("acme", "ev-1", **BY)
                status = courier.deliver(evidence()).status
            while status is not None and status.status == "retrying":
                assert status.next_attempt_at is not None
                house.clock.advance((status.next_attempt_at - house.clock.now()).total_seconds())
                status = courier.deliver(evidence()).status
            found = courier.show("acme", "ev-1")
            assert found is not None
            return found


ENGINES: dict[str, Callable[[Hands, str | None], UploadDetails]] = {
    "async": Hands.by_async,
    "blocking": Hands.by_blocking,
}


@pytest.fixture(params=[*ENGINES])
def delivered(
    request: pytest.FixtureRequest, house: House, store_of: Callable[[House], UploadStore]
) -> Callable[..., UploadDetails]:
    def deliver(retry: dict[str, object], stops: str | None = None) -> UploadDetails:
        house.tenants["acme"] = tenant(retry=retry)
        with closing(store_of(house)) as store:
            return ENGINES[request.param](Hands(house, store), stops)

    return deliver


def test_attempts_end_it_if_they_are_used_up_first(delivered: Any) -> None:
    found = delivered(BOTH | {"max_attempts": 3})
    assert (found.status, found.attempts, found.out_of_time) == ("failed", 3, False)


def test_time_ends_it_if_that_is_over_first(delivered: Any) -> None:
    found = delivered(BOTH)
    told = "given up: the next attempt would be later than 2h after the first (`give_up_after`)"
    assert what_happened(found).count("give_up_after") == 1
    assert told in what_happened(found)
    tried = [one.started_at for one in found.history]
    assert (found.status, found.out_of_time) == ("failed", True)
    assert BUDGET - LONGEST_WAIT <= tried[-1] - tried[0] <= BUDGET


@pytest.mark.parametrize("stops", ["paused", "blocked"])
def test_what_was_stopped_for_days_has_its_whole_budget_again(delivered: Any, stops: str) -> None:
    found = delivered(BOTH, stops)
    tried = [one.started_at for one in found.history]
    (again,) = (after for before, after in pairwise(tried) if after - before >= LONG)
    assert (found.status, found.out_of_time) == ("failed", True)
    assert again > tried[0]
    assert BUDGET - LONGEST_WAIT <= tried[-1] - again <= BUDGET
