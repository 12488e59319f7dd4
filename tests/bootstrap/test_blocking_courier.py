"""A courier for the workers of a task queue: one step a call, whatever happens to the worker."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from inspect import signature
from pathlib import Path
from typing import Any, ClassVar, cast

import pytest
from attrs import define, evolve, field
from store_fixtures import RECORDED_AT, House, Keys, PaperProvider, evidence, tenant

from evidence_courier import (
    AsyncCourier,
    BlockingCourier,
    Delivery,
    Document,
    Evidence,
    MisuseError,
    StoreError,
    UploadStatus,
)
from evidence_courier.adapters.engines.registration import PAUSE
from evidence_courier.adapters.stores.sqlite import SqliteStore
from evidence_courier.delivery.actions import COURIER
from evidence_courier.domain.integration import Route
from evidence_courier.domain.upload.failure import Failure, FailureKind
from evidence_courier.domain.upload.status import wait_for_integration
from evidence_courier.domain.upload.verdict import (
    Absent,
    Deferred,
    Delivered,
    Finding,
    Found,
    Receipt,
    Verdict,
)
from evidence_courier.ports.dialogue import (
    Dialogue,
    HttpRequest,
    HttpResponse,
    TransportFailure,
    bookmark,
    fetch,
)
from evidence_courier.ports.logger import (
    AttemptEnded,
    AttemptRecovered,
    AttemptStarted,
    EvidenceConflict,
    UploadHeld,
    UploadRecorded,
    UploadSettled,
    WriteDelayed,
)
from evidence_courier.ports.provider import Parcel
from evidence_courier.testing import FakeClock
from evidence_courier.testing.sandboxes import SprintoSandbox, VantaSandbox, sandbox_in_thread

KEY = "the-key-of-the-sandbox"
CHECK = "3f1c2a9e-8a43-4a0e-9d0b-6d3f6f1b2c77"


class SoftTimeLimitExceeded(Exception):
    """What a task queue raises in the middle of whatever its worker does."""


@define
class Desk:
    """A `BlockingTransport` and the server behind it: `answer(evidence_id, nth)` gives a status,
    a kind of transport failure, or raises."""

    clock: FakeClock
    answer: Callable[[str, int], int | FailureKind] = field(default=lambda _evidence, _nth: 200)
    asked: list[str] = field(factory=list)
    held: list[str] = field(factory=list)
    closed: int = 0

    def send(self, request: HttpRequest, route: Route) -> HttpResponse | TransportFailure:
        name = dict(request.headers)["evidence"]
        self.asked.append(name)
        answer = self.answer(name, self.asked.count(name))
        if isinstance(answer, FailureKind):
            return TransportFailure(answer, f"the line said {answer.value}")
        if answer == 200:
            self.held.append(name)
        return HttpResponse(answer, (), b"", self.clock.now())

    def close(self) -> None:
        self.closed += 1


@define
class Office:
    """A blocking courier and everything around it."""

    house: House
    desk: Desk
    sleeps: list[float] = field(factory=list)

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.house.clock.advance(seconds)

    def courier(self, **options: Any) -> BlockingCourier:
        around: dict[str, Any] = {
            "clock": self.house.clock,
            "logger": self.house.logger,
            "transport": self.desk,
            "providers": {"paper": PaperProvider()},
            "secrets": self.house.keys,
            "sleep": self.sleep,
        }
        database = None if "store" in options else self.house.database
        return BlockingCourier.from_mapping(
            lambda: self.house.tenants, database, **around | options
        )


@pytest.fixture
def office(tmp_path: Path) -> Office:
    house = House(tmp_path / "courier.db")
    return Office(house, Desk(house.clock))


def words(delivery: Delivery) -> tuple[str, int, str | None]:
    """Status, attempts and the kind of error of a delivery."""
    assert delivery.status is not None
    error = delivery.status.error
    return delivery.status.status, delivery.status.attempts, None if error is None else error.kind


# -- steps
# --------------------------------------------------------------------------------------------------


def test_an_evidence_is_delivered_in_one_step_and_never_sent_again(office: Office) -> None:
    with office.courier() as courier:
        first = courier.deliver(evidence())
        assert (words(first), first.again_at) == (("succeeded", 1, None), None)
        assert courier.deliver(evidence()) == first
        assert courier.statuses("acme", ["ev-1"]) == {"ev-1": first.status}
        assert courier.find(status="succeeded").uploads == (first.status,)
        details = courier.show("acme", "ev-1")
        assert details is not None
        assert [row.verdict for row in details.history] == ["delivered"]
    assert office.desk.held == ["ev-1"]
    kinds = [type(event) for event in office.house.logger.events[1:]]
    assert kinds == [UploadRecorded, AttemptStarted, AttemptEnded, UploadSettled]


def test_five_attempts_are_made_as_the_answers_say_and_then_it_has_failed(office: Office) -> None:
    office.desk.answer = lambda _id, _nth: FailureKind.NO_CONNECTION
    clock = office.house.clock
    with office.courier() as courier:
        for least in (5, 10, 20, 40):
            delivery = courier.deliver(evidence())
            assert delivery.again_at is not None
            wait = (delivery.again_at - clock.now()).total_seconds()
            assert least <= wait < 2 * least
            clock.advance(wait - 1)
            early = courier.deliver(evidence())
            assert (early.again_at, early.status) == (delivery.again_at, delivery.status)
            clock.set(delivery.again_at)
        last = courier.deliver(evidence())
    assert (words(last), last.again_at) == (("failed", 5, "no_connection"), None)
    assert len(office.desk.asked) == 5


def test_a_tenant_without_an_integration_touches_no_file(office: Office) -> None:
    with office.courier() as courier:
        for tenant_id in ("initech", "a tenant that no file names"):
            assert courier.deliver(evidence(tenant_id=tenant_id)) == Delivery(None, None)
            assert not courier.enabled(tenant_id)
        assert courier.enabled("acme")
    assert not office.house.database.exists()


def test_what_waits_of_a_tenant_whose_block_was_removed_is_asked_for_again(
    office: Office,
) -> None:
    office.desk.answer = lambda _id, _nth: 503
    with office.courier() as courier:
        assert words(courier.deliver(evidence()))[0] == "retrying"
        office.house.tenants["acme"] = {"name": "no integration"}
        courier.reload()
        left = courier.deliver(evidence())
        assert words(left)[0] == "retrying"
        assert left.again_at is not None
    with office.courier() as another:
        assert another.deliver(evidence()).again_at is not None
        assert another.deliver(evidence(tenant_id="initech")) == Delivery(None, None)


def test_an_integration_that_appears_at_a_reload_is_used(office: Office) -> None:
    with office.courier() as courier:
        assert courier.deliver(evidence(tenant_id="initech")) == Delivery(None, None)
        office.house.tenants["initech"] = tenant()
        courier.reload()
        assert words(courier.deliver(evidence(tenant_id="initech")))[0] == "succeeded"


def test_another_document_under_a_known_key_changes_nothing_and_is_logged(office: Office) -> None:
    with office.courier() as courier:
        courier.deliver(evidence())
        assert words(courier.deliver(evidence(content=b"%PDF-1.7 another")))[0] == "succeeded"
    assert len(office.house.logger.of(EvidenceConflict)) == 1
    assert office.desk.held == ["ev-1"]


def test_a_file_that_is_gone_after_the_first_step_is_not_missed(
    office: Office, tmp_path: Path
) -> None:
    office.desk.answer = lambda _id, nth: FailureKind.NO_CONNECTION if nth == 1 else 200
    file = tmp_path / "ev-1.pdf"
    file.write_bytes(b"%PDF-1.7 evidence")

    def by_path(name: str) -> Evidence:
        return Evidence(
            tenant_id="acme",
            evidence_id=name,
            session_id="s-1",
            subject="emp-7",
            outcome="passed",
            recorded_at=RECORDED_AT,
            document=Document(path=str(file), media_type="application/pdf"),
        )

    with office.courier() as courier:
        again_at = courier.deliver(by_path("ev-1")).again_at
        assert again_at is not None
        file.unlink()
        office.house.clock.set(again_at)
        assert words(courier.deliver(by_path("ev-1")))[0] == "succeeded"
        missing = courier.deliver(by_path("ev-2"))
        assert (words(missing), missing.again_at) == (("failed", 0, "document_gone"), None)


@pytest.mark.parametrize("content", [b"x" * 1_000_001, b""], ids=["large", "empty"])
def test_a_document_that_does_not_fit_has_failed_at_once(office: Office, content: bytes) -> None:
    with office.courier() as courier:
        delivery = courier.deliver(evidence(content=content))
    assert (words(delivery), delivery.again_at) == (("failed", 0, "unfit_size"), None)
    assert len(office.house.logger.of(UploadSettled)) == 1


def test_the_pace_says_when_to_come_again_and_spends_no_attempt(office: Office) -> None:
    office.house.tenants["acme"] = tenant(pace="2/min")
    began = office.house.clock.now()
    with office.courier() as courier:
        deliveries = [courier.deliver(evidence(f"ev-{n}")) for n in range(3)]
        assert [words(delivery)[:2] for delivery in deliveries] == [
            ("succeeded", 1), ("succeeded", 1), ("pending", 0),
        ]  # fmt: skip
        assert deliveries[2].again_at == began + timedelta(minutes=1)
        office.house.clock.set(began + timedelta(minutes=1))
        assert words(courier.deliver(evidence("ev-2")))[0] == "succeeded"


def test_a_blocked_integration_holds_the_others_until_its_settings_change(office: Office) -> None:
    office.desk.answer = lambda _id, nth: 401 if len(office.desk.asked) == 1 else 200
    with office.courier() as courier:
        assert words(courier.deliver(evidence("ev-1"))) == ("failed", 1, "unauthorized")
        held = courier.deliver(evidence("ev-2"))
        assert (words(held)[0], held.again_at) == ("held", None)
        assert words(courier.deliver(evidence("ev-2")))[0] == "held"
        assert len(office.house.logger.of(UploadHeld)) == 1
        office.house.keys = Keys({"KEY": "another-key-that-works"})
    with office.courier() as courier:
        assert words(courier.deliver(evidence("ev-2"))) == ("succeeded", 1, None)


def test_recover_says_what_the_uploads_of_a_tenant_that_is_gone_wait_for(office: Office) -> None:
    """There is no background that would; after ten minutes they are held."""
    office.desk.answer = lambda _id, _nth: 503
    with office.courier() as courier:
        courier.deliver(evidence("ev-1"))
    del office.house.tenants["acme"]
    with office.courier() as courier:
        office.house.clock.advance(120)
        courier.recover()
        found = courier.statuses("acme", ["ev-1"])["ev-1"]
        told = wait_for_integration("acme", "paper")
        assert (found.status, found.waits_for, found.next_attempt_at) == ("retrying", told, None)
        office.house.clock.advance(660)
        courier.recover()
        held = courier.statuses("acme", ["ev-1"])["ev-1"]
        assert held.error is not None
        assert (held.status, held.error.kind) == ("held", "integration_gone")
        assert "(a BlockingCourier's at the next deliver)" in held.error.message


def test_what_a_wrong_key_failed_goes_again_once_under_another_key(office: Office) -> None:
    office.desk.answer = lambda _id, nth: 401 if nth < 3 else 200
    for key, attempts in [("wrong", 1), ("wrong", 1), ("wrong too", 2), ("wrong too", 2)]:
        office.house.keys = Keys({"KEY": f"a-key-that-is-{key}"})
        with office.courier() as courier:
            delivery = courier.deliver(evidence("ev-1"))
            assert words(delivery) == ("failed", attempts, "unauthorized")
    office.house.keys = Keys({"KEY": "a-key-that-works"})
    with office.courier() as courier:
        assert words(courier.deliver(evidence("ev-1"))) == ("succeeded", 3, None)
        details = courier.show("acme", "ev-1")
    assert details is not None
    assert [(row.action, row.by) for row in details.actions] == [("requeue", COURIER)] * 2


class ReadablePaper(PaperProvider):
    """Can be asked."""

    look_up_delays: ClassVar[tuple[timedelta, ...]] = (timedelta(seconds=2), timedelta(seconds=10))

    def look_up(self, parcel: Parcel, settings: object, progress: str | None) -> Dialogue[Finding]:
        reply = yield from fetch(HttpRequest("GET", "https://paper.test/", (("evidence", "read"),)))
        found = isinstance(reply, HttpResponse) and reply.status == 200
        return Found(Receipt("r-1")) if found else Absent()


def test_a_doubt_is_looked_up_one_look_a_call(office: Office) -> None:
    office.desk.answer = lambda name, nth: (
        FailureKind.TIMEOUT if name == "ev-1" else 404 if nth == 1 else 200
    )
    clock = office.house.clock
    with office.courier(providers={"paper": ReadablePaper()}) as courier:
        for wait in (2, 10):
            delivery = courier.deliver(evidence())
            assert words(delivery) == ("retrying", 1, "timeout")
            assert delivery.again_at == clock.now() + timedelta(seconds=wait)
            clock.advance(wait)
        last = courier.deliver(evidence())
    assert (words(last), last.again_at) == (("succeeded", 1, None), None)
    assert office.desk.asked == ["ev-1", "read", "read"]


class TwoSteps(PaperProvider):
    """Two requests, of which one is charged beforehand."""

    def upload(self, parcel: Parcel, settings: object, progress: str | None) -> Dialogue[Verdict]:
        if progress is None:
            yield from fetch(HttpRequest("POST", "https://paper.test/", (("evidence", "step-1"),)))
            yield from bookmark("uploaded")
        reply = yield from fetch(
            HttpRequest("POST", "https://paper.test/", (("evidence", "step-2"),))
        )
        if isinstance(reply, TransportFailure):
            return Deferred(Failure(reply.kind, reply.message))
        return Delivered(Receipt())


def test_a_further_request_waits_a_short_time_in_the_worker(
    office: Office,
) -> None:
    """It waits for the pace."""
    office.house.tenants["acme"] = tenant(pace="3/min")
    with office.courier(providers={"paper": TwoSteps()}) as courier:
        assert words(courier.deliver(evidence("ev-1"))) == ("succeeded", 1, None)
        office.house.clock.advance(20)
        assert words(courier.deliver(evidence("ev-2"))) == ("succeeded", 1, None)
    assert office.desk.asked == ["step-1", "step-2"] * 2
    assert office.sleeps == [40.0]


def test_a_further_request_waits_as_many_periods_as_an_upload_needs(
    office: Office,
) -> None:
    """It waits for its slot."""
    office.house.tenants["acme"] = tenant(pace="3/h")
    with office.courier(providers={"paper": TwoSteps()}) as courier:
        courier.deliver(evidence("ev-1"))
        assert words(courier.deliver(evidence("ev-2"))) == ("succeeded", 1, None)
    assert office.desk.asked == ["step-1", "step-2", "step-1", "step-2"]
    assert sum(office.sleeps) == pytest.approx(3600, abs=1)


class PausedMidway(PaperProvider):
    """Two requests, between which another upload is told to come back in ten minutes."""

    def __init__(self, office: Office, keeps: bool) -> None:
        super().__init__()
        self._office, self._keeps = office, keeps

    def upload(self, parcel: Parcel, settings: object, progress: str | None) -> Dialogue[Verdict]:
        name = parcel.evidence_id
        for step in ("step-1", "step-2") if progress is None else ("step-2",):
            headers = (("evidence", f"{name} {step}"),)
            reply = yield from fetch(HttpRequest("GET", "https://paper.test/", headers))
            if isinstance(reply, TransportFailure):
                return Deferred(Failure(reply.kind, reply.message))
            if name == "ev-2":
                failure = Failure(FailureKind.RATE_LIMITED, "later", retry_after=600)
                return Deferred(failure)
            if step == "step-1":
                with self._office.courier(providers={"paper": self}) as other:
                    other.deliver(evidence("ev-2"))
                if self._keeps:
                    yield from bookmark("uploaded")
        return Delivered(Receipt())


def test_giving_up_for_the_pace_spends_no_attempt_and_keeps_the_bookmark(office: Office) -> None:
    office.house.tenants["acme"] = tenant(pace="10/min", retry={"max_attempts": 1})
    back_at = office.house.clock.now() + timedelta(minutes=10)
    with office.courier(providers={"paper": PausedMidway(office, keeps=True)}) as courier:
        given_up = courier.deliver(evidence("ev-1"))
        assert (words(given_up), given_up.again_at) == (("retrying", 1, "not_sent"), back_at)
        office.house.clock.set(back_at)
        assert words(courier.deliver(evidence("ev-1"))) == ("succeeded", 2, None)
    assert office.desk.asked == ["ev-1 step-1", "ev-2 step-1", "ev-1 step-2"]


def test_a_wait_for_the_pace_is_charged_if_requests_must_be_made_again(
    office: Office,
) -> None:
    """Else an upload whose requests the pace never holds would be sent for ever."""
    office.house.tenants["acme"] = tenant(pace="10/min", retry={"max_attempts": 1})
    with office.courier(providers={"paper": PausedMidway(office, keeps=False)}) as courier:
        assert words(courier.deliver(evidence("ev-1"))) == ("failed", 1, "not_sent")


# -- interruptions
# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "by", [SoftTimeLimitExceeded(), KeyboardInterrupt(), SystemExit(1)], ids=repr
)
def test_an_interruption_in_mid_send_is_recorded_as_unclear_and_goes_on(
    office: Office, by: BaseException
) -> None:
    def answer(_id: str, nth: int) -> int:
        if nth == 1:
            raise by
        return 200

    office.desk.answer = answer
    with office.courier() as courier:
        with pytest.raises(type(by)) as raised:
            courier.deliver(evidence())
        assert raised.value is by
        status = courier.statuses("acme", ["ev-1"])["ev-1"]
        assert status.error is not None
        assert (status.status, status.error.kind) == ("retrying", "interrupted")
        assert type(by).__name__ in status.error.message
        assert status.next_attempt_at is not None
        office.house.clock.set(status.next_attempt_at)
        delivery = courier.deliver(evidence())
        assert words(delivery) == ("succeeded", 2, None)
        assert delivery.status is not None
        assert delivery.status.possible_duplicate


class Repeating(PaperProvider):
    """What it posts makes no copy."""

    def upload(self, parcel: Parcel, settings: object, progress: str | None) -> Dialogue[Verdict]:
        dialogue = super().upload(parcel, settings, progress)
        request = next(dialogue)
        assert isinstance(request, HttpRequest)
        answer = yield evolve(request, repeatable=True)
        try:
            dialogue.send(answer)
        except StopIteration as end:
            return cast(Verdict, end.value)
        raise AssertionError("it sends one request")


def test_an_interrupted_request_that_is_repeatable_leaves_no_doubt(office: Office) -> None:
    def answer(_id: str, nth: int) -> int:
        if nth == 1:
            raise SoftTimeLimitExceeded()
        return 200

    office.desk.answer = answer
    with office.courier(providers={"paper": Repeating()}) as courier:
        with pytest.raises(SoftTimeLimitExceeded):
            courier.deliver(evidence())
        status = courier.statuses("acme", ["ev-1"])["ev-1"]
        assert status.next_attempt_at is not None
        office.house.clock.set(status.next_attempt_at)
        delivery = courier.deliver(evidence())
        assert delivery.status is not None
        assert (delivery.status.status, delivery.status.possible_duplicate) == ("succeeded", False)


class Dawdling(PaperProvider):
    """Takes its time before its first request, and is struck there by a signal."""

    def upload(self, parcel: Parcel, settings: object, progress: str | None) -> Dialogue[Verdict]:
        os.kill(os.getpid(), signal.SIGUSR1)
        return (yield from super().upload(parcel, settings, progress))


@contextmanager
def on_signal(number: int, error: BaseException) -> Iterator[None]:
    def strike(_number: int, _frame: object) -> None:
        raise error

    before = signal.signal(number, strike)
    try:
        yield
    finally:
        signal.signal(number, before)


def test_an_interruption_in_the_providers_own_code_is_not_its_bug(office: Office) -> None:
    with office.courier(providers={"paper": Dawdling()}) as courier:
        with (
            on_signal(signal.SIGUSR1, SoftTimeLimitExceeded()),
            pytest.raises(SoftTimeLimitExceeded),
        ):
            courier.deliver(evidence())
        details = courier.show("acme", "ev-1")
        assert details is not None
        assert [(row.verdict, row.kind) for row in details.history] == [("deferred", "not_sent")]
        assert details.status == "retrying"


def test_a_providers_bug_is_its_own_and_the_worker_goes_on(office: Office) -> None:
    class Broken(PaperProvider):
        def upload(
            self, parcel: Parcel, settings: object, progress: str | None
        ) -> Dialogue[Verdict]:
            yield from fetch(HttpRequest("POST", "https://paper.test/", (("evidence", "x"),)))
            raise LookupError("a bug")

    with office.courier(providers={"paper": Broken()}) as courier:
        assert words(courier.deliver(evidence())) == ("failed", 1, "unrecognised_reply")


# -- a store in trouble
# ---------------------------------------------------------------------------------------------


class Full(SqliteStore):
    """A disk that is full for so many saves."""

    refusals = 0

    def save(self, changes: Any) -> Any:
        if self.refusals > 0:
            self.refusals -= 1
            raise StoreError("no room left")
        return super().save(changes)


def test_an_end_that_cannot_be_written_is_tried_again(office: Office) -> None:
    store = Full(str(office.house.database), monotonic=office.house.clock.monotonic)
    with office.courier(store=store) as courier:
        store.refusals = 2
        assert words(courier.deliver(evidence())) == ("succeeded", 1, None)
    store.close()
    assert office.sleeps == [0.5, 2.0]
    assert len(office.house.logger.of(WriteDelayed)) == 2


@pytest.mark.parametrize("by", ["the same process", "another"])
def test_an_end_that_cannot_be_written_is_recovered_by_the_next_courier(
    office: Office, by: str
) -> None:
    store = Full(str(office.house.database), monotonic=office.house.clock.monotonic)
    courier = office.courier(store=store)
    store.refusals = 3
    with pytest.raises(StoreError, match="no room left"):
        courier.deliver(evidence())
    if by == "another":
        courier.close()
        store.close()
        courier = office.courier()
    delivery = courier.deliver(evidence())
    assert words(delivery) == ("retrying", 1, "interrupted")
    assert delivery.again_at is not None
    office.house.clock.set(delivery.again_at)
    again = courier.deliver(evidence())
    assert again.status is not None
    assert (words(again), again.status.possible_duplicate) == (("succeeded", 2, None), True)
    assert len(office.house.logger.of(AttemptRecovered)) == 1
    courier.close()
    store.close()


# -- threads
# --------------------------------------------------------------------------------------------------


def test_two_threads_with_the_same_evidence_make_one_copy(
    office: Office,
) -> None:
    """They make one attempt at a time."""
    sending, let_go = threading.Event(), threading.Event()

    def answer(_id: str, _nth: int) -> int:
        sending.set()
        assert let_go.wait(5)
        return 200

    office.desk.answer = answer
    with office.courier() as courier, ThreadPoolExecutor(1) as thread:
        first = thread.submit(courier.deliver, evidence())
        assert sending.wait(5)
        second = courier.deliver(evidence())
        assert words(second)[:2] == ("pending", 1)
        assert second.again_at == office.house.clock.now() + timedelta(seconds=5)
        let_go.set()
        assert words(first.result(5))[0] == "succeeded"
        assert courier.deliver(evidence()).again_at is None
    assert office.desk.asked == ["ev-1"]


def test_two_couriers_with_the_same_evidence_make_one_attempt_at_a_time(office: Office) -> None:
    other = office.courier()

    def answer(_id: str, _nth: int) -> int:
        seen.append(other.deliver(evidence()))
        return 200

    seen: list[Delivery] = []
    office.desk.answer = answer
    with office.courier() as courier:
        assert words(courier.deliver(evidence()))[0] == "succeeded"
    other.close()
    [delivery] = seen
    assert words(delivery)[:2] == ("pending", 1)
    assert delivery.again_at == office.house.clock.now() + timedelta(seconds=5)
    assert office.desk.asked == ["ev-1"]


def test_many_threads_deliver_many_evidences_once(office: Office) -> None:
    with office.courier() as courier, ThreadPoolExecutor(8) as threads:
        names = [f"ev-{n}" for n in range(20)] * 4
        for delivery in threads.map(lambda name: courier.deliver(evidence(name)), names):
            assert delivery.status is not None
    assert sorted(office.desk.held) == sorted(set(names))


def test_a_process_that_was_idle_for_long_takes_a_new_number(office: Office) -> None:
    with office.courier() as courier:
        numbers = []
        for wait in (0.0, 1.0, PAUSE):
            office.house.clock.advance(wait)
            courier.deliver(evidence(f"ev-{wait}"))
            with sqlite3.connect(office.house.database) as db:
                numbers.append(db.execute("SELECT id FROM couriers").fetchall())
            db.close()
        assert numbers[0] == numbers[1] != numbers[2]
        assert [len(found) for found in numbers] == [1, 1, 1]


def test_a_closed_courier_says_so_and_may_be_closed_again(office: Office) -> None:
    courier = office.courier()
    courier.deliver(evidence())
    courier.close()
    courier.close()
    with pytest.raises(MisuseError, match="closed"):
        courier.deliver(evidence())
    with pytest.raises(MisuseError, match="closed"):
        courier.statuses("acme", ["ev-1"])
    assert not list(office.house.database.parent.glob("*.lock"))
    assert office.desk.closed == 0  # it is the caller's


def test_what_is_no_evidence_is_refused(office: Office) -> None:
    with office.courier() as courier, pytest.raises(MisuseError, match="not dict"):
        courier.deliver({})  # type: ignore[arg-type]


# -- the sandbox
# --------------------------------------------------------------------------------------------------


def to_sprinto(url: str, **block: object) -> dict[str, dict[str, object]]:
    settings = {
        "provider": "sprinto",
        "api_key": "${KEY}",
        "workflow_check": CHECK,
        "endpoint": url,
        **block,
    }
    return {"acme": {"integrations": {"compliance": settings}}}


def sprinto_courier(url: str, database: Path, **options: Any) -> BlockingCourier:
    options.setdefault("secrets", Keys({"KEY": KEY}))
    block = options.pop("block_", {})
    return BlockingCourier.from_mapping(to_sprinto(url, **block), database, **options)


def digest_of(status: UploadStatus | None) -> str:
    assert status is not None
    return status.digest


def test_one_copy_reaches_the_provider(tmp_path: Path) -> None:
    with (
        sandbox_in_thread(SprintoSandbox(key=KEY)) as sandbox,
        sprinto_courier(sandbox.url, tmp_path / "courier.db") as courier,
    ):
        delivery = courier.deliver(evidence())
        assert (words(delivery), delivery.again_at) == (("succeeded", 1, None), None)
        assert sandbox.copies(digest_of(delivery.status)) == 1


def test_503_five_times_is_exhausted(tmp_path: Path) -> None:
    clock = FakeClock()
    box = SprintoSandbox(key=KEY, faults=["status:503=1"])
    with (
        sandbox_in_thread(box) as sandbox,
        sprinto_courier(sandbox.url, tmp_path / "courier.db", clock=clock) as courier,
    ):
        for least in (5, 10, 20, 40):
            delivery = courier.deliver(evidence())
            assert words(delivery)[2] == "server_error"
            assert delivery.again_at is not None
            assert least <= (delivery.again_at - clock.now()).total_seconds() < 2 * least
            clock.set(delivery.again_at)
        last = courier.deliver(evidence())
        assert (words(last), last.again_at) == (("failed", 5, "server_error"), None)
        assert sandbox.copies(digest_of(last.status)) == 0


def test_a_reset_after_the_upload_was_taken_is_a_possible_duplicate(tmp_path: Path) -> None:
    clock = FakeClock()
    box = SprintoSandbox(key=KEY, faults=["reset-after=x1"])
    with (
        sandbox_in_thread(box) as sandbox,
        sprinto_courier(sandbox.url, tmp_path / "courier.db", clock=clock) as courier,
    ):
        delivery = courier.deliver(evidence())
        assert words(delivery) == ("retrying", 1, "connection_lost")
        assert delivery.again_at is not None
        clock.set(delivery.again_at)
        last = courier.deliver(evidence())
        assert last.status is not None
        assert (words(last), last.status.possible_duplicate) == (("succeeded", 2, None), True)
        assert sandbox.copies(digest_of(last.status)) == 2


PROLOGUE = f"""
import os, sys
from datetime import UTC, datetime
from evidence_courier import BlockingCourier, Document, Evidence

