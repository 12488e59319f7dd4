"""What a courier passes over because its record cannot be read: other hands wrote it.

Such a record is left as it is, and named in the log once. What stands behind it in its line goes
on. Once somebody has mended it, it is adopted as anything else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Sequence
from datetime import datetime

from attrs import define, field

from ..domain.upload.upload import UploadKey
from ..ports.logger import RecordUnreadable
from .backlog import Line
from .effects import Notify, Read, Turn, perform


@define
class PassedOver:
    """The uploads of each line that were asked for and not given. `logged` are those that this
    courier has named in the log."""

    _logged: set[UploadKey]
    _has_news: bool = field(default=False, init=False)
    _lines: dict[UploadKey, Line] = field(factory=dict, init=False)

    def __contains__(self, key: UploadKey) -> bool:
        return key in self._lines

    def most(self, lines: Iterable[Line]) -> int:
        """How many there are of one of these lines, at most."""
        of_each = Counter(self._lines.values())
        return max((of_each[line] for line in lines), default=0)

    def add(self, line: Line, asked: Sequence[UploadKey], given: Container[UploadKey]) -> bool:
        """Pass over what was asked for of a line and was not given; whether there is any."""
        missing = [key for key in asked if key not in given]
        self._lines |= dict.fromkeys(missing, line)
        self._has_news = self._has_news or bool(missing)
        return bool(missing)

    def log_missing(self, now: datetime) -> Turn[None]:
        """Log those that were not given since it was logged last, if there are any."""
        if self._has_news:
            yield from self.log_new(now)

    def log_new(self, now: datetime) -> Turn[None]:
        """Log those that are new. What was mended is passed over no more; nor is what was not given
        because it was deleted."""
        self._has_news = False
        found = yield from perform(Read(lambda store: store.unreadable()))
        for key in [key for key in found if key not in self._logged]:
            yield from perform(Notify(RecordUnreadable(key, found[key].reason)))
        self._logged.intersection_update(found)
        self._logged.update(found)
        for key in self._lines.keys() - found.keys():
            del self._lines[key]
