"""What a courier does in the background, every few seconds: it shows that it is alive, and looks
after what nobody else does.

- What a dead courier had in flight is recovered: it may have been taken.
- What is overdue and in nobody's hands is taken up, a fair share of each tenant's.
- What was held because an integration did not work is freed once its settings have changed, or a
  person has said so.
- What people did, and what other couriers did to uploads that are waited for here, is noticed.
- A clock that was set back is noticed, and nothing waits longer for it.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Container, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol, TypeVar

from ...delivery.accounting import recovery_of
from ...delivery.active import ActiveUpload
from ...delivery.destinations import Destination, Destinations, home_of
from ...domain.errors import StoreError
from ...domain.integration import OnUnclear
from ...domain.upload.attempt import attempt_of
from ...domain.upload.events import AttemptEnded, Blocked, Unblocked
from ...domain.upload.failure import Failure, FailureKind
from ...domain.upload.transitions import Rules, advance
from ...domain.upload.upload import Sending, Upload, UploadKey, due_of
from ...ports.clock import Clock
from ...ports.logger import AttemptRecovered as RecoveredEvent
from ...ports.logger import ClockSetBack, CourierLost, LogEvent, StoreTrouble
from ...ports.records import Change, OpenUpload, Saved
from ...ports.store import UploadStore
from ...ports.writer import Writer

BEAT = 15.0
"""How often a courier shows that it is alive, in seconds."""

OVERDUE = timedelta(seconds=2)
"""What is this much past its due time belongs to whoever finds it."""

HOMELESS = timedelta(minutes=10)
"""So long after its time an upload whose tenant has no such integration here is held: another
courier may know the tenant."""

LOOKED_THROUGH = 10_000
TAKEN_UP = 1_000
"""At once, so many keys are looked through, and so many uploads taken up."""

EVER = datetime.max.replace(tzinfo=UTC)
SET_BACK = 1.0
"""A clock that lies this many seconds behind where it should be was set back."""

_STRANGER = Rules(on_unclear=OnUnclear.HOLD)

T = TypeVar("T")


class Hands(Protocol):
    """What the engine lets its caretaker do."""

    destinations: Destinations
    broken: Container[str]

    @property
    def closing(self) -> bool:
        """Whether nothing new is to be begun."""
        ...

    def live(self, key: UploadKey) -> ActiveUpload | None:
        """The upload, if it is in this courier's hands."""
        ...

    def elsewhere(self) -> Sequence[UploadKey]:
        """What is in hand here and in flight at another courier."""
        ...

    def take_over(self, found: OpenUpload, destination: Destination) -> ActiveUpload:
        """Take an upload into this courier's hands, and plan it."""
        ...

    def adopt(self, live: ActiveUpload, found: OpenUpload | None) -> None:
        """What somebody else has written of an upload in hand is what is true; None: its record
        is gone."""
        ...

    async def recover(self, live: ActiveUpload, event: AttemptEnded) -> bool:
        """Write down that the attempt of a dead courier may have been taken; whether that was
        news."""
        ...

    async def write(
        self, found: OpenUpload, destination: Destination | None, event: Blocked | Unblocked
    ) -> None:
        """Write down what an event makes of an upload that is not in hand, and go on with it."""
        ...

    def held(self, upload: Upload) -> None:
        """An upload that is not in hand is held now: tell everybody."""
        ...

    def replan(self) -> None:
        """Plan everything in hand anew: the clock has been set."""
        ...

    def log(self, event: LogEvent) -> None:
        """Tell the host."""
        ...

    async def read(self, verb: Callable[[], T]) -> T:
        """Run a reading verb of the store off the loop."""
        ...


