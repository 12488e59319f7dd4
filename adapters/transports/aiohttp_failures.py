"""What an exception of aiohttp's means for a request: how far it got.

The texts are our own and name the host only: an exception's own text may hold whatever was being sent.
"""

from __future__ import annotations

import os
from datetime import timedelta

import aiohttp

from ...domain.failure import FailureKind
from ...domain.integration import Timeouts
from ...ports.dialogue import TransportFailure
from .ready_body import Sent


def failure_of(error: Exception, sent: Sent, host: str, timeouts: Timeouts) -> TransportFailure:
    """The failure that `error` is. Total: what is not known is judged by how much had been sent."""
    unconnected = _unconnected(error, host, timeouts)
    if unconnected is not None:
        return TransportFailure(FailureKind.NO_CONNECTION, unconnected)
    timed_out = isinstance(error, TimeoutError)
    if sent is not Sent.ALL:
        how_far = (
            "before the request was sent" if sent is Sent.NOTHING else "before the whole document was sent"
        )
        why = (
            f"the {_seconds(timeouts.total)} s for one request ran out"
            if timed_out
            else "the connection broke"
        )
        return TransportFailure(FailureKind.NOT_SENT, f"{why} {how_far} to {host}")
    if isinstance(error, aiohttp.SocketTimeoutError):
        return TransportFailure(
            FailureKind.TIMEOUT,
            f"{host} was silent for {_seconds(timeouts.idle)} s after the request was sent",
        )
    if timed_out:
        return TransportFailure(
            FailureKind.TIMEOUT,
            f"{host} had not replied when the {_seconds(timeouts.total)} s for one request ran out",
        )
    if isinstance(error, aiohttp.ClientResponseError):
        return TransportFailure(
            FailureKind.CONNECTION_LOST, f"{host} answered with something that is not HTTP"
        )
    return TransportFailure(
        FailureKind.CONNECTION_LOST,
        f"the connection to {host} was lost after the request was sent and before a reply came",
    )


def _unconnected(error: Exception, host: str, timeouts: Timeouts) -> str | None:
    """Why there was no connection; None where there was one."""
    match error:
        case aiohttp.ConnectionTimeoutError():
            return f"could not connect to {host} within {_seconds(timeouts.connect)} s"
        case aiohttp.ClientConnectorCertificateError():
            return (
                f"the TLS certificate of {host} is not trusted; if a private authority has signed it, "
                "name the authority's file as ca_bundle in the tenant file"
            )
        case aiohttp.ClientConnectorSSLError():
            return f"could not agree with {host} on a TLS connection"
        case aiohttp.ClientConnectorDNSError():
            return f"the name of {host} could not be resolved"
        case aiohttp.ClientProxyConnectionError():
            return f"could not connect to the proxy{_reason(error)}"
        case aiohttp.ClientHttpProxyError(status=status):
            return f"the proxy refused to connect to {host} (HTTP {status})"
        case aiohttp.ClientConnectorError():
            return f"could not connect to {host}{_reason(error)}"
        case aiohttp.InvalidURL() | aiohttp.NonHttpUrlClientError() | UnicodeError():
            return "endpoint or proxy is not an address one can connect to: correct it in the tenant file"
        case _:
            return None


def _reason(error: aiohttp.ClientConnectorError) -> str:
    code = error.os_error.errno
    return f": {os.strerror(code)}" if code else ""


def _seconds(span: timedelta) -> str:
    return f"{span.total_seconds():g}"
