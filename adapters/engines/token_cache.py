"""Keeps the tokens that dialogues ask for: in memory only, and minted once for all who ask at the
same time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime

from attrs import define, field

from ...delivery.tokens import StoredToken
from ...domain.upload.failure import Failure
from ...ports.dialogue import Access, AccessToken, MintedToken

Mint = Callable[[], Awaitable[MintedToken | Failure]]


class ThreadLock:
    """A lock for threads, entered like one for tasks: the wait blocks, and never suspends."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    async def __aenter__(self) -> None:
        self._lock.acquire()

    async def __aexit__(self, *_: object) -> None:
        self._lock.release()


@define
class TokenCache:
    """Belongs to one event loop. `monotonic` gives seconds on a clock that never goes back."""

    monotonic: Callable[[], float]
    _tokens: dict[str, tuple[AbstractAsyncContextManager[None], StoredToken]] = field(
        factory=dict, init=False, repr=False
    )

    async def token(
        self, wish: Access, mint: Mint, lease_since: datetime | None = None
    ) -> AccessToken | Failure:
        """The token under the wish's key, or the failure that minting it came to.

        Who waits while another mints gets the result of that mint, a failure included. A dialogue
        that mints must not ask for its own key.
        """
        # One step, so that two threads never make an entry each.
        lock, token = self._tokens.setdefault(wish.key, (self._lock(), StoredToken()))
        minted = token.minted
        async with lock:
            asked_at = self.monotonic()
            token.begin_lease(lease_since)
            found = token.valid(wish, minted, asked_at)
            return found if found is not None else token.keep(await mint(), asked_at)

    def _lock(self) -> AbstractAsyncContextManager[None]:
        return asyncio.Lock()


class BlockingTokenCache(TokenCache):
    """For threads: a caller that asks while another mints waits in its own thread."""

    def _lock(self) -> ThreadLock:
        return ThreadLock()
