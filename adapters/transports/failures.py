"""How far a request got, in words: the same ones whichever library carries it.

The texts are our own and name the host only: an exception's own text may hold whatever was being
sent.
"""

from __future__ import annotations

import os
from datetime import timedelta

from ...domain.integration import Timeouts
from ...domain.upload.failure import FailureKind
from ...ports.dialogue import TransportFailure
from .outgoing import Sent

# --- no connection -------------------------------------------------------------------------------


def no_address() -> TransportFailure:
    """The URL of the endpoint or of the proxy leads nowhere."""
    return _unconnected(
        "endpoint or proxy is not an address one can connect to: correct it in the tenant file"
    )


def unusable_bundle(ca_bundle: str | None, error: OSError) -> TransportFailure:
    """The authorities' file of the route cannot be used."""
    what = f"the ca_bundle {ca_bundle} cannot be used ({type(error).__name__})"
    return _unconnected(f"{what}: it must be a readable PEM file")


def unresolved(host: str) -> TransportFailure:
    """The host's name leads to no address."""
    return _unconnected(f"the name of {host} could not be resolved")


def too_slow_to_connect(host: str, timeouts: Timeouts) -> TransportFailure:
    """Connecting took too long."""
    return _unconnected(f"could not connect to {host} within {_seconds(timeouts.connect)} s")


def unconnected(host: str, error: OSError) -> TransportFailure:
    """Connecting failed."""
    return _unconnected(f"could not connect to {host}{_reason(error)}")


def no_proxy(error: OSError) -> TransportFailure:
    """Connecting to the proxy failed."""
    return _unconnected(f"could not connect to the proxy{_reason(error)}")


def refused_by_proxy(host: str, status: int) -> TransportFailure:
    """The proxy does not connect us."""
    return _unconnected(f"the proxy refused to connect to {host} (HTTP {status})")


def untrusted(host: str) -> TransportFailure:
    """Nobody vouches for the host's certificate."""
    return _unconnected(
        f"the TLS certificate of {host} is not trusted; if a private authority has signed it, "
        "name the authority's file as ca_bundle in the tenant file"
    )


def no_tls(host: str) -> TransportFailure:
    """The two sides did not agree."""
    return _unconnected(f"could not agree with {host} on a TLS connection")


# --- a connection, and no reply ------------------------------------------------------------------


def not_sent(sent: Sent, host: str, timeouts: Timeouts, *, timed_out: bool) -> TransportFailure:
    """The request was surely not sent whole."""
    how_far = (
        "before the request was sent"
        if sent is Sent.NOTHING
        else "before the whole document was sent"
    )
    ran_out = f"the {_seconds(timeouts.total)} s for one request ran out"
    why = ran_out if timed_out else "the connection broke"
    return TransportFailure(FailureKind.NOT_SENT, f"{why} {how_far} to {host}")


def silent(host: str, timeouts: Timeouts) -> TransportFailure:
    """Nothing was heard for too long."""
    return TransportFailure(
        FailureKind.TIMEOUT,
        f"{host} was silent for {_seconds(timeouts.idle)} s after the request was sent",
    )


def no_reply_in_time(host: str, timeouts: Timeouts) -> TransportFailure:
    """The time for the whole request ran out."""
    return TransportFailure(
        FailureKind.TIMEOUT,
        f"{host} had not replied when the {_seconds(timeouts.total)} s for one request ran out",
    )


def unreadable(host: str, status: int | None) -> TransportFailure:
    """What came is no reply, or one whose head cannot be read."""
    what = "something that is not HTTP"
    if status is not None:
        what = f"a reply whose headers cannot be read (HTTP {status})"
    return TransportFailure(FailureKind.CONNECTION_LOST, f"{host} answered with {what}")


def lost(host: str) -> TransportFailure:
    """The line broke after the request."""
    return TransportFailure(
        FailureKind.CONNECTION_LOST,
        f"the connection to {host} was lost after the request was sent and before a reply came",
    )


def _unconnected(message: str) -> TransportFailure:
    return TransportFailure(FailureKind.NO_CONNECTION, message)


def _reason(error: OSError) -> str:
    return f": {os.strerror(error.errno)}" if error.errno else ""


def _seconds(span: timedelta) -> str:
    return f"{span.total_seconds():g}"
