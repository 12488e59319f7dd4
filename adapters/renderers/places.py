"""Places for threads, shared fairly between tenants."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from attrs import define, field

from ...delivery.fair_share import FairQueue


@define(eq=False)
class _Wish:
    entered: threading.Event = field(factory=threading.Event)
    wanted: bool = True

    def admit(self) -> bool:
        if self.wanted:
            self.entered.set()
        return self.wanted


class Places:
    """At most `places` threads at once, and one less of a tenant alone."""

    def __init__(self, places: int) -> None:
        self._queue = FairQueue(places, places - 1)
        self._lock = threading.Lock()

    @contextmanager
    def taken(self, tenant_id: str) -> Iterator[None]:
        """Hold a place, as soon as there is one."""
        wish, lane = _Wish(), (tenant_id,)
        with self._lock:
            self._queue.ask(lane, wish.admit)
        try:
            wish.entered.wait()
            yield
        finally:  # an interrupted thread may not have entered
            with self._lock:
                wish.wanted = False
                if wish.entered.is_set():
                    self._queue.leave(lane)
