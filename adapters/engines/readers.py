"""Runs what a host brings (its document source, its files, a renderer) in threads of their own:
what hangs for one tenant keeps none of another's waiting, and stops nothing else."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from datetime import timedelta
from functools import lru_cache, partial
from typing import Any, TypeAlias, TypeVar

from attrs import define, field, frozen

from ...delivery.destinations import Destination
from ...delivery.effects import ReadDocument
from ...delivery.fair_share import FairQueue, Lane
from ...delivery.outcome import NoSourceError
from ...ports.logger import LogEvent, ReaderLost
from ...ports.source import DocumentSource
from .interruptions import hosts_own

READERS = 32
"""How many threads run what the host brings, and as many more as `SLOW_READERS` says."""

READERS_OF_TENANT = 4

SLOW = 0.5
"""What runs for this number of seconds is slow, and leaves its place to another."""

SLOW_READERS = 256
"""How many are slow at once, those that hang included."""

CROWD = SLOW_READERS * 3 // 4
"""While this many are slow, a tenant that has a slow one gets no more: the last quarter is for
those that have none."""

QUICK = 0.01
"""A source is quick if it takes fewer seconds than this. A thread may have to wait for the
interpreter for half of that."""

READ_AT_ONCE = 16
"""How many documents are read of a quick source in one go."""

LOOK_AFTER = 0.05
"""After how many seconds what is back of a batch is taken, before the rest of it is."""

MIXED: Lane = (None,)
"""The lane of what is read of several tenants in one go."""

T = TypeVar("T")
Then: TypeAlias = Callable[[Any, BaseException | None], None]
"""Called on the loop with what something came to, or what it raised."""


@frozen
class Reading:
    """What is run for a tenant: `what` it waits for, and the seconds that this may take."""

    tenant_id: str
    what: str
    seconds: float

    @property
    def lane(self) -> Lane:
        """Whose threads it takes."""
        return (self.tenant_id,)


@lru_cache(maxsize=1024)
def _reading_of_document(tenant_id: str, timeout: timedelta, *, is_stored: bool) -> Reading:
    what = "the folder of documents" if is_stored else "the document source"
    return Reading(tenant_id, what, timeout.total_seconds())


def reading_of(destination: Destination, *, is_file: bool) -> Reading:
    """The reading of a file, or the rendering of a record."""
    integration = destination.integration
    seconds = integration.route.timeouts.total.total_seconds()
    return Reading(integration.tenant_id, "the file" if is_file else "the renderer", seconds)


@define(eq=False)
class Run:
    """One thing that is run. `then` is told what came of it, unless it is `dropped` before.
    `result` is what it comes to in the thread, or `error` what it raises."""

    reading: Reading
    work: Callable[[], Any]
    then: Then
    late: Callable[[TimeoutError], Any] | None = None
    on_slow: Callable[[], None] | None = None
    dropped: bool = field(default=False, init=False)
    result: Any = field(default=None, init=False)
    error: BaseException | None = field(default=None, init=False)

    def drop(self) -> None:
        """Wait for it no more."""
        self.dropped = True

    def give(self) -> None:
        """End the wait for it, if it is still waited for."""
        if not self.dropped:
            self.dropped = True
            self.then(self.result, self.error)

    def is_late(self) -> None:
        """End the wait for it: it took too long."""
        reading = self.reading
        late = TimeoutError(f"{reading.what} did not answer within {reading.seconds:g} s")
        if self.late is None:
            self.error = late
        else:
            self.result = self.late(late)
        self.give()


@define(eq=False)
class _Batch:
    """What one thread runs, one after the other. `left` has not been begun; `under_way` is what the
    thread has in hand, `since` when; that is `slow` after a while, and `lost` once its result is
    waited for no more. `reading` is that of the first. It takes a place of its `lane`."""

    lane: Lane
    reading: Reading
    left: deque[Run]
    alarm: asyncio.TimerHandle | None = field(default=None, init=False)
    under_way: Run | None = field(default=None, init=False)
    since: float = field(default=0.0, init=False)
    slow: bool = field(default=False, init=False)
    lost: bool = field(default=False, init=False)
    quick: bool = field(default=False, init=False)
    ended: bool = field(default=False, init=False)

    def next(self) -> Run | None:
        """In the thread: what is run next."""
        try:
            while (run := self.left.popleft()).dropped:
                pass
        except IndexError:
            return None
        self.under_way, self.since = run, time.monotonic()
        return run

    def rest(self) -> list[Run]:
        """On the loop: take what the thread has not begun."""
        rest: list[Run] = []
        with suppress(IndexError):
            while True:
                rest.append(self.left.popleft())
        return rest

    def stop_alarm(self) -> None:
        if self.alarm is not None:
            self.alarm.cancel()


@define(eq=False)
class Readers:
    """The threads that run what a host brings. Used on one event loop.

    A thread that does not return cannot be ended. It is `lost` from the moment that its result is
    no longer waited for until it returns, and so long it is one of its tenant's. What is slow takes
    no place of other tenants', up to a bound.

    What is read in one turn of the loop goes to one thread while the source is quick, whosever it
    is. What waits behind something that is not is given to other threads.

    Args:
        threads: At least `READERS` and `SLOW_READERS` of them; None: the loop's own.
        log: Is told of each thread that is lost.
        source: The host's document source; None: every document is unavailable.
    """

    threads: Executor | None
    log: Callable[[LogEvent], None]
    source: DocumentSource | None = None
    _places: FairQueue = field(init=False)
    _lost: Counter[Lane] = field(factory=Counter, init=False)
    _slow: int = field(default=0, init=False)
    _asked: list[Run] = field(factory=list, init=False)
    _back: deque[Run | _Batch] = field(factory=deque, init=False)
    _scheduled: bool = field(default=False, init=False)
    _quick: bool = field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self._places = FairQueue(READERS, READERS_OF_TENANT, CROWD)

    @property
    def lost(self) -> int:
        """How many threads are lost."""
        return self._lost.total()

    async def run(
        self,
        reading: Reading,
        work: Callable[[], T],
        *,
        at_once: bool = False,
        on_slow: Callable[[], None] | None = None,
    ) -> T:
        """What the work comes to, in a thread. It waits for one while the tenant's work. `on_slow`
        is called if it is slow and leaves its place to another, but not once it has ended.

        Raises:
            TimeoutError: It took too long; or for so long all threads of the tenant were lost, or
                all of all tenants were taken. `at_once`: all of the tenant are lost now.
        """
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        run = Run(reading, work, partial(settle, answer), on_slow=on_slow)
        if at_once and self._lost[reading.lane] >= READERS_OF_TENANT:
            run.is_late()
        else:
            self._ask([run])
        try:
            return await answer
        finally:
            run.drop()

    def read(self, wanted: ReadDocument, then: Then) -> Run:
        """Read a document of the source: `then` is told of it, in a later turn of the loop."""
        source, loop = self.source, asyncio.get_running_loop()
        reading = _reading_of_document(wanted.tenant_id, wanted.timeout, is_stored=wanted.is_stored)
        if source is None:
            run = Run(reading, partial(wanted.judge, NoSourceError()), then)
            run.result = run.work()
            loop.call_soon(run.give)
            return run
        run = Run(reading, partial(_read, source, wanted), then, wanted.judge)
        if not self._asked:
            loop.call_soon(self._hand_over)
        self._asked.append(run)
        return run

    def _hand_over(self) -> None:
        asked, self._asked = self._asked, []
        self._ask(asked)

    def _ask(self, runs: Sequence[Run]) -> None:
        length = READ_AT_ONCE if self._quick else 1
        loop = asyncio.get_running_loop()
        for start in range(0, len(runs), length):
            some = runs[start : start + length]
            lanes = {run.reading.lane for run in some}
            lane = MIXED if len(lanes) > 1 else lanes.pop()
            batch = _Batch(lane, some[0].reading, deque(some))
            self._places.ask(lane, partial(self._start, batch, loop))
            if batch.alarm is None:
                seconds = batch.reading.seconds
                batch.alarm = loop.call_later(seconds, self._has_no_place, batch, loop)

    def _has_no_place(self, batch: _Batch, loop: asyncio.AbstractEventLoop) -> None:
        if self._lost[batch.lane] >= self._places.held(batch.lane):
            for run in batch.rest():
                run.is_late()
        elif batch.left:
            batch.alarm = loop.call_later(batch.reading.seconds, self._has_no_place, batch, loop)

    def _start(self, batch: _Batch, loop: asyncio.AbstractEventLoop) -> bool:
        batch.stop_alarm()
        if all(run.dropped for run in batch.left):
            return False
        batch.since = time.monotonic()
        patience = min(LOOK_AFTER, batch.reading.seconds)
        batch.alarm = loop.call_later(patience, self._look, batch, loop)
        if self.threads is None:
            loop.run_in_executor(None, self._work, batch, loop)
            return True
        try:
            self.threads.submit(self._work, batch, loop)
        except RuntimeError as error:  # they are stopping
            for run in batch.left:
                run.error = error
                self._back.append(run)
            self._give_back(batch, loop)
        return True

    def _look(self, batch: _Batch, loop: asyncio.AbstractEventLoop) -> None:
        """It is not done yet: let nothing wait for what its thread has in hand, and that not for
        ever."""
        self._collect()
        if batch.ended:
            return
        self._quick = False
        reading, under_way = batch.reading, batch.under_way
        if under_way is not None:
            reading = under_way.reading
            self._ask(batch.rest())
            if batch.lane == MIXED and not batch.slow:
                self._places.move(MIXED, reading.lane)
                batch.lane = reading.lane
        waited = time.monotonic() - batch.since
        soon = min(SLOW, reading.seconds)
        if waited >= soon and not batch.slow and self._slow < SLOW_READERS:
            self._step_aside(batch)
        left = (soon if waited < soon else reading.seconds) - waited
        if left > 0:
            batch.alarm = loop.call_later(left, self._look, batch, loop)
            return
        batch.lost = True
        self._lost[batch.lane] += 1
        self.log(ReaderLost(reading.tenant_id, reading.what, reading.seconds, self.lost))
        for run in [under_way] if under_way is not None else batch.rest():
            run.is_late()

    def _step_aside(self, batch: _Batch) -> None:
        batch.slow = True
        self._slow += 1
        self._places.step_aside(batch.lane)
        run = batch.under_way
        if run is not None and run.on_slow is not None and not run.dropped:
            run.on_slow()

    def _work(self, batch: _Batch, loop: asyncio.AbstractEventLoop) -> None:
        """In a worker thread."""
        began, number = time.monotonic(), 0
        while not batch.lost and (run := batch.next()) is not None:
            number += 1
            try:
                run.result = run.work()
            except BaseException as error:  # whatever it is, it is the result
                run.error = error
            self._back.append(run)
        batch.quick = number > 0 and time.monotonic() - began < QUICK * number
        self._give_back(batch, loop)

    def _give_back(self, batch: _Batch, loop: asyncio.AbstractEventLoop) -> None:
        self._back.append(batch)
        if not self._scheduled:  # one call for all that are back before the loop runs
            self._scheduled = True
            with suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(self._hear)

    def _hear(self) -> None:
        self._scheduled = False
        self._collect()

    def _collect(self) -> None:
        """On the loop: take what is back."""
        while self._back:
            one = self._back.popleft()
            if isinstance(one, Run):
                one.give()
                continue
            one.ended, self._quick = True, one.quick
            one.stop_alarm()
            if one.lost:
                self._lost -= Counter([one.lane])  # keeps none that are at zero
            self._slow -= one.slow
            (self._places.end_aside if one.slow else self._places.leave)(one.lane)


def settle(answer: asyncio.Future[T], result: Any, error: BaseException | None) -> None:
    """Give a future its answer, if that is still waited for."""
    if answer.done():
        return
    if error is not None:
        answer.set_exception(error)
    else:
        answer.set_result(result)


def _read(source: DocumentSource, wanted: ReadDocument) -> object:
    """In a worker thread, where it is hashed as well: for 20 MB that takes its time."""
    read: object
    try:
        read = source.read(wanted.tenant_id, wanted.key)
    except BaseException as error:
        if hosts_own(error):
            raise
        read = error
    return wanted.judge(read)
