"""The twelve properties of pacing, through both engines and on each store, in virtual time.

The numbers are those of the properties. `GateWatch` sees what a store answers within its
transaction; the provider counts what arrives.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import timedelta
from itertools import count
from math import ceil
from pathlib import Path
from typing import Any, cast

import psycopg
import pytest
from attrs import define, field, frozen
from gate_watch import GateWatch, watched_gates
from postgres_server import server
from store_fixtures import House, evidence

from evidence_courier import BlockingCourier
from evidence_courier.adapters.stores.postgres import PostgresStore
from evidence_courier.adapters.stores.sql.gates import END
from evidence_courier.adapters.stores.sqlite import SqliteStore
from evidence_courier.domain.errors import StoreError
from evidence_courier.domain.integration import OnUnclear, Pace, Route
from evidence_courier.domain.secrets.secret import Secret
from evidence_courier.domain.upload.failure import Failure, FailureKind
from evidence_courier.domain.upload.verdict import Deferred, Rejected, Verdict
from evidence_courier.ports.dialogue import (
    Access,
    AccessToken,
    Dialogue,
    HttpRequest,
    HttpResponse,
    MintedToken,
    TransportFailure,
    access,
    fetch,
)
from evidence_courier.ports.provider import Parcel, Provider
from evidence_courier.ports.store import UploadStore
from evidence_courier.testing import FakeClock, MemoryStore
from evidence_courier.testing.sandboxes.rates import RateLimit, RateMeter, Window
from evidence_courier.testing.simulation import Faults, ModelProvider, Simulation, simulation
from evidence_courier.testing.simulation.killable_store import KillableStore
from evidence_courier.testing.simulation.model import ModelSettings

AT_REST = {"succeeded", "failed", "held"}
UNDER_WAY = "SELECT count(*) FROM slots WHERE at = "


@frozen
class Plan:
    limit: int
    period: float
    requests: int
    uploads: int
    couriers: int = 1
    exclusive: bool = False
    window: Window = "sliding"

    @property
    def pace(self) -> Pace:
        return Pace(self.limit, timedelta(seconds=self.period))

    def bound(self, sent: int, latency: float) -> float:
        """Property 6, and a second for each upload that may have been told to ask again."""
        rounds = ceil(sent / self.limit)
        return rounds * (self.period + latency) + 2 * self.period + self.requests * latency + 1


PLANS = [
    Plan(30, 60.0, 3, 15, couriers=2, window="fixed"),
    Plan(1, 1.0, 2, 3),
    Plan(3, 60.0, 6, 2, couriers=3),
    Plan(20, 1.0, 2, 25, window="fixed"),
]


class TokenProvider(ModelProvider):
    """Makes so many requests for each upload; with an exclusive credential all carry a token, and
    each token is good for the lease under which it was minted."""

    clock: FakeClock

    def __init__(self, plan: Plan, watch: GateWatch) -> None:
        super().__init__()
        self._plan, self._watch = plan, watch
        self._numbers = count(1)
        self._leases: dict[str, object] = {}
        self.minted: list[float] = []
        self.cost = plan.requests  # type: ignore[misc]
        self.exclusive_credential = plan.exclusive  # type: ignore[misc]

    def upload(self, parcel: Parcel, settings: object, progress: str | None) -> Dialogue[Verdict]:
        assert isinstance(settings, ModelSettings)
        name = f"{parcel.tenant_id}/{parcel.evidence_id}"
        headers = (("names", name), ("key", settings.key.reveal()))
        for _ in range(self._plan.requests - 1):
            token = None
            if self._plan.exclusive:
                token = yield from access(Access("token", lambda: self._mint(headers)))
            reply = yield from fetch(HttpRequest("GET", "https://model.test/", headers))
            if isinstance(reply, TransportFailure) or reply.status == 429:
                return Deferred(Failure(FailureKind.RATE_LIMITED, "no", http_status=429))
            if reply.status == 401:
                return Rejected(Failure(FailureKind.UNAUTHORIZED, "no", http_status=401))
            if isinstance(token, AccessToken):
                self._check(token)
        return (yield from self._put([parcel], settings))

    def _mint(self, headers: tuple[tuple[str, str], ...]) -> Dialogue[MintedToken | Failure]:
        yield from fetch(HttpRequest("GET", "https://model.test/", headers))
        token = f"a token of ours, number {next(self._numbers)}"
        self._leases[token] = self._watch.holder
        self.minted.append(self.clock.monotonic())
        return MintedToken(Secret(token), 3600)

    def _check(self, token: AccessToken) -> None:
        """The lease cannot have changed since the request left: its turn is open."""
        if self._leases[token.value.reveal()] != self._watch.holder:
            self._watch.wrong.append("8: a token of an earlier lease was sent")


class OnDatabase:
    """A store as a simulation needs it, which looks into its own otherwise."""

    def __init__(self, store: UploadStore, under_way: Callable[[], int]) -> None:
        self._store = store
        self.requests_under_way = under_way

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def unsettled(self) -> int:
        """How many are not at rest."""
        counts = self._store.counts()
        return sum(number for status, number in counts.items() if status.value not in AT_REST)

    def kill(self, courier_id: int) -> None:
        """That it is gone is noticed at once."""
        self._store.unregister(courier_id)


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    with ExitStack() as opened:
        match request.param:
            case "memory":
                yield MemoryStore()
            case "sqlite":
                path = str(tmp_path / "courier.db")
                kept = opened.enter_context(closing(SqliteStore(path)))
                look = opened.enter_context(closing(sqlite3.connect(path)))
                yield OnDatabase(kept, lambda: look.execute(f"{UNDER_WAY} ?", (END,)).fetchone()[0])
            case _:
                dsn = server().database_of(str(tmp_path))
                on_postgres = opened.enter_context(closing(PostgresStore(dsn)))
                asked = opened.enter_context(psycopg.connect(dsn, autocommit=True))
                asked.execute("SET search_path = evidence_courier")
                ask = f"{UNDER_WAY} %s"
                yield OnDatabase(
                    on_postgres,
                    lambda: cast(Any, asked.execute(ask.encode(), (END,)).fetchone())[0],
                )


@pytest.fixture
def watch() -> Iterator[GateWatch]:
    with watched_gates() as watching:
        yield watching


# --- on an event loop ----------------------------------------------------------------------------


@define
class Couriers:
    """Couriers on one store. `late` counts what arrived after a key was refused."""

    world: Simulation
    provider: TokenProvider
    without_slot: int = 0
    late: int = 0


@pytest.fixture
def couriers(
    store: Any, watch: GateWatch, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Plan], Any]:
    monkeypatch.setattr(simulation, "MemoryStore", lambda: store)
    monkeypatch.setattr(Simulation, "_needs_looking_round", lambda world: True)

    @contextmanager
    def of(plan: Plan) -> Iterator[Couriers]:
        provider = TokenProvider(plan, watch)
        faults = Faults(latency=0.5, pace=RateLimit(plan.limit, plan.period, plan.window))
        options: Any = {"on_unclear": OnUnclear.RETRY, "pace": plan.pace}
        with Simulation(
            7,
            couriers=plan.couriers,
            faults=faults,
            provider=cast(Provider, provider),
            **options,
        ) as world:
            provider.clock = world.clock
            found = Couriers(world, provider)

            def arrived(under_way: int) -> None:
                found.without_slot += max(under_way - store.requests_under_way(), 0)

            world.server.on_arrival = arrived
            yield found

    return of


def took(world: Simulation) -> float:
    """How long it takes them to deliver all."""
    began = world.clock.monotonic()
    assert world.settle(timedelta(days=1))
    return world.clock.monotonic() - began


@pytest.mark.parametrize("plan", PLANS, ids=str)
def test_couriers_keep_properties_1_to_7_and_9(
    couriers: Any, plan: Plan, watch: GateWatch, store: Any
) -> None:
    with couriers(plan) as found:
        found.world.submit(plan.uploads)
        seconds = took(found.world)
        sent = plan.requests * plan.uploads
        assert {status.status for status in found.world.statuses()} == {"succeeded"}
        assert (found.world.server.throttled, found.world.server.requests) == (0, sent)
        assert seconds <= plan.bound(sent, 1.0)
        assert (found.without_slot, store.requests_under_way()) == (0, 0)
    told(watch, plan)


def told(watch: GateWatch, plan: Plan) -> None:
    """What was seen at the gate."""
    assert watch.wrong == []
    assert watch.begun == plan.uploads
    assert watch.gone_on >= plan.uploads * (plan.requests - 1)
    assert watch.most_ahead < max(1, plan.limit // plan.requests)  # 7
    if plan.period >= 10:
        assert watch.most_waiting <= 5  # 5


EXCLUSIVE = Plan(10, 60.0, 3, 6, couriers=2, exclusive=True)
KILLED = Plan(5, 60.0, 3, 4, couriers=2)
SET = Plan(5, 60.0, 2, 5)

DEATH = 120.0 + 60.0
"""A dead courier's slots count until the time-out, and its claims a period longer."""

