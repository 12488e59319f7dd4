"""Telling a host's logger something without being hurt by it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator

from ...domain.pacing.gate import GateChange
from ...domain.upload.upload import UploadKey
from ...ports.logger import IntegrationBlocked, IntegrationPaused, LogEvent, Logger


def tell(logger: Logger, event: LogEvent) -> None:
    """Log an event. A logger's trouble is not the delivery's: it goes to the loop's exception
    handler, or where there is no loop to the standard library's `evidence_courier` logger."""
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


def news_of_gate(key: UploadKey, gate: GateChange) -> Iterator[LogEvent]:
    """What is to be told of a gate after an attempt or a look-up of that upload: a block, or
    else a pause, or nothing."""
    if gate.block is not None:
        yield IntegrationBlocked(key.tenant_id, key.provider, gate.block)
    elif gate.pause_until is not None:
        yield IntegrationPaused(key.tenant_id, key.provider, gate.pause_until)
