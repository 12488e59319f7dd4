"""Tells one sink, in a thread of its own, so that one that hangs stops nothing else."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence

from ...ports.notices import Sink, WaitingNotice
from .webhook import NotTakenError


class SinkTeller:
    """The `Teller` of one sink."""

    def __init__(self, sink: Sink) -> None:
        self.name = sink.name
        self._sink = sink
        self._thread: threading.Thread | None = None
        self._results: dict[int, str | None] = {}
        self._lock = threading.Lock()
        self._ends = False

    @property
    def is_free(self) -> bool:
        """Whether it has told everything that it was given; in a forked child it has."""
        return self._thread is None or not self._thread.is_alive()

    def tell(self, notices: Sequence[WaitingNotice], wait: float) -> None:
        """Tell these one after the other, up to the first that is not taken."""
        self._thread = threading.Thread(
            target=self._tell, args=[notices], name="evidence-courier-notices", daemon=True
        )
        self._thread.start()
        self._thread.join(wait)

    def end(self, wait: float) -> None:
        """Begin with no other notice, and wait so many seconds for the one that is being told."""
        self._ends = True
        if self._thread is not None:
            self._thread.join(wait)

    def results(self) -> Mapping[int, str | None]:
        """Of what was told since the last call: None, or why the sink has not taken it. What came
        behind one that was not taken was not told, and is not among them."""
        with self._lock:
            found, self._results = self._results, {}
        return found

    def _tell(self, notices: Sequence[WaitingNotice]) -> None:
        for one in notices:
            if self._ends:
                return
            refused = self._refusal(one)
            with self._lock:
                self._results[one.number] = refused
            if refused is not None:
                return

    def _refusal(self, waiting: WaitingNotice) -> str | None:
        try:
            self._sink.take(waiting.notice)
        except NotTakenError as error:
            return str(error)
        except BaseException as error:  # a host's callable; what it says may have a secret in it
            return type(error).__name__
        return None
