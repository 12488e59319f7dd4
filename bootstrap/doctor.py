"""Asking every tenant's provider whether uploads would work, without a courier: what
`evidence-courier doctor` does."""

from __future__ import annotations

import asyncio
import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import datetime
from functools import partial
from itertools import starmap
from random import random
from tempfile import TemporaryDirectory

from attrs import frozen

from ..adapters.clocks.system import SystemClock
from ..adapters.config import Loaded
from ..adapters.engines.asyncio_driver import AsyncioDriver, Outside, interruption_of
from ..adapters.engines.connection_limit import ConnectionLimit
from ..adapters.engines.notify import HookNotifier
from ..adapters.engines.token_cache import TokenCache
from ..adapters.loggers.standard import StandardLogger
from ..adapters.stores.sqlite import SqliteStore, open_for_reading
from ..adapters.stores.writer import WriterThread
from ..adapters.transports.aiohttp_transport import AiohttpTransport
from ..delivery.destinations import Destination
from ..delivery.dry_run import dry_run
from ..delivery.turn import TurnContext
from ..domain.secrets.redaction import Redactor
from ..domain.upload.verdict import DryRun
from ..ports.store import UploadStore
from ..ports.writer import Writer
from .advice import target_of
from .tenants import Providers, destinations_of

AT_ONCE = 8
OnWait = Callable[[str, datetime], None]


@frozen
class Examined:
    """What came of one tenant's integration; `dry_run` is None where the provider cannot be
    asked."""

    tenant_id: str
    target: str
    dry_run: DryRun | None


async def examine(
    loaded: Loaded, providers: Providers, database: str | os.PathLike[str] | None, on_wait: OnWait
) -> Mapping[str, Examined]:
    """Every integration's dry run, by tenant. With a `database`, its gates are asked for each
    request; it must exist.

    StoreError where the database cannot be used. `on_wait` hears which tenant waits until when.
    """
    clock = SystemClock()
    transport = AiohttpTransport(limit=AT_ONCE, now=clock.now)
    connections, tokens = ConnectionLimit(AT_ONCE), TokenCache(clock.monotonic)
    outside = Outside(transport, connections, tokens, source=None, threads=None)
    notifier = HookNotifier(StandardLogger())
    # who shares a pace goes one by one
    turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
    with _store(database) as (store, writer):
        owner = await writer.run(lambda: store.register(clock.now()))
        driver = AsyncioDriver(outside, store, writer, None, clock, notifier)
        context = TurnContext(owner, clock, random, interruption_of)

        async def one(tenant_id: str, destination: Destination) -> Examined:
            async with turns[destination.quota.credential]:
                waits = partial(on_wait, tenant_id)
                came = await driver.run(dry_run(context, destination, waits))
            redactor = Redactor(destination.integration.secrets)
            target = redactor.text(target_of(destination.integration, providers))
            return Examined(tenant_id, target, came)

        try:
            destinations = destinations_of(loaded.integrations, providers, store.fingerprint_key())
            came = await asyncio.gather(*starmap(one, destinations.items()), return_exceptions=True)
        finally:
            await transport.close()
            await writer.run(lambda: store.unregister(owner))
    for examined in came:
        if isinstance(examined, BaseException):
            raise examined
    return {examined.tenant_id: examined for examined in came if isinstance(examined, Examined)}


@contextmanager
def _store(database: str | os.PathLike[str] | None) -> Iterator[tuple[UploadStore, Writer]]:
    """The courier's database, or an empty one that is removed in the end."""
    with TemporaryDirectory() as folder:
        if database is not None:
            with open_for_reading(os.fspath(database)):
                pass  # a database that does not exist is not created
        path = os.path.join(folder, "doctor.db") if database is None else os.fspath(database)
        with closing(SqliteStore(path)) as store, closing(WriterThread(store)) as writer:
            yield store, writer
