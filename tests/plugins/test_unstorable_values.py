"""What no database takes, from a provider that passes on whatever a platform says: the attempt has
a verdict, and does not stay under way for ever."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from store_fixtures import House, PaperProvider, PaperServer, evidence, tenant

from evidence_courier import AsyncCourier, BlockingCourier
from evidence_courier.delivery.outcome import FINDINGS, VERDICTS, sound
from evidence_courier.domain.upload.failure import Failure, FailureKind
from evidence_courier.domain.upload.verdict import Partly, Rejected, Verdict
from evidence_courier.ports.dialogue import Dialogue, bookmark
from evidence_courier.ports.provider import Parcel
from evidence_courier.testing import until_settled

TEXTS = ["half a \ud800 character", "a \0 within"]
STATUSES = [2**70, 2**31, -1]


def refusal(status: int) -> Rejected:
    return Rejected(Failure(FailureKind.REFUSED, "no", http_status=status))


class Careless(PaperProvider):
    """Keeps this text as its bookmark, or answers this verdict."""

    def __init__(self, what: str | Rejected) -> None:
        self.what = what

    def upload(self, parcel: Parcel, settings: object, progress: str | None) -> Dialogue[Verdict]:
        if isinstance(self.what, Rejected):
            return self.what
        yield from bookmark(self.what)
        raise AssertionError("it was kept")


@pytest.mark.parametrize("what", [*TEXTS, *map(refusal, STATUSES)], ids=repr)
def test_what_cannot_be_stored_ends_the_attempt_as_the_providers_bug(
    tmp_path: Path, what: str | Rejected
) -> None:
    house = House(tmp_path / "courier.db")
    around: Any = {
        "clock": house.clock,
        "secrets": house.keys,
        "providers": {"paper": Careless(what)},
        "transport": PaperServer(house.clock),
    }

    async def story() -> Any:
        async with AsyncCourier.from_mapping(
            {"acme": tenant()}, house.database, **around
        ) as courier:
            (status,) = await until_settled(courier, house.clock, courier.submit(evidence("ev-1")))
            return status

    with BlockingCourier.from_mapping(
        {"acme": tenant()}, tmp_path / "other.db", **around
    ) as courier:
        delivery = courier.deliver(evidence("ev-1"))
    for status in (delivery.status, asyncio.run(story())):
        assert status is not None
        assert status.error is not None
        assert (status.status, status.error.kind) == ("failed", "provider_broken")


@pytest.mark.parametrize("progress", TEXTS, ids=repr)
def test_a_finding_whose_progress_cannot_be_stored_is_none(progress: str) -> None:
    with pytest.raises(TypeError, match="progress of its Partly"):
        sound(Partly(progress), FINDINGS)


@pytest.mark.parametrize("status", STATUSES)
def test_a_failure_whose_status_cannot_be_stored_is_none(status: int) -> None:
    with pytest.raises(TypeError, match="http_status of its Failure"):
        sound(refusal(status), VERDICTS)
