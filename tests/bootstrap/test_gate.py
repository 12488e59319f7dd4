"""Keeping to what a credential may do, in virtual time, against a server that counts and
refuses."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from attrs import define, field
from store_fixtures import House, evidence, tenant

from evidence_courier.delivery import maintenance
from evidence_courier.domain.integration import Route
from evidence_courier.ports.dialogue import HttpRequest, HttpResponse, TransportFailure
from evidence_courier.ports.logger import AttemptEnded, AttemptStarted
from evidence_courier.testing import FakeClock, until_settled
from evidence_courier.testing.sandboxes.rates import RateLimit, RateMeter, Window

PACE = "10/min"
WINDOWS: list[Window] = ["fixed", "sliding"]


@define
class CountingServer:
    """Takes ten requests a minute and refuses the rest."""

    clock: FakeClock
    window: Window
    refused: int = 0
    taken: list[str] = field(factory=list)
    meter: RateMeter = field(init=False)
    offset: float = 17.3

    def __attrs_post_init__(self) -> None:
        self.meter = RateMeter(
            RateLimit(10, 60.0, self.window), lambda: self.clock.monotonic() + self.offset
        )

    async def send(self, request: HttpRequest, route: Route) -> HttpResponse | TransportFailure:
        await asyncio.sleep(0)
        wait = self.meter.ask()
        if wait:
            self.refused += 1
        else:
            self.taken.append(dict(request.headers)["evidence"])
        return HttpResponse(429 if wait else 200, (), b"", self.clock.now())

    async def close(self) -> None:
        pass


@pytest.mark.parametrize("window", WINDOWS)
def test_500_completions_at_once_take_one_attempt_each_without_a_refusal(
    tmp_path: Path, window: Window
) -> None:
    house = House(tmp_path / "courier.db", tenants={"acme": tenant(pace=PACE)})
    server = CountingServer(house.clock, window)

    async def story() -> None:
        async with house.courier(transport=server) as courier:
            began = house.clock.now()
            tickets = [courier.submit(evidence(f"ev-{number:03}")) for number in range(500)]
            statuses = await until_settled(courier, house.clock, *tickets)
            assert {(status.status, status.attempts) for status in statuses if status} == {
                ("succeeded", 1)
            }
            assert house.clock.now() - began < timedelta(minutes=51)

    asyncio.run(story())
    assert server.refused == 0
    assert len(server.taken) == 500
    assert most_overtaken(server.taken) <= 10


def most_overtaken(order: list[str]) -> int:
    """How many of those behind it went before the one that was overtaken most."""
    ranks = [int(name.removeprefix("ev-")) for name in order]
    return max(rank - place for place, rank in enumerate(ranks))


def test_80_completions_within_a_minute_are_delivered_within_ten_minutes(tmp_path: Path) -> None:
    house = House(tmp_path / "courier.db", tenants={"acme": tenant(pace=PACE)})
    server = CountingServer(house.clock, "fixed")

    async def story() -> None:
        async with house.courier(transport=server) as courier:
            tickets = []
            handed_over = {}
            for number in range(80):
                handed_over[f"ev-{number}"] = house.clock.now()
                tickets.append(courier.submit(evidence(f"ev-{number}")))
                await tickets[-1].recorded()
                await courier.quiet()
                house.clock.advance(0.75)
            statuses = await until_settled(courier, house.clock, *tickets)
            for status in statuses:
                assert status is not None
                assert status.status == "succeeded"
                assert status.updated_at - handed_over[status.evidence_id] <= timedelta(minutes=10)

    asyncio.run(story())
    assert server.refused == 0


def test_what_waits_for_its_turn_shows_when_it_is_expected_and_goes_then(tmp_path: Path) -> None:
    house = House(tmp_path / "courier.db", tenants={"acme": tenant(pace=PACE)})
    server = CountingServer(house.clock, "sliding")

    async def story() -> None:
        async with house.courier(transport=server) as courier:
            began = house.clock.now()
            tickets = [courier.submit(evidence(f"ev-{number:03}")) for number in range(200)]
            await asyncio.gather(*(ticket.recorded() for ticket in tickets))
            await courier.quiet()
            ids = [f"ev-{number:03}" for number in range(200)]
            told = await courier.statuses("acme", ids)
            waiting = {name: status for name, status in told.items() if status.status == "pending"}
            assert len(waiting) == 190
            assert told["ev-199"].next_attempt_at == began + timedelta(minutes=19)
            assert (await courier.find(limit=1)).uploads[0].next_attempt_at is not None
            await until_settled(courier, house.clock, *tickets)
            now = await courier.statuses("acme", ids)
            off = [
                abs((now[name].last_attempt_at or began) - (status.next_attempt_at or began))
                for name, status in waiting.items()
            ]
            assert max(off) <= timedelta(minutes=1)

    asyncio.run(story())


def test_a_429_for_one_upload_holds_back_the_others_of_its_credential_only(tmp_path: Path) -> None:
    house = House(
        tmp_path / "courier.db",
        tenants={"acme": tenant(), "globex": tenant(key="${OTHER}")},
    )
    house.keys.values["OTHER"] = "another-key-nobody-may-see"
    house.server.answer = lambda name, nth: (429, 600.0) if (name, nth) == ("first", 1) else 200

    async def story() -> None:
        async with house.courier() as courier:
            began = house.clock.now()
            first = courier.submit(evidence("first"))
            await first.recorded()
            await courier.quiet()
            others = [
                courier.submit(evidence("second")),
                courier.submit(evidence("third", "globex")),
            ]
            await until_settled(courier, house.clock, first, *others)
            assert house.server.times["second"][0] - began >= timedelta(minutes=10)
            assert house.server.times["third"][0] == began

    asyncio.run(story())


def test_a_pause_outlives_the_courier_and_a_requeue(tmp_path: Path) -> None:
    house = House(tmp_path / "courier.db", tenants={"acme": tenant(retry={"max_attempts": 1})})
    house.server.answer = lambda name, nth: (429, 600.0) if nth == 1 else 200
    began = house.clock.now()

    async def fail() -> None:
        async with house.courier() as courier:
            (status,) = await until_settled(courier, house.clock, courier.submit(evidence()))
            assert status is not None
            assert status.status == "failed"

    async def retry() -> None:
        async with house.courier() as courier:
            acted = await courier.retry("acme", "ev-1", by="asha", reason="it was throttled")
            assert [status.status for status in acted.done] == ["pending"]
            await until_settled(courier, house.clock, courier.submit(evidence()))

    asyncio.run(fail())
    asyncio.run(retry())
    assert house.server.times["ev-1"][1] - began >= timedelta(minutes=10)


def test_a_broken_integration_holds_its_uploads_until_its_key_changes(
    tmp_path: Path,
) -> None:
    house = House(
        tmp_path / "courier.db", tenants={"acme": tenant(), "globex": tenant(key="${OTHER}")}
    )
    house.keys.values["OTHER"] = "another-key-nobody-may-see"
    good = {"another-key-nobody-may-see", "a-new-key-that-works"}

    async def story() -> None:
        async with house.courier() as courier:
            first = courier.submit(evidence("first"))
            await until_settled(courier, house.clock, first)
            later = [
                courier.submit(evidence("second")),
                courier.submit(evidence("third", "globex")),
            ]
            held, fine = await until_settled(courier, house.clock, *later)
            assert held is not None and fine is not None
            assert (held.status, held.attempts, fine.status) == ("held", 0, "succeeded")
            assert held.error is not None and held.error.kind == "unauthorized"
            house.keys.values["KEY"] = "a-new-key-that-works"
            await courier.reload()
            await courier.quiet()
            (freed,) = await until_settled(courier, house.clock, courier.submit(evidence("second")))
            assert freed is not None
            assert freed.status == "succeeded"

    house.server.answer = lambda name, nth: 200 if house.server.keys[name][-1] in good else 401
    asyncio.run(story())
    # The first has failed, as what is refused does; a person may retry it.
    assert house.server.asked["second"] == 1


def test_a_person_who_releases_one_upload_unblocks_its_integration(tmp_path: Path) -> None:
    house = House(tmp_path / "courier.db")
    mended: list[bool] = []
    house.server.answer = lambda name, nth: 200 if mended else 401

    async def story() -> None:
        async with house.courier() as courier:
            await until_settled(courier, house.clock, courier.submit(evidence("first")))
            two = [courier.submit(evidence(name)) for name in ("second", "third")]
            await until_settled(courier, house.clock, *two)
            mended.append(True)
            await courier.release("acme", "second", by="asha", reason="the key may upload again")
            await courier.quiet()
            again = [courier.submit(evidence(name)) for name in ("second", "third")]
            statuses = await until_settled(courier, house.clock, *again)
            assert [status.status for status in statuses if status] == ["succeeded", "succeeded"]

    asyncio.run(story())


@pytest.mark.parametrize("year", [1970, 2100])
def test_it_works_in_any_year(tmp_path: Path, year: int) -> None:
    clock = FakeClock(datetime(year, 1, 1, tzinfo=UTC))
    house = House(tmp_path / "courier.db", clock=clock, tenants={"acme": tenant(pace="2/min")})
    house.server.answer = lambda name, nth: 503 if nth == 1 else 200

    async def story() -> None:
        async with house.courier() as courier:
            tickets = [courier.submit(evidence(f"ev-{number}")) for number in range(5)]
            statuses = await until_settled(courier, clock, *tickets)
            assert {status.status for status in statuses if status} == {"succeeded"}

    asyncio.run(story())


def test_a_clock_set_back_by_a_year_delays_nothing_by_more_than_its_wait(
    tmp_path: Path,
) -> None:
    house = House(tmp_path / "courier.db", tenants={"acme": tenant(pace=PACE)})
    house.server.answer = lambda name, nth: 503 if nth == 1 else 200

    async def story() -> None:
        async with house.courier() as courier:
            tickets = [courier.submit(evidence(f"ev-{number}")) for number in range(15)]
            await asyncio.gather(*(ticket.recorded() for ticket in tickets))
            await courier.quiet()
            house.clock.jump(-365 * 86_400.0)
            passed = house.clock.monotonic()
            statuses = await until_settled(courier, house.clock, *tickets)
            assert {status.status for status in statuses if status} == {"succeeded"}
            assert house.clock.monotonic() - passed < 15 * 60

    asyncio.run(story())


def test_a_restart_after_a_clock_set_back_takes_up_what_is_in_the_future(
    tmp_path: Path,
) -> None:
    house = House(tmp_path / "courier.db")
    house.server.answer = lambda name, nth: 503 if nth == 1 else 200

    async def begin() -> None:
        async with house.courier() as courier:
            await courier.submit(evidence()).recorded()
            await courier.quiet()

    async def go_on() -> None:
        async with house.courier() as courier:
            passed = house.clock.monotonic()
            (status,) = await until_settled(courier, house.clock, courier.submit(evidence()))
            assert status is not None
            assert status.status == "succeeded"
            assert house.clock.monotonic() - passed < 60

    asyncio.run(begin())
    house.clock.jump(-365 * 86_400.0)
    asyncio.run(go_on())


def test_however_much_is_in_the_future_all_of_it_is_taken_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some of each tenant's at a time, so that none waits for another's."""
    monkeypatch.setattr(maintenance, "LOOKED_THROUGH", 3)
    house = House(tmp_path / "courier.db")
    house.server.answer = lambda name, nth: 503 if nth == 1 else 200
    given = [evidence(f"ev-{number}", "acme") for number in range(10)]
    given += [evidence(f"other-{number}", "globex") for number in range(2)]

    async def begin() -> None:
        async with house.courier() as courier:
            for one in given:
                await courier.submit(one).recorded()
            await courier.quiet()

    async def go_on() -> None:
        async with house.courier() as courier:
            for _ in range(60):
                house.clock.advance(5)
                await courier.quiet()
            assert (await courier.counts())["succeeded"] == len(given)

    asyncio.run(begin())
    house.clock.jump(-365 * 86_400.0)
    asyncio.run(go_on())


