"""What a call of `deliver_due` has done."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

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
