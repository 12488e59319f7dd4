"""The host that a URL names, as the standard library's parser finds it; this machine's names."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from evidence_courier.domain.hosts import host_of, is_loopback


@pytest.mark.parametrize(
    "url",
    [
        "https://Login.Example/sso?token=abc",
        "https://login.example:8443/",
        "https://user:p@ss@login.example#part",
        "//login.example",
        "https://[2001:DB8::1]:8443/sso",
        "https://[fe80::1%25eth0]/",
        "https://bücher.example/",
        "https://login.example?next=//other.example/",
        "https:///sso",
        "/sso",
        "sso//other.example/",
        "mailto:admin@login.example",
        "",
    ],
)
def test_the_host_of_a_url_is_found(url: str) -> None:
    assert host_of(url) == (urlsplit(url).hostname or "")


@pytest.mark.parametrize("url", ["http://[::1", "http://a]b/", "http://two words/", "//a:b/"])
def test_a_url_whose_host_is_none_has_none(url: str) -> None:
    assert host_of(url) is None


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.255.255.254", "::1", "0:0::0:1"])
def test_this_machine_is_known_whatever_a_name_server_says(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    [
        *("localhost.example", "example.com", ""),
        *("126.255.255.255", "128.0.0.1", "10.0.0.1", "::2"),
    ],
)
def test_another_machine_is_not_this_one(host: str) -> None:
    assert not is_loopback(host)
