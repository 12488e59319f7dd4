"""Reports of tenant files between two loads, so that a reload reads what has changed."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import define, field

from .block import Providers
from .references import References
from .report import Report
from .stamps import stamp_at


@define
class ReportCache:
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
        if report is None or stamp_at(file) != report.stamp:
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
        valid = [one.integration for one in self._reports.values() if one.integration is not None]
        self._used = {one.provider: providers.get(one.provider) for one in valid}
