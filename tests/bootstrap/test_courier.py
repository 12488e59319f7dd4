"""The courier as a host uses it, on a clock that stands still and a provider that does as it is
told."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

import pytest
from store_fixtures import House, evidence, tenant

from evidence_courier import ConfigError, Document, Evidence, MisuseError, StoreError, UploadStatus
from evidence_courier.adapters.engines.tickets import NothingToDo, Ticket
from evidence_courier.domain.upload.failure import FailureKind
from evidence_courier.ports.logger import (
    AttemptEnded,
    ConfigurationLoaded,
    EvidenceConflict,
    HookFailed,
    UploadRecorded,
    UploadSettled,
)
from evidence_courier.testing import until_settled


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "courier.db")


def test_an_evidence_is_delivered_once_and_its_record_says_so(house: House) -> None:
    async def story() -> None:
        async with house.courier() as courier:
            ticket = courier.submit(evidence())
            await ticket.recorded()
            [status] = await until_settled(courier, house.clock, ticket)
            assert isinstance(status, UploadStatus)
            assert (status.status, status.attempts, status.error) == ("succeeded", 1, None)
            assert status.digest == sha256(b"%PDF-1.7 evidence").hexdigest()
            assert (await courier.statuses("acme", ["ev-1"])) == {"ev-1": status}
        assert house.server.held == [("ev-1", b"%PDF-1.7 evidence")]

    asyncio.run(story())


def test_the_evidence_date_is_that_of_the_record_however_late_it_is_sent(house: House) -> None:
    house.server.answer = lambda _id, nth: 503 if nth < 4 else 200

    async def story() -> None:
        async with house.courier() as courier:
            await until_settled(courier, house.clock, courier.submit(evidence()))
        assert house.server.dates["ev-1"] == "2026-02-20"

    asyncio.run(story())


def test_a_tenant_without_an_integration_is_left_alone(house: House) -> None:
    async def story() -> None:
        async with house.courier() as courier:
            for tenant_id in ("initech", "a tenant that no file names"):
                ticket = courier.submit(evidence(tenant_id=tenant_id))
                await ticket.recorded()
                assert await ticket.settled() is None
                assert not courier.enabled(tenant_id)
            assert courier.enabled("acme")
            assert (await courier.find()).uploads == ()
        assert house.server.held == []
        [loaded] = house.logger.of(ConfigurationLoaded)
        assert loaded.without_integration == ("initech",)

    asyncio.run(story())


def test_what_is_recorded_of_a_tenant_whose_block_was_removed_has_a_ticket(house: House) -> None:
    """As long as its courier runs, and after the next start; and so if it was just submitted."""

    async def story() -> None:
        async with house.courier() as courier:
            await courier.submit(evidence()).settled()
            ticket = courier.submit(evidence("ev-2"))
            house.tenants["acme"] = {"name": "no integration"}
            await courier.reload()
            for evidence_id in ("ev-1", "ev-2"):
                assert not isinstance(courier.submit(evidence(evidence_id)), NothingToDo)
            await ticket.recorded()
        async with house.courier() as courier:
            status = await courier.submit(evidence()).settled()
            assert status is not None
            assert status.status == "succeeded"
            assert await courier.submit(evidence("ev-new")).settled() is None
            assert isinstance(courier.submit(evidence(tenant_id="initech")), NothingToDo)
            await courier.reload()
            assert not isinstance(courier.submit(evidence()), NothingToDo)
            assert isinstance(courier.submit(evidence(tenant_id="initech")), NothingToDo)

    asyncio.run(story())


def test_a_ticket_of_another_thread_has_its_answers_to_come_at_once(house: House) -> None:
    """Made before the loop learns of it: or the loop and a thread that waits each make one."""

    async def story() -> None:
        async with house.courier() as courier:
            with ThreadPoolExecutor(1) as threads:
                ticket = threads.submit(courier.submit, evidence()).result()
            shared = Ticket("acme", "ev-1", ticket.loop)
            assert ticket._recorded is not shared._recorded
            assert ticket._settled is not shared._settled
            assert await ticket.settled() is not None

    asyncio.run(story())


def test_five_attempts_with_growing_waits_then_failed(
    house: House,
) -> None:
    """The record then has everything that an administrator needs."""
    house.server.answer = lambda _id, _nth: 503

    async def story() -> None:
        async with house.courier() as courier:
            [status] = await until_settled(courier, house.clock, courier.submit(evidence()))
            assert status is not None
            assert status.error is not None
            assert (status.status, status.attempts) == ("failed", 5)
            assert (status.error.kind, status.error.http_status) == ("server_error", 503)
            assert status.possible_duplicate
            details = await courier.show("acme", "ev-1")
            assert details is not None
            assert [row.number for row in details.history] == [1, 2, 3, 4, 5]
            assert {row.verdict for row in details.history} == {"unclear"}
            assert status.last_attempt_at == details.history[-1].started_at
        times = house.server.times["ev-1"]
        waits = [(after - before).total_seconds() for before, after in pairwise(times)]
        for wait, least in zip(waits, (5, 10, 20, 40), strict=True):
            assert least <= wait < 2 * least

    asyncio.run(story())


def test_a_retry_that_succeeds_records_the_success_and_keeps_the_failures(house: House) -> None:
    house.server.answer = lambda _id, nth: (
        429 if nth == 1 else FailureKind.NO_CONNECTION if nth == 2 else 200
    )

    async def story() -> None:
        async with house.courier() as courier:
            [status] = await until_settled(courier, house.clock, courier.submit(evidence()))
            assert status is not None
            assert (status.status, status.attempts, status.possible_duplicate) == (
                "succeeded",
                3,
                False,
            )
            details = await courier.show("acme", "ev-1")
            assert details is not None
            assert [row.verdict for row in details.history] == ["deferred", "deferred", "delivered"]
        words = [(event.attempt, event.verdict) for event in house.logger.of(AttemptEnded)]
        assert words == [(1, "deferred"), (2, "deferred"), (3, "delivered")]

    asyncio.run(story())


def test_retry_after_is_a_floor_and_throttled_uploads_wait_a_period(
    house: House,
) -> None:
    """Without Retry-After, that is a period of the pace."""
    house.server.answer = lambda _id, nth: (429, 600.0) if nth == 1 else 429 if nth == 2 else 200

    async def story() -> None:
        async with house.courier() as courier:
            await until_settled(courier, house.clock, courier.submit(evidence()))
        first, second, third = house.server.times["ev-1"]
        assert second - first == timedelta(seconds=600)
        assert third - second == timedelta(minutes=1)

    asyncio.run(story())


@pytest.mark.parametrize("refusal", [400, 401, 404, 422])
def test_what_a_resend_cannot_mend_fails_at_once(house: House, refusal: int) -> None:
    house.server.answer = lambda _id, _nth: refusal

    async def story() -> None:
        async with house.courier() as courier:
            [status] = await until_settled(courier, house.clock, courier.submit(evidence()))
            assert status is not None
            assert status.error is not None
            assert (status.status, status.attempts, status.error.http_status) == (
                "failed",
                1,
                refusal,
            )

    asyncio.run(story())


def test_the_echoed_key_appears_in_no_status_history_event_or_database(house: House) -> None:
    house.server.answer = lambda _id, nth: 503 if nth < 3 else 400

    async def story() -> None:
        async with house.courier() as courier:
            [status] = await until_settled(courier, house.clock, courier.submit(evidence()))
            details = await courier.show("acme", "ev-1")
            assert (
                "that-nobody" not in f"{status!r} {details!r} {house.logger.events!r} {courier!r}"
            )

    asyncio.run(story())
    for file in house.database.parent.glob("courier.db*"):
        assert b"that-nobody" not in file.read_bytes()


def test_sixty_four_submits_of_one_evidence_make_one_upload(house: House) -> None:
    async def story() -> None:
        async with house.courier() as courier:
            tickets = [courier.submit(evidence()) for _ in range(64)]
            statuses = await until_settled(courier, house.clock, *tickets)
            assert {status.status for status in statuses if status} == {"succeeded"}
            assert len((await courier.find()).uploads) == 1
        assert len(house.server.held) == 1

    asyncio.run(story())


def test_threads_may_submit_while_the_courier_runs_on_its_loop(house: House) -> None:
    async def story() -> None:
        async with house.courier() as courier:
            threads = [
                threading.Thread(
                    target=lambda n=n: [
                        courier.submit(evidence(f"ev-{i}")) for i in range(n, n + 4)
                    ]
                )
                for n in range(8)
            ]
            for thread in threads:
                thread.start()
            await asyncio.gather(*(asyncio.to_thread(thread.join) for thread in threads))
            await courier.quiet()
            await courier.drain()
        assert sorted(name for name, _ in house.server.held) == sorted(
            {f"ev-{n}" for n in range(11)}
        )

    asyncio.run(story())


def test_two_couriers_on_one_database_send_an_evidence_once(house: House) -> None:
    async def story() -> None:
        async with house.courier() as one, house.courier() as other:
            tickets = [
                courier.submit(evidence(f"ev-{n}")) for n in range(20) for courier in (one, other)
            ]
            await asyncio.gather(*(ticket.recorded() for ticket in tickets))
            while len((await one.find(status="succeeded")).uploads) < 20:
                await one.quiet()
                await other.quiet()
                house.clock.advance(1)
        assert sorted(name for name, _ in house.server.held) == sorted(f"ev-{n}" for n in range(20))

    asyncio.run(story())


def test_known_evidence_is_not_sent_again_and_another_document_is_logged(
    house: House,
) -> None:
    """That is another document under the same evidence id."""

    async def story() -> None:
        async with house.courier() as courier:
            await until_settled(courier, house.clock, courier.submit(evidence()))
            again = await courier.submit(evidence()).settled()
            other = await courier.submit(evidence(content=b"another")).settled()
            assert again is not None
            assert again == other
            assert again.status == "succeeded"
        assert len(house.server.held) == 1
        [conflict] = house.logger.of(EvidenceConflict)
        assert conflict.submitted_digest == sha256(b"another").hexdigest()

    asyncio.run(story())


def test_one_tenants_silent_server_does_not_delay_anothers_upload(house: House) -> None:
    house.server.answer = lambda name, _nth: None if name.startswith("stuck") else 200

    async def story() -> None:
        courier = house.courier(concurrency=8)
        await courier.start()
        for number in range(200):
            courier.submit(evidence(f"stuck-{number}"))
        ticket = courier.submit(evidence("free", tenant_id="globex"))
        status = await ticket.settled(timeout=5)
        assert status is not None
        assert status.status == "succeeded"
        assert house.server.most_open <= 8
        await courier.close(grace=0)

    asyncio.run(story())


def test_requests_at_once_are_bounded(house: House) -> None:
    async def story() -> None:
        async with house.courier(concurrency=4) as courier:
            tickets = [courier.submit(evidence(f"ev-{n}")) for n in range(100)]
            await until_settled(courier, house.clock, *tickets)
        assert house.server.most_open <= 4
        assert len(house.server.held) == 100

    asyncio.run(story())


def test_what_a_closed_courier_had_waiting_is_taken_up_by_the_next(house: House) -> None:
    house.server.answer = lambda _id, nth: 503 if nth == 1 else 200

    async def story() -> None:
        async with house.courier() as first:
            ticket = first.submit(evidence())
            await ticket.recorded()
            await first.quiet()
        with pytest.raises(MisuseError, match="closed before"):
            await ticket.settled()
        house.clock.advance(60)
        async with house.courier() as second:
            await second.drain()
            status = (await second.statuses("acme", ["ev-1"]))["ev-1"]
            assert (status.status, status.attempts) == ("succeeded", 2)

    asyncio.run(story())


def test_a_request_cut_off_by_closing_is_recorded_as_perhaps_taken(house: House) -> None:
    house.server.answer = lambda _id, nth: None if nth == 1 else 200

    async def story() -> None:
        courier = house.courier()
        await courier.start()
        ticket = courier.submit(evidence())
        await ticket.recorded()
        while not house.server.asked["ev-1"]:
            await asyncio.sleep(0)
        await courier.close(grace=0)
        async with house.courier() as second:
            details = await second.show("acme", "ev-1")
            assert details is not None
            assert details.status == "retrying"
            assert [(row.verdict, row.kind) for row in details.history] == [
                ("unclear", "interrupted")
            ]

    asyncio.run(story())


def test_begun_uploads_keep_their_credentials_and_later_take_the_new(
    house: House,
) -> None:
    house.server.answer = lambda _id, nth: 503 if nth == 1 else 200

    async def story() -> None:
        async with house.courier() as courier:
            old = courier.submit(evidence("old"))
            await old.recorded()
            await courier.quiet()
            house.keys.values["KEY"] = "the-new-key-of-the-tenant"
            await courier.reload()
            new = courier.submit(evidence("new"))
            await until_settled(courier, house.clock, old, new)
        assert house.server.keys["old"] == ["a-key-that-nobody-may-see"] * 2
        assert house.server.keys["new"] == ["the-new-key-of-the-tenant"] * 2

    asyncio.run(story())


def test_a_broken_configuration_keeps_the_old_one_whole(house: House) -> None:
    async def story() -> None:
        async with house.courier() as courier:
            house.tenants["acme"] = tenant(provider="papr")
            house.tenants["globex"] = {}
            with pytest.raises(ConfigError, match="paper"):
                await courier.reload()
            assert courier.enabled("acme")
            assert courier.enabled("globex")
            house.tenants["acme"] = tenant()
            await courier.reload()
            assert not courier.enabled("globex")

    asyncio.run(story())


def test_an_invalid_tenant_is_refused_or_skipped_as_the_host_wishes(house: House) -> None:
    house.tenants["acme"] = tenant(shelves="b")
    with pytest.raises(ConfigError, match="shelf"):
        house.courier()

    async def story() -> None:
        async with house.courier(on_invalid="skip") as courier:
            assert [problem.suggestion for problem in courier.problems] == ["shelf"]
            assert courier.enabled("acme")  # its evidence is recorded, and held
            assert courier.enabled("globex")

    asyncio.run(story())


@pytest.mark.parametrize(
    ("document", "kind"),
    [
        (Document(content=b"x" * 1_000_001, media_type="application/pdf"), "unfit_size"),
        (Document(content=b"", media_type="application/pdf"), "unfit_size"),
        (Document(content=b"{}", media_type="application/json"), "unfit_type"),
    ],
)
def test_a_document_that_the_provider_cannot_take_fails_before_any_request(
    house: House, document: Document, kind: str
) -> None:
    unfit = Evidence(
        tenant_id="acme",
        evidence_id="ev-1",
        session_id="s",
        subject="p",
        outcome="exhausted",
        recorded_at=house.clock.now(),
        document=document,
    )

    async def story() -> None:
        async with house.courier() as courier:
            status = await courier.submit(unfit).settled(timeout=5)
            assert status is not None
            assert status.error is not None
            assert (status.status, status.attempts, status.error.kind) == ("failed", 0, kind)
        assert not house.server.asked

    asyncio.run(story())


def test_a_file_is_read_on_recording_and_a_missing_one_has_failed(
    house: House, tmp_path: Path
) -> None:
    file = tmp_path / "ev.pdf"
    file.write_bytes(b"%PDF from a file")

    def of(path: Path, evidence_id: str) -> Evidence:
        return Evidence(
            tenant_id="acme",
            evidence_id=evidence_id,
            session_id="s",
            subject="p",
            outcome="passed",
            recorded_at=house.clock.now(),
            document=Document(path=str(path), media_type="application/pdf"),
        )

    async def story() -> None:
        async with house.courier() as courier:
            house.server.answer = lambda _id, nth: 503 if nth == 1 else 200
            ticket = courier.submit(of(file, "there"))
            await ticket.recorded()
            file.unlink()
            await until_settled(courier, house.clock, ticket)
            assert house.server.held == [("there", b"%PDF from a file")]
            missing = await until_settled(courier, house.clock, courier.submit(of(file, "missing")))
            assert missing == list((await courier.statuses("acme", ["missing"])).values())
            assert missing[0] is not None and missing[0].error is not None
            assert missing[0].error.kind == "document_gone"
            assert "cannot be read" in missing[0].error.message

    asyncio.run(story())


class Shelf:
    """A `DocumentSource`."""

    def __init__(self) -> None:
        self.documents: dict[str, bytes | Exception] = {}

    def read(self, tenant_id: str, key: str) -> bytes:
        found = self.documents[key]
        if isinstance(found, Exception):
            raise found
        return found


@pytest.mark.parametrize(
    ("kept", "outcome"),
    [
        (b"kept", ("succeeded", None)),
        (b"changed", ("failed", "document_gone")),
        (None, ("failed", "document_gone")),
        (OSError("the disk is away"), ("failed", "source_unavailable")),
    ],
)
def test_a_document_in_the_hosts_own_storage_is_read_when_it_is_sent(
    house: House, kept: bytes | Exception | None, outcome: tuple[str, str | None]
) -> None:
    shelf = Shelf()
    if kept is not None:
        shelf.documents["key"] = kept
    document = Document(
        source="key", sha256=sha256(b"kept").hexdigest(), size=4, media_type="application/pdf"
    )

    async def story() -> None:
        async with house.courier(source=shelf) as courier:
            handed = Evidence(
                tenant_id="acme",
                evidence_id="ev",
                session_id="s",
                subject="p",
                outcome="passed",
                recorded_at=house.clock.now(),
                document=document,
            )
            [status] = await until_settled(courier, house.clock, courier.submit(handed))
            assert status is not None
            assert (status.status, status.error and status.error.kind) == outcome

    asyncio.run(story())


def test_the_hosts_hook_hears_of_each_settled_upload_and_may_raise(
    house: House,
) -> None:
    """Its errors harm no upload."""
    heard: list[str] = []

    def hook(status: UploadStatus) -> None:
        heard.append(f"{status.evidence_id} {status.status}")
        raise RuntimeError("the host's trouble")

    async def story() -> None:
        async with house.courier(on_settled=hook) as courier:
            await until_settled(courier, house.clock, courier.submit(evidence()))
            await until_settled(courier, house.clock, courier.submit(evidence("ev-2")))
        await asyncio.sleep(0)
        assert heard == ["ev-1 succeeded", "ev-2 succeeded"]
        assert len(house.logger.of(HookFailed)) == 2

    asyncio.run(story())


def test_each_event_is_logged_after_its_record_is_written(house: House) -> None:
    async def story() -> None:
        async with house.courier() as courier:
            await until_settled(courier, house.clock, courier.submit(evidence()))
        names = [type(event).__name__ for event in house.logger.events]
        assert names == [
            "ConfigurationLoaded",
            "UploadRecorded",
            "AttemptStarted",
            "AttemptEnded",
            "UploadSettled",
        ]
        assert len(house.logger.of(UploadRecorded)) == len(house.logger.of(UploadSettled)) == 1

    asyncio.run(story())


def test_a_list_is_filtered_and_paged(house: House) -> None:
    house.server.answer = lambda name, _nth: 400 if name.startswith("bad") else 200

    async def story() -> None:
        async with house.courier() as courier:
            tickets = [
                courier.submit(evidence(f"{kind}-{n}"))
                for n in range(5)
                for kind in ("good", "bad")
            ]
            await until_settled(courier, house.clock, *tickets)
            bad = await courier.find(tenant_id="acme", status="failed", limit=3)
            rest = await courier.find(
                tenant_id="acme", status="failed", limit=3, after=bad.next_page
            )
            assert {s.evidence_id for s in (*bad.uploads, *rest.uploads)} == {
                f"bad-{n}" for n in range(5)
            }
            assert rest.next_page is None
            with pytest.raises(MisuseError, match="no status"):
                await courier.find(status="lost")  # type: ignore[arg-type]
            health = await courier.health()
            assert health.counts["succeeded"] == 5
            assert (health.submitted, health.planned, health.under_way) == (0, 0, 0)

    asyncio.run(story())


def test_misuse_raises_an_error_that_says_what_is_wrong(house: House, tmp_path: Path) -> None:
    async def story() -> None:
        courier = house.courier()
        with pytest.raises(MisuseError, match="not been started"):
            courier.submit(evidence())
        async with courier:
            with pytest.raises(MisuseError, match="takes an Evidence"):
                courier.submit("evidence")  # type: ignore[call-overload]
            with pytest.raises(MisuseError, match="started before"):
                await courier.start()
        with pytest.raises(MisuseError, match="closed"):
            await courier.submit(evidence()).settled()
        with pytest.raises(MisuseError, match="closed"):
            await courier.find()
        await courier.close()
        with pytest.raises(StoreError):
            async with House(tmp_path / "no" / "such" / "folder.db").courier():
                pass

    asyncio.run(story())
    with pytest.raises(MisuseError, match="concurrency"):
        house.courier(concurrency=0)
    with pytest.raises(TypeError, match="did you mean concurrency"):
        house.courier(concurency=1)
    with pytest.raises(TypeError, match=r"did you mean database\?"):
        house.courier(databse="courier.db")


def test_a_wait_that_ends_in_vain_says_the_state_and_when_it_goes_on(house: House) -> None:
    house.server.answer = lambda name, nth: 503

    async def story() -> None:
        async with house.courier() as courier:
            ticket = courier.submit(evidence())
            with pytest.raises(TimeoutError, match="after 0 s: it is not recorded yet; the upload"):
                await ticket.settled(timeout=0)
            await ticket.recorded()
            await courier.quiet()
            upload = (await courier.statuses("acme", ["ev-1"]))["ev-1"]
            due = f"{upload.next_attempt_at:%Y-%m-%d %H:%M:%S} UTC"
            told = f"acme/ev-1 is not settled after 0.01 s: it is retrying, and due at {due}; "
            with pytest.raises(TimeoutError, match=told):
                await ticket.settled(timeout=0.01)

    asyncio.run(story())
    with house.sync_courier() as blocking:
        again = blocking.submit(evidence("ev-2"))
        again.recorded()
        blocking.quiet()
        with pytest.raises(TimeoutError, match=r"acme/ev-2 is not settled .* it is retrying, and"):
            again.settled(timeout=0.01)
