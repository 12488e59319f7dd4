"""What becomes of the uploads of a turn that has ended."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from attrs import define, field
from in_hand import NOW, home, in_hand, waiting

from evidence_courier.delivery.breaker import SILENT_AFTER
from evidence_courier.domain.upload.failure import FailureKind
from evidence_courier.domain.upload.status import UploadStatus
from evidence_courier.testing import FakeClock


@define(eq=False)
class Told:
    """One who waits, and what it was told."""

    statuses: list[UploadStatus | None] = field(factory=list)
    lost: list[str] = field(factory=list)

    def mark_settled(self, status: UploadStatus | None) -> None:
        self.statuses.append(status)

    def mark_lost(self, error: Exception) -> None:
        self.lost.append(str(error))

    def loosely(self, dropped: Callable[[], object]) -> Callable[[], Told | None]:
        return lambda: self


@pytest.mark.parametrize("gone", [False, True])
def test_what_ends_as_its_origin_answers_again_is_told_of_at_once(gone: bool) -> None:
    clock = FakeClock(NOW)
    active = in_hand(clock)
    for name in map(str, range(SILENT_AFTER)):
        timed_out = active.add(waiting(name, home(f"the credential of {name}"), NOW))
        ((taken,),) = active.take(NOW)
        assert taken is timed_out
        timed_out.answered = False
        timed_out.upload = waiting(name, home(), NOW + timedelta(seconds=30)).upload
        active.finish([timed_out], None)
    told = Told()
    parked = active.add(waiting("parked", home(), NOW))
    parked.waiters.append(told)
    assert [*active.take(NOW)] == [[parked]]
    later = NOW + timedelta(hours=1)
    parked.upload = waiting("parked", home(), later, kind=FailureKind.CHECK_IN_REVIEW).upload
    parked.answered, parked.gone = True, gone
    active.finish([parked], None)
    assert [status and status.status for status in told.statuses] == ([] if gone else ["retrying"])
    assert len(told.lost) == gone
    assert parked.upload.key not in active
