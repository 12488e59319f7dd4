"""Who may use a credential that only one courier at a time may use."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from attrs import define, field

from evidence_courier.domain.pacing.lease import MIN_LEASE, REQUEST_TTL, YIELD_FOR, Lease, claim

NOW = datetime(2026, 2, 21, 10, 0, tzinfo=UTC)
MOMENT = timedelta(microseconds=1)
US, THEM = 1, 2


@define
class PaperHolding:
    """What is kept of a credential, as data."""

    kept: Lease | None = None
    used: bool = False
    written: list[Lease] = field(factory=list)

    def tenure(self) -> Lease | None:
        return self.kept

    def in_use(self) -> bool:
        return self.used

    def hold(self, tenure: Lease) -> None:
        self.written.append(tenure)


def ours(age: timedelta, wanted: timedelta | None = None) -> Lease:
    return Lease(US, NOW - age, None if wanted is None else NOW - wanted)


def theirs(age: timedelta) -> Lease:
    return Lease(THEM, NOW - age)


def test_what_nobody_has_is_there_for_whoever_asks() -> None:
    holding = PaperHolding()
    assert claim(holding, US, NOW, begins=True) == Lease(US, NOW)
    assert holding.written == []


def test_another_waits_until_the_lease_is_old_enough_and_says_so() -> None:
    holding = PaperHolding(theirs(MIN_LEASE - MOMENT))
    assert claim(holding, US, NOW, begins=True) is None
    assert holding.written == [Lease(THEM, NOW - MIN_LEASE + MOMENT, wanted_at=NOW)]
    assert claim(PaperHolding(theirs(MIN_LEASE)), US, NOW, begins=True) == Lease(US, NOW)


def test_nothing_is_taken_over_while_a_request_is_under_way() -> None:
    assert claim(PaperHolding(theirs(10 * MIN_LEASE), used=True), US, NOW, begins=True) is None


def test_a_holder_goes_on_for_as_long_as_nobody_else_wants_it() -> None:
    tenure = ours(10 * MIN_LEASE)
    assert claim(PaperHolding(tenure), US, NOW, begins=True) is tenure


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
    assert (claim(holding, US, NOW, begins=True) is not None) is goes_on
    assert holding.written == []


def test_a_holder_always_ends_what_it_has_begun() -> None:
    tenure = ours(MIN_LEASE, timedelta(0))
    assert claim(PaperHolding(tenure, used=True), US, NOW, begins=False) is tenure


@pytest.mark.parametrize(
    ("age", "used", "goes_on"),
    [
        (MIN_LEASE + YIELD_FOR - MOMENT, True, False),
        (MIN_LEASE + YIELD_FOR, True, True),
        (MIN_LEASE + YIELD_FOR, False, False),
    ],
)
def test_a_holder_whose_requests_do_not_end_goes_on_after_yielding(
    age: timedelta, used: bool, goes_on: bool
) -> None:
    tenure = claim(PaperHolding(ours(age, timedelta(0)), used=used), US, NOW, begins=True)
    assert tenure == (Lease(US, NOW) if goes_on else None)


def test_a_tenure_from_the_future_is_over() -> None:
    assert claim(PaperHolding(theirs(-MOMENT)), US, NOW, begins=True) == Lease(US, NOW)
