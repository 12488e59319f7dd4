"""Names what keeps the event loop's thread, while it does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from threading import get_ident
from types import coroutine
from typing import Any, TypeAlias, TypeVar, cast

from attrs import define, field

from ...domain.integration import Integration
from ...ports.logger import LogEvent, LoopBlocked

BLOCKED_AFTER = 1.0
"""What keeps the loop's thread for this number of seconds is named."""

T = TypeVar("T")
R = TypeVar("R")

About: TypeAlias = tuple[str | None, str | None, str]
"""The tenant and the provider, if it is one's, and what runs for them."""


def about(integration: Integration, what: str) -> About:
    """What runs for an integration."""
    return integration.tenant_id, integration.provider, what


@define(eq=False)
class Watchdog:
    """Notes what code that is not the package's own runs on the loop, in whose thread it is made.
    `monotonic` gives seconds on a clock that never goes back."""

    monotonic: Callable[[], float]
    _thread: int = field(factory=get_ident, init=False)
    _run: tuple[About, float] | None = field(default=None, init=False)
    _named: tuple[About, float] | None = field(default=None, init=False)
    _suspected: tuple[About, float] | None = field(default=None, init=False)

    def run(self, about: About | None, code: Callable[[T], R], given: T) -> R:
        """Run the code; what runs in another thread is not noted. None: the package's own."""
        if about is None or get_ident() != self._thread:
            return code(given)
        around, self._run = self._run, (about, self.monotonic())
        try:
            return code(given)
        finally:
            self._run = around and (around[0], self.monotonic())

    @coroutine
    def awaited(self, about: About, answer: Awaitable[R]) -> Generator[Any, Any, R]:
        """Await something, and note its code as it runs."""
        steps: Generator[Any, Any, R] = answer.__await__()
        step: Callable[[Any], Any] = steps.send
        given = None
        while True:
            try:
                asked = self.run(about, step, given)
            except StopIteration as end:
                return cast(R, end.value)
            try:
                step, given = steps.send, (yield asked)
            except BaseException as error:
                step, given = steps.throw, error

    def watch(self, log: Callable[[LogEvent], None]) -> None:
        """Name what keeps the thread, if it still does at the second look: after the first, a
        machine that stood still as a whole goes on. Called in another thread, now and then."""
        run = self._run
        if run is None or run is self._named:
            return
        about, since = run
        seconds = self.monotonic() - since
        if seconds < BLOCKED_AFTER:
            return
        if run is not self._suspected:
            self._suspected = run
        elif self._run is run:
            self._named = run
            log(LoopBlocked(*about, seconds))
