"""Retry-After, in both forms and in none."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evidence_courier.domain.upload.retry_after import (
    MAX_RETRY_AFTER,
    retry_after,
    retry_after_seconds,
)

AT = datetime(2026, 2, 21, 10, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        (" 0 ", 0.0),
        ("1.5", 1.5),
        ("Sat, 21 Feb 2026 10:02:00 GMT", 120.0),
        ("Saturday, 21-Feb-26 10:02:00 GMT", 120.0),
        ("Sat Feb 21 10:02:00 2026", 120.0),
        ("Sun Mar  1 10:00:00 2026", 8 * 86_400.0),
        ("Sat, 21 Feb 2026 10:00:60 GMT", 59.0),
        ("Sat, 21 Feb 2026 09:00:00 GMT", 0.0),
        ("Sunday, 06-Nov-94 08:49:37 GMT", 0.0),
        ("Sat, 21 Feb 2026 10:02:00 +0000", 120.0),
        ("Sat, 21 Feb 2026 12:02:00 +0200", 120.0),
        ("30, 120, 60", 120.0),
    ],
)
def test_reads_seconds_and_the_three_forms_of_a_date(value: str, seconds: float) -> None:
    assert retry_after_seconds(value, AT) == seconds


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("Friday, 21-Feb-76 10:02:00 GMT", MAX_RETRY_AFTER),
        ("Sunday, 21-Feb-77 10:02:00 GMT", 0.0),
        # 1996 had this day, and no year beside it.
        ("Thursday, 29-Feb-96 10:02:00 GMT", 0.0),
    ],
)
def test_two_digits_mean_the_year_that_is_at_most_fifty_years_ahead(
    value: str, seconds: float
) -> None:
    assert retry_after_seconds(value, AT) == seconds


@pytest.mark.parametrize("year", [2000, 2019, 2099, 2100])
def test_two_digits_mean_a_year_of_this_century(year: int) -> None:
    """Also when the century is young or old."""
    at = datetime(year, 2, 21, 10, 0, 0, tzinfo=UTC)
    assert retry_after_seconds(f"Sunday, 21-Feb-{year % 100:02} 10:02:00 GMT", at) == 120.0


@pytest.fixture
def in_tokyo() -> Iterator[None]:
    """The machine's clock runs nine hours ahead of UTC."""
    if sys.platform == "win32":
        pytest.skip("the time zone of a process cannot be set here")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "JST-9")
        time.tzset()
        yield
    time.tzset()


def test_the_year_that_two_digits_are_measured_by_is_that_of_utc(in_tokyo: None) -> None:
    last_minutes_of_2026 = datetime(2026, 12, 31, 23, 30, tzinfo=UTC)
    assert retry_after_seconds("Friday, 01-Jan-77 00:00:00 GMT", last_minutes_of_2026) == 0.0


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "soon",
        "-5",
        "+5",
        "1e3",
        "nan",
        "inf",
        "٣",
        "12 seconds",
        "Sat, 31 Feb 2026 10:00:00 GMT",
        "Sat, 21 Fev 2026 10:02:00 GMT",
        "Sat, 21 Feb 0000 10:02:00 GMT",
        "2026-02-21T10:02:00Z",
    ],
)
def test_says_nothing_for_what_is_neither(value: str | None) -> None:
    assert retry_after_seconds(value, AT) is None


@pytest.mark.parametrize("value", ["9" * 5_000, "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_a_number_beyond_all_measure_stays_one_to_calculate_with(value: str) -> None:
    assert retry_after_seconds(value, AT) == MAX_RETRY_AFTER


@given(st.integers(0, 300_000_000))
def test_any_date_that_the_standard_library_writes_is_read(seconds: int) -> None:
    when = AT + timedelta(seconds=seconds)
    assert retry_after_seconds(format_datetime(when, usegmt=True), AT) == seconds


@given(
    st.text()
    | st.from_regex(r"[A-Za-z]+, [0-9]{1,2}[ -][A-Za-z]{3}[ -]([0-9]{2}){1,2} [0-9:]{8} GMT")
)
def test_any_text_is_survived(value: str) -> None:
    seconds = retry_after_seconds(value, AT)
    assert seconds is None or 0.0 <= seconds <= MAX_RETRY_AFTER


IN_A_MINUTE = "Sat, 21 Feb 2026 10:01:00 GMT"


@pytest.mark.parametrize(
    "date",
    [
        "Sat, 21 Feb 2026 10:00:00 GMT",
        "Sat, 21 Feb 2026 10:00:00 +0000",
        "Saturday, 21-Feb-26 10:00:00 GMT",
    ],
)
@pytest.mark.parametrize("ahead", [timedelta(minutes=-10), timedelta(0), timedelta(minutes=10)])
def test_a_date_is_a_moment_of_the_servers_clock(date: str, ahead: timedelta) -> None:
    assert retry_after([IN_A_MINUTE], date, AT + ahead) == 60.0


@pytest.mark.parametrize("date", [None, "", "now"])
def test_without_the_servers_clock_a_date_counts_from_ours(date: str | None) -> None:
    assert retry_after([IN_A_MINUTE], date, AT) == 60.0


def test_of_several_values_the_longest_counts() -> None:
    assert retry_after(["30", IN_A_MINUTE, "soon", "45"], None, AT) == 60.0
    assert retry_after([IN_A_MINUTE, "90"], None, AT) == 90.0


def test_nothing_that_can_be_read_is_nothing_asked() -> None:
    assert retry_after([], "Sat, 21 Feb 2026 10:00:00 GMT", AT) is None
    assert retry_after(["soon"], None, AT) is None
