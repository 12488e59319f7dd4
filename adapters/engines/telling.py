"""Telling a host's logger something without being hurt by it."""

from __future__ import annotations

import asyncio
import logging

from ...ports.logger import LogEvent, Logger


def tell(logger: Logger, event: LogEvent) -> None:
    """Log an event. A logger's trouble is not the delivery's: it goes to the loop's exception handler, or where there is no loop to the standard
    library's `evidence_courier` logger."""
    try:
        logger.log(event)
    except Exception as error:
        what = "evidence-courier: the logger raised"
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            logging.getLogger("evidence_courier").error(what, exc_info=error)
        else:
            loop.call_exception_handler({"message": what, "exception": error})
