"""A provider with six requests an upload, a date signature, a second host and a slow decision,
written with what the authors' page tells alone: it keeps the contract, and both engines deliver."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from attrs import define
from store_fixtures import House, evidence
from vault import BLOBS, ENDPOINT, REVIEW, SECRET, Vault, VaultProvider

from evidence_courier import UploadStatus
from evidence_courier.domain.integration import Route
from evidence_courier.ports.dialogue import HttpRequest, HttpResponse
from evidence_courier.testing import ScriptedTransport, until_settled
from evidence_courier.testing.contracts import ProviderContract, ProviderHarness

KEYS: Mapping[str, object] = {"api_key": "${KEY}", "api_secret": "${SECRET}"}
NAMES = [f"ev-{number}" for number in range(1, 5)]


class TestVault(ProviderContract):
    def harness(self) -> ProviderHarness:
        platform = Vault()
        return ProviderHarness(
            provider=VaultProvider(),
            settings={"endpoint": ENDPOINT, **KEYS},
            answer=platform.answer,
            copies=platform.copies,
            origins=(BLOBS,),
            repeatable=lambda request: True,
        )


@define
class Blocking:
    """The platform for code that blocks."""

    platform: Vault

    def send(self, request: HttpRequest, route: Route) -> HttpResponse:
        return self.platform.answer(request)

    def close(self) -> None: ...


AROUND: Any = {"providers": {"vault": VaultProvider()}}
Deliver = Callable[..., Sequence[UploadStatus]]


def by_loop(house: House, platform: Vault, names: Sequence[str]) -> Sequence[UploadStatus]:
    transport = ScriptedTransport(platform.answer)

    async def story() -> Sequence[UploadStatus]:
        async with house.courier(transport=transport, **AROUND) as courier:
            tickets = [courier.submit(evidence(name)) for name in names]
            found = await until_settled(courier, house.clock, *tickets)
            return [status for status in found if status is not None]

    return asyncio.run(story())


def by_step(house: House, platform: Vault, names: Sequence[str]) -> Sequence[UploadStatus]:
    clock = house.clock

    def sleep(seconds: float) -> None:
        clock.advance(seconds)

    around: Any = {"transport": Blocking(platform), "sleep": sleep, **AROUND}
    done: dict[str, UploadStatus] = {}
    with house.blocking_courier(**around) as courier:
        while len(done) < len(names):
            for name in names:
                delivery = courier.deliver(evidence(name))
                if delivery.again_at is None:
                    assert delivery.status is not None
                    done[name] = delivery.status
            clock.advance(30)
    return [done[name] for name in names]


@pytest.fixture
def house(tmp_path: Path) -> House:
    house = House(tmp_path / "courier.db")
    house.tenants = {"acme": {"integrations": {"compliance": {"provider": "vault", **KEYS}}}}
    house.keys.values["SECRET"] = SECRET
    return house


@pytest.mark.parametrize("deliver", [by_loop, by_step])
def test_each_upload_is_taken_once_and_decided_about(house: House, deliver: Deliver) -> None:
    """At its pace, with a good date at each request, and as the reviewer decides."""
    platform = Vault(house.clock, declines="ev-3")
    found = deliver(house, platform, NAMES)
    assert platform.complaints == []
    assert [(one.status, one.attempts, one.possible_duplicate) for one in found] == [
        ("failed" if name == "ev-3" else "succeeded", 1, False) for name in NAMES
    ]
    refused = found[2].error
    assert refused is not None and refused.kind == "refused"
    assert [len(it.sha256) for it in platform.drafts.values()] == [64] * len(NAMES)
    assert {it.state for it in platform.drafts.values()} == {"accepted", "declined"}
    posted = [path for _, method, path in platform.came if method != "GET" or path == "/whoami"]
    assert len(posted) == 6 * len(NAMES)
    taken = max(at for at, _, path in platform.came if path.endswith("/submit"))
    last = platform.came[-1][0]
    assert REVIEW <= last - min(at for at, *_ in platform.came)
    assert last - taken < REVIEW + timedelta(hours=1)


@pytest.mark.parametrize("deliver", [by_loop, by_step])
def test_a_last_step_that_is_refused_is_repeated_alone(house: House, deliver: Deliver) -> None:
    """The first five are not sent again, and it leaves neither a copy nor a doubt."""
    platform = Vault(house.clock, busy=2)
    (found,) = deliver(house, platform, ["ev-1"])
    assert platform.complaints == []
    assert (found.status, found.attempts, found.possible_duplicate) == ("succeeded", 3, False)
    assert len(platform.drafts) == 1
    sent = [path for _, method, path in platform.came if method != "GET"]
    assert (
        sent
        == ["/accounts/a-1/folders/2026-02-20", "/uploads", "/#", "/uploads/#/seal"]
        + ["/uploads/#/submit"] * 3
    )
