"""What every transport promises, against servers that do what servers do."""

from __future__ import annotations

import asyncio
import base64
import socket
import threading
from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from requests_out import AT, BIG, OK, SMALL, post, route, run, sent_to, turns

from evidence_courier.domain.upload.failure import FailureKind
from evidence_courier.ports.dialogue import (
    REPLY_LIMIT,
    Ending,
    HttpRequest,
    HttpResponse,
    TransportFailure,
)

# -- what is sent, and what comes back
# ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body", [SMALL, BIG, (b"", b"x", b""), (b"x" * (1024 * 1024 - 1),), (b"x" * 1024 * 1024,)]
)
def test_the_body_arrives_whole_with_its_length(
    transport: Any, serving: Any, body: tuple[bytes, ...]
) -> None:
    async def story() -> None:
        seen: list[tuple[bytes, bytes]] = []

        async def talk(line: Any) -> None:
            seen.append(await line.request())
            await line.say(OK)

        reply = await sent_to(transport, serving, talk, body)
        assert isinstance(reply, HttpResponse)
        ((head, content),) = seen
        assert content == b"".join(body)
        assert head.startswith(b"POST /dev-api/graphql HTTP/1.1\r\n")
        assert f"\r\nContent-Length: {len(content)}\r\n".encode() in head
        assert b"Transfer-Encoding" not in head

    run(story())


def test_a_reply_is_handed_over_as_it_arrived(transport: Any, serving: Any) -> None:
    async def story() -> None:
        async def talk(line: Any) -> None:
            await line.request()
            await line.say(
                b"HTTP/1.1 418 Teapot\r\nX-Request-Id: r-1\r\nContent-Length: 5\r\n\r\nshort"
            )

        reply = await sent_to(transport, serving, talk)
        assert isinstance(reply, HttpResponse)
        assert (reply.status, reply.body, reply.received_at, reply.ending) == (
            418,
            b"short",
            AT,
            Ending.COMPLETE,
        )
        assert reply.header("x-request-id") == "r-1"

    run(story())


def test_it_says_who_it_is_and_sends_nothing_of_its_own_beyond_that(
    transport: Any, serving: Any
) -> None:
    async def story() -> None:
        heads: list[bytes] = []

        async def talk(line: Any) -> None:
            for _ in range(2):
                head, _ = await line.request()
                heads.append(head)
                await line.say(
                    b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b; Path=/\r\nContent-Length: 0\r\n\r\n"
                )

        async with serving(talk) as server, transport() as courier:
            for _ in range(2):
                await courier.send(post(server.url), route())
        assert heads[0] == heads[1]
        assert {line.split(b":")[0].lower() for line in heads[0].split(b"\r\n")[1:-2]} == {
            b"host", b"user-agent", b"accept", b"accept-encoding", b"api-key", b"content-length",
            b"content-type",
        }  # fmt: skip
        assert b"\r\nUser-Agent: evidence-courier/" in heads[0]
        assert b"\r\nAccept-Encoding: identity\r\n" in heads[0]
        assert b"\r\napi-key: sk-acme-0123456789\r\n" in heads[0]

    run(story())


def test_a_request_without_a_body_has_none(transport: Any, serving: Any) -> None:
    async def story() -> None:
        async def talk(line: Any) -> None:
            head, body = await line.request()
            assert head.startswith(b"GET /dev-api/graphql?q=a%20b HTTP/1.1\r\n")
            assert body == b""
            await line.say(OK)

        async with serving(talk) as server, transport() as courier:
            reply = await courier.send(HttpRequest("GET", server.url + "?q=a%20b"), route())
        assert isinstance(reply, HttpResponse)
        assert reply.body == b"{}"

    run(story())


def test_an_address_arrives_as_it_was_written(transport: Any, serving: Any) -> None:
    """A storage's address is signed: %2F and / are one thing in it, but not to everybody who
    checks."""

    async def story() -> None:
        written = (
            b"/a%2Fb/email:jane%2Bx@acme.example?key=AK%2F20260221%2Fus"
            b"&sum=a%2Fb%2Bc%3D%3D&q=n%3A%22x%40y%22"
        )
        heard: list[bytes] = []

        async def talk(line: Any) -> None:
            head, _ = await line.request()
            heard.append(head.split(b" ")[1])
            await line.say(OK)

        async with serving(talk) as server, transport() as courier:
            address = server.url.removesuffix("/dev-api/graphql") + written.decode()
            assert isinstance(
                await courier.send(HttpRequest("PUT", address), route()), HttpResponse
            )
        assert heard == [written]

    run(story())


