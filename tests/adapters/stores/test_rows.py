"""Values to rows."""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo

from evidence_courier.adapters.stores.rows import moment


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
