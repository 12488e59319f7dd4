"""An address that one library reads in one way and another in another way: there is none that is
accepted."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from yarl import URL

from evidence_courier.adapters.config.urls import parse_endpoint, parse_proxy


@pytest.mark.parametrize(
    "url",
    [
        "http://0177.0.0.1/",
        "http://0x7f000001/",
        "http://0x7f.0.0.1/",
        "http://127.0.0.1./",
        "http://127.000.000.001/",
        "http://127.0.0.1.nip.io/",
        "http://127-0-0-1.example/",
        "http://localhost.localdomain/",
        "http://localhost.example/",
        "http://xn--localhost-.example/",
        "http://lоcalhost/",  # the second letter is Cyrillic
        "http://①②⑦.⓪.⓪.①/",
        "http://localhost\u3002evil.example/",
        "http://[::ffff:7f00:1]/",
        "http://[::127.0.0.1]/",
        "http://[::1%25lo]/",
        "http://[fe80::1]/",
        "http://[::1].evil.example/",
        "http://[::1]evil.example/",
        "http://evil.example[::1]/",
        "https://[::1]evil.example/",
        "http://127.0.0.1@evil.example/",
        "http://127.0.0.1:80@evil.example/",
        "http://evil.example#@127.0.0.1/",
        "http://evil.example\\@127.0.0.1/",
        "http://evil.example%2f@127.0.0.1/",
        "http://127.0.0.1%00.evil.example/",
        "http://127.0.0.1%2eevil.example/",
        "http://127.0.0.1\t.evil.example/",
        "http://127.0.0.1;evil.example/",
        "http://127.0.0.1,evil.example/",
        "http://169.254.169.254/latest/meta-data/",
        "http://10.0.0.1/",
        "http://metadata.google.internal/",
        "http:/127.0.0.1/",
        "http:127.0.0.1",
        "http:///127.0.0.1/",
        "http://127.0.0.1:8080:80/",
        "http://127.0.0.1:+80/",
        "http://127.0.0.1:８０/",
        "http://127.0.0.1:-1/",
        "unix:///run/evil.sock",
        "gopher://127.0.0.1/",
        "javascript://127.0.0.1/%0aalert(1)",
        "ws://127.0.0.1/",
        "https+http://127.0.0.1/",
        "https://@@127.0.0.1/",
        "https://:@app.example.com/",
        "https://:pw@app.example.com/",
        "https://user:pw@[::1]/",
    ],
)
def test_an_address_that_poses_as_another_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ValueError, match="must") as caught:
        parse_endpoint(url)
    assert url not in str(caught.value)


PIECES = st.lists(
    st.sampled_from(
        "http https :// / // : @ # ? \\ % %2f %00 [ ] . .. localhost LOCALHOST 127.0.0.1 127.1 "
        "::1 [::1] [::ffff:127.0.0.1] 0x7f "
        "evil.example user :pw 80 :80 0 2130706433 ; , & = + \t é ① 。".split(" ")
    )
    | st.text(max_size=3),
    max_size=8,
).map("".join)


def host_of(url: str) -> str:
    """The host as the library that connects reads it, and as it was checked: an AssertionError
    if they differ."""
    to_connect, parts = URL(url), urlsplit(url)
    read, checked = (to_connect.host or "").rstrip("."), (parts.hostname or "").rstrip(".")
    if ":" in read:
        assert ipaddress.ip_address(read) == ipaddress.ip_address(checked)
    else:
        assert read == checked
    assert read
    assert to_connect.explicit_port == parts.port
    assert (to_connect.user, to_connect.password, to_connect.fragment) == (None, None, "")
    assert to_connect.scheme == parts.scheme
    return read


URLS = PIECES | st.tuples(st.sampled_from(["http://", "https://", "HTTP://"]), PIECES).map("".join)


@given(URLS)
@example("http://127.0.0.1:80/x?y=z")
@example("http://[::1]:8080/")
@example("https://app.example.com./a%2fb")
@settings(max_examples=400)
def test_what_is_accepted_means_the_same_to_the_library_that_connects(url: str) -> None:
    try:
        accepted = parse_endpoint(url)
    except ValueError:
        return
    host = host_of(accepted)
    if not accepted.lower().startswith("https://"):
        assert accepted.lower().startswith("http://")
        assert host == "localhost" or ipaddress.ip_address(host).is_loopback


@given(URLS)
@settings(max_examples=200)
def test_an_accepted_proxy_means_the_same_to_the_library_that_connects(url: str) -> None:
    try:
        accepted = parse_proxy(url)
    except ValueError:
        return
    assert host_of(str.__str__(accepted))
