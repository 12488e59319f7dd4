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
        -1,
        2_592_001,
        1e300,
        float("nan"),
        float("inf"),
        10**18,
        "9999999999s",
        [5],
        timedelta(days=31),
        timedelta(-1),
    ],
)
def test_what_is_no_duration(written: object) -> None:
    with pytest.raises(ValueError, match="must be"):
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
    ],
)
def test_sizes(written: object, size: int) -> None:
    assert parse_size(written) == size


@pytest.mark.parametrize(
    "written",
    [
        True,
        None,
        0,
        -1,
        1.5,
        "",
        "MB",
        "1.5MB",
        "5TB",
        "5M",
        "25MB ",
        2**40 + 1,
        "9999999999999GB",
        [],
    ],
)
def test_what_is_no_size(written: object) -> None:
    with pytest.raises(ValueError, match="must be"):
        parse_size(written)


@pytest.mark.parametrize(
    ("written", "pace"),
    [
        ("2/s", Pace(2, timedelta(seconds=1))),
        ("10/min", Pace(10, timedelta(minutes=1))),
        ("7/h", Pace(7, timedelta(hours=1))),
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
        "0/s",
        "-1/s",
        "1.5/s",
        "1 / s",
        "9999999/s",
        "10/min\n",
    ],
)
def test_what_is_no_pace(written: object) -> None:
    with pytest.raises(ValueError, match="must"):
        parse_pace(written)


@pytest.mark.parametrize("text", ["500ms", "5s", "90s", "5m", "1h", "30d", "1.5s"])
def test_a_duration_is_shown_as_it_would_be_written(text: str) -> None:
    shown = shown_duration(parse_duration(text))
    assert parse_duration(shown) == parse_duration(text) and len(shown) <= len(text) + 1


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
