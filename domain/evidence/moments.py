"""Dates and times as RFC 3339 writes them: ``2026-02-21T10:00:00Z``, always with a time zone."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import Final

PATTERN: Final = r"^\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})$"
_SHAPE = re.compile(PATTERN.removesuffix("$"), re.ASCII)
_LEAP_SECOND = re.compile(r"(?<=[0-9]:59:)60")

_DAY = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"

# What a text that is nearly a moment lacks, each looked for in the whole text.
_FAULTS: Final = (
    (_DAY, "needs a time of day and a time zone, such as 2026-02-21T10:00:00Z"),
    (rf"{_DAY} .*", "needs a T between the date and the time, such as 2026-02-21T10:00:00Z"),
    (rf"{_DAY}.\d{{2}}:\d{{2}}(Z|[+-].*)?", "needs seconds, such as 2026-02-21T10:00:00Z"),
    (rf"{_DAY}.[\d:.]+", "needs a time zone at its end: Z for UTC, or an offset such as +05:30"),
    (rf"{_DAY}.[\d:.]+[+-]\d{{4}}", "needs a colon in its time zone, such as +05:30"),
    (r"(?s:.*)", "must be a date and time with a time zone, such as 2026-02-21T10:00:00Z"),
)


def parse_moment(text: str) -> datetime:
    """The moment that a text names; digits beyond microseconds are dropped.

    A leap second, ``23:59:60``, is read as the second before it.

    Raises:
        ValueError: the text names no moment; the message says what is wrong with it.
    """
    if not _SHAPE.fullmatch(text):
        raise ValueError(next(lack for form, lack in _FAULTS if re.fullmatch(form, text)))
    try:
        date.fromisoformat(text[:10])
    except ValueError:
        raise ValueError("names a day that does not exist") from None
    try:
        return datetime.fromisoformat(_LEAP_SECOND.sub("59", text.upper()))
    except ValueError:
        raise ValueError("names a time of day or a time zone that does not exist") from None


def write_moment(moment: datetime) -> str:
    """The moment in UTC with a Z; fractions of a second only if there are any."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
