"""A host, its couriers, its people and its bad luck, as a state machine of Hypothesis: after each
step every invariant holds, and at the end everything has settled."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from evidence_courier.domain.integration import OnUnclear, Pace
from evidence_courier.domain.upload.actions import Action
from evidence_courier.domain.upload.upload import UploadKey
from evidence_courier.testing.simulation import (
    Faults,
    ModelProvider,
    Outage,
    ReadableModelProvider,
    Simulation,
)

SOMETIMES = st.sampled_from([0.0, 0.0, 0.2, 0.6])
KINDS = st.sampled_from(["down", "503", "takes", "silent"])
OUTAGES = st.lists(
    st.builds(
        lambda start, length, kind: Outage(start, start + length, kind),
        st.floats(0, 300),
        st.floats(1, 120),
        KINDS,
    ),
    max_size=2,
).map(tuple)
FAULTS = st.builds(
    Faults,
    no_connection=SOMETIMES,
    unavailable=SOMETIMES,
    silent=st.sampled_from([0.0, 0.1]),
    takes_and_drops=st.sampled_from([0.0, 0.2]),
    takes_and_fails=st.sampled_from([0.0, 0.2]),
    rejects=st.sampled_from([0.0, 0.0, 0.1]),
    garbles=st.sampled_from([0.0, 0.0, 0.1]),
    unreadable=st.sampled_from([0.0, 0.3]),
    latency=st.sampled_from([0.0, 0.3, 5.0]),
    commit=st.sampled_from([0.0, 5.0]),
    outages=OUTAGES,
)


class World(RuleBasedStateMachine):
    """`tenant-1` and `tenant-2` on up to three couriers."""

    simulation: Simulation
    keys: list[UploadKey]

    @initialize(
        seed=st.integers(0, 2**32),
        can_look_up=st.booleans(),
        on_unclear=st.sampled_from(OnUnclear),
        paced=st.booleans(),
        together=st.sampled_from([1, 3]),
        faults=FAULTS,
    )
    def begin(
        self,
        seed: int,
        can_look_up: bool,
        on_unclear: OnUnclear,
        paced: bool,
        together: int,
        faults: Faults,
    ) -> None:
        pace = Pace(10, timedelta(minutes=1)) if paced else None
        self.simulation = Simulation(
            seed,
            couriers=2,
            tenants=2,
            provider=(ReadableModelProvider if can_look_up else ModelProvider)(together),
            on_unclear=on_unclear,
            pace=pace,
            faults=faults,
        )
        self.keys = []

    def teardown(self) -> None:
        if not hasattr(self, "simulation"):
            return
        try:
            settled = False
            while not settled:
                if not self.simulation.couriers:
                    self.simulation.start_courier()
                settled = self.simulation.settle(timedelta(days=3))
                # The last courier may have been marked for death.
                assert settled or not self.simulation.couriers, "it never settles"
            recorded = set(self.simulation.store.get(self.keys))
            open_at_the_end = [
                status
                for status in self.simulation.statuses()
                if status.status in ("pending", "retrying")
            ]
            assert not open_at_the_end
            assert len(list(self.simulation.statuses())) == len(recorded)
            assert self.simulation.breaches() == []
        finally:
            self.simulation.close()

    @rule(number=st.integers(1, 4), tenant=st.integers(1, 2))
    def submit(self, number: int, tenant: int) -> None:
        self.keys += self.simulation.submit(number, tenant)

    @rule(seconds=st.sampled_from([0.1, 1.0, 7.0, 60.0, 900.0]))
    def time_passes(self, seconds: float) -> None:
        self.simulation.pass_time(seconds)

    @rule()
    def a_courier_dies(self) -> None:
        self.simulation.crash()

    @rule(write=st.integers(1, 6), before=st.booleans())
    def a_courier_will_die_at_a_write(self, write: int, before: bool) -> None:
        self.simulation.crash_at(write, before=before)

    @rule()
    def a_courier_comes(self) -> None:
        if len(self.simulation.couriers) < 3:
            self.simulation.start_courier()

    @rule(seconds=st.sampled_from([-86_400.0, -90.0, -2.0, 2.0, 90.0, 86_400.0]))
    def the_clock_is_set(self, seconds: float) -> None:
        self.simulation.jump_clock(seconds)

    @rule(tenant=st.integers(1, 2))
    def a_key_is_revoked(self, tenant: int) -> None:
        self.simulation.revoke_key(tenant)

    @rule(tenant=st.integers(1, 2))
    def a_key_is_changed(self, tenant: int) -> None:
        self.simulation.change_key(tenant)

    @rule(which=st.integers(0, 100), action=st.sampled_from(Action))
    def somebody_acts(self, which: int, action: Action) -> None:
        if self.keys:
            self.simulation.act(self.keys[which % len(self.keys)], action)

    @invariant()
    def every_invariant_holds(self) -> None:
        if hasattr(self, "simulation"):
            assert self.simulation.breaches() == []
