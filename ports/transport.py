"""Sending one HTTP request, on an event loop or from a thread that may block.

Whatever the implementation: redirects are not followed; at most `REPLY_LIMIT` bytes of a body are
read and the rest is thrown away; the connection is given back in every case; the timeouts of the
route hold; "not sent whole" is told from "sent"; an exception is raised for a bug only.
"""

from __future__ import annotations

from typing import Protocol

from ..domain.integration import Route
from .dialogue import HttpRequest, HttpResponse, TransportFailure


class AsyncTransport(Protocol):
    """Sends requests on an event loop, as the module says."""

    async def send(self, request: HttpRequest, route: Route) -> HttpResponse | TransportFailure:
        """The reply, or how far the request got without one."""
        ...

    async def close(self) -> None:
        """Close all connections. Safe to call twice."""
        ...


class CutOff(Exception):
    """The caller's thread was interrupted in the middle of a request: by a time limit, a signal, a
    keyboard. `__cause__` is what interrupted it; `failure` says how far the request had got."""

    def __init__(self, failure: TransportFailure) -> None:
        self.failure = failure
        super().__init__(failure.message)


class BlockingTransport(Protocol):
    """Sends requests from a thread, as the module says. May be used by several threads at once."""

    def send(self, request: HttpRequest, route: Route) -> HttpResponse | TransportFailure:
        """The reply, or how far the request got without one. CutOff, where somebody else's
        exception came in between."""
        ...

    def close(self) -> None:
        """Close all connections. Safe to call twice."""
        ...
