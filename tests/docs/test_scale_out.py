"""The code on the page about several machines runs, as far as its libraries are installed."""

from __future__ import annotations

import ast
import asyncio
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from postgres_server import server
from store_fixtures import evidence

from evidence_courier import AsyncCourier, Courier
from evidence_courier.testing import Fakes, tenant

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "scale-out.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))


def code_of(title: str) -> str:
    (code,) = re.findall(r"^```python\n(.*?)^```", SECTIONS[title], re.MULTILINE | re.DOTALL)
    return str(code)


class Called:
    """A courier that counts its calls."""

    def __init__(self) -> None:
        self.calls: list[float] = []

    def deliver_due(self, until: float) -> None:
        self.calls.append(until)


class CalledAsync(Called):
    async def deliver_due(self, until: float) -> None:  # type: ignore[override]
        self.calls.append(until)


def test_what_a_host_records_is_delivered_by_a_call() -> None:
    fakes: Any = Fakes()
    dsn = server().new_database()
    server().execute("CREATE TABLE trainings (id text PRIMARY KEY)", dsn)

    class Built:
        @staticmethod
        def from_config(folder: str, database: str, background: bool) -> AsyncCourier:
            assert not background
            ports: Any = {**fakes.ports(), "store": None}
            return AsyncCourier.from_mapping(
                {"acme": tenant()}, dsn, background=background, **ports
            )

    first, second = (
        re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)[0]
        for text in (PAGE, SECTIONS["Record in the host's own transaction"])
    )
    build, deliver = first.split("\n\n")
    names = {"AsyncCourier": Built, "DATABASE": dsn, "psycopg": psycopg, "evidence": evidence()}

    async def run(code: str) -> None:
        compiled = compile(code, "scale-out.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        if (awaited := eval(compiled, names)) is not None:
            await awaited

    async def story() -> Any:
        await run(build)
        courier: Any = names["courier"]
        async with courier:
            await run(second)
            await run(deliver)
        return names["done"]

    assert asyncio.run(story()).settled == 1


def test_the_workers_of_procrastinate_are_quoted_from_the_example() -> None:
    example = (ROOT / "examples" / "scale_out" / "service.py").read_text(encoding="utf-8")
    assert code_of("Procrastinate") in example


def test_the_beat_of_celery_delivers() -> None:
    celery = pytest.importorskip("celery")
    courier = Called()

    class Built:
        from_config = staticmethod(lambda folder, database: courier)

    names: dict[str, Any] = {
        "Celery": celery.Celery,
        "BlockingCourier": Built,
        "BROKER": "memory://",
        "DATABASE": "",
    }
    exec(code_of("Celery beat"), names)
    beat = names["app"].conf.beat_schedule["evidence"]
    names["app"].tasks[beat["task"]].apply().get()
    assert courier.calls == [20]


def test_a_task_of_django_delivers() -> None:
    tasks = pytest.importorskip("django.tasks")
    conf = pytest.importorskip("django.conf")
    if not conf.settings.configured:
        conf.settings.configure()
    names: dict[str, Any] = {"courier": (courier := Called()), "__name__": __name__}
    names["task"] = tasks.task
    code = code_of("Django tasks")
    exec(code, names)
    names["deliver_due"].call()
    assert courier.calls == [20]


def test_the_program_of_cron_delivers_until_its_time_is_over() -> None:
    slept: list[float] = []

    class Clock:
        now = 0.0

        def monotonic(self) -> float:
            return self.now

        def sleep(self, seconds: float) -> None:
            slept.append(seconds)
            self.now += 7

    class Built:
        @staticmethod
        def from_config(folder: str, database: str, background: bool) -> Courier:
            assert not background
            fakes: Any = Fakes().ports()
            return Courier.from_mapping({"acme": tenant()}, background=background, **fakes)

    exec(code_of("cron"), {"Courier": Built, "DATABASE": "", "time": Clock()})
    assert slept == [1] * 8


def test_the_schedule_of_temporal_delivers() -> None:
    pytest.importorskip("temporalio")
    from temporalio import activity, client, common, workflow  # type: ignore[import-not-found]
    from temporalio.testing import ActivityEnvironment  # type: ignore[import-not-found]

    names: dict[str, Any] = {"activity": activity, "workflow": workflow, "__name__": __name__}
    names |= {name: getattr(client, name) for name in dir(client) if name.startswith("Schedule")}
    names |= {"RetryPolicy": common.RetryPolicy, "courier": (courier := CalledAsync())}
    names |= {"timedelta": timedelta}
    exec(code_of("Temporal"), names)
    asyncio.run(ActivityEnvironment().run(names["deliver_due"]))
    assert courier.calls == [20]
    assert names["schedule"]().policy.overlap.name == "SKIP"
