"""A dry run: what it says, what it costs at the gate, and that a plug-in's mistakes are its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest
from attrs import define, field
from store_fixtures import House, PaperProvider, PaperSettings, evidence

from evidence_courier import AsyncCourier, MisuseError, NotReady, Ready
from evidence_courier.domain.integration import Pace, Route
from evidence_courier.domain.upload.failure import Failure, FailureKind
from evidence_courier.domain.upload.verdict import DryRun
from evidence_courier.ports.dialogue import (
    Bookmark,
    Dialogue,
    HttpRequest,
    HttpResponse,
    TransportFailure,
    fetch,
)
from evidence_courier.testing import until_settled

SECRET = "a-key-that-nobody-may-see"


class Checked(PaperProvider):
    """The paper provider with a dry run of two requests."""

    pace: ClassVar[Pace | None] = Pace(3, timedelta(minutes=1))

    def check(self, settings: object) -> Dialogue[DryRun]:
        assert isinstance(settings, PaperSettings)
        for part in ("key", "shelf"):
            headers = (("evidence", part), ("key", settings.key.reveal()), ("date", "none"))
            reply = yield from fetch(HttpRequest("GET", "https://paper.test/", headers))
            if isinstance(reply, TransportFailure):
                return NotReady(Failure(reply.kind, reply.message))
            if reply.status == 429:
                wait = float(reply.header("retry-after") or 0)
                return NotReady(Failure(FailureKind.RATE_LIMITED, "not so fast", retry_after=wait))
            if reply.status != 200:
                return NotReady(
                    Failure(FailureKind.UNAUTHORIZED, reply.body.decode(), http_status=reply.status)
                )
        return Ready(f"the key {settings.key.reveal()} opens shelf {settings.shelf}")


@define
class Paper:
    """A house whose provider can be asked."""

    house: House
    provider: PaperProvider = field(factory=Checked)

    def ask(self, tenant_id: str = "acme") -> DryRun | None:
        async def story(courier: AsyncCourier) -> DryRun | None:
            return await courier.doctor(tenant_id)

        came: DryRun | None = self.during(story)
        return came

    def during(self, story: Callable[[AsyncCourier], Any]) -> Any:
        async def whole() -> Any:
            async with self.house.courier(providers={"paper": self.provider}) as courier:
                return await story(courier)

        return asyncio.run(whole())


@pytest.fixture
def paper(tmp_path: Path) -> Paper:
    return Paper(House(tmp_path / "courier.db"))


def test_an_integration_that_works_is_ready_and_no_secret_is_shown(paper: Paper) -> None:
    assert paper.ask() == Ready("the key *** opens shelf a")
    assert paper.house.server.asked == {"key": 1, "shelf": 1}
    assert paper.house.server.held == [("key", b""), ("shelf", b"")]


def test_one_that_does_not_work_says_why_without_the_secret(paper: Paper) -> None:
    paper.house.server.answer = lambda part, nth: 401 if part == "key" else 200
    assert paper.ask() == NotReady(
        Failure(FailureKind.UNAUTHORIZED, "status 401 for key ***", http_status=401)
    )


def test_a_dry_run_that_has_nothing_to_ask_returns_none(paper: Paper) -> None:
    assert paper.ask("initech") is None
    assert paper.ask("nobody") is None
    paper.provider = PaperProvider()
    assert paper.ask() is None


def test_a_courier_that_is_closed_is_not_asked(paper: Paper) -> None:
    async def story() -> None:
        async with paper.house.courier(providers={"paper": paper.provider}) as courier:
            pass
        with pytest.raises(MisuseError, match="closed"):
            await courier.doctor("acme")

    asyncio.run(story())


class Garbled(PaperProvider):
    """A dry run with a bug in it."""

    def __init__(self, check: Callable[[], Any]) -> None:
        self.check = lambda settings: check()


def raising() -> Any:
    raise RuntimeError(f"no such thing as {SECRET}")


def yielding(*steps: object, result: object = None) -> Any:
    yield from steps
    return result


@pytest.mark.parametrize(
    ("check", "says"),
    [
        (raising, "RuntimeError in its dry run: no such thing as ***"),
        (lambda: None, "NoneType"),
        (lambda: yielding(result="fine"), "its dialogue returned str"),
        (lambda: yielding(result=Ready(None)), "the message of its Ready is NoneType"),  # type: ignore[arg-type]
        (lambda: yielding(result=NotReady("no")), "the failure of its NotReady is str"),  # type: ignore[arg-type]
        (
            lambda: yielding(result=NotReady(Failure(FailureKind.PAUSED, "on leave"))),
            "the kind of its Failure is paused, which only the courier gives: use unauthorized, ",
        ),
        (lambda: yielding(7), "not int"),
        (lambda: yielding(Bookmark("half"), result=Ready("x"), ), None),
    ],
)  # fmt: skip
def test_a_dry_run_with_a_bug_is_reported_as_a_bug(
    paper: Paper, check: Callable[[], Any], says: str | None
) -> None:
    paper.provider = Garbled(check)
    came = paper.ask()
    if says is None:  # a bookmark means nothing here, and does no harm
        assert came == Ready("x")
        return
    assert isinstance(came, NotReady) and came.failure.kind is FailureKind.PROVIDER_BROKEN
    assert says in came.failure.message
    assert "the adapter for paper raised" in came.failure.message
    assert "report it to its authors" in came.failure.message


def test_it_waits_for_its_turn_at_the_gate(paper: Paper) -> None:
    house = paper.house

    async def story(courier: AsyncCourier) -> None:
        await until_settled(
            courier, house.clock, *(courier.submit(evidence(f"ev-{n}")) for n in range(2))
        )
        began = house.clock.now()
        came = asyncio.ensure_future(courier.doctor("acme"))
        await _until_somebody_sleeps(house, began + timedelta(minutes=1))
        assert house.server.asked["key"] == 1 and house.server.asked["shelf"] == 0
        house.clock.advance(60)
        assert await came == Ready("the key *** opens shelf a")

    paper.during(story)


def test_a_dry_run_without_a_turn_for_minutes_says_when_to_ask_again(paper: Paper) -> None:
    house = paper.house
    house.server.answer = lambda evidence_id, nth: (429, 600)

    async def story(courier: AsyncCourier) -> DryRun | None:
        ticket = courier.submit(evidence())
        await ticket.recorded()
        await courier.quiet()
        return await courier.doctor("acme")

    assert paper.during(story) == NotReady(
        Failure(
            FailureKind.RATE_LIMITED,
            "not asked: what paper allows of requests leaves no room before 2026-02-21T10:10:00Z; "
            "ask again then",
        )
    )


def test_a_dry_run_asks_despite_a_block_and_neither_sets_nor_lifts_one(
    paper: Paper,
) -> None:
    house = paper.house
    house.server.answer = lambda part, nth: 401 if part == "ev-1" else 200

    async def story(courier: AsyncCourier) -> None:
        await until_settled(courier, house.clock, courier.submit(evidence("ev-1")))
        assert isinstance(await courier.doctor("acme"), Ready)
        [held] = await until_settled(courier, house.clock, courier.submit(evidence("ev-2")))
        assert held is not None and held.status == "held"

    paper.during(story)


def test_beside_a_block_the_pace_holds_all_the_same(paper: Paper) -> None:
    house = paper.house
    house.server.answer = lambda part, nth: 401 if part == "ev-1" else 200

    async def story(courier: AsyncCourier) -> None:
        await until_settled(courier, house.clock, courier.submit(evidence("ev-1")))
        assert isinstance(
            await courier.doctor("acme"), Ready
        )  # that makes three requests, all that a minute holds
        another = asyncio.ensure_future(courier.doctor("acme"))
        await _until_somebody_sleeps(house, house.clock.now() + timedelta(minutes=1))
        house.clock.advance(60)
        assert isinstance(await another, Ready)

    paper.during(story)


def test_a_refusal_in_a_dry_run_holds_nothing(paper: Paper) -> None:
    house = paper.house
    house.server.answer = lambda part, nth: 401 if part == "key" else 200

    async def story(courier: AsyncCourier) -> None:
        assert isinstance(await courier.doctor("acme"), NotReady)
        [status] = await until_settled(courier, house.clock, courier.submit(evidence()))
        assert status is not None and status.status == "succeeded"

    paper.during(story)


def test_its_requests_count_from_their_end_and_its_pauses_hold_for_uploads(
    paper: Paper,
) -> None:
    """What the provider asks for in a dry run holds for uploads too."""
    house = paper.house
    house.server.answer = lambda part, nth: (429, 30) if part == "key" else 200

    async def story(courier: AsyncCourier) -> None:
        began = house.clock.now()
        assert isinstance(await courier.doctor("acme"), NotReady)
        [status] = await until_settled(courier, house.clock, courier.submit(evidence()))
        assert status is not None and (status.status, status.attempts) == ("succeeded", 1)
        assert house.server.times["ev-1"] == [began + timedelta(seconds=30)]

    paper.during(story)


async def _until_somebody_sleeps(house: House, until: object) -> None:
    async with asyncio.timeout(10):
        while until not in house.clock.wakes():
            await asyncio.sleep(0.001)


@define
class InOneThread:
    """The same server for a courier that blocks."""

    house: House

    def send(self, request: HttpRequest, route: Route) -> HttpResponse | TransportFailure:
        return asyncio.run(self.house.server.send(request, route))

    def close(self) -> None:
        pass


def test_a_worker_of_a_task_queue_asks_waits_and_hears_the_same(paper: Paper) -> None:
    house, slept = paper.house, []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        house.clock.advance(seconds)

    with house.blocking_courier(
        transport=InOneThread(house), providers={"paper": paper.provider}, sleep=sleep
    ) as courier:
        assert courier.doctor("acme") == Ready("the key *** opens shelf a")
        assert courier.doctor("initech") is None
        assert courier.doctor("nobody") is None
        house.server.answer = lambda part, nth: 401 if part == "shelf" else 200
        # The pace is three requests a minute: this takes the third, and waits for the fourth.
        refused = Failure(FailureKind.UNAUTHORIZED, "status 401 for key ***", http_status=401)
        assert courier.doctor("acme") == NotReady(refused)
        assert slept == [60.0]
        house.server.answer = lambda part, nth: (429, 600)
        courier.doctor("acme")
        told = courier.doctor("acme")
        assert isinstance(told, NotReady)
        assert "leaves no room before" in told.failure.message
    with pytest.raises(MisuseError, match="closed"):
        courier.doctor("acme")
