"""Sends requests with aiohttp, on the event loop where it is first used.

What it takes care of, beyond aiohttp's own work: no redirects, no cookies, nothing taken from the
environment; at most 1 MiB of a reply; connections given back or closed in every case; and the
difference between "surely not sent whole" and "sent". Idle connections are closed after two
seconds, since a POST on a line that the server has just closed looks as if it might have been
taken.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from ...domain.integration import Route, Timeouts
from ...ports.dialogue import Ending, HttpRequest, HttpResponse, TransportFailure
from ...ports.transport import CutOff
from . import failures
from .aiohttp_direct import Direct, Leaving
from .aiohttp_reply import Connector, RefusedError, Reply, UnreadableError, read
from .names import Names
from .outgoing import KEEPALIVE, Destination, Late, Sent, check
from .ready_body import ReadyBody
from .reply_body import read_as_it_says
from .reply_head import HEAD_LIMIT
from .tls import TlsContexts

_NUMERIC = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV


class AiohttpTransport:
    """An `AsyncTransport` for one event loop.

    `now` stamps the replies; an idle connection is kept for `keepalive` seconds. How many requests
    are under way at once is the caller's to bound.
    """

    def __init__(self, *, now: Callable[[], datetime], keepalive: float = KEEPALIVE) -> None:
        self._now = now
        self._keepalive = keepalive
        self._contexts = TlsContexts()
        self._session: aiohttp.ClientSession | None = None
        self._direct: Direct | None = None
        self._closed = False

    async def send(self, request: HttpRequest, route: Route) -> HttpResponse | TransportFailure:
        """The reply, or how far the request got. ValueError for a request that would break out of
        its own headers."""
        check(request)
        try:
            to = Destination.of(request.url, route.proxy)
            # As it was written: an address that a storage has signed is not to be spelled anew.
            url = URL(to.url, encoded=to.url.isascii())
            tls = await self._contexts.get_on_loop(route.ca_bundle) if to.under_tls else True
        except ValueError:
            return failures.no_address()
        except OSError as error:
            return failures.unusable_bundle(route.ca_bundle, error)
        except asyncio.CancelledError as error:
            raise error from failures.nothing_sent(request)
        leaving = Leaving(request, to.headers(request), url, tls, _timeout(route.timeouts))
        session, direct = self._open_session(), self._direct
        try:
            sends = direct is not None and direct.takes(request) and to.proxy is None
            reply = await direct.send(leaving) if direct is not None and sends else None
            reply = reply or await self._by_session(session, leaving, to)
        except RefusedError as refused:
            return HttpResponse(refused.status, refused.headers, b"", self._now(), Ending.CUT_SHORT)
        except (Exception, asyncio.CancelledError) as error:
            sent = leaving.sent if leaving.body is None else leaving.body.sent
            if isinstance(error, asyncio.CancelledError):
                raise error from CutOff(failures.no_reply(sent, None, to.host, route.timeouts))
            return failure_of(error, sent, to, route.timeouts)
        return read_as_it_says(reply)

    async def _by_session(
        self, session: aiohttp.ClientSession, leaving: Leaving, to: Destination
    ) -> HttpResponse:
        key, tunnelled = to.proxy_authorization, leaving.url.scheme == "https"
        of_proxy = {} if key is None else {"Proxy-Authorization": key}
        request = leaving.request
        if request.body_size or request.method.upper() not in ("GET", "HEAD"):
            leaving.body = ReadyBody(request.body)  # an empty one, too: it notes when it left
        else:
            leaving.sent = Sent.ALL  # what only reads may be sent again in any case
        response = await session.request(
            request.method,
            leaving.url,
            headers=leaving.headers if tunnelled else (*leaving.headers, *of_proxy.items()),
            proxy_headers=of_proxy if tunnelled else None,
            data=leaving.body,
            timeout=leaving.timeout,
            proxy=to.proxy,
            ssl=leaving.tls,
            allow_redirects=False,
        )
        try:
            content, ending = await read(response.content)
            received = tuple(response.headers.items())
            return HttpResponse(response.status, received, content, self._now(), ending)
        finally:
            # What is not at its end by now (a long reply, a document that the server did not want)
            # ends here.
            response.close()

    async def close(self) -> None:
        """Close all connections; requests under way end as lost. Nothing can be sent afterwards."""
        self._closed = True
        if self._session is not None:
            await self._session.close()

    def _open_session(self) -> aiohttp.ClientSession:
        if self._closed:
            raise RuntimeError("this transport is closed")
        if self._session is None:
            connector = Connector(limit=0, keepalive_timeout=self._keepalive, resolver=_Resolver())
            self._direct = Direct(connector, self._now)
            self._session = aiohttp.ClientSession(
                connector=connector,
                response_class=Reply,
                max_line_size=HEAD_LIMIT,
                max_field_size=HEAD_LIMIT,
                max_headers=HEAD_LIMIT,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
            )
        return self._session


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
    heard = failures.unreadable(error.status) if isinstance(error, UnreadableError) else None
    return failures.no_reply(sent, late, host, timeouts, heard=heard)


@lru_cache(maxsize=64)
def _timeout(timeouts: Timeouts) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(
        total=timeouts.total.total_seconds(),
        connect=timeouts.connect.total_seconds(),
        sock_read=timeouts.idle.total_seconds(),
    )


class _Resolver(AbstractResolver):
    """Has aiohttp look names up in threads of ours."""

    def __init__(self) -> None:
        self._names = Names()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await asyncio.wrap_future(self._names.look_up(host))
        return [
            ResolveResult(
                hostname=host, host=address, port=port, family=kind, proto=0, flags=_NUMERIC
            )
            for kind, address in found
            if family in (socket.AF_UNSPEC, kind)
        ]

    async def close(self) -> None:
        """Nothing: a thread ends with its look-up."""
