"""The engine: drives every upload of one courier through its life, on one event loop.

It asks the schedule whose turn it is, lets the domain decide what an event makes of an upload, has the store write that down, and only then acts on
it. A waiting upload costs a few words of memory: no task, no document.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Container
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import TypeVar

from attrs import frozen

from ...domain.attempt import Attempt, attempt_of, event_of
from ...domain.errors import CourierError, MisuseError, StoreError
from ...domain.events import (
    AttemptRejected,
    Blocked,
    Event,
    FoundUnfit,
    Progressed,
    ReadAbsent,
    ReadFailed,
    ReadFound,
    ReadPartly,
    Started,
)
from ...domain.failure import Failure, FailureKind
from ...domain.schedule import Schedule
from ...domain.status import UploadStatus, status_of_upload
from ...domain.transitions import Rules, advance
from ...domain.upload import Confirming, Queued, Sending, UploadKey, Waiting, due_of
from ...domain.verdict import Absent, Finding, Found, Partly, Unreadable, Verdict
from ...ports.clock import Clock
from ...ports.logger import (
    AttemptEnded,
    AttemptStarted,
    EvidenceConflict,
    HookFailed,
    LogEvent,
    Logger,
    RecordingFailed,
    UploadRecorded,
    UploadSettled,
    WriteDelayed,
)
from ...ports.renderer import Renderer
from ...ports.store import AddAnswer, Added, Change, Conflict, Entry, OpenUpload, Saved, UploadStore
from ..stores.writer import Writer
from .attempt import Attempter, broken, interrupted
from .live import Live, Submission
from .prepare import Destination, Destinations, unfit
from .recorder import Recorder
from .telling import tell
from .tickets import Ticket

SWEEP = timedelta(seconds=5)
"""How often the store is asked for what is overdue, and for what became of another courier's attempts."""

OVERDUE = timedelta(seconds=2)
"""What is this much past its due time belongs to whoever finds it."""

HOMELESS = timedelta(minutes=10)
"""So long after its time an upload whose tenant has no such integration here is held: another courier may know the tenant."""

SWEPT_AT_ONCE = 1_000
LAST_WORDS = 5.0
"""How many seconds a closing courier gives to writing down how far its cancelled requests got."""

STORE_RETRY = (timedelta(seconds=1), timedelta(seconds=30))

T = TypeVar("T")
OnSettled = Callable[..., object]


@frozen
class Workload:
    """What an engine has in hand: submitted and not yet recorded, planned for now or later, under way."""

    submitted: int
    planned: int
    under_way: int


