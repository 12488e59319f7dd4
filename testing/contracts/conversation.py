"""Talking a provider's dialogue through by hand: no network, no loop, and every step is seen."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeAlias

from attrs import define, field, frozen

from ...domain.secrets.secret import Secret
from ...domain.upload.failure import Failure
from ...ports.dialogue import (
    Access,
    AccessToken,
    Bookmark,
    Dialogue,
    HttpRequest,
    HttpResponse,
    Mask,
    MintedToken,
    Now,
    TransportFailure,
)

Reply: TypeAlias = HttpResponse | TransportFailure
Answer: TypeAlias = Callable[[HttpRequest], Reply]

NOW = datetime(2026, 2, 21, 10, 0, tzinfo=UTC)
_MOST_STEPS = 200


@frozen
class Fault:
    """What goes wrong: from its `at`-th own request on (None: at the requests for a token), a
    dialogue is answered this.

    With `once`, only that one request is.
    """

    reply: Reply
    at: int | None
    once: bool = False

    def meets(self, number: int, minting: bool) -> bool:
        """Whether a request is the one, by its number among its kind."""
        if minting or self.at is None:
            return minting and self.at is None
        return number == self.at if self.once else number >= self.at


@define
class Conversation:
    """A dialogue under way: what it asked for, what it was told, and what it came to.

    `kept` is a token that the cache holds already. Once the dialogue has `ended`, `result` or
    `error` is what it came to. The requests for a token are kept apart. `bookmarks` are pairs: how
    many requests had been made before, and the progress.
    """

    dialogue: Dialogue[Any]
    answer: Answer
    fault: Fault | None = None
    token: Secret | None = None
    minting: bool = False
    requests: list[HttpRequest] = field(init=False, factory=list)
    replies: list[Reply] = field(init=False, factory=list)
    mint_requests: list[HttpRequest] = field(init=False, factory=list)
    mint_replies: list[Reply] = field(init=False, factory=list)
    bookmarks: list[tuple[int, str]] = field(init=False, factory=list)
    strangers: list[object] = field(init=False, factory=list)
    tokens: list[str] = field(init=False, factory=list)
    steps: int = field(init=False, default=0)
    ended: bool = field(init=False, default=False)
    result: Any = field(init=False, default=None)
    error: Exception | None = field(init=False, default=None)
    _reply: Any = field(init=False, default=None)

    def go_on(self) -> None:
        """One step, and what it is answered."""
        try:
            step = self.dialogue.send(self._reply)
        except StopIteration as end:
            self.ended, self.result = True, end.value
        except Exception as error:
            self._fail(error)
        else:
            self.steps += 1
            self._reply = self._come_by(step)
            if self.steps > _MOST_STEPS:
                self._fail(RecursionError(f"it takes more than {_MOST_STEPS} steps"))

    def through(self, bookmarks: int | None = None) -> Conversation:
        """Go on to the end, or stop at a number of bookmarks, as if the process were killed."""
        while not self.ended and (bookmarks is None or len(self.bookmarks) < bookmarks):
            self.go_on()
        self.dialogue.close()
        return self

    @property
    def outcome(self) -> str:
        """What it came to, in words."""
        return f"raised {self.error!r}" if self.error is not None else f"ended with {self.result!r}"

    def _come_by(self, step: object) -> object:
        match step:
            case HttpRequest():
                fault = self.fault
                met = fault and fault.meets(len(self.requests), self.minting)
                self.requests.append(step)
                sealed = step.sealed(NOW)
                self.replies.append(fault.reply if fault and met else self.answer(sealed))
                return self.replies[-1]
            case Now():
                return NOW
            case Mask():
                return None
            case Bookmark(progress=progress):
                self.bookmarks.append((len(self.requests), progress))
                return None
            case Access():
                return self._token(step)
        self.strangers.append(step)
        return None

    def _fail(self, error: Exception) -> None:
        self.ended, self.error = True, error

    def _token(self, wish: Access) -> AccessToken | Failure | None:
        if self.token is not None and (wish.refused is None or wish.refused.value != self.token):
            return AccessToken(self.token, fresh=False)
        mint = Conversation(wish.mint(), self.answer, self.fault, minting=True).through()
        self.mint_requests += mint.requests
        self.mint_replies += mint.replies
        self.strangers += mint.strangers
        if mint.error is not None:
            self._fail(mint.error)
            return None
        if isinstance(mint.result, MintedToken):
            self.token = mint.result.value
            self.tokens.append(self.token.reveal())
            return AccessToken(self.token, fresh=True)
        if not isinstance(mint.result, Failure):
            self._fail(TypeError(f"a mint ended with {mint.result!r}"))
            return None
        return mint.result
