"""Telling a host's logger something without being hurt by it."""

from __future__ import annotations

import asyncio

from ...ports.logger import LogEvent, Logger


def tell(logger: Logger, event: LogEvent) -> None:
    """Log an event. A logger's trouble is not the delivery's: it goes to the loop's exception handler."""
    try:
        logger.log(event)
    except Exception as error:
        asyncio.get_running_loop().call_exception_handler(
            {"message": "evidence-courier: the logger raised", "exception": error}
        )
