"""What `evidence-courier run --listen` serves: is it alive, is it ready, and its numbers."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from ...domain.errors import CourierError, MisuseError
from ..courier import AsyncCourier
from ..metrics import exposition

PATIENCE = 5.0
"""So many seconds has the database to answer a probe."""
_FORM = re.compile(r"(?:(?P<host>\[[^\]]+\]|[^:\[\]]*):)?(?P<port>\d{1,5})")
_NO_METRICS = 'there are no metrics: pip install "evidence-courier[prometheus]"\n'


class Probes:
    """Answers probes for one courier."""

    def __init__(self, courier: AsyncCourier) -> None:
        self._courier = courier
        self.state = "it has not started yet"
        """Why it is not ready; empty once it has started."""
        self._look: asyncio.Task[str] | None = None

    async def healthz(self, request: web.Request) -> web.Response:
        """Whoever is answered knows that the event loop runs."""
        return web.Response(text="alive\n")

    async def readyz(self, request: web.Request) -> web.Response:
        """Whether the courier has started and its database can be read."""
        why = self.state or await self._database()
        return web.Response(
            text=f"not ready: {why}\n" if why else "ready\n", status=503 if why else 200
        )

    async def metrics(self, request: web.Request) -> web.Response:
        """Its numbers, as Prometheus reads them."""
        if self.state:
            return web.Response(text=f"not ready: {self.state}\n", status=503)
        try:
            shown = await exposition(self._courier)
        except CourierError as error:
            return web.Response(text=f"{error}\n", status=503)
        if shown is None:
            return web.Response(text=_NO_METRICS, status=404)
        return web.Response(body=shown[1], headers={"Content-Type": shown[0]})

    async def _database(self) -> str:
        """Why the database cannot be read. However many ask, it is looked once at a time: a
        database that hangs takes one thread."""
        if self._look is None or self._look.done():
            self._look = asyncio.create_task(self._read())
        try:
            return await asyncio.wait_for(asyncio.shield(self._look), PATIENCE)
        except TimeoutError:
            return f"the database has not answered for {PATIENCE:g} seconds"

    async def _read(self) -> str:
        try:
            await self._courier.counts()
        except CourierError as error:
            return str(error)
        return ""


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
