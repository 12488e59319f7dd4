"""What lies on the disk is its owner's only."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path

from paper_house import House, evidence


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
