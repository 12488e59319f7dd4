"""Telling a host what happens, without being hurt by it."""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from collections.abc import Awaitable, Callable, Container, Sequence
from concurrent.futures import Future
from functools import partial

from attrs import define, field

from ...domain.secrets.redaction import words_of
from ...domain.upload.status import UploadStatus
from ...domain.upload.upload import UploadKey
from ...ports.logger import (
    Choosing,
    HookFailed,
    LogEvent,
    Logger,
    Prompt,
    UploadSettled,
    UploadSettledElsewhere,
)
from ..loggers.standard import StandardLogger
from .aside import LAST_CALLS, Aside
from .closing import Listener
from .interruptions import hosts_own
from .watchdog import Watchdog

HOOK_TIMEOUT = 30.0
"""How many seconds are given to what `on_settled` returns."""

HOOKS_AT_ONCE = 100
"""How many of them run at once; what it would return for what ends meanwhile is left out."""

EVENTS = 10_000
"""How many events wait for a logger that is slow, or uploads for such an `on_settled`; further ones
are left out."""

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
            self.failed("the logger", error)

    def _call(self, event: LogEvent) -> None:
        self.logger.log(event)

    def settled(self, status: UploadStatus, *, elsewhere: bool = False) -> None:
        """An upload has come to rest, maybe by another courier or a person."""
        self.log(UploadSettledElsewhere(status) if elsewhere else UploadSettled(status))

    def failed(self, listener: str, error: BaseException) -> None:
        """A listener has raised: count it and say so, or raise it if it goes on."""
        if self.goes_on(error):
            raise error
        self.failures += 1
        try:
            report(f"evidence-courier: {listener} raised", error)
        except BaseException as again:  # what reports it may be the listener that raises
            if self.goes_on(again):
                raise


class LoggerAside:
    """`Logger` that has another told in a thread of its own, in the order of the events.
    `failures` counts what that raised, and what was left out."""

    def __init__(self, logger: Logger) -> None:
        self.logger = logger
        self._notifier = Notifier(logger, goes_on=lambda error: False)
        self._aside = Aside(self._notifier.log, EVENTS)
        self._left_out = 0
        # What is the host's own is asked in the thread.
        self.wants: Callable[[LogEvent], bool] = lambda event: True
        if type(logger) is StandardLogger and logger.is_plain:
            self.wants = logger.wants
        self.emptied = self._aside.emptied

    def log(self, event: LogEvent) -> None:
        """Have it told of an event that it may want."""
        if self.wants(event):
            self._left_out += not self._aside.put(event)

    @property
    def failures(self) -> int:
        return self._notifier.failures + self._left_out


def aside(logger: Logger) -> Logger:
    """The logger as an event loop may call it."""
    return logger if isinstance(logger, Prompt | LoggerAside) else LoggerAside(logger)