class Caretaker:
    """One courier's background work. `look_round` does all of it once."""

    def __init__(
        self,
        *,
        hands: Hands,
        store: UploadStore,
        writer: Writer,
        clock: Clock,
        jitter: Callable[[], float],
    ) -> None:
        self._hands = hands
        self._store = store
        self._writer = writer
        self._clock = clock
        self._jitter = jitter
        self._owner = 0
        self._beat_at = clock.monotonic() + BEAT
        self._page: UploadKey | None = None
        self._mark: int | None = None
        self._offset = self._offset_now()
        self._first = True

    def enlisted(self, owner: int) -> None:
        """This courier has a number now."""
        self._owner = owner

    async def look_round(self) -> None:
        """Everything, once. What the database refuses is told, and tried again the next time."""
        now = self._clock.now()
        for duty in (
            self._clock_was_set,
            self._beat,
            self._bury,
            self._notice,
            self._free,
            self._take_up,
        ):
            if self._hands.closing:
                return
            try:
                await duty(now)
            except StoreError as error:
                self._hands.log(StoreTrouble(str(error)))

    # --- time ------------------------------------------------------------------------------------

    def _offset_now(self) -> float:
        return self._clock.now().timestamp() - self._clock.monotonic()

    async def _clock_was_set(self, now: datetime) -> None:
        offset = self._offset_now()
        back = self._offset - offset
        self._offset = offset
        if back > SET_BACK:
            self._hands.log(ClockSetBack(back))
            self._hands.replan()
        elif not self._first:
            return
        self._first = False
        keys = await self._hands.read(
            lambda: self._store.due(EVER, LOOKED_THROUGH, written_after=now)
        )
        ahead = await self._hands.read(lambda: self._store.get(keys)) if keys else {}
        for found in ahead.values():
            self._take(found)

    async def _beat(self, now: datetime) -> None:
        if self._clock.monotonic() >= self._beat_at:
            self._beat_at = self._clock.monotonic() + BEAT
            await self._writer.run(lambda: self._store.heartbeat(self._owner, now))

    # --- what others left ------------------------------------------------------------------------

    async def _bury(self, now: datetime) -> None:
        for owner in await self._hands.read(lambda: self._store.dead(self._owner)):
            left = await self._hands.read(lambda owner=owner: self._store.in_flight(owner))  # type: ignore[misc]
            recovered = [await self._recover(found, now) for found in left]
            if any(recovered) or not left:
                self._hands.log(CourierLost(owner, sum(recovered)))
            if all(recovered):
                await self._writer.run(lambda owner=owner: self._store.unregister(owner))  # type: ignore[misc]

    async def _recover(self, found: OpenUpload, now: datetime) -> bool:
        """Whether nobody has to see to it any more."""
        upload, key = found.upload, found.upload.key
        assert isinstance(upload.state, Sending)
        event = recovery_of(upload.state, now, self._jitter())
        destination = self._home_of(key)
        if destination is None:
            if key.tenant_id in self._hands.broken or now < upload.state.started_at + HOMELESS:
                return False
            return await self._recover_for_strangers(found, event)
        live = self._hands.live(key)
        if live is None:
            live = self._hands.take_over(found, destination)
        else:
            self._hands.adopt(live, found)
        await self._hands.recover(live, event)
        return True

    async def _recover_for_strangers(self, found: OpenUpload, event: AttemptEnded) -> bool:
        state = found.upload.state
        assert isinstance(state, Sending)
        held = advance(found.upload, event, _STRANGER)
        attempt = attempt_of(state.started_at, event, _STRANGER.retry)
        if isinstance(await self._writer.save(Change(held, attempt)), Saved):
            self._hands.log(RecoveredEvent(found.upload.key, event.attempt, None))
            self._hands.held(held)
        return True

    async def _take_up(self, now: datetime) -> None:
        page = self._page
        keys = await self._hands.read(lambda: self._store.due(now - OVERDUE, LOOKED_THROUGH, page))
        self._page = keys[-1] if len(keys) == LOOKED_THROUGH else None
        wanted = _fairly([key for key in keys if self._hands.live(key) is None], TAKEN_UP)
        found = await self._hands.read(lambda: self._store.get(wanted)) if wanted else {}
        for key in wanted:
            if key not in found or self._hands.live(key) is not None or self._hands.closing:
                continue
            if not self._take(found[key]):
                await self._hold_if_homeless(found[key], now)

    def _take(self, found: OpenUpload) -> bool:
        """Take it up, unless it is somebody's or its tenant is not known here."""
        destination = self._home_of(found.upload.key)
        if destination is None:
            return False
        if self._hands.live(found.upload.key) is None:
            self._hands.take_over(found, destination)
        return True

    async def _hold_if_homeless(self, found: OpenUpload, now: datetime) -> None:
        """Its turn has long come and its tenant has no such integration any more: a person must
        decide."""
        key, due = found.upload.key, due_of(found.upload.state)
        if key.tenant_id in self._hands.broken or due is None or now < due + HOMELESS:
            return
        failure = Failure(
            FailureKind.INTEGRATION_GONE,
            f"tenant {key.tenant_id!r} has no integration with {key.provider} any more: give it one and it goes on by itself, "
            "or abandon it",
        )
        await self._hands.write(found, None, Blocked(now, failure))

    def _home_of(self, key: UploadKey) -> Destination | None:
        return home_of(self._hands.destinations, key)

    # --- what has changed ------------------------------------------------------------------------

    async def _notice(self, now: datetime) -> None:
        mark = self._mark
        acted = await self._hands.read(lambda: self._store.acted_on(mark))
        self._mark = acted.mark
        keys = list(dict.fromkeys([*acted.keys, *self._hands.elsewhere()]))
        if not keys:
            return
        found = await self._hands.read(lambda: self._store.get(keys))
        for key in keys:
            live = self._hands.live(key)
            if live is not None:
                self._hands.adopt(live, found.get(key))
            elif key in found and due_of(found[key].upload.state) is not None:
                self._take(found[key])

    async def _free(self, now: datetime) -> None:
        addresses = {
            (tenant_id, destination.integration.provider): destination.quota.address
            for tenant_id, destination in self._hands.destinations.items()
        }
        for found in await self._hands.read(lambda: self._store.freed(addresses, TAKEN_UP)):
            destination = self._home_of(found.upload.key)
            if destination is not None:
                await self._hands.write(found, destination, Unblocked(now))


def _fairly(keys: Sequence[UploadKey], limit: int) -> list[UploadKey]:
    """Up to so many of the keys, in turn from each tenant, each tenant's in their order."""
    lanes: Mapping[tuple[str, str], deque[UploadKey]] = defaultdict(deque)
    for key in keys:
        lanes[key.tenant_id, key.provider].append(key)
    turns = deque(lanes.values())
    chosen: list[UploadKey] = []
    while turns and len(chosen) < limit:
        lane = turns.popleft()
        chosen.append(lane.popleft())
        if lane:
            turns.append(lane)
    return chosen
