"""When requests may leave: what a store must offer for each credential. See `domain.pacing`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol, TypeAlias

from attrs import frozen

from ..domain.pacing.gate import Acquired, Blocked, NotBefore, Quota
from ..domain.upload.upload import UploadKey


@frozen
class Acquire:
    """One request of a courier is ready to leave, at `at`.

    `turn` is the turn that it belongs to, as the last answer says; None begins one, as a look-up of
    the upload `key` does. The slots `ended` are those of earlier requests that have ended: they
    count from `at`, whatever the answer is.
    """

    quota: Quota
    at: datetime
    courier_id: int
    turn: int | None = None
    ended: tuple[int, ...] = ()
    key: UploadKey | None = None


AcquireAnswer: TypeAlias = Acquired | NotBefore | Blocked


class Gates(Protocol):
    """Pace, cool-down, block and lease of every credential. Transactions and errors are those of
    `UploadRecords`."""

    def acquire(self, requests: Sequence[Acquire]) -> Sequence[AcquireAnswer]:
        """Ask for slots for requests that are ready to leave, apart from those that a turn begins
        with. NotBefore: the turn waits for a slot from now on."""
        ...

    def fingerprint_key(self) -> bytes:
        """The key under which credentials are fingerprinted in this store: made with the store and
        never changed."""
        ...
