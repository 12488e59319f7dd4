"""The trouble of one tenant, platform, source or listener reaches no other tenant of another
platform: it is recorded within a second and sent within two, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from datetime import timedelta
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evidence_courier import Document
from evidence_courier.adapters.engines.asyncio_driver import AsyncioDriver
from evidence_courier.testing.simulation import Faults, Simulation
from evidence_courier.testing.simulation.loop import InlineExecutor

TENANTS = 12
OTHER = TENANTS + 1
ELSEWHERE = TENANTS + 2
RECORDED, SENT = 1.0, 2.0

BIG = Document(content=bytes(20_000_000), media_type="application/pdf")
KEPT = Document(source="key", sha256=sha256(b"x").hexdigest(), size=1, media_type="application/pdf")

Trouble = Callable[[Simulation, AsyncioDriver], None]
TROUBLES: dict[str, Trouble] = {}


def trouble(of: Trouble) -> Trouble:
    TROUBLES[of.__name__] = of
    return of


@trouble
def a_tenant_whose_platform_is_silent(simulation: Simulation, driver: AsyncioDriver) -> None:
    simulation.trouble(1, "silent")
    simulation.submit(250, tenant=1)


@trouble
def big_documents_that_hang(simulation: Simulation, driver: AsyncioDriver) -> None:
    simulation.trouble(2, "silent")
    simulation.submit(8, tenant=2, document=BIG)


@trouble
def a_silent_platform(simulation: Simulation, driver: AsyncioDriver) -> None:
    for tenant in range(1, TENANTS + 1):
        simulation.trouble(tenant, "silent")
        simulation.submit(25, tenant=tenant)


@trouble
def a_silent_platform_with_big_documents(simulation: Simulation, driver: AsyncioDriver) -> None:
    for tenant in range(1, TENANTS + 1):
        simulation.trouble(tenant, "silent")
        simulation.submit(1, tenant=tenant, document=BIG)


@trouble
def a_platform_that_takes_and_does_not_say_so(
    simulation: Simulation, driver: AsyncioDriver
) -> None:
    for tenant in range(1, TENANTS + 1):
        simulation.trouble(tenant, "takes")
        simulation.submit(5, tenant=tenant)


@trouble
def a_platform_that_is_down(simulation: Simulation, driver: AsyncioDriver) -> None:
    for tenant in range(1, TENANTS + 1):
        simulation.trouble(tenant, "down")
        simulation.submit(10, tenant=tenant)


@trouble
def a_burst(simulation: Simulation, driver: AsyncioDriver) -> None:
    simulation.submit(300, tenant=3)


class _Hangs(InlineExecutor):
    """Never returns what it is given for some tenants."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        if any(getattr(each, "tenant_id", "") == "tenant-4" for each in args):
            return Future()
        return super().submit(fn, *args, **kwargs)


class _Source:
    def read(self, tenant_id: str, key: str) -> bytes:
        return b"x"


@trouble
def a_source_that_hangs(simulation: Simulation, driver: AsyncioDriver) -> None:
    driver.outside.readers.source, driver.outside.readers.threads = _Source(), _Hangs()
    simulation.submit(200, tenant=4, document=KEPT)


@trouble
def a_listener_that_raises(simulation: Simulation, driver: AsyncioDriver) -> None:
    def raises(_: object) -> None:
        raise RuntimeError("a listener's bug")

    driver.notifier.on_settled = raises
    simulation.submit(20, tenant=5)


@trouble
def a_listener_that_hangs(simulation: Simulation, driver: AsyncioDriver) -> None:
    async def hangs(_: object) -> None:
        await asyncio.get_running_loop().create_future()

    driver.notifier.on_settled = hangs
    simulation.submit(150, tenant=6)


def assert_that_others_go_on(*troubles: Trouble) -> None:
    """Beside these troubles, two other tenants of two other platforms submit again and again."""
    with Simulation(tenants=ELSEWHERE, faults=Faults(latency=0.1)) as simulation:
        (courier,) = simulation.couriers
        for tenant in (OTHER, ELSEWHERE):
            simulation.move(tenant, f"https://platform-{tenant}.test/")
        for each in troubles:
            each(simulation, courier.engine._driver)  # pyright: ignore[reportPrivateUsage]
        for second in range(12):
            since = simulation.clock.now()
            keys = simulation.submit(1, OTHER, BIG if second % 4 == 0 else None)
            keys += simulation.submit(1, ELSEWHERE, KEPT if _reads(courier) else None)
            for key in keys:
                assert simulation.store.get([key]), f"{key} is not recorded at once"
            simulation.pass_time(RECORDED)
            simulation.pass_time(SENT - RECORDED)
            for key in keys:
                sent = simulation.server.copies.get(f"{key.tenant_id}/{key.evidence_id}")
                assert sent, f"{key} is not sent within {SENT} s"
                assert sent[0] - since <= timedelta(seconds=SENT)


def _reads(courier: Any) -> bool:
    return courier.engine._driver.outside.readers.source is not None


@pytest.mark.parametrize("name", TROUBLES)
def test_one_kind_of_trouble_reaches_no_other_tenant_of_another_platform(name: str) -> None:
    assert_that_others_go_on(TROUBLES[name])


@settings(max_examples=4, deadline=None)
@given(st.lists(st.sampled_from(sorted(TROUBLES)), min_size=2, max_size=4, unique=True))
def test_nor_do_several_kinds_at_once(names: list[str]) -> None:
    assert_that_others_go_on(*(TROUBLES[name] for name in names))
