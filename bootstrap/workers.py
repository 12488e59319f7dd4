"""Worker threads that outlast the main thread as long as a courier needs them, and that no program
waits for.

`concurrent.futures` takes no work once the main thread has ended, so a courier that was not closed
could not record what was submitted last; and a thread of it that hangs, in a host's document source
for instance, keeps the program from ending. These threads work until they are told to stop, and are
daemons.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, ParamSpec, TypeVar

from attrs import frozen

P = ParamSpec("P")
T = TypeVar("T")


@frozen
class _Job:
    work: Callable[[], Any]
    result: Future[Any]

    def run(self) -> None:
        if not self.result.set_running_or_notify_cancel():
            return
        try:
            self.result.set_result(self.work())
        except BaseException as error:  # whatever it is, it is the result
            self.result.set_exception(error)


class Workers(ThreadPoolExecutor):
    """At most `limit` threads, started as they are needed; the first one at once.

    It is a `ThreadPoolExecutor` by name and by its methods, since an event loop accepts nothing
    else as its default; it uses nothing of it.
    """

    def __init__(self, limit: int, name: str) -> None:
        self._limit = limit
        self._name = name
        self._lock = threading.Lock()
        self._idle = 1  # threads that have nothing to do, and no work on its way to them
        self._inbox: SimpleQueue[_Job | None] = SimpleQueue()
        self._started: list[threading.Thread] = []
        self._stopped = False
        # Some versions of Python start no thread while a program ends; then there is this one.
        self._start_one()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Have it called in one of the threads. RuntimeError once they are stopping."""
        result: Future[T] = Future()
        with self._lock:
            if self._stopped:
                raise RuntimeError(f"the {self._name} threads are stopping")
            if self._idle > 0:
                self._idle -= 1
            elif len(self._started) < self._limit:
                with suppress(RuntimeError):  # no more threads: those that run will do
                    self._start_one()
            self._inbox.put(_Job(partial(fn, *args, **kwargs), result))
        return result

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more work, and stop when what was asked for is done."""
        with self._lock:
            if not self._stopped:
                self._stopped = True
                if cancel_futures:
                    self._cancel_waiting()
                for _ in self._started:
                    self._inbox.put(None)
        if wait:
            for thread in self._started:
                thread.join()

    def _start_one(self) -> None:
        name = f"{self._name}_{len(self._started)}"
        thread = threading.Thread(target=self._work, name=name, daemon=True)
        thread.start()
        self._started.append(thread)

    def _work(self) -> None:
        while (job := self._inbox.get()) is not None:
            job.run()
            del job  # an idle thread keeps no document
            with self._lock:
                self._idle += 1

    def _cancel_waiting(self) -> None:
        with suppress(Empty):
            while True:
                job = self._inbox.get_nowait()
                if job is not None:
                    job.result.cancel()
                    job.result.set_running_or_notify_cancel()
