"""Keeps the tokens that dialogues ask for: in memory only, and minted once for all who ask at the
same time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime

from attrs import define, evolve, field

from ...domain.upload.failure import Failure
from ...ports.dialogue import Access, AccessToken, MintedToken

MARGIN = 60.0
"""A token is no longer given out when it has fewer seconds than this to live, or half of its life
where that is less."""

Mint = Callable[[], Awaitable[MintedToken | Failure]]


@define
class _Entry:
    """What is kept under one key, and the rule by which it is given out.

    `minted` counts the mints that have ended; `outcome` is the last one's. One at a time may look
    into it and mint.
    """

    lock: AbstractAsyncContextManager[None]
    minted: int = 0
    outcome: MintedToken | Failure | None = None
    good_until: float = 0.0
    lease_since: datetime | None = None

    def begin_lease(self, since: datetime | None) -> None:
        """Throw away a token that was minted under another lease of its credential."""
        if since != self.lease_since:
            self.outcome, self.lease_since = None, since

    def kept(self, wish: Access, minted: int, now: float) -> AccessToken | Failure | None:
        """What serves a wish that was made when `minted` mints had ended; None: mint a new one,
        which is the caller's to do now.

        A token that the wish names as refused is thrown away, unless another has replaced it.
        """
        outcome, fresh = self.outcome, self.minted > minted
        match outcome:
            case MintedToken(value=value):
                refused = wish.refused is not None and wish.refused.value == value
                if not refused and (fresh or now < self.good_until):
                    return AccessToken(value, fresh=fresh)
            case Failure() if fresh:
                return outcome
        self.outcome = None  # the mint may not come to an end
        return None

    def keep(self, outcome: MintedToken | Failure, asked_at: float) -> AccessToken | Failure:
        """Keep what a mint came to that was asked for at `asked_at`: what the request takes is off
        the token's life.

        A failure is kept without its detail: that is a piece of a reply, and this reply may hold a
        token that is known to no redactor.
        """
        self.minted += 1
        if isinstance(outcome, Failure):
            self.outcome = evolve(outcome, detail=None)
            return self.outcome
        self.outcome = outcome
        self.good_until = asked_at + max(outcome.expires_in - MARGIN, outcome.expires_in / 2)
        return AccessToken(outcome.value, fresh=True)


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
    _entries: dict[str, _Entry] = field(factory=dict, init=False, repr=False)

    async def token(
        self, wish: Access, mint: Mint, lease_since: datetime | None = None
    ) -> AccessToken | Failure:
        """The token under the wish's key, or the failure that minting it came to.

        Who waits while another mints gets the result of that mint, a failure included. A dialogue
        that mints must not ask for its own key.
        """
        # One step, so that two threads never make an entry each.
        entry = self._entries.setdefault(wish.key, _Entry(self._lock()))
        minted = entry.minted
        async with entry.lock:
            asked_at = self.monotonic()
            entry.begin_lease(lease_since)
            kept = entry.kept(wish, minted, asked_at)
            return kept if kept is not None else entry.keep(await mint(), asked_at)

    def _lock(self) -> AbstractAsyncContextManager[None]:
        return asyncio.Lock()


class BlockingTokenCache(TokenCache):
    """For threads: a caller that asks while another mints waits in its own thread."""

    def _lock(self) -> ThreadLock:
        return ThreadLock()
