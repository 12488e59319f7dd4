"""Who may use a credential that only one courier at a time may use."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from attrs import define, field

from evidence_courier.domain.tenure import MAKES_WAY, TENURE, WANTED_FOR, Tenure, claim

NOW = datetime(2026, 2, 21, 10, 0, tzinfo=UTC)
MOMENT = timedelta(microseconds=1)
US, THEM = 1, 2


@define
class PaperHolding:
    """What is kept of a credential, as data."""

    kept: Tenure | None = None
    used: bool = False
    written: list[Tenure] = field(factory=list)

    def tenure(self) -> Tenure | None:
        return self.kept

    def in_use(self) -> bool:
        return self.used

    def hold(self, tenure: Tenure) -> None:
        self.written.append(tenure)


def ours(age: timedelta, wanted: timedelta | None = None) -> Tenure:
    return Tenure(US, NOW - age, None if wanted is None else NOW - wanted)


def theirs(age: timedelta) -> Tenure:
    return Tenure(THEM, NOW - age)


def test_what_nobody_has_is_there_for_whoever_asks() -> None:
    holding = PaperHolding()
    assert claim(holding, US, NOW, begins=True) == Tenure(US, NOW)
    assert holding.written == []


def test_another_waits_until_the_holder_has_had_it_for_a_while_and_says_that_it_waits() -> None:
    holding = PaperHolding(theirs(TENURE - MOMENT))
    assert claim(holding, US, NOW, begins=True) is None
    assert holding.written == [Tenure(THEM, NOW - TENURE + MOMENT, wanted_at=NOW)]
    assert claim(PaperHolding(theirs(TENURE)), US, NOW, begins=True) == Tenure(US, NOW)


def test_nothing_is_taken_over_while_a_request_is_under_way() -> None:
    assert claim(PaperHolding(theirs(10 * TENURE), used=True), US, NOW, begins=True) is None


def test_a_holder_goes_on_for_as_long_as_nobody_else_wants_it() -> None:
    tenure = ours(10 * TENURE)
    assert claim(PaperHolding(tenure), US, NOW, begins=True) is tenure


@pytest.mark.parametrize(
    ("age", "wanted", "goes_on"),
    [
        (TENURE - MOMENT, timedelta(0), True),
        (TENURE, timedelta(0), False),
        (TENURE, WANTED_FOR - MOMENT, False),
        (TENURE, WANTED_FOR, True),
        (TENURE, -MOMENT, True),  # a wish from the future: the clock was set back
    ],
)
def test_a_holder_begins_nothing_new_once_its_time_is_over_and_another_waits(
    age: timedelta, wanted: timedelta, goes_on: bool
) -> None:
    holding = PaperHolding(ours(age, wanted))
    assert (claim(holding, US, NOW, begins=True) is not None) is goes_on
    assert holding.written == []


def test_a_holder_always_ends_what_it_has_begun() -> None:
    tenure = ours(TENURE, timedelta(0))
    assert claim(PaperHolding(tenure, used=True), US, NOW, begins=False) is tenure


@pytest.mark.parametrize(
    ("age", "used", "goes_on"),
    [
        (TENURE + MAKES_WAY - MOMENT, True, False),
        (TENURE + MAKES_WAY, True, True),
        (TENURE + MAKES_WAY, False, False),
    ],
)
def test_a_holder_whose_requests_do_not_end_goes_on_after_it_has_made_way_for_a_while(
    age: timedelta, used: bool, goes_on: bool
) -> None:
    tenure = claim(PaperHolding(ours(age, timedelta(0)), used=used), US, NOW, begins=True)
    assert tenure == (Tenure(US, NOW) if goes_on else None)


def test_a_tenure_from_the_future_is_over() -> None:
    assert claim(PaperHolding(theirs(-MOMENT)), US, NOW, begins=True) == Tenure(US, NOW)
