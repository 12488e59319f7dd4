"""What becomes of the uploads of a turn that has ended."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from attrs import define, evolve, field
from in_hand import NOW, Listener, home, in_hand, waiting

from evidence_courier.delivery.active import ActiveUploads
from evidence_courier.delivery.breaker import SILENT_AFTER
from evidence_courier.domain.upload.failure import Failure, FailureKind
from evidence_courier.domain.upload.status import UploadStatus
from evidence_courier.domain.upload.upload import Held
from evidence_courier.ports.logger import LogEvent
from evidence_courier.ports.records import Entry
from evidence_courier.testing import FakeClock


@define(eq=False)
class Waiter:
    """One who waits, and the statuses that it was given."""

    statuses: list[UploadStatus | None] = field(factory=list)
    lost: list[str] = field(factory=list)

    def mark_settled(self, status: UploadStatus | None) -> None:
        self.statuses.append(status)

    def mark_lost(self, error: Exception) -> None:
        self.lost.append(str(error))

    def loosely(self, dropped: Callable[[], object]) -> Callable[[], Waiter | None]:
        return lambda: self


@pytest.mark.parametrize("gone", [False, True])
def test_an_end_as_the_origin_answers_again_is_reported_at_once(gone: bool) -> None:
    clock = FakeClock(NOW)
    active = in_hand(clock)
    for name in map(str, range(SILENT_AFTER)):
        timed_out = active.add(waiting(name, home(f"the credential of {name}"), NOW))
        ((taken,),) = active.take(NOW)
        assert taken is timed_out
        timed_out.answered = False
        timed_out.upload = waiting(name, home(), NOW + timedelta(seconds=30)).upload
        active.finish([timed_out], None)
    waiter = Waiter()
    parked = active.add(waiting("parked", home(), NOW))
    parked.waiters.append(waiter)
    assert [*active.take(NOW)] == [[parked]]
    later = NOW + timedelta(hours=1)
    parked.upload = waiting("parked", home(), later, kind=FailureKind.CHECK_IN_REVIEW).upload
    parked.answered, parked.gone = True, gone
    active.finish([parked], None)
    assert [status and status.status for status in waiter.statuses] == (
        [] if gone else ["retrying"]
    )
    assert len(waiter.lost) == gone
    assert parked.upload.key not in active


@define
class Heard(Listener):
    """What the listener of a courier hears: what it logs, and of each end whether it is another's
    doing."""

    logged: list[LogEvent] = field(factory=list)
    ends: list[bool] = field(factory=list)

    def log(self, event: LogEvent) -> None:
        self.logged.append(event)

    def settled(self, status: UploadStatus, *, elsewhere: bool = False) -> None:
        self.ends.append(elsewhere)


@pytest.mark.parametrize("way", ["own turn", "lost turn", "own action", "read"])
def test_an_end_is_reported_with_whether_another_has_brought_it(way: str) -> None:
    heard, waiter = Heard(), Waiter()
    active = ActiveUploads(FakeClock(NOW), heard, 1_000, 10_000_000)
    one = active.add(waiting("ev-1", home(), NOW))
    one.waiters.append(waiter)
    state = Held(Failure(FailureKind.REFUSED, "no"))
    held = evolve(one.upload, state=state, version=one.upload.version + 1)
    if way.endswith("turn"):
        assert [*active.take(NOW)] == [[one]]
        if way == "own turn":
            one.upload = held
        else:
            one.adopt(held)
        active.finish([one], None)
    else:
        active.update(one.upload.key, Entry(held, one.dossier), ours=way == "own action")
    assert [status and status.status for status in waiter.statuses] == ["held"]
    assert heard.ends == [not way.startswith("own")]
    assert len(heard.logged) == way.startswith("own")  # that it is held, of which one tells
