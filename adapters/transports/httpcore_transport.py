"""Sends requests with httpcore, from whatever thread asks: no event loop and no thread of our own.

It keeps the same promises as `aiohttp_transport`: no redirects, no cookies, nothing taken from the
environment; at most 1 MiB of a reply; connections given back or closed in every case; the times of
the route, for the request as a whole; and the difference between "surely not sent whole" and
"sent". An idle connection is not used again after two seconds, since a POST on a connection that
the server has just closed looks as if it might have been taken; it is closed at the next request.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable
from datetime import datetime
from urllib.parse import quote, urlsplit

import httpcore

from ...domain.integration import Route
from ...ports.dialogue import REPLY_LIMIT, Ending, HttpRequest, HttpResponse, TransportFailure
from ...ports.transport import CutOff
from . import failures
from .httpcore_stream import Backend, Course, is_foreign
from .outgoing import KEEPALIVE, Destination, Late, check
from .reply_body import read_as_it_says
from .tls import TlsContexts


class HttpcoreTransport:
    """A `BlockingTransport`. Belongs to one process: what is forked needs one of its own.

    `now` stamps the replies; an idle connection is used again for `keepalive` seconds.
    """

    def __init__(self, *, now: Callable[[], datetime], keepalive: float = KEEPALIVE) -> None:
        self._now = now
        self._keepalive = keepalive
        self._lock = threading.Lock()
        self._backend = Backend()
        self._contexts = TlsContexts()
        self._pools: dict[tuple[str | None, ssl.SSLContext | None], httpcore.ConnectionPool] = {}
        self._closed = False

    def send(self, request: HttpRequest, route: Route) -> HttpResponse | TransportFailure:
        """The reply, or how far the request got. ValueError for a request that would break out of
        its own headers; CutOff where the thread is interrupted."""
        check(request)
        try:
            destination = Destination.of(request.url, route.proxy)
            url = _url(destination.url)
            pool = self._pool(destination, route)
        except ValueError:
            return failures.no_address()
        except RuntimeError:
            raise
        except BaseException as error:
            if isinstance(error, OSError) and not is_foreign(error):
                return failures.unusable_bundle(route.ca_bundle, error)
            raise failures.nothing_sent(request) from error
        course = Course(request, route.timeouts)
        try:
            return self._exchange(pool, url, destination, course)
        except BaseException as error:
            failure = _failure_of(error, course, destination)
            if is_foreign(error):
                raise CutOff(failure) from error
            refusal = course.head.refusal() if course.connected else None
            if refusal is not None:
                return HttpResponse(*refusal, b"", self._now(), Ending.CUT_SHORT)
            return failure

    def close(self) -> None:
        """Close all connections; requests under way end as lost. Nothing can be sent afterwards."""
        with self._lock:
            self._closed = True
            for pool in self._pools.values():
                for connection in pool.connections:
                    if connection.is_idle():
                        connection.close()
        for stream in list(self._backend.opened):
            stream.shut_down()

    def _exchange(
        self, pool: httpcore.ConnectionPool, url: httpcore.URL, to: Destination, course: Course
    ) -> HttpResponse:
        request = course.request
        with pool.stream(
            request.method.upper(),
            url,
            headers=[(name.encode(), text.encode()) for name, text in to.headers(request)],
            content=course.chunks() if request.body_size else None,
            extensions={
                "timeout": dict.fromkeys(("connect", "read", "write"), course),
                "trace": course.trace,
            },
        ) as response:
            if not course.head.is_whole:
                raise httpcore.RemoteProtocolError("a reply that was there before the request")
            content, ending = _read(response)
        received = [(name.decode(), text.decode("latin-1")) for name, text in response.headers]
        return read_as_it_says(
            HttpResponse(response.status, tuple(received), content, self._now(), ending)
        )

    def _pool(self, destination: Destination, route: Route) -> httpcore.ConnectionPool:
        """The connections that go the same way. OSError if the bundle cannot be used."""
        context = self._contexts.get(route.ca_bundle) if destination.under_tls else None
        with self._lock:
            if self._closed:
                raise RuntimeError("this transport is closed")
            way = (route.proxy, context)
            if way not in self._pools:
                self._pools[way] = httpcore.ConnectionPool(
                    ssl_context=context,
                    proxy=_proxy(destination, context),
                    max_connections=None,
                    keepalive_expiry=self._keepalive,
                    network_backend=self._backend,
                )
            return self._pools[way]


def _url(url: str) -> httpcore.URL:
    """The URL, spelled as it was written. ValueError if its host is no name."""
    address = urlsplit(url)
    host = (address.hostname or "").encode("idna")
    target = (address.path or "/") + (f"?{address.query}" if address.query else "")
    return httpcore.URL(
        scheme=address.scheme,
        host=b"[%b]" % host if b":" in host else host,
        port=address.port,
        target=quote(target, safe="".join(map(chr, range(0x21, 0x7F)))),
    )


def _proxy(destination: Destination, context: ssl.SSLContext | None) -> httpcore.Proxy | None:
    if destination.proxy is None:
        return None
    url, authorization = _url(destination.proxy), destination.proxy_authorization
    return httpcore.Proxy(
        url,
        headers=[] if authorization is None else [("Proxy-Authorization", authorization)],
        ssl_context=context if url.scheme == b"https" else None,
    )


def _read(response: httpcore.Response) -> tuple[bytes, Ending]:
    """The reply's body as far as it is read, and how it ended."""
    content = bytearray()
    try:
        for chunk in response.iter_stream():
            content += chunk
            if len(content) > REPLY_LIMIT:
                return bytes(content[:REPLY_LIMIT]), Ending.TOO_LONG
    except BaseException as error:
        if is_foreign(error):
            raise
        # A reset, a timeout, a chunk that is none: the status is known, the rest never came.
        return bytes(content), Ending.CUT_SHORT
    return bytes(content), Ending.COMPLETE


def _failure_of(error: BaseException, course: Course, destination: Destination) -> TransportFailure:
    """The failure that `error` is. What is not known is judged by how much had been sent."""
    host, by_proxy = destination.host, destination.proxy is not None
    if not course.connected:
        if course.late is Late.CONNECT:
            return failures.too_slow_to_connect(host, course.timeouts)
        cause = error.args[0] if isinstance(error, httpcore.NetworkError) and error.args else error
        if isinstance(cause, httpcore.ProxyError):
            return failures.refused_by_proxy(host, int(str(cause).partition(" ")[0]))
        if isinstance(cause, httpcore.ProtocolError):
            cause = OSError()  # what the proxy said
        if isinstance(cause, OSError):
            return failures.not_connected(host, cause, by_proxy=by_proxy)
    refused = isinstance(error, httpcore.RemoteProtocolError) and not course.hung_up
    heard = None
    if course.head.is_unreadable or refused:
        heard = failures.unreadable(course.head.status)
    return failures.no_reply(course.sent, course.late, host, course.timeouts, heard=heard)
