"""Notices: what a person must know, kept until each sink has taken it, and the sinks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol, runtime_checkable

from ..domain.notices import News, Notice, Standing
from ..domain.telling import PutBack, WaitingNotice

MAX_WAITING = 1_000
"""The most notices that wait for one sink; of more, the oldest half becomes one summary."""

MAX_WAIT = timedelta(minutes=10)
"""No notice waits for longer after it was refused: what is due later is due at once, as the clock
was set back."""


class Notices(Protocol):
    """The notices of a store. Transactions and errors are those of `UploadRecords`."""

    def standing(self, now: datetime) -> tuple[Standing, Mapping[str, str]]:
        """How all uploads stand, and what was noted, at one moment. Writes nothing."""
        ...

    def looked(self) -> bool:
        """Whether anything was noted: a courier has looked before. Writes nothing."""
        ...

    def note(self, now: datetime, sinks: Sequence[str], news: News, seen: Mapping[str, str]) -> int:
        """Write what follows from `seen`, the notes of `standing`: the new notes, and each notice
        once for each sink. Nothing is written if the notes are others by now: another courier has
        looked meanwhile.

        At most MAX_WAITING wait for a sink; of more, a summary takes the place of all but the
        newest MAX_WAITING // 2 (`summary_of`).

        Returns:
            How many notices were written.
        """
        ...

    def claim(
        self, sink: str, now: datetime, until: datetime, limit: int
    ) -> Sequence[WaitingNotice]:
        """The first of the notices that wait for a sink and are due (`in_turn`); one that is due
        after MAX_WAIT is. They are due again at `until`: before, no caller is given any of the
        sink's, so one courier at a time tells it."""
        ...

    def notices_taken(self, sink: str, numbers: Sequence[int], now: datetime) -> None:
        """The sink has taken these: they are removed. Of those that it has refused since it took
        one, it is known now whose fault that is (`blamed`). All that no courier has claimed are due
        now, but for those that were refused by their own fault."""
        ...

    def put_back(self, until: datetime, again: Sequence[PutBack]) -> None:
        """Of those that were claimed until `until`, the sink has refused these, or was not told
        them: they wait again. Not those that another courier has claimed since."""
        ...


@runtime_checkable
class Sink(Protocol):
    """What takes notices, such as a webhook.

    `name` tells it from others: what waits for it waits under this name, on every courier. It must
    not contain a secret. A sink whose attribute `subjects` is True is given notices that name the
    subjects; one without that attribute is not.
    """

    @property
    def name(self) -> str:
        """Which one it is."""
        ...

    def take(self, notice: Notice) -> None:
        """Take a notice, in a thread of its own that may block. If this raises it is sent again,
        later; so one may come twice, with the same `id`."""
        ...
