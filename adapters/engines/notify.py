"""Telling a host what happens, without being hurt by it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from attrs import define

from ...ports.logger import LogEvent, Logger
from .interruptions import hosts_own


@define
class Notifier:
    """Tells one host's logger. `failures` counts what its listeners have raised.

    What a listener raises changes nothing, unless it `goes_on`: a keyboard's or a signal's
    exception, for instance, is not the listener's.
    """

    logger: Logger
    goes_on: Callable[[BaseException], bool] = hosts_own
    failures: int = 0

    def log(self, event: LogEvent) -> None:
        """Log an event."""
        try:
            self.logger.log(event)
        except BaseException as error:
            self.failed("the logger", error)

    def failed(self, listener: str, error: BaseException) -> None:
        """A listener has raised: count it and say so, or raise it if it goes on."""
        if self.goes_on(error):
            raise error
        self.failures += 1
        try:
            _report(f"evidence-courier: {listener} raised", error)
        except BaseException as again:  # what reports it may be the listener that raises
            if self.goes_on(again):
                raise


def _report(what: str, error: BaseException) -> None:
    """To the loop's exception handler, or without a loop to the logger `evidence_courier`."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        logging.getLogger("evidence_courier").error(what, exc_info=error)
    else:
        loop.call_exception_handler({"message": what, "exception": error})


def tell(logger: Logger, event: LogEvent) -> None:
    """Log one event outside of an engine."""
    Notifier(logger).log(event)
