"""Runs turns on an event loop, many at a time.

A turn waits for its effects in three places:

- What the driver can give an answer to come for (what begins or is settled, a document that is
  read) needs no task.
- Requests are sent by senders: long-lived tasks, as many as there are connections.
- What is rarer (a token, a wait for the pace) is performed in a task of its own.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from attrs import define

from ...delivery.active import ActiveUpload
from ...delivery.effects import Effect, Interrupted, Notify, Send, Stored, Turn, Wait
from ...domain.errors import StoreError
from ...domain.pacing.gate import NotBefore, Refusal
from ...ports.logger import RecordingFailed
from .asyncio_driver import CLOSED, AsyncioDriver, interruption_of
from .watchdog import About


@define(eq=False)
class UnderWay:
    """A turn of one upload, or of several that go in one request; what the watchdog is told of it;
    and the effect that it has asked the driver for."""

    uploads: Sequence[ActiveUpload]
    about: About
    turn: Turn[Refusal | None]
    asked: Any = None


class Turns:
    """The turns that are under way. `ended` is told of each one's end, and whether the gate has
    refused it; `asleep` is called when one has begun to wait for a moment."""

    def __init__(
        self,
        driver: AsyncioDriver,
        ended: Callable[[Sequence[ActiveUpload], NotBefore | None], None],
        asleep: Callable[[], None],
    ) -> None:
        self._driver = driver
        self._connections = driver.outside.connections
        self._watched = driver.notifier.watchdog.run
        self._ended = ended
        self._asleep = asleep
        self._waiting: dict[UnderWay, datetime] = {}
        self._under_way: set[UnderWay] = set()
        self._admitted: deque[tuple[UnderWay, Send]] = deque()
        self._idle: deque[asyncio.Future[None]] = deque()
        self._looking = 0  # senders that look for a request in this turn of the loop
        self._senders: set[asyncio.Task[None]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._none = asyncio.Event()
        self._interrupted = self._aborted = False

    def busy(self, now: datetime) -> bool:
        """Whether a turn is under way that does not wait for a later moment."""
        waiting = self._waiting
        return any(one not in waiting or waiting[one] <= now for one in self._under_way)

    async def none(self) -> None:
        """Return once no turn is under way."""
        while self._under_way:
            self._none.clear()
            await self._none.wait()

    def start(self, uploads: Sequence[ActiveUpload], turn: Turn[Refusal | None]) -> None:
        """Begin a turn."""
        key = uploads[0].upload.key
        what = key.tenant_id, key.provider, f"a dialogue for {key.evidence_id}"
        one = UnderWay(uploads, what, turn)
        self._under_way.add(one)
        self._resume(one, turn.send, None)

    def interrupt(self) -> None:
        """Cut every turn off: it writes down how far it got, and ends."""
        self._interrupted = True
        for task in self._tasks | self._senders:
            task.cancel()
        for one in [*self._under_way]:
            if one.asked is not None and not isinstance(one.asked, Stored):
                self._answered(one, one.asked, None, _closed())  # what is written is waited for
        while self._admitted:
            one, effect = self._admitted.popleft()
            self._admit(one, effect)
            self._connections.leave(effect.destination.lane)

    def abort(self) -> None:
        """Stop dead: nothing goes on."""
        self._aborted = True
        self.interrupt()

    async def close(self) -> None:
        """End the senders."""
        self.abort()
        if self._tasks or self._senders:
            await asyncio.wait(self._tasks | self._senders)

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run something beside; what it raises is reported."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(report_bug)
        return task

    # --- a turn ----------------------------------------------------------------------------------

    def _resume(self, one: UnderWay, resume: Callable[[Any], Effect[Any]], answer: Any) -> None:
        """Go on with a turn up to the next effect that takes time."""
        while not self._aborted:
            try:
                effect = self._watched(one.about, resume, answer)
            except StopIteration as end:
                return self._end(one, end.value, None)
            except BaseException as error:
                return self._end(one, None, error)
            if isinstance(effect, Notify):
                answer, resume = None, one.turn.send
                try:
                    self._driver.notifier.log(effect.event)
                except BaseException as error:
                    answer, resume = interruption_of(error) or error, one.turn.throw
            elif self._interrupted and not isinstance(effect, Stored):
                answer, resume = _closed(), one.turn.throw
            else:
                return self._wait_for(one, effect)

    def _wait_for(self, one: UnderWay, effect: Effect[Any]) -> None:
        if isinstance(effect, Send):
            self._connections.ask(effect.destination.lane, partial(self._admit, one, effect))
            return
        one.asked = effect
        if self._driver.ask(effect, partial(self._answered, one, effect)):
            return
        one.asked = None
        if isinstance(effect, Wait):
            self._aside(one, self._wait, one, effect)
        else:
            self._aside(one, self._driver.perform, effect)

    def _answered(
        self, one: UnderWay, effect: Effect[Any], answer: Any, error: BaseException | None
    ) -> None:
        if one.asked is not effect:  # not waited for any more
            return
        one.asked = None
        if error is None:
            self._resume(one, one.turn.send, answer)
        elif isinstance(error, StoreError) and isinstance(effect, Stored):
            self._aside(one, self._driver.patiently, effect, error)
        else:
            self._resume(one, one.turn.throw, interruption_of(error) or error)

    async def _wait(self, one: UnderWay, effect: Wait) -> Any:
        waiting = asyncio.ensure_future(self._driver.perform(effect))
        try:
            await asyncio.sleep(0)  # from here on the clock knows of it
            self._waiting[one] = effect.until
            self._asleep()
            return await waiting
        finally:
            waiting.cancel()
            self._waiting.pop(one, None)

    def _aside(self, one: UnderWay, verb: Callable[..., Awaitable[Any]], *given: object) -> None:
        task = self.spawn(self._perform(one, verb, *given))
        task.add_done_callback(partial(self._never_began, one))

    def _never_began(self, one: UnderWay, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            self._resume(one, one.turn.throw, _closed())

    async def _perform(
        self, one: UnderWay, verb: Callable[..., Awaitable[Any]], *given: object
    ) -> None:
        try:
            answer, resume = await verb(*given), one.turn.send
        except BaseException as error:
            answer, resume = interruption_of(error) or error, one.turn.throw
        self._resume(one, resume, answer)

    def _end(self, one: UnderWay, refused: NotBefore | None, error: BaseException | None) -> None:
        self._under_way.discard(one)
        cut = error.by if isinstance(error, Interrupted) else error
        if cut is not None and not isinstance(cut, StoreError | asyncio.CancelledError):
            self.spawn(_raise(cut))
        try:
            if isinstance(cut, StoreError):
                # Only while closing: the records stay as they were written last, and the next
                # courier goes on from there.
                reason = f"what became of it could not be written: {cut}"
                for active in one.uploads:
                    self._driver.notifier.log(RecordingFailed(active.upload.key, reason))
            self._ended(one.uploads, refused)
        except BaseException as own:  # what a listener lets through must not stop other turns
            self.spawn(_raise(own))
        if not self._under_way:
            self._none.set()

    # --- talk ------------------------------------------------------------------------------------

    def _admit(self, one: UnderWay, effect: Send) -> bool:
        """There is a connection for its request: give it to a sender."""
        if self._interrupted:
            self._resume(one, one.turn.throw, _closed())
            return False
        self._admitted.append((one, effect))
        if self._looking >= len(self._admitted):
            return True
        while self._idle:
            idle = self._idle.popleft()
            if not idle.done():
                self._looking += 1
                idle.set_result(None)
                return True
        if len(self._senders) < self._connections.capacity:
            self._looking += 1
            sender = asyncio.create_task(self._send())
            self._senders.add(sender)
            sender.add_done_callback(self._senders.discard)
            sender.add_done_callback(report_bug)
        return True

    async def _send(self) -> None:
        """A sender."""
        task = asyncio.current_task()
        assert task is not None
        while not task.cancelling():
            self._looking -= 1
            while not self._admitted:
                idle = asyncio.get_running_loop().create_future()
                self._idle.append(idle)
                await idle
                self._looking -= 1
            one, effect = self._admitted.popleft()
            try:
                answer = await self._driver.send(effect)
            except BaseException as error:
                self._resume(one, one.turn.throw, interruption_of(error) or error)
            else:
                self._resume(one, one.turn.send, answer)
            self._looking += 1
            self._connections.leave(effect.destination.lane)
            del one, effect  # an idle sender keeps no document


def report_bug(task: asyncio.Task[None]) -> None:
    """Tell the loop's exception handler what a task has raised. What is no `Exception` is the
    host's own: a keyboard's, or a signal handler's."""
    if not task.cancelled() and (error := task.exception()) is not None:
        a_bug = isinstance(error, Exception)
        what = "a task failed, which is a bug" if a_bug else "this goes on to the host"
        asyncio.get_running_loop().call_exception_handler(
            {"message": f"evidence-courier: {what}", "exception": error, "task": task}
        )


def _closed() -> Interrupted:
    return Interrupted(asyncio.CancelledError(), CLOSED, closing=True)


async def _raise(error: BaseException) -> None:
    raise error