LATE = 30.0 + 10.0
"""So far in the future what was written is waited for, and what was told to wait asks again."""


def test_couriers_hand_an_exclusive_credential_over_between_turns(
    couriers: Any, watch: GateWatch
) -> None:
    with couriers(EXCLUSIVE) as found:
        world = found.world
        world.submit(3)
        world.pass_time(20.0)
        world.submit(3)
        took(world)
        assert {status.status for status in world.statuses()} == {"succeeded"}
        assert (world.server.throttled, world.server.overlaps) == (0, 0)
        minted = found.provider.minted
    assert watch.wrong == []
    assert 2 <= len(minted)
    for first, fifth in zip(minted, minted[4:], strict=False):
        assert fifth - first >= 59.0


@pytest.mark.parametrize("write", [5, 9, 12])
def test_what_a_killed_courier_has_sent_counts(
    couriers: Any, watch: GateWatch, store: Any, write: int
) -> None:
    with couriers(KILLED) as found:
        world = found.world
        world.submit(KILLED.uploads)
        world.crash_at(write, before=False)
        seconds = took(world)
        assert len(world.couriers) == 1
        assert {status.status for status in world.statuses()} == {"succeeded"}
        assert world.server.throttled == 0
        assert seconds <= KILLED.bound(world.server.requests, 1.0) + DEATH
    assert watch.wrong == []


