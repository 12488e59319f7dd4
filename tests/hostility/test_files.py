"""What lies on the disk is its owner's only."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path

from paper_house import House, evidence


def test_every_file_of_a_running_courier_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    house = House(tmp_path / "courier.db")

    async def story() -> set[str]:
        async with house.courier() as courier:
            await courier.submit(evidence()).settled(timeout=30)
            files = list(tmp_path.iterdir())
            for file in files:
                assert stat.S_IMODE(file.stat().st_mode) == 0o600, file.name
            return {file.suffix for file in files}

    assert asyncio.run(story()) >= {".db", ".lock", ".db-wal"}
    assert [file.name for file in tmp_path.glob("*.lock")] == []
