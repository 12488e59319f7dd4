"""How much of the backlog a courier has in hand.

What is overdue in the store stands in lines, one for each credential and one for its old records.
Each of these has its share of what one courier holds in memory. As soon as half of the share is
sent, more is taken up, so that a backlog is taken up as fast as it is sent, and no credential keeps
another from being taken up.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import TypeAlias

from attrs import define, field

IN_HAND = 10_000
"""How many uploads of the backlog are in memory, if there are not too many credentials."""

MOST_OF_ONE, LEAST_OF_ONE = 1_000, 10

Credential: TypeAlias = str | None


@define
class Backlog:
    """Counts what is in hand of each credential, and knows whose lines are to be looked at."""

    _credentials: int = field(default=1, init=False)
    _in_hand: Counter[Credential] = field(factory=Counter, init=False)
    _more: set[Credential] = field(factory=set, init=False)
    _wanting: dict[Credential, None] = field(factory=dict, init=False)

    @property
    def wanting(self) -> bool:
        """Whether a line is to be looked at."""
        return bool(self._wanting)

    @property
    def share(self) -> int:
        """How much of one credential is in hand at most."""
        return min(max(IN_HAND // max(self._credentials, 1), LEAST_OF_ONE), MOST_OF_ONE)

    def room(self, credential: Credential) -> int:
        """How much more of a credential may be taken in hand."""
        return max(self.share - self._in_hand[credential], 0)

    def add(self, credential: Credential) -> None:
        """An upload of a credential is in hand, from the backlog or new."""
        self._in_hand[credential] += 1

    def remove(self, credential: Credential) -> None:
        """It is not in hand any more."""
        self._in_hand[credential] -= 1
        if not self._in_hand[credential]:
            del self._in_hand[credential]
        if credential in self._more and self._is_low(credential):
            self._wanting[credential] = None

    def found(self, credentials: Collection[Credential]) -> None:
        """All credentials that have something overdue."""
        self._credentials = len(credentials)
        self._more.intersection_update(credentials)
        self._wanting = dict.fromkeys(filter(self._is_low, credentials))

    def next_credentials(self) -> list[Credential]:
        """Some credentials whose lines to look at now."""
        credentials = list(self._wanting)[: max(MOST_OF_ONE // self.share, 1)]
        for credential in credentials:
            del self._wanting[credential]
        return credentials

    def looked(self, credential: Credential, *, more: bool, again: bool) -> None:
        """Its line was looked at: whether there is more of it, and whether it is looked at again at
        once."""
        (self._more.add if more else self._more.discard)(credential)
        if again:
            self._wanting[credential] = None

    def _is_low(self, credential: Credential) -> bool:
        return self._in_hand[credential] < (self.share + 1) // 2
