"""The host of a URL: which address it is, and whether that is this machine."""

from __future__ import annotations

import ipaddress
import re

_AUTHORITY = re.compile(r"(?:[a-z][a-z0-9+.-]*:)?//([^/?#]*)", re.IGNORECASE | re.ASCII)
_HOST = re.compile(
    r"(?:.*@)?(?:\[([0-9a-z:.%]+)\]|([^\s@:\[\]]*))(?::[0-9]*)?", re.IGNORECASE | re.ASCII
)


def host_of(url: str) -> str | None:
    """The host of a URL; "" if it names none, and None if what it names cannot be a host."""
    authority = _AUTHORITY.match(url)
    found = _HOST.fullmatch(authority[1]) if authority else None
    if found is None:
        return None if authority else ""
    return (found[1] or found[2]).lower()


def is_loopback(host: str) -> bool:
    """Whether the host of a URL is this machine whatever a name server says."""
    address = ip_address(host)
    if isinstance(address, ipaddress.IPv4Address):
        return address in ipaddress.ip_network("127.0.0.0/8")
    return host == "localhost" or address == ipaddress.IPv6Address("::1")


def ip_address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address, if the host is written as one."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
