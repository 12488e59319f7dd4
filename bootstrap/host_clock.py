"""A clock of the host's own, as an event loop asks it."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TypeVar

from ..adapters.clocks.system import SystemClock
from ..adapters.engines.notify import Notifier
from ..adapters.engines.watchdog import About, Watchdog
from ..domain.upload.backoff import later
from ..ports.clock import Clock

_WHAT = "the host's clock"
_ABOUT: About = None, None, _WHAT

T = TypeVar("T")


class HostClock:
    """`Clock` over a host's. If that raises, it is counted, and the machine's clock goes on from
    its last answer; if it keeps the loop's thread, it is named. `notifier` counts."""

    def __init__(self, clock: Clock, notifier: Notifier) -> None:
        self._clock = clock
        self.watchdog = Watchdog(time.monotonic)
        self.notifier = notifier
        self._machine = SystemClock()
        at = self._machine.monotonic()
        self._now = self._machine.now(), at
        self._passed = 0.0, at

    def now(self) -> datetime:
        """As in `Clock`."""
        at, (known, since) = self._machine.monotonic(), self._now
        now = self._asked(self._aware_now, later(known, timedelta(seconds=at - since)))
        self._now = now, at
        return now

    def monotonic(self) -> float:
        """As in `Clock`."""
        at, (known, since) = self._machine.monotonic(), self._passed
        passed = max(self._asked(self._seconds, known + at - since), known)
        self._passed = passed, at
        return passed

    async def sleep_until(self, when: datetime) -> None:
        """As in `Clock`."""
        deadline = self.monotonic() + (when - self.now()).total_seconds()
        try:
            asked = self.watchdog.run(_ABOUT, self._clock.sleep_until, when)
            return await self.watchdog.awaited(_ABOUT, asked)
        except BaseException as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            self.notifier.failed(_WHAT, error)
        while (left := min((when - self.now()).total_seconds(), deadline - self.monotonic())) > 0:
            await asyncio.sleep(min(left, 1.0))

    def _aware_now(self) -> datetime:
        now = self._clock.now()
        if now.utcoffset() is None:
            raise TypeError(f"now() gave {now!r}, which knows no time zone")
        return now

    def _seconds(self) -> float:
        passed = self._clock.monotonic()
        if not isinstance(passed, int | float) or not math.isfinite(passed):
            raise TypeError(f"monotonic() gave {passed!r}, which is no number of seconds")
        return passed

    def _asked(self, verb: Callable[[], T], otherwise: T) -> T:
        try:
            return self.watchdog.run(_ABOUT, lambda _: verb(), None)
        except BaseException as error:
            self.notifier.failed(_WHAT, error)
            return otherwise
