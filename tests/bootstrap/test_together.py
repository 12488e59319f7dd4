"""Several uploads in one request, in virtual time: what fills a request, what it costs, and what
one poisoned file does to the others."""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from attrs import define, evolve, field
from store_fixtures import House, Keys, evidence

from evidence_courier import (
    AsyncCourier,
    BlockingCourier,
    Document,
    Evidence,
    MisuseError,
    UploadStatus,
)
from evidence_courier.adapters.providers.sprinto.provider import SprintoProvider
from evidence_courier.domain.evidence.evidence import sha256_of
from evidence_courier.domain.integration import Route
from evidence_courier.domain.upload.failure import Failure, FailureKind
from evidence_courier.domain.upload.verdict import Deferred, Delivered, Receipt, Unbundled, Verdict
from evidence_courier.ports.dialogue import (
    Dialogue,
    HttpRequest,
    HttpResponse,
    TransportFailure,
    bookmark,
    fetch,
)
from evidence_courier.ports.provider import Bundle, Parcel
from evidence_courier.testing import FakeClock, until_settled
from evidence_courier.testing.memory_store import MemoryStore
from evidence_courier.testing.sandboxes.rates import RateLimit, RateMeter

FILE_NAME = re.compile(rb'name="files"; filename="(ev-[0-9]+)-')
GOOD = json.dumps({"success": True, "error": None}).encode()


def said(error: str) -> bytes:
    return json.dumps({"success": False, "error": error}).encode()


@define
class RestServer:
    """Sprinto's REST API as a transport: it counts, keeps to its pace, and refuses a request
    with a poisoned file as a whole."""

    clock: FakeClock
    poisoned: frozenset[str] = frozenset()
    answer: Callable[[int], HttpResponse | TransportFailure | None] = lambda _nth: None
    requests: list[list[str]] = field(factory=list)
    held: Counter[str] = field(factory=Counter)
    refused: int = 0
    meter: RateMeter = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.meter = RateMeter(RateLimit(10, 60.0, "sliding"), self.clock.monotonic)

    async def send(self, request: HttpRequest, route: Route) -> HttpResponse | TransportFailure:
        await asyncio.sleep(0)
        now = self.clock.now()
        names = [name.decode() for name in FILE_NAME.findall(b"".join(request.body))]
        if self.meter.ask():
            self.refused += 1
            return HttpResponse(429, (), b"", now)
        self.requests.append(names)
        answer = self.answer(len(self.requests))
        if answer is not None:
            return answer
        if self.poisoned.intersection(names):
            return HttpResponse(400, (), said("Invalid file type"), now)
        self.held.update(names)
        return HttpResponse(201, (("x-request-id", f"r-{len(self.requests)}"),), GOOD, now)

    async def close(self) -> None:
        pass


def rest_tenant(**block: object) -> dict[str, object]:
    settings = {"provider": "sprinto", "api_key": "${KEY}", "workflow_check": "wc", "api": "rest"}
    return {"integrations": {"compliance": settings | block}}


def house_of(folder: Path, **block: object) -> House:
    return House(
        folder / "courier.db",
        tenants={"acme": rest_tenant(**block), "globex": rest_tenant(**block)},
    )


def open_courier(house: House, server: RestServer, **options: Any) -> AsyncCourier:
    return house.courier(
        **{"transport": server, "providers": {"sprinto": SprintoProvider()}} | options
    )


def deliver(
    house: House, server: RestServer, names: Sequence[str], tenant_id: str = "acme", **options: Any
) -> dict[str, UploadStatus]:
    """Submit them all at once and let time pass until every one is settled."""

    async def story() -> dict[str, UploadStatus]:
        async with open_courier(house, server, **options) as courier:
            tickets = [courier.submit(evidence(name, tenant_id, name.encode())) for name in names]
            statuses = await until_settled(courier, house.clock, *tickets)
            return {status.evidence_id: status for status in statuses if status is not None}

    return asyncio.run(story())


