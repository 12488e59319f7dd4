"""Durations, sizes, paces and URLs, as people write them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from evidence_courier.adapters.config.values import (
    parse_duration,
    parse_endpoint,
    parse_pace,
    parse_proxy,
    parse_size,
    shown_duration,
    shown_size,
)
from evidence_courier.domain.integration import Pace


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


@pytest.mark.parametrize(
    "url",
    [
        "https://app.example.com/graphql",
        "https://app.example.com:8443/a?b=c",
        "https://10.0.0.1/",
        "https://[2001:db8::1]/",
        "http://localhost:8080/x",
        "http://LOCALHOST/",
        "http://127.0.0.1/",
        "http://127.8.9.10:1/",
        "http://[::1]:8080/",
        "HTTPS://app.example.com",
    ],
)
def test_endpoints(url: str) -> None:
    assert parse_endpoint(url) == url


@pytest.mark.parametrize(
    "url",
    [
        None,
        5,
        "",
        "app.example.com",
        "//app.example.com/",
        "https://",
        "https:///x",
        "https:app.example.com",
        "ftp://app.example.com/",
        "file:///etc/passwd",
        "http://app.example.com/",
        "http://localhost.evil.example/",
        "http://127.0.0.1.evil.example/",
        "http://127.1/",
        "http://2130706433/",
        "http://0.0.0.0/",
        "http://[::]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::1%25eth0]/",
        "http://localhost./",
        "https://user@app.example.com/",
        "https://user:pw@app.example.com/",
        "https://@app.example.com/",
        "https://app.example.com#x",
        "https://app.example.com/#",
        "https://app.example.com\\@evil.example/",
        "https://app.example.com/a b",
        " https://app.example.com/",
        "https://app.example.com/\n",
        "https://app.example.com/\x00",
        "https://exämple.com/",
        "https://app.example.com:0/",
        "https://app.example.com:65536/",
        "https://app.example.com:x/",
        "https://[::1/",
        "https://-a.example/",
        "https://a..example/",
        "https://a%2eexample/",
        "https://" + "a" * 2_000 + "/",
    ],
)
def test_what_is_no_endpoint(url: object) -> None:
    with pytest.raises(ValueError, match="must") as caught:
        parse_endpoint(url)
    assert not isinstance(url, str) or len(url) < 9 or url not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["http://proxy:3128", "https://proxy.example:8080/", "http://10.0.0.1:1"]
)
def test_proxies(url: str) -> None:
    assert parse_proxy(url) == url


@pytest.mark.parametrize(
    "url",
    [
        None,
        "socks5://proxy:1",
        "proxy:3128",
        "http://u:p@proxy:1",
        "http://proxy/path",
        "http://proxy/?q",
        "http://proxy#f",
    ],
)
def test_what_is_no_proxy(url: object) -> None:
    with pytest.raises(ValueError, match="must"):
        parse_proxy(url)
