"""All the fakes that a courier needs, in one hand: a host's test without network, disk or waiting.

fakes = Fakes()
async with AsyncCourier.from_mapping({"acme": tenant()}, **fakes.ports()) as courier:
    ticket = courier.submit(evidence)
    [upload] = await until_settled(courier, fakes.clock, ticket)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict

from attrs import field, frozen

from ..ports.clock import Clock
from ..ports.logger import Logger
from ..ports.provider import Provider
from ..ports.store import UploadStore
from .clock import FakeClock
from .logger import RecordingLogger
from .memory_store import MemoryStore
from .scripted_provider import ScriptedProvider


class FakePorts(TypedDict):
    """The options of a courier that the fakes take the place of."""

    store: UploadStore
    clock: Clock
    logger: Logger
    providers: Mapping[str, Provider]


@frozen(kw_only=True)
class Fakes:
    """The fakes of one test, each new; give one of your own where the test cares:
    ``Fakes(provider=ScriptedProvider([...]))``."""

    provider: ScriptedProvider = field(factory=ScriptedProvider)
    clock: FakeClock = field(factory=FakeClock)
    store: MemoryStore = field(factory=MemoryStore)
    logger: RecordingLogger = field(factory=RecordingLogger)

    def ports(self) -> FakePorts:
        """What to give a courier: ``AsyncCourier.from_mapping(tenants, **fakes.ports())``."""
        return FakePorts(
            store=self.store,
            clock=self.clock,
            logger=self.logger,
            providers={self.provider.name: self.provider},
        )


def tenant(provider: str = "scripted", **block: object) -> dict[str, object]:
    """What a tenant's file holds: a block for that provider, with these keys beside it
    (`on_unclear="hold"`, say)."""
    return {"integrations": {"compliance": {"provider": provider, **block}}}
