"""What one courier has in hand: the uploads that are not at rest, whose turn it is, and who waits
for each. No document, and no task."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from attrs import define, field

from ..domain.errors import MisuseError, StoreError
from ..domain.pacing.gate import NotBefore
from ..domain.upload.backoff import later
from ..domain.upload.status import UploadStatus, status_of_upload, wait_for_integration
from ..domain.upload.upload import (
    Held,
    Queued,
    Sending,
    Upload,
    UploadKey,
    Waiting,
    due_at,
    numbered,
)
from ..domain.upload.verdict import AttemptVerdict
from ..ports.clock import Clock
from ..ports.logger import (
    EvidenceConflict,
    LogEvent,
    OriginAnswers,
    OriginSilent,
    RecordingFailed,
    UploadHeld,
    UploadRecorded,
)
from ..ports.records import Added, Dossier, Entry
from .actions import AppliedAction, events_of
from .backlog import Backlog
from .batching import Batching
from .breaker import Breakers, patience_of
from .destinations import Destination, Destinations, home_of
from .fair_share import Lane
from .postponed import FAR, Postponed, Waiter
from .schedule import Schedule


class Listener(Protocol):
    """Hears what happens. It must not raise, and changes nothing."""

    def log(self, event: LogEvent) -> None:
        """An event."""
        ...

    def settled(self, status: UploadStatus, *, elsewhere: bool = False) -> None:
        """An upload has come to rest, maybe by another courier or a person."""
        ...


@define(eq=False)
class ActiveUpload:
    """An upload with where it goes and who waits for it.

    `gone`: its record was deleted from the database while it was active. `answered`: its last
    turn's request was answered; False: it has timed out; None: neither. `line`: the line of the
    store in which it stands. An attempt that has begun has `sending`, its `content` until that
    is sent, if it was staged, and then a `verdict`. `adopted` is what another courier or a person
    wrote of it last, as far as this one has read it.
    """

    upload: Upload
    dossier: Dossier
    destination: Destination
    last_attempt_at: datetime | None = None
    waiters: list[Waiter] = field(factory=list)
    line: str = field(init=False)
    gone: bool = field(default=False, init=False)
    adopted: Upload | None = field(default=None, init=False)
    answered: bool | None = field(default=None, init=False)
    content: bytes | None = field(default=None, init=False, repr=False)
    verdict: AttemptVerdict | None = field(default=None, init=False)
    _sending: Sending | None = field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self.destination = self.destination.for_backfill(self.dossier.backfill)
        self.line = self.destination.quota.line

    @property
    def size(self) -> int:
        """The bytes that its document takes while it is under way."""
        return self.dossier.document.size

    @property
    def way(self) -> Hashable | None:
        """What is the same for uploads that may go together; None for one that goes alone."""
        destination, tally = self.destination, self.upload.tally
        sends = isinstance(self.upload.state, Queued | Waiting)
        # Half done, it goes on from its bookmark, which only an upload that goes alone is given.
        if destination.bundle is None or not sends or tally.alone or tally.progress is not None:
            return None
        if not self.dossier.document.is_made:
            return None
        return destination.lane, destination.quota.address

    @property
    def sending(self) -> Sending:
        """The beginning of its attempt, whatever has become of the upload since."""
        assert self._sending is not None
        return self._sending

    def begin(
        self, upload: Upload, content: bytes | None, verdict: AttemptVerdict | None
    ) -> Sending:
        """An attempt has begun. It has a verdict already if nothing is to be sent."""
        assert isinstance(upload.state, Sending)
        self.upload, self.content, self.verdict = upload, content, verdict
        self._sending, self.last_attempt_at = upload.state, upload.state.started_at
        return upload.state

    def status(self) -> UploadStatus:
        """Its status, as the host is told."""
        return status_of_upload(self.upload, self.last_attempt_at)

    def take(self, found: Entry, ours: bool) -> ActiveUpload:
        """What was found on disk is what is true; this courier wrote it if it is `ours`."""
        self.upload, self.dossier = found.upload, found.dossier
        self.adopted = None if ours else found.upload
        return self

    def adopt(self, current: Upload | None) -> None:
        """Another courier was faster: what it wrote is what is true. None: the record is gone."""
        if current is None:
            self.gone = True
        else:
            self.upload = self.adopted = current


def gone_error(key: UploadKey) -> StoreError:
    """What a waiter hears whose upload's record was deleted, or damaged, by other hands."""
    what = f"the record of {key} is gone from the database, or cannot be read any more"
    return StoreError(f"{what}; `evidence-courier invariants` names those that cannot be read")


