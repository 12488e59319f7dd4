"""The workflow checks of the Sprinto sandbox: what evidence they take, and the pages that list
them.

The refusals' words "Incorrect check ID", "Check in review" and "Unsupported file format" are
third-party claims. The file types are those that Sprinto documents for its app. That a date in the
future is refused is inferred.
"""

from __future__ import annotations

import base64
from collections.abc import Collection, Mapping
from datetime import date, timedelta
from types import MappingProxyType
from typing import Final

from .bodies import UploadedFile, is_of_type
from .sprinto_schema import CheckPage

PAGE: Final = 25  # checks a page where the query does not say
_FUTURE = timedelta(days=1)  # somewhere it is tomorrow already

_OPEN_XML = "application/vnd.openxmlformats-officedocument."
FILE_TYPES: Final[Mapping[str, str | frozenset[str]]] = MappingProxyType(
    {
        "pdf": "application/pdf",
        "doc": "application/msword",
        "docx": _OPEN_XML + "wordprocessingml.document",
        "xls": "application/vnd.ms-excel",
        "xlsx": _OPEN_XML + "spreadsheetml.sheet",
        "ppt": "application/vnd.ms-powerpoint",
        "pptx": _OPEN_XML + "presentationml.presentation",
        "csv": frozenset({"text/csv", "application/csv", "application/vnd.ms-excel"}),
        "png": "image/png",
        "jpg": "image/jpeg",
        "jpeg": "image/jpeg",
    }
)


class CheckRefusedError(Exception):
    """Why a check does not take an evidence, or a list cannot be shown; its words become a
    GraphQL error."""


class WorkflowChecks:
    """The checks by pk with their titles; those in `in_review`, named in `titles` or not, take
    no evidence for now."""

    def __init__(self, titles: Mapping[str, str], in_review: Collection[str]) -> None:
        self._titles = {pk: f"Check {pk}" for pk in in_review} | dict(titles)
        self._in_review = frozenset(in_review)

    def admit(self, pk: str, day: date, file: UploadedFile, *, today: date) -> None:
        """Raise CheckRefusedError unless the check takes this file as its evidence of that day."""
        if pk not in self._titles:
            raise CheckRefusedError("Incorrect check ID")
        if pk in self._in_review:
            raise CheckRefusedError("Check in review")
        if not is_of_type(file.name, file.media_type, FILE_TYPES):
            raise CheckRefusedError("Unsupported file format")
        if day > today + _FUTURE:
            raise CheckRefusedError("Evidence record date is in the future")

    def node(self, pk: str, uploaded: Collection[str]) -> Mapping[str, object]:
        """A check as GraphQL shows it; `uploaded` holds the pks that have an evidence."""
        return {
            "pk": pk,
            "title": self._titles[pk],
            "evidenceStatus": "UPLOAD_COMPLETE" if pk in uploaded else None,
        }

    def page(self, first: int | None, after: str | None, uploaded: Collection[str]) -> CheckPage:
        """`first` checks at most, from behind the cursor `after` on. Nonsense raises
        CheckRefusedError."""
        if first is not None and first < 1:
            raise CheckRefusedError("'first' should be at least 1")
        pks = list(self._titles)
        start = 0 if after is None else self._position(after) + 1
        end = start + (PAGE if first is None else first)
        shown = [(_cursor(pk), self.node(pk, uploaded)) for pk in pks[start:end]]
        return CheckPage(total=len(pks), checks=shown, more=end < len(pks))

    def _position(self, cursor: str) -> int:
        for position, pk in enumerate(self._titles):
            if _cursor(pk) == cursor:
                return position
        raise CheckRefusedError("Invalid cursor")


def _cursor(pk: str) -> str:
    return base64.urlsafe_b64encode(pk.encode()).decode()
