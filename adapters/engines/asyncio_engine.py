"""The engine: drives every upload of one courier through its life, on one event loop.

It asks the schedule whose turn it is, lets the domain decide what an event makes of an upload, has
the store write that down, and only then acts on it. A waiting upload costs a few words of memory:
no task, no document.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Container, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from datetime import datetime, timedelta
from math import ceil, inf
from typing import TypeVar

from attrs import evolve, frozen

from ...delivery.active import ActiveUpload
from ...delivery.batching import Batching, way_of
from ...delivery.destinations import Destination, Destinations, home_of
from ...delivery.dry_run import dry_run
from ...delivery.schedule import Schedule
from ...delivery.turn import AttemptTurn, TurnContext, apply, fail, look_up
from ...domain.errors import CourierError, MisuseError, StoreError
from ...domain.pacing.gate import NotBefore
from ...domain.upload.attempt import attempt_of
from ...domain.upload.backoff import later
from ...domain.upload.events import AttemptEnded, Blocked, Unblocked
from ...domain.upload.status import UploadStatus, status_of_upload
from ...domain.upload.transitions import Rules, advance
from ...domain.upload.upload import (
    Held,
    LookingUp,
    Queued,
    Sending,
    Status,
    Undecided,
    Upload,
    UploadKey,
    Waiting,
    due_at,
    due_of,
)
from ...domain.upload.verdict import DryRun
from ...ports.clock import Clock
from ...ports.logger import AttemptRecovered as RecoveredEvent
from ...ports.logger import (
    EvidenceConflict,
    HookFailed,
    LogEvent,
    Logger,
    RecordingFailed,
    UploadHeld,
    UploadRecorded,
    UploadRequeued,
    UploadSettled,
)
from ...ports.records import AddAnswer, Added, Change, Entry, OpenUpload, Saved
from ...ports.renderer import Renderer
from ...ports.store import UploadStore
from ...ports.writer import Writer
from .acting import AppliedAction, events_of
from .asyncio_driver import AsyncioDriver, Outside, interruption_of
from .caretaker import Caretaker
from .interruptions import hosts_own
from .notify import Notifier
from .recorder import Recorder, Submission
from .tickets import Ticket

OPEN = tuple(status for status in Status if not status.at_rest)

SWEEP = 5.0
"""How often, in seconds, the caretaker looks round."""

LAST_WORDS = 5.0
"""How many seconds a closing courier gives to writing down how far its cancelled requests got."""

T = TypeVar("T")
OnSettled = Callable[..., object]


@frozen
class Workload:
    """What an engine has in hand: submitted and not yet recorded, planned for now or later,
    under way."""

    submitted: int
    planned: int
    under_way: int


class AsyncEngine:
    """One courier's uploads. Everything here happens on one loop, but for what the store and the
    worker threads do."""

    def __init__(
        self,
        *,
        store: UploadStore,
        writer: Writer,
        outside: Outside,
        clock: Clock,
        logger: Logger,
        renderer: Renderer,
        jitter: Callable[[], float],
        capacity: int,
        in_flight_bytes: int,
        on_settled: OnSettled | None,
        threads: Executor,
        host_threads: Executor,
    ) -> None:
        self.destinations: Destinations = {}
        self.broken: Container[str] = frozenset()
        self._store = store
        self._writer = writer
        self._notifier = Notifier(logger)
        self._driver = AsyncioDriver(outside, store, writer, threads, clock, self._notifier)
        self._context = TurnContext(0, clock, jitter, interruption_of)
        self._caretaker = Caretaker(
            hands=self, store=store, writer=writer, clock=clock, jitter=jitter
        )
        self._clock = clock
        self._on_settled = on_settled
        self._threads = threads
        self._recorder = Recorder(writer, renderer, clock, host_threads, self, self._wake)
        self._schedule: Schedule[UploadKey] = Schedule(capacity, in_flight_bytes)
        self._gathering: Batching[UploadKey] = Batching()
        self._live: dict[UploadKey, ActiveUpload] = {}
        self._elsewhere: set[UploadKey] = set()
        self._adopting: set[Ticket] = set()
        self._hooks: set[asyncio.Task[None]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._woken = asyncio.Event()
        self._rested = asyncio.Event()
        self._alarm: tuple[datetime, asyncio.Task[None]] | None = None
        self._sweep_at = clock.monotonic()
        self._sweeping = False
        self._dispatcher: asyncio.Task[None] | None = None
        self._grace: asyncio.Timeout | None = None
        self._least_grace = inf

    @property
    def closing(self) -> bool:
        """Whether nothing new is begun."""
        return self._driver.closing

    async def dry_run(self, destination: Destination) -> DryRun | None:
        """Ask a provider whether uploads would work, beside the uploads and under their limits."""
        return await self._driver.run(dry_run(self._context, destination))

    # --- lifecycle -------------------------------------------------------------------------------

    def start(self, owner: int) -> None:
        """Begin to work under a number that the store has given; what an earlier run left is
        found by the first look round."""
        self._context = evolve(self._context, courier_id=owner)
        self._caretaker.enlisted(owner)
        self._dispatcher = asyncio.create_task(self._dispatch())
        self._dispatcher.add_done_callback(self._tell_bug)

    def look_round(self) -> None:
        """Have the caretaker look round now: something has changed."""
        self._sweep_at = self._clock.monotonic()
        self._wake()

    @property
    def workload(self) -> Workload:
        """What is in hand."""
        return Workload(self._recorder.waiting, len(self._schedule), self._schedule.under_way)

    async def quiet(self) -> None:
        """Return once nothing is under way: all that is open waits for a moment that has not
        come."""
        while not self._at_rest():
            await self._next_rest()

    async def drained(self) -> None:
        """Return once everything open in the store is succeeded, failed or held."""
        while True:
            if (
                self._recorder.idle
                and not self._live
                and not any((await self.read(lambda: self._store.counts(OPEN))).values())
            ):
                return
            await self._next_rest()

    async def _next_rest(self) -> None:
        if self.closing:
            raise MisuseError("the courier was closed while it was waited for")
        self._rested.clear()
        await self._rested.wait()

    async def close(self, grace: float) -> None:
        """Record what was submitted, let what is under way finish for `grace` seconds, and hand
        the rest back to the store."""
        self._driver.closing = True
        self._rested.set()
        await self._recorder.finish(grace)
        if self._dispatcher is not None:
            self._dispatcher.cancel()
            await asyncio.wait([self._dispatcher])
        if self._alarm is not None:
            self._alarm[1].cancel()
            await asyncio.wait([self._alarm[1]])
        with suppress(TimeoutError):
            async with asyncio.timeout(min(grace, self._least_grace)) as self._grace:
                if self._tasks:
                    await asyncio.wait(self._tasks)
        self._grace = None
        # Once: what is under way hears of it, writes down how far it got, and ends.
        for task in self._tasks:
            task.cancel()
        await self._wait_for_tasks(LAST_WORDS)
        for task in self._tasks:
            task.cancel()
        await self._wait_for_tasks(LAST_WORDS)
        await self._end_hooks(min(grace, self._least_grace))
        for live in self._live.values():
            for waiter in live.waiters:
                waiter.mark_lost(_unsettled_error(live.upload.key))
        for ticket in self._adopting:
            ticket.mark_lost(_unsettled_error(ticket))
        self._live.clear()

    def hurry(self, grace: float) -> None:
        """Give what is under way no more than `grace` seconds from now to finish, in a close
        that has begun."""
        self._least_grace = min(grace, self._least_grace)
        if self._grace is not None and not self._grace.expired():
            until = asyncio.get_running_loop().time() + grace
            self._grace.reschedule(min(until, self._grace.when() or until))

    def abort(self) -> None:
        """Stop dead, as a crash does: nothing is finished, nothing is handed back. For
        simulations."""
        self._driver.closing = True
        self._recorder.abort()
        alarm = [] if self._alarm is None else [self._alarm[1]]
        dispatcher = [] if self._dispatcher is None else [self._dispatcher]
        for task in (*self._tasks, *self._hooks, *alarm, *dispatcher):
            task.cancel()

    @property
    def next_due(self) -> datetime | None:
        """When the schedule comes to something next, or a request leaves that waits for company."""
        moments = (self._schedule.next_due(), self._gathering.next_due())
        return min((moment for moment in moments if moment is not None), default=None)

    @property
    def alarm_at(self) -> datetime | None:
        """When the dispatcher wakes by itself."""
        return None if self._alarm is None or self._alarm[1].done() else self._alarm[0]

    async def _wait_for_tasks(self, seconds: float) -> None:
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)

    async def _end_hooks(self, seconds: float) -> None:
        if self._hooks:
            _, late = await asyncio.wait(self._hooks, timeout=seconds)
            for hook in late:
                hook.cancel()
            if late:
                await asyncio.wait(late, timeout=LAST_WORDS)

    async def read(self, verb: Callable[[], T]) -> T:
        """Run a reading verb of the store off the loop."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, verb)

    # --- from submission to schedule -------------------------------------------------------------

    def submit(self, submission: Submission) -> None:
        """Take an evidence; returns at once. On the loop."""
        if self.closing:
            self.not_recorded(submission, closed_error(submission.ticket))
            return
        self._recorder.accept(submission)

    def recorded(self, submission: Submission, entry: Entry, answer: AddAnswer) -> None:
        """A submission is on disk, now or since earlier."""
        key, ticket = entry.upload.key, submission.ticket
        ticket.mark_recorded()
        if isinstance(answer, Added):
            self.log(UploadRecorded(key))
            live = ActiveUpload(
                entry.upload, entry.dossier, submission.destination, waiters=[ticket]
            )
            self._live[key] = live
            self._after(live)
            return
        if answer.submitted_digest != entry.dossier.submitted_digest:
            self.log(EvidenceConflict(key, answer.submitted_digest, entry.dossier.submitted_digest))
        if (known := self._live.get(key)) is not None:
            known.waiters.append(ticket)
        else:
            self._adopting.add(ticket)
            self._spawn(self._adopt(key, submission.destination, ticket))

    def not_recorded(self, submission: Submission, error: CourierError) -> None:
        """A submission could not be written down."""
        self.log(RecordingFailed(submission.key, str(error)))
        submission.ticket.mark_lost(error)

    async def _adopt(self, key: UploadKey, destination: Destination, ticket: Ticket) -> None:
        """Attach a ticket to an upload that is known and not in this courier's hands."""
        now = self._clock.now()
        try:
            found = (await self.read(lambda: self._store.get([key]))).get(key)
            statuses = await self.read(
                lambda: self._store.statuses(key.tenant_id, [key.evidence_id], now)
            )
        except StoreError as error:
            self._adopting.discard(ticket)
            ticket.mark_lost(error)
            return
        self._adopting.discard(ticket)
        if (live := self._live.get(key)) is not None:
            live.waiters.append(ticket)
        elif found is None:
            ticket.mark_lost(StoreError(f"the record of {key} is gone from the database"))
        elif found.upload.status.at_rest:
            ticket.mark_settled(statuses.get(key.evidence_id))
        else:
            self.take_over(found, destination).waiters.append(ticket)

    # --- whose turn it is ------------------------------------------------------------------------

    def _plan(self, live: ActiveUpload) -> None:
        key = live.upload.key
        due = due_at(live.upload, self._clock.now())
        if due is None:
            self._elsewhere.add(key)
        else:
            self._elsewhere.discard(key)
            self._schedule.plan(key, live.destination.lane, due, live.size)
        self._wake()

    def _wake(self) -> None:
        self._woken.set()

    async def _dispatch(self) -> None:
        while True:
            self._woken.clear()
            now = self._clock.now()
            if self._clock.monotonic() >= self._sweep_at and not self._sweeping:
                self._sweep_at = self._clock.monotonic() + SWEEP
                self._sweeping = True
                self._spawn(self._look_round())
            while (key := self._schedule.take(now)) is not None:
                self._send_off(self._live[key], now)
            for keys in self._gathering.ripe(now):
                self._spawn(self._deliver(keys))
            self._set_alarm()
            if self._at_rest():
                self._rested.set()
            await self._woken.wait()

    def _send_off(self, live: ActiveUpload, now: datetime) -> None:
        """Begin an upload's turn, at once or with others that go the same way."""
        key, bundle, way = live.upload.key, live.destination.bundle, way_of(live)
        if bundle is None or way is None:
            self._spawn(self._deliver([key]))
            return
        for keys in self._gathering.add(key, way, live.size, bundle, now):
            self._spawn(self._deliver(keys))

    def _set_alarm(self) -> None:
        due = self.next_due
        # The look round keeps to the clock that never goes back, whatever becomes of the other.
        # One that is under way wakes the dispatcher when it has ended.
        away = SWEEP if self._sweeping else max(self._sweep_at - self._clock.monotonic(), 0.0)
        # Rounded up: to wake a moment too early would be to wake again and again.
        at = later(self._clock.now(), timedelta(microseconds=ceil(away * 1_000_000)))
        if due is not None and due < at:
            at = due
        if self._alarm is not None:
            when, task = self._alarm
            if when <= at and not task.done():
                return
            task.cancel()
        self._alarm = (at, asyncio.create_task(self._ring(at)))

    async def _ring(self, at: datetime) -> None:
        await self._clock.sleep_until(at)
        self._wake()

    def _at_rest(self) -> bool:
        if self._tasks or self._woken.is_set() or not self._recorder.idle:
            return False
        due = self.next_due
        return self._sweep_at > self._clock.monotonic() and (due is None or due > self._clock.now())

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        assert isinstance(task, asyncio.Task)
        self._tasks.add(task)
        task.add_done_callback(self._task_done)

    def _task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._wake()
        self._tell_bug(task)

    def _tell_bug(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            asyncio.get_running_loop().call_exception_handler(
                {
                    "message": "evidence-courier: a task failed, which is a bug",
                    "exception": error,
                    "task": task,
                }
            )

    async def _look_round(self) -> None:
        try:
            await self._caretaker.look_round()
        finally:
            self._sweeping = False

    # --- for the caretaker -----------------------------------------------------------------------

    def live(self, key: UploadKey) -> ActiveUpload | None:
        """The upload, if it is in this courier's hands."""
        return self._live.get(key)

    def elsewhere(self) -> Sequence[UploadKey]:
        """What is in hand here and in flight at another courier."""
        return tuple(self._elsewhere)

    def take_over(self, found: OpenUpload, destination: Destination) -> ActiveUpload:
        """Take an upload into this courier's hands, and plan it."""
        live = ActiveUpload(found.upload, found.dossier, destination)
        self._live[found.upload.key] = live
        self._plan(live)
        return live

    def adopt(self, live: ActiveUpload, found: OpenUpload | None) -> None:
        """What somebody else has written of an upload in hand is what is true; None: its record
        is gone."""
        if self._schedule.is_under_way(live.upload.key):
            return  # its own turn finds out
        if found is None:
            self.lost(live)
        elif found.upload.version != live.upload.version or live.upload.key in self._elsewhere:
            live.upload = found.upload
            self._after(live)

    async def recover(self, live: ActiveUpload, event: AttemptEnded) -> bool:
        """Write down that the attempt of a dead courier may have been taken; whether that was
        news."""
        state = live.upload.state
        if not isinstance(state, Sending) or state.attempt != event.attempt:
            return False
        rules = live.destination.rules
        attempt = attempt_of(state.started_at, event, rules.retry)
        if not await self._driver.run(apply(live, event, attempt=attempt)):
            return False
        self.log(RecoveredEvent(live.upload.key, event.attempt, due_of(live.upload.state)))
        self._after(live)
        return True

    async def write(
        self, found: OpenUpload, destination: Destination | None, event: Blocked | Unblocked
    ) -> None:
        """Write down what an event makes of an upload that is not in hand, and go on with it."""
        key = found.upload.key
        after = advance(
            found.upload, event, destination.rules if destination is not None else Rules()
        )
        if after is found.upload or not isinstance(await self._writer.save(Change(after)), Saved):
            return
        if isinstance(event, Blocked):
            self.held(after)
            return
        self.log(UploadRequeued(key, None, "its integration may work again"))
        assert destination is not None
        if key not in self._live and not self.closing:
            self.take_over(OpenUpload(after, found.dossier), destination)

    def held(self, upload: Upload) -> None:
        """An upload that is not in hand is held now: tell everybody."""
        assert isinstance(upload.state, Held)
        self.log(UploadHeld(upload.key, upload.state.cause))
        self._tell_settled(upload.key, status_of_upload(upload, None))

    def replan(self) -> None:
        """Plan everything in hand anew: the clock has been set."""
        self._schedule.unpause()
        for live in self._live.values():
            self._plan(live)

    # --- what people do --------------------------------------------------------------------------

    def acted(self, deed: AppliedAction, last_attempt_at: datetime | None) -> UploadStatus:
        """A person has done something to an upload, and it is on disk: go on from there. How it
        stands now."""
        key = deed.after.key
        for event in events_of(deed):
            self.log(event)
        live = self._live.get(key)
        status = status_of_upload(deed.after, last_attempt_at)
        if live is not None:
            if not self._schedule.is_under_way(key):
                live.upload = deed.after
                self._after(live)
        elif deed.after.status.at_rest:
            self._tell_settled(key, status)
        else:
            destination = home_of(self.destinations, key)
            if destination is not None:
                self.take_over(OpenUpload(deed.after, deed.dossier), destination)
        self.look_round()
        return status

    # --- one upload's turn -----------------------------------------------------------------------

    async def _deliver(self, keys: Sequence[UploadKey]) -> None:
        """One turn: of one upload, or of several that go in one request."""
        lives = [self._live[key] for key in keys if key in self._live]
        refused: NotBefore | None = None
        try:
            refused = await self._take_turn(lives)
        except asyncio.CancelledError:
            if not self.closing:
                raise
        except StoreError as error:
            # Only while closing: the records stay as they were written last, and the next courier
            # goes on from there.
            for live in lives:
                self.log(
                    RecordingFailed(
                        live.upload.key, f"what became of it could not be written: {error}"
                    )
                )
        except BaseException as error:
            if hosts_own(error) or isinstance(error, GeneratorExit):
                raise
            for live in lives:
                await self._driver.run(fail(self._context, live, error))
        finally:
            if refused is None:
                for key in keys:
                    self._schedule.done(key)
        if refused is not None:
            # They keep their places, and their whole lane waits. One whose record is gone has none
            # any more.
            for key in keys:
                if key in self._live:
                    self._schedule.put_back(key)
                else:
                    self._schedule.done(key)
            self._schedule.pause(lives[0].destination.lane, refused.at)
            return
        for live in lives:
            if live.gone:
                self.lost(live)
            self._after(live)

    async def _take_turn(self, lives: Sequence[ActiveUpload]) -> NotBefore | None:
        match [live.upload.state for live in lives]:
            case [LookingUp() | Undecided()]:
                return await self._driver.run(look_up(self._context, lives[0]))
            case [Queued() | Waiting(), *_]:
                return await self._driver.run(AttemptTurn(self._context, lives).run())
            case _:
                return None

    def _after(self, live: ActiveUpload) -> None:
        """Settle it, or plan what comes next."""
        if self._live.get(live.upload.key) is not live:
            return
        if live.upload.status.at_rest:
            self._let_go(live.upload.key)
            self._settle(live)
        else:
            self._plan(live)

    def _let_go(self, key: UploadKey) -> None:
        """It is in this courier's hands no more, nor planned for its due time."""
        self._live.pop(key, None)
        self._elsewhere.discard(key)
        self._schedule.forget(key)

    def lost(self, live: ActiveUpload) -> None:
        """Its record has been deleted under our hands."""
        self._let_go(live.upload.key)
        error = StoreError(f"the record of {live.upload.key} is gone from the database")
        self.log(RecordingFailed(live.upload.key, str(error)))
        for ticket in live.waiters:
            ticket.mark_lost(error)

    # --- telling ---------------------------------------------------------------------------------

    def _settle(self, live: ActiveUpload) -> None:
        status = live.status()
        if isinstance(live.upload.state, Held):
            self.log(UploadHeld(live.upload.key, live.upload.state.cause))
        for ticket in live.waiters:
            ticket.mark_settled(status)
        self._tell_settled(live.upload.key, status)

    def _tell_settled(self, key: UploadKey, status: UploadStatus) -> None:
        self.log(UploadSettled(status))
        if self._on_settled is None:
            return
        try:
            answer = self._on_settled(status)
        except (Exception, asyncio.CancelledError) as error:
            self._hook_failed(key, error)
        else:
            if inspect.isawaitable(answer):
                hook = asyncio.ensure_future(self._await_hook(key, answer))
                self._hooks.add(hook)
                hook.add_done_callback(self._hooks.discard)

    async def _await_hook(self, key: UploadKey, answer: Awaitable[object]) -> None:
        try:
            await answer
        except Exception as error:
            self._hook_failed(key, error)

    def _hook_failed(self, key: UploadKey, error: BaseException) -> None:
        self.log(HookFailed("on_settled", key, f"{type(error).__name__}: {error}"))

    def log(self, event: LogEvent) -> None:
        """Tell the host."""
        self._notifier.log(event)


def closed_error(ticket: Ticket) -> MisuseError:
    """What a ticket says that was asked for too late."""
    return MisuseError(
        f"the courier is closed: {ticket.tenant_id}/{ticket.evidence_id} was not recorded; submit it to an open courier"
    )


def _unsettled_error(of: UploadKey | Ticket) -> MisuseError:
    return MisuseError(
        f"the courier was closed before {of.tenant_id}/{of.evidence_id} was settled; its record is "
        "kept and the next courier on this database goes on with it"
    )
