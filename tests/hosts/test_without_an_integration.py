"""A tenant without an integration is not affected: its completions take no longer with the
courier than without, and leave nothing behind."""

from __future__ import annotations

import importlib.util
import re
import statistics
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from types import ModuleType
from typing import Any

import httpx
import pytest
import uvicorn
from attrs import frozen
from django.apps import apps
from django.test import Client as DjangoClient
from host_home import EXAMPLES, Home
from host_process import free_port, wait_until

from evidence_courier import Courier

RATIO = 1.5
"""What the courier is asked is one look-up in a dictionary, about a microsecond; a completion
takes a thousand of them. The rest is noise."""

COMPLETION = {"employee": "emp-7", "outcome": "passed"}
TENANT = {"X-Tenant": "initech"}


class NoCourier:
    """Stands where the courier stands, in a host that has none."""

    def enabled(self, tenant_id: str) -> bool:
        return False


@frozen
class Host:
    """A host in this process: completes a session of a tenant without an integration, with its
    courier or without."""

    complete: Callable[[str], int]
    with_courier: Callable[[], None]
    without_courier: Callable[[], None]


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / name / "app.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def fastapi_host(stack: ExitStack, home: Home) -> Host:
    module = example("fastapi_host")
    app, courier_of = module.app, module.courier_of
    server = uvicorn.Server(uvicorn.Config(app, port=free_port(), ws="none", log_config=None))
    thread = threading.Thread(target=server.run)
    stack.callback(thread.join)
    stack.callback(setattr, server, "should_exit", True)
    thread.start()
    wait_until("it is well", lambda: server.started)
    client = stack.enter_context(httpx.Client(base_url=f"http://127.0.0.1:{server.config.port}"))
    return Host(
        lambda session: (
            client.post(
                f"/trainings/{session}/complete", json=COMPLETION, headers=TENANT
            ).status_code
        ),
        with_courier=app.dependency_overrides.clear,
        without_courier=lambda: app.dependency_overrides.update({courier_of: NoCourier}),
    )


def flask_host(stack: ExitStack, home: Home) -> Host:
    app = example("flask_host").create_app()
    client = app.test_client()
    courier = stack.enter_context(
        Courier.from_config(app.config["TENANTS"], database=home.database)
    )
    return Host(
        lambda session: (
            client.post(
                f"/trainings/{session}/complete", json=COMPLETION, headers=TENANT
            ).status_code
        ),
        with_courier=lambda: app.extensions.update(courier=courier),
        without_courier=lambda: app.extensions.update(courier=NoCourier()),
    )


def django_host(stack: ExitStack, home: Home) -> Host:
    app: Any = apps.get_app_config("trainings")
    client = DjangoClient(headers=TENANT)
    courier = app.courier
    stack.callback(setattr, app, "built", courier)
    return Host(
        lambda session: (
            client.post(
                f"/trainings/{session}/complete", COMPLETION, content_type="application/json"
            ).status_code
        ),
        with_courier=lambda: setattr(app, "built", courier),
        without_courier=lambda: setattr(app, "built", NoCourier()),
    )


@pytest.mark.parametrize("build", [fastapi_host, flask_host, django_host])
@pytest.mark.usefixtures("django_host")
def test_a_completion_takes_no_longer_and_leaves_nothing(
    build: Callable[[ExitStack, Home], Host], at_home: Home
) -> None:
    took: dict[str, list[float]] = {"with": [], "without": []}
    with ExitStack() as stack:
        host = build(stack, at_home)
        host.with_courier()
        assert host.complete("warm-up") == 201
        before = couriers_threads()
        for number in range(100):
            for way, use in (("with", host.with_courier), ("without", host.without_courier)):
                use()
                start = time.perf_counter()
                assert host.complete(f"{way}-{number}") == 201
                took[way].append(time.perf_counter() - start)
        assert couriers_threads() == before
        for table in ("uploads", "attempts", "documents", "gates"):
            assert at_home.rows(table) == []
    ratio = statistics.median(took["with"]) / statistics.median(took["without"])
    assert ratio < RATIO, f"{ratio:.2f} times as long"
    assert at_home.sandbox.requests == 0


def couriers_threads() -> set[str]:
    """The kinds of its threads. How many of a kind there are depends on its housekeeping too."""
    names = {
        thread.name
        for thread in threading.enumerate()
        if thread.name.startswith("evidence-courier")
    }
    return {re.sub(r"_\d+$", "", name) for name in names}
