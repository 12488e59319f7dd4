"""What is kept of tenant files between two loads, so that a reload reads what has changed."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping

from attrs import define, field

from .block import Providers
from .references import References
from .report import Report, Stamp

_SETTLED_AFTER = 2_000_000_000
"""Nanoseconds: the coarsest clock of a file system in use is FAT's, of two seconds."""


def stamp_of(found: os.stat_result, *, settled: bool = False) -> Stamp | None:
    """A file's stamp; None if it must be `settled`, and a change after this moment could leave it
    the same: the clock of the file system may stand for a while, and that of its machine may be
    ahead."""
    times = (found.st_mtime_ns, found.st_ctime_ns)
    if settled and max(times) + _SETTLED_AFTER > time.time_ns():
        return None
    return (*times, found.st_size, found.st_ino, found.st_dev)


@define
class KeptFiles:
    """The reports of the last load by their files; what is asked for is used if it is still right.

    It is if the file is the same and each reference is resolved to what it was. A report with a
    problem is not kept, as its problem may be elsewhere; nor is one with a bundle of certificates,
    whose content may change.
    """

    _reports: dict[str, Report] = field(factory=dict, init=False, repr=False)
    _block: tuple[str, ...] = field(default=(), init=False)
    _used: dict[str, object] = field(factory=dict, init=False, repr=False)
    """The providers of the kept reports, by name; to ask for others would load them."""

    def begin(self, block: tuple[str, ...], providers: Providers) -> None:
        """Forget all if other settings would be read from the same files."""
        same = all(providers.get(name) is provider for name, provider in self._used.items())
        if block != self._block or not same:
            self._reports, self._block = {}, block

    def find(self, file: str, references: References) -> Report | None:
        """The report of a file, unless it must be read."""
        report = self._reports.get(file)
        try:
            if report is None or stamp_of(os.stat(file)) != report.stamp:
                return None
        except OSError:
            return None
        for name, was in report.answers.items():
            if references.answer(name) != was:
                return None
        return report

    def keep(self, reports: Mapping[str, Report], providers: Providers) -> None:
        """Keep those of a load that can be used again."""
        self._reports = {
            file: report
            for file, report in reports.items()
            if report.stamp is not None
            and not report.notes
            and (report.integration is None or report.integration.route.ca_bundle is None)
        }
        kept = [report.integration for report in self._reports.values()]
        self._used = {one.provider: providers.get(one.provider) for one in kept if one is not None}
