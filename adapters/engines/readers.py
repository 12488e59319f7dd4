"""Runs what a host brings (its document source, its files, a renderer) in threads of their own:
what hangs for one tenant keeps none of another's waiting, and stops nothing else."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from attrs import define, field, frozen

from ...delivery.destinations import Destination
from ...delivery.effects import ReadDocument
from ...delivery.fair_share import Lane
from ...delivery.outcome import NoSourceError
from ...domain.upload.verdict import Verdict
from ...ports.logger import LogEvent, ReaderLost
from ...ports.source import DocumentSource
from .connection_limit import ConnectionLimit
from .interruptions import hosts_own

READERS = 32
"""So many threads run what the host brings, and as many more as `SLOW_READERS` says."""

READERS_OF_TENANT = 4

SLOW = 0.5
"""What runs for so many seconds is slow, and leaves its place to another."""

SLOW_READERS = 256
"""So many are slow at once, those that hang included."""

T = TypeVar("T")


@frozen
class Reading:
    """What is run for a tenant: `what` it waits for, and the seconds that this may take."""

    tenant_id: str
    what: str
    seconds: float


def reading_of(destination: Destination, *, is_file: bool) -> Reading:
    """The reading of a file, or the rendering of a record."""
    integration = destination.integration
    seconds = integration.route.timeouts.total.total_seconds()
    return Reading(integration.tenant_id, "the file" if is_file else "the renderer", seconds)


@define(eq=False)
class _Run:
    """One thing that is run. `under_way`: a thread has it, which is `slow` after a while, and
    `lost` once its result is waited for no more. `result` is what it comes to in the thread, or
    `error` what it raises."""

    lane: Lane
    reading: Reading
    work: Callable[[], Any]
    answer: asyncio.Future[Any]
    late: Callable[[TimeoutError], Any] | None
    on_slow: Callable[[], None] | None
    alarm: asyncio.TimerHandle | None = field(default=None, init=False)
    under_way: bool = field(default=False, init=False)
    slow: bool = field(default=False, init=False)
    lost: bool = field(default=False, init=False)
    result: Any = field(default=None, init=False)
    error: BaseException | None = field(default=None, init=False)

    @property
    def timeout(self) -> TimeoutError:
        """What is said if it takes too long."""
        reading = self.reading
        return TimeoutError(f"{reading.what} did not answer within {reading.seconds:g} s")

    def give(self) -> None:
        """End the wait for it, if it is still waited for."""
        if self.alarm is not None:
            self.alarm.cancel()
        if self.answer.done():
            return
        if self.error is not None:
            self.answer.set_exception(self.error)
        else:
            self.answer.set_result(self.result)


@define(eq=False)
class Readers:
    """The threads that run what a host brings. Used on one event loop.

    A thread that does not return cannot be ended. It is `lost` from the moment that its result is
    no longer waited for until it returns, and so long it is one of its tenant's. What is slow takes
    no place of other tenants', up to a bound.

    Args:
        threads: At least `READERS` and `SLOW_READERS` of them; None: the loop's own.
        log: Is told of each thread that is lost.
        source: The host's document source; None: every document is unavailable.
        kept: The files that the store keeps.
    """

    threads: Executor | None
    log: Callable[[LogEvent], None]
    source: DocumentSource | None = None
    kept: DocumentSource | None = None
    _places: ConnectionLimit = field(init=False)
    _lost: Counter[Lane] = field(factory=Counter, init=False)
    _slow: int = field(default=0, init=False)
    _back: deque[_Run] = field(factory=deque, init=False)
    _told: bool = field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self._places = ConnectionLimit(READERS, READERS_OF_TENANT)

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
        is called if it is slow and leaves its place to another.

        Raises:
            TimeoutError: It took too long; or for so long all threads of the tenant were lost, or
                all of all tenants were taken. `at_once`: all of the tenant are lost now.
        """
        result: T = await self._ask(reading, work, at_once=at_once, on_slow=on_slow)
        return result

    def read(self, wanted: ReadDocument) -> asyncio.Future[bytes | Verdict]:
        """A document of the source, or a file of the store's."""
        source = self.kept if wanted.is_kept else self.source
        if source is None:
            answer: asyncio.Future[bytes | Verdict] = asyncio.get_running_loop().create_future()
            answer.set_result(wanted.judge(NoSourceError()))
            return answer
        what = "the folder of documents" if wanted.is_kept else "the document source"
        reading = Reading(wanted.tenant_id, what, wanted.timeout.total_seconds())
        return self._ask(reading, partial(_read, source, wanted), late=wanted.judge)

    def _ask(
        self,
        reading: Reading,
        work: Callable[[], Any],
        *,
        late: Callable[[TimeoutError], Any] | None = None,
        at_once: bool = False,
        on_slow: Callable[[], None] | None = None,
    ) -> asyncio.Future[Any]:
        loop = asyncio.get_running_loop()
        one = _Run((reading.tenant_id,), reading, work, loop.create_future(), late, on_slow)
        if at_once and self._lost[one.lane] >= READERS_OF_TENANT:
            self._too_late(one)
            return one.answer
        self._places.ask(one.lane, partial(self._start, one, loop))
        if not one.under_way:
            one.alarm = loop.call_later(reading.seconds, self._has_no_place, one, loop)
        return one.answer

    def _has_no_place(self, one: _Run, loop: asyncio.AbstractEventLoop) -> None:
        if self._lost[one.lane] >= self._places.held(one.lane):
            self._too_late(one)
        elif not one.answer.done():
            one.alarm = loop.call_later(one.reading.seconds, self._has_no_place, one, loop)

    def _start(self, one: _Run, loop: asyncio.AbstractEventLoop) -> bool:
        if one.answer.done():
            return False
        if one.alarm is not None:
            one.alarm.cancel()
        one.under_way = True
        seconds = one.reading.seconds
        soon = min(SLOW, seconds)
        one.alarm = loop.call_later(soon, self._is_slow, one, loop, seconds - soon)
        if self.threads is None:
            loop.run_in_executor(None, self._run, one, loop)
            return True
        try:
            self.threads.submit(self._run, one, loop)
        except RuntimeError as error:  # they have been told to stop
            one.error = error
            self._give_back(one, loop)
        return True

    def _is_slow(self, one: _Run, loop: asyncio.AbstractEventLoop, left: float) -> None:
        one.alarm = loop.call_later(left, self._is_lost, one)
        if self._slow < SLOW_READERS:
            one.slow = True
            self._slow += 1
            self._places.step_aside(one.lane)
            if one.on_slow is not None:
                one.on_slow()

    def _is_lost(self, one: _Run) -> None:
        one.lost = True
        self._lost[one.lane] += 1
        reading = one.reading
        self.log(ReaderLost(reading.tenant_id, reading.what, reading.seconds, self.lost))
        self._too_late(one)

    def _too_late(self, one: _Run) -> None:
        if not one.answer.done():
            if one.late is None:
                one.answer.set_exception(one.timeout)
            else:
                one.answer.set_result(one.late(one.timeout))

    def _run(self, one: _Run, loop: asyncio.AbstractEventLoop) -> None:
        """In a worker thread."""
        try:
            one.result = one.work()
        except BaseException as error:  # whatever it is, it is the result
            one.error = error
        self._give_back(one, loop)

    def _give_back(self, one: _Run, loop: asyncio.AbstractEventLoop) -> None:
        self._back.append(one)
        if not self._told:  # one word for all that are back before the loop has heard it
            self._told = True
            with suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(self._collect)

    def _collect(self) -> None:
        """On the loop: take what is back."""
        self._told = False
        while self._back:
            one = self._back.popleft()
            self._lost[one.lane] -= one.lost
            one.give()
            self._slow -= one.slow
            (self._places.end_aside if one.slow else self._places.leave)(one.lane)


def _read(source: DocumentSource, wanted: ReadDocument) -> bytes | Verdict:
    """In a worker thread, where it is hashed as well: for 20 MB that takes its time."""
    read: object
    try:
        read = source.read(wanted.tenant_id, wanted.key)
    except BaseException as error:
        if hosts_own(error):
            raise
        read = error
    return wanted.judge(read)
