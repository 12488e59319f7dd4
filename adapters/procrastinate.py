"""Procrastinate starts the delivery of what is due: a tick each second, on any number of workers.

The records are the jobs, so Procrastinate has one task, which is queued at most once: a worker that
is free takes the tick, works for `until` seconds at most, and the next tick is for another one.
There is no retry, as the next tick is one; and no lock, as workers share what is due.
"""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from procrastinate import App
from procrastinate.app import WorkerOptions
from procrastinate.tasks import Task

from ..domain.arguments import number_of_seconds

QUEUE = "evidence_courier"
EACH_SECOND = "* * * * * *"
"""In croniter's notation, whose sixth field is the second."""


class Delivers(Protocol):
    """An `AsyncCourier` with ``background=False``; its first tick starts it."""

    async def deliver_due(self, until: float = ...) -> object:
        """Deliver what is due, for at most `until` seconds."""
        ...

    async def close(self, grace: float = ...) -> None:
        """End what is under way, and close everything."""
        ...


def worker_options(queue: str = QUEUE) -> WorkerOptions:
    """How a worker is to run: ``app.run_worker(**worker_options())``, or as options of its command.
    Jobs that have ended are removed: a day has 86,400 ticks."""
    return {"queues": [queue], "concurrency": 1, "delete_jobs": "always"}


def deliver_each_second(
    app: App, courier: Delivers, *, until: float = 20.0, queue: str = QUEUE
) -> Task[Any, Any, Any]:
    """Register the task that delivers what is due, each second.

    Args:
        app: The host's; its worker should have `worker_options`.
        courier: Delivers; the host need not start it.
        until: How many seconds a tick works at most.
        queue: The task's queue, and its queueing lock.

    Returns:
        The task, for a host that defers it after a commit so as not to wait for the tick.

    Raises:
        MisuseError: `until` is no number of seconds, or negative.
    """

    number_of_seconds("until", until, at_least_0=True)
    open_couriers: list[asyncio.Task[None]] = []

    @app.periodic(  # pyright: ignore[reportArgumentType]  # a host defers it without a moment
        cron=EACH_SECOND, periodic_id=queue
    )
    @app.task(name=f"{queue}.deliver_due", queue=queue, queueing_lock=queue)
    async def deliver_due(timestamp: int | None = None) -> None:
        if not open_couriers:
            open_couriers.append(asyncio.create_task(_closed_in_the_end(courier)))
        await courier.deliver_due(until)

    return deliver_due


async def _closed_in_the_end(courier: Delivers) -> None:
    """Close the courier when its worker ends, which cancels what is left on its loop."""
    try:
        await asyncio.Event().wait()
    finally:
        await courier.close(grace=0.0)  # each call has given its own
