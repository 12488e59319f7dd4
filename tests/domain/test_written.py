"""Durations, sizes and paces, as people write them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from evidence_courier.domain.integration import Pace
from evidence_courier.domain.written import (
    parse_duration,
    parse_pace,
    parse_size,
    shown_duration,
    shown_size,
)


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        (0, 0),
        (5, 5),
        (2.5, 2.5),
        ("5", 5),
        ("500ms", 0.5),
        ("5s", 5),
        ("5 m", 300),
        ("1.5h", 5400),
        ("30d", 2_592_000),
        (timedelta(hours=1), 3600),
        (timedelta(days=30), 2_592_000),
    ],
)
def test_durations(written: object, seconds: float) -> None:
    assert parse_duration(written) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "written",
    [
        True,
        None,
        "",
        "s",
        "5 sec",
        "5S",
        "1h30m",
        "-5s",
        " 5s",
        "5s\n",
        "٥s",
        "9999999999s",
        [5],
    ],
)
def test_what_is_no_duration(written: object) -> None:
    words = "must be a duration such as 500ms, 5s, 5m or 1h, or a number of seconds"
    with pytest.raises(ValueError, match=f"^{words}$"):
        parse_duration(written)


@pytest.mark.parametrize(
    "written",
    [
        -1,
        2_592_001,
        1e300,
        float("nan"),
        float("inf"),
        10**18,
        "31d",
        timedelta(days=31),
        timedelta(-1),
    ],
)
def test_durations_that_are_too_long_or_negative(written: object) -> None:
    with pytest.raises(ValueError, match="^must be between 0 and 30 days$"):
        parse_duration(written)


@pytest.mark.parametrize(
    ("written", "size"),
    [
        (1, 1),
        ("17", 17),
        ("25MB", 25_000_000),
        ("10MiB", 10_485_760),
        ("500kB", 500_000),
        ("500 KB", 500_000),
        ("1GiB", 2**30),
        ("7B", 7),
        ("1024GiB", 2**40),
    ],
)
def test_sizes(written: object, size: int) -> None:
    assert parse_size(written) == size


@pytest.mark.parametrize(
    "written",
    [
        True,
        None,
        1.5,
        "",
        "MB",
        "1.5MB",
        "5TB",
        "5M",
        "25MB ",
        [],
    ],
)
def test_what_is_no_size(written: object) -> None:
    words = "must be a size such as 25MB, 10MiB or 500kB, or a number of bytes"
    with pytest.raises(ValueError, match=f"^{words}$"):
        parse_size(written)


@pytest.mark.parametrize("written", [0, -1, "0MB", 2**40 + 1, "9999999999999GB"])
def test_sizes_that_are_too_small_or_too_large(written: object) -> None:
    with pytest.raises(ValueError, match="^must be between 1 byte and 1024 GiB$"):
        parse_size(written)


@pytest.mark.parametrize(
    ("written", "pace"),
    [
        ("2/s", Pace(2, timedelta(seconds=1))),
        ("10/min", Pace(10, timedelta(minutes=1))),
        ("7/h", Pace(7, timedelta(hours=1))),
        ("1/s", Pace(1, timedelta(seconds=1))),
        ("1000000/s", Pace(1_000_000, timedelta(seconds=1))),
    ],
)
def test_paces(written: str, pace: Pace) -> None:
    assert parse_pace(written) == pace == parse_pace(str(pace))


@pytest.mark.parametrize(
    "written",
    [
        None,
        True,
        10,
        "10",
        "10/m",
        "10/minute",
        "-1/s",
        "1.5/s",
        "1 / s",
        "10/min\n",
    ],
)
def test_what_is_no_pace(written: object) -> None:
    with pytest.raises(ValueError, match="^must be a pace such as 2/s, 10/min or 100/h$"):
        parse_pace(written)


@pytest.mark.parametrize("written", ["0/s", "1000001/s", "9999999/h"])
def test_paces_that_are_too_low_or_too_high(written: str) -> None:
    with pytest.raises(ValueError, match="^must allow between 1 and 1,000,000 requests$"):
        parse_pace(written)


@pytest.mark.parametrize(
    "text",
    [
        *("0s", "0.5ms", "1ms", "500ms", "999.999ms"),
        *("1s", "1.5s", "2.56s", "59s", "90s", "1000001s", "2591999.999999s"),
        *("1m", "5m", "43199m", "1h", "36h", "1d", "30d"),
    ],
)
def test_a_duration_is_shown_as_it_would_be_written(text: str) -> None:
    """In the largest unit of which it is a whole number, and with all its digits."""
    assert shown_duration(parse_duration(text)) == text


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        (25_000_000, "25MB"),
        (10_485_760, "10MiB"),
        (500_000, "500kB"),
        (17, "17 bytes"),
        (2 * 10**9, "2GB"),
    ],
)
def test_a_size_is_shown_as_it_would_be_written(size: int, shown: str) -> None:
    assert shown_size(size) == shown
