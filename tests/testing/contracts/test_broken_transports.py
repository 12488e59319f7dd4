"""A transport that breaks a rule of the kits is found out, at that rule, on an event loop and in
a thread."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote, urlsplit

import aiohttp
import pytest
from attrs import evolve
from breaking import Break, every_rule_bites, found_at
from bridged import BridgedTransport

from evidence_courier.adapters.transports.aiohttp_reply import Reply
from evidence_courier.adapters.transports.aiohttp_transport import AiohttpTransport
from evidence_courier.adapters.transports.reply_head import ReplyHead
from evidence_courier.domain.integration import Route
from evidence_courier.domain.upload.failure import FailureKind
from evidence_courier.ports.dialogue import (
    REPLY_LIMIT,
    Ending,
    HttpRequest,
    HttpResponse,
    TransportFailure,
)
from evidence_courier.ports.transport import AsyncTransport, BlockingTransport
from evidence_courier.testing.contracts import BlockingTransportContract, TransportContract

AT = datetime(2026, 2, 21, 10, 0, tzinfo=UTC)
Answer = HttpResponse | TransportFailure
K = FailureKind

ON_A_LOOP: list[Break] = []
IN_A_THREAD: list[Break] = []
LEFT_OPEN: list[socket.socket] = []


class Bent(AiohttpTransport):
    """An honest one, bent in one place."""

    def __init__(self) -> None:
        super().__init__(now=lambda: AT)

    async def send(self, request: HttpRequest, route: Route) -> Answer:
        request, route = self.asked(request, route)
        answer = await super().send(request, route)
        if isinstance(answer, HttpResponse):
            return self.replied(answer)
        return self.failed(answer, request, route)

    def asked(self, request: HttpRequest, route: Route) -> tuple[HttpRequest, Route]:
        return request, route

    def replied(self, reply: HttpResponse) -> Answer:
        return reply

    def failed(self, failure: TransportFailure, request: HttpRequest, route: Route) -> Answer:
        return failure


def breaks(rule: str, *also: str) -> Callable[[type[Bent]], type[Bent]]:
    """The transport below breaks that rule of both kits, and the others that cannot but be
    broken with it."""

    def listed(transport: type[Bent]) -> type[Bent]:
        class OnALoop(TransportContract):
            def transport(self) -> AsyncTransport:
                return transport()

        class InAThread(BlockingTransportContract):
            def transport(self) -> BlockingTransport:
                return BridgedTransport(transport)

        for kit, table in ((OnALoop, ON_A_LOOP), (InAThread, IN_A_THREAD)):
            kit.__name__ = transport.__name__
            name = f"test_{rule}"
            if hasattr(kit, name):
                table.append(Break(name, kit, frozenset(f"test_{other}" for other in also)))
        return transport

    return listed


@breaks("the_body_arrives_whole_with_its_length")
class LosesTheEnd(Bent):
    def asked(self, request: HttpRequest, route: Route) -> tuple[HttpRequest, Route]:
        return evolve(request, body=request.body[:2]), route


@breaks("a_request_is_sent_as_it_is")
class UndoesPercents(Bent):
    def asked(self, request: HttpRequest, route: Route) -> tuple[HttpRequest, Route]:
        return evolve(request, url=unquote(request.url)), route


@breaks("a_reply_is_handed_over_as_it_arrived")
class ForgetsHeaders(Bent):
    def replied(self, reply: HttpResponse) -> Answer:
        return evolve(reply, headers=())


class FirstHead(ReplyHead):
    """Takes an interim reply for the reply."""

    def feed(self, data: bytes) -> bytes:
        return super().feed(data.replace(b"HTTP/1.1 10", b"HTTP/1.1 20"))


class FirstReply(Reply):
    async def start(self, connection: Any) -> Reply:
        connection.protocol.head = FirstHead()
        return await super().start(connection)


@breaks("interim_replies_are_read_over")
class TakesTheFirst(Bent):
    def _open_session(self) -> aiohttp.ClientSession:
        session = super()._open_session()
        setattr(session, "_response_class", FirstReply)  # noqa: B010
        return session


@breaks("a_body_is_read_as_its_headers_say")
class LeavesItPacked(Bent):
    def replied(self, reply: HttpResponse) -> Answer:
        packed = reply.header("content-encoding") == "deflate"
        return evolve(reply, body=zlib.compress(reply.body)) if packed else reply


@breaks("an_unusual_head_hides_no_reply")
class CountsHeaders(Bent):
    def replied(self, reply: HttpResponse) -> Answer:
        many = len(reply.headers) > 128
        return TransportFailure(K.CONNECTION_LOST, "too many headers") if many else reply


@breaks("a_refusal_decides_by_its_status")
class WantsWholeRefusals(Bent):
    def replied(self, reply: HttpResponse) -> Answer:
        cut = reply.status == 400 and reply.ending is Ending.CUT_SHORT
        return TransportFailure(K.CONNECTION_LOST, "it was cut") if cut else reply


@breaks("an_early_reply_ends_the_sending")
class SendsItAllFirst(Bent):
    def replied(self, reply: HttpResponse) -> Answer:
        early = reply.status == 413
        return TransportFailure(K.NOT_SENT, "the connection broke") if early else reply


@breaks("closing_ends_what_is_under_way")
class ClosedIsNotSent(Bent):
    def failed(self, failure: TransportFailure, request: HttpRequest, route: Route) -> Answer:
        return evolve(failure, kind=K.NOT_SENT) if self._closed else failure


@breaks("a_redirect_is_not_followed")
class Follows(Bent):
    async def send(self, request: HttpRequest, route: Route) -> Answer:
        answer = await super().send(request, route)
        location = answer.header("location") if isinstance(answer, HttpResponse) else None
        if location is None:
            return answer
        return await super().send(evolve(request, url=location), route)


@breaks("no_cookie_is_stored")
class KeepsCookies(Bent):
    _cookie: str | None = None

    def asked(self, request: HttpRequest, route: Route) -> tuple[HttpRequest, Route]:
        cookie = () if self._cookie is None else (("Cookie", self._cookie),)
        return evolve(request, headers=(*request.headers, *cookie)), route

    def replied(self, reply: HttpResponse) -> Answer:
        self._cookie = reply.header("set-cookie")
        return reply


@breaks("what_is_compressed_unasked_is_never_more_than_is_read")
class UnpacksTooMuch(Bent):
    def replied(self, reply: HttpResponse) -> Answer:
        bomb = reply.ending is Ending.TOO_LONG and reply.header("content-encoding") == "gzip"
        return evolve(reply, body=reply.body * 2) if bomb else reply


@breaks("a_reply_of_the_limit_is_complete_and_one_byte_more_is_too_long")
class OneByteTooEarly(Bent):
    def replied(self, reply: HttpResponse) -> Answer:
        return evolve(reply, ending=Ending.TOO_LONG) if len(reply.body) == REPLY_LIMIT else reply


@breaks("of_an_endless_reply_no_more_than_the_limit_is_read")
class EndlessIsComplete(Bent):
    def replied(self, reply: HttpResponse) -> Answer:
        endless = reply.ending is Ending.TOO_LONG and reply.header("content-length") is None
        return evolve(reply, ending=Ending.COMPLETE) if endless else reply


@breaks("a_reply_that_is_cut_keeps_its_status_and_says_so")
class CutIsComplete(Bent):
    def replied(self, reply: HttpResponse) -> Answer:
        cut = reply.ending is Ending.CUT_SHORT and len(reply.body) < 3
        return evolve(reply, ending=Ending.COMPLETE) if cut else reply


@breaks("a_reply_that_drips_is_cut_at_the_total_time")
class LosesWhatDrips(Bent):
    def replied(self, reply: HttpResponse) -> Answer:
        dripped = reply.ending is Ending.CUT_SHORT and len(reply.body) >= 3
        return TransportFailure(K.TIMEOUT, "too slow") if dripped else reply


@breaks("silence_after_the_request_is_a_timeout")
class SilenceIsALostLine(Bent):
    def failed(self, failure: TransportFailure, request: HttpRequest, route: Route) -> Answer:
        return evolve(failure, kind=K.CONNECTION_LOST) if failure.kind is K.TIMEOUT else failure


@breaks("a_line_that_is_lost_after_the_request_may_have_carried_it")
class LostIsNotSent(Bent):
    def failed(self, failure: TransportFailure, request: HttpRequest, route: Route) -> Answer:
        lost = failure.kind is K.CONNECTION_LOST and "answered with" not in failure.message
        return evolve(failure, kind=K.NOT_SENT) if lost and not self._closed else failure


@breaks("a_line_that_is_lost_before_the_whole_request_has_not_carried_it")
class HalfSentIsSent(Bent):
    def failed(self, failure: TransportFailure, request: HttpRequest, route: Route) -> Answer:
        patient = route.timeouts.total.total_seconds() > 1
        return (
            evolve(failure, kind=K.CONNECTION_LOST)
            if failure.kind is K.NOT_SENT and patient
            else failure
        )


@breaks("a_server_that_does_not_read_has_not_been_sent_the_request")
class UnreadIsATimeout(Bent):
    def failed(self, failure: TransportFailure, request: HttpRequest, route: Route) -> Answer:
        hasty = route.timeouts.total.total_seconds() < 1
        return evolve(failure, kind=K.TIMEOUT) if failure.kind is K.NOT_SENT and hasty else failure


@breaks("what_is_not_http_is_a_lost_connection")
class NonsenseIsAReply(Bent):
    def failed(self, failure: TransportFailure, request: HttpRequest, route: Route) -> Answer:
        return HttpResponse(502, (), b"", AT) if "answered with" in failure.message else failure


@breaks("a_refused_connection_is_no_connection")
class RefusedIsATimeout(Bent):
    def failed(self, failure: TransportFailure, request: HttpRequest, route: Route) -> Answer:
        refused = failure.kind is K.NO_CONNECTION and request.url.startswith("http:")
        return evolve(failure, kind=K.TIMEOUT) if refused else failure


@breaks("a_failed_tls_handshake_is_no_connection")
class NoTlsIsALostLine(Bent):
    def failed(self, failure: TransportFailure, request: HttpRequest, route: Route) -> Answer:
        no_tls = failure.kind is K.NO_CONNECTION and request.url.startswith("https:")
        return evolve(failure, kind=K.CONNECTION_LOST) if no_tls else failure


@breaks("a_connection_is_given_back_in_every_case")
class LeavesLinesOpen(Bent):
    _left = False

    async def send(self, request: HttpRequest, route: Route) -> Answer:
        answer = await super().send(request, route)
        port = urlsplit(request.url).port
        if isinstance(answer, HttpResponse) and port and answer.status == 500:
            LEFT_OPEN.append(socket.create_connection(("127.0.0.1", port)))
        return answer


@breaks(
    "a_connection_that_the_server_has_closed_is_not_used_again",
    "several_requests_are_under_way_at_once",
)
class UsesDeadLines(Bent):
    _sent = 0

    def replied(self, reply: HttpResponse) -> Answer:
        self._sent += 1
        return TransportFailure(K.CONNECTION_LOST, "it was dead") if self._sent == 3 else reply


@breaks("several_requests_are_under_way_at_once")
class OneAfterAnother(Bent):
    def __init__(self) -> None:
        super().__init__()
        self._turn = asyncio.Lock()

    async def send(self, request: HttpRequest, route: Route) -> Answer:
        async with self._turn:
            return await super().send(request, route)


@breaks("what_would_smuggle_a_header_in_is_a_bug_that_is_not_shown")
class Cleans(Bent):
    def asked(self, request: HttpRequest, route: Route) -> tuple[HttpRequest, Route]:
        clean = [(name, re.sub(r"[\x00-\x1f]", "", value)) for name, value in request.headers]
        return evolve(request, headers=tuple(clean)), route


@breaks("what_would_smuggle_a_header_in_is_a_bug_that_is_not_shown")
class ShowsWhatItRefuses(Bent):
    async def send(self, request: HttpRequest, route: Route) -> Answer:
        try:
            return await super().send(request, route)
        except ValueError as error:
            raise ValueError(f"{error}: {request.headers} {request.url} {request.method}") from None


@breaks("no_failure_shows_what_was_sent")
class NamesTheUrl(Bent):
    def failed(self, failure: TransportFailure, request: HttpRequest, route: Route) -> Answer:
        return evolve(failure, message=f"{failure.message} ({request.url})")


@breaks("a_proxy_is_the_routes_and_never_the_environments")
class TrustsTheEnvironment(Bent):
    def asked(self, request: HttpRequest, route: Route) -> tuple[HttpRequest, Route]:
        return request, evolve(route, proxy=route.proxy or os.environ.get("http_proxy"))


@breaks("a_proxy_is_the_routes_and_never_the_environments")
class GoesAroundTheProxy(Bent):
    def asked(self, request: HttpRequest, route: Route) -> tuple[HttpRequest, Route]:
        return request, evolve(route, proxy=None)


@breaks("a_cancelled_request_hangs_up")
class GoesOn(Bent):
    async def send(self, request: HttpRequest, route: Route) -> Answer:
        return await asyncio.shield(super().send(request, route))


@breaks("it_may_be_closed_twice", "closing_ends_what_is_under_way")
class ClosesOnce(Bent):
    _has_closed = False

    async def close(self) -> None:
        if self._has_closed:
            raise RuntimeError("it is closed already")
        self._has_closed = True
        await super().close()


@pytest.fixture(autouse=True)
def nothing_stays_open() -> Iterator[None]:
    yield
    while LEFT_OPEN:
        LEFT_OPEN.pop().close()


@pytest.mark.parametrize("broken", ON_A_LOOP, ids=str)
def test_it_is_found_at_its_rule_on_a_loop(broken: Break) -> None:
    found_at(broken)


@pytest.mark.parametrize("broken", IN_A_THREAD, ids=str)
def test_it_is_found_in_a_thread(broken: Break) -> None:
    """The rules are the same ones: that nothing else is found has been asked above."""
    with pytest.raises(Exception, match="."):
        getattr(broken.kit(), broken.rule)()


def test_every_rule_bites() -> None:
    every_rule_bites(TransportContract, ON_A_LOOP)
    every_rule_bites(BlockingTransportContract, IN_A_THREAD)
