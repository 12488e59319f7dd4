"""What every transport owes: the kits for the `AsyncTransport` and the `BlockingTransport` port.

    class TestMyTransport(TransportContract):
        def transport(self) -> AsyncTransport:
            return MyTransport()

The rules are the same for both. They are tried on servers of the kit's own, on the loopback
interface, which say what healthy, broken and hostile servers say. For each rule the kit calls
`transport` (on the event loop, if the transport needs one) and closes what it returns.
"""

from __future__ import annotations

import asyncio
import gzip
import os
import threading
import zlib
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Final, TypeAlias, TypeVar

from ...domain.integration import Route, Timeouts
from ...domain.upload.failure import FailureKind
from ...ports.dialogue import REPLY_LIMIT, Ending, HttpRequest, HttpResponse, TransportFailure
from ...ports.transport import AsyncTransport, BlockingTransport
from .assertions import a, must, raises, same
from .loopback import RULE_DEADLINE, Line, Server, Talk, closed_port, serving

T = TypeVar("T")
Answer: TypeAlias = HttpResponse | TransportFailure

SECRET: Final = "sk-0123456789-canary"
SMALL: Final = (b"--b\r\n", b"x" * 30_000, b"\r\n--b--\r\n")
BIG: Final = (b"--b\r\n", bytes(range(256)) * 32_768, b"\r\n--b--\r\n")
OK: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
_PROXIES: Final = (
    "http_proxy",
    "HTTP_PROXY",
    "https_proxy",
    "HTTPS_PROXY",
    "all_proxy",
    "ALL_PROXY",
)


def route(
    *, connect: float = 5.0, idle: float = 5.0, total: float = 8.0, proxy: str | None = None
) -> Route:
    """A route with timeouts in seconds."""
    seconds = [timedelta(seconds=value) for value in (connect, idle, total)]
    return Route(Timeouts(*seconds), proxy=proxy)


def post(url: str, body: tuple[bytes, ...] = SMALL, *headers: tuple[str, str]) -> HttpRequest:
    """A request with a credential."""
    return HttpRequest("POST", url, (("Api-Key", SECRET), *headers), body)


class Trial(ABC):
    """Tries a transport of either kind on servers of the kit's own."""

    @abstractmethod
    def _sent(self, requests: Sequence[tuple[HttpRequest, Route]]) -> list[Answer]:
        """What one transport is answered to these requests, one after another."""

    @abstractmethod
    def _sent_at_once(self, requests: Sequence[tuple[HttpRequest, Route]]) -> list[Answer]:
        """What one transport is answered to these requests, all at once."""

    @abstractmethod
    def _sent_slowly(self, requests: Sequence[tuple[HttpRequest, Route]]) -> list[Answer]:
        """As `_sent`, with a moment between two of them."""

    @abstractmethod
    def _closed_under_way(self, request: HttpRequest, arrived: threading.Event) -> Answer:
        """What a request comes to whose transport is closed, in another task or thread, once
        `arrived` is set."""

    @contextmanager
    def _serving(self, talk: Talk) -> Iterator[Server]:
        with serving(talk) as server:
            yield server

    def _post(
        self, talk: Talk, body: tuple[bytes, ...] = SMALL, way: Route | None = None
    ) -> Answer:
        with self._serving(talk) as server:
            (answer,) = self._sent([(post(f"{server.origin}/api", body), way or route())])
            return answer

    def _reply(
        self, talk: Talk, body: tuple[bytes, ...] = SMALL, way: Route | None = None
    ) -> HttpResponse:
        return a(HttpResponse, self._post(talk, body, way))

    def _failure(
        self,
        kind: FailureKind,
        talk: Talk,
        body: tuple[bytes, ...] = SMALL,
        way: Route | None = None,
    ) -> None:
        _is(kind, self._post(talk, body, way))