class ActiveUploads:
    """The uploads of one courier, from their record to their end.

    An upload is planned for its due time, or `postponed` if that is far, or is not to be begun now
    (`elsewhere`: another courier has it, or its tenant's file is invalid), or is under way: handed
    out by `take` and not given back by `finish`. `awaited` are waiters that a task waits for just
    now. The engine, the recorder and the maintenance of the courier share this. It belongs to one
    thread; the caller brings the time.
    """

    def __init__(
        self, clock: Clock, listener: Listener, capacity: int, in_flight_bytes: int
    ) -> None:
        self.destinations: Destinations = {}
        self.broken: Mapping[str, Sequence[object]] = {}
        self.closing = False
        self.postponed = Postponed()
        self.awaited: dict[object, Waiter] = {}
        self._clock = clock
        self._listener = listener
        self._uploads: dict[UploadKey, ActiveUpload] = {}
        self._elsewhere: set[UploadKey] = set()
        self.schedule: Schedule[UploadKey] = Schedule(capacity, in_flight_bytes)
        self._breakers = Breakers(self.schedule.silent)
        self._batching: Batching[UploadKey] = Batching()
        self.backlog = Backlog()

    def __len__(self) -> int:
        return len(self._uploads) + len(self.postponed)

    def __contains__(self, key: UploadKey) -> bool:
        return key in self._uploads or key in self.postponed

    @property
    def planned(self) -> int:
        """How many wait for their time or their turn."""
        return len(self.schedule) + len(self.postponed)

    @property
    def under_way(self) -> int:
        """How many have been handed out."""
        return self.schedule.under_way

    @property
    def elsewhere(self) -> Sequence[UploadKey]:
        """What another courier is sending at the moment, or waits for a valid tenant file."""
        return tuple(self._elsewhere)

    @property
    def goes_on(self) -> bool:
        """Whether there are any but those that wait for a valid tenant file."""
        going = any(one.destination.invalid is None for one in self._uploads.values())
        return going or bool(self.postponed)

    def get(self, key: UploadKey) -> ActiveUpload | None:
        """The upload, if it is active and not postponed."""
        return self._uploads.get(key)

    def home_of(self, key: UploadKey) -> Destination | None:
        """Where an upload goes now, if its tenant still has such an integration."""
        return home_of(self.destinations, key)

    def began_with(self, upload: Upload) -> Destination | None:
        """What a postponed upload keeps, if it has not come to rest since."""
        return None if upload.at_rest else self.postponed.destination_of(upload.key)

    # --- coming and going ------------------------------------------------------------------------

    def add(self, active: ActiveUpload) -> ActiveUpload:
        """Make an upload active, and settle or plan it."""
        key = active.upload.key
        if key in self._uploads:
            self.backlog.remove(self._uploads[key].line)
        active.waiters += self.postponed.take_back(key)
        self._uploads[key] = active
        self.backlog.add(active.line)
        self.go_on(active)
        return active

    def recorded(
        self, entry: Entry, added: Added, destination: Destination, *waiters: Waiter
    ) -> ActiveUpload:
        """A new upload is on disk: make it active."""
        self._listener.log(UploadRecorded(entry.upload.key))
        upload = numbered(entry.upload, added.id)
        active = ActiveUpload(upload, entry.dossier, destination, waiters=list(waiters))
        return self.add(active)

    def compare(self, key: UploadKey, known: str, submitted: str | None) -> None:
        """Say it if another document was submitted under a known key (None or empty: it was not
        read)."""
        if known and submitted and submitted != known:
            self._listener.log(EvidenceConflict(key, known, submitted))

    def acted(self, applied: AppliedAction, last_attempt_at: datetime | None) -> None:
        """A person has done something to an upload, and it is on disk: go on from there."""
        for event in events_of(applied):
            self._listener.log(event)
        upload, dossier = applied.after, applied.dossier
        destination = self.home_of(upload.key)
        if upload.key in self:
            self.update(upload.key, Entry(upload, dossier), ours=True, tried=last_attempt_at)
        elif upload.at_rest:
            self.tell_end(upload, status_of_upload(upload, last_attempt_at))
        elif destination is not None and self.has_room_for(Entry(upload, dossier)):
            self.add(ActiveUpload(upload, dossier, destination))

    def has_room_for(self, one: Entry | ActiveUpload) -> bool:
        """Whether one more upload may be in hand. If not it is backlog, and taken up in turn."""
        home, backfill = self.home_of(one.upload.key), one.dossier.backfill
        return home is None or self.backlog.room(home.for_backfill(backfill).quota.line) > 0

    def update(
        self, key: UploadKey, found: Entry | None, ours: bool = False, tried: datetime | None = None
    ) -> None:
        """An active upload was written, if `ours` by this courier; None: its record is gone.
        A postponed one is planned anew. Of one that is under way, its own turn finds out."""
        active = self._uploads.get(key)
        if (home := self.postponed.destination_of(key)) is not None:
            if found is None:
                self._lose(key, self.postponed.take_back(key))
            else:
                self.add(ActiveUpload(found.upload, found.dossier, home, tried).take(found, ours))
            return
        if active is None or self.schedule.is_under_way(key):
            return
        if found is None:
            active.gone = True
        elif found.upload.version == active.upload.version and key not in self._elsewhere:
            return
        else:
            active.take(found, ours)
        self.go_on(active)

    def go_on(self, active: ActiveUpload) -> None:
        """Settle an upload, or plan what comes next."""
        key = active.upload.key
        if self._uploads.get(key) is not active:
            return
        if active.gone:
            self._drop(key)
            self._lose(key, active.waiters)
        elif active.upload.at_rest and not self._is_due(active.upload):
            self._drop(key)
            status = active.status()
            for waiter in active.waiters:
                waiter.mark_settled(status)
            self.tell_end(active.upload, status, elsewhere=active.upload is active.adopted)
        else:
            self._plan(active)

    def _is_due(self, upload: Upload) -> bool:
        now = self._clock.now()
        due = due_at(upload, now)
        return due is not None and due <= now

    def tell_end(self, upload: Upload, status: UploadStatus, *, elsewhere: bool = False) -> None:
        """Tell the host that an upload, active or not, has ended, unless it is parked."""
        if isinstance(upload.state, Held) and not elsewhere:
            self._listener.log(UploadHeld(upload.key, upload.state.cause))
        if upload.status.at_rest:
            self._listener.settled(status, elsewhere=elsewhere)

    def close(self) -> None:
        """Nothing is active any more: the records stay as they are."""
        waiting = [(key, one) for key, each in self._uploads.items() for one in each.waiters]
        for key, waiter in (*waiting, *self.postponed.waiters()):
            waiter.mark_lost(unsettled_error(key.tenant_id, key.evidence_id))
        self._uploads.clear()

    def _lose(self, key: UploadKey, waiters: Iterable[Waiter]) -> None:
        error = gone_error(key)
        self._listener.log(RecordingFailed(key, str(error)))
        for waiter in waiters:
            waiter.mark_lost(error)

    def _drop(self, key: UploadKey) -> None:
        self.backlog.remove(self._uploads.pop(key).line)
        self._elsewhere.discard(key)
        self.schedule.forget(key)

    # --- whose turn it is ------------------------------------------------------------------------

    def _plan(self, active: ActiveUpload) -> None:
        now = self._clock.now()
        key, due = active.upload.key, due_at(active.upload, now)
        if active.destination.invalid is not None:
            home = self.home_of(key) or active.destination
            active.destination = home.for_backfill(active.dossier.backfill)
        if due is None or active.destination.invalid is not None:
            self._elsewhere.add(key)
        elif self._is_far(active.upload, due, now):
            self._drop(key)
            self.postponed.put(key, active.destination, due, active.waiters)
        else:
            self._elsewhere.discard(key)
            patience = patience_of(active.upload, active.destination.rules)
            self.schedule.plan(key, active.destination.lane, due, active.size, patience)

    def _is_far(self, upload: Upload, due: datetime, now: datetime) -> bool:
        """Whether it may be postponed. Of what was written before the clock was set back, the
        store does not know when it is due."""
        begun = not isinstance(upload.state, Queued) and upload.updated_at <= now
        return begun and due > later(now, FAR) and not self.schedule.is_under_way(upload.key)

    def replan(self) -> None:
        """Plan everything anew: the clock was set."""
        self.schedule.stop_waiting()
        for active in [*self._uploads.values()]:
            self._plan(active)

    def next_due(self) -> datetime | None:
        """When the next turn begins, as far as is known now."""
        waiting = self.schedule, self._batching, self.postponed
        moments = [each.next_due() for each in waiting]
        return min((moment for moment in moments if moment is not None), default=None)

    def take(
        self, now: datetime, linger: timedelta = timedelta(0)
    ) -> Iterator[Sequence[ActiveUpload]]:
        """The turns that begin now: of one upload each, or of several that go in one request.
        What waits for others leaves if its wait is over in `linger`."""
        while (key := self.schedule.take(now)) is not None:
            for keys in self._together(self._uploads[key], now):
                yield [self._uploads[key] for key in keys]
        for keys in self._batching.ripe(later(now, linger)):
            yield [self._uploads[key] for key in keys]

    def _together(self, active: ActiveUpload, now: datetime) -> Sequence[Sequence[UploadKey]]:
        """What leaves now because of this upload: it alone, or those that it was gathered with."""
        key, way, bundle = active.upload.key, active.way, active.destination.bundle
        if way is None or bundle is None:
            return [[key]]
        return self._batching.add(key, way, active.size, bundle, now)

    def waits(self, keys: Iterable[UploadKey]) -> Mapping[UploadKey, str]:
        """What those of the uploads wait for whose time has come."""
        places: dict[Lane, Mapping[UploadKey, int]] = {}
        waits: dict[UploadKey, str] = {}
        for key in keys:
            if (active := self._uploads.get(key)) is None:
                if self.home_of(key) is None and key not in self.postponed:
                    waits[key] = wait_for_integration(key.tenant_id, key.provider)
                continue
            lane = active.destination.lane
            if lane not in places:
                places[lane] = self.schedule.places(lane)
            if (before := places[lane].get(key)) is not None:
                wait = self.schedule.waits_for(lane, active.size)
                waits[key] = f"{wait}; {before} of its tenant are before it" if before else wait
        return waits

    def waiting_at(self, destination: Destination) -> Sequence[ActiveUpload]:
        """What waits for its time or its turn under these settings. Their lane waits no longer: its
        gate is to be asked again."""
        self.schedule.stop_waiting(*(destination.for_backfill(b).lane for b in (False, True)))
        return [
            active
            for key, active in self._uploads.items()
            if active.destination.quota.address == destination.quota.address
            and not (self.schedule.is_under_way(key) or key in self._elsewhere)
        ]

    def finish(self, turn: Sequence[ActiveUpload], refused: NotBefore | None) -> None:
        """A turn has ended. If the gate refused it, its uploads keep their places and their whole
        lane waits."""
        for active in turn:
            if refused is None or active.gone:
                self.schedule.done(active.upload.key)
            else:
                self.schedule.put_back(active.upload.key)
        if refused is not None:
            self.schedule.wait(turn[0].destination.lane, refused.at)
        self._hear(turn)
        for active in turn:
            if refused is None or active.gone:
                self.go_on(active)

    def leave(self, turn: Sequence[ActiveUpload]) -> None:
        """Let go of what was taken: another has it in hand."""
        for active in turn:
            self.schedule.done(active.upload.key)
            self._drop(active.upload.key)

    def _hear(self, turn: Sequence[ActiveUpload]) -> None:
        """Note whether a turn was answered. If its origin was silent and answers again, what was
        held back for it goes at its own time."""
        destination, answered = turn[0].destination, turn[0].answered
        origin, credential = destination.origin, destination.quota.credential
        for active in turn:
            active.answered = None
        if answered is None or not self._breakers.note(origin, credential, answered):
            return
        self._listener.log(OriginAnswers(origin) if answered else OriginSilent(origin))
        if answered:
            own = {*turn}  # `finish` goes on with these: they may be at rest, or gone
            for other in [*self._uploads.values()]:
                if other.destination.origin == origin and other not in own:
                    self._plan(other)


def unsettled_error(tenant_id: str, evidence_id: str) -> MisuseError:
    """What a waiter hears whose courier was closed."""
    return MisuseError(
        f"the courier was closed before {tenant_id}/{evidence_id} was settled; its record is "
        "stored and the next courier on this database goes on with it"
    )