@pytest.mark.parametrize("by", [-3600.0, -5.0, 20.0, 3600.0])
def test_a_clock_that_is_set_costs_couriers_a_period_once(
    couriers: Any, watch: GateWatch, by: float
) -> None:
    with couriers(SET) as found:
        world = found.world
        world.submit(SET.uploads)
        world.pass_time(30.0)
        world.jump_clock(by)
        seconds = 30.0 + took(world)
        assert {status.status for status in world.statuses()} == {"succeeded"}
        assert world.server.throttled <= (SET.limit if by > 0 else 0)
        assert seconds <= SET.bound(world.server.requests, 1.0) + SET.period + LATE
    assert watch.wrong == []


def test_nothing_leaves_once_a_courier_knows_of_a_wrong_key(
    couriers: Any, watch: GateWatch
) -> None:
    plan = Plan(50, 60.0, 3, 10, couriers=2)
    with couriers(plan) as found:
        world = found.world
        world.submit(plan.uploads)
        world.pass_time(0.3)
        world.revoke_key()
        world.pass_time(2.0)
        sent = world.server.requests
        world.pass_time(130.0)
        assert world.server.requests == sent < plan.requests * plan.uploads
        assert {status.status for status in world.statuses()} <= {"succeeded", "failed", "held"}
    assert watch.wrong == []


# --- code that blocks ----------------------------------------------------------------------------


@define
class Desk:
    """A provider for code that blocks: `at` are things that happen with its n-th request."""

    plan: Plan
    clock: FakeClock
    under_way: Callable[[], int]
    at: dict[int, Callable[[], object]] = field(factory=dict)
    latency: float = 0.3
    requests: int = 0
    refused: int = 0
    without_slot: int = 0
    wrong_key: bool = False
    meter: RateMeter = field(init=False)

    def __attrs_post_init__(self) -> None:
        limit = RateLimit(self.plan.limit, self.plan.period, self.plan.window)
        self.meter = RateMeter(limit, self.clock.monotonic)

    def send(self, request: HttpRequest, route: Route) -> HttpResponse | TransportFailure:
        self.requests += 1
        self.without_slot += self.under_way() < 1
        self.at.pop(self.requests, lambda: None)()
        wait = self.meter.ask()
        self.refused += bool(wait)
        self.clock.advance(self.latency)
        status = 401 if self.wrong_key else 429 if wait else 200
        return HttpResponse(status, (), b"", self.clock.now())

    def close(self) -> None:
        pass


@define
class Workers:
    """Workers of a task queue, which take turns: each task is given to the next of them. Those that
    are killed leave their tasks to the others."""

    house: House
    desk: Desk
    provider: TokenProvider
    store: Any
    watch: GateWatch
    stores: list[KillableStore] = field(factory=list)
    couriers: list[BlockingCourier] = field(factory=list)
    statuses: dict[str, str] = field(factory=dict)

    def start(self) -> BlockingCourier:
        """One more."""
        store = KillableStore(self.store, lambda: self.store.kill(self.watch.asked))
        self.stores.append(store)
        self.couriers.append(self._worker(store))
        return self.couriers[-1]

    def _worker(self, store: KillableStore) -> BlockingCourier:
        return BlockingCourier.from_mapping(
            lambda: self.house.tenants,
            store=cast(UploadStore, store),
            clock=self.house.clock,
            logger=self.house.logger,
            transport=self.desk,
            providers={"model": cast(Provider, self.provider)},
            secrets=self.house.keys,
            sleep=self.house.clock.advance,
        )

    def deliver_all(self) -> float:
        """How long it takes them. The queue's own clock is not set."""
        clock, began = self.house.clock, self.house.clock.monotonic()
        due = {f"ev-{number}": began for number in range(self.desk.plan.uploads)}
        turns = count()
        while due:
            name = min(due, key=lambda one: (due[one], one))
            clock.advance(max(due[name] - clock.monotonic(), 0.0))
            courier = self.couriers[next(turns) % len(self.couriers)]
            try:
                delivery = courier.deliver(evidence(name))
            except StoreError:
                self.couriers.remove(courier)
                continue
            assert delivery.status is not None
            self.statuses[name] = delivery.status.status
            del due[name]
            if delivery.again_at is not None:
                wait = (delivery.again_at - clock.now()).total_seconds()
                due[name] = clock.monotonic() + wait
        return clock.monotonic() - began


