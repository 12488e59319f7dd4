"""What an upload waits for: said by `statuses`, `show`, the command line, and once by the log."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from store_fixtures import House, evidence, tenant

from evidence_courier.bootstrap.cli.app import app
from evidence_courier.ports.logger import UploadsWait

NAMES = [f"ev-{number}" for number in range(5)]


@pytest.fixture
def house(tmp_path: Path) -> House:
    tenants = {
        "acme": tenant(pace="2/min"),
        "globex": tenant(key="${OTHER}"),
        "initech": tenant(key="${THIRD}", on_unclear="hold"),
    }
    house = House(tmp_path / "courier.db", tenants=tenants)
    house.keys.values.update(OTHER="another-key-nobody-may-see", THIRD="a-third-key-nobody-sees")
    return house


def logged_waits(house: House) -> list[str]:
    return [event.waits_for for event in house.logger.events if isinstance(event, UploadsWait)]


def test_the_pace_is_shown_by_each_status_and_logged_once(house: House) -> None:
    async def story() -> None:
        async with house.courier() as courier:
            for name in NAMES:
                courier.submit(evidence(name))
            await courier.quiet()
            found = await courier.statuses("acme", NAMES)
            waits = {
                one.waits_for for one in found.values() if one.status not in ("succeeded", "failed")
            }
            assert waits == {
                "pace of paper, 2/min; next request about 10:01:00Z",
                "pace of paper, 2/min; next request about 10:02:00Z",
            }
            assert {one.waits_for for one in found.values() if one.status == "succeeded"} == {None}
            for _ in range(3):
                house.clock.advance(60)
                await courier.quiet()

    asyncio.run(story())
    assert logged_waits(house) == ["pace of paper, 2/min; next request about 10:01:00Z"]


def test_a_lane_that_waits_again_much_later_is_logged_again(house: House) -> None:
    async def story() -> None:
        async with house.courier() as courier:
            for batch in ("a", "b"):
                for name in NAMES[:3]:
                    courier.submit(evidence(f"{batch}-{name}"))
                await courier.quiet()
                house.clock.advance(3600)
                await courier.quiet()

    asyncio.run(story())
    assert logged_waits(house) == [
        "pace of paper, 2/min; next request about 10:01:00Z",
        "pace of paper, 2/min; next request about 11:01:00Z",
    ]


def test_a_status_shows_a_back_off_a_pause_a_block_and_a_doubt(house: House) -> None:
    house.server.answer = lambda name, nth: (
        (429, 90) if name == "paused" else 401 if name == "blocked" else 503
    )

    async def waits(tenant_id: str, name: str) -> str | None:
        async with house.courier() as courier:
            courier.submit(evidence(name, tenant_id))
            await courier.quiet()
            return (await courier.statuses(tenant_id, [name]))[name].waits_for

    async def story() -> None:
        first = await waits("acme", "unclear")
        assert first is not None
        assert first.startswith("back-off after server_error, until 10:00:")
        assert await waits("initech", "doubt") == "a person, who releases, abandons or attests it"
        assert await waits("globex", "paused") == "cool-down that paper asked for, until 10:01:30Z"
        blocked = "other settings or a release: paper is blocked by unauthorized"
        assert await waits("initech", "blocked") is None
        assert await waits("initech", "after it") == blocked

    asyncio.run(story())


def test_the_command_line_says_it_too(house: House) -> None:
    async def story() -> None:
        async with house.courier() as courier:
            for name in NAMES:
                courier.submit(evidence(name))
            await courier.quiet()

    asyncio.run(story())
    database = ["--db", str(house.database)]
    runner = CliRunner()
    listed = runner.invoke(app, ["status", *database]).stdout
    assert listed.count("waits for: a place at a courier") == 2
    assert listed.count("waits for: pace of paper, 2/min; next request about") == 1
    shown = runner.invoke(app, ["show", *database, "acme", "ev-2"]).stdout
    assert "no courier is running now" in shown
    as_json = runner.invoke(app, ["show", *database, "acme", "ev-2", "--json"]).stdout
    assert '"waits_for": "a place at a courier' in as_json


def test_invariants_counts_what_is_waited_for(house: House) -> None:
    house.server.answer = lambda name, nth: 503 if name in ("ev-0", "ev-1") else 200

    async def story() -> None:
        async with house.courier() as courier:
            for name in NAMES:
                courier.submit(evidence(name))
            courier.submit(evidence("doubt", "initech"))
            house.server.answer = lambda name, nth: 503
            await courier.quiet()

    asyncio.run(story())
    runner, database = CliRunner(), ["--db", str(house.database)]
    waiting = json.loads(runner.invoke(app, ["invariants", *database, "--json"]).stdout)["waiting"]
    assert waiting["a person, who releases, abandons or attests it"] == 1
    assert sum(waiting.values()) == len(NAMES) + 1
    assert "1 waiting for: a person" in runner.invoke(app, ["invariants", *database]).output
