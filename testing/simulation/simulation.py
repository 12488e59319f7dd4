"""Couriers, a store and a provider in one world whose time, chance and faults are under control."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Self, TypedDict, Unpack, cast

from attrs import define

from ...adapters.engines.adding import Submission
from ...adapters.engines.asyncio_driver import AsyncioDriver, Outside
from ...adapters.engines.asyncio_engine import AsyncEngine
from ...adapters.engines.connection_limit import ConnectionLimit
from ...adapters.engines.notify import HookNotifier
from ...adapters.engines.preparing import Preparer
from ...adapters.engines.readers import Readers
from ...adapters.engines.tickets import Ticket
from ...adapters.engines.token_cache import TokenCache
from ...delivery.actions import AppliedAction, Skipped, take_action
from ...delivery.destinations import Destination, destination_of
from ...domain.errors import CourierError
from ...domain.evidence.evidence import Document, Evidence
from ...domain.evidence.training import TrainingRecord
from ...domain.integration import Integration, OnUnclear, Pace, RetryPolicy
from ...domain.secrets.secret import Secret
from ...domain.upload.actions import Action, Person
from ...domain.upload.failure import Failure, FailureKind
from ...domain.upload.find import Find
from ...domain.upload.invariants import breaches
from ...domain.upload.status import UploadStatus
from ...domain.upload.upload import Queued, Sending, Succeeded, Upload, UploadKey
from ...ports.logger import LogEvent
from ...ports.provider import Provider
from ...ports.store import UploadStore
from ..clock import FakeClock
from ..inline_writer import InlineWriter
from ..logger import RecordingLogger
from ..memory_store import MemoryStore
from .killable_store import KillableStore
from .loop import InlineExecutor, VirtualLoop
from .model import Faults, ModelProvider, ModelServer, Sender

START = datetime(2026, 2, 21, 10, 0, tzinfo=UTC)
_LONG = timedelta(days=30)
_FAR = datetime.max.replace(tzinfo=UTC)
_STANDSTILL = 1_000
_DOCUMENT = Document(content=b"a document", media_type="application/pdf")


class _NoRenderer:
    def render(self, record: TrainingRecord) -> Document | Failure:
        return Failure(FailureKind.UNFIT_RENDER, "nothing is rendered in a simulation")

    def close(self) -> None:
        pass


@define(eq=False)
class SimulatedCourier:
    """One courier of the simulation: alive until it is killed or closed."""

    store: KillableStore
    engine: AsyncEngine
    owner: int = 0


def _comes_to(courier: SimulatedCourier, key: UploadKey) -> bool:
    """Whether a courier has planned an upload. One that it takes to be in flight elsewhere it
    sees to only when it looks round."""
    return key in courier.engine.active and key not in courier.engine.active.elsewhere


class TenantOptions(TypedDict, total=False):
    """What every tenant's file says."""

    on_unclear: OnUnclear
    retry: RetryPolicy
    pace: Pace | None
    park_limit: timedelta