def names_to(count: int) -> list[str]:
    return [f"ev-{number}" for number in range(count)]


def test_a_thousand_completions_go_through_in_about_ten_minutes(tmp_path: Path) -> None:
    house = house_of(tmp_path)
    server = RestServer(house.clock)
    began = house.clock.now()
    settled = deliver(house, server, names_to(1_000))
    assert {(status.status, status.attempts) for status in settled.values()} == {("succeeded", 1)}
    assert house.clock.now() - began <= timedelta(minutes=10, seconds=30)
    assert server.refused == 0
    assert set(server.held.values()) == {1}
    assert len(server.held) == 1_000
    assert len(server.requests) <= 103


def test_one_poisoned_file_fails_alone_and_costs_the_others_a_minute(tmp_path: Path) -> None:
    house = house_of(tmp_path)
    server = RestServer(house.clock, poisoned=frozenset({"ev-345"}))
    began = house.clock.now()
    settled = deliver(house, server, names_to(1_000))
    poisoned = settled.pop("ev-345")
    assert (poisoned.status, poisoned.error and poisoned.error.kind) == (
        "failed",
        "unsupported_type",
    )
    assert {status.status for status in settled.values()} == {"succeeded"}
    assert house.clock.now() - began <= timedelta(minutes=11, seconds=45)
    assert set(server.held.values()) == {1}
    assert server.refused == 0
    assert sum(len(names) == 1 for names in server.requests) <= 12


def test_what_is_taken_apart_goes_alone_once_without_being_charged(tmp_path: Path) -> None:
    house = house_of(tmp_path, retry={"max_attempts": 1})
    server = RestServer(house.clock, poisoned=frozenset({"ev-1"}))
    settled = deliver(house, server, names_to(3))
    assert {name: status.status for name, status in settled.items()} == {
        "ev-0": "succeeded",
        "ev-1": "failed",
        "ev-2": "succeeded",
    }
    assert sorted(server.requests) == [["ev-0"], ["ev-0", "ev-1", "ev-2"], ["ev-1"], ["ev-2"]]

    async def histories() -> dict[str, list[str]]:
        async with open_courier(house, server) as courier:
            shown = [await courier.show("acme", name) for name in names_to(3)]
            return {one.evidence_id: [row.verdict for row in one.history] for one in shown if one}

    assert asyncio.run(histories()) == {
        "ev-0": ["unbundled", "delivered"],
        "ev-1": ["unbundled", "rejected"],
        "ev-2": ["unbundled", "delivered"],
    }


def test_every_upload_has_its_own_attempt_with_the_request_they_share(tmp_path: Path) -> None:
    house = house_of(tmp_path)
    server = RestServer(house.clock)

    async def story() -> None:
        async with open_courier(house, server) as courier:
            tickets = [
                courier.submit(evidence(name, content=name.encode())) for name in names_to(3)
            ]
            await until_settled(courier, house.clock, *tickets)
            shown = [await courier.show("acme", name) for name in names_to(3)]
            rows = [one.history for one in shown if one is not None]
            assert [
                [(row.number, row.verdict, row.request_id) for row in history] for history in rows
            ] == [[(1, "delivered", "r-1")]] * 3

    asyncio.run(story())


def test_a_request_without_an_id_of_the_providers_is_given_one(tmp_path: Path) -> None:
    house = house_of(tmp_path)
    server = RestServer(
        house.clock, answer=lambda _nth: HttpResponse(201, (), GOOD, house.clock.now())
    )

    async def story() -> set[str | None]:
        async with open_courier(house, server) as courier:
            tickets = [
                courier.submit(evidence(name, content=name.encode())) for name in names_to(3)
            ]
            await until_settled(courier, house.clock, *tickets)
            shown = [await courier.show("acme", name) for name in names_to(3)]
            return {row.request_id for one in shown if one for row in one.history}

    (shared,) = asyncio.run(story())
    assert shared is not None
    assert re.fullmatch("together-[0-9a-f]{16}", shared)


