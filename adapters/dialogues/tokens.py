"""Keeps the tokens that dialogues ask for, for those who run on an event loop and for threads
that may block."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable

from attrs import define, field

from ...domain.secrets.secret import Secret
from ...domain.upload.failure import Failure
from ...ports.dialogue import Access, AccessToken, MintedToken
from .drawer import Drawer

Mint = Callable[[], Awaitable[MintedToken | Failure]]
BlockingMint = Callable[[], MintedToken | Failure]


@define
class _AsyncDrawer(Drawer):
    lock: asyncio.Lock = field(factory=asyncio.Lock)


@define
class _BlockingDrawer(Drawer):
    lock: threading.Lock = field(factory=threading.Lock)


@define
class TokenKeeper:
    """Belongs to one event loop. `monotonic` gives seconds on a clock that never goes back."""

    monotonic: Callable[[], float]
    _drawers: dict[str, _AsyncDrawer] = field(factory=dict, init=False, repr=False)

    async def token(self, wish: Access, mint: Mint) -> AccessToken | Failure:
        """The token under the wish's key, or the failure that minting it came to.

        Whoever waits while another mints gets what that mint came to, a failure included. A token
        that the wish names as refused is thrown away, unless another has taken its place meanwhile.
        A dialogue that mints must not ask for its own key.
        """
        drawer = self._drawers.setdefault(wish.key, _AsyncDrawer())
        minted = drawer.minted
        async with drawer.lock:
            asked_at = self.monotonic()
            kept = drawer.kept(wish, minted, asked_at)
            if kept is not None:
                return kept
            drawer.empty()
            return drawer.fill(await mint(), asked_at)


@define
class BlockingTokenKeeper:
    """As `TokenKeeper`, for threads: whoever asks while another mints waits in his own thread."""

    monotonic: Callable[[], float]
    _drawers: dict[str, _BlockingDrawer] = field(factory=dict, init=False, repr=False)

    def token(self, wish: Access, mint: BlockingMint) -> AccessToken | Failure:
        """See `TokenKeeper`."""
        drawer = self._drawers.setdefault(wish.key, _BlockingDrawer())
        minted = drawer.minted
        with drawer.lock:
            asked_at = self.monotonic()
            kept = drawer.kept(wish, minted, asked_at)
            if kept is not None:
                return kept
            drawer.empty()
            return drawer.fill(mint(), asked_at)


@define
class NotedTokens:
    """A `TokenKeeper` as one dialogue sees it: `given` are the tokens that it was given, which
    are secrets of that dialogue."""

    keeper: TokenKeeper
    given: tuple[Secret, ...] = field(default=(), init=False, repr=False)

    async def token(self, wish: Access, mint: Mint) -> AccessToken | Failure:
        """See `TokenKeeper`."""
        answer = await self.keeper.token(wish, mint)
        if isinstance(answer, AccessToken) and answer.value not in self.given:
            self.given += (answer.value,)
        return answer


@define
class NotedBlockingTokens:
    """The same of a `BlockingTokenKeeper`."""

    keeper: BlockingTokenKeeper
    given: tuple[Secret, ...] = field(default=(), init=False, repr=False)

    def token(self, wish: Access, mint: BlockingMint) -> AccessToken | Failure:
        """See `TokenKeeper`."""
        answer = self.keeper.token(wish, mint)
        if isinstance(answer, AccessToken) and answer.value not in self.given:
            self.given += (answer.value,)
        return answer
