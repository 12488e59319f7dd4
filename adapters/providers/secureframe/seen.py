"""Telling from Secureframe's list of evidence whether an upload is there.

Documented (`GET /evidences` in the OpenAPI document): an evidence's type, what it belongs to, the
date of the activity, when it was made. Not its file's name. So nothing in the list names an upload
for sure; the list can say that nothing like it is there, which is certain, or that something like
it is, which may be another evidence of the same person and day. Should a reply hold the file's name
after all, anywhere, that decides. Whatever the list does not say of an evidence counts as fitting.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import pairwise

from attrs import frozen

from ....ports.provider import Parcel
from ..kit.json_reply import text
from .reply import Resource


@frozen
class Likeness:
    """What an evidence of ours looks like in the list: that of the user `user`, of the type
    `document_type`; both None for a test's evidence, of which the list does not say which test it
    is for."""

    parcel: Parcel
    user: str | None
    document_type: str | None

    def named_in(self, item: Resource) -> bool:
        """Whether the file's name stands in the resource, by itself or in an address."""
        name = re.compile(rf"(?<![\w.-]){re.escape(self.parcel.file_name)}(?![\w.-])")
        return any(name.search(told) for told in _texts(item.whole))

    def fits(self, item: Resource) -> bool:
        """Whether it may be ours, by all that the list says of it."""
        told = item.attributes
        day = text(told.get("activity_completion"))
        if day is not None and day[:10] != self.parcel.evidence_date.isoformat():
            return False
        owner, kind = text(told.get("evidenceable_id")), text(told.get("evidence_type"))
        if self.user is None:
            return told.get("evidenceable_type") != "CompanyUser"
        if owner is not None and owner.lower() != self.user.lower():
            return False
        return kind is None or kind == self.document_type


def made_at(item: Resource) -> datetime | None:
    """When Secureframe made the evidence, where it says so."""
    try:
        moment = datetime.fromisoformat(text(item.attributes.get("created_at")) or "")
    except ValueError:
        return None
    return moment if moment.utcoffset() is not None else None


def in_order(items: Iterable[Resource]) -> bool:
    """Whether the newest come first, as was asked for: only then does an old one mean that all
    newer were seen."""
    moments = [moment for item in items if (moment := made_at(item)) is not None]
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
