"""Drives a dialogue in the caller's thread: does what it asks for, tells it what came of it, and
hands back its result."""

from __future__ import annotations

from collections.abc import Callable
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
from .tokens import BlockingTokenKeeper, NotedBlockingTokens

T = TypeVar("T")
BlockingSend = Callable[[HttpRequest], HttpResponse | TransportFailure]
CommitBookmarkNow = Callable[[str], None]


def run_blocking(
    dialogue: Dialogue[T],
    *,
    send: BlockingSend,
    bookmark: CommitBookmarkNow,
    keeper: BlockingTokenKeeper | NotedBlockingTokens,
) -> T:
    """The dialogue's result. It is closed in every case; what it raises, and what `send` or
    `bookmark` raise, passes through."""

    def answer(step: Step) -> HttpResponse | TransportFailure | AccessToken | Failure | None:
        match step:
            case HttpRequest():
                return send(step)
            case Bookmark(progress=progress):
                bookmark(progress)
                return None
            case Access():
                return keeper.token(
                    step,
                    lambda: run_blocking(step.mint(), send=send, bookmark=bookmark, keeper=keeper),
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
            reply = answer(step)
    except BaseException:
        with suppress(
            Exception
        ):  # a dialogue that misbehaves when it is closed must not hide why it is closed
            dialogue.close()
        raise
