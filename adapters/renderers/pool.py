"""One Typst compiler in this process, and worker processes while others wait for it.

Threads do not make Typst faster, processes do. A lone caller uses this process's compiler in its
own thread; a worker takes longer to start than most pages take, so it is started only when a queue
forms, and then stays. A worker is this Python running `compiler.py` by its path, with pipes for
pages and replies: neither a fork of the host, which has threads, nor a fresh import of the host's
main module, which can do anything.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from threading import Condition, Timer
from typing import Protocol

from ...domain.errors import MisuseError
from . import compiler

_QUEUE_FOR_A_WORKER = 2
_SECONDS_TO_START = 30.0
_SECONDS_TO_STOP = 2.0


class WorkerDied(Exception):
    """A worker's process ended, or never began to reply."""


class AnyCompiler(Protocol):
    """A compiler in this process or in another."""

    def compile(self, page: bytes) -> bytes:
        """The reply to a page, as `compiler.py` describes it."""
        ...


class CompilerPool:
    """Lends compilers to threads, one thread a compiler.

    `own` is this process's compiler, `start_worker` starts another; at most `max_workers` run.
    """

    def __init__(
        self, own: AnyCompiler, start_worker: Callable[[], Worker], max_workers: int
    ) -> None:
        self._own = own
        self._start_worker = start_worker
        self._workers_left = max_workers  # that may still be started
        self._waiting = 0
        self._closed = False
        self._free: list[AnyCompiler] = [own]
        self._changed = Condition()

    def compile(self, page: bytes) -> bytes:
        """The reply to a page.

        Raises:
            WorkerDied: two workers died of it.
            MisuseError: the pool is closed.
        """
        try:
            with self.lent() as one:
                return one.compile(page)
        except WorkerDied:  # it may have been killed from outside: once more, with another
            with self.lent() as one:
                return one.compile(page)

    @contextmanager
    def lent(self) -> Iterator[AnyCompiler]:
        """A compiler for one page. A worker is not lent again after an exception: its pipe may
        hold half a reply."""
        one = self._take()
        keep = one is self._own
        try:
            yield one
            keep = True
        finally:
            self._give_back(one, keep=keep)

    def close(self) -> None:
        """End the workers: those at work, when they are given back. Safe to call twice."""
        with self._changed:
            self._closed = True
            idle, self._free = self._free, []
            self._changed.notify_all()
        for one in idle:
            _end(one)

    def _take(self) -> AnyCompiler:
        while True:
            with self._changed:
                self._waiting += 1
                self._changed.wait_for(lambda: self._closed or self._free or self._wants_worker())
                self._waiting -= 1
                if self._closed:
                    message = "a courier renders from its start to its close"
                    raise MisuseError(f"the renderer is closed; {message}")
                if self._free:
                    return self._free.pop()
                self._workers_left -= 1
            try:
                return self._start_worker()
            except WorkerDied:  # this machine gives no processes: this one's compiler does all
                with self._changed:
                    self._workers_left = 0

    def _wants_worker(self) -> bool:
        others = self._waiting - 1
        return self._workers_left > 0 and others >= _QUEUE_FOR_A_WORKER

    def _give_back(self, one: AnyCompiler, *, keep: bool) -> None:
        with self._changed:
            keep = keep and not self._closed
            if keep:
                self._free.append(one)
            elif one is not self._own:
                self._workers_left += 1
            self._changed.notify()
        if not keep:
            _end(one)


def _end(one: AnyCompiler) -> None:
    if isinstance(one, Worker):
        one.close()


class Worker:
    """A compiler in a process of its own.

    Raises:
        WorkerDied: the process cannot be had.
    """

    def __init__(
        self,
        fonts: Sequence[str],
        command: Sequence[str] = (sys.executable, "-P", compiler.__file__),
    ) -> None:
        try:
            self._process = subprocess.Popen(
                [*command, *fonts],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                # The worker can import what the host can, however the host came by it.
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
        except OSError as error:
            raise WorkerDied(str(error)) from None
        assert self._process.stdin is not None and self._process.stdout is not None
        self._pages, self._replies = self._process.stdin, self._process.stdout
        limit = Timer(_SECONDS_TO_START, self._process.kill)
        limit.daemon = True
        limit.start()
        try:
            if self._read() != compiler.READY:
                raise WorkerDied("the worker's first words are not those of a compiler")
        except WorkerDied:
            self.close()
            raise
        finally:
            limit.cancel()

    def compile(self, page: bytes) -> bytes:
        """The reply to a page; WorkerDied if there is none."""
        try:
            compiler.write_frame(self._pages, page)
        except OSError as error:
            raise WorkerDied(str(error)) from None
        return self._read()

    @property
    def exit_code(self) -> int | None:
        """What the process ended with; None while it runs."""
        return self._process.poll()

    def close(self) -> None:
        """End the process: it stops when its pipe is closed, and is killed if it does not."""
        with suppress(OSError):  # the rest of a page may have no reader any more
            self._pages.close()
        try:
            self._process.wait(_SECONDS_TO_STOP)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._replies.close()

    def _read(self) -> bytes:
        reply = compiler.read_frame(self._replies)
        if reply is None:
            raise WorkerDied("the worker's process ended without a reply")
        return reply
