"""What lies on the disk is its owner's only."""

from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path

import pytest
from store_fixtures import House, evidence


def modes(folder: Path) -> dict[str, int]:
    return {file.suffix: stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}


def test_every_file_of_a_running_courier_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    house = House(tmp_path / "courier.db")

    async def story() -> dict[str, int]:
        async with house.courier() as courier:
            await courier.submit(evidence()).settled(timeout=30)
            return modes(tmp_path)

    found = asyncio.run(story())
    assert found.keys() >= {".db", ".lock", ".db-wal"}
    assert set(found.values()) == {0o600}
    assert [file.name for file in tmp_path.glob("*.lock")] == []


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077], ids=oct)
def test_a_careless_umask_opens_no_file_to_others(tmp_path: Path, mask: int) -> None:
    house = House(tmp_path / "courier.db")
    house.server.answer = lambda _evidence, _nth: 503

    async def story() -> dict[str, int]:
        async with house.courier(keep_documents=True) as courier:
            await courier.submit(evidence()).recorded()
            await courier.quiet()
            return modes(tmp_path)

    before = os.umask(mask)
    try:
        running, closed = asyncio.run(story()), modes(tmp_path)
    finally:
        os.umask(before)
    assert running.keys() >= {".db", ".lock", ".db-wal", ".db-shm"}
    assert set(running.values()) == set(closed.values()) == {0o600}
