"""What goes together in one request, and what only one courier at a time may use, on every store."""

from __future__ import annotations

from datetime import datetime, timedelta

from attrs import evolve
from stored import AT, entry, started

from evidence_courier.domain.failure import Failure, FailureKind
from evidence_courier.domain.gate import COURTESY, GateChange, NotBefore, Passage, Shut
from evidence_courier.domain.integration import Pace
from evidence_courier.domain.tenure import TENURE
from evidence_courier.domain.upload import Sending
from evidence_courier.ports.store import Begun, Change, Charged, Conflict, Start, UploadStore

MINUTE = timedelta(minutes=1)
TOGETHER = Passage("credential", "address", Pace(2, MINUTE), together=3)
ALONE = Passage("credential", "address", Pace(100, MINUTE), exclusive=True)


def starts(
    store: UploadStore, names: str, passage: Passage, at: datetime = AT, owner: int = 1
) -> list[Start]:
    """One recorded upload for each letter, about to begin."""
    entries = [evolve(entry(name, content=name.encode()), credential=passage.credential) for name in names]
    store.add(entries)
    return [evolve(started(new.upload, at), passage=passage, owner=owner) for new in entries]


def test_uploads_that_go_together_take_one_slot(store: UploadStore) -> None:
    first, second, third = store.begin_together(starts(store, "abc", TOGETHER))
    assert isinstance(first, Begun)
    assert len(first.slots) == 1
    assert (first.content, second, third) == (b"a", Begun(b"b"), Begun(b"c"))
    (fourth,) = store.begin(starts(store, "d", TOGETHER))
    assert isinstance(fourth, Begun)
    assert store.begin_together(starts(store, "ef", TOGETHER)) == [NotBefore(AT + MINUTE)] * 2


def test_one_that_somebody_else_has_begun_keeps_no_other_back_and_takes_no_slot(store: UploadStore) -> None:
    lost, kept = starts(store, "ab", TOGETHER)
    store.begin([lost])
    conflict, begun = store.begin_together([lost, kept])
    assert conflict == Conflict(lost.upload)
    assert isinstance(begun, Begun)
    assert len(begun.slots) == 1
    assert store.begin_together([lost, kept]) == [Conflict(lost.upload), Conflict(kept.upload)]


def test_what_is_refused_together_is_begun_by_none(store: UploadStore) -> None:
    (one,) = starts(store, "a", TOGETHER)
    refused = Failure(FailureKind.UNAUTHORIZED, "no")
    store.begin([one])
    store.save([Change(evolve(one.upload, version=3), gate=GateChange(TOGETHER, AT, block=refused))])
    both = starts(store, "bc", TOGETHER)
    assert store.begin_together(both) == [Shut(refused)] * 2
    there = store.get([start.upload.key for start in both])
    assert not any(isinstance(found.upload.state, Sending) for found in there.values())


def test_nobody_steps_aside_for_fewer_than_a_periods_worth_of_full_requests(store: UploadStore) -> None:
    waiting = starts(store, "abcdef", TOGETHER)
    (late,) = starts(store, "z", TOGETHER)
    assert store.begin_together([late]) == [NotBefore(AT + COURTESY)]
    store.begin_together(waiting[:1])
    (begun,) = store.begin_together([late])
    assert isinstance(begun, Begun)


def test_a_status_is_estimated_by_how_many_go_together(store: UploadStore) -> None:
    store.begin_together(starts(store, "abc", TOGETHER))
    starts(store, "defghi", TOGETHER)
    statuses = store.statuses("acme", list("defghi"), AT)
    assert [statuses[name].next_attempt_at for name in "dghi"] == [AT, *[AT + MINUTE] * 3]


def test_only_one_courier_at_a_time_uses_an_exclusive_credential(store: UploadStore) -> None:
    ours, theirs = store.enlist(AT), store.enlist(AT)
    (begun,) = store.begin(starts(store, "a", ALONE, owner=ours))
    assert isinstance(begun, Begun)
    (mine,) = starts(store, "b", ALONE, owner=theirs)
    assert store.begin([mine]) == [NotBefore(AT + COURTESY)]
    assert store.charge(ALONE, AT, theirs) == NotBefore(AT + COURTESY)
    assert isinstance(store.charge(ALONE, AT, ours), Charged)


def test_it_is_handed_over_when_nothing_is_under_way_and_its_time_is_over(store: UploadStore) -> None:
    ours, theirs = store.enlist(AT), store.enlist(AT)
    (start,) = starts(store, "a", ALONE, owner=ours)
    (begun,) = store.begin([start])
    assert isinstance(begun, Begun)
    over = AT + TENURE
    assert store.charge(ALONE, over, theirs) == NotBefore(over + COURTESY)  # our request is under way
    ended = evolve(start.upload, version=start.upload.version + 1)
    store.save([Change(ended, gate=GateChange(ALONE, over, begun.slots))])
    # They wait, so we begin nothing new; and so it becomes theirs.
    (ours_next,) = starts(store, "b", ALONE, over, ours)
    assert store.begin([ours_next]) == [NotBefore(over + COURTESY)]
    assert isinstance(store.charge(ALONE, over, theirs), Charged)
    assert store.charge(ALONE, over, ours) == NotBefore(over + COURTESY)


def test_a_courier_that_ends_lets_go_of_it(store: UploadStore) -> None:
    ours, theirs = store.enlist(AT), store.enlist(AT)
    assert isinstance(store.charge(ALONE, AT, ours), Charged)
    store.discharge(ours)
    assert isinstance(store.charge(ALONE, AT, theirs), Charged)


def test_a_request_of_no_upload_counts_from_its_end_and_may_ask_for_patience(store: UploadStore) -> None:
    one_a_minute = Passage("credential", "address", Pace(1, MINUTE), patience=5 * MINUTE)
    charged = store.charge(one_a_minute, AT, 1)
    assert isinstance(charged, Charged) and charged.slot is not None
    end = AT + timedelta(seconds=10)
    refused = Failure(FailureKind.UNAUTHORIZED, "no")
    store.settle(GateChange(one_a_minute, end, (charged.slot,), block=refused))
    assert store.charge(one_a_minute, end, 1) == NotBefore(
        end + MINUTE
    )  # and no block of what was not an upload
    store.settle(GateChange(one_a_minute, end, pause_until=AT + 2 * MINUTE))
    assert store.charge(one_a_minute, end + MINUTE, 1) == NotBefore(AT + 2 * MINUTE)
