"""The clock of a database that several machines share."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from threading import Lock

from .system import SystemClock

# By how much the clocks of two machines drift apart at most, in seconds a second.
_DRIFT = 1e-4


class DatabaseClock(SystemClock):
    """The time of day as the database tells it; the machine's own until it was asked.

    Between two questions it goes on with the machine's monotonic clock, so that setting the
    machine's clock changes nothing.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._set: tuple[datetime, float, float] | None = None

    def now(self) -> datetime:
        """As in `Clock`."""
        known = self._set
        if known is None:
            return datetime.now(UTC)
        given, at, _ = known
        return given + timedelta(seconds=self.monotonic() - at)

    def tell(self, given: datetime, asked: float) -> None:
        """The database has just told the time; it was asked at `asked` on the monotonic clock.

        The answer is `given` somewhere between the two: what is known more precisely stays.
        """
        answered = time.monotonic()
        at, error = (asked + answered) / 2, (answered - asked) / 2
        with self._lock:
            if self._set is None or error <= self._set[2] + _DRIFT * (at - self._set[1]):
                self._set = (given, at, error)
