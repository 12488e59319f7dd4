"""What `evidence-courier run --listen` serves: is it alive, is it ready, and its numbers."""

from __future__ import annotations

import asyncio
import errno
import os
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Generic, TypeVar

from aiohttp import web

from ...domain.errors import CourierError, MisuseError, StoreError
from ..courier import AsyncCourier
from ..metrics import exposition

T = TypeVar("T")

PATIENCE = 5.0
"""How many seconds the database has to answer a probe."""
SCRAPE_PATIENCE = 10.0
"""And how many to give the numbers: by default Prometheus waits as long."""
FRESH = 1.0
"""How many seconds an answer is given again."""
CONNECTIONS = 100
"""How many connections may be open; beyond, the oldest are closed."""
LIFE = 15.0
"""How many seconds a connection may last; it is closed before twice as many have passed."""
_FORM = re.compile(r"(?:(?P<host>\[[^\]]+\]|[^:\[\]]*):)?(?P<port>\d{1,5})")
_ADVICE = {
    errno.EADDRINUSE: "stop what listens there, or name another port",
    errno.EADDRNOTAVAIL: "name an address of this machine, or 0.0.0.0 for all of them",
    errno.EACCES: "name a port of 1024 or more, or give this process the right to a lower one",
}
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
        """An answer says that the event loop runs."""
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


class Connections:
    """Makes the protocols of a server's connections, and closes those that are too many or too old:
    a client that is silent, or sends half a request, takes no file of the process for long."""

    def __init__(self, server: web.Server) -> None:
        self._server = server

    def __call__(self) -> asyncio.BaseProtocol:
        """The protocol of a new connection."""
        taken = self._server.connections
        for oldest in taken[: max(0, len(taken) + 1 - CONNECTIONS)]:
            oldest.force_close()
        return self._server()

    async def close_the_old(self) -> None:
        """Go on until it is cancelled."""
        before = set[web.RequestHandler]()
        while True:
            await asyncio.sleep(LIFE)
            now = {*self._server.connections}
            for old in before & now:
                old.force_close()
            before = now


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
    app.on_response_prepare.append(_end_the_connection)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    loop = asyncio.get_running_loop()
    async with AsyncExitStack() as stack:
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        assert runner.server is not None  # since setup()
        connections = Connections(runner.server)
        try:
            server = await loop.create_server(connections, host, port)
        except OSError as error:
            raise MisuseError(
                f"--listen {where}: the address cannot be had: {_advice_on(error)}"
            ) from error
        stack.callback(server.close)
        closing = loop.create_task(connections.close_the_old())
        stack.callback(closing.cancel)
        shown = f"[{host}]" if ":" in host else host
        yield f"http://{shown}:{server.sockets[0].getsockname()[1]}"


def _advice_on(error: OSError) -> str:
    """What the system says, and what to do about it."""
    if isinstance(error, socket.gaierror):
        return f"{error.strerror}; name an address of this machine, or 0.0.0.0 for all of them"
    # Since Python 3.12 asyncio gives no number if it could bind none of the host's addresses.
    number = error.errno or errno.EADDRNOTAVAIL
    return f"{os.strerror(number)}; {_ADVICE.get(number, 'name another address')}"


async def _end_the_connection(request: web.BaseRequest, response: web.StreamResponse) -> None:
    response.force_close()


def address_of(where: str) -> tuple[str, int]:
    """The host and the port of ``[HOST:]PORT``; without a host it is loopback."""
    found = _FORM.fullmatch(where)
    if found is None or int(found["port"]) > 65535:
        raise MisuseError(
            "--listen is [HOST:]PORT, as 9464 or 127.0.0.1:9464, and the port at most 65535; not "
            f"{where!r}"
        )
    return (found["host"] or "127.0.0.1").strip("[]"), int(found["port"])