def test_a_lonely_upload_leaves_after_a_quarter_of_a_second(tmp_path: Path) -> None:
    house = house_of(tmp_path)
    server = RestServer(house.clock)
    began = house.clock.now()
    settled = deliver(house, server, ["ev-0"])
    assert settled["ev-0"].last_attempt_at == began + timedelta(seconds=0.25)


def test_a_request_holds_no_more_files_and_bytes_than_the_tenant_says(tmp_path: Path) -> None:
    house = house_of(tmp_path, files_per_request=3, bytes_per_request=9)
    server = RestServer(house.clock)
    deliver(house, server, names_to(7))  # of four bytes each
    assert [len(names) for names in server.requests] == [2, 2, 2, 1]


def test_two_tenants_never_share_a_request_though_they_share_a_key(tmp_path: Path) -> None:
    house = house_of(tmp_path)
    server = RestServer(house.clock)

    async def story() -> None:
        async with open_courier(house, server) as courier:
            tickets = [
                courier.submit(evidence(f"ev-{number}", tenant, b"%d" % number))
                for number, tenant in enumerate(["acme", "globex"] * 3)
            ]
            await until_settled(courier, house.clock, *tickets)

    asyncio.run(story())
    assert sorted(map(sorted, server.requests)) == [
        ["ev-0", "ev-2", "ev-4"],
        ["ev-1", "ev-3", "ev-5"],
    ]


def test_with_a_broken_integration_one_upload_fails_and_the_rest_is_held(
    tmp_path: Path,
) -> None:
    house = house_of(tmp_path)
    server = RestServer(
        house.clock, answer=lambda _nth: HttpResponse(401, (), b"", house.clock.now())
    )
    settled = deliver(house, server, names_to(4))
    assert Counter(status.status for status in settled.values()) == {"failed": 1, "held": 3}
    assert len(server.requests) == 1

    # With another key they go by themselves, and what has failed goes once more.
    house.keys = Keys({"KEY": "another-key-that-nobody-may-see"})
    mended = RestServer(house.clock)
    asyncio.run(asyncio.wait_for(_drained(house, mended), 20))
    assert sum(mended.held.values()) == 4


async def _drained(house: House, server: RestServer) -> None:
    async with open_courier(house, server) as courier:
        drained = asyncio.ensure_future(courier.drain())
        while not drained.done():
            await courier.quiet()
            wake = house.clock.next_wake()
            if wake is not None and not drained.done():
                house.clock.set(wake)
            await asyncio.sleep(0)
        await drained


def test_a_missing_reply_leaves_each_of_them_in_doubt_and_charges_each(
    tmp_path: Path,
) -> None:
    house = house_of(tmp_path)
    lost = TransportFailure(FailureKind.CONNECTION_LOST, "gone")
    server = RestServer(house.clock, answer=lambda nth: lost if nth == 1 else None)
    settled = deliver(house, server, names_to(3))
    assert {(one.status, one.attempts, one.possible_duplicate) for one in settled.values()} == {
        ("succeeded", 2, True)
    }


def test_a_document_that_is_gone_fails_by_itself_and_the_others_go(tmp_path: Path) -> None:
    house = house_of(tmp_path)
    server = RestServer(house.clock)
    there = {"k-0": b"one", "k-1": b"two"}

    class Source:
        def read(self, tenant_id: str, key: str) -> bytes:
            return there[key]

    def of_source(number: int) -> Any:
        document = Document(
            source=f"k-{number}",
            sha256=sha256_of(there.get(f"k-{number}", b"")),
            size=3,
            media_type="application/pdf",
        )
        return evolve(evidence(f"ev-{number}"), document=document)

    async def story() -> dict[str, str]:
        async with open_courier(house, server, source=Source()) as courier:
            tickets = [courier.submit(of_source(number)) for number in range(3)]
            statuses = await until_settled(courier, house.clock, *tickets)
            return {one.evidence_id: one.status for one in statuses if one is not None}

    assert asyncio.run(story()) == {"ev-0": "succeeded", "ev-1": "succeeded", "ev-2": "failed"}
    assert server.requests == [["ev-0", "ev-1"]]


