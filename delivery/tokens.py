"""When a token that was minted is given out again, and when another is minted."""

from __future__ import annotations

from datetime import datetime

from attrs import define, evolve

from ..domain.upload.failure import Failure
from ..ports.dialogue import Access, AccessToken, MintedToken

MARGIN = 60.0
"""A token is no longer given out when it has fewer seconds than this to live, or half of its life
where that is less."""


@define
class StoredToken:
    """What is kept under one key. One caller at a time may look into it and mint.

    `minted` counts the mints that have ended; `outcome` is the last one's.
    """

    minted: int = 0
    outcome: MintedToken | Failure | None = None
    good_until: float = 0.0
    lease_since: datetime | None = None

    def begin_lease(self, since: datetime | None) -> None:
        """Throw away a token that was minted under another lease of its credential."""
        if since != self.lease_since:
            self.outcome, self.lease_since = None, since

    def valid(self, wish: Access, minted: int, now: float) -> AccessToken | Failure | None:
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
