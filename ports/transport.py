"""Sending one HTTP request, on an event loop or from a thread that may block.

Both kinds of transport keep these rules; the kits in `testing.contracts` check them:

- redirects are not followed, and nothing is taken from the environment;
- a body is handed over as its headers say it is to be read: uncompressed, and text in UTF-8; at
  most `REPLY_LIMIT` bytes of it, and the rest is thrown away;
- a reply that is not 2xx is handed over with its status even if the rest of it is damaged;
- the timeouts of the route hold for the request as a whole;
- a request that was not sent whole is told from one that was;
- a connection is given back or closed in every case;
- an exception is raised for a bug only.
"""

from __future__ import annotations

from typing import Protocol

from ..domain.integration import Route
from ..domain.upload.failure import FailureKind
from .dialogue import HttpRequest, HttpResponse, TransportFailure


class CutOff(Exception):
    """The caller was interrupted in the middle of a request: a thread by a time limit, a signal or
    the keyboard, a task by its cancellation. `failure` says how far the request had got."""

    def __init__(self, failure: TransportFailure) -> None:
        self.failure = failure
        super().__init__(failure.message)

    @property
    def not_sent(self) -> bool:
        """Whether the request surely was not taken, because not all of it had left."""
        return self.failure.kind in (FailureKind.NO_CONNECTION, FailureKind.NOT_SENT)


class AsyncTransport(Protocol):
    """Sends requests on an event loop."""

    async def send(self, request: HttpRequest, route: Route) -> HttpResponse | TransportFailure:
        """Send one request.

        Args:
            request: The request, with its credentials.
            route: The timeouts, the proxy and the certificate authorities.

        Returns:
            The reply, or how far the request got without one.

        Raises:
            asyncio.CancelledError: if the task is cancelled meanwhile. Its `__cause__` may be a
                `CutOff`; without one the request may have been taken.
            ValueError: for a request that would break out of its own headers.
            RuntimeError: once the transport is closed.
        """
        ...

    async def close(self) -> None:
        """Close all connections; requests under way end as lost. May be called twice."""
        ...


class BlockingTransport(Protocol):
    """Sends requests from a thread. May be used by several threads at once."""

    def send(self, request: HttpRequest, route: Route) -> HttpResponse | TransportFailure:
        """Send one request, as `AsyncTransport.send` does.

        Raises:
            CutOff: if another exception interrupts the thread meanwhile, which is its `__cause__`.
            ValueError: for a request that would break out of its own headers.
            RuntimeError: once the transport is closed.
        """
        ...

    def close(self) -> None:
        """Close all connections; requests under way end as lost. May be called twice."""
        ...
