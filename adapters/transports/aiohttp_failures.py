"""What an exception of aiohttp's means for a request: how far it got."""

from __future__ import annotations

import socket

import aiohttp

from ...domain.integration import Timeouts
from ...ports.dialogue import TransportFailure
from . import failures
from .outgoing import Destination, Late, Sent


def failure_of(
    error: Exception, sent: Sent, destination: Destination, timeouts: Timeouts
) -> TransportFailure:
    """The failure that `error` is. What is not known is judged by how much had been sent."""
    host, by_proxy = destination.host, destination.proxy is not None
    match error:
        case aiohttp.ConnectionTimeoutError():
            return failures.too_slow_to_connect(host, timeouts)
        case aiohttp.ClientHttpProxyError(status=status):
            return failures.refused_by_proxy(host, status)
        case aiohttp.ClientConnectorDNSError():
            return failures.not_connected(host, socket.gaierror(), by_proxy=by_proxy)
        case aiohttp.ClientConnectorError(os_error=cause):
            return failures.not_connected(host, cause, by_proxy=by_proxy)
        case aiohttp.InvalidURL() | aiohttp.NonHttpUrlClientError() | UnicodeError():
            return failures.no_address()
    late = Late.TOTAL if isinstance(error, TimeoutError) else None
    if isinstance(error, aiohttp.SocketTimeoutError):
        late = Late.IDLE
    heard = None
    if isinstance(error, aiohttp.ClientResponseError):
        heard = failures.unreadable(error.status or None)
    return failures.no_reply(sent, late, host, timeouts, heard=heard)
