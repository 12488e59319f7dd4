"""What people and duties do to uploads, across one another and through the faces that people have:
`BlockingCourier`, `Records` beside it, and an import on an event loop, on both databases.

After each step the records agree with one another, with what is counted as they are written, and
with their hash chains; what is paused gets no request; and in the end everything is at rest.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import pytest
from attrs import define, evolve, field, frozen
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from postgres_server import server
from store_fixtures import House, PaperProvider, PaperSettings, evidence, tenant

from evidence_courier import BlockingCourier, Evidence, Records
from evidence_courier.adapters.stores.databases import inspect, open_for_reading
from evidence_courier.bootstrap.cli import handing_in
from evidence_courier.bootstrap.cli.handing_in import Import
from evidence_courier.bootstrap.cli.old_records import OldRecord
from evidence_courier.delivery.chain import faults_of
from evidence_courier.domain.integration import Route
from evidence_courier.domain.pacing.gate import Quota
from evidence_courier.domain.upload.failure import Failure, FailureKind
from evidence_courier.domain.upload.status import UploadStatus
from evidence_courier.domain.upload.verdict import (
    Absent,
    Deferred,
    Delivered,
    Finding,
    Found,
    Processing,
    Receipt,
    Refused,
    Rejected,
    Unclear,
    Verdict,
)
from evidence_courier.ports.dialogue import (
    Dialogue,
    HttpRequest,
    HttpResponse,
    TransportFailure,
    fetch,
)
from evidence_courier.ports.documents import LARGE
from evidence_courier.ports.provider import Parcel
from evidence_courier.testing import FakeClock

DAY, HOUR = 86_400.0, 3_600.0
TENANTS = st.sampled_from(["acme", "globex"])
RULES: Any = {"attempts": "20d", "personal": "20d", "failed_documents": "10d"}
BY: Any = {"by": "dana", "reason": "as agreed"}
AT_REST = {"succeeded", "failed", "held", "skipped"}
WAIT = timedelta(minutes=10)
MODES = ["takes", "refuses", "wrong key", "busy", "drops", "not now", "decides later", "interrupts"]


class ReviewedProvider(PaperProvider):
    """Paper that may review what it takes, or take nothing now; and it can be asked."""

    look_up_delays: ClassVar[Sequence[timedelta]] = (timedelta(seconds=2), timedelta(seconds=10))

    def ask(self, method: str, parcel: Parcel, given: object) -> Dialogue[Any]:
        assert isinstance(given, PaperSettings)
        headers = (
            ("evidence", parcel.evidence_id),
            ("tenant", parcel.tenant_id),
            ("key", given.key.reveal()),
        )
        body = (parcel.content,) if method == "POST" else ()
        return (yield from fetch(HttpRequest(method, "https://paper.test/", headers, body)))

    def upload(self, parcel: Parcel, settings: object, progress: str | None) -> Dialogue[Verdict]:
        reply = yield from self.ask("POST", parcel, settings)
        if isinstance(reply, TransportFailure):
            return Unclear(Failure(reply.kind, reply.message))
        match reply.status:
            case 200:
                return Processing(WAIT) if reply.body else Delivered(Receipt("r"))
            case 401:
                return Rejected(Failure(FailureKind.UNAUTHORIZED, "no", http_status=401))
            case 409:
                return Rejected(Failure(FailureKind.CHECK_IN_REVIEW, "not now", http_status=409))
            case 503:
                return Deferred(Failure(FailureKind.TOLD_TO_WAIT, "busy", http_status=503))
            case _:
                return Rejected(Failure(FailureKind.BAD_REQUEST, "no", http_status=400))

    def look_up(self, parcel: Parcel, settings: object, progress: str | None) -> Dialogue[Finding]:
        reply = yield from self.ask("GET", parcel, settings)
        match reply.body:
            case b"there":
                return Found(Receipt("r"))
            case b"declined":
                return Refused(Failure(FailureKind.REFUSED, "declined"))
            case b"in review":
                return Processing(WAIT)
            case _:
                return Absent()


@define
class Platform:
    """The provider's side for code that blocks. `paused`: of whom it must hear nothing."""

    clock: FakeClock
    mode: str = "takes"
    held: Counter[tuple[str, str]] = field(factory=Counter)
    paused: set[str] = field(factory=set)
    surprises: list[str] = field(factory=list)

    def send(self, request: HttpRequest, route: Route) -> HttpResponse | TransportFailure:
        headers = dict(request.headers)
        upload = headers["tenant"], headers["evidence"]
        if upload[0] in self.paused:
            self.surprises.append(f"{request.method} of {upload}, which is paused")
        if request.method == "GET":
            return self.reply(200, self.found(upload))
        match self.mode:
            case "takes" | "decides later" | "drops" | "interrupts":
                self.held[upload] += 1
        match self.mode:
            case "drops":
                return TransportFailure(FailureKind.CONNECTION_LOST, "gone")
            case "interrupts":
                self.mode = "takes"
                raise KeyboardInterrupt
        status = {"refuses": 400, "wrong key": 401, "busy": 503, "not now": 409}
        later = b"in review" if self.mode == "decides later" else b""
        return self.reply(status.get(self.mode, 200), later)

    def found(self, upload: tuple[str, str]) -> bytes:
        if not self.held[upload]:
            return b"absent"
        if self.mode == "decides later":
            return b"in review"
        if upload[1].endswith("4"):
            self.held[upload] = 0
            return b"declined"
        return b"there"

    def reply(self, status: int, body: bytes = b"") -> HttpResponse:
        return HttpResponse(status, (), body, self.clock.now())

    def close(self) -> None: ...