def test_a_machine_that_was_suspended_goes_on_at_once(tmp_path: Path) -> None:
    house = House(tmp_path / "courier.db")
    house.server.answer = lambda name, nth: 503 if nth == 1 else 200

    async def story() -> None:
        async with house.courier() as courier:
            ticket = courier.submit(evidence())
            await ticket.recorded()
            await courier.quiet()
            house.clock.jump(8 * 3600.0)
            status = await ticket.settled(timeout=30)
            assert status is not None
            assert status.status == "succeeded"

    asyncio.run(story())


def test_an_attempt_says_for_how_long_its_upload_was_due(tmp_path: Path) -> None:
    house = House(tmp_path / "courier.db", tenants={"acme": tenant(pace="1/min")})

    async def story() -> None:
        async with house.courier() as courier:
            tickets = [courier.submit(evidence(f"ev-{number}")) for number in range(2)]
            await until_settled(courier, house.clock, *tickets)

    asyncio.run(story())
    waits = [event.waited for event in house.logger.of(AttemptStarted)]
    assert waits[0] == 0.0
    assert waits[1] is not None
    assert waits[1] >= 59.0
    for event in house.logger.of(AttemptEnded):
        assert event.started_at is not None
        assert (event.seconds, event.waited) == (0.0, 0.0)