url, database = sys.argv[1:]
os.environ["KEY"] = {KEY!r}
block = {{"provider": "sprinto", "api_key": "${{KEY}}", "workflow_check": {CHECK!r}, "endpoint": url,
         "retry": {{"initial_delay": "2s", "max_delay": "2s"}}}}
courier = BlockingCourier.from_mapping({{"acme": {{"integrations": {{"compliance": block}}}}}}, database)

def evidence(name):
    document = Document(content=b"%PDF-1.7 " + name.encode(), media_type="application/pdf")
    return Evidence(tenant_id="acme", evidence_id=name, session_id="s-1", subject="emp-7", outcome="passed",
                    recorded_at=datetime(2026, 2, 20, 23, 30, tzinfo=UTC), document=document)
"""


def script(url: str, database: Path, code: str) -> subprocess.Popen[str]:
    """A host of its own that runs the code."""
    text = PROLOGUE + textwrap.dedent(code)
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", text, url, str(database)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def outcome(host: subprocess.Popen[str]) -> str:
    out, errors = host.communicate(timeout=60)
    assert host.returncode == 0, errors
    return out


def named(name: str) -> Evidence:
    return evidence(name, content=b"%PDF-1.7 " + name.encode())


def test_a_worker_killed_while_it_sends_leaves_what_the_next_recovers(
    tmp_path: Path,
) -> None:
    database = tmp_path / "courier.db"
    box = SprintoSandbox(key=KEY, faults=["silence-after=x1"])
    with sandbox_in_thread(box) as sandbox:
        host = script(sandbox.url, database, "courier.deliver(evidence('ev-1'))")
        arrived = threading.Event()
        while not sandbox.received and host.poll() is None:
            arrived.wait(0.01)
        host.kill()
        host.communicate(timeout=60)
        assert len(sandbox.received) == 1
        said = outcome(
            script(
                sandbox.url,
                database,
                """
                import time
                first = courier.deliver(evidence("ev-1"))
                assert first.status.error.kind == "interrupted", first
                assert first.status.attempts == 1
                time.sleep(max(0.0, (first.again_at - datetime.now(UTC)).total_seconds()) + 0.01)
                last = courier.deliver(evidence("ev-1"))
                print(last.status.status, last.status.attempts, last.status.possible_duplicate)
                courier.close()
                """,
            )
        )
        assert said == "succeeded 2 True\n"
        assert len(sandbox.received) == 2
    assert not list(tmp_path.glob("*.lock"))


def test_what_a_killed_worker_was_sending_is_recovered_without_its_task(tmp_path: Path) -> None:
    database = tmp_path / "courier.db"
    box = SprintoSandbox(key=KEY, faults=["silence-after=x1"])
    with sandbox_in_thread(box) as sandbox:
        host = script(sandbox.url, database, "courier.deliver(evidence('ev-1'))")
        arrived = threading.Event()
        while not sandbox.received and host.poll() is None:
            arrived.wait(0.01)
        host.kill()
        host.communicate(timeout=60)
        said = outcome(
            script(
                sandbox.url,
                database,
                """
                [status] = courier.recover()
                print(status.evidence_id, status.status, status.error.kind, status.attempts)
                print(courier.recover(), courier.find(status="pending").uploads)
                courier.close()
                """,
            )
        )
    assert said == "ev-1 retrying interrupted 1\n[] ()\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_courier_that_was_used_before_the_fork_works_on_both_sides_of_it(tmp_path: Path) -> None:
    database = tmp_path / "courier.db"
    with sandbox_in_thread(SprintoSandbox(key=KEY)) as sandbox:
        said = outcome(
            script(
                sandbox.url,
                database,
                """
                assert courier.deliver(evidence("ev-0")).status.status == "succeeded"
                assert courier._opened._opened is not None
                children = []
                for number in range(1, 4):
                    child = os.fork()
                    if not child:
                        assert courier._opened._opened is None  # what the parent had open was closed before the fork
                        delivery = courier.deliver(evidence(f"ev-{number}"))
                        assert courier.deliver(evidence("ev-0")).status.status == "succeeded"
                        os._exit(0 if delivery.status.status == "succeeded" else 1)
                    children.append(child)
                assert courier.deliver(evidence("ev-4")).status.status == "succeeded"
                print([os.waitpid(child, 0)[1] for child in children])
                print(len(courier.find().uploads))
                courier.close()
                """,
            )
        )
        assert said == "[0, 0, 0]\n5\n"
        assert len({upload.sha256 for upload in sandbox.received}) == len(sandbox.received) == 5


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_fork_during_a_delivery_leaves_it_alone_and_refuses_the_child(
    tmp_path: Path,
) -> None:
    database = tmp_path / "courier.db"
    with sandbox_in_thread(SprintoSandbox(key=KEY, faults=["slow:0.005=x1"])) as sandbox:
        said = outcome(
            script(
                sandbox.url,
                database,
                """
                import threading, time
                from evidence_courier import MisuseError
                came = []
                thread = threading.Thread(target=lambda: came.append(courier.deliver(evidence("ev-1"))))
                thread.start()
                while courier._opened.users == 0:
                    time.sleep(0.001)
                child = os.fork()
                if not child:
                    try:
                        courier.deliver(evidence("ev-2"))
                    except MisuseError as error:
                        os._exit(0 if "fork" in str(error) else 1)
                    os._exit(2)
                thread.join()
                print(os.waitpid(child, 0)[1], came[0].status.status, came[0].status.attempts)
                courier.close()
                """,
            )
        )
        assert said == "0 succeeded 1\n"


def test_an_exclusive_credential_is_shared_by_workers_in_turn(tmp_path: Path) -> None:
    """Vanta lets one token of an application live: whoever has it keeps it for a while, and the
    others are told to come again."""
    clock = FakeClock()
    with sandbox_in_thread(VantaSandbox(now=clock.now, monotonic=clock.monotonic)) as sandbox:
        block = {
            "provider": "vanta",
            "client_id": "sandbox-client",
            "client_secret": "${KEY}",
            "document": "security-awareness-training",
            "endpoint": sandbox.url,
        }
        tenants = {"acme": {"integrations": {"compliance": block}}}
        options: Any = {
            "clock": clock,
            "secrets": Keys({"KEY": "sandbox-key"}),
            "sleep": clock.advance,
        }
        couriers = [
            BlockingCourier.from_mapping(tenants, tmp_path / "courier.db", **options)
            for _ in range(2)
        ]
        waiting = {(n, name): couriers[n] for n in range(2) for name in (f"ev-{n}", f"ev-{n + 2}")}
        for _ in range(200):
            for (n, name), courier in list(waiting.items()):
                delivery = courier.deliver(named(name))
                if delivery.again_at is None:
                    assert words(delivery) == ("succeeded", 1, None)
                    del waiting[n, name]
            if not waiting:
                break
            clock.advance(1)
        assert not waiting
        for courier in couriers:
            courier.close()
        assert len({upload.sha256 for upload in sandbox.received}) == len(sandbox.received) == 4


def test_blocking_and_asynchronous_couriers_share_a_database_and_a_pace(tmp_path: Path) -> None:
    database = tmp_path / "courier.db"
    with sandbox_in_thread(SprintoSandbox(key=KEY, pace="20/s")) as sandbox:
        tenants = to_sprinto(sandbox.url, pace="20/s")
        keys = Keys({"KEY": KEY})
        names = [f"ev-{n}" for n in range(40)]

        def work() -> None:
            tick = threading.Event()
            with BlockingCourier.from_mapping(tenants, database, secrets=keys) as courier:
                for name in names[::2]:
                    while courier.deliver(named(name)).again_at is not None:
                        tick.wait(0.02)

        async def story() -> list[UploadStatus | None]:
            async with AsyncCourier.from_mapping(tenants, database, secrets=keys) as courier:
                worker = asyncio.create_task(asyncio.to_thread(work))
                # Every second one of its own, and a few that the other has as well.
                tickets = [courier.submit(named(name)) for name in [*names[1::2], *names[:10:2]]]
                statuses = [await ticket.settled(30) for ticket in tickets]
                await worker
                return statuses

        statuses = asyncio.run(story())
        assert {status.status for status in statuses if status} == {"succeeded"}
        assert len(sandbox.received) == 40
        assert len({upload.sha256 for upload in sandbox.received}) == 40
        assert sandbox.requests == 40  # none was refused for the sake of the pace


def test_the_path_needs_no_aiohttp(tmp_path: Path) -> None:
    with sandbox_in_thread(SprintoSandbox(key=KEY)) as sandbox:
        text = "import sys; sys.modules['aiohttp'] = None\n" + PROLOGUE
        text += "print(courier.deliver(evidence('ev-1')).status.status); courier.close()"
        command = [sys.executable, "-c", text, sandbox.url, str(tmp_path / "courier.db")]
        host = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert (host.returncode, host.stdout) == (0, "succeeded\n"), host.stderr


def test_without_httpcore_the_extra_is_named(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['httpcore'] = None\n"
        "from evidence_courier import BlockingCourier, MisuseError\n"
        "try:\n    BlockingCourier.from_mapping({}, 'x.db')\n"
        "except MisuseError as error:\n    print(error)\n"
    )
    host = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert 'pip install "evidence-courier[sync]"' in host.stdout, host.stderr


@pytest.mark.parametrize("name", ["enabled", "find", "from_mapping", "reload", "show", "statuses"])
def test_the_same_names_take_the_same_arguments_on_every_courier(name: str) -> None:
    ours, theirs = (signature(getattr(face, name)) for face in (BlockingCourier, AsyncCourier))
    assert [*ours.parameters] == [*theirs.parameters]
    assert [one.default for one in ours.parameters.values()] == [
        one.default for one in theirs.parameters.values()
    ]
    assert ours.return_annotation == theirs.return_annotation
