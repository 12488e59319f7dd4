"""Which uploads a list shows, a page of it, and the token that leads to the next page.

A page is asked for by where the one before it ended (the moment of creation, and the place in the
order of arrival among those of the same moment), so that no page is slower than the first, and none
skips or repeats a record when others arrive in between.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Collection, Iterator
from datetime import UTC, datetime

from attrs import frozen

from ..arguments import MISSING, aware, of_kind, whole_number, word_of
from ..errors import MisuseError
from .failure import FailureKind
from .status import UploadStatus
from .upload import Status, UploadKey

# Beyond what any store counts to.
_LAST = 2**63


@frozen(kw_only=True)
class Find:
    """Which uploads to list: every filter that is given must hold; newest first.

    Any of the `statuses` will do. `kind` is that of the error. `since` and `until` are compared
    with created_at, the second exclusively. `id_prefix` is how the evidence id begins. `after` is
    the `next_page` of the page before.
    """

    tenant_id: str | None = None
    statuses: Collection[Status] = ()
    kind: str | None = None
    provider: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    id_prefix: str | None = None
    after: str | None = None
    limit: int = 100

    def __attrs_post_init__(self) -> None:
        for name in ("tenant_id", "provider", "id_prefix", "after"):
            of_kind(name, getattr(self, name), (str, MISSING), "text")
        whole_number("limit", self.limit)
        if self.kind is not None:
            word_of(FailureKind, "kind of error", self.kind)
        for name, moment in (("since", self.since), ("until", self.until)):
            if moment is not None:
                aware(name, moment)
        if self.since is not None and self.until is not None and self.until < self.since:
            raise MisuseError("until must not be before since")

    def holds(self, key: UploadKey, status: Status, kind: str | None, created_at: datetime) -> bool:
        """Whether an upload is one of them, on whatever page."""
        return (
            self.tenant_id in (None, key.tenant_id)
            and (not self.statuses or status in self.statuses)
            and self.kind in (None, kind)
            and self.provider in (None, key.provider)
            and (self.since is None or created_at >= self.since)
            and (self.until is None or created_at < self.until)
            and key.evidence_id.startswith(self.id_prefix or "")
        )


MOST_WITH_PREFIX = 10_000
"""The most evidence ids that may begin with the prefix that is asked for, or it is refused as too
short."""


def too_many_begin_with(prefix: str) -> MisuseError:
    """The refusal of a prefix with which too many begin."""
    return MisuseError(
        f"more than {MOST_WITH_PREFIX:,} evidence ids begin with {prefix!r}: give more of the id,"
        " or the tenant"
    )


@frozen
class Page:
    """Some statuses, and the token that leads to the next ones; None at the end."""

    uploads: tuple[UploadStatus, ...]
    next_page: str | None


@frozen(order=True)
class Place:
    """Where a record stands in the order of the lists: the later, the nearer to the top."""

    created_at: datetime
    arrival: int


def all_of(page_after: Callable[[str | None], Page]) -> Iterator[UploadStatus]:
    """The uploads of all pages of a list; `page_after` is given each page's `next_page`."""
    page = page_after(None)
    yield from page.uploads
    while page.next_page is not None:
        page = page_after(page.next_page)
        yield from page.uploads


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
        match json.loads(urlsafe_b64decode(find.after)):
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