class WhatIsSentRules(Trial):
    """What is sent, and what comes back."""

    def test_the_body_arrives_whole_with_its_length(self) -> None:
        """The body is sent whole, with a Content-Length and not in chunks."""
        mib = b"x" * 2**20
        for body in (SMALL, (b"", b"x", b""), (mib[1:],), (mib,), (mib, b"", mib)):
            seen: list[tuple[bytes, bytes]] = []

            def talk(line: Line, seen: list[tuple[bytes, bytes]] = seen) -> None:
                seen.append(line.request())
                line.say(OK)

            self._reply(talk, body)
            ((head, content),) = seen
            must(
                content == b"".join(body),
                f"a body of {len(b''.join(body))} bytes arrived as {len(content)} others",
            )
            must(
                b"transfer-encoding" not in head.lower(),
                "a body is sent in chunks, which some servers refuse",
            )

    def test_a_request_is_sent_as_it_is(self) -> None:
        """Method, URL and headers are sent as the request spells them."""
        seen: list[tuple[bytes, bytes]] = []

        def talk(line: Line) -> None:
            seen.append(line.request())
            line.say(OK)

        with self._serving(talk) as server:
            request = HttpRequest(
                "PUT", f"{server.origin}/a%2Fb?q=a%20b", (("Api-Key", SECRET), ("X-Odd", "é"))
            )
            self._sent([(request, route())])
        ((head, body),) = seen
        first, *lines = head.split(b"\r\n")
        same(first, b"PUT /a%2Fb?q=a%20b HTTP/1.1", "the line of the request")
        must(b"Api-Key: " + SECRET.encode() in lines, "a header is not sent as it is")
        same(body, b"", "the body of a request without one")

    def test_a_reply_is_handed_over_as_it_arrived(self) -> None:
        """Status, headers and body are handed over, with the time in UTC."""

        def talk(line: Line) -> None:
            line.request()
            line.say(b"HTTP/1.1 418 Teapot\r\nX-Request-Id: r-1\r\nContent-Length: 5\r\n\r\nshort")

        reply = self._reply(talk)
        same(
            (reply.status, reply.body, reply.ending), (418, b"short", Ending.COMPLETE), "the reply"
        )
        same(reply.header("x-request-id"), "r-1", "a header of the reply")
        must(
            reply.received_at.utcoffset() == timedelta(0),
            f"received_at is not in UTC: {reply.received_at!r}",
        )

    def test_a_redirect_is_not_followed(self) -> None:
        """The credentials stay with the host that they are for."""
        for status in (301, 302, 303, 307, 308):
            with self._serving(lambda line: line.say(OK)) as elsewhere:

                def talk(line: Line, status: int = status, url: str = elsewhere.origin) -> None:
                    line.request()
                    line.say(
                        f"HTTP/1.1 {status} Moved\r\nLocation: "
                        f"{url}/\r\nContent-Length: 0\r\n\r\n".encode()
                    )

                same(self._reply(talk).status, status, "the status that is handed over")
                same(elsewhere.lines, [], "the connections to where a redirect leads")

    def test_no_cookie_is_stored(self) -> None:
        """A cookie of one reply is not sent with the next request."""
        heads: list[bytes] = []

        def talk(line: Line) -> None:
            while True:
                heads.append(line.request()[0])
                line.say(b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b; Path=/\r\nContent-Length: 0\r\n\r\n")

        with self._serving(talk) as server:
            self._sent([(post(server.origin), route())] * 2)
        must(not any(b"\r\ncookie:" in head.lower() for head in heads), "a cookie is sent back")

    def test_what_is_compressed_unasked_is_never_more_than_is_read(self) -> None:
        """No more comes out of a compressed body than the limit, and it says if that is not all."""
        bomb = gzip.compress(b"0" * 10_000_000)

        def talk(line: Line) -> None:
            line.request()
            head = (
                f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(bomb)}\r\n\r\n"
            )
            line.say(head.encode(), bomb)

        reply = self._reply(talk)
        must(
            len(reply.body) <= REPLY_LIMIT,
            f"{len(reply.body)} bytes were unpacked from a compressed reply",
        )
        must(
            reply.ending is not Ending.COMPLETE or reply.body == bomb,
            "a compressed reply was unpacked in part and is reported as complete",
        )


