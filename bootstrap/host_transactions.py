"""Evidence that is recorded in a transaction of the host's."""

from __future__ import annotations

from attrs import evolve

from ..adapters.engines.preparing import Preparer
from ..adapters.stores.hosts import Insertion, is_awaited
from ..delivery.destinations import Destination
from ..domain.errors import MisuseError
from ..domain.evidence.evidence import Evidence
from ..ports.clock import Clock
from ..ports.store import UploadStore


def insertion_for(
    store: UploadStore, preparer: Preparer, clock: Clock, evidence: Evidence, to: Destination
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


def refuse_awaited(connection: object) -> None:
    """MisuseError for a connection that only an AsyncCourier can use."""
    if is_awaited(connection):
        raise MisuseError(
            "connection= is awaited, which is for an AsyncCourier: give one that is not"
        )
