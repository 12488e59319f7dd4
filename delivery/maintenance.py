"""What a courier does in the background, every few seconds.

- It notices that the clock was set back, so that nothing waits longer for it.
- It shows that it is alive.
- It recovers what dead couriers were sending: the provider may have received it.
- It picks up what people and other couriers have changed.
- It holds what people have paused.
- It goes on with what an integration or a target has stopped that works again or has changed.
- It adopts what is overdue and in the hands of no courier, a fair share of each line.
- It logs what cannot be read, since other hands wrote it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import chain, islice, zip_longest
from typing import TypeAlias

from ..domain.errors import StoreError
from ..domain.integration import OnUnclear, spellings, tenant_key
from ..domain.upload import events
from ..domain.upload.attempt import attempt_of
from ..domain.upload.backoff import later
from ..domain.upload.failure import Failure, FailureKind
from ..domain.upload.status import status_of_upload, wait_for_integration, wait_for_valid
from ..domain.upload.transitions import Rules, advance
from ..domain.upload.upload import (
    UNKNOWN_PROVIDER,
    Sending,
    UploadKey,
    due_of,
)
from ..ports.logger import (
    AttemptRecovered,
    ClockSetBack,
    CourierLost,
    StoreTrouble,
    UploadsWait,
)
from ..ports.records import Change, Entry, InvalidTenants, Saved
from ..ports.store import UploadStore
from .accounting import recovery_of
from .active import ActiveUpload, ActiveUploads
from .applying import Step, apply, save, stored
from .destinations import (
    GOES_ON,
    Destination,
    Destinations,
    invalid_failure,
    named_provider,
)
from .effects import Notify, Read, Turn, Write, perform
from .postponed import AHEAD
from .stopped import PauseKeeper, left_to_others, release
from .turn_context import TurnContext
from .unreadable import PassedOver

HEARTBEAT = 15.0
"""How often a courier shows that it is alive, in seconds."""

ADOPT_EVERY = 1.0
"""How often a courier without a background adopts what is due, in seconds."""

OVERDUE = timedelta(seconds=2)
"""What is this much past its due time is for any courier to adopt."""

ORPHAN_AFTER = timedelta(minutes=10)
"""An upload whose tenant has no such integration here is held so long after its time: until then
another courier may know the tenant."""

LOOKED_THROUGH = 10_000
READ_AT_ONCE = 1_000

POSTPONED_AT_ONCE = 500

RELEASED_AT_ONCE, RELEASES_AT_ONCE = 1_000, 10
"""How many uploads of an integration are released in one transaction, and in how many
transactions, before the rest of the work goes on."""

RECOVERED_AT_ONCE, RECOVERIES_AT_ONCE = 1_000, 10
"""How much of what each dead courier was sending is recovered in one transaction, and in how many
transactions, before the rest of the work goes on."""

SET_BACK = 1.0
"""A clock that lies this many seconds behind where it should be was set back."""

_EVER = datetime.max.replace(tzinfo=UTC)
_ORPHAN_RULES = Rules(on_unclear=OnUnclear.HOLD)

_Task: TypeAlias = Callable[[datetime], Turn[None]]


def _attempted(task: _Task, now: datetime, refused: dict[_Task, str]) -> Turn[None]:
    """Do a task. If the database refuses it, that is logged unless it has refused one so before."""
    try:
        yield from task(now)
        refused.pop(task, None)
    except StoreError as error:
        is_known = str(error) in refused.values()
        refused[task] = str(error)
        if not is_known:
            yield from perform(Notify(StoreTrouble(str(error))))


class Maintenance:
    """One courier's background work. What is `overdue` so long is adopted."""

    def __init__(
        self, active: ActiveUploads, context: TurnContext, overdue: timedelta = OVERDUE
    ) -> None:
        self._overdue = overdue
        self._active = active
        self._context = context
        self._clock = context.clock
        self._heartbeat_at = self._clock.monotonic() + HEARTBEAT
        self._refused: dict[_Task, str] = {}
        self._logged: set[UploadsWait] = set()
        self._invalid = frozenset[str]()
        self._read: Destinations | None = None
        self._strangers: defaultdict[str | None, set[str]] = defaultdict(set)
        self._passed_over = PassedOver(context.wait_log.unreadable)
        self._mark: int | None = None
        self._read_postponed = partial(read_postponed, active)
        self._hold_paused = PauseKeeper(context, active).hold_paused
        self._offset = self._offset_now()
        self._reads_again, self._look = False, 1

    def run_once(self) -> Turn[None]:
        """All of it, once. What the database refuses is logged once, and tried again."""
        yield from self._run(
            self.notice_clock_change,
            self.heartbeat,
            self.tell_invalid,
            self.recover_dead_couriers,
            self.pick_up_changes,
            self._hold_paused,
            self.release_unblocked,
            self._read_postponed,
            self.adopt_overdue,
            self._passed_over.log_new,
        )

    def adopt(self) -> Turn[None]:
        """Adopt what has become due, and nothing else."""
        yield from self._run(self.adopt_overdue, self._passed_over.log_missing)

    def adopt_more(self) -> Turn[None]:
        """Read what is due soon, and adopt more of a line that has sent half of its share."""
        yield from self._run(self._read_postponed, self._adopt_some, self._passed_over.log_missing)

    def _run(self, *tasks: _Task) -> Turn[None]:
        now = self._clock.now()
        for task in tasks:
            if self._active.closing:
                return
            yield from _attempted(task, now, self._refused)

    # --- time ------------------------------------------------------------------------------------

    def _offset_now(self) -> float:
        return self._clock.now().timestamp() - self._clock.monotonic()

    def notice_clock_change(self, now: datetime) -> Turn[None]:
        """Adopt what was written in the future, some of each line at a time: at the first time, and
        when the clock was set back."""
        offset = self._offset_now()
        back = self._offset - offset
        self._offset = offset
        if back > SET_BACK:
            yield from perform(Notify(ClockSetBack(back)))
            self._active.replan()
            self._reads_again, self._look = True, 1
        if self._reads_again:
            # What is postponed anew meanwhile is not among these.
            yield from read_again(self._active, iter([*self._active.postponed]), bounded=False)
            self._reads_again = False
        if self._look:
            self._look = yield from _look_ahead(now, self._active, self._look, self._take)

    def heartbeat(self, now: datetime) -> Turn[None]:
        """Show that this courier is alive, if it is time to."""
        if self._clock.monotonic() >= self._heartbeat_at:
            self._heartbeat_at = self._clock.monotonic() + HEARTBEAT
            courier_id = self._context.courier_id
            yield from perform(Write(lambda store: store.heartbeat(courier_id, now)))

    def tell_invalid(self, now: datetime) -> Turn[None]:
        """Have the records name the tenants whose configuration is not in force."""
        destinations = self._active.destinations
        valid = frozenset(destinations)
        invalid = frozenset(self._active.broken) - valid
        # After each reload, since another courier may have read the files while one was invalid.
        if destinations is not self._read or invalid != self._invalid:
            change = InvalidTenants(invalid, valid | self._invalid - invalid, now)
            yield from perform(Write(lambda store: store.save([change])))
            self._invalid, self._read = invalid, destinations
            self._logged = {one for one in self._logged if tenant_key(one.tenant_id) not in valid}

    # --- what others left ------------------------------------------------------------------------

    def recover_dead_couriers(self, now: datetime) -> Turn[None]:
        """Write down that what dead couriers were sending may have been received."""
        mine = self._context.courier_id
        recovered: Counter[int] = Counter()
        without: defaultdict[int, set[str]] = defaultdict(set)
        done: set[int] = set()
        for _ in range(RECOVERIES_AT_ONCE):
            dead = yield from perform(
                Read(lambda store: store.dead(mine, RECOVERED_AT_ONCE, without))
            )
            for courier_id, left in dead.items():
                passed_over = yield from self._recover(left, now)
                recovered[courier_id] += len(left) - len(passed_over)
                without[courier_id] |= {key.tenant_id for key in passed_over}
                if len(left) < RECOVERED_AT_ONCE and courier_id not in done:
                    done.add(courier_id)
                    if not without[courier_id]:
                        yield from perform(_unregister(courier_id))
            if dead.keys() <= done:
                break
        for courier_id, number in recovered.items():
            if number or not without[courier_id]:
                yield from perform(Notify(CourierLost(courier_id, number)))

    def _recover(self, left: Sequence[Entry], now: datetime) -> Turn[Sequence[UploadKey]]:
        """Recover what a dead courier was sending; those that are passed over, because another
        courier may know their tenants."""
        known: list[ActiveUpload] = []
        orphans: list[tuple[Entry, Sending]] = []
        passed_over = []
        for found in left:
            key, state = found.upload.key, found.upload.state
            assert isinstance(state, Sending)
            destination = self._active.home_of(key)
            if destination is not None:
                self._active.update(key, found)
                active = self._active.get(key) or _active(found, destination)
                if active.upload.state == state:
                    known.append(active)
            elif tenant_key(key.tenant_id) in self._active.broken or (
                now < state.started_at + ORPHAN_AFTER
            ):
                passed_over.append(key)
            else:
                orphans.append((found, state))
        for active in (yield from recover(self._context, known)):
            self._go_on_with(active)
        yield from self._recover_orphans(orphans)
        return passed_over

    def _go_on_with(self, active: ActiveUpload) -> None:
        """What has been written is active already, or is made so if there is room."""
        key = active.upload.key
        present = self._active.get(key)
        if present is active:
            self._active.go_on(active)
        elif present is not None:
            self._active.update(key, Entry(active.upload, active.dossier), ours=True)
        elif active.upload.at_rest or self._active.has_room_for(active):  # or it is backlog
            self._active.add(active)

    def _recover_orphans(self, orphans: Sequence[tuple[Entry, Sending]]) -> Turn[None]:
        changes = []
        for found, sending in orphans:
            event = recovery_of(sending, self._clock.now(), self._context.jitter())
            attempt = attempt_of(sending.started_at, event, _ORPHAN_RULES.retry)
            changes.append(Change(advance(found.upload, event, _ORPHAN_RULES), attempt))
        written = yield from _save(changes)
        for change, is_written in zip(changes, written, strict=True):
            if is_written and change.attempt is not None:
                held = change.upload
                yield from perform(Notify(AttemptRecovered.of(held.key, change.attempt, None)))
                self._active.tell_end(held, status_of_upload(held, None))

    def adopt_overdue(self, now: datetime) -> Turn[None]:
        """Adopt what is past its time and in the hands of no courier, some of each line."""
        found = yield from perform(Read(lambda store: store.due(now - self._overdue, 0)))
        self._active.backlog.found(found)
        self._strangers.clear()
        yield from self._adopt_some(now)

    def _adopt_some(self, now: datetime) -> Turn[None]:
        """Adopt what the next lines have, up to their shares."""
        backlog, before = self._active.backlog, now - self._overdue
        passed_over = self._passed_over
        asked = {one: frozenset(self._strangers[one]) for one in backlog.next_lines()}
        # Up to one share is in hand already.
        limit = 2 * backlog.share + passed_over.most(asked)
        pages = yield from perform(Read(lambda store: store.due(before, limit, lines=asked)))
        for line, page in pages.items():
            free = [k for k in page if self._active.get(k) is None and k not in passed_over]
            room, full = backlog.room(line), len(page) == limit
            given = yield from stored(free[:room])
            unread, found = passed_over.add(line, free[:room], given), [*given.values()]
            others = yield from left_to_others(found, self._active.home_of, now)
            strangers = [one for one in found if one not in others and not self._take(one, line)]
            if not (yield from self._name_providers(strangers)):
                for one in strangers:
                    yield from self._hold_orphan(one, now)
            left = [*others, *strangers]
            self._strangers[line] |= {one.upload.key.tenant_id for one in left}
            more = full or len(free) > room
            backlog.looked(line, more=more, again=more and bool(left or unread))

    def _take(self, found: Entry, line: str | None = None) -> bool:
        """Make it active; False if its tenant is not known here."""
        key, destination = found.upload.key, self._active.home_of(found.upload.key)
        is_known = self._active.closing or key in self._active
        if is_known:
            self._active.update(key, found)
        elif destination is not None:
            self._active.add(_active(found, destination, line=line))
        return is_known or destination is not None

    def _hold_orphan(self, found: Entry, now: datetime) -> Turn[None]:
        """Its time has long come, and its tenant has no such integration any more: a person must
        decide."""
        key, due = found.upload.key, due_of(found.upload.state)
        problems = self._active.broken.get(tenant_key(key.tenant_id))
        if problems is not None and key.provider == UNKNOWN_PROVIDER:
            failure = invalid_failure(key.tenant_id, problems)  # it was released too early
        elif problems is not None:
            yield from self._tell_of_waiting(key, wait_for_valid(key.tenant_id))
            return
        elif due is None or now < due + ORPHAN_AFTER:
            wait = wait_for_integration(key.tenant_id, key.provider)
            if (yield from self._tell_of_waiting(key, wait)):
                change = InvalidTenants((), (), now, gone=[tenant_key(key.tenant_id)])
                yield from perform(Write(lambda store: store.save([change])))
            return
        else:
            to = "" if key.provider == UNKNOWN_PROVIDER else f" with {key.provider}"
            failure = Failure(
                FailureKind.INTEGRATION_GONE,
                f"tenant {key.tenant_id!r} has no integration{to} any more: give it one and "
                f"{GOES_ON}, or abandon it",
            )
        held = advance(found.upload, events.Blocked(now, failure), Rules())
        if held is not found.upload and (yield from _save([Change(held)])) == [True]:
            self._active.tell_end(held, status_of_upload(held, None))

    def _tell_of_waiting(self, key: UploadKey, wait: str) -> Turn[bool]:
        """Log once that uploads wait for what the configuration lacks; whether that was news."""
        event = UploadsWait(key.tenant_id, key.provider, wait, None)
        if event in self._logged:
            return False
        self._logged.add(event)
        yield from perform(Notify(event))
        return True

    # --- what has changed ------------------------------------------------------------------------

    def pick_up_changes(self, now: datetime) -> Turn[None]:
        """Go on with what people acted on, and with what other couriers were sending."""
        mark = self._mark
        acted = yield from perform(Read(lambda store: store.acted_on(mark)))
        self._mark = acted.mark
        keys = list(dict.fromkeys([*acted.keys, *self._active.elsewhere]))
        for some in (keys[at : at + READ_AT_ONCE] for at in range(0, len(keys), READ_AT_ONCE)):
            found = yield from stored(some)
            for key in some:
                one = found.get(key)
                if key in self._active or one is None:
                    self._active.update(key, one)
                elif due_of(one.upload.state) is not None and self._active.has_room_for(one):
                    self._take(one)

    def release_unblocked(self, now: datetime) -> Turn[None]:
        """Go on with what was stopped by an integration or a target that may work again."""
        homes = self._active.destinations
        # In the thread that reads: with thousands of tenants it takes long.
        look = Read(lambda store: store.freed(_addresses_of(homes), RELEASED_AT_ONCE))
        for _ in range(RELEASES_AT_ONCE):
            freed = yield from perform(look)
            if (yield from self._name_providers(freed)):
                freed = yield from perform(look)
            held = [
                _active(found, destination)
                for found in freed
                if (destination := self._active.home_of(found.upload.key)) is not None
            ]
            for active in (yield from release(held, now)):
                room = self._active.backlog.room(active.line)  # without it, it is backlog
                known = self._active.get(active.upload.key) is not None
                if room and not known and not self._active.closing:
                    self._active.add(active)
            if len(freed) < RELEASED_AT_ONCE:
                return

    def _name_providers(self, some: Sequence[Entry]) -> Turn[bool]:
        """Give what was recorded for an invalid configuration that is mended its provider; whether
        any was."""
        keys = [one.upload.key for one in some]
        tenants = {key.tenant_id for key in keys if key.provider == UNKNOWN_PROVIDER}
        named = [
            named_provider(tenant_id, destination)
            for tenant_id in tenants
            if (destination := self._active.destinations.get(tenant_key(tenant_id))) is not None
        ]
        if named:
            yield from perform(Write(lambda store: store.save(named)))
        return bool(named)