class ReplyRules(Trial):
    """A reply is judged by what it says."""

    def test_a_body_is_read_as_its_headers_say(self) -> None:
        """A compressed body is handed over uncompressed, and text in UTF-8."""
        text = '{"name": "Zo\u00eb"}'
        utf8 = text.encode()
        for headers, body in (
            ("Content-Encoding: gzip", gzip.compress(utf8)),
            ("Content-Encoding: deflate", zlib.compress(utf8)),
            ("Content-Type: application/json; charset=ISO-8859-1", text.encode("latin-1")),
            ("Content-Type: application/json; charset=utf-16", text.encode("utf-16")),
            ("Content-Type: application/json", b"\xef\xbb\xbf" + utf8),
        ):
            reply = self._reply(_answering(_success(body, headers)))
            same((reply.ending, reply.body), (Ending.COMPLETE, utf8), f"a reply with {headers}")

    def test_an_unusual_head_hides_no_reply(self) -> None:
        """What servers and gateways write all the same is read, whatever a parser thinks of it."""
        plain = _success(b"{}")
        for raw in (
            plain.replace(b"Length:", b"Length :"),
            plain.replace(b"HTTP", b"http"),
            plain.replace(b"Content-Length: 2", b"Content-Length: 2\r\nContent-Length: 2"),
            _success(b"{}", "no colon here"),
            _success(b"{}", "X-Long: " + "x" * 9_000),
            _success(b"{}", *(f"X-{number}: x" for number in range(130))),
            _success(b"{}", *(f"X-{number}: {'x' * 7_000}" for number in range(10))),
        ):
            answer = self._post(_answering(raw))
            must(
                isinstance(answer, HttpResponse) and (answer.status, answer.body) == (200, b"{}"),
                f"a reply that begins with {raw[:40]!r} became {answer!r}",
            )

    def test_a_refusal_decides_by_its_status(self) -> None:
        """A status that is not 2xx counts even if the rest of the reply is damaged."""
        for raw in (
            b"HTTP/1.1 400 Bad Request\r\nContent-Length: many\r\n\r\n",
            b"HTTP/1.1 400 Bad Request\r\nX-Request-",
            b"HTTP/1.1 400 Bad Request\r\nContent-Length: 100\r\n\r\nno",
            b"HTTP/1.1 400 Bad Request\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nno",
        ):
            same(self._reply(_answering(raw)).status, 400, f"the status of {raw!r}")

    def test_interim_replies_are_read_over(self) -> None:
        """100, 102 and 103 are no replies, whenever they come and though they were not asked
        for."""
        for raw in (
            b"HTTP/1.1 100 Continue\r\n\r\n",
            b"HTTP/1.1 102 Processing\r\n\r\n",
            b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n",
        ):
            for early in (True, False):

                def talk(line: Line, raw: bytes = raw, early: bool = early) -> None:
                    if early:
                        line.wait_for_head()
                        line.say(raw)
                    line.request()
                    line.say(raw, raw, OK)

                reply = self._reply(talk, BIG)
                same((reply.status, reply.body), (200, b"{}"), f"the reply behind {raw!r}")

    def test_an_early_reply_ends_the_sending(self) -> None:
        """A reply that comes before the whole request was sent is the reply, even if the server
        reads no further."""
        answered = threading.Event()

        def talk(line: Line) -> None:
            line.head()
            line.say(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
            answered.wait(RULE_DEADLINE)

        with self._serving(talk) as server:
            (answer,) = self._sent([(post(server.origin, BIG), route())])
            answered.set()
        must(
            isinstance(answer, HttpResponse) and (answer.status, answer.body) == (413, b"no"),
            f"a reply that arrived early became {answer!r}",
        )


class ReplyEndRules(Trial):
    """Replies that are too long, cut, slow, or none."""

    def test_a_reply_of_the_limit_is_complete_and_one_byte_more_is_too_long(self) -> None:
        """The limit is a number of bytes that is still read."""
        for size, ending in ((REPLY_LIMIT, Ending.COMPLETE), (REPLY_LIMIT + 1, Ending.TOO_LONG)):

            def talk(line: Line, size: int = size) -> None:
                line.request()
                line.say(f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n".encode(), b"x" * size)
                line.gone()

            reply = self._reply(talk)
            same((reply.ending, len(reply.body)), (ending, REPLY_LIMIT), f"a reply of {size} bytes")

    def test_of_an_endless_reply_no_more_than_the_limit_is_read(self) -> None:
        """After the limit the connection is closed."""
        for head in (b"", b"Transfer-Encoding: chunked\r\n"):
            stopped = threading.Event()

            def talk(line: Line, head: bytes = head, stopped: threading.Event = stopped) -> None:
                line.request()
                line.say(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n")
                try:
                    for _ in range(10_000):
                        line.say(b"10000\r\n" + b"x" * 65_536 + b"\r\n")
                except OSError:
                    stopped.set()

            with self._serving(talk) as server:
                (answer,) = self._sent([(post(server.origin), route())])
                reply = a(HttpResponse, answer)
                same(
                    (reply.ending, len(reply.body)),
                    (Ending.TOO_LONG, REPLY_LIMIT),
                    "an endless reply",
                )
                must(
                    stopped.wait(RULE_DEADLINE), "the rest of an endless reply is read all the same"
                )

    def test_a_reply_that_is_cut_keeps_its_status_and_says_so(self) -> None:
        """The status counts even if the body is lost."""
        for cut in (
            b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
        ):
            for ends in (_closes, Line.silence):

                def talk(line: Line, cut: bytes = cut, ends: Talk = ends) -> None:
                    line.request()
                    line.say(cut)
                    ends(line)

                reply = self._reply(talk, way=route(idle=0.1))
                same((reply.status, reply.ending), (200, Ending.CUT_SHORT), "a reply that is cut")

    def test_a_reply_that_drips_is_cut_at_the_total_time(self) -> None:
        """A byte now and then does not prolong a request."""

        def talk(line: Line) -> None:
            line.request()
            line.say(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
            while not line.over.wait(0.01):
                line.say(b"x")

        reply = self._reply(talk, way=route(total=0.2))
        same((reply.status, reply.ending), (200, Ending.CUT_SHORT), "a reply that drips")

    def test_silence_after_the_request_is_a_timeout(self) -> None:
        """The idle and the total time bound the wait for a reply."""
        for way in (route(idle=0.1), route(total=0.1)):
            self._failure(FailureKind.TIMEOUT, _having_read(Line.silence), way=way)

    def test_a_line_that_is_lost_after_the_request_may_have_carried_it(self) -> None:
        """A request that was sent whole may have been taken."""
        for ends in (_closes, Line.reset):
            for body in (SMALL, BIG):
                self._failure(
                    FailureKind.CONNECTION_LOST,
                    _having_read(ends),
                    body,
                )

    def test_a_line_that_is_lost_before_the_whole_request_has_not_carried_it(self) -> None:
        """A request that was not sent whole was not taken."""
        for ends in (_closes, Line.reset):
            self._failure(FailureKind.NOT_SENT, _having_read(ends, Line.head), BIG)

    def test_a_server_that_does_not_read_has_not_been_sent_the_request(self) -> None:
        """The total time bounds the sending, too."""
        self._failure(FailureKind.NOT_SENT, Line.silence, BIG, route(idle=0.1, total=0.2))

    def test_what_is_not_http_is_a_lost_connection(self) -> None:
        """The request may have been taken; what came says nothing about it."""
        for raw in (
            b"SSH-2.0-OpenSSH_9.6\r\n",
            b"\x15\x03\x01\x00\x02\x02\x16",
            b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        ):
            self._failure(
                FailureKind.CONNECTION_LOST,
                _answering(raw),
            )


class NoConnectionRules(Trial):
    """No connection."""

    def test_a_refused_connection_is_no_connection(self) -> None:
        """A refused connection carried nothing."""
        (answer,) = self._sent([(post(f"http://127.0.0.1:{closed_port()}/"), route())])
        _is(FailureKind.NO_CONNECTION, answer)

    def test_a_failed_tls_handshake_is_no_connection(self) -> None:
        """A handshake that fails or never ends carried nothing."""
        for talk in (lambda line: line.say(b"HTTP/1.1 400 Bad Request\r\n\r\n"), Line.silence):
            with self._serving(talk) as server:
                url = server.origin.replace("http:", "https:")
                (answer,) = self._sent([(post(url), route(connect=0.2))])
            _is(FailureKind.NO_CONNECTION, answer)


class ConnectionRules(Trial):
    """Connections."""

    def test_a_connection_is_given_back_in_every_case(self) -> None:
        """After closing, no connection is left open."""
        odd = [
            OK,
            b"HTTP/1.1 500 Oh\r\nContent-Length: 3\r\n\r\n\r\n\r",
            b"HTTP/1.1 302 Moved\r\nLocation: /\r\nContent-Length: 4\r\n\r\nmove",
            b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}",
            b"nonsense\r\n",
        ]
        answers = iter(odd * 4)

        def talk(line: Line) -> None:
            while True:
                line.request()
                raw = next(answers, OK)
                line.say(raw)
                if raw in odd[3:]:
                    return

        with self._serving(talk) as server:
            self._sent([(post(server.origin), route())] * 20)
            must(
                all(line.gone(2.0) for line in list(server.lines)),
                "a connection is still open after its transport was closed",
            )

    def test_a_connection_that_the_server_has_closed_is_not_used_again(self) -> None:
        """A request on a closed connection would look as if it might have been taken."""
        with self._serving(_answering(OK)) as server:
            request = (post(server.origin), route())
            answers = self._sent_slowly([request] * 3)
        for answer in answers:
            a(HttpResponse, answer)

    def test_several_requests_are_under_way_at_once(self) -> None:
        """One request does not wait for another."""
        all_in = threading.Barrier(3)

        def talk(line: Line) -> None:
            line.request()
            with suppress(threading.BrokenBarrierError):
                all_in.wait(3.0)
                line.say(OK)

        with self._serving(talk) as server:
            answers = self._sent_at_once([(post(server.origin), route())] * 3)
        for answer in answers:
            must(
                isinstance(answer, HttpResponse),
                f"one of three requests waits for another: {answer!r}",
            )


class SecrecyRules(Trial):
    """What must not get in, and what must not get out."""

    def test_what_would_smuggle_a_header_in_is_a_bug_that_is_not_shown(self) -> None:
        """ValueError, with nothing sent, and a text without the value."""
        with self._serving(_answering(OK)) as server:
            url = f"{server.origin}/"
            for bad in (
                HttpRequest("POST", url, (("Api-Key", f"{SECRET}\r\nX-Evil: 1"),)),
                HttpRequest("POST", url, (("Api-Key", f"{SECRET}\x00"),)),
                HttpRequest("POST", url, (("Api-Key", f"{SECRET}\ud800"),)),
                HttpRequest("POST", url, ((f"{SECRET}\r\nX-Evil", "1"),)),
                HttpRequest("POST", f"{url}{SECRET}\r\nX-Evil: 1"),
                HttpRequest(f"POST {SECRET}", url),
            ):
                error = raises(
                    ValueError,
                    lambda bad=bad: self._sent([(bad, route())]),  # type: ignore[misc]
                    "a request breaks out of its headers",
                )
                must(
                    SECRET not in f"{error!r} {error.__cause__!r}",
                    "the error shows what was to be sent",
                )
            must(not any(line.heads for line in server.lines), "something was sent all the same")

    def test_no_failure_shows_what_was_sent(self) -> None:
        """A failure's text holds no credential."""
        query = f"/?token={SECRET}"
        with self._serving(_having_read(_closes)) as server:
            answers = self._sent(
                [
                    (
                        post(f"{server.origin.replace('//', f'//user:{SECRET}@')}{query}"),
                        route(),
                    ),
                    (post(f"http://127.0.0.1:{closed_port()}{query}"), route()),
                ]
            )
        for answer in answers:
            must(
                SECRET not in repr(answer),
                f"a failure shows what was sent: {a(TransportFailure, answer).kind}",
            )

    def test_a_proxy_is_the_routes_and_never_the_environments(self) -> None:
        """The proxy is the one in the route."""
        seen: list[bytes] = []

        def talk(line: Line) -> None:
            seen.append(line.request()[0])
            line.say(OK)

        with _environment(dict.fromkeys(_PROXIES, f"http://127.0.0.1:{closed_port()}")):
            a(HttpResponse, self._post(talk))
        with self._serving(talk) as proxy:
            (answer,) = self._sent([(post("http://platform.invalid/x"), route(proxy=proxy.origin))])
        a(HttpResponse, answer)
        must(
            seen[-1].startswith(b"POST http://platform.invalid/x HTTP/1.1\r\n"),
            f"the proxy was not asked as one: {seen[-1][:60]!r}",
        )


class TransportRules(
    WhatIsSentRules, ReplyRules, ReplyEndRules, NoConnectionRules, ConnectionRules, SecrecyRules
):
    """The rules that hold for transports of both kinds."""

    def test_closing_ends_what_is_under_way(self) -> None:
        """A request that was sent when its transport is closed may have been taken."""
        arrived = threading.Event()

        def talk(line: Line) -> None:
            line.request()
            arrived.set()
            line.silence()

        with self._serving(talk) as server:
            answer = self._closed_under_way(post(server.origin), arrived)
        _is(FailureKind.CONNECTION_LOST, answer)


class TransportContract(TransportRules):
    """The rules for a transport on an event loop. Give it `transport`."""

    @abstractmethod
    def transport(self) -> AsyncTransport:
        """The transport, new; called on the event loop where it is used."""

    _runner: asyncio.Runner | None = None
    _servers = 0

    @contextmanager
    def _serving(self, talk: Talk) -> Iterator[Server]:
        self._servers += 1
        try:
            with super()._serving(talk) as server:
                yield server
        finally:
            self._servers -= 1
            self._end_loop()

    def _with(self, story: Callable[[AsyncTransport], Awaitable[T]]) -> T:
        async def run() -> T:
            transport = self.transport()
            try:
                return await asyncio.wait_for(story(transport), 3 * RULE_DEADLINE)
            finally:
                await transport.close()

        self._runner = self._runner or asyncio.Runner()
        try:
            return self._runner.run(run())
        finally:
            self._end_loop()

    def _end_loop(self) -> None:
        """Once no server is left: the loop outlives them, so that it learns that their lines are
        gone."""
        if self._servers == 0 and self._runner is not None:
            self._runner.run(asyncio.sleep(0.01))
            self._runner.close()
            self._runner = None

    def _sent(self, requests: Sequence[tuple[HttpRequest, Route]]) -> list[Answer]:
        async def story(transport: AsyncTransport) -> list[Answer]:
            return [await transport.send(*request) for request in requests]

        return self._with(story)

    def _sent_slowly(self, requests: Sequence[tuple[HttpRequest, Route]]) -> list[Answer]:
        async def story(transport: AsyncTransport) -> list[Answer]:
            answers = []
            for request in requests:
                answers.append(await transport.send(*request))
                await asyncio.sleep(0.05)
            return answers

        return self._with(story)

    def _sent_at_once(self, requests: Sequence[tuple[HttpRequest, Route]]) -> list[Answer]:
        async def story(transport: AsyncTransport) -> list[Answer]:
            return list(await asyncio.gather(*(transport.send(*request) for request in requests)))

        return self._with(story)

    def _closed_under_way(self, request: HttpRequest, arrived: threading.Event) -> Answer:
        async def story(transport: AsyncTransport) -> Answer:
            answer = asyncio.ensure_future(transport.send(request, route()))
            await asyncio.to_thread(arrived.wait, RULE_DEADLINE)
            await transport.close()
            return await answer

        return self._with(story)

    def test_a_cancelled_request_hangs_up(self) -> None:
        """A request that is cancelled closes its connection."""
        arrived, hung_up = threading.Event(), threading.Event()

        def talk(line: Line) -> None:
            line.request()
            arrived.set()
            if line.gone():
                hung_up.set()

        with self._serving(talk) as server:

            async def story(transport: AsyncTransport) -> None:
                task = asyncio.ensure_future(transport.send(post(server.origin), route()))
                await asyncio.to_thread(arrived.wait, RULE_DEADLINE)
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
                must(
                    task.cancelled(),
                    "a request that was cancelled ended with something all the same",
                )
                must(
                    await asyncio.to_thread(hung_up.wait, 3.0),
                    "the line of a request that was cancelled stays open",
                )

            self._with(story)

    def test_it_may_be_closed_twice(self) -> None:
        """The second time does nothing."""
        self._with(lambda transport: transport.close())  # and then once more, as after every rule


class BlockingTransportContract(TransportRules):
    """The rules for a transport that blocks. Give it `transport`."""

    @abstractmethod
    def transport(self) -> BlockingTransport:
        """The transport, new."""

    def _with(self, story: Callable[[BlockingTransport], T]) -> T:
        transport = self.transport()
        try:
            return story(transport)
        finally:
            transport.close()

    def _sent(self, requests: Sequence[tuple[HttpRequest, Route]]) -> list[Answer]:
        return self._with(lambda transport: [transport.send(*request) for request in requests])

    def _sent_slowly(self, requests: Sequence[tuple[HttpRequest, Route]]) -> list[Answer]:
        def story(transport: BlockingTransport) -> list[Answer]:
            answers = []
            for request in requests:
                answers.append(transport.send(*request))
                threading.Event().wait(0.05)
            return answers

        return self._with(story)

    def _sent_at_once(self, requests: Sequence[tuple[HttpRequest, Route]]) -> list[Answer]:
        def story(transport: BlockingTransport) -> list[Answer]:
            with ThreadPoolExecutor(len(requests)) as threads:
                return list(threads.map(lambda request: transport.send(*request), requests))

        return self._with(story)

    def _closed_under_way(self, request: HttpRequest, arrived: threading.Event) -> Answer:
        def story(transport: BlockingTransport) -> Answer:
            with ThreadPoolExecutor(1) as thread:
                answer = thread.submit(transport.send, request, route())
                arrived.wait(RULE_DEADLINE)
                transport.close()
                return answer.result(RULE_DEADLINE)

        return self._with(story)

    def test_it_may_be_closed_twice(self) -> None:
        """The second time does nothing."""
        self._with(lambda transport: transport.close())  # and then once more, as after every rule


def _closes(line: Line) -> None:
    """The server hangs up where its talk ends."""


def _having_read(ends: Talk, read: Callable[[Line], object] = Line.request) -> Talk:
    """Read a whole request, or so much of it, and end like that."""

    def talk(line: Line) -> None:
        read(line)
        ends(line)

    return talk


def _answering(raw: bytes) -> Talk:
    return _having_read(lambda line: line.say(raw))


def _success(body: bytes, *headers: str) -> bytes:
    head = ["HTTP/1.1 200 OK", *headers, f"Content-Length: {len(body)}"]
    return "\r\n".join([*head, "", ""]).encode() + body


def _is(kind: FailureKind, answer: Answer) -> None:
    must(
        isinstance(answer, TransportFailure) and answer.kind is kind,
        f"it became {answer!r}, not {kind.value}",
    )


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
