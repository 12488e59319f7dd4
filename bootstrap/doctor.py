"""Asking every tenant's provider whether uploads would work, without a courier: what
`evidence-courier doctor` does."""

from __future__ import annotations

import asyncio
import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from itertools import starmap
from tempfile import TemporaryDirectory
from typing import TypedDict

from attrs import evolve, frozen

from ..adapters.config import Loaded
from ..adapters.stores.databases import open_for_reading
from ..delivery.destinations import Destination
from ..domain.pacing.gate import Block
from ..domain.pacing.paused import Paused, pause_of
from ..domain.upload.verdict import DryRun
from .advice import target_of
from .running import Running
from .tenants import Providers, destinations_of
from .wiring import AsyncWiring

AT_ONCE = 8
OnWait = Callable[[str, datetime], None]


@frozen
class Examined:
    """The dry run of one tenant's integration, None if its provider has none; and what stops its
    uploads at present, as far as the database knows."""

    tenant_id: str
    target: str
    dry_run: DryRun | None
    block: Block | None = None
    pause: Paused | None = None


async def examine(
    loaded: Loaded, providers: Providers, database: str | os.PathLike[str] | None, on_wait: OnWait
) -> Mapping[str, Examined]:
    """Make every integration's dry run. With a `database`, which must exist, each request waits for
    its turn there; `on_wait` hears which tenant waits until when.

    Raises StoreError if the database cannot be used.
    """
    # Integrations that share a pace go one by one.
    turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
    with _database(database) as path:
        running = await Running.open(AsyncWiring(path, {"concurrency": AT_ONCE}))

        async def one(tenant_id: str, destination: Destination) -> Examined:
            async with turns[destination.quota.credential]:
                result = await running.dry_run(destination, partial(on_wait, tenant_id))
            return Examined(tenant_id, target_of(destination.integration, providers), result)

        try:
            destinations = destinations_of(loaded.integrations, providers, running.key)
            stopped = _stopped(path, destinations)
            results = await asyncio.gather(
                *starmap(one, destinations.items()), return_exceptions=True
            )
        finally:
            await running.release()
    for result in results:
        if isinstance(result, BaseException):
            raise result
    found = [result for result in results if isinstance(result, Examined)]
    return {one.tenant_id: evolve(one, **stopped[one.tenant_id]) for one in found}


class _Stopped(TypedDict):
    block: Block | None
    pause: Paused | None


def _stopped(database: str, destinations: Mapping[str, Destination]) -> Mapping[str, _Stopped]:
    with open_for_reading(database) as reader:
        blocks = reader.blocks_of(one.quota.address for one in destinations.values())
        paused = reader.paused()
    return {
        tenant_id: {
            "block": blocks.get(one.quota.address),
            "pause": pause_of(paused, tenant_id, one.integration.provider),
        }
        for tenant_id, one in destinations.items()
    }


@contextmanager
def _database(database: str | os.PathLike[str] | None) -> Iterator[str]:
    """The path of the courier's database, or of an empty one that is removed in the end."""
    if database is not None:
        with open_for_reading(os.fspath(database)):
            pass  # a database that does not exist is not created
        yield os.fspath(database)
        return
    with TemporaryDirectory() as folder:
        yield os.path.join(folder, "doctor.db")
