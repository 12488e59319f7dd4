"""An event loop in a thread of its own, and calls into it that wait for their result.

Each portal has a loop of its own. A call from the loop's own thread would deadlock, so it raises
MisuseError; so does a call in a forked child, which has a copy of everything but the thread. What
fails on the loop is raised at the call, unchanged; a caller that is interrupted, by a Ctrl-C for
instance, has its call cancelled.

The thread is not a daemon. Twice a second it checks whether the main thread has ended without
closing it; then it closes itself, and the program ends after it. A daemon with an `atexit` function
would be too late: those run when all other threads have been joined, and nothing can be recorded
then.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future
from contextlib import AbstractAsyncContextManager, suppress
from functools import partial
from typing import Any, TypeVar

from . import refusals
from .workers import Workers

CHECK_INTERVAL = 0.5
"""How often, in seconds, the loop checks whether the main thread has ended."""

LAST_CALLS = 1.0
"""How many seconds calls have that are still on the loop when the context has been left."""

LOOP_THREADS = 8
"""How many threads resolve names and read certificates, at most."""

T = TypeVar("T")
Verb = Callable[[], Coroutine[Any, Any, object]]


class Portal:
    """A thread that enters an async context manager on a loop of its own, and stays in it until
    it is told to leave, or the program ends."""

    def __init__(self, context: AbstractAsyncContextManager[object], name: str) -> None:
        self._context = context
        self.pid = os.getpid()
        self._thread = threading.Thread(target=self._run, name=name, daemon=False)
        self._entered: Future[None] = Future()
        self._left: Future[None] = Future()
        self._leaving = asyncio.Event()
        self._lock = threading.Lock()
        self._open = True
        self._loop = asyncio.new_event_loop()

    def enter(self) -> None:
        """Start the thread and return once the context is entered. Raises what entering raises,
        and then nothing is left running."""
        try:
            self._thread.start()
            self._entered.result()
        except Exception:
            if self._thread.ident is None:
                self._loop.close()  # the system had no thread for it
            else:
                self._thread.join()
            raise
        except BaseException:  # an interrupted caller: it leaves by itself
            self.tell_to_leave()
            raise

    def call(self, verb: Callable[[], Coroutine[Any, Any, T]], timeout: float | None = None) -> T:
        """Await `verb()` on the loop.

        Raises what it raises; TimeoutError after `timeout` seconds; MisuseError once the context
        has been left.
        """
        self.check()
        result: Future[T] = Future()
        try:
            with self._lock:
                if not self._open:
                    raise refusals.closed()
                self._loop.call_soon_threadsafe(self._begin, verb, result)
            return result.result(None if timeout is None else min(timeout, threading.TIMEOUT_MAX))
        except CancelledError:
            raise refusals.closed() from None
        finally:
            result.cancel()  # does nothing to a call that has ended

    def tell_to_leave(self, first: Verb | None = None) -> None:
        """Have `first` awaited and the context left, and do not wait for that."""
        with self._lock:
            if self._open:
                asyncio.run_coroutine_threadsafe(self._leave(first), self._loop)

    def leave(self, first: Verb | None = None) -> None:
        """Have `first` awaited and the context left, and return when the thread has ended.
        Raises what leaving raises. May be called again."""
        self.check()
        self.tell_to_leave(first)
        try:
            self._left.result()
        except Exception:
            self._thread.join()
            raise
        self._thread.join()

    def check(self) -> None:
        """MisuseError if waiting could never end: in a forked child, and in the loop's own
        thread."""
        if self.forked:
            raise refusals.forked(self.pid)
        if threading.current_thread() is self._thread:
            raise refusals.own_thread()

    @property
    def forked(self) -> bool:
        """Whether this process is a child of the one that the thread runs in."""
        return os.getpid() != self.pid

    # --- in the thread ---------------------------------------------------------------------------

    def _run(self) -> None:
        self._loop.set_default_executor(Workers(LOOP_THREADS, f"{self._thread.name}-loop"))
        try:
            self._run_loop()
        except BaseException as error:
            self._left.set_exception(error)
            if not self._entered.done():
                self._entered.set_exception(error)
            elif not self._leaving.is_set():
                raise  # no call reports it, so the program's hook for such errors does
        else:
            self._left.set_result(None)
        finally:
            self._loop.close()

    def _run_loop(self) -> None:
        stay = self._loop.create_task(self._stay())
        try:
            self._loop.run_until_complete(stay)
        except (SystemExit, KeyboardInterrupt):
            # Raised by something on the loop, these stop it at once: have it leave in order first.
            if not stay.done():
                self._leaving.set()
                self._loop.run_until_complete(stay)
            raise

    async def _stay(self) -> None:
        try:
            async with self._context:
                self._entered.set_result(None)
                await self._until_leaving()
        finally:
            with self._lock:
                self._open = False
            await self._end_other_calls()

    def _begin(self, verb: Callable[[], Coroutine[Any, Any, T]], result: Future[T]) -> None:
        # A Ctrl-C can come at any moment in the caller's thread, so the future exists before the
        # task, and cancelling it is enough.
        if result.cancelled():
            return
        task = self._loop.create_task(_await(verb))
        task.add_done_callback(partial(_pass_on, result))
        result.add_done_callback(lambda _: self._cancel(task))

    def _cancel(self, task: asyncio.Task[Any]) -> None:
        """In the thread that has cancelled, or in this one when the task has ended."""
        if not task.done():
            with suppress(RuntimeError):  # it has ended meanwhile, and so has the loop
                self._loop.call_soon_threadsafe(task.cancel)

    async def _leave(self, first: Verb | None) -> None:
        try:
            if first is not None:
                await first()
        finally:
            self._leaving.set()

    async def _until_leaving(self) -> None:
        while threading.main_thread().is_alive():
            try:
                async with asyncio.timeout(CHECK_INTERVAL):
                    await self._leaving.wait()
            except TimeoutError:
                continue
            return

    async def _end_other_calls(self) -> None:
        await asyncio.sleep(0)  # what was called just before is a task then
        others = asyncio.all_tasks() - {asyncio.current_task()}
        if others:
            _, late = await asyncio.wait(others, timeout=LAST_CALLS)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=LAST_CALLS)
        await self._loop.shutdown_asyncgens()


async def _await(verb: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Call the verb within its task, so that what the call itself raises, a TypeError for a wrong
    argument for instance, ends the task and reaches the caller."""
    return await verb()


def _pass_on(result: Future[T], task: asyncio.Task[T]) -> None:
    """Give the caller what the task gave, unless it does not wait any more."""
    failure = None if task.cancelled() else task.exception()
    if task.cancelled():
        result.cancel()
    elif not result.set_running_or_notify_cancel():
        return
    elif failure is not None:
        result.set_exception(failure)
    else:
        result.set_result(task.result())