class Simulation:
    """Couriers on one store, and tenants with a credential each, in virtual time.

    The same seed and the same calls give the same history, event for event. Use it as a context
    manager, or `close` it.

    Args:
        seed: For everything that happens by chance.
        couriers: How many couriers there are at first.
        tenants: How many tenants there are: ``tenant-1``, ``tenant-2`` ...
        faults: What goes wrong at the server.
        provider: `ModelProvider` by default; `ReadableModelProvider` can look uploads up.
        options: `on_unclear`, `retry`, `pace` and `park_limit` of every tenant.
    """

    def __init__(
        self,
        seed: int = 0,
        *,
        couriers: int = 1,
        tenants: int = 1,
        faults: Faults | None = None,
        provider: Provider | None = None,
        **options: Unpack[TenantOptions],
    ) -> None:
        self.seed = seed
        self._dice = Random(seed)
        self.clock = FakeClock(START)
        self.store = MemoryStore()
        self.server = ModelServer(self.clock, Random(self._dice.random()), faults or Faults())
        self._log = RecordingLogger()
        self._loop = VirtualLoop()
        self._provider = provider or ModelProvider()
        self._options = options
        self._keys = {
            f"tenant-{number}": f"the-key-of-tenant-{number}" for number in range(1, tenants + 1)
        }
        self._endpoints: dict[str, tuple[str]] = {}
        self._homes = self._destinations()
        self.handed_over: dict[UploadKey, datetime] = {}
        self.couriers: list[SimulatedCourier] = []
        for _ in range(couriers):
            self.start_courier()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End it."""
        for courier in list(self.couriers):
            self.crash(courier)
        self._loop.close()

    # --- couriers --------------------------------------------------------------------------------

    @property
    def events(self) -> list[LogEvent]:
        """What all couriers have logged."""
        return self._log.events

    def start_courier(self) -> SimulatedCourier:
        """Start another courier on the store."""
        store = KillableStore(self.store, lambda: self.store.kill(courier.owner))
        inline = InlineExecutor()
        as_port = cast(UploadStore, store)

        def build() -> AsyncEngine:
            transport, tokens = Sender(self.server), TokenCache(self.clock.monotonic)
            writer, notifier = InlineWriter(as_port), HookNotifier(self._log)
            readers = Readers(inline, notifier.log)
            preparer = Preparer(_NoRenderer(), interrupts=lambda error: False)
            outside = Outside(transport, ConnectionLimit(64), tokens, readers, preparer)
            driver = AsyncioDriver(outside, as_port, writer, inline, self.clock, notifier)
            return AsyncEngine(driver, self._dice.random, 192, 64 * 2**20)

        courier = SimulatedCourier(store, self._loop.call(build))
        courier.owner = self.store.heartbeat(None, self.clock.now())
        courier.engine.active.destinations = self._homes
        self.couriers.append(courier)
        self._loop.call(lambda: courier.engine.start(courier.owner))
        return courier

    def crash(self, courier: SimulatedCourier | None = None) -> None:
        """Kill a courier between two of its writes; without one, a courier by chance."""
        victim = courier or self._any()
        if victim is not None:
            victim.store.die()
            self._remove_dead()

    def crash_at(
        self, write: int, *, before: bool, courier: SimulatedCourier | None = None
    ) -> None:
        """Kill a courier at its n-th write from now, before or after that write."""
        victim = courier or self._any()
        if victim is not None:
            victim.store.die_at(write, before)

    def _any(self) -> SimulatedCourier | None:
        return self._dice.choice(self.couriers) if self.couriers else None

    def _remove_dead(self) -> None:
        for courier in [one for one in self.couriers if one.store.is_dead]:
            self.couriers.remove(courier)
            self._loop.call(courier.engine.abort)
        self._loop.run_until_idle()

    def _destinations(self) -> dict[str, Destination]:
        settings = self._provider.settings_class
        return {
            tenant_id: destination_of(
                Integration(
                    tenant_id=tenant_id,
                    provider=self._provider.name,
                    settings=settings(Secret(key), *self._endpoints.get(tenant_id, ())),
                    secrets=(Secret(key),),
                    **self._options,
                ),
                self._provider,
                self.store.fingerprint_key(),
            )
            for tenant_id, key in self._keys.items()
        }

    # --- what happens ----------------------------------------------------------------------------

    def submit(
        self, number: int = 1, tenant: int = 1, document: Document | None = None
    ) -> list[UploadKey]:
        """Submit evidences of a tenant to a courier by chance, if there is a courier."""
        courier = self._any()
        if courier is None:
            return []
        tenant_id = f"tenant-{tenant}"
        destination = courier.engine.active.destinations[tenant_id]
        keys = []
        for _ in range(number):
            evidence = Evidence(
                tenant_id=tenant_id,
                evidence_id=f"ev-{len(self.handed_over) + 1}",
                session_id="a session",
                subject="a person",
                outcome="passed",
                recorded_at=self.clock.now(),
                document=document or _DOCUMENT,
            )
            keys.append(UploadKey(tenant_id, evidence.evidence_id, self._provider.name))
            self.handed_over[keys[-1]] = self.clock.now()

            def hand_over(evidence: Evidence = evidence) -> None:
                ticket = Ticket(evidence.tenant_id, evidence.evidence_id, self._loop.loop)
                courier.engine.submit(Submission(evidence, destination, ticket))

            self._loop.call(hand_over)
        self._go_on()
        return keys

    def act(
        self, key: UploadKey, action: Action, by: str = "asha"
    ) -> AppliedAction | Skipped | None:
        """Apply a person's action to an upload; None for an unknown upload."""
        try:
            result = take_action(
                self.store,
                key.tenant_id,
                key.evidence_id,
                action,
                Person(by, "because"),
                lambda _: self._homes[key.tenant_id].rules,
                self.clock.now(),
            )
        except CourierError:
            return None
        self._go_on()
        return result

    def revoke_key(self, tenant: int = 1) -> None:
        """Have the provider refuse a tenant's key."""
        self.server.refused_keys.add(self._keys[f"tenant-{tenant}"])

    def move(self, tenant: int, endpoint: str) -> None:
        """Have a tenant's server at another address."""
        self._endpoints[f"tenant-{tenant}"] = (endpoint,)
        self._homes = self._destinations()
        for courier in self.couriers:
            courier.engine.active.destinations = self._homes

    def trouble(self, tenant: int, kind: str) -> None:
        """Have the same happen to all requests of a tenant: a kind of `Outage`."""
        self.server.trouble[self._keys[f"tenant-{tenant}"]] = kind

    def change_key(self, tenant: int = 1) -> None:
        """Give a tenant a new key, which every courier loads."""
        tenant_id = f"tenant-{tenant}"
        self._keys[tenant_id] += "+"
        self._homes = self._destinations()
        for courier in self.couriers:
            courier.engine.active.destinations = self._homes
            self._loop.call(courier.engine.maintain_now)
        self._go_on()

    def jump_clock(self, seconds: float) -> None:
        """Set the clock forward or back. No time passes."""
        self.clock.jump(seconds)
        self._go_on()

    def pass_time(self, seconds: float) -> None:
        """Let time pass, with everything that happens in it."""
        left = seconds
        while left > 0:
            self._go_on()
            moment = self._next_moment()
            away = (
                left if moment is None else min((moment - self.clock.now()).total_seconds(), left)
            )
            self.clock.advance(away)
            left -= max(away, 0.000001)
        self._go_on()

    def settle(self, limit: timedelta = _LONG) -> bool:
        """Let time pass until every upload is settled. Needs a courier.

        Returns:
            Whether that comes within the limit.
        """
        deadline = self.clock.monotonic() + limit.total_seconds()
        idle = 0
        while idle < _STANDSTILL:
            self._go_on()
            settled = not self.store.unsettled()
            if settled or not self.couriers:
                return settled
            moment = self._next_moment()
            if moment is None or self.clock.monotonic() > deadline:
                return False
            idle = idle + 1 if moment <= self.clock.now() else 0
            self.clock.set(max(moment, self.clock.now()))
        return False  # something is due, and no courier does it

    def _go_on(self) -> None:
        self._loop.run_until_idle()
        self._remove_dead()

    def _next_moment(self) -> datetime | None:
        """When something happens next. Looks round of couriers that would find nothing are
        passed over, which makes days short."""
        wakes = Counter(self.clock.wakes())
        if self._needs_looking_round():
            return min(wakes, default=None)
        wakes.subtract(alarm for one in self.couriers if (alarm := one.engine.alarm_at) is not None)
        moments = [moment for moment, number in wakes.items() if number > 0]
        planned = (self.store.next_parked(), *(one.engine.next_due for one in self.couriers))
        moments += [due for due in planned if due is not None]
        return min(moments, default=None)

    def _needs_looking_round(self) -> bool:
        """Whether something is open that no courier will come to by itself."""
        living, now = {courier.owner for courier in self.couriers}, self.clock.now()
        for upload, owner in self.store.unsettled():
            planned = any(_comes_to(courier, upload.key) for courier in self.couriers)
            if not (owner in living if isinstance(upload.state, Sending) else planned):
                return True
        homes = self._homes.items()
        here = {(name, self._provider.name): home.quota.address for name, home in homes}
        return (self.store.next_parked() or _FAR) <= now or bool(self.store.freed(here, 1))

    # --- what came of it -------------------------------------------------------------------------

    def statuses(self) -> Iterator[UploadStatus]:
        """The status of every upload."""
        yield from self.store.find(Find(limit=len(self.handed_over) + 1), self.clock.now()).uploads

    def copies(self, key: UploadKey) -> int:
        """How many copies of an upload the provider has."""
        return len(self.server.copies.get(f"{key.tenant_id}/{key.evidence_id}", ()))

    def breaches(self, *, duplicates: bool = True) -> list[str]:
        """What does not hold now: the invariants of every record, and what the server's side shows.

        Args:
            duplicates: Report a second copy that is not marked. The mark is due if a commit shows
                within the look-ups, or the provider cannot look uploads up.
        """
        living = {courier.owner for courier in self.couriers}
        found = [f"a surprise: {surprise!r}" for surprise in self._loop.surprises]
        for record in self.store.records(living):
            key = record.upload.key
            # A dead courier's attempt is in flight until it is recovered; that is judged once all
            # is settled.
            found += [
                f"{key}: {breach}"
                for breach in breaches(record)
                if "its courier is gone" not in breach
            ]
            attested = any(action == "attest" for action in self.store.actions_of(key))
            untrue = _untrue_of(record.upload, self.copies(key), attested)
            found += [f"{key}: {one}" for one in untrue if duplicates or "not marked" not in one]
        return found


def _untrue_of(upload: Upload, copies: int, attested: bool) -> Iterator[str]:
    """What a record says that the server's side does not bear out."""
    if copies > 1 and not upload.tally.possible_duplicate:
        yield f"the provider has {copies} copies, and it is not marked"
    if isinstance(upload.state, Succeeded) and copies == 0 and not attested:
        yield "it has succeeded, and the provider has no copy"
    if isinstance(upload.state, Queued) and upload.tally.spent:
        yield "it is queued, and something of its budget is spent"