def test_a_connection_is_used_again(transport: Any, serving: Any) -> None:
    async def story() -> None:
        async def talk(line: Any) -> None:
            while True:
                await line.request()
                await line.say(OK)

        async with serving(talk) as server, transport() as courier:
            for body in (SMALL, BIG, SMALL):
                assert isinstance(await courier.send(post(server.url, body), route()), HttpResponse)
            assert len(server.lines) == 1

    run(story())


def test_a_connection_that_the_server_has_closed_is_not_used_again(
    transport: Any, serving: Any
) -> None:
    async def story() -> None:
        async def talk(line: Any) -> None:
            await line.request()
            await line.say(OK)

        async with serving(talk) as server, transport() as courier:
            for _ in range(3):
                assert isinstance(await courier.send(post(server.url), route()), HttpResponse)
                await server.lines[-1].writer.wait_closed()
                await turns()  # let the client's side learn of it
            assert len(server.lines) == 3

    run(story())


def test_interim_replies_are_read_over(transport: Any, serving: Any) -> None:
    async def story() -> None:
        async def talk(line: Any) -> None:
            await line.request()
            await line.say(
                b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + OK
            )

        reply = await sent_to(transport, serving, talk)
        assert (reply.status, reply.body) == (200, b"{}")

    run(story())


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_and_the_other_server_sees_nothing(
    transport: Any, serving: Any, status: int
) -> None:
    async def story() -> None:
        async def other(line: Any) -> None:
            await line.say(OK)

        async with serving(other) as elsewhere:

            async def talk(line: Any) -> None:
                await line.request()
                head = (
                    f"HTTP/1.1 {status} Moved\r\nLocation: {elsewhere.url}\r\nContent-Length: "
                    "0\r\n\r\n"
                )
                await line.say(head.encode())

            reply = await sent_to(transport, serving, talk)
            assert (reply.status, reply.header("location")) == (status, elsewhere.url)
            assert elsewhere.lines == []

    run(story())


# -- replies that are too long, cut, slow, or none
# ------------------------------------------------------------------


@pytest.mark.parametrize(
    "head", [b"", b"Transfer-Encoding: chunked\r\n"], ids=["until the end", "in chunks"]
)
def test_of_an_endless_reply_1_mib_is_read_and_the_line_is_closed(
    transport: Any, serving: Any, head: bytes
) -> None:
    async def story() -> None:
        stopped = asyncio.Event()

        async def talk(line: Any) -> None:
            await line.request()
            await line.say(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n")
            try:
                while True:
                    await line.say(b"10000\r\n" + b"x" * 65_536 + b"\r\n")
            except ConnectionError:
                stopped.set()

        async with serving(talk) as server, transport() as courier:
            reply = await courier.send(post(server.url), route())
            assert isinstance(reply, HttpResponse)
            assert (reply.ending, len(reply.body)) == (Ending.TOO_LONG, REPLY_LIMIT)
            await asyncio.wait_for(stopped.wait(), 5)

    run(story())


@pytest.mark.parametrize(
    ("size", "ending"), [(REPLY_LIMIT, Ending.COMPLETE), (REPLY_LIMIT + 1, Ending.TOO_LONG)]
)
def test_the_limit_is_1_mib_exactly(
    transport: Any, serving: Any, size: int, ending: Ending
) -> None:
    async def story() -> None:
        async def talk(line: Any) -> None:
            await line.request()
            await line.say(
                f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n".encode(), b"x" * size
            )
            await line.gone()

        reply = await sent_to(transport, serving, talk)
        assert (reply.ending, len(reply.body)) == (ending, REPLY_LIMIT)

    run(story())


@pytest.mark.parametrize(
    "cut",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
    ],
    ids=["length", "chunks"],
)
@pytest.mark.parametrize("end", ["closes", "resets", "falls silent"])
def test_a_cut_reply_keeps_its_status_and_says_that_it_is_cut(
    transport: Any, serving: Any, cut: bytes, end: str
) -> None:
    async def story() -> None:
        async def talk(line: Any) -> None:
            await line.request()
            await line.say(cut)
            if end == "resets":
                await turns()  # let the bytes arrive before the reset overtakes them
                line.reset()
            elif end == "falls silent":
                await line.silence()

        reply = await sent_to(transport, serving, talk, way=route(idle=0.1))
        assert isinstance(reply, HttpResponse)
        assert (reply.status, reply.ending) == (200, Ending.CUT_SHORT)
        assert reply.body in (b"{}", b"")

    run(story())


