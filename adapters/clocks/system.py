"""The clocks of the machine."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from functools import partial
from typing import Literal

_MAX_NAP = 60.0


class SystemClock:
    """The operating system's clocks.

    It sleeps in naps of a minute, so that it notices a clock that is set forward and a machine that
    was suspended.
    """

    is_trusted: Literal[True] = True

    # The functions themselves: they are asked some twenty times an upload.
    now = staticmethod(partial(datetime.now, UTC))
    """The time of day, aware and in UTC."""

    monotonic = staticmethod(time.monotonic)
    """Seconds since a fixed point; never goes back."""

    async def sleep_until(self, when: datetime) -> None:
        """Sleep until `now() >= when`, but never longer than the interval at the call."""
        deadline = self.monotonic() + (when - self.now()).total_seconds()
        while (left := min((when - self.now()).total_seconds(), deadline - self.monotonic())) > 0:
            await asyncio.sleep(min(left, _MAX_NAP))
