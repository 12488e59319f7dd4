"""Many tenants at ten requests a minute each share one courier, and each has its pace."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import Literal

from evidence_courier import Document, Evidence
from evidence_courier.adapters.engines.adding import Submission
from evidence_courier.adapters.engines.tickets import Ticket
from evidence_courier.domain.integration import Pace
from evidence_courier.ports.logger import AttemptEnded, LogEvent
from evidence_courier.testing import FakeClock
from evidence_courier.testing.simulation import Faults, Simulation

TENANTS, MINUTES = 30, 3
PACE = Pace(10, timedelta(minutes=1))
UPLOADS = PACE.limit * (MINUTES + 1)
DOCUMENT = Document(content=b"a document", media_type="application/pdf")


class Ends:
    """A logger that counts, for each tenant, the attempts that end in each minute."""

    is_prompt: Literal[True] = True

    def __init__(self, clock: FakeClock, start: datetime) -> None:
        self.of: Counter[tuple[str, int]] = Counter()
        self._clock, self._start = clock, start

    def log(self, event: LogEvent) -> None:
        if isinstance(event, AttemptEnded):
            minute = (self._clock.now() - self._start) // PACE.period
            self.of[event.key.tenant_id, minute] += 1


def test_every_tenant_has_its_pace_within_five_percent() -> None:
    with Simulation(tenants=TENANTS, pace=PACE, faults=Faults(latency=0.4)) as world:
        (courier,) = world.couriers
        loop, clock = world._loop, world.clock  # pyright: ignore[reportPrivateUsage]
        start = clock.now()
        ends = Ends(clock, start)
        courier.engine._driver.notifier.logger = ends  # pyright: ignore[reportPrivateUsage]

        def submit() -> None:
            for number in range(UPLOADS):
                for tenant_id, destination in homes.items():
                    name = f"ev-{number}"
                    evidence = Evidence(
                        tenant_id=tenant_id,
                        evidence_id=name,
                        session_id="s",
                        subject="p",
                        outcome="passed",
                        recorded_at=start,
                        document=DOCUMENT,
                    )
                    ticket = Ticket(tenant_id, name, loop.loop)
                    courier.engine.submit(Submission(evidence, destination, ticket))

        homes = dict(courier.engine.active.destinations)
        loop.call(submit)
        while clock.now() < start + PACE.period * MINUTES:
            loop.run_until_idle()
            wake = clock.next_wake()
            assert wake is not None
            clock.set(wake)
        # The first minute is that of the burst.
        for tenant_id in homes:
            sent = sum(ends.of[tenant_id, minute] for minute in range(1, MINUTES))
            assert 0.95 <= sent / (PACE.limit * (MINUTES - 1)) <= 1.05, tenant_id
