"""Which URLs may stand in a tenant file.

A request carries the tenant's credential and document, so an endpoint is https, or http on this
very machine, and nothing about it is left to interpretation: two libraries that read an odd URL
differently would send them to two different hosts.
"""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import SplitResult, unquote, urlsplit

from .references import Resolved

_PLAIN = re.compile(r"[!-\[\]-~]+")  # visible ASCII, without the backslash
_HOST = re.compile(r"(?=.{1,253}$)(?!-)[a-z0-9_-]{1,63}(?<!-)(?:\.(?!-)[a-z0-9_-]{1,63}(?<!-))*\.?")
# What stands between // and the path. Python's older urlsplit passes over what is written beside
# the brackets of an IPv6 address.
_AUTHORITY = re.compile(r"(?:.*@)?(?:\[[0-9A-Fa-f:.]+\]|[^\[\]:@]+)(?::[0-9]*)?")
_LENGTH = 2_000


class Endpoint(str):
    """A URL that requests may be sent to."""


class Proxy(str):
    """The URL of a proxy; it may hold a name and a password, so it does not show itself."""

    def __repr__(self) -> str:
        return "Proxy(***)"


def parse_endpoint(value: object) -> Endpoint:
    """An https URL, or an http one on loopback (localhost, 127.0.0.0/8, ::1), without
    credentials and fragment."""
    parts = _split(value, "must be a URL such as https://host/path")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not hold a user name or password")
    if parts.scheme != "https" and not (
        parts.scheme == "http" and is_loopback(parts.hostname or "")
    ):
        raise ValueError(
            "must begin with https:// (http:// is for this machine only: localhost, 127.0.0.1 or [::1])"
        )
    return Endpoint(value)


def parse_proxy(value: object) -> Proxy:
    """An http or https URL of a host and a port. A name and a password are taken only through a
    reference."""
    parts = _split(value, "must be a URL such as http://proxy.example:3128")
    if parts.scheme not in ("http", "https"):
        raise ValueError("must begin with http:// or https://")
    if (parts.username is not None or parts.password is not None) and not isinstance(
        value, Resolved
    ):
        raise ValueError(
            "must not hold a user name or password here: put the whole URL into a variable and write ${NAME}"
        )
    if parts.path not in ("", "/") or parts.query:
        raise ValueError("must end after the host and the port")
    return Proxy(value)


def passwords_in(proxy: str) -> tuple[str, ...]:
    """What must not be shown of a proxy's URL: the password, as it is written and as it is
    meant."""
    password = urlsplit(proxy).password
    return tuple({password, unquote(password)}) if password else ()


def is_loopback(host: str) -> bool:
    """Whether the host of a URL is this machine whatever a name server says."""
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return (
        address in ipaddress.ip_network("127.0.0.0/8")
        if address.version == 4
        else address == ipaddress.IPv6Address("::1")
    )


def _split(value: object, advice: str) -> SplitResult:
    if not isinstance(value, str) or not _PLAIN.fullmatch(value) or len(value) > _LENGTH:
        raise ValueError(f"{advice}, in plain characters without spaces")
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise ValueError(advice) from None
    host = parts.hostname or ""
    if not _AUTHORITY.fullmatch(parts.netloc):
        raise ValueError(advice)
    if not parts.scheme or not (_HOST.fullmatch(host) or _is_address(host)) or "%" in host:
        raise ValueError(advice)
    if port == 0:
        raise ValueError("must not name the port 0")
    if "#" in value:
        raise ValueError("must not hold a fragment (#)")
    return parts


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
