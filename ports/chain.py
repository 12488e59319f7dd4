"""The hash chains of the tenants in a store (see `domain.chain`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from attrs import frozen

from ..domain.chain import Head, Link, Record


@frozen
class ChainPage:
    """Some links of a tenant's chain, each with its record as it is now (None: it is missing), and
    the chain's head, all at one moment."""

    links: Sequence[tuple[Link, Record | None]]
    head: Head


@frozen
class Unlinked:
    """How many records of a tenant are in no link yet, and of these what was passed over: later
    records are linked."""

    number: int
    passed_over: Sequence[str]


class ChainReader(Protocol):
    """What is read of the chains. Transactions and errors are those of `UploadRecords`."""

    def heads(self, tenant_id: str | None = None) -> Sequence[Head]:
        """Where the chains end: of all tenants that have one, or of one tenant, in the order of
        their ids."""
        ...

    def links(self, tenant_id: str, after: int, limit: int) -> ChainPage:
        """The next links of a tenant after this position, in their order, at most `limit`."""
        ...

    def chains(self) -> Mapping[str, Unlinked]:
        """All tenants with a chain or with something that is to be linked, and what is in no link
        yet."""
        ...


class Chain(ChainReader, Protocol):
    """The chains, which any number of couriers on a store make longer."""

    def link(self, limit: int, now: datetime, *, late: bool = True) -> int:
        """Link settled attempts, people's actions and checkpoints that are in no link yet, the
        oldest first.

        Nothing is linked while another courier does it.

        Args:
            limit: The most records that are linked.
            late: Also those that could not be seen before later ones were linked, as far as there
                are any in this kind of database; that takes longer.

        Returns:
            How many were linked.
        """
        ...
