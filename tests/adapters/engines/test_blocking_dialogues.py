"""Dialogues in a thread: as on an event loop, and what leaves is the same, byte by
byte."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from typing import Any

import pytest
from attrs import define, field, frozen
from dialogue_runner import run, run_blocking
from request_recorder import Recorded, recorder

from evidence_courier.adapters.engines.blocking_driver import at_once
from evidence_courier.adapters.engines.token_cache import BlockingTokenCache
from evidence_courier.adapters.providers.sprinto.provider import SprintoProvider
from evidence_courier.adapters.providers.sprinto.settings import SprintoSettings
from evidence_courier.adapters.transports.aiohttp_transport import AiohttpTransport
from evidence_courier.adapters.transports.httpcore_transport import HttpcoreTransport
from evidence_courier.domain.evidence.evidence import Outcome, sha256_of
from evidence_courier.domain.integration import Route
from evidence_courier.domain.secrets.secret import Secret
from evidence_courier.domain.upload.failure import Failure, FailureKind
from evidence_courier.ports.dialogue import (
    Access,
    AccessToken,
    Dialogue,
    HttpRequest,
    HttpResponse,
    MintedToken,
    TransportFailure,
    access,
    bookmark,
    fetch,
)
from evidence_courier.ports.provider import Parcel

FIRST = HttpRequest("GET", "https://api.example/first")
SECOND = HttpRequest("POST", "https://api.example/second", body=(b"x",))
AT = datetime(2026, 2, 21, 10, 0, tzinfo=UTC)


def reply(status: int = 200, body: bytes = b"") -> HttpResponse:
    return HttpResponse(status, (), body, AT)


@define
class World:
    """What a dialogue can reach: a script of replies, a list of bookmarks, a cache of tokens."""

    script: list[HttpResponse | TransportFailure]
    requests: list[HttpRequest] = field(factory=list)
    bookmarks: list[str] = field(factory=list)
    tokens: BlockingTokenCache = field(factory=lambda: BlockingTokenCache(lambda: 0.0))

    def run(self, dialogue: Dialogue[Any]) -> Any:
        return run_blocking(
            dialogue, send=self.send, bookmark=self.bookmarks.append, tokens=self.tokens
        )

    def send(self, request: HttpRequest) -> HttpResponse | TransportFailure:
        self.requests.append(request)
        return self.script.pop(0)


def test_replies_reach_the_dialogue_in_order_and_its_result_comes_back() -> None:
    def dialogue() -> Dialogue[list[object]]:
        first = yield from fetch(FIRST)
        second = yield from fetch(SECOND)
        return [first, second]

    replies: list[HttpResponse | TransportFailure] = [
        reply(200, b"one"),
        TransportFailure(FailureKind.TIMEOUT, "silent"),
    ]
    world = World(list(replies))
    assert world.run(dialogue()) == replies
    assert world.requests == [FIRST, SECOND]


def test_a_bookmark_is_committed_before_the_dialogue_goes_on() -> None:
    world = World([reply(), reply()])

    def dialogue() -> Dialogue[tuple[int, list[str]]]:
        yield from fetch(FIRST)
        yield from bookmark("half-way")
        seen = len(world.requests), list(world.bookmarks)
        yield from fetch(SECOND)
        return seen

    assert world.run(dialogue()) == (1, ["half-way"])


def test_a_dialogue_that_asks_for_nothing_ends_at_once() -> None:
    def dialogue() -> Dialogue[str]:
        yield from ()
        return "done"

    assert World([]).run(dialogue()) == "done"


def test_a_step_that_is_none_is_named() -> None:
    def dialogue() -> Generator[Any, Any, str]:
        yield "please"
        return "never"

    with pytest.raises(
        TypeError, match="yields HttpRequest, Bookmark, Access, Now or Mask, not str"
    ):
        World([]).run(dialogue())


@pytest.mark.parametrize("error", [IndexError("empty"), KeyboardInterrupt()], ids=repr)
def test_the_dialogue_is_closed_when_sending_raises_and_cannot_prevent_it(
    error: BaseException,
) -> None:
    closed: list[bool] = []

    def dialogue() -> Dialogue[str]:
        try:
            yield from fetch(FIRST)
        finally:
            closed.append(True)
            yield FIRST  # a dialogue that will not close
        return "never"

    def send(request: HttpRequest) -> HttpResponse:
        raise error

    with pytest.raises(type(error)):
        run_blocking(dialogue(), send=send)
    assert closed == [True]


# -- tokens
# --------------------------------------------------------------------------------------------------


def no_dialogue() -> Dialogue[MintedToken | Failure]:
    raise AssertionError("the keeper is handed the mint as a function")


def test_threads_that_ask_at_the_same_time_get_the_token_of_one_mint() -> None:
    keeper = BlockingTokenCache(lambda: 0.0)
    asking, minted = threading.Barrier(8), []

    async def mint() -> MintedToken | Failure:
        minted.append(1)
        return MintedToken(Secret(f"token-{len(minted)}"), 3_600.0)

    def ask(_: int) -> AccessToken | Failure:
        asking.wait(5)
        return at_once(keeper.token(Access("app", no_dialogue), mint))

    with ThreadPoolExecutor(8) as threads:
        tokens = list(threads.map(ask, range(8)))
    assert {token.value.reveal() for token in tokens if isinstance(token, AccessToken)} == {
        "token-1"
    }
    assert minted == [1]
    first = tokens[0]
    assert isinstance(first, AccessToken)
    again = at_once(keeper.token(Access("app", no_dialogue, first), mint))
    assert again == AccessToken(Secret("token-2"), fresh=True)


def test_a_mint_that_raises_is_an_error_for_who_asked_and_leaves_nothing() -> None:
    keeper = BlockingTokenCache(lambda: 0.0)

    async def broken() -> MintedToken | Failure:
        raise RuntimeError("a bug")

    async def mint() -> MintedToken | Failure:
        return MintedToken(Secret("token-1"), 100.0)

    with pytest.raises(RuntimeError, match="a bug"):
        at_once(keeper.token(Access("app", no_dialogue), broken))
    good = at_once(keeper.token(Access("app", no_dialogue), mint))
    assert good == AccessToken(Secret("token-1"), fresh=True)


# -- the same on the line
# -------------------------------------------------------------------------------------------

ON_THE_LINE = {
    "accept",
    "accept-encoding",
    "connection",
    "content-length",
    "content-type",
    "host",
    "user-agent",
}
"""The headers that HTTP or the transport itself demands. Their order, and the case of their
names, is the library's; all else comes as the dialogue said it."""


