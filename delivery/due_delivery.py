"""What a call of `deliver_due` has done."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from ..domain.upload.upload import Failed, Held, is_parked
from .active import ActiveUpload


@frozen
class DueDelivery:
    """What a call of `deliver_due` has done: `taken` uploads were attempted or looked up, and
    `settled` of them are at rest now. `more`: the time was over before all that was due had
    ended."""

    taken: int = 0
    settled: int = 0
    more: bool = False

    def with_turn(self, uploads: Sequence[ActiveUpload]) -> DueDelivery:
        """The same with the uploads of one more turn."""
        settled = sum([one.upload.at_rest for one in uploads])
        return DueDelivery(self.taken + len(uploads), self.settled + settled, self.more)


def any_is_stopped(uploads: Sequence[ActiveUpload]) -> bool:
    """Whether people may have to know of one: it has failed, is held or is parked."""
    states = [one.upload.state for one in uploads]
    return any(isinstance(one, Failed | Held) or is_parked(one) for one in states)
