"""What `evidence-courier run --listen` serves: is it alive, is it ready, and its numbers."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

from aiohttp import web

from ...domain.errors import CourierError, MisuseError, StoreError
from ..courier import AsyncCourier
from ..metrics import exposition

T = TypeVar("T")

PATIENCE = 5.0
"""So many seconds has the database to answer a probe."""
SCRAPE_PATIENCE = 10.0
"""And so many to give the numbers: Prometheus waits as long, if it is not told otherwise."""
FRESH = 1.0
"""An answer is given again for so many seconds."""
_FORM = re.compile(r"(?:(?P<host>\[[^\]]+\]|[^:\[\]]*):)?(?P<port>\d{1,5})")
_NO_METRICS = 'there are no metrics: pip install "evidence-courier[prometheus]"\n'


class Look(Generic[T]):
    """A look at the database, one at a time: all who ask wait for the same one, so a database that
    hangs takes one thread."""

    def __init__(self, read: Callable[[], Awaitable[T]], patience: float) -> None:
        self._read = read
        self._patience = patience
        self._task: asyncio.Task[T] | None = None
        self._stale_at = 0.0

    async def answer(self) -> T:
        """What it gives. StoreError if it gives nothing in time."""
        loop = asyncio.get_running_loop()
        if self._task is None or (self._task.done() and loop.time() >= self._stale_at):
            self._task = loop.create_task(self._fresh())
        try:
            return await asyncio.wait_for(asyncio.shield(self._task), self._patience)
        except TimeoutError:
            text = f"the database has not answered for {self._patience:g} seconds"
            raise StoreError(text) from None

    async def _fresh(self) -> T:
        try:
            return await self._read()
        finally:
            self._stale_at = asyncio.get_running_loop().time() + FRESH


class Probes:
    """Answers probes for one courier."""

    def __init__(self, courier: AsyncCourier) -> None:
        self.state = "it has not started yet"
        """Why it is not ready; empty once it has started."""
        self._counts = Look(courier.counts, PATIENCE)
        self._numbers = Look(lambda: exposition(courier), SCRAPE_PATIENCE)

    async def healthz(self, request: web.Request) -> web.Response:
        """Whoever is answered knows that the event loop runs."""
        return web.Response(text="alive\n")

    async def readyz(self, request: web.Request) -> web.Response:
        """Whether the courier has started and its database can be read."""
        if self.state:
            return _not_ready(self.state)
        try:
            await self._counts.answer()
        except CourierError as error:
            return _not_ready(str(error))
        return web.Response(text="ready\n")

    async def metrics(self, request: web.Request) -> web.Response:
        """Its numbers, as Prometheus reads them."""
        if self.state:
            return _not_ready(self.state)
        try:
            shown = await self._numbers.answer()
        except CourierError as error:
            return web.Response(text=f"{error}\n", status=503)
        if shown is None:
            return web.Response(text=_NO_METRICS, status=404)
        return web.Response(body=shown[1], headers={"Content-Type": shown[0]})


def _not_ready(why: str) -> web.Response:
    return web.Response(text=f"not ready: {why}\n", status=503)


@asynccontextmanager
async def listening(where: str, probes: Probes) -> AsyncIterator[str]:
    """Serve the probes; gives the URL. MisuseError if that address cannot be had."""
    host, port = address_of(where)
    app = web.Application()
    app.add_routes(
        [
            web.get("/healthz", probes.healthz),
            web.get("/readyz", probes.readyz),
            web.get("/metrics", probes.metrics),
        ]
    )
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except (OSError, OverflowError) as error:
            number = getattr(error, "errno", None) or 0
            words = os.strerror(number) if number > 0 else getattr(error, "strerror", error)
            raise MisuseError(
                f"--listen {where}: the address cannot be had: {words}; stop what listens there, "
                "or name another port"
            ) from error
        shown = f"[{host}]" if ":" in host else host
        yield f"http://{shown}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def address_of(where: str) -> tuple[str, int]:
    """The host and the port of ``HOST:PORT``; without a host it is loopback."""
    found = _FORM.fullmatch(where)
    if found is None or int(found["port"]) > 65535:
        raise MisuseError(f"--listen is HOST:PORT, as 127.0.0.1:9464, not {where!r}")
    return (found["host"] or "127.0.0.1").strip("[]"), int(found["port"])
