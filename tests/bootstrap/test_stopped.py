"""What an answer about the target or the integration stops, with Sprinto, on a database: a check in
review, an unknown status word, a wrong key."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from attrs import define, field
from store_fixtures import House, evidence

from evidence_courier import AsyncCourier, BlockingCourier, Filter, UploadStatus
from evidence_courier.adapters.providers.sprinto.provider import SprintoProvider
from evidence_courier.delivery.log_facts import Severity, severity_of
from evidence_courier.domain.integration import Route
from evidence_courier.ports.dialogue import HttpRequest, HttpResponse
from evidence_courier.ports.logger import (
    AttemptStarted,
    IntegrationBlocked,
    LogEvent,
    TargetParked,
    UploadHeld,
)
from evidence_courier.testing import FakeClock, until_settled

HOUR = timedelta(hours=1)
SLACK = timedelta(minutes=10)
NAMES = ("ev-0", "ev-1", "ev-2")
REVIEW = {"errors": [{"message": "Check in review"}], "data": None}


def answer_with(status: str) -> dict[str, object]:
    return {"data": {"uploadWorkflowCheckEvidence": {"workflowCheck": {"evidenceStatus": status}}}}


@define
class Sprinto:
    """Sprinto's GraphQL API as a transport."""

    clock: FakeClock
    answer: Callable[[], object]
    asked: list[datetime] = field(factory=list, init=False)

    @property
    def requests(self) -> int:
        return len(self.asked)

    async def send(self, request: HttpRequest, route: Route) -> HttpResponse:
        await asyncio.sleep(0)
        return self.reply()

    def reply(self) -> HttpResponse:
        self.asked.append(self.clock.now())
        return HttpResponse(200, (), json.dumps(self.answer()).encode(), self.clock.now())

    async def close(self) -> None:
        pass


@define
class BlockingSprinto:
    """The same for callers that block."""

    server: Sprinto

    def send(self, request: HttpRequest, route: Route) -> HttpResponse:
        return self.server.reply()

    def close(self) -> None:
        pass


def house_of(folder: Path, **block: object) -> House:
    settings = {"provider": "sprinto", "api_key": "${KEY}", "workflow_check": "wc"}
    tenant: dict[str, object] = {"integrations": {"compliance": settings | block}}
    return House(folder / "courier.db", tenants={"acme": tenant})


def set_in_block(house: House, **block: object) -> None:
    house.tenants["acme"]["integrations"]["compliance"].update(block)  # type: ignore[index]


def courier_of(house: House, server: Sprinto) -> AsyncCourier:
    return house.courier(transport=server, providers={"sprinto": SprintoProvider()})


async def statuses_of(courier: AsyncCourier, number: int) -> list[UploadStatus]:
    found = await courier.statuses("acme", [f"ev-{n}" for n in range(number)])
    return [found[f"ev-{n}"] for n in range(number)]


async def actions_of(courier: AsyncCourier, evidence_id: str) -> list[tuple[str, str]]:
    details = await courier.show("acme", evidence_id)
    assert details is not None
    return [(row.action, row.by) for row in details.actions]


