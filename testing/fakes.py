"""All the fakes that a courier needs: a host's test without network, disk or waiting.

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
    """The options of a courier that the fakes replace."""

    store: UploadStore
    clock: Clock
    logger: Logger
    providers: Mapping[str, Provider]


@frozen(kw_only=True)
class Fakes:
    """The fakes of one test, each new unless it is given:
    ``Fakes(provider=ScriptedProvider([...]))``.

    Args:
        provider: Gives the verdicts of a script.
        clock: Stands still until it is moved.
        store: Keeps records in memory.
        logger: Keeps every event.
    """

    provider: ScriptedProvider = field(factory=ScriptedProvider)
    clock: FakeClock = field(factory=FakeClock)
    store: MemoryStore = field(factory=MemoryStore)
    logger: RecordingLogger = field(factory=RecordingLogger)

    def ports(self) -> FakePorts:
        """The options for a courier: ``AsyncCourier.from_mapping(tenants, **fakes.ports())``."""
        return FakePorts(
            store=self.store,
            clock=self.clock,
            logger=self.logger,
            providers={self.provider.name: self.provider},
        )


def tenant(provider: str = "scripted", **block: object) -> dict[str, object]:
    """The content of a tenant's file.

    Args:
        provider: The word for the provider.
        block: Other keys of its block, such as `on_unclear="hold"`.
    """
    return {"integrations": {"compliance": {"provider": provider, **block}}}