def test_two_couriers_on_one_database_send_each_once(tmp_path: Path) -> None:
    house = house_of(tmp_path)
    server = RestServer(house.clock)

    async def story() -> list[UploadStatus | None]:
        async with open_courier(house, server) as one, open_courier(house, server) as other:
            tickets = [
                (one, other)[number % 2].submit(evidence(name, content=name.encode()))
                for number, name in enumerate(names_to(60))
            ]
            return await until_settled(one, house.clock, *tickets)

    statuses = asyncio.run(story())
    assert {one and (one.status, one.attempts) for one in statuses} == {("succeeded", 1)}
    assert set(server.held.values()) == {1}
    assert server.refused == 0


def test_closing_in_mid_request_leaves_each_with_the_doubt_that_it_is(tmp_path: Path) -> None:
    house = house_of(tmp_path)
    began = asyncio.Event()

    class SilentServer(RestServer):
        async def send(self, request: HttpRequest, route: Route) -> HttpResponse | TransportFailure:
            began.set()
            await asyncio.Event().wait()
            raise AssertionError("nobody answers")

    async def story() -> set[tuple[str, str | None]]:
        courier = open_courier(house, SilentServer(house.clock))
        await courier.start()
        tickets = [courier.submit(evidence(name, content=name.encode())) for name in names_to(3)]
        await asyncio.gather(*(ticket.recorded() for ticket in tickets))
        await courier.quiet()
        house.clock.advance(0.25)
        await began.wait()
        await courier.close(grace=0.0)
        async with open_courier(house, RestServer(house.clock)) as reader:
            shown = [await reader.show("acme", name) for name in names_to(3)]
            return {(row.verdict, row.kind) for one in shown if one for row in one.history}

    assert asyncio.run(story()) == {("unclear", "interrupted")}


class Clumsy(SprintoProvider):
    """Breaks what it owes, as `fault` says."""

    def __init__(self, fault: str) -> None:
        self.fault = fault

    def upload_together(self, parcels: Any, settings: object) -> Dialogue[Any]:
        if self.fault == "raises at once":
            raise RuntimeError("a bug")
        if self.fault == "makes a bookmark":
            yield from bookmark("half")
        if self.fault == "raises after sending":
            yield from fetch(HttpRequest("POST", "https://paper.test/", (), (b"x",)))
            raise RuntimeError("a bug")
        if self.fault == "too few":
            return []
        if self.fault == "nonsense":
            return ["yes"] * len(parcels)
        return None


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("raises at once", "provider_broken"),
        ("makes a bookmark", "provider_broken"),
        ("too few", "provider_broken"),
        ("nonsense", "provider_broken"),
        ("nothing", "provider_broken"),
        ("raises after sending", "unrecognised_reply"),
    ],
)
def test_a_provider_with_a_bug_fails_its_uploads_with_words(
    tmp_path: Path, fault: str, kind: str
) -> None:
    house = house_of(tmp_path)
    settled = deliver(
        house, RestServer(house.clock), names_to(2), providers={"sprinto": Clumsy(fault)}
    )
    assert {(one.status, one.error and one.error.kind) for one in settled.values()} == {
        ("failed", kind)
    }


def test_without_a_word_on_how_much_goes_together_each_goes_by_itself(
    tmp_path: Path,
) -> None:
    class Speechless(SprintoProvider):
        def bundle(self, settings: object) -> Any:
            raise RuntimeError("a bug")

    house = house_of(tmp_path)
    server = RestServer(house.clock)
    deliver(house, server, names_to(2), providers={"sprinto": Speechless()})
    assert sorted(server.requests) == [["ev-0"], ["ev-1"]]


