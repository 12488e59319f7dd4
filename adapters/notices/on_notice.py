"""A callable of the host's as a sink."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from attrs import field, frozen

from ...domain.notices import Notice


@frozen
class OnNotice:
    """Calls the host with each notice, in a thread; what it returns is awaited if it can be. The
    notice is taken once that has ended; if it raises it is called again, later. With `subjects` it
    is told whose uploads these are."""

    call: Callable[[Notice], object] = field(repr=False)
    name: str = "on_notice"
    subjects: bool = False

    def take(self, notice: Notice) -> None:
        """Call it."""
        answer = self.call(notice)
        if isinstance(answer, Awaitable):
            asyncio.run(_awaited(answer))


async def _awaited(answer: Awaitable[object]) -> None:
    await answer
