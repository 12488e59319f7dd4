"""The rules by which tokens are kept, whoever keeps them: in memory only, minted once for all
who ask at the same time."""

from __future__ import annotations

from attrs import define, evolve

from ...domain.upload.failure import Failure
from ...ports.dialogue import Access, AccessToken, MintedToken

MARGIN = 60.0
"""A token is no longer given out when it has fewer seconds than this to live, or half of its life
where that is less."""


@define
class Drawer:
    """What is kept under one key. `minted` counts the mints that have ended; `outcome` is what the
    last one came to. One at a time may look into it and mint."""

    minted: int = 0
    outcome: MintedToken | Failure | None = None
    good_until: float = 0.0

    def kept(self, wish: Access, minted: int, now: float) -> AccessToken | Failure | None:
        """What serves a wish that was made when `minted` mints had ended; None: somebody has to
        mint."""
        kept = self.outcome
        if isinstance(kept, MintedToken) and not (
            wish.refused and wish.refused.value == kept.value
        ):
            fresh = self.minted > minted
            if fresh or now < self.good_until:
                return AccessToken(kept.value, fresh=fresh)
        elif isinstance(kept, Failure) and self.minted > minted:
            return kept
        return None

    def empty(self) -> None:
        """Somebody mints, and may not come to an end."""
        self.outcome = None

    def fill(self, outcome: MintedToken | Failure, asked_at: float) -> AccessToken | Failure:
        """What a mint came to that was asked for at `asked_at`: what the request takes is off the
        token's life.

        A failure is told without its detail: that is a piece of a reply, and a reply to this
        request may hold a token that nobody knows of.
        """
        self.minted += 1
        if isinstance(outcome, Failure):
            self.outcome = evolve(outcome, detail=None)
            return self.outcome
        self.outcome = outcome
        self.good_until = asked_at + max(outcome.expires_in - MARGIN, outcome.expires_in / 2)
        return AccessToken(outcome.value, fresh=True)
