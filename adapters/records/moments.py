"""Dates and times as RFC 3339 writes them: ``2026-02-21T10:00:00Z``, always with a time zone."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

PATTERN: Final = r"^\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})$"
_SHAPE = re.compile(PATTERN.removesuffix("$"), re.ASCII)


def parse_moment(text: str) -> datetime | None:
    """The moment that a text names, or None where it names none. Digits beyond microseconds are
    dropped."""
    if not _SHAPE.fullmatch(text):
        return None
    try:
        return datetime.fromisoformat(text.upper())
    except ValueError:  # a 30 February, a minute of 61 seconds
        return None


def write_moment(moment: datetime) -> str:
    """The moment in UTC with a Z; fractions of a second only where there are any."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
