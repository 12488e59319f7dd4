"""Who renders next: one press here, and workers when a queue forms.

A lone caller uses the press in this process, in its own thread. A worker is started only while
others are already waiting, since its start takes longer than many a render; once it runs it is
kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Condition

from ...domain.errors import MisuseError
from .workers import Answering, Worker, WorkerDied

_QUEUE_THAT_HIRES = 2


class Bench:
    """Lends presses to threads, one thread a press. `hire` starts a worker; at most `most` of
    them run."""

    def __init__(self, own: Answering, hire: Callable[[], Worker], most: int) -> None:
        self._own = own
        self._hire = hire
        self._most = most
        self._hired = 0
        self._waiting = 0
        self._closed = False
        self._free: list[Answering] = [own]
        self._changed = Condition()

    def answer(self, job: bytes) -> bytes:
        """The reply to a job. WorkerDied where two workers died of it, MisuseError once the
        bench is closed."""
        try:
            with self.lent() as press:
                return press.answer(job)
        except WorkerDied:  # killed from outside, perhaps: once more, with another
            with self.lent() as press:
                return press.answer(job)

    @contextmanager
    def lent(self) -> Iterator[Answering]:
        """A press for one job. A worker inside whose loan anything is raised is not lent again:
        its pipe may hold half a reply."""
        press = self._take()
        try:
            yield press
        except BaseException:
            self._give_back(press, again=press is self._own)
            raise
        self._give_back(press, again=True)

    def close(self) -> None:
        """End the workers; those that are at work end when they are given back. Safe to call
        twice."""
        with self._changed:
            self._closed = True
            idle, self._free = self._free, []
            self._changed.notify_all()
        for press in idle:
            self._end(press)

    def _take(self) -> Answering:
        while True:
            with self._changed:
                while not self._closed and not self._free and not self._may_hire():
                    self._waiting += 1
                    self._changed.wait()
                    self._waiting -= 1
                if self._closed:
                    raise MisuseError(
                        "the renderer is closed; a courier renders from its start to its close"
                    )
                if self._free:
                    return self._free.pop()
                self._hired += 1
            try:
                return self._hire()
            except WorkerDied:
                with self._changed:  # none can be had on this machine: the press here does all
                    self._hired -= 1
                    self._most = 0

    def _may_hire(self) -> bool:
        return self._hired < self._most and self._waiting >= _QUEUE_THAT_HIRES

    def _give_back(self, press: Answering, *, again: bool) -> None:
        with self._changed:
            keep = again and not self._closed
            if keep:
                self._free.append(press)
            elif press is not self._own:
                self._hired -= 1
            self._changed.notify()
        if not keep:
            self._end(press)

    def _end(self, press: Answering) -> None:
        if isinstance(press, Worker):
            press.close()
