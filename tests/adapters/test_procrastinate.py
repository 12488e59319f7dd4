"""The task that Procrastinate runs each second: queued at most once, and never retried."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
from procrastinate import App
from procrastinate.exceptions import AlreadyEnqueued
from procrastinate.testing import InMemoryConnector
from store_fixtures import House, evidence

from evidence_courier import MisuseError
from evidence_courier.adapters.procrastinate import (
    EACH_SECOND,
    QUEUE,
    deliver_each_second,
    worker_options,
)


class Counting:
    """A courier that counts its calls."""

    def __init__(self) -> None:
        self.calls: list[float] = []
        self.closed = False

    async def deliver_due(self, until: float = 20.0) -> None:
        self.calls.append(until)

    async def close(self, grace: float = 10.0) -> None:
        self.closed = True


def test_a_time_that_is_no_number_is_refused_when_the_task_is_registered() -> None:
    app = App(connector=InMemoryConnector())
    with pytest.raises(MisuseError, match="until must be a number of seconds, not timedelta"):
        deliver_each_second(app, Counting(), until=timedelta(seconds=20))  # type: ignore[arg-type]


async def run_worker(app: App) -> None:
    """A worker that ends when nothing is queued."""
    options = worker_options() | {"wait": False, "install_signal_handlers": False}
    await app.run_worker_async(**options)


def test_it_has_a_queueing_lock_and_neither_lock_nor_retry() -> None:
    app = App(connector=InMemoryConnector())
    task = deliver_each_second(app, Counting())
    (periodic,) = app.periodic_registry.periodic_tasks.values()
    assert (periodic.task, periodic.cron) == (task, EACH_SECOND)
    assert (task.queue, task.queueing_lock, task.lock) == (QUEUE, QUEUE, None)
    assert task.retry_strategy is None


def test_the_worker_has_one_job_at_a_time_and_keeps_none() -> None:
    options = worker_options("deliveries")
    assert options == {"queues": ["deliveries"], "concurrency": 1, "delete_jobs": "always"}


def test_a_job_delivers_for_so_long_and_is_gone() -> None:
    connector = InMemoryConnector()
    app, courier = App(connector=connector), Counting()
    task = deliver_each_second(app, courier, until=7.0)

    async def story() -> None:
        async with app.open_async():
            await task.defer_async()
            with pytest.raises(AlreadyEnqueued):  # a host that does not wait for the tick
                await task.defer_async()
            await run_worker(app)

    asyncio.run(story())
    assert (courier.calls, courier.closed) == ([7.0], True)  # closed with the worker's loop
    assert connector.jobs == {}


def test_the_first_job_starts_the_courier(tmp_path: Path) -> None:
    house = House(tmp_path / "courier.db")
    app = App(connector=InMemoryConnector())
    courier = house.courier(background=False)
    task = deliver_each_second(app, courier)

    async def story() -> None:
        async with house.courier(background=False) as host:
            await host.submit(evidence()).recorded()
        async with app.open_async():
            await task.defer_async()
            await run_worker(app)

    asyncio.run(story())
    assert [name for name, _ in house.server.held] == ["ev-1"]
