"""URLs as a person writes them: an endpoint, a proxy.

Each function takes what stands in the file and returns the value that is meant, or raises
ValueError with what should have been written. None of them quotes what was written.

A request carries the tenant's credential and document, so an endpoint is https, or http on this
very machine, and its URL leaves nothing to interpretation: two libraries that read an odd URL
differently would send them to two different hosts.
"""

from __future__ import annotations

import re
from urllib.parse import SplitResult, unquote, urlsplit

from ...domain.hosts import ip_address, is_loopback
from .references import Resolved


class Endpoint(str):
    """A URL that requests may be sent to."""


class Proxy(str):
    """The URL of a proxy; it can hold a password, so its repr hides it."""

    def __repr__(self) -> str:
        return "Proxy(***)"


_PLAIN = re.compile(r"[!-\[\]-~]+")  # visible ASCII, without the backslash
_HOST = re.compile(r"(?=.{1,253}$)(?!-)[a-z0-9_-]{1,63}(?<!-)(?:\.(?!-)[a-z0-9_-]{1,63}(?<!-))*\.?")
# What stands between // and the path: older releases of urlsplit ignore text beside the brackets of
# an IPv6 address.
_AUTHORITY = re.compile(r"(?:.*@)?(?:\[[0-9A-Fa-f:.]+\]|[^\[\]:@]+)(?::[0-9]*)?")
_MAX_LENGTH = 2_000


def parse_endpoint(value: object) -> Endpoint:
    """An https URL, or http on loopback (localhost, 127.0.0.0/8, ::1); no credentials, no ``#``."""
    parts = _split(value, "must be a URL such as https://host/path")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not hold a user name or password")
    local = parts.scheme == "http" and is_loopback(parts.hostname or "")
    if parts.scheme != "https" and not local:
        raise ValueError(
            "must begin with https:// "
            "(http:// is for this machine only: localhost, 127.0.0.1 or [::1])"
        )
    return Endpoint(value)


def parse_proxy(value: object) -> Proxy:
    """An http or https URL of a host and a port; a name and password only through a reference."""
    parts = _split(value, "must be a URL such as http://proxy.example:3128")
    if parts.scheme not in ("http", "https"):
        raise ValueError("must begin with http:// or https://")
    named = parts.username is not None or parts.password is not None
    if named and not isinstance(value, Resolved):
        raise ValueError(
            "must not hold a user name or password here: "
            "put the whole URL into a variable and write ${NAME}"
        )
    if parts.path not in ("", "/") or parts.query:
        raise ValueError("must end after the host and the port")
    return Proxy(value)


def passwords_in(proxy: str) -> tuple[str, ...]:
    """The password in a proxy's URL as it is written and as it is meant: both are to be masked."""
    password = urlsplit(proxy).password
    return tuple({password, unquote(password)}) if password else ()


def _split(value: object, advice: str) -> SplitResult:
    if not isinstance(value, str) or not _PLAIN.fullmatch(value) or len(value) > _MAX_LENGTH:
        raise ValueError(f"{advice}, in plain characters without spaces")
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise ValueError(advice) from None
    host = parts.hostname or ""
    if not parts.scheme or not _AUTHORITY.fullmatch(parts.netloc):
        raise ValueError(advice)
    if not (_HOST.fullmatch(host) or ip_address(host)) or "%" in host:
        raise ValueError(advice)
    if port == 0:
        raise ValueError("must not name the port 0")
    if "#" in value:
        raise ValueError("must not hold a fragment (#)")
    return parts
