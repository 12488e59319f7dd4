"""The couriers on a store: who is alive, and who is sending what."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from .records import Entry

NO_TENANTS: Mapping[int, Collection[str]] = {}


class Couriers(Protocol):
    """The registration of couriers. Transactions and errors are those of `UploadRecords`."""

    def heartbeat(self, courier_id: int | None, now: datetime) -> int:
        """The courier is alive; None registers one that begins to work. Returns its courier id."""
        ...

    def unregister(self, courier_id: int) -> None:
        """The courier has ended, or is dead and what it left has been recovered.

        Its lease of a credential ends. What it has in flight is a dead courier's from now on.
        """
        ...

    def dead(
        self, caller: int, limit: int, without: Mapping[int, Collection[str]] = NO_TENANTS
    ) -> Mapping[int, Sequence[Entry]]:
        """The couriers that are believed dead, except `caller`, each with what it was sending.

        Args:
            limit: The most uploads of each courier.
            without: For each courier, the tenants whose uploads are left out.
        """
        ...
