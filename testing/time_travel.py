"""Letting the days of a courier pass in milliseconds."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Protocol

from ..adapters.engines.tickets import Ticket
from ..domain.upload.status import UploadStatus
from .clock import FakeClock


class Quiet(Protocol):
    """A courier that tells when nothing is under way."""

    def quiet(self) -> Awaitable[None]:
        """Return once whatever is open waits for a moment that has not come."""
        ...


async def until_settled(
    courier: Quiet, clock: FakeClock, *tickets: Ticket
) -> list[UploadStatus | None]:
    """Move the clock from one due moment to the next until every ticket is settled; what each
    settled to.

    The clock never jumps while something is under way, so an attempt takes no time on it.
    """
    settled = [asyncio.ensure_future(ticket.settled()) for ticket in tickets]
    try:
        while True:
            await courier.quiet()
            if all(one.done() for one in settled):
                return [await one for one in settled]
            wake = clock.next_wake()
            assert wake is not None, (
                "nothing is under way, nothing is due, and not every ticket is settled"
            )
            clock.set(wake)
            await asyncio.sleep(0)
    finally:
        for one in settled:
            one.cancel()
