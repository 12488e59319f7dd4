"""A start and a reload leave the loop to the host, and a reload what has not changed as it is."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from store_fixtures import House, Keys, tenant

from evidence_courier import AsyncCourier, MisuseError
from evidence_courier.bootstrap import tenants as bootstrap_tenants
from evidence_courier.ports.logger import ConfigurationLoaded, LogEvent
from evidence_courier.testing.logger import RecordingLogger


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "courier.db")


def test_a_start_makes_the_destinations_once_and_off_the_loop(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, at = bootstrap_tenants.destinations_of, list[int]()

    def made(*args: Any) -> Any:
        at.append(threading.get_ident())
        return make(*args)

    monkeypatch.setattr(bootstrap_tenants, "destinations_of", made)

    async def story() -> None:
        async with house.courier():
            assert len(at) == 1 and threading.get_ident() not in at

    asyncio.run(story())


def test_what_a_thread_asks_for_during_a_start_has_the_key_of_the_store(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, asked, starting = bootstrap_tenants.destinations_of, threading.Event(), threading.Event()
    use_key, first = bootstrap_tenants.Tenants.use_key, [True]

    def made(*args: Any) -> Any:
        if first and first.pop():
            asked.set()
            starting.wait(20)
        return make(*args)

    def used(own: bootstrap_tenants.Tenants, key: bytes) -> None:
        if own._making.locked():  # pyright: ignore[reportPrivateUsage]
            starting.set()
        use_key(own, key)
        starting.set()

    monkeypatch.setattr(bootstrap_tenants, "destinations_of", made)
    monkeypatch.setattr(bootstrap_tenants.Tenants, "use_key", used)
    courier = house.courier()

    async def story() -> None:
        asking = threading.Thread(target=courier.enabled, args=("acme",))
        asking.start()
        await asyncio.to_thread(asked.wait, 20)
        async with courier:
            asking.join()
            key = courier._now().key  # pyright: ignore[reportPrivateUsage]
            own = courier._tenants  # pyright: ignore[reportPrivateUsage]
            expected = make(own.loaded.integrations, own.providers, key)
            assert own.destinations == expected

    asyncio.run(story())


def test_a_close_during_a_start_leaves_nothing_running(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    going_on, use_key = threading.Event(), bootstrap_tenants.Tenants.use_key

    async def story() -> None:
        loop, opening = asyncio.get_running_loop(), asyncio.Event()

        def used(own: bootstrap_tenants.Tenants, key: bytes) -> None:
            loop.call_soon_threadsafe(opening.set)
            going_on.wait(20)
            use_key(own, key)

        monkeypatch.setattr(bootstrap_tenants.Tenants, "use_key", used)
        courier = house.courier()
        start = asyncio.create_task(courier.start())
        await opening.wait()
        await courier.close()
        going_on.set()
        with pytest.raises(MisuseError, match="is closed"):
            await start
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(story())
    with closing(sqlite3.connect(house.database)) as records:
        assert records.execute("SELECT COUNT(*) FROM couriers").fetchone() == (0,)


def test_of_two_starts_at_once_one_is_refused(house: House) -> None:
    async def story() -> None:
        courier = house.courier()
        found = await asyncio.gather(courier.start(), courier.start(), return_exceptions=True)
        assert found[0] is None and isinstance(found[1], MisuseError)
        await courier.close()
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(story())


def test_nothing_that_grows_with_the_tenants_runs_on_the_loop(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither reading them, nor making destinations of them, nor telling of them."""
    at: list[tuple[str, int]] = []

    class ThreadedKeys(Keys):
        def resolve(self, name: str) -> Any:
            at.append(("read", threading.get_ident()))
            return house.keys.resolve(name)

    class ThreadedLogger(RecordingLogger):
        def log(self, event: LogEvent) -> None:
            if isinstance(event, ConfigurationLoaded):
                at.append(("told", threading.get_ident()))
            super().log(event)

    make = bootstrap_tenants.destinations_of

    def made(*args: Any) -> Any:
        at.append(("made", threading.get_ident()))
        return make(*args)

    monkeypatch.setattr(bootstrap_tenants, "destinations_of", made)

    async def story() -> None:
        async with house.courier(secrets=ThreadedKeys(), logger=ThreadedLogger()) as courier:
            assert {what for what, _ in at} == {"read", "made", "told"}
            at.clear()
            house.tenants["new"] = tenant()
            await courier.reload()
            assert courier.enabled("new")
            assert {what for what, _ in at} == {"read", "made", "told"}
            assert threading.get_ident() not in {thread for _, thread in at}

    asyncio.run(story())


def test_a_file_that_has_not_changed_keeps_its_destination(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.time_ns", lambda: 2**62)
    folder = tmp_path / "tenants"
    folder.mkdir()
    for name in ("acme", "globex"):
        text = "integrations: {compliance: {provider: paper, key: '${KEY}', shelf: s-1}}\n"
        (folder / f"{name}.yaml").write_text(text)

    async def story() -> None:
        options = house._around({})  # pyright: ignore[reportPrivateUsage]
        async with AsyncCourier.from_config(folder, house.database, **options) as courier:
            before = courier._tenants.destinations  # pyright: ignore[reportPrivateUsage]
            (folder / "globex.yaml").write_text(text.replace("s-1", "s-22"))
            await courier.reload()
            after = courier._tenants.destinations  # pyright: ignore[reportPrivateUsage]
            assert after["acme"] is before["acme"]
            assert after["globex"].quota.address != before["globex"].quota.address

    asyncio.run(story())
