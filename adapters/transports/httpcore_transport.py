"""Sends requests with httpcore, from whatever thread asks: no event loop and no thread of our own.

It keeps the same promises as `aiohttp_transport`: no redirects, no cookies, nothing taken from the
environment; at most 1 MiB of a reply; connections given back or closed in every case; the times of
the route, for the request as a whole; and the difference between "surely not sent whole" and
"sent". An idle connection is not used again after two seconds, since a POST on a connection that
the server has just closed looks as if it might have been taken; it is closed at the next request.
The one thing that no time bounds is the look-up of a name, which is the operating system's.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable
from datetime import datetime
from typing import TypeAlias
from urllib.parse import SplitResult, quote, urlsplit

import httpcore

from ...domain.integration import Route
from ...ports.dialogue import REPLY_LIMIT, Ending, HttpRequest, HttpResponse, TransportFailure
from ...ports.transport import CutOff
from . import failures
from .httpcore_stream import Backend, Course, is_foreign
from .outgoing import BODY_TYPE, KEEPALIVE, Late, check, host_of, own_headers, without_userinfo
from .reply_body import read_as_it_says
from .tls import Version, tls_context, version_of

_Way: TypeAlias = tuple[str | None, str | None, bool]
"""The proxy, the file of authorities, and whether TLS is spoken."""


class HttpcoreTransport:
    """A `BlockingTransport`. Belongs to one process: what is forked needs one of its own.

    `now` stamps the replies; an idle connection is used again for `keepalive` seconds.
    """

    def __init__(self, *, now: Callable[[], datetime], keepalive: float = KEEPALIVE) -> None:
        self._now = now
        self._keepalive = keepalive
        self._lock = threading.Lock()
        self._backend = Backend()
        self._pools: dict[_Way, tuple[Version, httpcore.ConnectionPool]] = {}
        self._closed = False

    def send(self, request: HttpRequest, route: Route) -> HttpResponse | TransportFailure:
        """The reply, or how far the request got. ValueError for a request that would break out of
        its own headers; CutOff where the thread is interrupted."""
        check(request)
        course = Course(request, route.timeouts)
        try:
            place, authorization = without_userinfo(request.url)
            address = urlsplit(place)
            url, host = _url(address), host_of(address)
            pool = self._pool(route, address.scheme)
        except ValueError:
            return failures.no_address()
        except OSError as error:
            return failures.unusable_bundle(route.ca_bundle, error)
        try:
            return self._exchange(pool, url, _headers(request, authorization), course)
        except BaseException as error:
            failure = _failure_of(error, course, host, by_proxy=route.proxy is not None)
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
            for _, pool in self._pools.values():
                _close_idle(pool)
        for stream in list(self._backend.opened):
            stream.shut_down()

    def _exchange(
        self,
        pool: httpcore.ConnectionPool,
        url: httpcore.URL,
        headers: list[tuple[bytes, bytes]],
        course: Course,
    ) -> HttpResponse:
        request = course.request
        with pool.stream(
            request.method.upper(),
            url,
            headers=headers,
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

    def _pool(self, route: Route, scheme: str) -> httpcore.ConnectionPool:
        """The connections that go the same way. OSError where the bundle cannot be used."""
        under_tls = "https" in (scheme, (route.proxy or "").partition(":")[0].lower())
        way = (route.proxy, route.ca_bundle, under_tls)
        with self._lock:
            if self._closed:
                raise RuntimeError("this transport is closed")
            version = version_of(route.ca_bundle) if under_tls else ()
            made, pool = self._pools.get(way, (None, None))
            if pool is None or made != version:
                if pool is not None:
                    _close_idle(pool)
                context = tls_context(route.ca_bundle) if under_tls else None
                pool = httpcore.ConnectionPool(
                    ssl_context=context,
                    proxy=None if route.proxy is None else _proxy(route.proxy, context),
                    max_connections=None,
                    keepalive_expiry=self._keepalive,
                    network_backend=self._backend,
                )
                self._pools[way] = version, pool
            return pool


def _close_idle(pool: httpcore.ConnectionPool) -> None:
    for connection in pool.connections:
        if connection.is_idle():
            connection.close()


def _url(address: SplitResult) -> httpcore.URL:
    """The URL, spelled as it was written. ValueError if it leads nowhere."""
    host_of(address)
    host = (address.hostname or "").encode("idna")
    target = (address.path or "/") + (f"?{address.query}" if address.query else "")
    return httpcore.URL(
        scheme=address.scheme,
        host=b"[%b]" % host if b":" in host else host,
        port=address.port,
        target=quote(target, safe="".join(map(chr, range(0x21, 0x7F)))),
    )


def _proxy(url: str, context: ssl.SSLContext | None) -> httpcore.Proxy:
    place, authorization = without_userinfo(url)
    address = urlsplit(place)
    headers = [] if authorization is None else [("Proxy-Authorization", authorization)]
    tls = context if address.scheme == "https" else None
    return httpcore.Proxy(_url(address), headers=headers, ssl_context=tls)


def _headers(request: HttpRequest, authorization: str | None) -> list[tuple[bytes, bytes]]:
    """Our own headers, where the request has none of that name, and the request's."""
    own = {"Accept": "*/*", **dict(own_headers())}
    if request.body_size or request.method.upper() in ("POST", "PUT", "PATCH"):
        own |= {"Content-Length": str(request.body_size), "Content-Type": BODY_TYPE}
    if authorization is not None:
        own["Authorization"] = authorization
    given = {name.lower() for name, _ in request.headers}
    kept = [(name, text) for name, text in own.items() if name.lower() not in given]
    return [(name.encode(), text.strip().encode()) for name, text in (*kept, *request.headers)]


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


def _failure_of(
    error: BaseException, course: Course, host: str, *, by_proxy: bool
) -> TransportFailure:
    """The failure that `error` is. What is not known is judged by how much had been sent."""
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