@pytest.mark.parametrize(
    "nonsense",
    [
        {"most": 3},
        "3",
        Bundle(cast("int", "3")),
        Bundle(cast("int", 2.5)),
        Bundle(3, cast("int", "25MB")),
    ],
    ids=repr,
)
def test_a_provider_whose_bundle_is_nonsense_is_sent_one_by_one(
    tmp_path: Path, nonsense: object
) -> None:
    """It stops no other provider."""

    class Babbling(SprintoProvider):
        name = "babbling"

        def bundle(self, settings: object) -> Any:
            return nonsense

    tenants = {"acme": rest_tenant(provider="babbling"), "globex": rest_tenant()}
    house = House(tmp_path / "courier.db", tenants=tenants)
    server = RestServer(house.clock)

    async def story() -> set[str]:
        providers = {"babbling": Babbling(), "sprinto": SprintoProvider()}
        async with open_courier(house, server, providers=providers) as courier:
            tickets = [courier.submit(evidence(f"ev-{number}", "acme")) for number in (0, 1)]
            tickets += [courier.submit(evidence(f"ev-{number}", "globex")) for number in (2, 3)]
            settled = await until_settled(courier, house.clock, *tickets)
            return {one.status for one in settled if one is not None}

    assert asyncio.run(story()) == {"succeeded"}
    assert sorted(server.requests) == [["ev-0"], ["ev-1"], ["ev-2", "ev-3"]]


class InTwoSteps(SprintoProvider):
    """Takes an upload that goes alone in two steps; the second one of `slow` is put off once."""

    def __init__(self, slow: str = "") -> None:
        self.slow = slow
        self.steps: list[tuple[str, str]] = []

    def upload(self, parcel: Parcel, settings: object, progress: str | None) -> Dialogue[Verdict]:
        if progress is None:
            self.steps.append((parcel.evidence_id, "first"))
            yield from bookmark("half")
        if parcel.evidence_id == self.slow:
            self.slow = ""
            return Deferred(Failure(FailureKind.NO_CONNECTION, "not now"))
        self.steps.append((parcel.evidence_id, "second"))
        return Delivered(Receipt())

    def upload_together(
        self, parcels: Sequence[Parcel], settings: object
    ) -> Dialogue[Sequence[Verdict | Unbundled]]:
        self.steps += [(parcel.evidence_id, "together") for parcel in parcels]
        yield from ()
        return [Delivered(Receipt()) for _ in parcels]


def test_the_one_that_is_left_of_several_may_make_a_bookmark(tmp_path: Path) -> None:
    class Source:
        def read(self, tenant_id: str, key: str) -> bytes:
            if key == "ev-0":
                raise FileNotFoundError(key)
            return key.encode()

    house = house_of(tmp_path)
    provider = InTwoSteps()

    async def story() -> list[str]:
        server = RestServer(house.clock)
        async with open_courier(
            house, server, providers={"sprinto": provider}, source=Source()
        ) as courier:
            tickets = [
                courier.submit(
                    evolve(
                        evidence(name),
                        document=Document(
                            source=name,
                            sha256=sha256_of(name.encode()),
                            size=len(name),
                            media_type="application/pdf",
                        ),
                    )
                )
                for name in names_to(2)
            ]
            settled = await until_settled(courier, house.clock, *tickets)
            return [one.status for one in settled if one is not None]

    assert asyncio.run(story()) == ["failed", "succeeded"]
    assert provider.steps == [("ev-1", "first"), ("ev-1", "second")]


