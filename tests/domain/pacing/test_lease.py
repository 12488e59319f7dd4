"""Who may use a credential that only one courier at a time may use."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from attrs import define, field

from evidence_courier.domain.pacing.lease import MIN_LEASE, REQUEST_TTL, YIELD_FOR, Lease, acquire
from evidence_courier.domain.upload.backoff import LATE

NOW = datetime(2026, 2, 21, 10, 0, tzinfo=UTC)
MOMENT = timedelta(microseconds=1)
US, THEM = 1, 2
PERIOD = timedelta(minutes=1)


@define
class PaperHolding:
    """What is kept of a credential, as data."""

    kept: Lease | None = None
    used: bool = False
    written: list[Lease] = field(factory=list)

    def lease(self) -> Lease | None:
        return self.kept

    def hold(self, lease: Lease) -> None:
        self.written.append(lease)


def asked(holding: PaperHolding, *, begins: bool) -> Lease | None:
    in_use_by = {holding.kept.holder} if holding.used and holding.kept is not None else set()
    return acquire(holding, PERIOD, US, NOW, in_use_by, begins)


def ours(age: timedelta, wanted: timedelta | None = None) -> Lease:
    return Lease(US, NOW - age, None if wanted is None else NOW - wanted)


def theirs(age: timedelta) -> Lease:
    return Lease(THEM, NOW - age)


def test_a_free_lease_goes_to_the_caller() -> None:
    holding = PaperHolding()
    assert asked(holding, begins=True) == Lease(US, NOW)
    assert holding.written == []


def test_another_waits_until_the_lease_is_old_enough_and_says_so() -> None:
    holding = PaperHolding(theirs(MIN_LEASE - MOMENT))
    assert asked(holding, begins=True) is None
    assert holding.written == [Lease(THEM, NOW - MIN_LEASE + MOMENT, wanted_at=NOW)]
    assert asked(PaperHolding(theirs(MIN_LEASE)), begins=True) == Lease(US, NOW)


def test_nothing_is_taken_over_while_a_turn_is_open() -> None:
    assert asked(PaperHolding(theirs(10 * MIN_LEASE), used=True), begins=True) is None


def test_a_holder_goes_on_for_as_long_as_no_one_else_wants_it() -> None:
    lease = ours(10 * MIN_LEASE)
    assert asked(PaperHolding(lease), begins=True) is lease


@pytest.mark.parametrize(
    ("age", "wanted", "goes_on"),
    [
        (MIN_LEASE - MOMENT, timedelta(0), True),
        (MIN_LEASE, timedelta(0), False),
        (MIN_LEASE, REQUEST_TTL - MOMENT, False),
        (MIN_LEASE, REQUEST_TTL, True),
        (MIN_LEASE, -MOMENT, True),  # a wish from the future: the clock was set back
    ],
)
def test_a_holder_begins_nothing_new_after_its_time_if_another_waits(
    age: timedelta, wanted: timedelta, goes_on: bool
) -> None:
    holding = PaperHolding(ours(age, wanted))
    assert (asked(holding, begins=True) is not None) is goes_on
    assert holding.written == []


def test_a_holder_always_ends_what_it_has_begun() -> None:
    lease = ours(MIN_LEASE, timedelta(0))
    assert asked(PaperHolding(lease, used=True), begins=False) is lease


@pytest.mark.parametrize(
    ("age", "used", "goes_on"),
    [
        (MIN_LEASE + PERIOD + YIELD_FOR - MOMENT, True, False),
        (MIN_LEASE + PERIOD + YIELD_FOR, True, True),
        (MIN_LEASE + PERIOD + YIELD_FOR, False, False),
    ],
)
def test_a_holder_whose_requests_do_not_end_goes_on_after_yielding(
    age: timedelta, used: bool, goes_on: bool
) -> None:
    lease = asked(PaperHolding(ours(age, timedelta(0)), used=used), begins=True)
    assert lease == (Lease(US, NOW) if goes_on else None)


def test_a_lease_from_the_future_is_over_but_not_for_one_that_is_late() -> None:
    assert asked(PaperHolding(theirs(-LATE - MOMENT)), begins=True) == Lease(US, NOW)
    assert asked(PaperHolding(theirs(-LATE)), begins=True) is None
