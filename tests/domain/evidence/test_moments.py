"""Moments as people and programs write them, and what is wrong with those that are none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from evidence_courier.domain.evidence.moments import parse_moment, write_moment

AT = datetime(2026, 2, 21, 10, 0, tzinfo=UTC)
SUCH_AS = "such as 2026-02-21T10:00:00Z"


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-02-21T10:00:00Z", AT),
        ("2026-02-21t15:30:00+05:30", AT),
        ("2026-02-21T10:00:00.5z", AT + timedelta(milliseconds=500)),
        ("2026-02-21T10:00:00.123456789Z", AT + timedelta(microseconds=123_456)),
        ("2016-12-31T23:59:60Z", datetime(2016, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ],
)
def test_a_text_names_a_moment(text: str, moment: datetime) -> None:
    """A leap second is the second before it."""
    assert parse_moment(text) == moment


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("2026-02-21", f"needs a time of day and a time zone, {SUCH_AS}"),
        ("2026-02-21 10:00:00Z", f"needs a T between the date and the time, {SUCH_AS}"),
        ("2026-02-21T10:00Z", f"needs seconds, {SUCH_AS}"),
        ("2026-02-21T10:00:00,5Z", "needs a point before its fractions of a second, not a comma"),
        (
            "2026-02-21T10:00:00",
            "needs a time zone at its end: Z for UTC, or an offset such as +05:30",
        ),
        ("2026-02-21T10:00:00+0530", "needs a colon in its time zone, such as +05:30"),
        ("2026-02-21T10:00:00+05", "needs minutes in its time zone, such as +05:30"),
        ("2026-02-21T10:00:00.1234567890Z", "has more than nine digits after its point"),
        ("now", f"must be a date and time, {SUCH_AS}"),
        ("2026-02-30T10:00:00Z", "names a day that does not exist"),
        ("2026-02-21T25:00:00Z", "names a time of day that does not exist"),
        ("2026-02-21T10:00:60Z", "names a time of day that does not exist"),
        ("2026-02-21T10:00:00+05:60", "names a time zone that does not exist"),
        ("2026-02-21T10:00:00+24:00", "names a time zone that does not exist"),
    ],
)
def test_a_text_that_names_no_moment_says_what_is_wrong(text: str, wrong: str) -> None:
    with pytest.raises(ValueError, match="^[a-z]") as refused:
        parse_moment(text)
    assert str(refused.value) == wrong


def test_a_moment_is_written_in_utc() -> None:
    east = timezone(timedelta(hours=5, minutes=30))
    assert write_moment(AT.astimezone(east)) == "2026-02-21T10:00:00Z"
    assert write_moment(AT + timedelta(microseconds=5)) == "2026-02-21T10:00:00.000005Z"