@define
class HookNotifier(Notifier):
    """Tells `on_settled` as well, for one event loop: a coroutine function on the loop, and any
    other in a thread of its own."""

    watchdog: Watchdog = field(factory=lambda: Watchdog(time.monotonic))
    on_settled: OnSettled | None = None
    _hooks: dict[asyncio.Task[None], Listener] = field(factory=dict, init=False)
    _aside: Aside[tuple[asyncio.AbstractEventLoop, UploadStatus]] | None = field(init=False)

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        on_loop = self.on_settled is None or _is_coroutine_function(self.on_settled)
        self._aside = None if on_loop else Aside(self._call_aside, EVENTS)

    @property
    def all_failures(self) -> int:
        """How often a listener failed, the logger aside included."""
        logger = self.logger
        return self.failures + (logger.failures if isinstance(logger, LoggerAside) else 0)

    def settled(self, status: UploadStatus, *, elsewhere: bool = False) -> None:
        """Log it, and have `on_settled` called; what that returns is awaited beside the uploads."""
        super().settled(status, elsewhere=elsewhere)
        if self.on_settled is None:
            return
        if self._aside is not None:
            if not self._aside.put((asyncio.get_running_loop(), status)):
                self._left_out(status, "called", EVENTS)
        elif len(self._hooks) >= HOOKS_AT_ONCE:
            self._left_out(status, "called", HOOKS_AT_ONCE)
        else:
            self._answered(status, partial(self.on_settled, status))

    def _left_out(self, status: UploadStatus, what: str, most: int) -> None:
        self._hook_failed(_key_of(status), f"not {what}: {most:,} calls before it have not ended")

    def _answered(self, status: UploadStatus, answer_of: Callable[[], object]) -> None:
        """Await what `on_settled` returns beside the uploads."""
        try:
            answer = answer_of()
        except BaseException as error:
            self._hook_raised(_key_of(status), error)
            return
        if not inspect.isawaitable(answer):
            return
        if len(self._hooks) >= HOOKS_AT_ONCE:
            self._left_out(status, "awaited", HOOKS_AT_ONCE)
            if inspect.iscoroutine(answer):
                answer.close()
        else:
            listener = Listener()
            hook = asyncio.ensure_future(self._await(status, answer, listener))
            self._hooks[hook] = listener
            hook.add_done_callback(self._hooks.pop)

    def _call_aside(self, given: tuple[asyncio.AbstractEventLoop, UploadStatus]) -> None:
        """In a thread of its own; what it comes to is heard on the loop."""
        (loop, status), result = given, Future[object]()
        try:
            assert self.on_settled is not None
            result.set_result(self.on_settled(status))
        except BaseException as error:
            result.set_exception(error)
        loop.call_soon_threadsafe(self._answered, status, result.result)

    async def _await(
        self, status: UploadStatus, answer: Awaitable[object], listener: Listener
    ) -> None:
        about = status.tenant_id, status.provider, "the host's on_settled"
        try:
            with listener.call():
                async with asyncio.timeout(HOOK_TIMEOUT):
                    await self.watchdog.awaited(about, answer)
        except BaseException as error:
            # It may cancel itself, as a group of tasks does that fails.
            is_cancelled = isinstance(error, asyncio.CancelledError)
            if not (is_cancelled and listener.is_cut):
                self._hook_raised(_key_of(status), error)
            if is_cancelled:
                raise

    def _hook_raised(self, key: UploadKey, error: BaseException) -> None:
        if self.goes_on(error):
            raise error
        self._hook_failed(key, words_of(error))

    def _hook_failed(self, key: UploadKey, reason: str) -> None:
        self.failures += 1
        self.log(HookFailed(key, "on_settled", reason))

    async def end_hooks(self, seconds: float) -> None:
        """Give `on_settled` a moment for what waits for it, and what it has returned `seconds`
        more; then cancel that. What waits for the close itself goes on."""
        if self._aside is not None:
            await self._aside.emptied()
        if self._hooks:
            waits = [asyncio.ensure_future(_ended(*one)) for one in self._hooks.items()]
            await asyncio.wait(waits, timeout=seconds)
            if late := self._cut({hook for hook, one in self._hooks.items() if one.closes.done()}):
                await asyncio.wait(late, timeout=LAST_CALLS)

    def abort(self) -> None:
        """Cancel what `on_settled` has returned, now."""
        self._cut(())

    def _cut(self, spared: Container[asyncio.Task[None]]) -> Sequence[asyncio.Task[None]]:
        late = [hook for hook in self._hooks if hook not in spared]
        for hook in late:
            self._hooks[hook].is_cut = True
            hook.cancel()
        return late


async def _ended(hook: asyncio.Task[None], listener: Listener) -> None:
    """Return once a hook has ended, or waits for the close."""
    closes = asyncio.wrap_future(listener.closes)
    await asyncio.wait([hook, closes], return_when=asyncio.FIRST_COMPLETED)


def _is_coroutine_function(function: OnSettled) -> bool:
    called = type(function).__call__  # of an object with such a method
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(called)


def _key_of(status: UploadStatus) -> UploadKey:
    return UploadKey(status.tenant_id, status.evidence_id, status.provider)


def report(what: str, error: BaseException) -> None:
    """Tell the loop's exception handler, or without a loop the logger `evidence_courier`, of an
    exception."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        logging.getLogger("evidence_courier").error(what, exc_info=error)
    else:
        loop.call_exception_handler({"message": what, "exception": error})


def tell(logger: Logger, event: LogEvent) -> None:
    """Log one event outside of an engine."""
    Notifier(logger).log(event)
