"""What keeps secrets out of the records of one integration, made once for each set of them."""

from __future__ import annotations

from attrs import define, field

from ..domain.secrets.redaction import Redactor
from ..domain.secrets.secret import Secret
from .destinations import Destination

MOST = 256
"""The most that are kept; tokens come and go."""


@define
class Redactors:
    """May be used by several threads at once: at worst, one is made twice."""

    _made: dict[tuple[Secret, ...], Redactor] = field(factory=dict, init=False, repr=False)

    def of(self, destination: Destination, tokens: tuple[Secret, ...] = ()) -> Redactor:
        """The redactor of a destination's secrets, and of the tokens that a dialogue was given."""
        secrets = (*destination.integration.secrets, *tokens)
        redactor = self._made.get(secrets)
        if redactor is None:
            if len(self._made) >= MOST:
                self._made.clear()
            redactor = self._made[secrets] = Redactor(secrets)
        return redactor
