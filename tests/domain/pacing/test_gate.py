"""What a credential may do now."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from attrs import define, evolve, field
from hypothesis import given
from hypothesis import strategies as st

from evidence_courier.domain.integration import Pace, RetryPolicy
from evidence_courier.domain.pacing.gate import (
    FAIR_UP_TO,
    UNRECORDED,
    YIELD,
    Acquired,
    Block,
    Blocked,
    Cooldown,
    GateChange,
    NotBefore,
    Quota,
    Turn,
    begin,
    block_after,
    change_of,
    cooling_until,
    free_at,
    go_on,
    look_up_time,
    may_overtake,
    patience_of,
)
from evidence_courier.domain.pacing.lease import MIN_LEASE, Lease
from evidence_courier.domain.upload.failure import Failure, FailureKind
from evidence_courier.domain.upload.transitions import Rules

NOW = datetime(2026, 2, 21, 10, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
THREE = Pace(3, MINUTE)
END = datetime.max.replace(tzinfo=UTC)


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("used", "cost", "free"),
    [
        ([], 1, NOW),
        ([ago(1), ago(2)], 1, NOW),
        ([ago(1), ago(2), ago(30)], 1, ago(30) + MINUTE),
        ([ago(1), ago(2), ago(30), ago(50)], 1, ago(30) + MINUTE),
        ([ago(1), ago(2), ago(60)], 1, NOW),
        ([ago(10)], 2, NOW),
        ([ago(1), ago(10)], 2, ago(10) + MINUTE),
        ([ago(7)], 3, ago(7) + MINUTE),
    ],
)
def test_a_period_holds_no_more_than_the_pace(
    used: list[datetime], cost: int, free: datetime
) -> None:
    assert free_at(used, THREE, cost, NOW) == free


def test_a_request_under_way_counts_as_now_as_does_one_from_the_future() -> None:
    """The clock was set back after it."""
    assert free_at([END, END, END], THREE, 1, NOW) == NOW + MINUTE
    assert free_at([NOW + timedelta(days=365)] * 3, THREE, 1, NOW) == NOW + MINUTE


@given(
    st.lists(st.floats(0, 600), min_size=1, max_size=60),
    st.integers(1, 5),
)
def test_requests_made_when_free_never_exceed_the_pace_in_any_stretch(
    gaps: list[float], limit: int
) -> None:
    pace = Pace(limit, MINUTE)
    made: list[datetime] = []
    now = NOW
    for gap in gaps:
        now += timedelta(seconds=gap)
        now = max(now, free_at(sorted(made, reverse=True), pace, 1, now))
        made.append(now)
    for earlier, later in zip(made, made[limit:], strict=False):
        assert later - earlier >= MINUTE


def test_a_pause_is_over_at_its_end() -> None:
    assert cooling_until(None, NOW) is None
    assert cooling_until(Cooldown(ago(60), NOW), NOW) is None
    assert cooling_until(Cooldown(ago(60), NOW + MINUTE), NOW) == NOW + MINUTE


def test_a_clock_that_was_set_back_does_not_lengthen_a_pause() -> None:
    cooldown = Cooldown(NOW + timedelta(days=1), NOW + timedelta(days=1, minutes=5))
    assert cooling_until(cooldown, NOW) == NOW + timedelta(minutes=5)


@pytest.mark.parametrize(
    ("quota", "most"),
    [
        (Quota("c", "a", THREE), 3),
        (Quota("c", "a", THREE, together=2), 6),
        (Quota("c", "a", Pace(50, MINUTE), cost=2), 25),
        (Quota("c", "a", THREE, cost=6), 1),
        (Quota("c", "a", Pace(FAIR_UP_TO, MINUTE)), FAIR_UP_TO),
        (Quota("c", "a", Pace(FAIR_UP_TO + 1, MINUTE)), None),
        (Quota("c", "a"), None),
    ],
)
def test_a_periods_worth_of_uploads_may_overtake(quota: Quota, most: int | None) -> None:
    assert may_overtake(quota) == most


@pytest.mark.parametrize(
    ("quota", "seconds"),
    [
        (Quota("c", "a"), 60),
        (Quota("c", "a", Pace(1, timedelta(seconds=1)), cost=3), 60),
        (Quota("c", "a", THREE, cost=3), 120),
        (Quota("c", "a", THREE, cost=4), 180),
        (Quota("c", "a", Pace(1, MINUTE), cost=6), 420),
    ],
)
def test_the_patience_of_a_caller_that_cannot_wait_counts_in_periods(
    quota: Quota, seconds: int
) -> None:
    assert patience_of(quota) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("quota", "seconds"),
    [
        (Quota("c", "a", cost=9), 100),
        (Quota("c", "a", THREE), 100),
        (Quota("c", "a", THREE, cost=3), 100),
        (Quota("c", "a", THREE, cost=4), 160),
        (Quota("c", "a", THREE, cost=7), 220),
    ],
)
def test_a_look_up_has_the_time_of_a_request_and_of_the_pace_it_needs(
    quota: Quota, seconds: int
) -> None:
    quota = evolve(quota, timeout=timedelta(seconds=100))
    assert look_up_time(quota) == timedelta(seconds=seconds)


PASSAGE = Quota("c", "a", THREE)
END_OF_TURN = GateChange(PASSAGE, NOW, (4, 5), turn=6)
RULES = Rules(retry=RetryPolicy(retry_after_limit=timedelta(minutes=5)), throttle_floor=MINUTE)


@pytest.mark.parametrize(
    ("failure", "cooldown", "blocks"),
    [
        (None, None, False),
        (Failure(FailureKind.TIMEOUT, "no"), None, False),
        (Failure(FailureKind.SERVER_ERROR, "no", retry_after=20.0), 20, False),
        (Failure(FailureKind.RATE_LIMITED, "no"), 60, False),
        (Failure(FailureKind.RATE_LIMITED, "no", retry_after=7.0), 7, False),
        (Failure(FailureKind.RATE_LIMITED, "no", retry_after=99_999.0), 300, False),
        (Failure(FailureKind.UNAUTHORIZED, "no"), None, True),
        (Failure(FailureKind.TARGET_NOT_FOUND, "no"), None, True),
        (Failure(FailureKind.FORBIDDEN, "no"), None, False),
    ],
)
def test_what_an_end_means_for_the_gate(
    failure: Failure | None, cooldown: float | None, blocks: bool
) -> None:
    until = None if cooldown is None else NOW + timedelta(seconds=cooldown)
    assert change_of(END_OF_TURN, failure, RULES) == evolve(
        END_OF_TURN, cooldown_until=until, block=failure if blocks else None
    )


@define
class PaperGate:
    """A gate whose answers are data; `taken`, `opened`, `put` and `held` are what was written."""

    stop: Failure | Block | None = None
    cooling: Cooldown | None = None
    slots: int = 3
    soon: datetime = NOW + MINUTE
    others: Sequence[Turn] = ()
    before: int = 0
    stalled_since: datetime = NOW
    kept: Lease | None = None
    fresh: bool = False
    noted: datetime | None = None
    taken: int = 0
    opened: list[int] = field(factory=list)
    changed: list[Turn] = field(factory=list)
    held: list[Lease] = field(factory=list)

    def block(self) -> Block | None:
        return Block(self.stop, NOW) if isinstance(self.stop, Failure) else self.stop

    def put_block(self, block: Block) -> None:
        self.stop = block

    def cooldown(self) -> Cooldown | None:
        return self.cooling

    def free(self) -> int:
        return self.slots

    def free_at(self, slots: int) -> datetime:
        return self.soon if slots > self.slots else NOW

    def turns(self) -> Sequence[Turn]:
        return self.others

    def ahead(self, most: int) -> int:
        return self.before

    def head_since(self) -> datetime:
        return self.stalled_since

    def fresh_waits(self) -> bool:
        return self.fresh

    def backfill_at(self) -> datetime | None:
        return self.noted

    def note_backfill(self, at: datetime) -> None:
        self.noted = at

    def head_asks(self, noted_before: datetime) -> None:
        if self.before == 0 and self.stalled_since < noted_before:
            self.stalled_since = NOW

    def lease(self) -> Lease | None:
        return self.kept

    def hold(self, lease: Lease) -> None:
        self.held.append(lease)

    def take(self) -> int:
        self.taken += 1
        return 40 + self.taken

    def open(self, courier_id: int, owed: int) -> int:
        self.opened.append(owed)
        return 9

    def put(self, turn: Turn) -> None:
        self.changed.append(turn)


REFUSED = Failure(FailureKind.UNAUTHORIZED, "no")
REVIEW = Failure(FailureKind.CHECK_IN_REVIEW, "in review")
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("before", "failure", "after"),
    [
        (None, REFUSED, Block(REFUSED, NOW)),
        (None, REVIEW, Block(REVIEW, NOW, NOW + HOUR)),
        # A target that still takes nothing, since two hours.
        (Block(REVIEW, NOW - 2 * HOUR, NOW), REVIEW, Block(REVIEW, NOW - 2 * HOUR, NOW + 3 * HOUR)),
        (Block(REVIEW, NOW - HOUR, NOW), REFUSED, Block(REFUSED, NOW)),
        # The first block of an integration stays until a person has changed something.
        (Block(REFUSED, NOW - HOUR), REVIEW, Block(REFUSED, NOW - HOUR)),
        (
            Block(REFUSED, NOW - HOUR),
            Failure(FailureKind.ACCOUNT_LOCKED, "locked"),
            Block(REFUSED, NOW - HOUR),
        ),
    ],
)
def test_a_block_after_a_failure(before: Block | None, failure: Failure, after: Block) -> None:
    assert block_after(before, failure, NOW) == after


@pytest.mark.parametrize(
    ("block", "for_begin", "for_request"),
    [
        (Block(REFUSED, NOW), Blocked(REFUSED), Blocked(REFUSED)),
        (Block(REVIEW, NOW, NOW + HOUR), Blocked(REVIEW, NOW + HOUR), None),
        (Block(REVIEW, NOW, NOW), None, None),
        # The clock was set back.
        (Block(REVIEW, NOW, NOW + 90 * HOUR), Blocked(REVIEW, NOW + 24 * HOUR), None),
    ],
)
def test_a_parked_target_stops_what_begins_and_a_block_every_request(
    block: Block, for_begin: Blocked | None, for_request: Blocked | None
) -> None:
    assert block.answer(NOW, begins=True) == for_begin
    assert block.answer(NOW, begins=False) == for_request


def test_an_upload_that_probes_a_target_parks_it_for_the_others() -> None:
    gate = PaperGate(Block(REVIEW, NOW - HOUR, NOW))
    assert isinstance(begin(gate, PASSAGE, NOW, 1), Acquired)
    assert gate.stop == Block(REVIEW, NOW - HOUR, NOW + HOUR)


@pytest.mark.parametrize(
    ("limit", "failure", "blocks"), [(HOUR, REVIEW, True), (timedelta(0), REVIEW, False)]
)
def test_a_target_is_parked_if_its_uploads_are(
    limit: timedelta, failure: Failure, blocks: bool
) -> None:
    change = change_of(evolve(END_OF_TURN, opens=True), failure, evolve(RULES, park_limit=limit))
    assert change == evolve(END_OF_TURN, block=failure if blocks else None, opens=False)
    assert change.says_nothing is not blocks
    assert END_OF_TURN.says_nothing
    assert not evolve(END_OF_TURN, cooldown_until=NOW).says_nothing


LATER = NOW + MINUTE
TWO_EACH = Quota("c", "a", THREE, cost=2)


def turn(number: int, owed: int = 0, *, waits: bool = False) -> Turn:
    return Turn(number, 7, owed, waits, LATER)


def after_cooldown(seconds: float) -> Cooldown:
    return Cooldown(ago(seconds + 200), ago(seconds))


@pytest.mark.parametrize(
    ("gate", "answer"),
    [
        (PaperGate(), Acquired(41, 9)),
        (PaperGate(slots=0), NotBefore(LATER)),
        (PaperGate(others=[turn(1, 2)]), Acquired(41, 9)),
        (PaperGate(others=[turn(1, 3)]), NotBefore(NOW + YIELD)),
        (PaperGate(others=[turn(1, 2), turn(2, waits=True)]), NotBefore(NOW + YIELD)),
        (PaperGate(others=[turn(n, waits=True) for n in (1, 2, 3)]), NotBefore(LATER)),
        (PaperGate(cooling=Cooldown(NOW, LATER)), NotBefore(LATER)),
        (PaperGate(cooling=Cooldown(ago(60), NOW)), Acquired(41, 9)),
        (PaperGate(stop=REFUSED, cooling=Cooldown(NOW, LATER), slots=0), Blocked(REFUSED)),
        (PaperGate(before=1), NotBefore(NOW + YIELD)),
        (PaperGate(before=1, stalled_since=ago(89)), NotBefore(NOW + YIELD)),
        (PaperGate(before=1, stalled_since=ago(90)), Acquired(41, 9)),
        (
            PaperGate(before=1, stalled_since=ago(300), cooling=after_cooldown(89)),
            NotBefore(NOW + YIELD),
        ),
        (PaperGate(before=1, stalled_since=ago(300), cooling=after_cooldown(90)), Acquired(41, 9)),
    ],
    ids=repr,
)
def test_an_upload_begins_if_a_slot_is_free_beyond_what_is_owed(
    gate: PaperGate, answer: object
) -> None:
    gate = evolve(gate, opened=[])
    assert begin(gate, TWO_EACH, NOW, 7) == answer
    assert (gate.taken, gate.opened) == ((1, [1]) if isinstance(answer, Acquired) else (0, []))


@pytest.mark.parametrize(
    ("gate", "patience", "since"),
    [
        (PaperGate(slots=0, stalled_since=ago(90)), None, NOW),
        (PaperGate(slots=1, stalled_since=ago(90)), MINUTE, NOW),
        (PaperGate(slots=0, stalled_since=ago(15)), None, ago(15)),
        (PaperGate(slots=0, stalled_since=ago(90), before=1), None, ago(90)),
        (PaperGate(stalled_since=ago(90), cooling=Cooldown(NOW, LATER)), None, ago(90)),
    ],
    ids=["no slot", "not all slots", "noted lately", "not the head", "a cooldown"],
)
def test_a_head_of_the_line_that_asks_and_finds_no_slot_is_not_stalled(
    gate: PaperGate, patience: timedelta | None, since: datetime
) -> None:
    assert isinstance(begin(gate, TWO_EACH, NOW, 7, patience=patience), NotBefore)
    assert gate.stalled_since == since


def test_what_is_owed_nothing_more_opens_no_turn() -> None:
    gate = PaperGate()
    assert begin(gate, PASSAGE, NOW, 7) == Acquired(41)
    assert gate.opened == []


def test_what_does_not_leave_at_once_takes_no_slot() -> None:
    gate = PaperGate()
    assert begin(gate, TWO_EACH, NOW, 7, leaves=False) == Acquired(None, 9)
    assert (gate.taken, gate.opened) == (0, [2])


def test_who_cannot_wait_comes_back_when_all_that_is_owed_has_left() -> None:
    """Others ask again soon: a turn may end with fewer requests than it is expected to make."""
    gate = PaperGate(others=[turn(1, 3)])
    assert begin(gate, TWO_EACH, NOW, 7) == NotBefore(NOW + YIELD)
    assert begin(gate, TWO_EACH, NOW, 7, patience=2 * MINUTE) == NotBefore(LATER)


def test_at_a_short_period_a_turn_is_owed_a_slot_only_while_it_waits() -> None:
    second = Pace(3, timedelta(seconds=1))
    fast = Quota("c", "a", second, cost=6)
    assert begin(PaperGate(others=[turn(1, 5)]), fast, NOW, 7) == Acquired(41, UNRECORDED)
    assert isinstance(
        begin(PaperGate(slots=1, others=[turn(1, 5, waits=True)]), fast, NOW, 7), NotBefore
    )


@pytest.mark.parametrize(
    ("patience", "answer"),
    [
        (None, Acquired(41, 9)),
        (2 * MINUTE, Acquired(41, 9)),
        (MINUTE, NotBefore(LATER - MINUTE / 2)),
    ],
)
def test_who_cannot_wait_begins_if_all_requests_can_leave_in_half_the_time(
    patience: timedelta | None, answer: object
) -> None:
    """That is half of the longest wait that it accepts."""
    assert begin(PaperGate(slots=1), TWO_EACH, NOW, 7, patience=patience) == answer


@pytest.mark.parametrize(
    ("gate", "number", "answer"),
    [
        (PaperGate(slots=1), 5, Acquired(41, 5)),
        (PaperGate(slots=1), None, Acquired(41, UNRECORDED)),
        (PaperGate(slots=1), UNRECORDED, Acquired(41, UNRECORDED)),
        (PaperGate(slots=0), 5, NotBefore(LATER)),
        (PaperGate(slots=1, others=[turn(4, 3)]), 5, Acquired(41, 5)),
        (PaperGate(slots=1, others=[turn(4, waits=True)]), 5, NotBefore(LATER)),
        (PaperGate(slots=1, others=[turn(4, waits=True)]), None, NotBefore(LATER)),
        (PaperGate(slots=1, others=[turn(6, waits=True)]), 5, Acquired(41, 5)),
        (PaperGate(cooling=Cooldown(NOW, LATER)), 5, NotBefore(LATER)),
        (PaperGate(stop=REFUSED), 5, Blocked(REFUSED)),
    ],
    ids=repr,
)
def test_what_has_begun_goes_on_unless_an_older_turn_waits(
    gate: PaperGate, number: int | None, answer: object
) -> None:
    gate = evolve(gate, changed=[])
    assert go_on(gate, PASSAGE, NOW, 7, number) == answer
    waits = number is not None and isinstance(answer, NotBefore)
    assert [one.id for one in gate.changed if one.waits] == ([number] if waits else [])


def test_a_turn_that_has_begun_is_recorded_when_it_waits() -> None:
    gate = PaperGate(slots=0)
    refused = go_on(gate, PASSAGE, NOW, 7, UNRECORDED)
    assert isinstance(refused, NotBefore) and refused.turn == 9
    assert gate.changed == [Turn(9, 7, 0, True, NOW + PASSAGE.timeout)]
    refused = go_on(gate, PASSAGE, NOW, 7, None)
    assert isinstance(refused, NotBefore) and refused.turn is None
    assert len(gate.opened) == 1


def test_a_turn_is_owed_one_request_less_with_each_that_leaves() -> None:
    now = LATER + MINUTE
    assert turn(1, 2, waits=True).sending(now, MINUTE) == Turn(1, 7, 1, False, now + MINUTE)
    assert turn(1, 0).sending(now, MINUTE).owed == 0


def test_that_a_turn_waits_is_noted_once_in_a_while() -> None:
    waits = turn(1, 2).waiting(NOW, MINUTE)
    assert waits == Turn(1, 7, 2, True, LATER)
    assert waits.waiting(NOW + MINUTE / 3, MINUTE) is waits
    assert waits.waiting(NOW + MINUTE / 2, MINUTE).until == LATER + MINUTE / 2


EXCLUSIVE = Quota("c", "a", THREE, exclusive=True)


def test_a_credential_that_only_one_may_use_is_held_once_it_is_used() -> None:
    gate = PaperGate()
    assert begin(gate, EXCLUSIVE, NOW, 7) == Acquired(41, 9, NOW)
    assert gate.held == [Lease(7, NOW)]
    gate = PaperGate(kept=Lease(7, ago(5)))
    assert go_on(gate, EXCLUSIVE, NOW, 7, 5) == Acquired(41, 5, ago(5))
    assert gate.held == []


def test_who_comes_second_waits_a_moment_and_takes_nothing() -> None:
    gate = PaperGate(kept=Lease(8, NOW))
    assert begin(gate, EXCLUSIVE, NOW, 7) == NotBefore(NOW + YIELD)
    assert (gate.taken, gate.held) == (0, [Lease(8, NOW, wanted_at=NOW)])


def test_who_must_wait_for_the_pace_takes_no_lease_meanwhile() -> None:
    gate = PaperGate(slots=0)
    assert begin(gate, EXCLUSIVE, NOW, 7) == NotBefore(LATER)
    assert go_on(gate, EXCLUSIVE, NOW, 7, None) == NotBefore(LATER)
    assert gate.held == []


def test_only_what_begins_an_upload_makes_way_for_another_courier() -> None:
    wanted = Lease(7, NOW - MIN_LEASE, wanted_at=NOW)
    assert begin(PaperGate(kept=wanted), EXCLUSIVE, NOW, 7) == NotBefore(NOW + YIELD)
    assert go_on(PaperGate(kept=wanted), EXCLUSIVE, NOW, 7, 5) == Acquired(41, 5, wanted.since)


def test_without_a_pace_nothing_is_taken_and_a_block_holds() -> None:
    gate = PaperGate(slots=0)
    unpaced = Quota("c", "a")
    assert begin(gate, unpaced, NOW, 7) == go_on(gate, unpaced, NOW, 7, None) == Acquired()
    assert gate.taken == 0
    assert go_on(PaperGate(stop=REFUSED), unpaced, NOW, 7, None) == Blocked(REFUSED)


def test_a_begun_pause_is_unchanged_and_one_from_the_future_begins_now() -> None:
    cooldown = Cooldown(ago(60), LATER)
    assert cooldown.as_of(NOW) is cooldown
    cooldown = Cooldown(NOW, LATER)
    assert cooldown.as_of(NOW) is cooldown
    assert Cooldown(LATER, LATER + MINUTE).as_of(NOW) == Cooldown(NOW, NOW + MINUTE)
