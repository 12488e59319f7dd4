"""The token that leads from one page of a list to the next.

A page is asked for by where the one before it ended (the moment of creation, and the place in the
order of arrival among those of the same moment), so that no page is slower than the first, and none
skips or repeats a record when others arrive in between.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime

from attrs import frozen

from ..domain.errors import MisuseError
from .records import Find

# Beyond what any store counts to.
_LAST = 2**63


@frozen(order=True)
class Place:
    """Where a record stands in the order of the lists: the later, the nearer to the top."""

    created_at: datetime
    arrival: int


def token_of(place: Place) -> str:
    """The token for the page after the record at this place; letters, digits, `-`, `_` and `=`
    only."""
    data = [place.created_at.isoformat(), place.arrival]
    return urlsafe_b64encode(json.dumps(data).encode()).decode()


def place_after(find: Find) -> Place | None:
    """The place after which the wanted page begins; None for the first. MisuseError where the
    request cannot be met."""
    if find.limit < 1:
        raise MisuseError(f"a page holds at least 1 upload, not {find.limit}")
    if find.after is None:
        return None
    try:
        match json.loads(urlsafe_b64decode(find.after.encode("ascii"))):
            case [str() as created_at, int() as arrival] if 0 < arrival < _LAST:
                moment = datetime.fromisoformat(created_at)
            case _:
                raise _not_a_token(find.after)
        if moment.tzinfo is None:
            raise _not_a_token(find.after)
        return Place(moment.astimezone(UTC), arrival)
    except (ValueError, OverflowError, RecursionError) as error:
        raise _not_a_token(find.after) from error


def _not_a_token(text: str) -> MisuseError:
    return MisuseError(
        f"{text[:40]!r} is not the next_page of a page before; leave `after` out for the first page"
    )