async def live(courier: AsyncCourier, house: House, span: timedelta) -> None:
    """Let time pass in steps of the maintenance."""
    for _ in range(int(span.total_seconds() // 5)):
        house.clock.advance(5)
        await asyncio.sleep(0)
        await courier.quiet()


def test_a_check_in_review_parks_all_and_one_asks_again_for_them(tmp_path: Path) -> None:
    house = house_of(tmp_path)
    server = Sprinto(house.clock, lambda: REVIEW)

    async def story() -> None:
        async with courier_of(house, server) as courier:
            tickets = [courier.submit(evidence(f"ev-{n}")) for n in range(4)]
            for status in await until_settled(courier, house.clock, *tickets):
                assert status is not None
                assert (status.status, status.error and status.error.kind) == (
                    "retrying",
                    "check_in_review",
                )
            await courier.drain()
            asked = server.requests
            found = await statuses_of(courier, 4)
            assert all(status.next_attempt_at is not None for status in found)
            assert found[0].waits_for is not None and "closed by" in found[0].waits_for
            server.answer = lambda: answer_with("UPLOAD_COMPLETE")
            await live(courier, house, timedelta(hours=1, seconds=30))
            await courier.drain()
            assert server.requests == asked + 4
            assert {status.status for status in await statuses_of(courier, 4)} == {"succeeded"}

    asyncio.run(story())


def test_a_delivery_to_a_parked_target_says_when_to_come_again(tmp_path: Path) -> None:
    house = house_of(tmp_path)
    server = Sprinto(house.clock, lambda: REVIEW)
    courier = BlockingCourier.from_mapping(
        lambda: house.tenants,
        house.database,
        transport=BlockingSprinto(server),
        providers={"sprinto": SprintoProvider()},
        clock=house.clock,
        logger=house.logger,
        secrets=house.keys,
    )
    with courier:
        first = courier.deliver(evidence("ev-0"))
        second = courier.deliver(evidence("ev-1"))
        in_an_hour = house.clock.now() + timedelta(hours=1)
        for delivery in (first, second):
            assert delivery.status is not None and delivery.status.status == "retrying"
            assert delivery.again_at is not None
            assert abs(delivery.again_at - in_an_hour) < timedelta(minutes=2)
        assert server.requests == 1
        server.answer = lambda: answer_with("UPLOAD_COMPLETE")
        house.clock.advance(3_700)
        for name in ("ev-0", "ev-1"):
            status = courier.deliver(evidence(name)).status
            assert status is not None and status.status == "succeeded"


def test_an_unknown_status_blocks_and_one_decision_is_for_all(tmp_path: Path) -> None:
    house = house_of(tmp_path, pace="1/min")
    server = Sprinto(house.clock, lambda: answer_with("ACCEPTED"))

    async def story() -> None:
        async with courier_of(house, server) as courier:
            tickets = [courier.submit(evidence(f"ev-{n}")) for n in range(4)]
            await until_settled(courier, house.clock, *tickets)
            first, *rest = await statuses_of(courier, 4)
            assert (first.status, {status.status for status in rest}) == ("failed", {"held"})
            assert server.requests == 1
            set_in_block(house, success_statuses=["UPLOAD_COMPLETE", "ACCEPTED"])
            await courier.reload()
            await live(courier, house, timedelta(minutes=5))
            found = await statuses_of(courier, 4)
            assert {status.status for status in found} == {"succeeded"}
            assert server.requests == 4, "the first may be there, and is not sent again"
            assert await actions_of(courier, "ev-0") == [("attest", "evidence-courier")]
            assert not any(status.possible_duplicate for status in found)

    asyncio.run(story())


def test_other_settings_do_not_send_again_what_may_have_arrived(tmp_path: Path) -> None:
    house = house_of(tmp_path, pace="1/min")
    server = Sprinto(house.clock, lambda: answer_with("ACCEPTED"))

    async def story() -> None:
        async with courier_of(house, server) as courier:
            tickets = [courier.submit(evidence(f"ev-{n}")) for n in range(2)]
            await until_settled(courier, house.clock, *tickets)
            server.answer = lambda: answer_with("UPLOAD_COMPLETE")
            set_in_block(house, workflow_check="another")
            await courier.reload()
            await live(courier, house, timedelta(minutes=3))
            first, second = await statuses_of(courier, 2)
            assert (first.status, second.status) == ("failed", "succeeded")

    asyncio.run(story())


def test_what_a_wrong_key_failed_goes_again_once_the_key_is_mended(tmp_path: Path) -> None:
    house = house_of(tmp_path, pace="600/min")
    server = Sprinto(house.clock, lambda: {"errors": [{"message": "unauthenticated"}]})

    async def story() -> None:
        async with courier_of(house, server) as courier:
            tickets = [courier.submit(evidence(f"ev-{n}")) for n in range(80)]
            await until_settled(courier, house.clock, *tickets)
            found = await statuses_of(courier, 80)
            assert {status.status for status in found} <= {"failed", "held"}
            assert {status.next_attempt_at for status in found} == {None}
            failed = [status.evidence_id for status in found if status.status == "failed"]
            assert failed
            server.answer = lambda: answer_with("UPLOAD_COMPLETE")
            house.keys.values["KEY"] = "a-new-key-that-works"
            asked = server.requests
            await courier.reload()
            async with asyncio.timeout(60):  # threads of the courier have their own pace
                while {one.status for one in await statuses_of(courier, 80)} != {"succeeded"}:
                    await live(courier, house, timedelta(seconds=5))
            assert server.requests == asked + 80
            assert await actions_of(courier, failed[0]) == [("requeue", "evidence-courier")]

    asyncio.run(story())


WRONG_KEY = {"errors": [{"message": "unauthenticated"}]}


@define
class OneByOne(Sprinto):
    """It answers a request once it is let."""

    let: asyncio.Semaphore = field(factory=lambda: asyncio.Semaphore(0), init=False)

    async def send(self, request: HttpRequest, route: Route) -> HttpResponse:
        answer = self.reply()
        await self.let.acquire()
        return answer


def test_nothing_leaves_from_the_moment_a_reply_tells_of_a_wrong_key(tmp_path: Path) -> None:
    house = house_of(tmp_path, pace="600/min")

    async def story() -> None:
        server = OneByOne(house.clock, lambda: WRONG_KEY)
        async with courier_of(house, server) as courier:
            tickets = [courier.submit(evidence(f"ev-{n}")) for n in range(80)]
            begun = 0
            while begun < 80:
                await asyncio.sleep(0.001)
                begun = sum(isinstance(event, AttemptStarted) for event in house.logger.events)
            for _ in range(100):
                await asyncio.sleep(0)
            asked = server.requests  # what has begun waits for a connection
            assert 0 < asked < 60
            server.let.release()
            await tickets[-1].settled(timeout=20)
            assert server.requests == asked
            for _ in range(asked):
                server.let.release()
            await until_settled(courier, house.clock, *tickets)
            words = Counter(status.status for status in await statuses_of(courier, 80))
            assert words == {"failed": asked, "held": 80 - asked}

    asyncio.run(story())


async def fail_and_hold(courier: AsyncCourier, house: House, number: int) -> list[UploadStatus]:
    """Submit so many under a wrong key; all are failed or held after that."""
    tickets = [courier.submit(evidence(f"ev-{n}")) for n in range(number)]
    await until_settled(courier, house.clock, *tickets)
    return await statuses_of(courier, number)


@pytest.mark.parametrize("restarted", [True, False])
def test_submitted_again_under_a_mended_key_a_ticket_waits_anew(
    tmp_path: Path, restarted: bool
) -> None:
    house = house_of(tmp_path, pace="600/min")
    server = Sprinto(house.clock, lambda: WRONG_KEY)

    async def again(courier: AsyncCourier) -> None:
        tickets = [courier.submit(evidence(f"ev-{n}")) for n in (*range(80), 2)]
        found = await until_settled(courier, house.clock, *tickets)
        words = [status and status.status for status in found]
        assert words == [*["succeeded"] * 79, "failed", "succeeded"]

    async def story() -> None:
        async with courier_of(house, server) as courier:
            found = await fail_and_hold(courier, house, 80)
            assert found[79].status == "held"
            await courier.abandon("acme", "ev-79", by="ada", reason="not wanted")
            server.answer = lambda: answer_with("UPLOAD_COMPLETE")
            house.keys.values["KEY"] = "a-new-key-that-works"
            if not restarted:
                await courier.reload()
                await again(courier)
        if restarted:
            async with courier_of(house, server) as courier:
                await again(courier)

    asyncio.run(story())


def test_submitted_again_under_the_same_wrong_key_it_stays_as_it_is(tmp_path: Path) -> None:
    house = house_of(tmp_path)
    server = Sprinto(house.clock, lambda: WRONG_KEY)

    async def story() -> None:
        async with courier_of(house, server) as courier:
            before = await fail_and_hold(courier, house, 3)
            asked = server.requests
            assert await fail_and_hold(courier, house, 3) == before
            assert server.requests == asked

    asyncio.run(story())


def alarms(house: House) -> list[LogEvent]:
    return [event for event in house.logger.events if severity_of(event) is Severity.ERROR]


@pytest.mark.parametrize(
    ("answer", "event"), [(WRONG_KEY, IntegrationBlocked), (REVIEW, TargetParked)]
)
def test_a_block_or_a_park_is_logged_once(
    tmp_path: Path, answer: object, event: type[LogEvent]
) -> None:
    house = house_of(tmp_path, pace="6000/min")
    server = Sprinto(house.clock, lambda: answer)

    async def story() -> None:
        async with courier_of(house, server) as courier:
            await fail_and_hold(courier, house, 80)
            assert server.requests > 1
            assert len(house.logger.of(event)) == 1
            assert UploadHeld not in {type(one) for one in alarms(house)}
            assert len(alarms(house)) == (0 if event is TargetParked else server.requests + 1)
            if event is TargetParked:  # one upload asks again, and prolongs it
                await live(courier, house, timedelta(hours=1, seconds=30))
            else:
                house.clock.advance(1)
                await courier.release("acme", Filter(), by="ada", reason="try it again")
                await fail_and_hold(courier, house, 80)
            assert len(house.logger.of(event)) == 2

    asyncio.run(story())


# --- the probe after an hour, and the end of the park limit, over restarts ---


def park(house: House, server: Sprinto) -> int:
    """Three uploads are parked by a courier that ends; how many requests that took."""

    async def story() -> None:
        async with courier_of(house, server) as courier:
            parked = map(courier.submit, map(evidence, NAMES))
            for status in await until_settled(courier, house.clock, *parked):
                assert status is not None and status.status == "retrying"

    asyncio.run(story())
    return server.requests


async def pass_time(
    courier: AsyncCourier, house: House, word: str, most: timedelta
) -> list[UploadStatus]:
    """Let time pass until all uploads have that status. It stands while the courier works."""
    end = house.clock.now() + most
    while True:
        await courier.quiet()
        found = await statuses_of(courier, len(NAMES))
        if {status.status for status in found} == {word}:
            return found
        assert house.clock.now() < end, found
        house.clock.advance(30)
        await asyncio.sleep(0)


def test_after_a_restart_one_upload_probes_and_the_others_follow(tmp_path: Path) -> None:
    house = house_of(tmp_path)
    server = Sprinto(house.clock, lambda: REVIEW)
    parked_at = house.clock.now()
    before = park(house, server)
    house.clock.advance(1_200)
    server.answer = lambda: answer_with("UPLOAD_COMPLETE")

    async def story() -> None:
        async with courier_of(house, server) as courier:
            for status in await pass_time(courier, house, "succeeded", 2 * HOUR):
                assert status.attempts <= 2

    asyncio.run(story())
    assert server.requests == before + len(NAMES)
    first = server.asked[before]
    assert HOUR <= first - parked_at < HOUR + SLACK
    assert server.asked[-1] - first < SLACK


def test_after_a_restart_what_is_over_the_park_limit_fails(tmp_path: Path) -> None:
    house = house_of(tmp_path, park_limit="5h")
    server = Sprinto(house.clock, lambda: REVIEW)
    parked_at = house.clock.now()
    before = park(house, server)
    house.clock.advance(1_200)

    async def story() -> None:
        async with courier_of(house, server) as courier:
            for status in await pass_time(courier, house, "failed", 8 * HOUR):
                assert status.error is not None and status.error.kind == "check_in_review"

    asyncio.run(story())
    probes = [moment - parked_at for moment in server.asked[before:]]
    assert all(probe >= HOUR for probe in probes)
    assert 2 <= len(probes) <= 3 + len(NAMES)  # after 1, 3 and 7 hours, by one upload


class Queue:
    """A task queue: calls a worker of its own for each evidence when it is due, in virtual time."""

    def __init__(self, house: House, server: Sprinto) -> None:
        self.house, self.server = house, server
        self.due = dict.fromkeys(NAMES, house.clock.now())
        self.ends: dict[str, UploadStatus] = {}

    def call(self) -> None:
        """The call that is due first; the clock goes there."""
        name = min(self.due, key=lambda one: (self.due[one], one))
        wait = (self.due.pop(name) - self.house.clock.now()).total_seconds()
        self.house.clock.advance(max(wait, 0.0))
        with BlockingCourier.from_mapping(
            lambda: self.house.tenants,
            self.house.database,
            transport=BlockingSprinto(self.server),
            providers={"sprinto": SprintoProvider()},
            clock=self.house.clock,
            logger=self.house.logger,
            secrets=self.house.keys,
        ) as worker:
            delivery = worker.deliver(evidence(name))
        assert delivery.status is not None
        if delivery.again_at is None:
            self.ends[name] = delivery.status
        else:
            self.due[name] = delivery.again_at

    def words(self) -> set[str]:
        return {status.status for status in self.ends.values()}


def probes_of(server: Sprinto, since: datetime) -> list[int]:
    """After how many whole hours the target was asked."""
    return [(moment - since) // HOUR for moment in server.asked]


@pytest.mark.parametrize("opens_after", [0, 1, 4])
def test_a_task_queue_probes_and_delivers_all_once_the_target_opens(
    tmp_path: Path, opens_after: int
) -> None:
    house = house_of(tmp_path)
    since = house.clock.now()
    opens_at = since + opens_after * HOUR
    server = Sprinto(
        house.clock,
        lambda: answer_with("UPLOAD_COMPLETE") if house.clock.now() > opens_at else REVIEW,
    )
    queue = Queue(house, server)
    while queue.due:
        queue.call()
    assert queue.words() == {"succeeded"}
    last = {0: 1, 1: 3, 4: 7}[opens_after]
    before = [hour for hour in (0, 1, 3) if hour < last]
    assert probes_of(server, since) == [*before, *[last] * len(NAMES)]


def test_a_task_queue_ends_at_the_park_limit(tmp_path: Path) -> None:
    house = house_of(tmp_path, park_limit="5h")
    server = Sprinto(house.clock, lambda: REVIEW)
    queue, since = Queue(house, server), house.clock.now()
    while queue.due:
        queue.call()
    assert queue.words() == {"failed"}
    for status in queue.ends.values():
        assert status.error is not None and status.error.kind == "check_in_review"
    assert probes_of(server, since)[:3] == [0, 1, 3]
    assert house.clock.now() - since == 7 * HOUR
