"""Several loggers as one."""

from __future__ import annotations

from ..ports.logger import Choosing, LogEvent, Logger


class FanOut:
    """`Logger` that tells each of several loggers, in their order: one that writes and one that
    counts, for instance.

    What one of them raises keeps no other from being told, be it an interruption. Then that is
    raised: an interruption, or else the first; the courier counts it in its health.
    """

    def __init__(self, *loggers: Logger) -> None:
        self.loggers = loggers
        # A protocol is slow to ask for, and events are many.
        self._wants = [
            logger.wants if isinstance(logger, Choosing) else _everything for logger in loggers
        ]

    def wants(self, event: LogEvent) -> bool:
        """Whether one of them wants it, or raises: then `log` raises that as well."""
        try:
            return any(wants(event) for wants in self._wants)
        except BaseException:
            return True

    def log(self, event: LogEvent) -> None:
        """Tell each that wants it."""
        errors: list[BaseException] = []
        for logger, wants in zip(self.loggers, self._wants, strict=True):
            try:
                if wants(event):
                    logger.log(event)
            except BaseException as error:
                errors.append(error)
        if errors:
            raise next((one for one in errors if not isinstance(one, Exception)), errors[0])


def _everything(event: LogEvent) -> bool:
    return True
