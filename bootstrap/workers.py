"""Worker threads that outlast the main thread for as long as a courier needs them, and that no
program waits for.

The pool of the standard library takes no work from the moment the main thread ends, so a courier
that nobody closed could not record what it was given just before. And it keeps the program from
ending while one of its threads hangs, in a host's document source for instance. These threads work
until they are told to stop, and are daemons: whoever needs what they do waits for it.
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
    answer: Future[Any]

    def run(self) -> None:
        if not self.answer.set_running_or_notify_cancel():
            return
        try:
            result = self.work()
        except BaseException as error:  # whatever it is, somebody waits for it
            self.answer.set_exception(error)
        else:
            self.answer.set_result(result)


class Workers(ThreadPoolExecutor):
    """At most so many threads; they are begun as they are needed, the first at once.

    It is a `ThreadPoolExecutor` by its verbs and by name, since an event loop takes nothing else as
    its default; nothing of that is used.
    """

    def __init__(self, most: int, name: str) -> None:
        self._most = most
        self._name = name
        self._gate = threading.Lock()
        self._idle = threading.Semaphore(1)
        self._inbox: SimpleQueue[_Job | None] = SimpleQueue()
        self._crew: list[threading.Thread] = []
        self._shut = False
        # Some versions of Python begin no thread any more while a program ends; then there is this
        # one.
        self._grow()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Have it called in one of the threads. RuntimeError once they have been told to stop."""
        answer: Future[T] = Future()
        with self._gate:
            if self._shut:
                raise RuntimeError(f"the {self._name} threads have been told to stop")
            if not self._idle.acquire(blocking=False) and len(self._crew) < self._most:
                # the system gives no more of them: those that there are will do
                with suppress(RuntimeError):
                    self._grow()
            self._inbox.put(_Job(partial(fn, *args, **kwargs), answer))
        return answer

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more work, and stop when what was asked for is done."""
        with self._gate:
            if not self._shut:
                self._shut = True
                if cancel_futures:
                    self._cancel_waiting()
                for _ in self._crew:
                    self._inbox.put(None)
        if wait:
            for thread in self._crew:
                thread.join()

    def _grow(self) -> None:
        name = f"{self._name}_{len(self._crew)}"
        thread = threading.Thread(target=self._work, name=name, daemon=True)
        thread.start()
        self._crew.append(thread)

    def _work(self) -> None:
        while (job := self._inbox.get()) is not None:
            job.run()
            del job  # an idle thread keeps nobody's document
            self._idle.release()

    def _cancel_waiting(self) -> None:
        with suppress(Empty):
            while True:
                job = self._inbox.get_nowait()
                if job is not None:
                    job.answer.cancel()
                    job.answer.set_running_or_notify_cancel()
