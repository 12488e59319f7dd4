"""Evidence that is recorded in a transaction of the host's."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from attrs import evolve

from ..adapters.engines.asyncio_driver import AsyncioDriver
from ..adapters.engines.preparing import Preparer
from ..adapters.engines.readers import reading_of
from ..adapters.stores.hosts import Insertion, is_awaited
from ..delivery.destinations import Destination
from ..domain.errors import MisuseError
from ..domain.evidence.evidence import Document, Evidence
from ..domain.evidence.training import TrainingRecord
from ..ports.clock import Clock
from ..ports.store import UploadStore


def insertion_for(
    store: UploadStore, clock: Clock, evidence: Evidence, to: Destination, preparer: Preparer
) -> Insertion:
    """What records an evidence; its document is read or rendered here, and goes into the record: a
    file would stay after a rollback. Blocks.

    MisuseError if the store has no database of its own.
    """
    insertion_of = getattr(store, "insertion_of", None)
    if insertion_of is None:
        raise MisuseError("connection= needs a courier with database=, not with a store of its own")
    found: Insertion = insertion_of(
        evolve(preparer, documents=None).prepare(evidence, to, clock.now())
    )
    return found


async def insertion_aside(
    driver: AsyncioDriver,
    insertion: Callable[[Preparer], Insertion],
    document: Document | TrainingRecord,
    to: Destination,
) -> Insertion:
    """An insertion that is made off the loop. What may hang, the host's file or renderer, has a
    thread of its own, and no more time than a request to the provider."""
    outside = driver.outside
    work = partial(insertion, outside.preparer)
    if isinstance(document, Document) and document.path is None:
        return await driver.read(work)
    reading = reading_of(to, is_file=isinstance(document, Document))
    try:
        return await outside.readers.run(reading, work, at_once=True)
    except TimeoutError as late:
        return await driver.read(partial(insertion, evolve(outside.preparer, late=late)))


def refuse_awaited(connection: object) -> None:
    """MisuseError for a connection that only an AsyncCourier can use."""
    if is_awaited(connection):
        raise MisuseError(
            "connection= is awaited, which is for an AsyncCourier: give one that is not"
        )
