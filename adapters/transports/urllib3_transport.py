"""Sends requests with urllib3, from whatever thread asks: no event loop, and no thread of our own.

It keeps the same promises as `aiohttp_transport`: no redirects, no cookies, nothing taken from the
environment; at most 1 MiB of a reply; connections given back or closed in every case; the times of
the route, for the request as a whole; and the difference between "surely not sent whole" and
"sent". An idle connection is not used any more after two seconds, since a POST on a line that the
server has just closed looks as if it might have been taken; it is closed at the next request. The
one thing that no time bounds is the look-up of a name, which is the operating system's.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from urllib.parse import unquote

from attrs import define, frozen
from urllib3.connection import ProxyConfig
from urllib3.exceptions import LocationParseError
from urllib3.util import Url, make_headers, parse_url

from ...domain.integration import Route
from ...ports.dialogue import REPLY_LIMIT, Ending, HttpRequest, HttpResponse, TransportFailure
from ...ports.transport import CutOff
from . import failures
from .outgoing import BODY_TYPE, CHUNK, KEEPALIVE, Sent, check, chunks_of, own_headers
from .tls import tls_context
from .urllib3_line import (
    AnsweredError,
    Course,
    CutReplyError,
    LateError,
    Line,
    Reply,
    TlsLine,
    is_foreign,
)

_PORTS = {"http": 80, "https": 443}


@frozen
class _Target:
    """Where a request goes, and by which way. Connections are shared by those for which all of
    it is the same."""

    scheme: str
    host: str
    port: int
    proxy: Url | None
    ca_bundle: str | None

    @property
    def tunnelled(self) -> bool:
        return self.proxy is not None and self.scheme == "https"

    @property
    def through_tls(self) -> bool:
        return self.scheme == "https" or (self.proxy is not None and self.proxy.scheme == "https")


@define
class _Idle:
    line: Line
    since: float


class Urllib3Transport:
    """A `BlockingTransport`. Belongs to one process: what is forked needs one of its own.

    `now` stamps the replies; an idle connection is used again for `keepalive` seconds.
    """

    def __init__(self, *, now: Callable[[], datetime], keepalive: float = KEEPALIVE) -> None:
        self._now = now
        self._keepalive = keepalive
        self._lock = threading.Lock()
        self._idle: dict[_Target, list[_Idle]] = {}
        self._busy: set[Line] = set()
        self._contexts: dict[str | None, ssl.SSLContext] = {}
        self._closed = False

    def send(self, request: HttpRequest, route: Route) -> HttpResponse | TransportFailure:
        """The reply, or how far the request got. ValueError for a request that would break out of
        its own headers; CutOff where the thread is interrupted."""
        check(request)
        course = Course(route.timeouts)
        try:
            url = parse_url(request.url)
            target = _target_of(url, route)
        except (LocationParseError, ValueError):
            return failures.no_address()
        try:
            line = self._line(target)
        except OSError as error:
            return failures.unusable_bundle(route.ca_bundle, error)
        line.course, line.overheard = course, b""
        again = False
        try:
            reply = _exchange(line, request, url, target)
            content, ending = _read(reply)
            again = ending is Ending.COMPLETE and course.sent is Sent.ALL and not line.overheard
            return HttpResponse(
                reply.status, tuple(reply.getheaders()), content, self._now(), ending
            )
        except BaseException as error:
            failure = _failure_of(error, course, _shown(url), target.proxy is not None)
            if is_foreign(error):
                raise CutOff(failure) from error
            return failure
        finally:
            # What is not at its end by now (a long reply, a document that the server did not want)
            # ends here.
            self._give_back(line, target, again=again)

    def close(self) -> None:
        """Close all connections; requests under way end as lost. Nothing can be sent afterwards."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, {}
            busy = [line.sock for line in self._busy]
        for kept in idle.values():
            for one in kept:
                one.line.close()
        for sock in busy:
            # Whoever waits for it hears that it has ended, and closes it.
            with suppress(OSError, TypeError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def _line(self, target: _Target) -> Line:
        """A connection that was used just now, or one that is still to be made. OSError where
        the bundle cannot be used."""
        now = time.monotonic()
        with self._lock:
            if self._closed:
                raise RuntimeError("this transport is closed")
            for kept in self._idle.values():
                while kept and now - kept[0].since >= self._keepalive:
                    kept.pop(0).line.close()
            self._idle = {where: kept for where, kept in self._idle.items() if kept}
            kept = self._idle.get(target, [])
            line = None
            while kept and line is None:
                last = kept.pop().line
                if last.is_connected:
                    line = last
                else:
                    last.close()
            if line is None:
                line = _new_line(
                    target, self._context(target.ca_bundle) if target.through_tls else None
                )
            self._busy.add(line)
            return line

    def _give_back(self, line: Line, target: _Target, *, again: bool) -> None:
        with self._lock:
            self._busy.discard(line)
            if again and not line.is_closed and not self._closed:
                self._idle.setdefault(target, []).append(_Idle(line, time.monotonic()))
                return
        line.close()

    def _context(self, ca_bundle: str | None) -> ssl.SSLContext:
        if ca_bundle not in self._contexts:
            self._contexts[ca_bundle] = tls_context(ca_bundle)
        return self._contexts[ca_bundle]


def _target_of(url: Url, route: Route) -> _Target:
    """ValueError where the URL is none of ours."""
    if url.scheme not in _PORTS or not url.host:
        raise ValueError("no URL to connect to")
    proxy = None if route.proxy is None else parse_url(route.proxy)
    if proxy is not None and (proxy.scheme not in _PORTS or not proxy.host):
        raise ValueError("no URL of a proxy")
    return _Target(
        url.scheme, _bare(url.host), url.port or _PORTS[url.scheme], proxy, route.ca_bundle
    )


def _new_line(target: _Target, context: ssl.SSLContext | None) -> Line:
    proxy = target.proxy
    first = (target.host, target.port)
    if proxy is not None:
        first = (_bare(proxy.host or ""), proxy.port or _PORTS[proxy.scheme or ""])
    config = ProxyConfig(
        context, use_forwarding_for_https=False, assert_hostname=None, assert_fingerprint=None
    )
    if not target.through_tls:
        return Line(*first, proxy=proxy, proxy_config=config)
    line = TlsLine(*first, ssl_context=context, proxy=proxy, proxy_config=config)
    if target.tunnelled and proxy is not None:
        line.set_tunnel(target.host, target.port, _proxy_headers(proxy), scheme=proxy.scheme or "")
    return line


def _exchange(line: Line, request: HttpRequest, url: Url, target: _Target) -> Reply:
    """Send the request, and hear the head of its reply."""
    course = line.course
    if line.is_closed:
        line.connect()
    course.connected = True
    left = request.body_size
    # A request without a body leaves with its headers.
    course.sent = Sent.NOTHING if left else Sent.ALL
    forwarded = target.proxy is not None and not target.tunnelled
    try:
        line.putrequest(
            request.method.upper(),
            url._replace(auth=None, fragment=None).url if forwarded else url.request_uri,
            skip_accept_encoding=True,
        )
        for name, value in _headers(request, url, target.proxy if forwarded else None):
            line.putheader(name, value)
        line.endheaders()
        for chunk in chunks_of(request.body, left) if left else ():
            left -= len(chunk)
            # Noted before: what comes in between may come when it has left already.
            course.sent = Sent.PART if left else Sent.ALL
            line.send(chunk)
    except (AnsweredError, ConnectionError):
        pass  # perhaps it has said why
    reply = http.client.HTTPConnection.getresponse(line)
    assert isinstance(reply, Reply)
    return reply


def _headers(request: HttpRequest, url: Url, proxy: Url | None) -> Iterator[tuple[str, str]]:
    given = {name.lower() for name, _ in request.headers}
    standing = {"Accept": "*/*", **dict(own_headers())}
    if request.body_size or request.method.upper() in ("POST", "PUT", "PATCH"):
        standing["Content-Length"] = str(request.body_size)
        standing["Content-Type"] = BODY_TYPE
    if url.auth is not None:
        standing["Authorization"] = make_headers(basic_auth=unquote(url.auth))["authorization"]
    if proxy is not None:
        standing |= _proxy_headers(proxy)
    for name, value in standing.items():
        if name.lower() not in given:
            yield name, value
    for name, value in request.headers:
        # how it is encoded below: it goes out as UTF-8
        yield name, value.encode().decode("latin-1")


def _proxy_headers(proxy: Url) -> dict[str, str]:
    if proxy.auth is None:
        return {}
    return {
        "Proxy-Authorization": make_headers(proxy_basic_auth=unquote(proxy.auth))[
            "proxy-authorization"
        ]
    }


def _read(reply: Reply) -> tuple[bytes, Ending]:
    """The reply's body as far as it is read, and how it ended."""
    content = bytearray()
    try:
        while chunk := reply.read1(CHUNK):
            content += chunk
            if len(content) > REPLY_LIMIT:
                return bytes(content[:REPLY_LIMIT]), Ending.TOO_LONG
    except BaseException as error:
        if is_foreign(error):
            raise
        # A reset, a timeout, a chunk that is none: the status is known, the rest never came.
        return bytes(content), Ending.CUT_SHORT
    finally:
        reply.close()
    return bytes(content), Ending.CUT_SHORT if reply.length else Ending.COMPLETE


def _failure_of(
    error: BaseException, course: Course, host: str, by_proxy: bool
) -> TransportFailure:
    """The failure that `error` is. Total: what is not known is judged by how much had been sent."""
    timeouts = course.timeouts
    if not course.connected:
        match error:
            case LateError(which="connect"):
                return failures.too_slow_to_connect(host, timeouts)
            case ssl.SSLCertVerificationError():
                return failures.untrusted(host)
            case ssl.SSLError():
                return failures.no_tls(host)
            case OSError() if course.proxy_status not in (None, http.client.OK):
                return failures.refused_by_proxy(host, course.proxy_status)
            case OSError() if by_proxy:
                return failures.no_proxy(error)
            case http.client.HTTPException():
                return failures.no_proxy(OSError())
            case socket.gaierror():
                return failures.unresolved(host)
            case OSError():
                return failures.unconnected(host, error)
    if course.sent is not Sent.ALL:
        return failures.not_sent(
            course.sent, host, timeouts, timed_out=isinstance(error, LateError)
        )
    match error:
        case LateError(which="idle"):
            return failures.silent(host, timeouts)
        case LateError():
            return failures.no_reply_in_time(host, timeouts)
        case http.client.HTTPException() if not isinstance(error, CutReplyError | ConnectionError):
            return failures.not_http(host)
    return failures.lost(host)


def _bare(host: str) -> str:
    return host.removeprefix("[").removesuffix("]")


def _shown(url: Url) -> str:
    return f"{url.host}" if url.port is None else f"{url.host}:{url.port}"
