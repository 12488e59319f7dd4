"""When requests may leave: what a store must offer for each credential. See `domain.pacing`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol, TypeAlias

from attrs import frozen

from ..domain.pacing.gate import Acquired, Blocked, NotBefore, Quota
from ..domain.upload.upload import Upload, UploadKey
from .records import Conflict


@frozen
class Acquire:
    """One request of a courier is ready to leave, at `at`.

    `turn` is the turn that it belongs to, as the last answer says; None: none is recorded. The
    slots `ended` are those of earlier requests that have ended: they count from `at`, whatever the
    answer is. `key` is the upload that it is for. With `look_up` a look-up begins: that is the
    upload as it is while it is looked up. It is written only if the stored version is
    `look_up.version - 1` and the request may leave, and nothing that is paused is looked up.
    """

    quota: Quota
    at: datetime
    courier_id: int
    turn: int | None = None
    ended: tuple[int, ...] = ()
    key: UploadKey | None = None
    look_up: Upload | None = None


AcquireAnswer: TypeAlias = Acquired | NotBefore | Blocked | Conflict


class Gates(Protocol):
    """Pace, cool-down, block and lease of every credential. Transactions and errors are those of
    `UploadRecords`."""

    def acquire(self, requests: Sequence[Acquire]) -> Sequence[AcquireAnswer]:
        """Ask for slots for requests that are ready to leave, apart from those that an attempt
        begins with. NotBefore: the turn waits for a slot from now on. Conflict: a look-up does not
        begin, because another courier has written the upload."""
        ...

    def fingerprint_key(self) -> bytes:
        """The key under which credentials are fingerprinted in this store: made with the store and
        never changed."""
        ...