def _look_ahead(
    now: datetime, active: ActiveUploads, look: int, take: Callable[[Entry], object]
) -> Turn[int]:
    """Take some uploads of each line that were written in the future. The number of the next look;
    0 if this was the last."""
    # Each look sees further than the one before, and past what is in hand.
    limit = look * LOOKED_THROUGH + len(active)
    soon = yield from perform(Read(lambda store: store.due(_EVER, limit, written_after=now)))
    in_turn = filter(None, chain.from_iterable(zip_longest(*soon.values())))
    keys = [key for key in in_turn if key not in active and active.home_of(key) is not None]
    some = keys[:LOOKED_THROUGH]
    for entry in (yield from stored(some)).values():
        take(entry)
    full = any(len(line) >= limit for line in soon.values())
    more = len(keys) > len(some) and any(key in active for key in some)
    return look + 1 if full or more else 0


def read_postponed(uploads: ActiveUploads, now: datetime) -> Turn[None]:
    """Read what is due soon, as far as there is room for it. The rest is backlog then."""
    yield from read_again(uploads, uploads.postponed.soon(later(now, AHEAD)))


def read_again(
    uploads: ActiveUploads, keys: Iterator[UploadKey], *, bounded: bool = True
) -> Turn[None]:
    """Read postponed uploads from the store; if `bounded`, as far as there is room for them."""
    postponed, backlog = uploads.postponed, uploads.backlog
    while some := [*islice(keys, POSTPONED_AT_ONCE)]:
        wanted: list[UploadKey] = []
        of_each: Counter[str] = Counter()
        for key in some:
            if (destination := postponed.destination_of(key)) is None:
                continue
            line = destination.quota.line
            if of_each[line] < backlog.room(line) or not bounded:
                of_each[line] += 1
                wanted.append(key)
            else:
                backlog.looked(line, more=True, again=False)
        # Also if it is none: other turns go on while it is read.
        found = yield from perform(Read(partial(_get, wanted)))
        for key in wanted:
            if key in postponed:
                uploads.update(key, found.get(key))