class AsyncEngine:
    """One courier's uploads. Everything here happens on one loop, but for what the store and the worker threads do."""

    def __init__(
        self,
        *,
        store: UploadStore,
        writer: Writer,
        attempter: Attempter,
        clock: Clock,
        logger: Logger,
        renderer: Renderer,
        jitter: Callable[[], float],
        capacity: int,
        in_flight_bytes: int,
        on_settled: OnSettled | None,
        threads: ThreadPoolExecutor,
        host_threads: ThreadPoolExecutor,
    ) -> None:
        self.destinations: Destinations = {}
        self.broken: Container[str] = frozenset()
        self._store = store
        self._writer = writer
        self._attempter = attempter
        self._clock = clock
        self._logger = logger
        self._jitter = jitter
        self._on_settled = on_settled
        self._threads = threads
        self._recorder = Recorder(writer, renderer, clock, host_threads, self, self._wake)
        self._schedule: Schedule[UploadKey] = Schedule(capacity, in_flight_bytes)
        self._live: dict[UploadKey, Live] = {}
        self._elsewhere: set[UploadKey] = set()
        self._adopting: set[Ticket] = set()
        self._hooks: set[asyncio.Task[None]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._woken = asyncio.Event()
        self._rested = asyncio.Event()
        self._alarm: tuple[datetime, asyncio.Task[None]] | None = None
        self._sweep_at = clock.now()
        self._dispatcher: asyncio.Task[None] | None = None
        self._closing = False

    # --- lifecycle ---------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to work; what an earlier run left is found by the first sweep."""
        self._dispatcher = asyncio.create_task(self._dispatch())

    @property
    def workload(self) -> Workload:
        """What is in hand."""
        return Workload(self._recorder.waiting, len(self._schedule), self._schedule.under_way)

    async def quiet(self) -> None:
        """Return once nothing is under way: all that is open waits for a moment that has not come."""
        while not self._at_rest():
            await self._next_rest()

    async def drained(self) -> None:
        """Return once everything open in the store is succeeded, failed or held."""
        while True:
            if self._recorder.idle and not self._live and await self.read(self._store.count_open) == 0:
                return
            await self._next_rest()

    async def _next_rest(self) -> None:
        if self._closing:
            raise MisuseError("the courier was closed while it was waited for")
        self._rested.clear()
        await self._rested.wait()

    async def close(self, grace: float) -> None:
        """Record what was submitted, let what is under way finish for `grace` seconds, and hand the rest back to the store."""
        self._closing = True
        self._rested.set()
        await self._recorder.finish(grace)
        if self._dispatcher is not None:
            self._dispatcher.cancel()
            await asyncio.wait([self._dispatcher])
        if self._alarm is not None:
            self._alarm[1].cancel()
            await asyncio.wait([self._alarm[1]])
        await self._wait_for_tasks(grace)
        # Once: what is under way hears of it, writes down how far it got, and ends.
        for task in self._tasks:
            task.cancel()
        await self._wait_for_tasks(LAST_WORDS)
        for task in self._tasks:
            task.cancel()
        await self._wait_for_tasks(LAST_WORDS)
        await self._end_hooks(grace)
        for ticket in {*self._adopting, *(ticket for live in self._live.values() for ticket in live.tickets)}:
            ticket.mark_lost(
                MisuseError(
                    f"the courier was closed before {ticket.tenant_id}/{ticket.evidence_id} was settled; its record is kept and "
                    "the next courier on this database goes on with it"
                )
            )
        self._live.clear()

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

    # --- from submission to schedule ---------------------------------------------------------------------------------

    def submit(self, submission: Submission) -> None:
        """Take an evidence; returns at once. On the loop."""
        if self._closing:
            self.not_recorded(submission, closed_error(submission.ticket))
            return
        self._recorder.accept(submission)

    def recorded(self, submission: Submission, entry: Entry, answer: AddAnswer) -> None:
        """A submission is on disk, now or since earlier."""
        key, ticket = entry.upload.key, submission.ticket
        ticket.mark_recorded()
        if isinstance(answer, Added):
            self._log(UploadRecorded(key))
            live = Live(entry.upload, entry.dossier, submission.destination, tickets=[ticket])
            self._live[key] = live
            self._after(live)
            return
        if answer.submitted_digest != entry.dossier.submitted_digest:
            self._log(EvidenceConflict(key, answer.submitted_digest, entry.dossier.submitted_digest))
        if (known := self._live.get(key)) is not None:
            known.tickets.append(ticket)
        else:
            self._adopting.add(ticket)
            self._spawn(self._adopt(key, submission.destination, ticket))

    def not_recorded(self, submission: Submission, error: CourierError) -> None:
        """A submission could not be written down."""
        self._log(RecordingFailed(submission.key, str(error)))
        submission.ticket.mark_lost(error)

    async def _adopt(self, key: UploadKey, destination: Destination, ticket: Ticket) -> None:
        """Attach a ticket to an upload that is known and not in this courier's hands."""
        try:
            found = (await self.read(lambda: self._store.get([key]))).get(key)
            statuses = await self.read(lambda: self._store.statuses(key.tenant_id, [key.evidence_id]))
        except StoreError as error:
            self._adopting.discard(ticket)
            ticket.mark_lost(error)
            return
        self._adopting.discard(ticket)
        if (live := self._live.get(key)) is not None:
            live.tickets.append(ticket)
        elif found is None:
            ticket.mark_lost(StoreError(f"the record of {key} is gone from the database"))
        elif found.upload.status.at_rest:
            ticket.mark_settled(statuses.get(key.evidence_id))
        else:
            self._take_over(found, destination, ticket)

    def _take_over(self, found: OpenUpload, destination: Destination, *tickets: Ticket) -> None:
        live = Live(found.upload, found.dossier, destination, tickets=list(tickets))
        self._live[found.upload.key] = live
        self._plan(live)

    # --- whose turn it is --------------------------------------------------------------------------------------------

    def _plan(self, live: Live) -> None:
        key = live.upload.key
        due = due_of(live.upload.state)
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
            if now >= self._sweep_at:
                self._sweep_at = now + SWEEP
                self._spawn(self._sweep(now))
            while (key := self._schedule.take(now)) is not None:
                self._spawn(self._deliver(self._live[key]))
            if self._at_rest():
                self._rested.set()
            self._set_alarm()
            await self._woken.wait()

    def _set_alarm(self) -> None:
        due = self._schedule.next_due()
        at = self._sweep_at if due is None else min(due, self._sweep_at)
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
        now = self._clock.now()
        due = self._schedule.next_due()
        return self._sweep_at > now and (due is None or due > now)

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        assert isinstance(task, asyncio.Task)
        self._tasks.add(task)
        task.add_done_callback(self._task_done)

    def _task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._wake()
        if not task.cancelled() and (error := task.exception()) is not None:
            asyncio.get_running_loop().call_exception_handler(
                {
                    "message": "evidence-courier: a task failed, which is a bug",
                    "exception": error,
                    "task": task,
                }
            )

    async def _sweep(self, now: datetime) -> None:
        """Find what is overdue and in nobody's hands, and what became of what other couriers had in flight."""
        try:
            overdue = await self.read(lambda: self._store.due(now - OVERDUE, SWEPT_AT_ONCE))
            elsewhere = list(self._elsewhere)
            found = await self.read(lambda: self._store.get(elsewhere)) if elsewhere else {}
        except StoreError:
            return  # said where a write fails; the next sweep asks again
        for open_upload in overdue:
            key = open_upload.upload.key
            if key not in self._live and not self._closing:
                destination = self.destinations.get(key.tenant_id)
                due = due_of(open_upload.upload.state)
                if destination is not None and destination.integration.provider == key.provider:
                    self._take_over(open_upload, destination)
                elif key.tenant_id not in self.broken and due is not None and due <= now - HOMELESS:
                    await self._hold_homeless(open_upload)
        for key in elsewhere:
            live = self._live.get(key)
            if live is None or key not in self._elsewhere:
                continue
            self._elsewhere.discard(key)
            if key in found:
                live.upload = found[key].upload
                self._after(live)
            else:
                self._lost(live)

    async def _hold_homeless(self, open_upload: OpenUpload) -> None:
        """Its turn has long come and its tenant has no such integration any more: a person must decide."""
        upload, key = open_upload.upload, open_upload.upload.key
        failure = Failure(
            FailureKind.INTEGRATION_GONE,
            f"tenant {key.tenant_id!r} has no integration with {key.provider} any more: give it one and release the upload, "
            "or abandon it",
        )
        held = advance(upload, Blocked(self._clock.now(), failure), Rules())
        try:
            answer = await self._writer.save(Change(held))
        except StoreError as error:
            self._log(WriteDelayed(key, str(error)))
        else:
            if isinstance(answer, Saved):
                self._tell_settled(key, status_of_upload(held, None))

    # --- one upload's turn -------------------------------------------------------------------------------------------

    async def _deliver(self, live: Live) -> None:
        try:
            match live.upload.state:
                case Queued() | Waiting():
                    await self._attempt(live)
                case Confirming():
                    await self._look_up(live)
                case _:
                    pass
        except StoreError as error:
            # Only while closing: the record stays as it was written last, and the next courier goes on from there.
            self._log(RecordingFailed(live.upload.key, f"what became of it could not be written: {error}"))
        except Exception as error:
            await self._fail_by_bug(live, error)
        finally:
            self._schedule.done(live.upload.key)
        self._after(live)

    async def _fail_by_bug(self, live: Live, error: Exception) -> None:
        """Something that must not raise has raised: end this upload's turn in words, so that it never stands still."""
        sent = isinstance(live.upload.state, Sending)
        failure = broken(live.destination, error, sent).failure
        now = self._clock.now()
        match live.upload.state:
            case Sending(attempt=number, started_at=started_at):
                event = AttemptRejected(now, number, failure)
                await self._apply(live, event, attempt_of(started_at, event, live.destination.rules.retry))
            case Confirming(read=read):
                await self._apply(live, ReadFailed(now, read, failure))
            case _:
                await self._apply(live, FoundUnfit(now, failure))

    def _after(self, live: Live) -> None:
        """Settle it, or plan what comes next."""
        if self._live.get(live.upload.key) is not live:
            return
        if live.upload.status.at_rest:
            del self._live[live.upload.key]
            self._settle(live)
        else:
            self._plan(live)

    async def _attempt(self, live: Live) -> None:
        document = live.dossier.document
        failure = unfit(document.size, document.media_type, live.destination)
        if failure is not None:
            await self._apply(live, FoundUnfit(self._clock.now(), failure))
            return
        started = advance(live.upload, Started(self._clock.now()), live.destination.rules)
        begin = asyncio.ensure_future(self._patiently(live, lambda: self._writer.begin(Change(started))))
        try:
            answer, cut_off = await asyncio.shield(begin), False
        except asyncio.CancelledError:
            # What was asked for is written all the same: hear of it, and say that nothing was sent.
            answer, cut_off = await begin, True
        if isinstance(answer, Conflict) and answer.current != started:
            self._adopt_current(live, answer)
            return
        live.upload = started
        sending = started.state
        assert isinstance(sending, Sending)
        live.last_attempt_at = sending.started_at
        key, number = started.key, sending.attempt
        rules = live.destination.rules
        self._log(AttemptStarted(key, number, rules.retry.max_attempts))
        verdict: Verdict
        if cut_off or isinstance(answer, Conflict):  # a conflict with our own write, which was made after all
            verdict, request_id = interrupted(sent=False), None
        else:
            verdict, request_id = await self._attempter.upload(
                started,
                live.dossier,
                live.destination,
                answer.content,
                lambda progress: self._bookmark(live, progress),
            )
        event = event_of(verdict, number, self._clock.now(), self._jitter())
        attempt = attempt_of(sending.started_at, event, rules.retry, request_id)
        assert attempt is not None
        await self._apply(live, event, attempt)
        self._log(
            AttemptEnded(
                key,
                number,
                attempt.verdict.value,
                attempt.result if isinstance(attempt.result, Failure) else None,
                due_of(live.upload.state),
            )
        )

    async def _bookmark(self, live: Live, progress: str) -> None:
        if not isinstance(progress, str):
            raise TypeError(f"its bookmark is {type(progress).__name__}, not text")
        state = live.upload.state
        assert isinstance(state, Sending)
        await self._apply(live, Progressed(self._clock.now(), state.attempt, progress))

    async def _look_up(self, live: Live) -> None:
        state = live.upload.state
        assert isinstance(state, Confirming)
        finding = await self._attempter.look_up(live.upload, live.dossier, live.destination)
        await self._apply(live, _event_of_finding(finding, state.read, self._clock.now()))

    async def _apply(self, live: Live, event: Event, attempt: Attempt | None = None) -> None:
        """Write down what an event makes of an upload. A refused write is read again, advanced again, written again."""
        while (after := advance(live.upload, event, live.destination.rules)) is not live.upload:
            change = Change(after, attempt)
            answer = await self._patiently(live, lambda change=change: self._writer.save(change))  # type: ignore[misc]
            if isinstance(answer, Saved):
                live.upload = after
                return
            if not self._adopt_current(live, answer):
                return

    def _adopt_current(self, live: Live, conflict: Conflict) -> bool:
        """Another courier was faster: what it wrote is what is true."""
        if conflict.current is None:
            self._lost(live)
            return False
        live.upload = conflict.current
        return True

    async def _patiently(self, live: Live, write: Callable[[], Awaitable[T]]) -> T:
        """Write, however often it takes: what has happened at the provider cannot be taken back, so it must not be forgotten."""
        pause, longest = STORE_RETRY
        while True:
            try:
                return await write()
            except StoreError as error:
                if self._closing:
                    raise
                self._log(WriteDelayed(live.upload.key, str(error)))
            await self._clock.sleep_until(self._clock.now() + pause)
            pause = min(pause * 2, longest)

    def _lost(self, live: Live) -> None:
        """Its record has been deleted under our hands."""
        self._live.pop(live.upload.key, None)
        error = StoreError(f"the record of {live.upload.key} is gone from the database")
        self._log(RecordingFailed(live.upload.key, str(error)))
        for ticket in live.tickets:
            ticket.mark_lost(error)

    # --- telling -----------------------------------------------------------------------------------------------------

    def _settle(self, live: Live) -> None:
        status = live.status()
        for ticket in live.tickets:
            ticket.mark_settled(status)
        self._tell_settled(live.upload.key, status)

    def _tell_settled(self, key: UploadKey, status: UploadStatus) -> None:
        self._log(UploadSettled(status))
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
        self._log(HookFailed("on_settled", key, f"{type(error).__name__}: {error}"))

    def _log(self, event: LogEvent) -> None:
        tell(self._logger, event)


def _event_of_finding(finding: Finding, read: int, at: datetime) -> Event:
    match finding:
        case Found(receipt=receipt):
            return ReadFound(at, receipt)
        case Partly(progress=progress):
            return ReadPartly(at, read, progress)
        case Absent():
            return ReadAbsent(at, read)
        case Unreadable(failure=failure):
            return ReadFailed(at, read, failure)


def closed_error(ticket: Ticket) -> MisuseError:
    """What a ticket says that was asked for too late."""
    return MisuseError(
        f"the courier is closed: {ticket.tenant_id}/{ticket.evidence_id} was not recorded; submit it to an open courier"
    )
