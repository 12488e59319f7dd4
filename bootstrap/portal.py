"""The way from blocking code into an event loop: a loop in a thread of its own, and calls into it
that wait for their answer.

Rules: one loop for each portal, never one for all. Whoever calls from the loop's own thread would
wait for himself, and is refused. So is a forked child, which has a copy of everything but the
thread. What fails on the loop is raised where it was called from, as it is; whoever stops waiting,
by a Ctrl-C for instance, has his call cancelled.

The thread is not a daemon, and looks twice a second whether the main thread has ended without
closing it: then it closes itself, and the program ends after it. A daemon with an `atexit` function
would come too late: those run when all other threads have been waited for and nothing can be
recorded any more.
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

LOOK = 0.5
"""How often, in seconds, the loop looks whether the main thread has ended."""

LAST_TURNS = 1.0
"""So many seconds has whatever is still on the loop when everything has been closed: whoever
waits for an answer gets it, or hears why not."""

LOOP_THREADS = 8
"""How many threads resolve names and read certificates, at most."""

T = TypeVar("T")


class Portal:
    """A thread that enters an async context manager on a loop of its own, and stays in it until
    it is told to leave, or the program ends."""

    def __init__(self, context: AbstractAsyncContextManager[object], name: str) -> None:
        self._context = context
        self.pid = os.getpid()
        self._thread = threading.Thread(target=self._run, name=name, daemon=False)
        self._entered: Future[None] = Future()
        self._left: Future[None] = Future()
        self._told = asyncio.Event()
        self._gate = threading.Lock()
        self._open = True
        self._loop = asyncio.new_event_loop()

    def enter(self) -> None:
        """Begin, and return when the context has been entered. Raises what entering raises, and
        then nothing is left running."""
        try:
            self._thread.start()
            self._entered.result()
        except Exception:
            if self._thread.ident is None:
                self._loop.close()  # the system had no thread for it
            else:
                self._thread.join()
            raise
        except BaseException:  # whoever does not wait any longer: it ends by itself
            self.tell_to_leave()
            raise

    def call(self, verb: Callable[[], Coroutine[Any, Any, T]], timeout: float | None = None) -> T:
        """What awaiting `verb()` on the loop gives, or raises. TimeoutError after `timeout`
        seconds; MisuseError once the context has been left."""
        self.check()
        answer: Future[T] = Future()
        try:
            with self._gate:
                if not self._open:
                    raise refusals.closed()
                self._loop.call_soon_threadsafe(self._begin, verb, answer)
            return answer.result(timeout)
        except CancelledError:
            raise refusals.closed() from None
        finally:
            answer.cancel()  # if there is none yet, nobody waits for it any more

    def tell_to_leave(self, first: Callable[[], Coroutine[Any, Any, object]] | None = None) -> None:
        """Have `first` awaited and the context left, and do not wait for that."""
        with self._gate:
            if self._open:
                asyncio.run_coroutine_threadsafe(self._leave(first), self._loop)

    def leave(self, first: Callable[[], Coroutine[Any, Any, object]] | None = None) -> None:
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
        """MisuseError where waiting could never end: in a forked child, and in the loop's own
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
            elif not self._told.is_set():
                raise  # nobody asks, so the program's hook for such things is told
        else:
            self._left.set_result(None)
        finally:
            self._loop.close()

    def _run_loop(self) -> None:
        stay = self._loop.create_task(self._stay())
        try:
            self._loop.run_until_complete(stay)
        except (SystemExit, KeyboardInterrupt):
            # Raised by something on the loop that wants an end, these stop the loop at once: have
            # it leave in order first.
            if not stay.done():
                self._told.set()
                self._loop.run_until_complete(stay)
            raise

    async def _stay(self) -> None:
        try:
            async with self._context:
                self._entered.set_result(None)
                await self._until_told()
        finally:
            with self._gate:
                self._open = False
            await self._let_the_others_end()

    def _begin(self, verb: Callable[[], Coroutine[Any, Any, T]], answer: Future[T]) -> None:
        # A Ctrl-C can come at any moment in the caller's thread, so the future is there first, and
        # cancelling it is enough.
        if answer.cancelled():
            return
        task = self._loop.create_task(verb())
        task.add_done_callback(partial(_pass_on, answer))
        answer.add_done_callback(lambda _: self._call_off(task))

    def _call_off(self, task: asyncio.Task[Any]) -> None:
        """In whatever thread has cancelled, or in this one when all is done."""
        if not task.done():
            with suppress(RuntimeError):  # it was done meanwhile, and so was the loop
                self._loop.call_soon_threadsafe(task.cancel)

    async def _leave(self, first: Callable[[], Coroutine[Any, Any, object]] | None) -> None:
        try:
            if first is not None:
                await first()
        finally:
            self._told.set()

    async def _until_told(self) -> None:
        while threading.main_thread().is_alive():
            try:
                async with asyncio.timeout(LOOK):
                    await self._told.wait()
            except TimeoutError:
                continue
            return

    async def _let_the_others_end(self) -> None:
        await asyncio.sleep(0)  # what was called just before is a task then
        others = asyncio.all_tasks() - {asyncio.current_task()}
        if others:
            _, late = await asyncio.wait(others, timeout=LAST_TURNS)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=LAST_TURNS)
        await self._loop.shutdown_asyncgens()


def _pass_on(answer: Future[T], task: asyncio.Task[T]) -> None:
    """Tell the caller what came of it, unless he waits no more."""
    failure = None if task.cancelled() else task.exception()
    if task.cancelled():
        answer.cancel()
    elif not answer.set_running_or_notify_cancel():
        return
    elif failure is not None:
        answer.set_exception(failure)
    else:
        answer.set_result(task.result())