def _get(keys: Sequence[UploadKey], store: UploadStore) -> Mapping[UploadKey, Entry]:
    return store.get(keys) if keys else {}


def recover(context: TurnContext, uploads: Sequence[ActiveUpload]) -> Turn[Sequence[ActiveUpload]]:
    """Write down that attempts of a dead courier may have been received; those that changed."""
    steps = []
    for active in uploads:
        sending = active.upload.state
        if isinstance(sending, Sending):
            event = recovery_of(sending, context.clock.now(), context.jitter())
            attempt = attempt_of(sending.started_at, event, active.destination.rules.retry)
            steps.append(Step(active, event, attempt))
    written = yield from apply(*steps)
    for step in written:
        assert step.attempt is not None
        upload = step.active.upload
        news = AttemptRecovered.of(upload.key, step.attempt, due_of(upload.state))
        yield from perform(Notify(news))
    return [step.active for step in written]


def _addresses_of(destinations: Destinations) -> dict[tuple[str, str], str]:
    """The address of each integration, by tenant and provider."""
    return {
        (tenant_id, provider): destination.quota.address
        for destination in destinations.values()
        for tenant_id in spellings(destination.integration.tenant_id)
        for provider in (destination.integration.provider, UNKNOWN_PROVIDER)
    }


def _unregister(courier_id: int) -> Write[None]:
    return Write(lambda store: store.unregister(courier_id))


def _active(found: Entry, destination: Destination, line: str | None = None) -> ActiveUpload:
    active = ActiveUpload(found.upload, found.dossier, destination)
    active.line = line or active.line
    return active


def _save(changes: Sequence[Change]) -> Turn[list[bool]]:
    """Write changes of uploads that are not active; whether each was written."""
    return [isinstance(answer, Saved) for answer in (yield from save(changes))]