def test_what_is_half_done_goes_on_alone_from_its_bookmark(tmp_path: Path) -> None:
    house = house_of(tmp_path, retry={"initial_delay": "1s", "max_delay": "2s"})
    provider = InTwoSteps(slow="ev-0")

    async def story() -> None:
        server = RestServer(house.clock)
        async with open_courier(house, server, providers={"sprinto": provider}) as courier:
            half = courier.submit(evidence("ev-0"))
            await half.recorded()
            while not provider.steps:
                await courier.quiet()
                house.clock.advance(0.25)
            await courier.quiet()
            # From now on it waits a second or two; the others come at every moment at which it may
            # come again.
            others = []
            for number in range(1, 21):
                others.append(courier.submit(evidence(f"ev-{number}")))
                await others[-1].recorded()
                await courier.quiet()
                house.clock.advance(0.125)
            await until_settled(courier, house.clock, half, *others)

    asyncio.run(story())
    assert [step for name, step in provider.steps if name == "ev-0"] == ["first", "second"]


def test_a_clock_that_is_set_back_leaves_no_upload_waiting_for_company(tmp_path: Path) -> None:
    house = house_of(tmp_path)
    server = RestServer(house.clock)

    async def story() -> None:
        async with open_courier(house, server) as courier:
            ticket = courier.submit(evidence("ev-0"))
            await ticket.recorded()
            await courier.quiet()
            house.clock.jump(-3_600.0)
            await until_settled(courier, house.clock, ticket)

    began: datetime = house.clock.now()
    asyncio.run(story())
    assert house.clock.now() <= began - timedelta(minutes=59)


def test_the_same_on_a_store_in_memory(tmp_path: Path) -> None:
    house = house_of(tmp_path)
    server = RestServer(house.clock, poisoned=frozenset({"ev-3"}))

    async def story() -> list[str]:
        courier = AsyncCourier.from_mapping(
            house.tenants,
            store=MemoryStore(),
            clock=house.clock,
            logger=house.logger,
            transport=server,
            providers={"sprinto": SprintoProvider()},
            secrets=house.keys,
        )
        async with courier:
            tickets = [
                courier.submit(evidence(name, content=name.encode())) for name in names_to(12)
            ]
            statuses = await until_settled(courier, house.clock, *tickets)
            return [one.evidence_id for one in statuses if one and one.status == "failed"]

    assert asyncio.run(story()) == ["ev-3"]


def test_one_whose_record_is_gone_leaves_the_others_their_turn(tmp_path: Path) -> None:
    house = house_of(tmp_path)
    server = RestServer(house.clock)

    async def story() -> list[str]:
        async with open_courier(house, server) as courier:
            first = [
                courier.submit(evidence(f"ev-{number}", content=b"%d" % number))
                for number in range(100)
            ]
            await until_settled(courier, house.clock, *first)
            # The pace is used up now, so the next request is refused its turn.
            tickets = [
                courier.submit(evidence(f"ev-{number}", content=b"%d" % number))
                for number in (200, 201)
            ]
            await asyncio.gather(*(ticket.recorded() for ticket in tickets))
            with sqlite3.connect(house.database) as database:
                for table in ("documents", "attempts", "uploads"):
                    column = "id" if table == "uploads" else "upload_id"
                    database.execute(
                        f"DELETE FROM {table} WHERE {column} = (SELECT id FROM uploads WHERE "
                        "evidence_id = 'ev-200')"
                    )
            database.close()
            (status,) = await until_settled(courier, house.clock, tickets[1])
            later = courier.submit(evidence("ev-300", content=b"300"))
            (last,) = await until_settled(courier, house.clock, later)
            return [one.status for one in (status, last) if one is not None]

    assert asyncio.run(story()) == ["succeeded", "succeeded"]


# --- a worker of a task queue --------------------------------------------------------------------


@define
class InOneThread:
    """The same server for a courier that blocks."""

    server: RestServer

    def send(self, request: HttpRequest, route: Route) -> HttpResponse | TransportFailure:
        return asyncio.run(self.server.send(request, route))

    def close(self) -> None:
        pass


def worker(house: House, server: RestServer) -> BlockingCourier:
    return house.blocking_courier(
        transport=InOneThread(server), providers={"sprinto": SprintoProvider()}
    )


