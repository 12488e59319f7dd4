"""Tells one sink, in a thread of its own, so that one that hangs stops nothing else."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence

from ...domain.telling import WaitingNotice, next_to_tell
from ...ports.notices import Sink
from ..engines.closing import Listener
from .webhook import NotTakenError

MOST_HANGING = 3
"""The most threads that are left behind in a sink that hangs; then no other one begins."""

LONGEST = 60.0
"""How many seconds after its first notice a thread begins with another; then a courier looks what
was taken."""

_HANGS = "it hangs: it has neither taken a notice nor refused it"


class SinkTeller:
    """The `Teller` of one sink, which it tells for `longest` seconds at a time."""

    def __init__(self, sink: Sink, longest: float = LONGEST) -> None:
        self.name = sink.name
        self.names_subjects = getattr(sink, "subjects", False) is True
        self._sink, self._longest = sink, longest
        self._thread: threading.Thread | None = None
        self._hanging: list[threading.Thread] = []
        self._telling: list[int] = []
        self._results: dict[int, str | None] = {}
        self._lock = threading.Lock()
        self._ends = False
        self._listener = Listener()

    @property
    def is_free(self) -> bool:
        """Whether it can be given something to tell; in a forked child it can."""
        hanging = sum(one.is_alive() for one in self._hanging)
        return not _is_alive(self._thread) and hanging < MOST_HANGING

    def tell(self, notices: Sequence[WaitingNotice]) -> None:
        """Begin to tell these one after the other, up to one that would come too late, or until the
        sink seems to be down."""
        self._hanging = [one for one in self._hanging if one.is_alive()]
        self._listener = Listener()
        given = notices, self._listener
        self._thread = threading.Thread(
            target=self._tell, args=given, name="evidence-courier-notices", daemon=True
        )
        self._thread.start()

    def wait(self, seconds: float) -> None:
        """Wait for the end of the telling; what takes longer goes on."""
        if self._thread is not None:
            self._thread.join(seconds)

    def give_up(self) -> None:
        """The sink hangs: the notice that it is being told has not been taken. If it takes it after
        all, nothing hears of that."""
        with self._lock:
            if _is_alive(self._thread):
                assert self._thread is not None
                self._hanging.append(self._thread)
                self._thread = None
                self._results |= dict.fromkeys(self._telling, _HANGS)

    def end(self, wait: float) -> None:
        """Begin with no other notice, and wait `wait` seconds for the one that is being told."""
        self._ends = True
        waits = self._listener.closes.done()  # for this close
        if self._thread is not None and not waits:
            self._thread.join(wait)

    def results(self) -> Mapping[int, str | None]:
        """Of what was told since the last call: None, or why the sink has not taken it."""
        with self._lock:
            found, self._results = self._results, {}
        return found

    def _tell(self, notices: Sequence[WaitingNotice], listener: Listener) -> None:
        until, taken = time.monotonic() + self._longest, dict[int, bool]()
        while not self._ends and (one := next_to_tell(notices, taken)) is not None:
            if not self._tell_one(one, listener, taken) or time.monotonic() >= until:
                return

    def _tell_one(self, waiting: WaitingNotice, listener: Listener, taken: dict[int, bool]) -> bool:
        """Tell it, and note whether it was taken; whether the next may be told."""
        mine = threading.current_thread()
        self._telling = [waiting.number]
        with listener.call():
            refused = self._refusal(waiting)
        with self._lock:
            if self._thread is not mine:
                return False
            self._results[waiting.number] = refused
        taken[waiting.number] = refused is None
        return True

    def _refusal(self, waiting: WaitingNotice) -> str | None:
        try:
            self._sink.take(waiting.notice)
        except NotTakenError as error:
            return str(error)
        except BaseException as error:  # a host's callable; what it says may have a secret in it
            return type(error).__name__
        return None


def _is_alive(thread: threading.Thread | None) -> bool:
    return thread is not None and thread.is_alive()
