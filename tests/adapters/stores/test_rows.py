"""Values to rows."""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo

import pytest

from evidence_courier.adapters.stores.rows import moment, refused_in, tries_of
from evidence_courier.domain.telling import NOT_REFUSED, Fault, Refused


class _EndOfSummer(tzinfo):
    """Where an hour comes twice: first by summer time, and then by winter time."""

    def utcoffset(self, when: datetime | None) -> timedelta:
        return timedelta(hours=1 if when is not None and when.fold else 2)

    def dst(self, when: datetime | None) -> timedelta:
        return self.utcoffset(when) - timedelta(hours=1)

    def tzname(self, when: datetime | None) -> str:
        return "summer" if self.dst(when) else "winter"


def test_an_hour_that_comes_twice_is_two_moments() -> None:
    """Python takes the two for equal."""
    first = datetime(2026, 10, 25, 2, 30, tzinfo=_EndOfSummer())
    second = first.replace(fold=1)
    assert first == second
    assert (moment(first), moment(second)) == (
        "2026-10-25T00:30:00.000000Z",
        "2026-10-25T01:30:00.000000Z",
    )


@pytest.mark.parametrize(
    ("tries", "refused"),
    [
        (0, NOT_REFUSED),
        *((times, Refused(Fault.UNKNOWN, times)) for times in (1, 7)),
        (-1, Refused(Fault.SINK)),
        *((-1 - times, Refused(Fault.NOTICE, times)) for times in (1, 2, 7)),
    ],
)
def test_one_number_says_how_a_notice_was_refused(tries: int, refused: Refused) -> None:
    """Couriers of several versions read it, so it goes on to mean the same."""
    assert (refused_in(tries), tries_of(refused)) == (refused, tries)
