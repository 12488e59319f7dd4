"""Dispatches the uploads of one courier on an event loop: begins each turn when it is due, and
maintains what is in hand every few seconds.

A waiting upload costs a few words of memory: no task, no document.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import islice
from math import ceil, inf
from typing import Any, TypeVar

from attrs import evolve, frozen

from ...delivery.actions import AppliedAction
from ...delivery.active import ActiveUpload, ActiveUploads
from ...delivery.destinations import Destination
from ...delivery.due_delivery import DueDelivery
from ...delivery.duties import Duties, Duty
from ...delivery.effects import Turn
from ...delivery.maintenance import ADOPT_EVERY, OVERDUE, Maintenance
from ...delivery.stopped import hold_rest
from ...delivery.turn import take_turn
from ...delivery.turn_context import TurnContext
from ...delivery.waits import WaitLog, nothing_goes
from ...domain.errors import MisuseError
from ...domain.pacing.gate import Blocked, NotBefore
from ...domain.upload.backoff import later, wait_of
from ...ports.clock import Clock
from .adding import Submission
from .asyncio_driver import AsyncioDriver, interruption_of
from .closing import closed_here
from .recorder import Recorder
from .tickets import Ticket
from .turns import Turns, report_bug

MAINTAIN_EVERY = 5.0
"""How often the courier maintains its uploads, in seconds."""

BEGUN_AT_ONCE = 64
"""How many turns begin in one turn of the loop."""

GRACE = 3.0
"""How many seconds what is under way may take when the time of `deliver_due` is over."""

LAST_WORDS = 5.0
"""How many seconds a closing courier gives to writing down how far its cancelled requests got."""

T = TypeVar("T")


@frozen
class Workload:
    """What an engine has in hand: submitted and not yet recorded, planned for now or later,
    under way; how often a listener and a duty failed; and the readers that are lost."""

    submitted: int
    planned: int
    under_way: int
    listener_failures: int = 0
    lost_readers: int = 0
    duty_failures: int = 0


class AsyncEngine:
    """One courier's uploads. Everything here happens on one loop, but for what the store and the
    worker threads do.

    `active` is what it has in hand. Its `destinations` and `broken` tenants are set by the caller,
    who calls `maintain_now` after a change. `alarm_at` is when the dispatcher wakes by itself.
    """

    def __init__(
        self,
        driver: AsyncioDriver,
        jitter: Callable[[], float],
        capacity: int,
        in_flight_bytes: int,
        duties: Sequence[Duty] = (),
    ) -> None:
        self._driver = driver
        self._clock = driver.clock
        self.active = ActiveUploads(driver.clock, driver.notifier, capacity, in_flight_bytes)
        self._recorder = Recorder(driver, self.active, self._wake)
        self._turns = Turns(driver, self._turn_ended, self._wake)
        self._context = TurnContext(
            0, driver.clock, jitter, interruption_of, wait_log=WaitLog(driver.notifier.wants)
        )
        self._maintenance = Maintenance(self.active, self._context)
        self._maintain_at, self._adopt_at = driver.clock.monotonic(), inf
        self._maintaining: asyncio.Task[None] | None = None
        self.duties = Duties(driver.clock, interruption_of, duties)
        self._beside: set[asyncio.Task[None]] = set()
        self._woken, self._rested = asyncio.Event(), asyncio.Event()
        self._alarm: asyncio.Task[None] | None = None
        self.alarm_at: datetime | None = None
        self._dispatcher: asyncio.Task[None] | None = None
        self._dispatching = self._taken = self._settled = 0
        self._grace: asyncio.Timeout | None = None
        self._least_grace = inf

    # --- what a courier asks for -----------------------------------------------------------------

    def start(self, courier_id: int, *, background: bool = True) -> None:
        """Begin to work as a courier that is registered in the store. Without `background` nothing
        begins but within `deliver_due`."""
        self._context = evolve(self._context, courier_id=courier_id)
        overdue = OVERDUE if background else timedelta(0)
        self._maintenance = Maintenance(self.active, self._context, overdue)
        if background:
            self._start_dispatching()
        else:
            self._adopt_at = self._clock.monotonic()
            self._recorder.adding.leaves = True

    def _start_dispatching(self) -> None:
        self._dispatching += 1
        if self._dispatcher is None:
            self._dispatcher = asyncio.create_task(self._dispatch())
            self._dispatcher.add_done_callback(report_bug)

    async def deliver_due(self, seconds: float) -> DueDelivery:
        """Begin what is due until nothing is, and old records in their time, for `seconds` at most.
        What is under way then may take `GRACE` seconds more; what takes longer goes on."""
        taken, settled, until = self._taken, self._settled, self._clock.monotonic() + seconds
        self._start_dispatching()
        self._adopt_at = self._clock.monotonic()
        self._wake()
        try:
            rested = await ended_within(self._clock, _old_begun(self, self._clock, until), seconds)
        finally:
            self._dispatching -= 1
            self._wake()
        if not rested:
            await ended_within(self._clock, self._turns.none(), GRACE)
        await _end_call(self, self._clock, until)
        return DueDelivery(self._taken - taken, self._settled - settled, more=not rested)

    def submit(self, submission: Submission) -> None:
        """Take an evidence; returns at once. On the loop."""
        if self.active.closing:
            self._recorder.adding.not_recorded(submission, closed_error(submission.ticket))
        else:
            self._recorder.accept(submission)

    def maintain_now(self) -> None:
        """Something has changed: maintain at once."""
        self._maintain_at = self._clock.monotonic()
        self._wake()

    def acted(self, applied: AppliedAction, last_attempt_at: datetime | None) -> None:
        """A person has done something to an upload, and it is on disk: go on from there."""
        self.active.acted(applied, last_attempt_at)
        self.maintain_now()

    async def read(self, verb: Callable[[], T]) -> T:
        """Run a reading verb of the store off the loop."""
        return await self._driver.read(verb)

    @property
    def workload(self) -> Workload:
        """What is in hand."""
        active, failures = self.active, self._driver.notifier.all_failures
        own = self._driver.outside.readers.lost, self.duties.failures
        return Workload(self._recorder.waiting, active.planned, active.under_way, failures, *own)

    @property
    def next_due(self) -> datetime | None:
        """When the next turn begins."""
        return self.active.next_due()

    async def quiet(self) -> datetime | None:
        """When the next turn begins, once nothing is under way and all that is open waits."""
        while not self._at_rest():
            await self._next_rest()
        return self.next_due

    async def drained(self) -> None:
        """Return once everything in the store is at rest, or waits for a valid tenant file. What
        is held and has become free goes on first."""
        self.maintain_now()
        await self.quiet()
        while not (
            self._recorder.idle and not self.active.goes_on and await self.read(self._nothing_goes)
        ):
            await self._next_rest()

    def _nothing_goes(self) -> bool:
        invalid = self.active.broken.keys() - self.active.destinations.keys()
        return nothing_goes(self._driver.store, invalid, self._clock.now())

    async def _next_rest(self) -> None:
        if self.active.closing:
            raise MisuseError("the courier was closed while it was waited for")
        self._rested.clear()
        rested = self._rested.wait()
        # While this one begins nothing, other couriers deliver.
        await (rested if self._dispatching else ended_within(self._clock, rested, ADOPT_EVERY))

    # --- dispatching -----------------------------------------------------------------------------

    def _wake(self) -> None:
        self._woken.set()
        if not self._dispatching:
            self._rested.set()

    async def _dispatch(self) -> None:
        try:
            while self._dispatching:
                self._woken.clear()
                self._begin_what_is_due()
                self._set_alarm()
                if self._at_rest():
                    self._rested.set()
                await self._woken.wait()
            self._dispatcher = None
            self._stop_alarm()
        except asyncio.CancelledError:
            if not self.active.closing:  # the host ends its loop without closing
                await self._cut_off()
            raise

    def _begin_what_is_due(self) -> None:
        self._maintain()
        due, stop = list(islice(self.active.take(self._clock.now()), BEGUN_AT_ONCE)), self._stop
        for uploads in due:
            self._turns.start(uploads, take_turn(self._context, uploads, stop))
        if len(due) == BEGUN_AT_ONCE:
            asyncio.get_running_loop().call_soon(self._wake)

    def _maintain(self) -> None:
        if self._maintaining in self._beside:
            return
        now = self._clock.monotonic()
        if adopts := now >= self._adopt_at:
            self._adopt_at = now + ADOPT_EVERY
        if now >= self._maintain_at:
            self._maintain_at = now + MAINTAIN_EVERY
            self._maintaining = self.run_beside(self._maintenance.run_once())
            for duty in self.duties.due():
                self.run_beside(duty)
        elif adopts:
            self._maintaining = self.run_beside(self._maintenance.adopt())
        elif self.active.backlog.wanting or self.active.postponed.wanting(self._clock.now()):
            self._maintaining = self.run_beside(self._maintenance.adopt_more())

    def _stop(self, destination: Destination, blocked: Blocked) -> Turn[None]:
        yield from hold_rest(self._context, self.active, destination, blocked)
        self.maintain_now()  # what was blocked under old settings goes on at once

    def _turn_ended(self, uploads: Sequence[ActiveUpload], refused: NotBefore | None) -> None:
        self.active.finish(uploads, refused)
        if refused is None:
            self._taken += len(uploads)
            self._settled += sum([one.upload.at_rest for one in uploads])
            self.duties.hear_of(uploads)
        self._wake()

    def _set_alarm(self) -> None:
        due = self.next_due
        # Maintenance keeps to the clock that never goes back, whatever becomes of the other. One
        # that is under way wakes the dispatcher when it has ended.
        away = max(min(self._maintain_at, self._adopt_at) - self._clock.monotonic(), 0.0)
        away = MAINTAIN_EVERY if self._maintaining in self._beside else away
        # Rounded up: to wake a moment too early would be to wake again and again.
        at = later(self._clock.now(), timedelta(microseconds=ceil(away * 1_000_000)))
        at = at if due is None else min(due, at)
        if self.alarm_at is not None and self.alarm_at <= at:
            return
        self._stop_alarm()
        self._alarm = asyncio.create_task(self._ring(at))

    def _stop_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self.alarm_at = self._alarm = None

    async def _ring(self, at: datetime) -> None:
        self.alarm_at = at
        if self._at_rest():
            self._rested.set()
        await self._clock.sleep_until(at)
        self.alarm_at = None
        self._wake()

    def _at_rest(self) -> bool:
        if self._turns.busy(self._clock.now()) or self._beside or not self._recorder.at_rest:
            return False
        # Without an alarm, time that passed now would not be noticed.
        if not self._dispatching or self._woken.is_set() or self.alarm_at is None:
            return not self._dispatching
        due = self.next_due
        later_on = min(self._maintain_at, self._adopt_at) > self._clock.monotonic()
        return later_on and (due is None or due > self._clock.now())

    def run_beside(self, work: Turn[None]) -> asyncio.Task[None]:
        """Run what is no delivery; a close waits for it."""
        self._beside.add(task := self._turns.spawn(self._driver.run(work)))
        task.add_done_callback(self._ended_beside)
        return task

    def _ended_beside(self, task: asyncio.Task[None]) -> None:
        self._beside.discard(task)
        self._wake()

    # --- the end ---------------------------------------------------------------------------------

    async def close(self, grace: float) -> None:
        """Record what was submitted, give what is under way `grace` seconds, hand back the rest."""
        closed_here()
        self.active.closing = self._driver.closing = True
        self._rested.set()
        await self._recorder.finish(grace)
        for task in self._own_tasks():
            task.cancel()
            await asyncio.wait([task])
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(min(grace, self._least_grace)) as self._grace:
                    await _end_duties(self, works_in_calls=not self._dispatching)
                    await self._idle()
        except asyncio.CancelledError:  # the host ends its loop meanwhile
            await self._cut_off()
            raise
        self._grace = None
        # Once: what is under way hears of it, writes down how far it got, and ends.
        for _ in range(2):
            self._turns.interrupt()
            with suppress(TimeoutError):
                async with asyncio.timeout(LAST_WORDS):
                    await self._idle()
        await self._turns.close()
        await self._driver.notifier.end_hooks(min(grace, self._least_grace))
        self.active.close()

    async def _cut_off(self) -> None:
        self._turns.interrupt()
        await self._turns.none()

    async def _idle(self) -> None:
        await self._turns.none()
        if self._beside:
            await asyncio.wait(self._beside)

    def cut_short(self, grace: float) -> None:
        """In a close that has begun, give what is under way `grace` seconds more at most."""
        closed_here()
        self._least_grace = min(grace, self._least_grace)
        if self._grace is not None and not self._grace.expired():
            until = asyncio.get_running_loop().time() + grace
            self._grace.reschedule(min(until, self._grace.when() or until))

    def abort(self) -> None:
        """Stop dead, as a crash does: nothing is finished or handed back. For simulations."""
        self.active.closing = self._driver.closing = True
        self._recorder.abort()
        self._driver.notifier.abort()
        self._turns.abort()
        for task in self._own_tasks():
            task.cancel()

    def _own_tasks(self) -> Sequence[asyncio.Task[None]]:
        return [task for task in (self._dispatcher, self._alarm) if task is not None]


async def do_duties(engine: AsyncEngine) -> None:
    """Do a step of each duty now, but for those with one under way, and wait for these."""
    engine.duties.hasten()
    if steps := [engine.run_beside(step) for step in engine.duties.due()]:
        await asyncio.wait(steps)


async def _end_duties(engine: AsyncEngine, *, works_in_calls: bool) -> None:
    if works_in_calls:
        await _each(engine, engine.duties.at_close())
    for end in engine.duties.last():
        engine.run_beside(end)


async def _end_call(engine: AsyncEngine, clock: Clock, until: float) -> None:
    """Do what the duties have to do at the end of a call, if there is time left for it."""
    left = until - clock.monotonic()
    if engine.duties.has_news and left > 0:
        await ended_within(clock, _each(engine, engine.duties.at_end_of_call(until)), left)


async def _each(engine: AsyncEngine, steps: Iterator[Turn[None]]) -> None:
    for step in steps:
        await asyncio.wait([engine.run_beside(step)])


async def _old_begun(engine: AsyncEngine, clock: Clock, until: float) -> None:
    """Until nothing is due, and no old record may begin in the rest of the time."""
    await engine.quiet()
    while at := engine.active.schedule.next_behind(clock.now(), until - clock.monotonic()):
        await clock.sleep_until(at)
        await engine.quiet()


async def ended_within(clock: Clock, work: Coroutine[Any, Any, object], seconds: float) -> bool:
    """Whether something has ended within some seconds; if not, it is given up."""
    until = later(clock.now(), wait_of(seconds))
    doing, over = asyncio.create_task(work), asyncio.create_task(clock.sleep_until(until))
    try:
        await asyncio.wait([doing, over], return_when=asyncio.FIRST_COMPLETED)
        if ended := doing.done():
            doing.result()
        return ended
    finally:
        doing.cancel()
        over.cancel()


def closed_error(ticket: Ticket) -> MisuseError:
    """What a ticket says that was asked for too late."""
    return MisuseError(
        f"the courier is closed: {ticket.tenant_id}/{ticket.evidence_id} was not recorded; "
        "submit it to an open courier"
    )