def of(names: Sequence[str], tenant_id: str = "acme") -> list[Evidence]:
    return [evidence(name, tenant_id, name.encode()) for name in names]


def test_a_worker_sends_several_in_a_request_each_tenant_by_itself(
    tmp_path: Path,
) -> None:
    house = house_of(tmp_path)
    server = RestServer(house.clock)
    with worker(house, server) as courier:
        wanted = [
            *of(["ev-0", "ev-1"]),
            *of(["ev-7"], "initech"),
            *of(["ev-2"], "globex"),
            *of(["ev-3"]),
        ]
        deliveries = courier.deliver_many(wanted)
        assert [one.status and one.status.status for one in deliveries] == [
            "succeeded",
            "succeeded",
            None,
            "succeeded",
            "succeeded",
        ]
        assert {one.again_at for one in deliveries} == {None}
        assert sorted(server.requests) == [["ev-0", "ev-1", "ev-3"], ["ev-2"]]
        # What is known is not sent again, and what is new goes by itself.
        courier.deliver_many(of(["ev-0", "ev-4"]))
        assert server.requests[2:] == [["ev-4"]]
        assert courier.deliver_many([]) == []


def test_a_worker_sends_no_more_at_once_than_the_provider_takes(tmp_path: Path) -> None:
    house = house_of(tmp_path)
    server = RestServer(house.clock)
    with worker(house, server) as courier:
        courier.deliver_many(of(names_to(25)))
    assert sorted(map(len, server.requests)) == [5, 10, 10]
    assert set(server.held.values()) == {1}


def test_what_a_worker_took_apart_goes_alone_at_its_next_call(tmp_path: Path) -> None:
    house = house_of(tmp_path)
    server = RestServer(house.clock, poisoned=frozenset({"ev-1"}))
    with worker(house, server) as courier:
        first = courier.deliver_many(of(names_to(3)))
        assert {one.status and one.status.status for one in first} == {"retrying"}
        again_at = max(one.again_at for one in first if one.again_at)
        house.clock.advance((again_at - house.clock.now()).total_seconds())
        last = courier.deliver_many(of(names_to(3)))
    assert [one.status and one.status.status for one in last] == [
        "succeeded",
        "failed",
        "succeeded",
    ]
    assert server.requests == [["ev-0", "ev-1", "ev-2"], ["ev-0"], ["ev-1"], ["ev-2"]]


def test_a_delivery_beyond_the_pace_says_when_to_come_again(tmp_path: Path) -> None:
    house = house_of(tmp_path, pace="1/min")
    server = RestServer(house.clock)
    with worker(house, server) as courier:
        courier.deliver_many(of(["ev-0", "ev-1"]))
        refused = courier.deliver_many(of(["ev-2", "ev-3"]))
        assert {one.status and one.status.attempts for one in refused} == {0}
        assert all(one.again_at and one.again_at > house.clock.now() for one in refused)
    assert server.requests == [["ev-0", "ev-1"]]


def test_a_worker_refuses_what_cannot_be_right_before_anything_is_sent(tmp_path: Path) -> None:
    house = house_of(tmp_path)
    server = RestServer(house.clock)
    with worker(house, server) as courier:
        with pytest.raises(MisuseError, match="'ev-0' of tenant 'acme' is given 2 times"):
            courier.deliver_many(of(["ev-0", "ev-0"]))
        with pytest.raises(MisuseError, match="takes an Evidence, not str"):
            courier.deliver_many(["ev-0"])  # type: ignore[list-item]
        assert server.requests == []
        missing = Document(path=str(tmp_path / "missing.pdf"), media_type="application/pdf")
        both = [*of(["ev-0"]), evolve(evidence("ev-9"), document=missing)]
        sent, unsent = courier.deliver_many(both)
        assert sent.status is not None and unsent.status is not None
        assert unsent.status.error is not None
        assert unsent.status.error.kind == "document_gone"
    assert server.requests == [["ev-0"]]
