"""An event loop without threads, sockets or time of its own. It runs until no task can go on
now."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor, Future
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class _Idleness(selectors.SelectSelector):
    """Tells the loop to stop when there is nothing to wait for but time."""

    loop: asyncio.SelectorEventLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = super().select(0)
        if not events and (timeout is None or timeout > 0):
            self.loop.stop()
        return events


class VirtualLoop:
    """Runs coroutines in turn, always in the same order, and returns when all of them wait for a
    clock."""

    def __init__(self) -> None:
        selector = _Idleness()
        self.loop = asyncio.SelectorEventLoop(selector)
        selector.loop = self.loop
        self.surprises: list[BaseException | str] = []
        self.loop.set_exception_handler(self._note)

    def run_until_idle(self) -> None:
        """Run until every task waits."""
        self.loop.run_forever()

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Begin something; it goes on at the next `run_until_idle`."""
        return self.loop.create_task(work)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something that needs no time to its end."""
        task = self.start(work)
        self.run_until_idle()
        return task.result()

    def call(self, function: Callable[[], T]) -> T:
        """Call a function on the loop."""

        async def called() -> T:
            return function()

        return self.run(called())

    def close(self) -> None:
        """Cancel what is left, and close."""
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        self.run_until_idle()
        self.loop.close()

    def _note(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.surprises.append(context.get("exception") or str(context["message"]))


class InlineExecutor(Executor):
    """Runs what it is given at once, where it stands."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Call the function; the future is done."""
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future
