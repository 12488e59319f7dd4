"""A blocking transport for tests: an asynchronous one on an event loop in a thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from functools import cache
from typing import Any, TypeVar

from evidence_courier.domain.integration import Route
from evidence_courier.ports.dialogue import HttpRequest, HttpResponse, TransportFailure
from evidence_courier.ports.transport import AsyncTransport

T = TypeVar("T")


@cache
def _loop() -> asyncio.AbstractEventLoop:
    """One loop for all of them, which outlives their servers and so sees every line end."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    return loop


class BridgedTransport:
    """A `BlockingTransport` that has another transport do the work."""

    def __init__(self, make: Callable[[], AsyncTransport]) -> None:
        self._inner = self._run(self._made(make))

    async def _made(self, make: Callable[[], AsyncTransport]) -> AsyncTransport:
        return make()

    def _run(self, story: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(story, _loop()).result()

    def send(self, request: HttpRequest, route: Route) -> HttpResponse | TransportFailure:
        return self._run(self._inner.send(request, route))

    def close(self) -> None:
        self._run(self._inner.close())