@define
class OnALoop:
    platform: Platform

    async def send(self, request: HttpRequest, route: Route) -> HttpResponse | TransportFailure:
        return self.platform.send(request, route)

    async def close(self) -> None: ...


@frozen
class Home:
    """Where a tenant's old records go."""

    quota: Quota


class Crossings(RuleBasedStateMachine):
    """Two tenants, two workers and one who looks at the records."""

    @staticmethod
    def database(folder: str) -> Any:
        """A database with nothing in it."""
        raise NotImplementedError

    @initialize(
        give_up=st.sampled_from([None, "1h"]),
        parks=st.sampled_from(["0s", "30d"]),
        mode=st.sampled_from(MODES),
    )
    def begin(self, give_up: str | None, parks: str, mode: str) -> None:
        self.open = ExitStack()
        patch = self.open.enter_context(pytest.MonkeyPatch.context())
        patch.setattr(handing_in, "LOOK_AGAIN", 0.05)
        folder = self.open.enter_context(TemporaryDirectory())
        self.house = House(self.database(folder))
        self.number, self.names = 0, list[tuple[str, str]]()
        retry = {} if give_up is None else {"give_up_after": give_up}
        self.block: dict[str, object] = {"park_limit": parks, "retry": retry}
        self.outcomes = ["passed"]
        self.platform = Platform(self.house.clock, mode)
        self.around: Any = {"providers": {"paper": ReviewedProvider()}, "retention": RULES}
        self.write_tenants()
        self.workers = [self.worker() for _ in range(2)]
        self.workers[0].counts()
        self.records = self.open.enter_context(
            Records.open(
                self.house.database,
                clock=self.house.clock,
                logger=self.house.logger,
                providers=self.around["providers"],
            )
        )

    def worker(self) -> BlockingCourier:
        clock = self.house.clock
        around = {"transport": self.platform, "sleep": clock.advance, **self.around}
        return self.open.enter_context(self.house.blocking_courier(**around))

    def write_tenants(self) -> None:
        block = {"outcomes": self.outcomes, **self.block}
        self.house.tenants = {name: tenant(**block) for name in ("acme", "globex")}

    def evidence(self, tenant_id: str, outcome: str = "passed", size: int = 10) -> Evidence:
        self.number += 1
        name = f"ev-{self.number}"
        self.names.append((tenant_id, name))
        one = evidence(name, tenant_id, b"%PDF" + bytes(size))
        at = self.house.clock.now()
        return evolve(one, outcome=outcome, subject=f"emp-{self.number % 3}", recorded_at=at)

    # --- what the host does ---

    @rule(
        tenant_id=TENANTS,
        outcomes=st.lists(st.sampled_from(["passed", "passed", "exhausted"]), max_size=3),
        large=st.booleans(),
    )
    def submits(self, tenant_id: str, outcomes: Sequence[str], large: bool) -> None:
        for outcome in outcomes:
            given = self.evidence(tenant_id, outcome, LARGE + 1 if large else 10)
            with suppress(KeyboardInterrupt):
                self.workers[0].deliver(given)

    @rule(hours=st.sampled_from([0.1, 2.0, 30.0, 24.0 * 12]), worker=st.integers(0, 1))
    def time_passes(self, hours: float, worker: int) -> None:
        self.house.clock.advance(hours * HOUR)
        with suppress(KeyboardInterrupt):
            self.workers[worker].deliver_due()

    @rule(seconds=st.sampled_from([-DAY, -90.0, 90.0, DAY]))
    def the_clock_is_set(self, seconds: float) -> None:
        self.house.clock.jump(seconds)

    @rule(tenant_id=TENANTS, number=st.integers(1, 3))
    def old_records_are_imported(self, tenant_id: str, number: int) -> None:
        if self.platform.mode == "interrupts":  # that would end the loop
            self.platform.mode = "takes"
        before = len(self.names)
        given = [self.evidence(tenant_id) for _ in range(number)]
        olds = [
            OldRecord(Path("old.csv"), 1, one.recorded_at, tenant_id, one.evidence_id, _read(one))
            for one in given
        ]
        lanes: Any = {tenant_id: (Home(Quota("credential", "address", None)), olds)}

        async def story() -> None:
            transport = OnALoop(self.platform)
            async with self.house.courier(transport=transport, **self.around) as courier:
                work = Import(courier, lanes, self.house.clock.monotonic, print)
                with suppress(TimeoutError):
                    await asyncio.wait_for(work.hand_in(tenant_id), 2)

        asyncio.run(story())
        recorded = {(one.tenant_id, one.evidence_id) for one in self.found()}
        self.names[before:] = [one for one in self.names[before:] if one in recorded]

    @rule(both=st.booleans())
    def other_outcomes_are_sent(self, both: bool) -> None:
        self.outcomes = ["passed", "exhausted"] if both else ["passed"]
        self.reload()

    @rule()
    def the_key_is_changed(self) -> None:
        self.house.keys.values["KEY"] += "x"
        if self.platform.mode == "wrong key":
            self.platform.mode = "takes"
        self.reload()

    def reload(self) -> None:
        self.write_tenants()
        for worker in self.workers:
            worker.reload()

    @rule(mode=st.sampled_from(MODES))
    def the_platform_changes(self, mode: str) -> None:
        self.platform.mode = mode

    # --- what people do ---

    @rule(tenant_id=TENANTS)
    def someone_pauses(self, tenant_id: str) -> None:
        self.records.pause(tenant_id, **BY)
        self.platform.paused.add(tenant_id)

    @rule(tenant_id=TENANTS)
    def someone_resumes(self, tenant_id: str) -> None:
        self.platform.paused.discard(tenant_id)
        self.records.resume(tenant_id, **BY)

    @rule(
        which=st.integers(0, 50),
        action=st.sampled_from(["retry", "release", "abandon", "attest"]),
        by_worker=st.booleans(),
    )
    def someone_acts(self, which: int, action: str, by_worker: bool) -> None:
        if not self.names:
            return
        tenant_id, name = self.names[which % len(self.names)]
        face = self.workers[1] if by_worker else self.records
        result = getattr(face, action)(tenant_id, name, **BY)
        if action == "attest" and result.done:
            self.platform.held[tenant_id, name] = max(self.platform.held[tenant_id, name], 1)

    @rule(tenant_id=TENANTS, who=st.integers(0, 2), abandon=st.booleans())
    def someone_is_erased(self, tenant_id: str, who: int, abandon: bool) -> None:
        done = self.records.erase(tenant_id, f"emp-{who}", abandon=abandon, **BY)
        again = self.records.erase(tenant_id, f"emp-{who}", **BY, preview=True)
        assert done.removed is None or not again.uploads

    # --- what holds ---

    def found(self) -> Sequence[UploadStatus]:
        return self.records.find(limit=1_000).uploads

    @invariant()
    def the_records_agree(self) -> None:
        if not hasattr(self, "records"):
            return
        database = str(self.house.database)
        assert self.platform.surprises == []
        assert [str(one) for one in inspect(database, (), lambda *_: None).breaches] == []
        counts = {word: number for word, number in self.records.counts().items() if number}
        assert counts == Counter(one.status for one in self.found())
        health = self.records.health().counts
        assert {word: number for word, number in health.items() if number} == counts
        with open_for_reading(database) as reader:
            for name in ("acme", "globex"):
                assert [str(one) for one in faults_of(reader, name)] == []

    @invariant()
    def what_the_platform_has_is_recorded(self) -> None:
        if not hasattr(self, "records"):
            return
        for one in self.found():
            copies = self.platform.held[one.tenant_id, one.evidence_id]
            if one.status == "succeeded":
                assert copies > 0, one
            assert copies < 2 or one.possible_duplicate, one

    def teardown(self) -> None:
        if not hasattr(self, "records"):
            return
        try:
            self.platform.mode = "takes"
            for tenant_id in ("acme", "globex"):
                self.someone_resumes(tenant_id)
            for _ in range(40):
                self.time_passes(12.0, 0)
            self.the_records_agree()
            assert {one.status for one in self.found()} <= AT_REST
        finally:
            self.open.close()


def _read(one: Evidence) -> Callable[[], Evidence]:
    return lambda: one


class _OnSqlite(Crossings):
    @staticmethod
    def database(folder: str) -> Any:
        return Path(folder) / "courier.db"


class _OnPostgres(Crossings):
    @staticmethod
    def database(folder: str) -> Any:
        return server().emptied(server().database_of("crossings"))


def _settings(examples: int) -> settings:
    slow = [HealthCheck.too_slow]
    return settings(
        max_examples=examples, stateful_step_count=20, deadline=None, suppress_health_check=slow
    )


_OnSqlite.TestCase.settings = _settings(5)
_OnPostgres.TestCase.settings = _settings(2)
TestOnSqlite, TestOnPostgres = _OnSqlite.TestCase, _OnPostgres.TestCase
