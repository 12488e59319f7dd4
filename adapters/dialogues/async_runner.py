"""Drives a dialogue on an event loop: does what it asks for, tells it what came of it, and hands
back its result."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

from ...domain.upload.failure import Failure
from ...ports.dialogue import (
    Access,
    AccessToken,
    Bookmark,
    Dialogue,
    HttpRequest,
    HttpResponse,
    Step,
    TransportFailure,
)
from .tokens import NotedTokens, TokenKeeper

T = TypeVar("T")
Send = Callable[[HttpRequest], Awaitable[HttpResponse | TransportFailure]]
CommitBookmark = Callable[[str], Awaitable[None]]


async def run(
    dialogue: Dialogue[T],
    *,
    send: Send,
    bookmark: CommitBookmark,
    keeper: TokenKeeper | NotedTokens,
) -> T:
    """The dialogue's result. It is closed in every case; what it raises, and what `send` or
    `bookmark` raise, passes through."""

    async def answer(step: Step) -> HttpResponse | TransportFailure | AccessToken | Failure | None:
        match step:
            case HttpRequest():
                return await send(step)
            case Bookmark(progress=progress):
                await bookmark(progress)
                return None
            case Access():
                return await keeper.token(
                    step, lambda: run(step.mint(), send=send, bookmark=bookmark, keeper=keeper)
                )
        raise TypeError(
            f"a dialogue yields HttpRequest, Bookmark or Access, not {type(step).__name__}"
        )

    reply = None
    try:
        while True:
            try:
                step = dialogue.send(reply)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            reply = await answer(step)
    except BaseException:
        with suppress(
            Exception
        ):  # a dialogue that misbehaves when it is closed must not hide why it is closed
            dialogue.close()
        raise
