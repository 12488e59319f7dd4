"""The hash chains: making them longer beside the work, and checking them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from functools import partial

from ..domain.chain import Check, Fault, Head
from ..ports.chain import ChainReader
from ..ports.store import UploadStore
from .effects import Turn, Write, perform

LINK_EVERY = 5.0
"""How often what is settled is linked, in seconds."""

LINKED_AT_ONCE, LINKS_AT_ONCE = 100, 50
"""How many records are linked in one transaction, and how many transactions are made, before the
rest of the work goes on."""

_READ_AT_ONCE = 500


def link_settled(now: datetime) -> Turn[bool]:
    """Link what is settled and in no link yet; whether there may be more."""
    for number in range(LINKS_AT_ONCE):
        link = partial(_link, now, number == 0)
        done = yield from perform(Write(link))
        if done < LINKED_AT_ONCE:
            return False
    return True


def _link(now: datetime, late: bool, store: UploadStore) -> int:
    return store.link(LINKED_AT_ONCE, now, late=late)


def faults_of(reader: ChainReader, tenant_id: str, known: Iterable[Head] = ()) -> Iterator[Fault]:
    """What does not hold of a tenant's chain, while couriers may be making it longer.

    Args:
        known: Heads of this tenant that were stored elsewhere.
    """
    check = Check(tenant_id, known)
    while (page := reader.links(tenant_id, check.length, _READ_AT_ONCE)).links:
        for link, record in page.links:
            yield from check.next(link, record)
    yield from check.end(page.head)


def texts_of(reader: ChainReader, tenant_id: str) -> Iterator[str]:
    """The texts whose SHA-256 are the hashes of a tenant's links, in their order."""
    position, previous = 0, None
    while (page := reader.links(tenant_id, position, _READ_AT_ONCE)).links:
        for link, record in page.links:
            yield link.text(link.record_hash(record), previous)
            position, previous = link.position, link.hash
