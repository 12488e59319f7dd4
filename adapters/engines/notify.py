"""Telling a host what happens, without being hurt by it."""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from functools import partial

from attrs import define, field

from ...domain.upload.status import UploadStatus
from ...domain.upload.upload import UploadKey
from ...ports.logger import Choosing, HookFailed, LogEvent, Logger, LoopBlocked, UploadSettled
from .interruptions import hosts_own
from .slow_listener import SLOW, SlowListener
from .watchdog import LOGGER, Watchdog

HOOK_TIMEOUT = 30.0
"""So many seconds are given to what `on_settled` returns."""

HOOKS_AT_ONCE = 100
"""At most so many of them run at once, or wait for an `on_settled` that is slow; it is not called
for what ends meanwhile."""

EVENTS = 10_000
"""So many events wait for a logger that is slow."""

OnSettled = Callable[..., object]


@define
class Notifier:
    """Tells one host's logger. `failures` counts what its listeners have raised or missed.

    What a listener raises changes nothing, unless it `goes_on`: a keyboard's or a signal's
    exception, for instance, is not the listener's.
    """

    logger: Logger
    goes_on: Callable[[BaseException], bool] = hosts_own
    failures: int = 0
    _wants: Callable[[LogEvent], bool] | None = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._wants = self.logger.wants if isinstance(self.logger, Choosing) else None

    def wants(self, event: LogEvent) -> bool:
        """Whether the logger would write an event down."""
        try:
            return self._wants is None or self._wants(event)
        except BaseException:  # so does `log`, which says it
            return True

    def log(self, event: LogEvent) -> None:
        """Log an event."""
        try:
            if self._wants is None or self._wants(event):
                self._call(event)
        except BaseException as error:
            self._failed("the logger", error)

    def _call(self, event: LogEvent) -> None:
        self.logger.log(event)

    def settled(self, status: UploadStatus) -> None:
        """An upload has come to rest."""
        self.log(UploadSettled(status))

    def _failed(self, listener: str, error: BaseException) -> None:
        """A listener has raised: count it and say so, or raise it if it goes on."""
        if self.goes_on(error):
            raise error
        self.failures += 1
        try:
            _report(f"evidence-courier: {listener} raised", error)
        except BaseException as again:  # what reports it may be the listener that raises
            if self.goes_on(again):
                raise


@define
class HookNotifier(Notifier):
    """Tells `on_settled` as well, on one event loop. A listener that was slow once is called in a
    thread of its own from then on; what finds too many before it is left out."""

    watchdog: Watchdog = field(factory=lambda: Watchdog(time.monotonic))
    on_settled: OnSettled | None = None
    _hooks: set[asyncio.Task[None]] = field(factory=set, init=False)
    _slow_logger: SlowListener[LogEvent] | None = field(default=None, init=False)
    _slow_hook: SlowListener[UploadStatus] | None = field(default=None, init=False)

    def log(self, event: LogEvent) -> None:
        """Log an event."""
        if self._slow_logger is not None:
            self.failures += not self._slow_logger.put(event)
        else:
            super().log(event)

    def _call(self, event: LogEvent) -> None:
        since = self.watchdog.monotonic()
        try:
            self.watchdog.run(LOGGER, self.logger.log, event)
        finally:
            # LoopBlocked is logged in another thread.
            of_loop = self._slow_logger is None and not isinstance(event, LoopBlocked)
            if of_loop and self._was_slow(since):
                self._slow_logger = SlowListener(super().log, EVENTS)

    def _was_slow(self, since: float) -> bool:
        return self.watchdog.monotonic() - since >= SLOW

    def settled(self, status: UploadStatus) -> None:
        """Log it, and call `on_settled`; what that returns is awaited beside the uploads."""
        super().settled(status)
        if self.on_settled is None:
            return
        slow = self._slow_hook
        if len(self._hooks) >= HOOKS_AT_ONCE or (slow is not None and not slow.put(status)):
            why = f"not called: {HOOKS_AT_ONCE} calls before it have not ended"
            self._hook_failed(_key_of(status), why)
        elif slow is None:
            about = status.tenant_id, status.provider, "the host's on_settled"
            since = self.watchdog.monotonic()
            call = partial(self.watchdog.run, about, self.on_settled, status)
            if not self._answered(status, call) and self._was_slow(since):
                aside = partial(self._call_aside, asyncio.get_running_loop())
                self._slow_hook = SlowListener(aside, HOOKS_AT_ONCE)

    def _answered(self, status: UploadStatus, answer_of: Callable[[], object]) -> bool:
        """Await what `on_settled` returns beside the uploads; whether that is to be awaited."""
        try:
            answer = answer_of()
        except BaseException as error:
            self._hook_raised(_key_of(status), error)
            return False
        if not inspect.isawaitable(answer):
            return False
        hook = asyncio.ensure_future(self._await(_key_of(status), answer))
        self._hooks.add(hook)
        hook.add_done_callback(self._hooks.discard)
        return True

    def _call_aside(self, loop: asyncio.AbstractEventLoop, status: UploadStatus) -> None:
        """In a thread of its own; what it comes to is heard on the loop."""
        result: Future[object] = Future()
        try:
            assert self.on_settled is not None
            result.set_result(self.on_settled(status))
        except BaseException as error:
            result.set_exception(error)
        loop.call_soon_threadsafe(self._answered, status, result.result)

    def end_slow(self) -> None:
        """Give slow listeners a moment for what waits for them. Off the loop."""
        for slow in (self._slow_hook, self._slow_logger):
            if slow is not None:
                slow.end()

    async def _await(self, key: UploadKey, answer: Awaitable[object]) -> None:
        try:
            async with asyncio.timeout(HOOK_TIMEOUT):
                await answer
        except BaseException as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            self._hook_raised(key, error)

    def _hook_raised(self, key: UploadKey, error: BaseException) -> None:
        if self.goes_on(error):
            raise error
        self._hook_failed(key, f"{type(error).__name__}: {error}")

    def _hook_failed(self, key: UploadKey, reason: str) -> None:
        self.failures += 1
        self.log(HookFailed(key, "on_settled", reason))

    async def end_hooks(self, seconds: float) -> None:
        """Give what `on_settled` has returned so many seconds more, then cancel it."""
        if self._hooks:
            _, late = await asyncio.wait(self._hooks, timeout=seconds)
            for hook in late:
                hook.cancel()
            if late:
                await asyncio.wait(late, timeout=HOOK_TIMEOUT)

    def abort(self) -> None:
        """Cancel what `on_settled` has returned, now."""
        for hook in self._hooks:
            hook.cancel()


def _key_of(status: UploadStatus) -> UploadKey:
    return UploadKey(status.tenant_id, status.evidence_id, status.provider)


def _report(what: str, error: BaseException) -> None:
    """To the loop's exception handler, or without a loop to the logger `evidence_courier`."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        logging.getLogger("evidence_courier").error(what, exc_info=error)
    else:
        loop.call_exception_handler({"message": what, "exception": error})


def tell(logger: Logger, event: LogEvent) -> None:
    """Log one event outside of an engine."""
    Notifier(logger).log(event)
