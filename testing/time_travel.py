"""Letting the days of a courier pass in milliseconds."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from datetime import datetime
from typing import Protocol

from ..adapters.engines.tickets import Ticket
from ..domain.upload.status import UploadStatus
from .clock import FakeClock


class Quiet(Protocol):
    """A courier that tells when nothing is under way."""

    def quiet(self) -> Awaitable[datetime | None]:
        """When the next upload goes on by itself, once every open one waits for a moment in the
        future."""
        ...


async def until_settled(
    courier: Quiet, clock: FakeClock, *tickets: Ticket
) -> list[UploadStatus | None]:
    """Move the clock from one due moment to the next until every ticket is settled.

    The clock never moves while a request is under way, so an attempt takes no time on it.

    Args:
        courier: The courier, on this event loop.
        clock: The courier's clock.
        tickets: What to wait for.

    Returns:
        The status of each upload; None for a tenant without an integration.

    Raises:
        AssertionError: A ticket is open, and no upload will ever go on.
    """
    settled = [asyncio.ensure_future(ticket.settled()) for ticket in tickets]
    planned: datetime | None = None
    try:
        while True:
            due = await courier.quiet()
            if all(one.done() for one in settled):
                return [await one for one in settled]
            wake = clock.next_wake()
            assert wake is not None, (
                "nothing is under way, nothing is due, and not every ticket is settled"
            )
            # A courier wakes every few seconds to look round: if nothing came of it, and nothing
            # else sleeps, it need not do so again before it goes on.
            if due is not None and due == planned and len(clock.wakes()) == 1:
                wake = max(wake, due)
            planned = due
            clock.set(wake)
            await asyncio.sleep(0)
    finally:
        for one in settled:
            one.cancel()