def test_a_reply_that_drips_is_cut_at_the_total_time(transport: Any, serving: Any) -> None:
    async def story() -> None:
        async def talk(line: Any) -> None:
            await line.request()
            await line.say(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
            while True:
                await line.say(b"x")
                await turns()

        reply = await sent_to(transport, serving, talk, way=route(idle=5.0, total=0.2))
        assert (reply.status, reply.ending) == (200, Ending.CUT_SHORT)

    run(story())


def test_a_head_that_drips_is_given_up_at_the_total_time(transport: Any, serving: Any) -> None:
    async def story() -> None:
        async def talk(line: Any) -> None:
            await line.request()
            await line.say(b"HTTP/1.1 200 OK\r\nX-Drip: ")
            while True:
                await line.say(b"x")
                await asyncio.sleep(0.01)

        failure = await sent_to(transport, serving, talk, way=route(idle=5.0, total=0.2))
        assert failure == TransportFailure(FailureKind.TIMEOUT, failure.message)
        assert "the 0.2 s for one request" in failure.message

    run(story())


def test_silence_after_the_request_is_a_timeout(transport: Any, serving: Any) -> None:
    async def story() -> None:
        async def talk(line: Any) -> None:
            await line.request()
            await line.silence()

        failure = await sent_to(transport, serving, talk, way=route(idle=0.1))
        assert failure == TransportFailure(FailureKind.TIMEOUT, failure.message)
        assert "was silent for 0.1 s" in failure.message

        failure = await sent_to(transport, serving, talk, way=route(total=0.1))
        assert failure == TransportFailure(FailureKind.TIMEOUT, failure.message)
        assert "the 0.1 s for one request" in failure.message

    run(story())


@pytest.mark.parametrize("end", ["closes", "resets"])
def test_a_line_lost_after_the_request_may_have_been_taken(
    transport: Any, serving: Any, end: str
) -> None:
    async def story() -> None:
        async def talk(line: Any) -> None:
            await line.request()
            if end == "resets":
                line.reset()

        for body in (SMALL, BIG):
            failure = await sent_to(transport, serving, talk, body)
            assert isinstance(failure, TransportFailure)
            assert failure.kind is FailureKind.CONNECTION_LOST

    run(story())


@pytest.mark.parametrize("end", ["closes", "resets"])
def test_a_line_lost_before_the_whole_request_was_surely_not_taken(
    transport: Any, serving: Any, end: str
) -> None:
    async def story() -> None:
        async def talk(line: Any) -> None:
            await line.head()
            if end == "resets":
                line.reset()

        failure = await sent_to(transport, serving, talk, BIG)
        assert failure == TransportFailure(FailureKind.NOT_SENT, failure.message)
        assert "before the whole document was sent" in failure.message

    run(story())


def test_with_a_server_that_does_not_read_the_request_is_not_sent_in_time(
    transport: Any, serving: Any
) -> None:
    async def story() -> None:
        async def talk(line: Any) -> None:
            line.writer.transport.pause_reading()
            await line.silence()

        failure = await sent_to(transport, serving, talk, BIG, route(idle=0.05, total=0.2))
        assert failure == TransportFailure(FailureKind.NOT_SENT, failure.message)

    run(story())


def test_a_reply_before_the_whole_body_is_taken_and_the_line_closed(
    transport: Any, serving: Any
) -> None:
    async def story() -> None:
        hung_up = asyncio.Event()

        async def talk(line: Any) -> None:
            await line.head()
            line.writer.transport.pause_reading()
            await line.say(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
            await answered.wait()
            line.writer.transport.resume_reading()
            rest = await line.gone()
            assert len(rest) < len(BIG[1])
            hung_up.set()

        answered = asyncio.Event()
        async with serving(talk) as server, transport() as courier:
            reply = await courier.send(post(server.url, BIG), route())
            assert isinstance(reply, HttpResponse)
            assert (reply.status, reply.body, reply.ending) == (413, b"no", Ending.COMPLETE)
            answered.set()
            await asyncio.wait_for(hung_up.wait(), 5)

    run(story())


@pytest.mark.parametrize(
    "said",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"\x15\x03\x01\x00\x02\x02\x16",
        b"HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\n{}",
    ],
    ids=lambda said: repr(said[:30]),
)
def test_what_is_not_http_is_a_lost_connection(transport: Any, serving: Any, said: bytes) -> None:
    async def story() -> None:
        async def talk(line: Any) -> None:
            await line.request()
            await line.say(said)

        failure = await sent_to(transport, serving, talk)
        assert failure == TransportFailure(FailureKind.CONNECTION_LOST, failure.message)
        assert "not HTTP" in failure.message

    run(story())


def test_a_chunk_that_is_none_is_no_complete_reply(transport: Any, serving: Any) -> None:
    async def story() -> None:
        async def talk(line: Any) -> None:
            await line.request()
            await line.say(
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\nnonsense\r\n"
            )

        answer = await sent_to(transport, serving, talk)
        if isinstance(answer, HttpResponse):
            assert answer.ending is Ending.CUT_SHORT
        else:
            assert answer.kind is FailureKind.CONNECTION_LOST

    run(story())


@pytest.mark.parametrize(
    "heard", [b"HTTP/1.1 200", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Le"]
)
def test_a_reply_whose_head_is_cut_is_none(transport: Any, serving: Any, heard: bytes) -> None:
    async def story() -> None:
        async def talk(line: Any) -> None:
            await line.request()
            await line.say(heard)

        failure = await sent_to(transport, serving, talk)
        assert isinstance(failure, TransportFailure)
        assert failure.kind is FailureKind.CONNECTION_LOST

    run(story())


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.binary(max_size=200)
    | st.tuples(
        st.sampled_from([b"HTTP/1.1 ", b"HTTP/1.0 ", b"HTTP/9.9 "]),
        st.integers(0, 1_200).map(lambda status: b"%03d X\r\n" % status),
        st.sampled_from(
            [
                b"",
                b"Content-Length: 3\r\n",
                b"Transfer-Encoding: chunked\r\n",
                b"Connection: upgrade\r\n",
            ]
        ),
        st.binary(max_size=40),
    ).map(lambda parts: b"".join((*parts[:3], b"\r\n", parts[3])))
)
def test_whatever_a_server_sends_becomes_a_response_or_a_failure(
    transport: Any, serving: Any, said: bytes
) -> None:
    async def story() -> None:
        async def talk(line: Any) -> None:
            await line.request()
            await line.say(said)

        answer = await sent_to(transport, serving, talk, way=route(idle=1.0, total=2.0))
        assert isinstance(answer, HttpResponse | TransportFailure)
        if isinstance(answer, TransportFailure):
            assert answer.kind is FailureKind.CONNECTION_LOST

    run(story())


# -- no connection
# --------------------------------------------------------------------------------------------------


def test_a_refused_connection_was_surely_not_taken(transport: Any, closed_port: int) -> None:
    async def story() -> None:
        async with transport() as courier:
            failure = await courier.send(post(f"http://127.0.0.1:{closed_port}/"), route())
        assert failure == TransportFailure(
            FailureKind.NO_CONNECTION,
            f"could not connect to 127.0.0.1:{closed_port}: Connection refused",
        )

    run(story())


def test_a_server_that_accepts_no_tls_is_no_connection(transport: Any, serving: Any) -> None:
    async def story() -> None:
        async def talk(line: Any) -> None:
            await line.reader.read(1)
            await line.say(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        async with serving(talk) as server, transport() as courier:
            failure = await courier.send(post(server.url.replace("http:", "https:")), route())
        assert isinstance(failure, TransportFailure)
        assert failure.kind is FailureKind.NO_CONNECTION
        assert "TLS" in failure.message

    run(story())


def test_a_handshake_that_never_ends_is_no_connection(transport: Any, serving: Any) -> None:
    async def story() -> None:
        async def talk(line: Any) -> None:
            await line.silence()

        async with serving(talk) as server, transport() as courier:
            failure = await courier.send(
                post(server.url.replace("http:", "https:")), route(connect=0.1)
            )
        assert isinstance(failure, TransportFailure)
        assert failure == TransportFailure(FailureKind.NO_CONNECTION, failure.message)
        assert "within 0.1 s" in failure.message

    run(story())


@pytest.mark.parametrize(
    "url", ["http:///x", "ftp://127.0.0.1/x", "nonsense", f"http://{'a' * 300}.invalid/"]
)
def test_an_address_that_is_none_is_no_connection(transport: Any, url: str) -> None:
    async def story() -> None:
        async with transport() as courier:
            failure = await courier.send(post(url), route())
        assert isinstance(failure, TransportFailure)
        assert failure.kind is FailureKind.NO_CONNECTION

    run(story())


def test_names_that_do_not_resolve_hold_up_nothing_else(
    transport: Any, serving: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_go, asked = threading.Event(), Counter[str]()
    honest = socket.getaddrinfo

    def look_up(host: str, *args: Any, **more: Any) -> Any:
        asked[host] += 1
        if host.startswith("slow"):
            let_go.wait(10)
            raise socket.gaierror(socket.EAI_AGAIN, "not now")
        return honest("127.0.0.1" if host.startswith("quick") else host, *args, **more)

    async def story() -> None:
        async def talk(line: Any) -> None:
            await line.request()
            await line.say(OK)

        monkeypatch.setattr(socket, "getaddrinfo", look_up)
        async with serving(talk) as server, transport() as courier:
            names = [f"slow{number % 5}.invalid" for number in range(10)]
            slow = [
                asyncio.create_task(courier.send(post(f"http://{name}/"), route(connect=0.3)))
                for name in names
            ]
            quick = server.url.replace("127.0.0.1", "quick.invalid")
            assert isinstance(await courier.send(post(quick), route()), HttpResponse)
            for failure in await asyncio.gather(*slow):
                assert failure == TransportFailure(FailureKind.NO_CONNECTION, failure.message)
                assert "within 0.3 s" in failure.message
            assert {asked[name] for name in names} == {1}
            let_go.set()

    run(story())


# -- closing
# --------------------------------------------------------------------------------------------------


def test_closing_ends_what_is_under_way_and_may_be_done_twice(transport: Any, serving: Any) -> None:
    async def story() -> None:
        arrived = asyncio.Event()

        async def talk(line: Any) -> None:
            await line.request()
            arrived.set()
            await line.gone()

        async with serving(talk) as server, transport() as courier:
            task = asyncio.create_task(courier.send(post(server.url), route()))
            await arrived.wait()
            await courier.close()
            await courier.close()
            failure = await task
            assert isinstance(failure, TransportFailure)
            assert failure.kind is FailureKind.CONNECTION_LOST
            with pytest.raises(RuntimeError, match="closed"):
                await courier.send(post(server.url), route())

    run(story())


# -- what must not get in, and what must not get out
# ----------------------------------------------------------------


@pytest.mark.parametrize(
    "bad",
    [
        HttpRequest("POST", "http://127.0.0.1/", (("api-key", "sk-0123456789\r\nX-Evil: 1"),)),
        HttpRequest("POST", "http://127.0.0.1/", (("api-key", "sk-0123456789\x00"),)),
        HttpRequest("POST", "http://127.0.0.1/", (("api-key", "sk-0123456789\ud800"),)),
        HttpRequest("POST", "http://127.0.0.1/", (("sk-0123456789\r\nX-Evil", "1"),)),
        HttpRequest("POST", "http://127.0.0.1/", (("", "sk-0123456789"),)),
        HttpRequest("POST", "http://127.0.0.1/sk-0123456789\r\nX-Evil: 1"),
        HttpRequest("POST sk-0123456789", "http://127.0.0.1/"),
    ],
)
def test_what_would_smuggle_a_header_in_is_a_bug_and_is_not_shown(
    transport: Any, bad: HttpRequest
) -> None:
    async def story() -> None:
        async with transport() as courier:
            with pytest.raises(ValueError, match=r"a request|the request") as raised:
                await courier.send(bad, route())
        assert "sk-0123456789" not in str(raised.value)
        assert raised.value.__cause__ is None

    run(story())


def test_no_message_of_a_failure_shows_what_was_sent(
    transport: Any, serving: Any, closed_port: int
) -> None:
    async def story() -> None:
        async def talk(line: Any) -> None:
            await line.request()

        query = "/?token=sk-query-0123456789"
        async with serving(talk) as server, transport() as courier:
            for base in (
                f"http://user:sk-pass-0123456789@127.0.0.1:{server.port}",
                f"http://127.0.0.1:{closed_port}",
            ):
                failure = await courier.send(post(base + query), route())
                assert isinstance(failure, TransportFailure)
                assert "sk-" not in failure.message

    run(story())


def test_the_environments_proxies_are_not_used(
    transport: Any, serving: Any, closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        async def talk(line: Any) -> None:
            await line.request()
            await line.say(OK)

        assert isinstance(await sent_to(transport, serving, talk), HttpResponse)

    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{closed_port}")
    run(story())


def test_a_proxy_of_the_route_is_used(transport: Any, serving: Any, closed_port: int) -> None:
    async def story() -> None:
        async def talk(line: Any) -> None:
            head, _ = await line.request()
            assert head.startswith(b"POST http://sprinto.invalid/x HTTP/1.1\r\n")
            await line.say(OK)

        async with serving(talk) as proxy, transport() as courier:
            through = f"http://127.0.0.1:{proxy.port}"
            reply = await courier.send(post("http://sprinto.invalid/x"), route(proxy=through))
            assert isinstance(reply, HttpResponse)
            failure = await courier.send(
                post("http://sprinto.invalid/x"), route(proxy=f"http://127.0.0.1:{closed_port}")
            )
            assert isinstance(failure, TransportFailure)
            assert failure.kind is FailureKind.NO_CONNECTION
            assert "the proxy" in failure.message

    run(story())


def test_a_proxy_that_refuses_to_connect_is_no_connection(transport: Any, serving: Any) -> None:
    async def story() -> None:
        async def talk(line: Any) -> None:
            head = await line.head()
            assert head.startswith(b"CONNECT sprinto.invalid:443 HTTP/1.")
            assert b"sk-acme" not in head
            await line.say(
                b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
            )

        async with serving(talk) as proxy, transport() as courier:
            through = f"http://127.0.0.1:{proxy.port}"
            failure = await courier.send(post("https://sprinto.invalid/x"), route(proxy=through))
        assert failure == TransportFailure(
            FailureKind.NO_CONNECTION, "the proxy refused to connect to sprinto.invalid (HTTP 407)"
        )

    run(story())


@pytest.mark.parametrize(
    ("userinfo", "credentials"),
    [
        ("me:p%40ss", b"me:p@ss"),
        ("user:p%C3%A9", "user:p\u00e9".encode()),
        ("user:%E2%82%AC", "user:\u20ac".encode()),
        ("user:\u20ac", "user:\u20ac".encode()),
        ("user:%E9", b"user:\xe9"),
        ("us%3Aer:", b"us:er:"),
        ("user", b"user:"),
    ],
)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_is_shown_the_password_that_the_route_spells(
    transport: Any, serving: Any, scheme: str, userinfo: str, credentials: bytes
) -> None:
    async def story() -> None:
        heads: list[bytes] = []

        async def talk(line: Any) -> None:
            heads.append(await line.head())
            await line.say(b"HTTP/1.1 407 Who is it\r\nContent-Length: 0\r\n\r\n")

        async with serving(talk) as proxy, transport() as courier:
            through = route(proxy=f"http://{userinfo}@127.0.0.1:{proxy.port}")
            answer = await courier.send(post(f"{scheme}://sprinto.invalid/x"), through)
        (head,) = heads
        spelled = base64.b64encode(credentials)
        assert b"\r\nproxy-authorization: basic " + spelled.lower() in head.lower()
        assert spelled in head
        assert (b"api-key" in head) is (scheme == "http")
        if scheme == "http":
            assert answer.status == 407
        else:
            assert answer.kind is FailureKind.NO_CONNECTION

    run(story())


def test_the_password_of_an_endpoint_is_sent_as_it_is_spelled(transport: Any, serving: Any) -> None:
    async def story() -> None:
        heads: list[bytes] = []

        async def talk(line: Any) -> None:
            while True:
                heads.append((await line.request())[0])
                await line.say(OK)

        async with serving(talk) as server, transport() as courier:
            for more in ((), (("Authorization", "Bearer x"),)):
                url = f"http://user:%E2%82%AC@127.0.0.1:{server.port}/a%2Fb"
                assert isinstance(
                    await courier.send(post(url, SMALL, *more), route()), HttpResponse
                )
        spelled = b"Basic " + base64.b64encode("user:\u20ac".encode())
        assert b"\r\nAuthorization: " + spelled + b"\r\n" in heads[0]
        assert b"\r\nAuthorization: Bearer x\r\n" in heads[1]
        assert spelled not in heads[1]
        assert all(head.startswith(b"POST /a%2Fb HTTP") for head in heads)

    run(story())


@pytest.mark.parametrize("proxy", ["http://", "nonsense", "http://[::1", "http://h:x", "ftp://h:1"])
def test_a_proxy_that_is_none_is_no_connection(transport: Any, serving: Any, proxy: str) -> None:
    async def story() -> None:
        async with transport() as courier:
            failure = await courier.send(post("http://127.0.0.1:9/"), route(proxy=proxy))
        assert failure == TransportFailure(FailureKind.NO_CONNECTION, failure.message)
        assert "endpoint or proxy is not an address one can connect to" in failure.message

    run(story())
