"""What an exception of aiohttp's means for a request: how far it got."""

from __future__ import annotations

import aiohttp

from ...domain.integration import Timeouts
from ...ports.dialogue import TransportFailure
from . import failures
from .outgoing import Sent


def failure_of(error: Exception, sent: Sent, host: str, timeouts: Timeouts) -> TransportFailure:
    """The failure that `error` is. Total: what is not known is judged by how much had been sent."""
    unconnected = _unconnected(error, host, timeouts)
    if unconnected is not None:
        return unconnected
    timed_out = isinstance(error, TimeoutError)
    if sent is not Sent.ALL:
        return failures.not_sent(sent, host, timeouts, timed_out=timed_out)
    if isinstance(error, aiohttp.SocketTimeoutError):
        return failures.silent(host, timeouts)
    if timed_out:
        return failures.no_reply_in_time(host, timeouts)
    if isinstance(error, aiohttp.ClientResponseError):
        return failures.unreadable(host, error.status or None)
    return failures.lost(host)


def _unconnected(error: Exception, host: str, timeouts: Timeouts) -> TransportFailure | None:
    """Why there was no connection; None where there was one."""
    match error:
        case aiohttp.ConnectionTimeoutError():
            return failures.too_slow_to_connect(host, timeouts)
        case aiohttp.ClientConnectorCertificateError():
            return failures.untrusted(host)
        case aiohttp.ClientConnectorSSLError():
            return failures.no_tls(host)
        case aiohttp.ClientConnectorDNSError():
            return failures.unresolved(host)
        case aiohttp.ClientProxyConnectionError():
            return failures.no_proxy(error.os_error)
        case aiohttp.ClientHttpProxyError(status=status):
            return failures.refused_by_proxy(host, status)
        case aiohttp.ClientConnectorError():
            return failures.unconnected(host, error.os_error)
        case aiohttp.InvalidURL() | aiohttp.NonHttpUrlClientError() | UnicodeError():
            return failures.no_address()
        case _:
            return None
