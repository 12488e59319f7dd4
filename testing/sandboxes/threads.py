"""A sandbox for code that is not asynchronous: it has a thread and an event loop of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TypeVar

from .server import Sandbox

AnySandbox = TypeVar("AnySandbox", bound=Sandbox)


@contextmanager
def sandbox_in_thread(sandbox: AnySandbox) -> Iterator[AnySandbox]:
    """Serve `sandbox` while the block runs: `with sandbox_in_thread(SprintoSandbox()) as sandbox:
    ...`.

    Its `url`, `control_url`, `received`, `requests`, `copies`, `use_faults` and `use_pace` may be
    used from any thread. Raises what starting it raises, such as OSError for a port that is taken.
    """
    started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def serve() -> None:
        async with sandbox:
            stop = asyncio.Event()
            started.set_result((asyncio.get_running_loop(), stop))
            await stop.wait()

    def run() -> None:
        try:
            asyncio.run(serve())
        except BaseException as error:
            if started.done():
                raise
            started.set_exception(error)

    thread = threading.Thread(target=run, name=f"{sandbox.provider} sandbox", daemon=True)
    thread.start()
    loop, stop = started.result()
    try:
        yield sandbox
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
