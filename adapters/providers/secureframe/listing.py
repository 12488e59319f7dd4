"""Reading Secureframe's lists: finding a user by e-mail address, and telling from the list of
evidence whether an upload is there.

Documented (`GET /evidences` in the OpenAPI document): an evidence's type, what it belongs to, the
date of the activity, when it was made. Not its file's name. So the list can say that nothing like
an upload is there, which is certain, or that something like it is, which may be another evidence
of the same person and day. If a reply holds the file's name after all, that decides. What the list
does not say of an evidence counts as fitting.

Seen by a third party: a list without `meta`, at most 100 entries a page, and a search that tells
capital from small letters.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final
from urllib.parse import urlencode

from attrs import define, field, frozen

from ....delivery.dialogues.http_errors import ErrorHints
from ....delivery.dialogues.json_reply import identity, moment, text
from ....delivery.dialogues.lists import Page, search
from ....domain.upload.failure import Failure, FailureKind
from ....domain.upload.verdict import Receipt
from ....ports.dialogue import Dialogue, HttpRequest, HttpResponse, fetch
from ....ports.provider import Parcel
from .reply import Resource, read_list
from .settings import SecureframeSettings

PAGE_SIZE: Final = 100
MOST_PAGES: Final = 40
CLOCK_TOLERANCE: Final = timedelta(minutes=15)
"""How far our clock and Secureframe's may be apart where an evidence's age is judged."""


@define
class _List:
    """A list that is read page by page. `at`: our time of day at the last reply."""

    settings: SecureframeSettings
    hints: ErrorHints
    path: str
    query: Mapping[str, str]
    newest_first: bool = False
    at: datetime | None = field(default=None, init=False)
    _count: int = field(default=0, init=False)

    def page(self, cursor: str | None) -> Dialogue[Page[Resource] | Failure]:
        """The page with the number `cursor`. A page that is not full is the last, unless the list
        says that there are more."""
        number = int(cursor or 1)
        query = urlencode({**self.query, "page": str(number), "per_page": str(PAGE_SIZE)})
        url = f"{self.settings.base}{self.path}?{query}"
        reply = yield from fetch(HttpRequest("GET", url, self.settings.headers))
        self.at = reply.received_at if isinstance(reply, HttpResponse) else None
        listed = read_list(reply, self.hints)
        if isinstance(listed, Failure):
            return listed
        items, total = listed
        if self.newest_first and not _in_order(items):
            return _unreadable("is not sorted by age, as was asked for")
        self._count += len(items)
        full = len(items) >= PAGE_SIZE if total is None else self._count < total
        return Page(items, str(number + 1) if items and full else None)


def user_ids(
    address: str, settings: SecureframeSettings, hints: ErrorHints
) -> Dialogue[frozenset[str] | Failure]:
    """The ids of the users with an e-mail address, searched as it is and in small letters. A search
    may find others beside them, so each hit is compared."""
    ids: set[str] = set()

    def compare(user: Resource) -> None:
        if (text(user.attributes.get("email")) or "").casefold() == address.casefold():
            ids.add(user.id)

    for spelling in dict.fromkeys((address, address.lower())):
        phrase = spelling.replace("\\", "\\\\").replace('"', '\\"')
        users = _List(settings, hints, "/users", {"q": f'email:"{phrase}"'})
        failure = yield from search(users.page, compare, most_pages=MOST_PAGES, endless=_unreadable)
        if failure is not None:
            return failure
        if ids:
            break
    return frozenset(ids)


@frozen
class Seen:
    """What the list shows: one that bears our name, or those that are like ours, or why it could
    not be read. `owned` are those of them that the list says are the person's: none where a test
    gets them, since the list names no test. `at`: our time of day then, if a reply came."""

    at: datetime | None
    named: Resource | None = None
    like: tuple[Resource, ...] = ()
    owned: tuple[Resource, ...] = ()
    failure: Failure | None = None

    @property
    def receipt(self) -> Receipt:
        """For one of those that are owned: which it is, is known only of a single one."""
        reference = self.owned[0].id if len(self.owned) == 1 else None
        return Receipt(reference, "attached by an attempt before, whose answer was lost")


def look_for(
    parcel: Parcel,
    user: str | None,
    settings: SecureframeSettings,
    hints: ErrorHints,
    since: datetime,
) -> Dialogue[Seen]:
    """Read the list of evidence, the newest first, until what is older than the upload. `user` is
    whose evidence it is; None for a test's."""
    evidence = _List(settings, hints, "/evidences", {"sort": "-created_at"}, newest_first=True)
    name = re.compile(rf"(?<![\w.-]){re.escape(parcel.file_name)}(?![\w.-])")
    like: list[Resource] = []

    def look(item: Resource) -> Resource | bool | None:
        if any(name.search(one) for one in _texts(item.whole)):
            return item
        made = _made_at(item)
        if made is not None and made < since - CLOCK_TOLERANCE:
            return True
        if _fits(item, parcel, user, settings.document_type):
            like.append(item)
        return None

    found = yield from search(evidence.page, look, most_pages=MOST_PAGES, endless=_unreadable)
    if isinstance(found, Failure):
        return Seen(evidence.at, failure=found)
    if isinstance(found, Resource):
        return Seen(evidence.at, named=found)
    owned = tuple(item for item in like if user and _owner(item) == user.lower())
    return Seen(evidence.at, like=tuple(like), owned=owned)


def _fits(item: Resource, parcel: Parcel, user: str | None, document_type: str) -> bool:
    """Whether an evidence may be the upload, by all that the list says of it."""
    shown = item.attributes
    day = text(shown.get("activity_completion"))
    if day is not None and day[:10] != parcel.evidence_date.isoformat():
        return False
    if user is None:
        return shown.get("evidenceable_type") != "CompanyUser"
    kind = text(shown.get("evidence_type"))
    return _owner(item) in (None, user.lower()) and kind in (None, document_type)


def _owner(item: Resource) -> str | None:
    """Whose evidence it is, in small letters; None if that is not said."""
    owner = identity(item.attributes.get("evidenceable_id"))
    return None if owner is None else owner.lower()


def _made_at(item: Resource) -> datetime | None:
    return moment(item.attributes.get("created_at"))


def _in_order(items: Iterable[Resource]) -> bool:
    """Whether the newest come first: only then does an old one mean that all newer were seen."""
    moments = [moment for item in items if (moment := _made_at(item)) is not None]
    return all(later >= earlier for later, earlier in pairwise(moments))


def _texts(value: object) -> Iterator[str]:
    """Every text in a JSON value, however deep."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, dict):
            waiting.extend(one.values())
        elif isinstance(one, list):
            waiting.extend(one)


def _unreadable(what: str) -> Failure:
    return Failure(FailureKind.UNRECOGNISED_REPLY, f"Secureframe's list cannot be read: it {what}")
