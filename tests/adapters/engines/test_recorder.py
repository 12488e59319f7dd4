"""From submission to record: what waits for a reader."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from attrs import evolve
from store_fixtures import House, evidence, tenant

from evidence_courier import Document
from evidence_courier.delivery.fair_share import FairShare, Lane


def test_a_submission_does_not_ask_for_all_tenants_that_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"tenant-{number}" for number in range(40)]
    house = House(tmp_path / "courier.db", tenants={name: tenant() for name in names})
    (tmp_path / "a.pdf").write_bytes(b"a document")
    document = Document(path=str(tmp_path / "a.pdf"), media_type="application/pdf")
    asked, admits = [0], FairShare.admits

    def count(share: FairShare, lane: Lane, amount: int = 1, new: bool | None = None) -> bool:
        asked[0] += 1
        return admits(share, lane, amount, new)

    monkeypatch.setattr(FairShare, "admits", count)

    async def story() -> None:
        async with house.courier() as courier:
            its = [evidence(f"ev-{number}", name) for number in range(5) for name in names]
            tickets = [courier.submit(evolve(one, document=document)) for one in its]
            assert asked[0] < 2 * len(tickets)
            for ticket in tickets:
                status = await ticket.settled(30)
                assert status is not None and status.status == "succeeded"
            assert asked[0] < 40 * len(tickets)

    asyncio.run(story())
