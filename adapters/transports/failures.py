"""How far a request got without a reply, in words: the same ones for both transports.

The texts are our own and name the host only: an exception's own text may hold what was being sent.
"""

from __future__ import annotations

import os
import socket
import ssl
from datetime import timedelta
from typing import Final
from urllib.parse import urlsplit

from ...domain.integration import Timeouts
from ...domain.upload.failure import FailureKind
from ...ports.dialogue import HttpRequest, TransportFailure
from ...ports.transport import CutOff
from .outgoing import Late, Sent

_CERTIFICATE: Final = {
    9: "is not yet valid: set this machine's clock, or ask the operator of that host for another",
    10: "has expired: ask the operator of that host for a new one, or set this machine's clock",
    62: "was issued for another host: correct the endpoint or the proxy in the tenant file",
    64: "was issued for another host: correct the endpoint or the proxy in the tenant file",
}
"""What is wrong with a certificate, by OpenSSL's number for it (X509_V_ERR_...)."""

_NOT_TRUSTED: Final = (2, 18, 19, 20, 21, 27)


def no_address() -> TransportFailure:
    """The URL of the endpoint or of the proxy leads nowhere."""
    return _no_connection(
        "endpoint or proxy is not an address one can connect to: correct it in the tenant file"
    )


def unusable_bundle(ca_bundle: str | None, error: OSError) -> TransportFailure:
    """The authorities' file of the route cannot be used."""
    what = f"the ca_bundle {ca_bundle} cannot be used ({type(error).__name__})"
    return _no_connection(f"{what}: it must be a readable PEM file")


def too_slow_to_connect(host: str, timeouts: Timeouts) -> TransportFailure:
    """Connecting took too long."""
    return _no_connection(f"could not connect to {host} within {_seconds(timeouts.connect)} s")


def refused_by_proxy(host: str, status: int) -> TransportFailure:
    """The proxy does not connect us."""
    return _no_connection(f"the proxy refused to connect to {host} (HTTP {status})")


def not_connected(host: str, cause: OSError, *, by_proxy: bool) -> TransportFailure:
    """There was no connection; `cause` is what the operating system or OpenSSL said."""
    number = None if isinstance(cause, socket.gaierror) else cause.errno
    reason = f": {os.strerror(number)}" if number else ""
    match cause:
        case ssl.SSLCertVerificationError():
            return _no_connection(f"the TLS certificate of {host} {_what_is_wrong(cause)}")
        case ssl.SSLError():
            return _no_connection(f"could not agree with {host} on a TLS connection")
        case _ if by_proxy:
            return _no_connection(f"could not connect to the proxy{reason}")
        case socket.gaierror():
            return _no_connection(f"the name of {host} could not be resolved")
        case _:
            return _no_connection(f"could not connect to {host}{reason}")


def _what_is_wrong(cause: ssl.SSLCertVerificationError) -> str:
    code = getattr(cause, "verify_code", 20)
    if code in _NOT_TRUSTED:
        return (
            "is not trusted; if a private authority has signed it, name the authority's file as "
            "ca_bundle in the tenant file"
        )
    reason = f"is not accepted ({getattr(cause, 'verify_message', 'no reason given').lower()})"
    mend = "ask the operator of that host, or of the authority that signed it, for one that keeps"
    return _CERTIFICATE.get(code, f"{reason}: {mend} to RFC 5280, as Python 3.13 and newer demand")


def no_reply(
    sent: Sent, late: Late | None, host: str, timeouts: Timeouts, *, heard: str | None = None
) -> TransportFailure:
    """There was a connection and no reply.

    Args:
        sent: How much of the request had left.
        late: The time that ran out; None if the connection broke.
        host: As messages name it.
        timeouts: Those of the route.
        heard: What was heard in the place of a reply.
    """
    total = f"the {_seconds(timeouts.total)} s for one request ran out"
    if sent is not Sent.ALL:
        why = total if late else "the connection broke"
        return TransportFailure(FailureKind.NOT_SENT, f"{why} {sent.value} to {host}")
    if late is Late.IDLE:
        words = f"{host} was silent for {_seconds(timeouts.idle)} s after the request was sent"
        return TransportFailure(FailureKind.TIMEOUT, words)
    if late:
        return TransportFailure(FailureKind.TIMEOUT, f"{host} had not replied when {total}")
    lost = (
        f"the connection to {host} was lost after the request was sent and before a reply arrived"
    )
    return TransportFailure(
        FailureKind.CONNECTION_LOST, f"{host} answered with {heard}" if heard else lost
    )


def nothing_sent(request: HttpRequest) -> CutOff:
    """A request was interrupted while it was made ready."""
    host = urlsplit(request.url).hostname or "its host"
    message = f"the request to {host} was interrupted before it was sent"
    return CutOff(TransportFailure(FailureKind.NOT_SENT, message))


def unreadable(status: int | None) -> str:
    """What was heard in the place of a reply."""
    if status is None:
        return "something that is not HTTP"
    return f"a reply whose headers cannot be read (HTTP {status})"


def _no_connection(message: str) -> TransportFailure:
    return TransportFailure(FailureKind.NO_CONNECTION, message)


def _seconds(span: timedelta) -> str:
    return f"{span.total_seconds():g}"