@frozen
class Case:
    """A dialogue with a server at this URL, and what the server says to its requests in turn."""

    dialogue: Callable[[str], Dialogue[Any]]
    answers: tuple[bytes, ...]


def sprinto(url: str) -> Dialogue[Any]:
    content = b"%PDF-1.7 " + bytes(range(256)) * 8_000
    parcel = Parcel(
        tenant_id="acme", evidence_id="प्रमाण/1", session_id="s-1", subject="emp-7",
        subject_email=None,
        outcome=Outcome.PASSED, recorded_at=AT, evidence_date=date(2026, 2, 21), content=content,
        media_type="application/pdf", sha256=sha256_of(content), file_name="ev-1.pdf",
        created_at=AT,
    )  # fmt: skip
    settings = SprintoSettings(
        api_key=Secret("a-key"), workflow_check="c-1", endpoint=f"{url}/dev-api/graphql"
    )
    return SprintoProvider().upload(parcel, settings, None)


def made_up(url: str) -> Dialogue[Any]:
    """A token, a bookmark, and requests of several kinds."""

    def mint() -> Dialogue[MintedToken | Failure]:
        form = (("Content-Type", "application/x-www-form-urlencoded"),)
        answer = yield from fetch(HttpRequest("POST", f"{url}/token", form, (b"grant=client",)))
        assert isinstance(answer, HttpResponse)
        return MintedToken(Secret(answer.body.decode()), 3_600.0)

    token = yield from access(Access("app", mint))
    assert isinstance(token, AccessToken)
    bearer = (
        ("Authorization", f"Bearer {token.value.reveal()}"),
        ("X-Name", "Zoë"),
        ("x-twice", "1"),
        ("x-twice", "2"),
    )
    yield from fetch(
        HttpRequest(
            "POST", f"{url}/documents?q=a%20b&c=%C3%A9", bearer, (b"part one, ", b"part two")
        )
    )
    yield from bookmark("uploaded")
    yield from fetch(HttpRequest("GET", f"{url}/documents/7", bearer))
    yield from fetch(HttpRequest("POST", f"{url}/documents/7/submit", bearer))
    return (yield from fetch(HttpRequest("PUT", f"{url}/documents/7/name", bearer, (b"x",))))


CASES = {
    "Sprinto's upload": Case(sprinto, (b"{}",)),
    "a made-up one": Case(made_up, (b"t0k3n", b"{}", b"{}", b"{}", b"done")),
}


def by_asyncio(case: Case) -> tuple[list[Recorded], list[str]]:
    bookmarks: list[str] = []

    async def story(url: str) -> None:
        transport = AiohttpTransport(now=lambda: AT)
        try:
            await run(
                case.dialogue(url),
                send=lambda request: transport.send(request, Route()),
                bookmark=bookmarks.append,
            )
        finally:
            await transport.close()

    with recorder(*case.answers) as server:
        asyncio.run(story(server.url))
    return [without_port(request, server.port) for request in server.requests], bookmarks


def by_blocking(case: Case) -> tuple[list[Recorded], list[str]]:
    bookmarks: list[str] = []
    transport = HttpcoreTransport(now=lambda: AT)
    with recorder(*case.answers) as server:
        run_blocking(
            case.dialogue(server.url),
            send=lambda request: transport.send(request, Route()),
            bookmark=bookmarks.append,
        )
    transport.close()
    return [without_port(request, server.port) for request in server.requests], bookmarks


def without_port(request: Recorded, port: int) -> Recorded:
    headers = tuple((name, value.replace(str(port), "PORT")) for name, value in request.headers)
    return Recorded(request.line, headers, request.body)


def said(request: Recorded) -> list[tuple[str, str]]:
    """The dialogue's own headers, as they came and in their order."""
    return [pair for pair in request.headers if pair[0].lower() not in ON_THE_LINE]


def demanded(request: Recorded) -> dict[str, str]:
    return {name.lower(): value for name, value in request.headers if name.lower() in ON_THE_LINE}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_both_runners_with_both_transports_send_the_same(case: Case) -> None:
    (ours, our_bookmarks), (theirs, their_bookmarks) = by_blocking(case), by_asyncio(case)
    assert len(ours) == len(theirs) == len(case.answers)
    for one, other in zip(ours, theirs, strict=True):
        assert one.line == other.line
        assert one.body == other.body
        assert said(one) == said(other)
        assert demanded(one) == demanded(other)
    assert our_bookmarks == their_bookmarks
