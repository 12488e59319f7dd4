"""Endpoints and proxies, as people write them."""

from __future__ import annotations

import pytest

from evidence_courier.adapters.config.urls import parse_endpoint, parse_proxy


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
