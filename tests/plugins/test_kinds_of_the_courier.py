"""A kind of failure that only the courier gives, from a provider: the upload would wait for a
person or a host who has done nothing, so it fails as the provider's bug, with the kind to use."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from store_fixtures import House, PaperProvider, evidence

from evidence_courier import UploadStatus
from evidence_courier.delivery.outcome import FINDINGS, VERDICTS_OF_MANY, sound
from evidence_courier.domain.upload.failure import OF_THE_COURIER, Failure, FailureKind
from evidence_courier.domain.upload.verdict import (
    Deferred,
    Processing,
    Refused,
    Rejected,
    Unbundled,
    Unclear,
    Unreadable,
    Verdict,
)
from evidence_courier.ports.dialogue import Dialogue
from evidence_courier.ports.provider import Parcel
from evidence_courier.testing import until_settled


class OnLeave(PaperProvider):
    """Calls itself paused, which no one has done."""

    def upload(self, parcel: Parcel, settings: object, progress: str | None) -> Dialogue[Verdict]:
        yield from ()
        return Rejected(Failure(FailureKind.PAUSED, "the platform is on leave"))


def by_loop(house: House) -> UploadStatus:
    async def story() -> UploadStatus | None:
        async with house.courier(providers={"paper": OnLeave()}) as courier:
            (status,) = await until_settled(courier, house.clock, courier.submit(evidence("ev-1")))
            return status

    status = asyncio.run(story())
    assert status is not None
    return status


def by_step(house: House) -> UploadStatus:
    with house.blocking_courier(providers={"paper": OnLeave()}) as courier:
        status = courier.deliver(evidence("ev-1")).status
    assert status is not None
    return status


@pytest.mark.parametrize("deliver", [by_loop, by_step])
def test_an_upload_that_no_one_has_paused_does_not_wait_for_a_resume(
    tmp_path: Path, deliver: Callable[[House], UploadStatus]
) -> None:
    status = deliver(House(tmp_path / "courier.db"))
    assert status.error is not None
    assert (status.status, status.error.kind) == ("failed", "provider_broken")
    assert status.error.message == (
        "the adapter for paper raised TypeError: the kind of its Failure is paused, which only the "
        "courier gives: use unauthorized, target_not_found or account_locked; this is a bug in it: "
        "report it to its authors, then retry the upload"
    )


@pytest.mark.parametrize("kind", OF_THE_COURIER)
def test_no_verdict_and_no_finding_may_have_such_a_kind(kind: FailureKind) -> None:
    failure = Failure(kind, "so it says")
    says = re.escape(f"{kind.value}, which only the courier gives: use {OF_THE_COURIER[kind]}")
    for verdict in (Rejected, Deferred, Unclear, Unbundled):
        with pytest.raises(TypeError, match=says):
            sound(verdict(failure), VERDICTS_OF_MANY)
    for finding in (Unreadable, Refused):
        with pytest.raises(TypeError, match=says):
            sound(finding(failure), FINDINGS)


def test_what_a_provider_may_say_stays_sound() -> None:
    waits = Processing(timedelta(minutes=5))
    assert sound(waits, VERDICTS_OF_MANY) is sound(waits, FINDINGS) is waits
    for kind in {*FailureKind} - {*OF_THE_COURIER}:
        verdict = Rejected(Failure(kind, "so it says"))
        assert sound(verdict, VERDICTS_OF_MANY) is verdict
