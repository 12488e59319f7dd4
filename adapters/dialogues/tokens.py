"""Keeps the tokens that dialogues ask for: in memory only, one for each key, minted once for all who ask at
the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from attrs import define, field

from ...domain.failure import Failure
from ...ports.dialogue import Access, AccessToken, MintedToken

MARGIN = 60.0
"""A token is no longer given out when it has fewer seconds than this to live, or half of its life where
that is less."""

Mint = Callable[[], Awaitable[MintedToken | Failure]]


@define
class _Drawer:
    """What is kept under one key. `minted` counts the mints that have ended; `outcome` is what the last one
    came to."""

    lock: asyncio.Lock = field(factory=asyncio.Lock)
    minted: int = 0
    outcome: MintedToken | Failure | None = None
    good_until: float = 0.0


@define
class TokenKeeper:
    """Belongs to one event loop. `monotonic` gives seconds on a clock that never goes back."""

    monotonic: Callable[[], float]
    _drawers: dict[str, _Drawer] = field(factory=dict, init=False, repr=False)

    async def token(self, wish: Access, mint: Mint) -> AccessToken | Failure:
        """The token under the wish's key, or the failure that minting it came to.

        Whoever waits while another mints gets what that mint came to, a failure included. A token that the
        wish names as refused is thrown away, unless another has taken its place meanwhile. A dialogue that
        mints must not ask for its own key.
        """
        drawer = self._drawers.setdefault(wish.key, _Drawer())
        minted = drawer.minted
        async with drawer.lock:
            kept = drawer.outcome
            if isinstance(kept, MintedToken) and not (wish.refused and wish.refused.value == kept.value):
                fresh = drawer.minted > minted
                if fresh or self.monotonic() < drawer.good_until:
                    return AccessToken(kept.value, fresh=fresh)
            elif isinstance(kept, Failure) and drawer.minted > minted:
                return kept
            asked_at = self.monotonic()  # before the mint: what the request takes is off the token's life
            drawer.outcome = None
            outcome = await mint()
            drawer.outcome = outcome
            drawer.minted += 1
            if isinstance(outcome, Failure):
                return outcome
            drawer.good_until = asked_at + max(outcome.expires_in - MARGIN, outcome.expires_in / 2)
            return AccessToken(outcome.value, fresh=True)
