"""When requests may leave: what a store must offer for each credential. See `domain.pacing`."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol, TypeAlias

from attrs import frozen

from ..domain.pacing.gate import Blocked, GateChange, NotBefore, Quota


@frozen
class Charged:
    """One request more may be made, in this slot (None: nothing paces it)."""

    slot: int | None


ChargeAnswer: TypeAlias = Charged | NotBefore | Blocked


class Gates(Protocol):
    """Pace, pause, block and lease of every credential. Transactions and errors are those of
    `Records`."""

    def charge(self, quota: Quota, at: datetime, courier_id: int) -> ChargeAnswer:
        """Ask for one request of a courier that is no upload's first: a look-up, a token, a second
        step."""
        ...

    def settle(self, change: GateChange) -> None:
        """Record the end of requests that belong to no upload. Its block is not written."""
        ...

    def unblock(self, tenant_id: str, provider: str) -> None:
        """Forget the blocks of a tenant's integration: a person says that it may work again."""
        ...

    def fingerprint_key(self) -> bytes:
        """The key under which credentials are fingerprinted in this store: made with the store and
        never changed."""
        ...