@pytest.fixture
def workers(store: Any, watch: GateWatch) -> Iterator[Callable[[Plan], Workers]]:
    with ExitStack() as opened:

        def of(plan: Plan) -> Workers:
            house = House(Path("unused"))
            pace = f"{plan.limit}/{'min' if plan.period == 60 else 's'}"
            block = {"provider": "model", "key": "${KEY}", "pace": pace, "on_unclear": "retry"}
            house.tenants = {"acme": {"integrations": {"compliance": block}}}
            desk = Desk(plan, house.clock, store.requests_under_way)
            provider = TokenProvider(plan, watch)
            provider.clock = house.clock
            found = Workers(house, desk, provider, store, watch)
            for _ in range(plan.couriers):
                opened.enter_context(found.start())
            return found

        yield of


@pytest.mark.parametrize("plan", PLANS, ids=str)
def test_workers_keep_properties_1_to_7_9_and_11(
    workers: Any, plan: Plan, watch: GateWatch, store: Any
) -> None:
    found = workers(plan)
    seconds = found.deliver_all()
    sent = plan.requests * plan.uploads
    assert {*found.statuses.values()} == {"succeeded"}
    assert (found.desk.refused, found.desk.requests, found.desk.without_slot) == (0, sent, 0)
    # One worker makes one request at a time.
    assert seconds <= plan.bound(sent, 0.3) + sent * 0.3 + plan.uploads * plan.period
    assert store.requests_under_way() == 0
    attempts = {one.attempts for one in found.couriers[0].find(limit=500).uploads}
    assert attempts == {1}  # 11
    told(watch, plan)


def test_workers_hand_an_exclusive_credential_over_between_turns(
    workers: Any, watch: GateWatch
) -> None:
    found = workers(EXCLUSIVE)
    found.deliver_all()
    assert {*found.statuses.values()} == {"succeeded"}
    assert (found.desk.refused, found.desk.without_slot, watch.wrong) == (0, 0, [])
    minted = found.provider.minted
    assert len(minted) >= 2
    for first, fifth in zip(minted, minted[4:], strict=False):
        assert fifth - first >= 59.0


@pytest.mark.parametrize("write", [5, 9, 12])
def test_what_a_killed_worker_has_sent_counts(
    workers: Any, watch: GateWatch, store: Any, write: int
) -> None:
    found = workers(KILLED)
    found.stores[0].die_at(write, before=False)
    seconds = found.deliver_all()
    assert len(found.couriers) == 1
    assert {*found.statuses.values()} == {"succeeded"}
    assert (found.desk.refused, watch.wrong) == (0, [])
    sent = found.desk.requests
    periods = KILLED.uploads * KILLED.period
    assert seconds <= KILLED.bound(sent, 0.3) + sent * 0.3 + periods + DEATH


@pytest.mark.parametrize("by", [-3600.0, -5.0, 20.0, 3600.0])
def test_a_clock_that_is_set_costs_workers_a_period_once(
    workers: Any, watch: GateWatch, by: float
) -> None:
    found = workers(SET)
    found.desk.at[4] = lambda: found.house.clock.jump(by)
    seconds = found.deliver_all()
    assert {*found.statuses.values()} == {"succeeded"}
    assert found.desk.refused <= (SET.limit if by > 0 else 0)
    sent = found.desk.requests
    periods = (SET.uploads + 1) * SET.period
    assert seconds <= SET.bound(sent, 0.3) + sent * 0.3 + periods + LATE
    assert watch.wrong == []


def test_nothing_leaves_once_a_worker_knows_of_a_wrong_key(workers: Any, watch: GateWatch) -> None:
    found = workers(Plan(50, 60.0, 3, 5, couriers=2))
    found.desk.at[5] = lambda: setattr(found.desk, "wrong_key", True)
    found.deliver_all()
    assert found.desk.requests == 5
    assert sorted(found.statuses.values()) == ["failed", *["held"] * 3, "succeeded"]
    assert watch.wrong == []
