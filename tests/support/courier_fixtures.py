"""A courier for one tenant at a provider's sandbox, on a clock that stands still, and a host
process to kill."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from attrs import define, evolve, field
from dialogue_runner import run
from store_fixtures import evidence

from evidence_courier import AsyncCourier, Evidence, UploadStatus
from evidence_courier.adapters.transports.aiohttp_transport import AiohttpTransport
from evidence_courier.domain.evidence.evidence import sha256_of
from evidence_courier.domain.integration import Route
from evidence_courier.domain.secrets.secret import Secret
from evidence_courier.domain.upload.verdict import DryRun
from evidence_courier.ports.provider import Checkable
from evidence_courier.testing import FakeClock, RecordingLogger, until_settled
from evidence_courier.testing.sandboxes import Sandbox

DIGEST = sha256_of(b"%PDF-1.7 evidence")
JANE = "jane@acme.example"


@define
class Keys:
    """The credentials by the names that a tenant file has for them."""

    values: Mapping[str, str]

    def resolve(self, name: str) -> Secret | None:
        value = self.values.get(name)
        return Secret(value) if value is not None else None


def of_jane(evidence_id: str = "ev-1", **said: Any) -> Evidence:
    """An evidence that says whose it is."""
    return evolve(evidence(evidence_id), **{"subject_email": JANE, **said})


@define
class CourierHouse:
    """`block` is the tenant's block, without the endpoint."""

    sandbox: Sandbox
    database: Path
    block: dict[str, object]
    keys: Keys
    clock: FakeClock = field(factory=FakeClock)
    logger: RecordingLogger = field(factory=RecordingLogger)

    def tenants(self) -> dict[str, dict[str, object]]:
        """The configuration, as a host gives it."""
        return {
            "acme": {"integrations": {"compliance": self.block | {"endpoint": self.sandbox.url}}}
        }

    def courier(self) -> AsyncCourier:
        """A courier on the house's clock, with the transport that it has anyway."""
        around: Any = {"clock": self.clock, "logger": self.logger, "secrets": self.keys}
        return AsyncCourier.from_mapping(self.tenants(), self.database, **around)

    async def deliver(self, courier: AsyncCourier, *evidences: Evidence) -> list[UploadStatus]:
        """What these come to, submitted all at once."""
        tickets = [courier.submit(one) for one in evidences or (of_jane(),)]
        settled = await until_settled(courier, self.clock, *tickets)
        return [status for status in settled if status is not None]

    async def check(self, provider: Checkable, settings: object) -> DryRun:
        """A dry run over the network."""
        transport = AiohttpTransport(now=lambda: datetime.now(UTC))

        try:
            return await run(
                provider.check(settings),
                send=lambda request: transport.send(request, Route()),
            )
        finally:
            await transport.close()


HOST = """
import asyncio, json, sys
from courier_fixtures import Keys, of_jane
from evidence_courier import AsyncCourier

async def host():
    keys = Keys(json.loads(sys.argv[3]))
    async with AsyncCourier.from_mapping(json.loads(sys.argv[1]), sys.argv[2], secrets=keys) as courier:
        await courier.submit(of_jane()).settled()

asyncio.run(host())
"""


def killed_at_request(house: CourierHouse, number: int) -> None:
    """Let a host of its own deliver an evidence, and kill it once the sandbox has had so many
    requests."""
    arguments = [json.dumps(house.tenants()), str(house.database), json.dumps(house.keys.values)]
    support = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    host = subprocess.Popen(
        [sys.executable, "-c", HOST, *arguments], env={**os.environ, "PYTHONPATH": support}
    )
    try:
        while house.sandbox.requests < number:
            with suppress(subprocess.TimeoutExpired):
                raise AssertionError(f"the host ended by itself: {host.wait(0.01)}")
    finally:
        host.kill()
        host.wait()
