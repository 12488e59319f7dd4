"""What stops uploads, and what removes them, in any order and across one another: a person's pause,
a block, a closed target, a slow decision, the end of the time for retries, retention, an erasure
and several couriers. After each step every invariant holds, and at the end everything settles."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule
from simulated_world import FAULTS, World

from evidence_courier.delivery.effects import Read, Turn, Write
from evidence_courier.delivery.retention import Rules, Whom, erase, retention_duty
from evidence_courier.domain.integration import OnUnclear, Pace, RetryPolicy
from evidence_courier.domain.pacing.paused import Paused, Resumed, Scope
from evidence_courier.domain.retention import Retention
from evidence_courier.domain.upload.actions import Person
from evidence_courier.domain.upload.failure import Failure, FailureKind
from evidence_courier.domain.upload.verdict import (
    Delivered,
    Finding,
    Found,
    Processing,
    Refused,
    Verdict,
)
from evidence_courier.ports.dialogue import Dialogue
from evidence_courier.ports.provider import Parcel
from evidence_courier.testing.simulation import (
    Faults,
    ModelProvider,
    ReadableModelProvider,
    Simulation,
)

T = TypeVar("T")

DANA = Person("dana", "as agreed")
SCOPES = st.sampled_from(
    [
        Scope("tenant-1"),
        Scope(None, "model"),
        Scope("tenant-2", "model"),
        Scope("tenant-1", "model"),
    ]
)


class DecidingProvider(ReadableModelProvider):
    """Decides some looks later about what it has taken, and refuses each fifth."""

    def __init__(self, together: int) -> None:
        super().__init__(together)
        self.looks: dict[str, int] = {}

    def _put(self, parcels: Sequence[Parcel], settings: object) -> Dialogue[Verdict]:
        verdict = yield from super()._put(parcels, settings)
        return Processing(timedelta(seconds=30)) if isinstance(verdict, Delivered) else verdict

    def look_up(self, parcel: Parcel, settings: object, progress: str | None) -> Dialogue[Finding]:
        finding = yield from super().look_up(parcel, settings, progress)
        if not isinstance(finding, Found):
            return finding
        looks = self.looks[parcel.evidence_id] = self.looks.get(parcel.evidence_id, 0) + 1
        if looks < int(parcel.evidence_id[3:]) % 4:
            return Processing(timedelta(minutes=3))
        if int(parcel.evidence_id[3:]) % 5 == 4:
            return Refused(Failure(FailureKind.BAD_REQUEST, "no"))
        return finding


PROVIDERS: Mapping[str, Callable[[int], Any]] = {
    "writes only": ModelProvider,
    "can be read": ReadableModelProvider,
    "decides later": DecidingProvider,
}


class Crossings(World):
    """The world of the other machine, with what people stop, remove and wait for."""

    paused: set[Scope]

    @initialize(
        seed=st.integers(0, 2**32),
        kind=st.sampled_from(sorted(PROVIDERS)),
        on_unclear=st.sampled_from(OnUnclear),
        paced=st.booleans(),
        together=st.sampled_from([1, 3]),
        give_up_after=st.sampled_from([None, timedelta(seconds=20), timedelta(minutes=20)]),
        park_limit=st.sampled_from([timedelta(0), timedelta(hours=3), timedelta(days=30)]),
        faults=FAULTS,
    )
    def begin(
        self,
        seed: int,
        kind: str,
        on_unclear: OnUnclear,
        paced: bool,
        together: int,
        give_up_after: timedelta | None,
        park_limit: timedelta,
        faults: Faults,
    ) -> None:
        self.simulation = Simulation(
            seed,
            couriers=2,
            tenants=2,
            provider=PROVIDERS[kind](together),
            on_unclear=on_unclear,
            pace=Pace(10, timedelta(minutes=1)) if paced else None,
            retry=RetryPolicy(give_up_after=give_up_after),
            park_limit=park_limit,
            faults=faults,
        )
        self.keys, self.paused = [], set()
        self.paced = paced

    def teardown(self) -> None:
        if hasattr(self, "simulation"):
            self.simulation.server.closed = False
            for scope in sorted(self.paused, key=str):
                self.somebody_resumes(scope)
            # What is parked is asked again after a day at most. Its attempts may fail while it may
            # be parked, so the faults end after the first day.
            for faults in (self.simulation.server.faults, Faults(), Faults()):
                self.simulation.server.faults = faults
                if not self.simulation.couriers:
                    self.simulation.start_courier()
                self.simulation.pass_time(26 * 3600)
        super().teardown()

    @rule(scope=SCOPES)
    def somebody_pauses(self, scope: Scope) -> None:
        store, now = self.simulation.store, self.simulation.clock.now()
        store.save([Paused(scope, now, *("dana", "maintenance"))])
        self.paused.add(scope)

    @rule(scope=SCOPES)
    def somebody_resumes(self, scope: Scope) -> None:
        store, now = self.simulation.store, self.simulation.clock.now()
        if scope in self.paused:
            store.save([Resumed(scope, now, "dana", "done")])
            self.paused.discard(scope)

    @rule()
    def a_paused_provider_is_asked_for_nothing(self) -> None:
        if Scope(None, "model") not in self.paused or self.paced:
            return
        self.simulation.pass_time(100)  # what had begun ends
        before = self.simulation.server.requests
        self.simulation.pass_time(900)
        assert self.simulation.server.requests == before

    @rule(closed=st.booleans())
    def the_target_closes_or_opens(self, closed: bool) -> None:
        self.simulation.server.closed = closed

    @rule(hours=st.sampled_from([2.0, 30.0]))
    def hours_pass(self, hours: float) -> None:
        self.simulation.pass_time(hours * 3600)

    @rule(after=st.sampled_from(["1h", "1h after success"]))
    def what_is_old_is_removed(self, after: str) -> None:
        kept = dict.fromkeys(("attempts", "personal", "failed_documents"), after)
        kept["failed_documents"] = "1h"
        rules = Rules(Retention.parse(kept))
        self._drive(retention_duty(lambda: rules).step(self.simulation.clock.now()))

    @rule(tenant=st.integers(1, 2))
    def a_person_is_erased(self, tenant: int) -> None:
        store = self.simulation.store

        async def ask(verb: Callable[[Any], T]) -> T:
            return verb(store)

        whom = Whom(f"tenant-{tenant}", "a person")
        asyncio.run(erase(ask, ask, whom, DANA, self.simulation.clock.now()))

    def _drive(self, turn: Turn[Any]) -> None:
        answer: Any = None
        try:
            while True:
                effect = turn.send(answer)
                assert isinstance(effect, Read | Write)
                answer = effect.verb(self.simulation.store)
        except StopIteration:
            pass


Crossings.TestCase.settings = settings(max_examples=15, stateful_step_count=25, deadline=None)
TestCrossings = Crossings.TestCase
