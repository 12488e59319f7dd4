"""Dialogues on an event loop: the driver does what a dialogue asks for, and always closes it."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import Any

import pytest
from attrs import define, field
from dialogue_runner import run

from evidence_courier.adapters.engines.token_cache import TokenCache
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
from evidence_courier.testing.scripted_transport import ScriptedTransport, reply

FIRST = HttpRequest("GET", "https://api.example/first")
SECOND = HttpRequest("POST", "https://api.example/second", body=(b"x",))


@define
class World:
    """What a dialogue can reach: a script of replies, a list of bookmarks, a cache of tokens."""

    transport: ScriptedTransport
    bookmarks: list[str] = field(factory=list)
    tokens: TokenCache = field(factory=lambda: TokenCache(lambda: 0.0))

    async def run(self, dialogue: Dialogue[Any]) -> Any:
        return await run(
            dialogue, send=self.send, bookmark=self.bookmarks.append, tokens=self.tokens
        )

    async def send(self, request: HttpRequest) -> HttpResponse | TransportFailure:
        return await self.transport.send(request, Route())


def test_replies_reach_the_dialogue_in_order_and_its_result_comes_back() -> None:
    def dialogue() -> Dialogue[list[object]]:
        first = yield from fetch(FIRST)
        second = yield from fetch(SECOND)
        return [first, second]

    replies: list[HttpResponse | TransportFailure] = [
        reply(200, b"one"),
        TransportFailure(FailureKind.TIMEOUT, "silent"),
    ]
    world = World(ScriptedTransport(replies))
    assert asyncio.run(world.run(dialogue())) == replies
    assert world.transport.requests == [FIRST, SECOND]


def test_a_bookmark_is_committed_before_the_dialogue_goes_on() -> None:
    world = World(ScriptedTransport([reply(), reply()]))

    def dialogue() -> Dialogue[tuple[int, list[str]]]:
        yield from fetch(FIRST)
        yield from bookmark("half-way")
        seen = len(world.transport.requests), list(world.bookmarks)
        yield from fetch(SECOND)
        return seen

    assert asyncio.run(world.run(dialogue())) == (1, ["half-way"])


def test_a_token_is_minted_by_a_dialogue_of_its_own() -> None:
    def mint() -> Dialogue[MintedToken | Failure]:
        answer = yield from fetch(SECOND)
        assert isinstance(answer, HttpResponse)
        return MintedToken(Secret(answer.body.decode()), expires_in=3_600)

    def dialogue() -> Dialogue[AccessToken | Failure]:
        return (yield from access(Access("app-1", mint)))

    world = World(ScriptedTransport([reply(200, b"token-1")]))
    assert asyncio.run(world.run(dialogue())) == AccessToken(Secret("token-1"), fresh=True)
    assert asyncio.run(world.run(dialogue())) == AccessToken(Secret("token-1"), fresh=False)
    assert world.transport.requests == [SECOND]


def test_a_dialogue_that_asks_for_nothing_ends_at_once() -> None:
    def dialogue() -> Dialogue[str]:
        yield from ()
        return "done"

    assert asyncio.run(World(ScriptedTransport([])).run(dialogue())) == "done"


def test_what_a_dialogue_raises_reaches_the_caller() -> None:
    def dialogue() -> Dialogue[str]:
        yield from fetch(FIRST)
        raise LookupError("a bug of the provider's")

    with pytest.raises(LookupError, match="a bug of the provider's"):
        asyncio.run(World(ScriptedTransport([reply()])).run(dialogue()))


def test_a_step_that_is_none_is_named() -> None:
    def dialogue() -> Generator[Any, Any, str]:
        yield "please"
        return "never"

    with pytest.raises(
        TypeError, match="yields HttpRequest, Bookmark, Access, Now or Mask, not str"
    ):
        asyncio.run(World(ScriptedTransport([])).run(dialogue()))


def test_the_dialogue_is_closed_when_sending_raises() -> None:
    closed: list[bool] = []

    def dialogue() -> Dialogue[None]:
        try:
            yield from fetch(FIRST)
        finally:
            closed.append(True)

    with pytest.raises(AssertionError, match="no answer number 1"):
        asyncio.run(World(ScriptedTransport([])).run(dialogue()))
    assert closed == [True]


def test_a_cancelled_run_closes_its_dialogue_which_cannot_prevent_it() -> None:
    closed: list[bool] = []

    def dialogue() -> Dialogue[str]:
        try:
            yield from fetch(FIRST)
        finally:
            closed.append(True)
            yield FIRST  # a dialogue that will not close
        return "never"

    async def cancelled() -> None:
        async def silence(request: HttpRequest) -> HttpResponse:
            await asyncio.get_running_loop().create_future()
            return reply()

        task = asyncio.ensure_future(run(dialogue(), send=silence))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    assert closed == [True]
